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
const shared: ReadonlySet<string> = new Set(['server_restarting', 'server_shutdown'])

/**
 * The pause before the next attempt, in milliseconds: full jitter between `min` and a bound that doubles with each
 * failure in a row up to `max`. A time that the server names is the shortest pause, with up to a tenth and a second more,
 * so that clients that were refused together do not come back together.
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
  if (diagnosis.retryAfter !== undefined) {
    const least = diagnosis.retryAfter * 1000
    return Math.round(Math.max(min, least) + random() * (1000 + least / 10))
  }
  if (diagnosis.code === 'pairing_required') return Math.round(3000 + random() * 2000)
  if (long.has(diagnosis.code)) return Math.round(Math.max(30_000, max) * (1 + random()))
  if (shared.has(diagnosis.code) && failures === 0) return Math.round(random() * Math.min(5000, max))
  const bound = Math.min(max, min * 2 ** Math.min(failures + 1, 16))
  return Math.round(min + random() * (bound - min))
}
