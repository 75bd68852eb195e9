/** A running timer. */
export interface Timer {
  cancel(): void
}

/**
 * Time as the library sees it: injected, so that no test sleeps.
 *
 * @example
 * const clock: Clock = manualClock() // from `upgate/testing`
 * clock.advance(10_000)
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls back once after `milliseconds`. A timer never keeps the process alive by itself. */
  setTimer(milliseconds: number, callback: () => void): Timer
}
