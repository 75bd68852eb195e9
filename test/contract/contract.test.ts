import { contenders } from './contenders.ts'
import { describeContract } from './suite.ts'

for (const contender of contenders) describeContract(contender)
