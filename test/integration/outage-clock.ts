import type { Clock } from 'upgate/store'

/** A clock for what may go away. */
export interface OutageClock extends Clock {
  /** Whether the service is away: time-outs are short then, those that are running as well. */
  away: boolean
}

interface Pending {
  timer: NodeJS.Timeout
  readonly callback: () => void
}

/**
 * Measures time as usual, and lets timers take as long as they are meant to: a service that only is busy is not taken for
 * one that is away. While it is away, timers take at most 400 ms, so that no test waits for them.
 */
export function outageClock(): OutageClock {
  const short = 400
  const pending = new Set<Pending>()
  let away = false
  const start = (callback: () => void, milliseconds: number): Pending => {
    const made: Pending = {
      callback,
      timer: setTimeout(() => {
        pending.delete(made)
        callback()
      }, milliseconds).unref(),
    }
    pending.add(made)
    return made
  }
  return {
    get away() {
      return away
    },
    set away(value) {
      away = value
      if (!away) return
      for (const each of pending) {
        clearTimeout(each.timer)
        each.timer = setTimeout(() => {
          pending.delete(each)
          each.callback()
        }, short).unref()
      }
    },
    now: () => Date.now(),
    setTimer(milliseconds, callback) {
      const made = start(callback, away ? Math.min(milliseconds, short) : milliseconds)
      return {
        cancel() {
          clearTimeout(made.timer)
          pending.delete(made)
        },
      }
    },
  }
}
