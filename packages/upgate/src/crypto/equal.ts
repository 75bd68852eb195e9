import { timingSafeEqual } from 'node:crypto'

/**
 * Compares two digests in constant time.
 *
 * Only for values of public length, such as digests: the length itself is compared at once.
 */
export function equalDigests(left: string, right: string): boolean {
  const a = Buffer.from(left)
  const b = Buffer.from(right)
  return a.length === b.length && timingSafeEqual(a, b)
}
