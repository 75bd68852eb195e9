import type { Page, PageRequest } from '../../core/ports/pages.ts'
import { wide } from './rows.ts'

/** Reads a cursor: the number of the last record before the page. Numbers never come back, so it outlives its record. */
export function positionAfter({ after }: PageRequest, first: number, none: number): number {
  if (after === undefined) return first
  return /^\d{1,15}$/.test(after) ? Number(after) : none
}

/**
 * Makes a page of rows, of which one more was read than fits.
 *
 * @param rows - in the order of the list
 */
export function pageOf<Row extends { readonly seq: number | string }, R>(
  rows: readonly Row[],
  { limit }: PageRequest,
  recordOf: (row: Row) => R,
): Page<R> {
  const records = rows.slice(0, limit).map(recordOf)
  const last = rows[limit - 1]
  return rows.length > limit && last !== undefined ? { records, next: `${wide(last.seq)}` } : { records }
}

/** Position before the first record, and one that no record reaches. */
export const before: number = 0
export const beyond: number = Number.MAX_SAFE_INTEGER
