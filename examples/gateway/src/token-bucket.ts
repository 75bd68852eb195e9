/** Answers how many milliseconds to wait before the next message, 0 when it may pass now. */
export type RateLimit = (now: number) => number

/** Lets `burst` messages pass at once and one more every `interval` milliseconds. */
export function createTokenBucket(burst: number, interval: number): RateLimit {
  let full = Number.NEGATIVE_INFINITY
  return (now) => {
    // `full` is when the bucket will be full again; each message moves it one interval on.
    const next = Math.max(full, now) + interval
    if (next - now > burst * interval) return next - now - burst * interval
    full = next
    return 0
  }
}
