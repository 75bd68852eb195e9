import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Flags of a process for memory measurements. V8 grows the young generation with the allocations and keeps it, which
 * makes a difference of up to 48 MiB unrelated to retained memory. Here it has its final size from the start.
 */
export const fixedHeap = ['--expose-gc', '--min-semi-space-size=16', '--max-semi-space-size=16']

/** Collections after which memory counts as settled, whatever it does. */
const most = 8
/** Bytes of heap that two collections may differ by when nothing more is to be had. */
const settled = 16_384

/** Allocations that fill the young generation, both halves of it, a few times. */
const churn = 200_000

/** What stays when everything that can go has gone. */
export async function settledMemory() {
  // Memory counts as resident from the first time it is written to: all of the young generation, from now on.
  /** @type {object[]} */
  let kept = []
  for (let i = 0; i < churn; i++) {
    if (i % 1000 === 0) kept = []
    kept.push(new Array(60))
  }
  let heap = Number.POSITIVE_INFINITY
  for (let i = 0; i < most; i++) {
    globalThis.gc?.()
    // What a finaliser or a closed handle lets go of is only collected the next time.
    await sleep(5)
    const { heapUsed } = process.memoryUsage()
    const freed = heap - heapUsed
    heap = heapUsed
    if (Math.abs(freed) < settled) break
  }
  return { heap, rss: process.memoryUsage().rss }
}
