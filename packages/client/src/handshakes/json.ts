/** A JSON object whose content has not been checked. */
export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Parses an object; `undefined` for anything else, and for more than a message may have (1 MiB): the answer of OpenClaw's
 * gateway to `connect` holds a snapshot of its state. Never throws.
 */
export function readObject(text: string): JsonObject | undefined {
  if (text.length > 1_048_576 || !text.startsWith('{')) return undefined
  try {
    return objectOf(JSON.parse(text))
  } catch {
    return undefined
  }
}

export function objectOf(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** A list of texts; what else is in it is left out. */
export function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : []
}
