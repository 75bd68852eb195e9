/** Names as RFC 6749 section 3.3 allows them: visible ASCII without quote and backslash. */
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/
const maxNames = 100

/** Checks scopes or roles and removes duplicates. Throws a `TypeError` that begins with `where`, if given. */
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
 * Characters that a display name must not hold: control characters, line separators, and characters that
 * change the direction of the text after them. They can make one name look like another, or change the words
 * around it.
 */
const misleading = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u
const allMisleading = new RegExp(misleading, 'gu')

/** Replaces such characters in a client's text, for example a `User-Agent`, by blanks. */
export function inOneLine(text: string): string {
  return text.replace(allMisleading, ' ')
}

/** Checks and trims a display name. Throws a `TypeError`. */
export function checkName(name: string): string {
  const trimmed = typeof name === 'string' ? name.trim() : ''
  if (trimmed === '' || trimmed.length > 100 || misleading.test(trimmed)) {
    throw new TypeError(
      '`name` must have 1 to 100 characters, and no control characters, also none that turn the direction of text',
    )
  }
  return trimmed
}

/** Checks a time in milliseconds since the epoch; `undefined` is allowed. Throws a `TypeError`. */
export function checkExpiry(expiresAt: number | undefined): number | undefined {
  if (expiresAt !== undefined && !(Number.isSafeInteger(expiresAt) && expiresAt > 0)) {
    throw new TypeError('`expiresAt` must be a whole number of milliseconds since the epoch')
  }
  return expiresAt
}

/** Whether a name in `before` is missing in `after`. */
export function narrows(before: readonly string[], after: readonly string[]): boolean {
  return before.some((name) => !after.includes(name))
}
