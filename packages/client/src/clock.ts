/** The clock of a connection; tests bring their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls back once, after so many milliseconds. */
  setTimer(milliseconds: number, callback: () => void): { cancel(): void }
}

/** The system's clock. Its timers keep a program running, as an open socket does. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds)
    return { cancel: () => clearTimeout(timer) }
  },
}
