import type { Clock } from '../../core/ports/clock.ts'

/** Records forgotten at a time: until it is over, other writers wait, and an embedded store stops this process. */
const slice = 500

/**
 * Forgets records that are over, in slices, at most once in an interval. The first slice is waited for; the others follow
 * one by one while other work goes on.
 *
 * @param purge - forgets at most so many, and answers how many
 */
export function createPurger(
  clock: Clock,
  interval: number,
  purge: (now: number, atMost: number) => Promise<number>,
): () => Promise<void> {
  let purgedAt = Number.NEGATIVE_INFINITY
  let running = false

  async function others(now: number): Promise<void> {
    running = true
    try {
      do {
        await new Promise((resolve) => setImmediate(resolve))
      } while ((await purge(now, slice)) >= slice)
    } catch {
      // Nothing depends on it, and the next one begins where it ended.
    } finally {
      running = false
    }
  }

  return async () => {
    const now = clock.now()
    // A clock that was set back must not stop it.
    if (running || Math.abs(now - purgedAt) < interval) return
    purgedAt = now
    if ((await purge(now, slice)) >= slice) void others(now)
  }
}
