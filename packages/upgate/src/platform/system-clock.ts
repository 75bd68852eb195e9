import type { Clock } from '../core/ports/clock.ts'

/** The clock of the machine; its timers never keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds)
    timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}
