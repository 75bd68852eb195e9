import type { Diagnosis } from '@upgate/diagnosis'

/** Pauses between attempts, in milliseconds. */
export interface BackoffOptions {
  /** The shortest pause. Default: 1,000. */
  readonly min: number
  /** Longest pause in milliseconds, unless the server names a longer one. Default: 30,000. */
  readonly max: number
}

/** Codes that ask for a longer pause, if the server names none. */
const long: ReadonlySet<string> = new Set([
  'too_many_failures',
  'too_many_frames',
  'too_many_sockets',
  'close_too_many',
  'edge_rate_limited',
])

/** Ends that all clients of a server see at the same moment. */
const shared: ReadonlySet<string> = new Set(['server_restarting', 'server_shutdown', 'connection_lost'])
/** Refusals and ends of a server that has too much to do: all of its clients get them, and not at once again. */
const busy: ReadonlySet<string> = new Set([
  'close_try_later',
  'close_internal_error',
  'unavailable',
  'over_capacity',
  'server_error',
])
/** Milliseconds over which clients spread that saw the same end. */
const spread = 5000

/**
 * The pause before the next attempt, in milliseconds: full jitter between `min` and a bound that doubles with each
 * failure in a row up to `max`. A time that the server names is the shortest pause, with up to a tenth and five seconds
 * more. The first pause after an end that all clients of a server see is spread over five seconds as well, so that
 * clients that were refused or lost together do not come back together.
 *
 * @param failures Failures in a row before this one
 * @param random At least 0, less than 1
 */
export function pauseAfter(
  diagnosis: Diagnosis,
  failures: number,
  { min, max }: BackoffOptions,
  random: () => number,
): number {
  const { code, retryAfter } = diagnosis
  if (retryAfter !== undefined) {
    const least = retryAfter * 1000
    // A pairing waits for a person, and each device for another moment.
    const more = (code === 'pairing_required' ? 1000 : Math.min(spread, max)) + least / 10
    return Math.round(Math.max(min, least) + random() * more)
  }
  if (code === 'pairing_required') return Math.round(3000 + random() * 2000)
  if (long.has(code)) return Math.round(Math.max(30_000, max) * (1 + random()))
  if (shared.has(code) && failures === 0) return Math.round(random() * Math.min(spread, max))
  const doubled = Math.min(max, min * 2 ** Math.min(failures + 1, 16))
  const bound = busy.has(code) ? Math.min(max, Math.max(doubled, min + spread)) : doubled
  return Math.round(min + random() * (bound - min))
}
