import type { ObservedResponse } from '@upgate/diagnosis'

/** A JSON document of an unknown server. */
export type Document = Readonly<Record<string, unknown>>

/** Reads the JSON object of an answer; `undefined` for anything else. */
export function readDocument(response: ObservedResponse | undefined): Document | undefined {
  const body = response?.body ?? ''
  // Deeper nesting than any metadata has would only cost time.
  if (!/^\s*\{/.test(body) || /(?:[[{]\s*){32}/.test(body)) return undefined
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Document) : undefined
  } catch {
    return undefined
  }
}

/**
 * The places of a well-known document: with the path appended (RFC 8414 section 3, RFC 9728 section 3), then
 * without.
 */
export function wellKnown(base: URL, name: string): readonly URL[] {
  const path = base.pathname.replace(/\/$/, '')
  const root = new URL(`/.well-known/${name}`, base)
  return path === '' ? [root] : [new URL(`/.well-known/${name}${path}`, base), root]
}

/** A text of a document, within bounds. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, 2048) : undefined
}

/** A list of texts of a document, within bounds. */
export function listOf(value: unknown): readonly string[] {
  return Array.isArray(value)
    ? value
        .slice(0, 100)
        .map(textOf)
        .filter((each) => each !== undefined)
    : []
}
