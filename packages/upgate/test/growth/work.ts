import { Session } from 'node:inspector'

// Before the sources are loaded: code that was compiled earlier counts its calls alone, and those not reliably.
const session = new Session()
session.connect()
session.post('Profiler.enable')
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })

/**
 * Counts the work of a run: how often each function and each block of the sources was entered, as V8 counts it for
 * coverage. The number is the same on every machine and under every load.
 *
 * A test imports the sources by `await import()`, after this module.
 */
export function countWork(run: () => void): number {
  take()
  run()
  return take()
}

/** How much more work four times as much takes: about 4 where it grows with the number, 16 where it grows with its square. */
export function growth(run: (n: number) => () => void, n: number): number {
  const [one, few, many] = [run(2), run(n), run(4 * n)]
  // The first run also counts what happens once.
  countWork(one)
  return countWork(many) / countWork(few)
}

/** The counts since the last time. */
function take(): number {
  let work = 0
  session.post('Profiler.takePreciseCoverage', (error, coverage) => {
    if (error !== null) throw error
    for (const { url, functions } of coverage.result) {
      if (!url.includes('/packages/upgate/src/')) continue
      for (const { ranges } of functions) for (const { count } of ranges) work += count
    }
  })
  return work
}
