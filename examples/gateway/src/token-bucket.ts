/** Returns the milliseconds to wait before the next message; 0 if it may pass now. */
export type RateLimit = (now: number) => number

/** Lets `burst` messages pass at once and one more every `interval` milliseconds. */
export function createTokenBucket(burst: number, interval: number): RateLimit {
  let full = Number.NEGATIVE_INFINITY
  return (now) => {
    // `full` is the time at which the bucket is full again; each message moves it by one interval.
    const next = Math.max(full, now) + interval
    if (next - now > burst * interval) return next - now - burst * interval
    full = next
    return 0
  }
}
