import type { Touch } from '../../core/ports/stores.ts'

export function orNull<T>(value: T | undefined): T | null {
  return value ?? null
}

export function orUndefined<T>(value: T | null): T | undefined {
  return value ?? undefined
}

/**
 * Reads a list of names from its column. Throws for any other value: a damaged record must neither grant nor
 * hide rights.
 */
export function list(json: string): readonly string[] {
  const value: unknown = JSON.parse(json)
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) {
    throw new Error('a list of names in the database is damaged')
  }
  return value
}

/** Reads a number from a column of 64 bits, which some drivers return as text. Throws for any other value. */
export function wide(value: number | string): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new Error('a number in the database is damaged')
  return number
}

export function wideOrUndefined(value: number | string | null): number | undefined {
  return value === null ? undefined : wide(value)
}

/** One order for all writers: two that write the same rows in opposite orders would wait for each other. */
export function inOrder(touches: readonly Touch[]): readonly Touch[] {
  return [...touches].sort((a, b) => (a.id < b.id ? -1 : 1))
}
