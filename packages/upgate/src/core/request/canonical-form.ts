import { pathOf } from './target.ts'

const separators = /%(?:2f|5c|3b|3f|23|25)/i
const unusual =
  /\/\/|\/\.{1,2}(?=\/|$)|[\\;#"<>`{}]|%(?:2[35def]|3[0-9bf]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9ae])|%20(?=\/|$)/i
const names: Readonly<Record<string, string>> = {
  '//': 'a doubled slash',
  '/.': 'a dot segment',
  '/..': 'a dot segment',
  '\\': 'a backslash',
  ';': 'a semicolon',
  '#': 'a fragment',
}

/**
 * What keeps a path from canonical form, in words that quote nothing a client could choose; for refusals.
 *
 * @returns for example `an encoded separator (%2F)`, or `undefined` for a canonical path
 */
export function whyNotCanonical(target: string): string | undefined {
  const path = pathOf(target)
  if (path.charCodeAt(0) !== 0x2f) return 'a scheme and a host'
  const found = unusual.exec(path)?.[0]
  if (found === undefined) return undefined
  if (separators.test(found)) return `an encoded separator (${found.toUpperCase()})`
  if (found === '%20') return 'a blank at the end of a segment'
  if (found.startsWith('%')) return `a character that needs no encoding (${found.toUpperCase()})`
  return names[found] ?? 'a character that must be percent-encoded'
}
