import { writeSync } from 'node:fs'
import { dieWithChildren } from './children.mjs'

/**
 * Watches over a run of this process, so that it does not end without a word, however it ends.
 *
 * A signal ends the children and lets the run write its figures; a second one ends everything. An answer that never
 * comes empties the event loop: the process would end as if all were well.
 */
export function superviseRun() {
  let interruption = 0
  let finished = false
  dieWithChildren((code) => {
    interruption = code
  })
  process.once('exit', (code) => {
    if (finished || code === 2) return
    writeSync(2, `The run ended before it was finished. --resume goes on with what was measured.\n`)
    // 13: nothing was left to wait for, and something was still waiting.
    process.exitCode = interruption || (code === 0 || code === 13 ? 1 : code)
  })
  return {
    interrupted: () => interruption !== 0,
    /** @param {boolean} complete */
    finish(complete) {
      finished = true
      // The run is over: open handles must not keep the process alive.
      process.exit(interruption || (complete ? 0 : 1))
    },
  }
}
