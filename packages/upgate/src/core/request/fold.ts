/**
 * The texts under which protective rules compare paths: one for every way in which routers and file systems let two
 * spellings be the same path. Permissive rules never come here; they compare the bytes as received.
 */

const notAscii = /[^\0-\x7f]/
/** `%2F` is a separator in other readings of the path, and stays encoded here; so does a malformed encoding. */
const staysEncoded = /%(?=2f|(?![0-9a-f]{2}))/gi
const mark = /\p{M}/u
/** Ordering marks takes the square of their number; no text of any language has more than 30 (UAX #15, section 13). */
const marksWithoutEnd = /(?<!\p{M})\p{M}{31}/u
/** What few texts have, and all of those: no mark is below U+0300. */
const perhapsMarks = /[\u0300-\uffff]{31}/

/** Why a path has no texts. */
export const tooManyMarks = 'The path has more than 30 combining marks in a row.'

/**
 * Every text under which some router compares a path: decoded, then with its case folded.
 *
 * Routers fold by lower-casing (U+212A becomes `k`), or by upper-casing first, as the flags `i` and `iu` of regular
 * expressions do (U+017F becomes `s`, U+00DF `ss`). Some compare composed characters (NFC), some ignore combining
 * marks, which is how U+0130 becomes `i`. Two paths are one path for some router if they share a text.
 *
 * @param path - without query, with valid UTF-8 behind its percent-encoding
 * @returns the texts without duplicates, for ASCII exactly one, its lower-case form; `undefined` where there are
 *   {@link tooManyMarks}
 */
export function foldsOf(path: string): readonly [string, ...string[]] | undefined {
  const ways = waysToFold(path)
  return ways && ([...new Set(ways)] as [string, ...string[]])
}

/**
 * The texts by the way in which they were found: always four, or for ASCII one that stands for all.
 *
 * Nothing here looks across a slash, so that the texts of a path are those of its segments, way by way.
 */
export function waysToFold(path: string): readonly string[] | undefined {
  const decoded = path.includes('%') ? decodeURIComponent(path.replace(staysEncoded, '%25')) : path
  if (!notAscii.test(decoded)) return [decoded.toLowerCase()]
  if (perhapsMarks.test(decoded) && marksWithoutEnd.test(decoded)) return undefined
  const composed = decoded.normalize('NFC')
  const ways = foldCase(composed)
  return [...ways, ...(composed === decoded ? ways : foldCase(decoded))]
}

function foldCase(text: string): readonly [string, string] {
  const lower = text.toLowerCase()
  // From the lower case: U+1E9E has an upper case of its own, and only its lower case reaches `ss`.
  const raised = lower.toUpperCase().toLowerCase()
  const bare = withoutMarks(lower)
  return [bare, raised === lower ? bare : withoutMarks(raised)]
}

/** Removes the marks behind letters, as `text.replace(/(?<=[a-z])\p{M}+/gu, '')` does, at a third of its cost. */
function withoutMarks(text: string): string {
  let kept = ''
  let from = 0
  for (let i = 1; i < text.length; i++) {
    if (text.charCodeAt(i) < 0x300) continue
    const before = text.charCodeAt(i - 1)
    if (before < 0x61 || before > 0x7a) continue
    const end = endOfMarks(text, i)
    if (end === i) continue
    kept += text.slice(from, i)
    from = end
    i = end
  }
  return from === 0 ? text : kept + text.slice(from)
}

function endOfMarks(text: string, start: number): number {
  let at = start
  while (at < text.length) {
    const unit = text.charCodeAt(at)
    if (unit < 0x300) break
    // The first block of marks, which has almost all of those in use, is told by its numbers.
    if (unit <= 0x36f) at++
    else {
      const char = String.fromCodePoint(text.codePointAt(at) as number)
      if (!mark.test(char)) break
      at += char.length
    }
  }
  return at
}
