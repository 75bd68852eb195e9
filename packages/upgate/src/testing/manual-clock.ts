import type { Clock } from '../core/ports/clock.ts'

/** A clock that stands still until it is told to move. */
export interface ManualClock extends Clock {
  /**
   * Moves on by so many milliseconds and calls every timer that is due, in order, at its own time.
   *
   * @param milliseconds - how far to move; 0 calls the timers that are due
   */
  advance(milliseconds: number): void
  /** How many timers are running. */
  readonly pending: number
}

interface Due {
  readonly at: number
  readonly callback: () => void
}

/**
 * Creates a clock for tests: time passes only through `advance`.
 *
 * @param start milliseconds since the epoch at which it stands. Default: 2026-01-01T00:00:00Z.
 * @throws TypeError for a time that is not a finite number
 * @example
 * const clock = manualClock()
 * const gate = createGate({ clock, schemes: [sessionCookie({ sessions })] })
 * clock.advance(10_000)
 */
export function manualClock(start: number = Date.UTC(2026, 0, 1)): ManualClock {
  if (!Number.isFinite(start)) {
    throw new TypeError('manualClock: `start` must be a time in milliseconds since the epoch.')
  }
  let now = start
  const timers = new Set<Due>()

  function nextBefore(limit: number): Due | undefined {
    let next: Due | undefined
    for (const due of timers) {
      if (due.at <= limit && (next === undefined || due.at < next.at)) next = due
    }
    return next
  }

  return {
    now: () => now,
    setTimer(milliseconds, callback) {
      // The range real timers have: code that forgets to clamp must fail here as it would in production.
      if (!(milliseconds >= 0 && milliseconds <= 2 ** 31 - 1)) {
        throw new RangeError(`Timer delay out of range: ${milliseconds}`)
      }
      const due: Due = { at: now + milliseconds, callback }
      timers.add(due)
      return { cancel: () => void timers.delete(due) }
    },
    advance(milliseconds) {
      if (!(milliseconds >= 0)) throw new RangeError('Time only moves forward')
      const limit = now + milliseconds
      for (let due = nextBefore(limit); due !== undefined; due = nextBefore(limit)) {
        timers.delete(due)
        now = Math.max(now, due.at)
        due.callback()
      }
      now = limit
    },
    get pending() {
      return timers.size
    },
  }
}
