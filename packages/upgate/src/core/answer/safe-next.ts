/**
 * Validates where to go after a login: a path on this origin, or nothing.
 *
 * Refused: other schemes and hosts, `//host`, backslashes, control characters, more than 2,048 characters.
 *
 * @param value - of the query, of any type
 * @returns the path as given, or `undefined`; never throws
 * @example
 * response.redirect(303, safeNext(request.query.next) ?? '/')
 */
export function safeNext(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > 2048 || value.charCodeAt(0) !== 0x2f) return undefined
  if (value.charCodeAt(1) === 0x2f) return undefined
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    // Browsers drop tabs and newlines and read a backslash as a slash before they look for a host.
    if (code <= 0x20 || code >= 0x7f || code === 0x5c) return undefined
  }
  return value
}
