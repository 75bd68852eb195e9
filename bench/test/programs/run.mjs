import { start } from '../../src/children.mjs'
import { superviseRun } from '../../src/supervise.mjs'

const run = superviseRun()
const child = start(new URL('child.mjs', import.meta.url))
if (process.argv[2] === 'hang') {
  // Nothing is under way, but a caller still waits.
  await child.ask({})
  await child.stop()
  await new Promise(() => {})
}
const { pid } = await child.ask({})
console.log(pid)
await child.ask({ what: 'hang' }).catch(() => {})
run.finish(run.interrupted())
