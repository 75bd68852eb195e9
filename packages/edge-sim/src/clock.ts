/** A running timer. */
export interface Timer {
  cancel(): void
}

/**
 * Time as the simulator sees it: injected, so that no test sleeps.
 *
 * Key overlap, token expiry, logout delay, silence (524) and the idle cut of sockets all follow it.
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls back once after `milliseconds`. */
  setTimer(milliseconds: number, callback: () => void): Timer
}

/** The system's clock. Its timers never keep the process alive by themselves. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds)
    timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Whole seconds since the epoch, the unit of every JWT claim. */
export function seconds(clock: Clock): number {
  return Math.floor(clock.now() / 1000)
}
