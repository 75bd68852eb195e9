/** Names as RFC 6749 section 3.3 allows them: visible ASCII without quote and backslash. */
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/
const maxNames = 100

/** Scopes or roles, checked, without duplicates. Throws a `TypeError` that begins with `where`, if it is given. */
export function checkNames(
  what: 'scopes' | 'roles',
  names: readonly string[],
  where?: string,
): readonly string[] {
  const place = where === undefined ? '' : `${where}: `
  if (!Array.isArray(names) || names.length > maxNames) {
    throw new TypeError(`${place}\`${what}\` must be a list of at most ${maxNames} names`)
  }
  for (const name of names) {
    if (typeof name !== 'string' || !scopeToken.test(name)) {
      throw new TypeError(
        `${place}\`${what}\` must be names of 1 to 128 visible ASCII characters without quote and backslash`,
      )
    }
  }
  return [...new Set(names)]
}

/**
 * What a name for people does not hold: control characters, line separators, and what turns the direction of the text
 * that follows it, so that a name reads as another one, or the words around it do.
 */
const misleading = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u
const allMisleading = new RegExp(misleading, 'gu')

/** Text of a client, such as a `User-Agent`, with blanks for what does not belong into one line of text. */
export function inOneLine(text: string): string {
  return text.replace(allMisleading, ' ')
}

/** A name for people, trimmed. Throws a `TypeError`. */
export function checkName(name: string): string {
  const trimmed = typeof name === 'string' ? name.trim() : ''
  if (trimmed === '' || trimmed.length > 100 || misleading.test(trimmed)) {
    throw new TypeError(
      '`name` must have 1 to 100 characters, and no control characters, also none that turn the direction of text',
    )
  }
  return trimmed
}

/** A time in milliseconds since the epoch, or nothing. Throws a `TypeError`. */
export function checkExpiry(expiresAt: number | undefined): number | undefined {
  if (expiresAt !== undefined && !(Number.isSafeInteger(expiresAt) && expiresAt > 0)) {
    throw new TypeError('`expiresAt` must be a whole number of milliseconds since the epoch')
  }
  return expiresAt
}

/** Whether something that was there is missing. */
export function narrows(before: readonly string[], after: readonly string[]): boolean {
  return before.some((name) => !after.includes(name))
}
