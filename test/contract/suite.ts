import { describe } from 'vitest'
import type { Contender } from './contenders.ts'
import { useStage } from './stage.ts'
import { describeHttp } from './suite-http.ts'
import { describeMounts } from './suite-mounts.ts'
import { describeSockets } from './suite-sockets.ts'

/** The contract for every way of putting a gate in front of an application. */
export function describeContract(contender: Contender): void {
  describe(contender.name, () => {
    const stage = useStage(contender)
    describeHttp(stage, contender)
    describeMounts(stage, contender)
    describeSockets(stage)
  })
}
