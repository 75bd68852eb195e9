/**
 * The texts under which protective rules compare paths: one for every way in which routers and file systems let two
 * spellings be the same path. Permissive rules never come here; they compare the bytes as received.
 */

const notAscii = /[^\0-\x7f]/
/** `%2F` is a separator in other readings of the path, and stays encoded here; so does a malformed encoding. */
const staysEncoded = /%(?=2f|(?![0-9a-f]{2}))/gi
const marksAfterLetter = /(?<=[a-z])\p{M}+/gu

/**
 * Every text under which some router compares a path: decoded, then with its case folded.
 *
 * Routers fold by lower-casing (U+212A becomes `k`), or by upper-casing first, as the flags `i` and `iu` of regular
 * expressions do (U+017F becomes `s`, U+00DF `ss`). Some compare composed characters (NFC), some ignore combining
 * marks, which is how U+0130 becomes `i`. Two paths are one path for some router if they share a text.
 *
 * @param path - without query, with valid UTF-8 behind its percent-encoding
 * @returns the texts without duplicates; for ASCII exactly one, its lower-case form
 */
export function foldsOf(path: string): readonly [string, ...string[]] {
  const decoded = path.includes('%') ? decodeURIComponent(path.replace(staysEncoded, '%25')) : path
  if (!notAscii.test(decoded)) return [decoded.toLowerCase()]
  const composed = decoded.normalize('NFC')
  const folds = new Set<string>()
  for (const form of composed === decoded ? [composed] : [composed, decoded]) {
    const lower = form.toLowerCase()
    folds.add(lower.replace(marksAfterLetter, ''))
    // From the lower case: U+1E9E has an upper case of its own, and only its lower case reaches `ss`.
    folds.add(lower.toUpperCase().toLowerCase().replace(marksAfterLetter, ''))
  }
  return [...folds] as [string, ...string[]]
}
