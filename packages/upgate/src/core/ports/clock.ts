/** A running timer. */
export interface Timer {
  /** Cancels the callback; calling it again, or too late, does nothing. */
  cancel(): void
}

/**
 * Time as the library sees it: injected, so that no test sleeps.
 *
 * @example
 * const clock = manualClock() // of `upgate/testing`
 * clock.advance(10_000)
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /**
   * Calls back once after `milliseconds`. A timer never keeps the process alive by itself.
   *
   * @param milliseconds - from now on
   * @param callback - called once, unless the timer is cancelled before
   */
  setTimer(milliseconds: number, callback: () => void): Timer
}
