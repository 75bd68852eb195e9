export function orNull<T>(value: T | undefined): T | null {
  return value ?? null
}

export function orUndefined<T>(value: T | null): T | undefined {
  return value ?? undefined
}

/** A list of names from its column. Throws for anything else: a damaged record must not grant or hide anything. */
export function list(json: string): readonly string[] {
  const value: unknown = JSON.parse(json)
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) {
    throw new Error('a list of names in the database is damaged')
  }
  return value
}
