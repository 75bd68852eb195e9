import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { answerQuestions } from '../answer.mjs'
import { settledMemory } from '../ws/memory.mjs'

// Loaded into OpenClaw's process before OpenClaw, and not into processes that it starts.
if (process.env.UPGATE_BENCH_PROBE === '1') {
  process.env.UPGATE_BENCH_PROBE = ''
  setFlagsFromString('--expose-gc')
  globalThis.gc = runInNewContext('gc')
  answerQuestions(({ what }) => (what === 'memory' ? settledMemory() : process.cpuUsage()))
}
