/** Pauses between attempts to connect, in milliseconds. */
export interface Pauses {
  /** The shortest pause. */
  readonly shortest: number
  /** Bound of the first pause; it doubles with each failure. */
  readonly first: number
  /** Bound of every pause. */
  readonly longest: number
  /** At least 0, less than 1. */
  random(): number
}

/**
 * The pause before the next attempt: anything up to a bound that doubles. Instances that lost a server together must
 * not come back together: half a pause of all of them would still end at the same moment.
 *
 * @param failures - failures in a row before this one
 */
export function pauseAfter(failures: number, { shortest, first, longest, random }: Pauses): number {
  const bound = Math.min(longest, first * 2 ** Math.min(failures, 16))
  return Math.round(shortest + random() * (bound - shortest))
}
