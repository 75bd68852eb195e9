/** Longer waits are cut: a server must not silence a client for a year. */
const longest = 86_400

/** Seconds of a `Retry-After` header (RFC 9110 section 10.2.3): a number, or a date against the answer's `Date`. */
export function retryAfterHeader(value: string, date: string, at: number | undefined): number | undefined {
  if (value === '') return undefined
  if (/^\s*\d+(?:\.\d+)?\s*$/.test(value)) return bounded(Number(value))
  const until = Date.parse(value)
  const sent = Date.parse(date)
  const from = Number.isNaN(sent) ? at : sent
  return Number.isNaN(until) || from === undefined ? undefined : bounded((until - from) / 1000)
}

/** Seconds between 0 and a day; `undefined` for anything that is no number. */
export function bounded(seconds: number | undefined): number | undefined {
  if (seconds === undefined || !Number.isFinite(seconds)) return undefined
  return Math.min(longest, Math.max(0, Math.ceil(seconds)))
}
