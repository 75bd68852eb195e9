import { foldsOf, tooManyMarks } from './fold.ts'
import { isValidUtf8, readingsOf, Steps } from './readings.ts'

/**
 * Request targets: whether one is in canonical form, and every way a router or proxy might read one that is not.
 *
 * Permissive rules match canonical targets only; a target that is not canonical counts only where all its
 * readings meet the same protective rule.
 */

/** A target as analysed. `readings` is absent when the path is canonical. */
export interface Target {
  /** The path as received, without query; characters that have one reading in either spelling are decoded. */
  readonly path: string
  /** The text under which rules compare it (`fold.ts`); the same string when nothing had to be folded. */
  readonly key: string
  /** Further such texts: only where the path has characters outside ASCII that fold in several ways. */
  readonly otherKeys: readonly string[] | undefined
  /** The key of every reading. */
  readonly readings: readonly string[] | undefined
}

/** Longest path considered, in characters. Longer ones are malformed. */
const maxPathLength = 8192
/** Longest path that is read in every way; canonical ones may be longer. */
const maxAmbiguousLength = 2048

// Character classes: 0 = plain, 1 = upper case, 2 = needs a look, 3 = never in a path.
const classes: Uint8Array = new Uint8Array(128).fill(3)
// RFC 3986 wants `[`, `]`, `|` and `^` encoded; browsers send them as they are, and nothing reads them in two ways.
for (const c of "abcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,=:@[]|^") classes[c.charCodeAt(0)] = 0
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') classes[c.charCodeAt(0)] = 1
// No client in use sends `"`, `<`, `>`, a backtick, `{` or `}` unencoded, so that nothing is lost by caution.
for (const c of '/.%;\\#"<>`{}') classes[c.charCodeAt(0)] = 2

const slash = 0x2f
const dot = 0x2e
const percent = 0x25

function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  if (code >= 0x41 && code <= 0x46) return code - 0x37
  if (code >= 0x61 && code <= 0x66) return code - 0x57
  return -1
}

/** Octets with an encoded form that some router reads differently: unreserved ones and separators. */
function isSuspiciousOctet(octet: number): boolean {
  return (
    (octet >= 0x41 && octet <= 0x5a) ||
    (octet >= 0x61 && octet <= 0x7a) ||
    (octet >= 0x30 && octet <= 0x39) ||
    octet === 0x2d ||
    octet === dot ||
    octet === 0x5f ||
    octet === 0x7e ||
    octet === slash ||
    octet === 0x5c ||
    octet === percent ||
    octet === 0x3b ||
    octet === 0x3f ||
    octet === 0x23
  )
}

/** Path of a target: everything before the first `?`. */
export function pathOf(target: string): string {
  const query = target.indexOf('?')
  return query === -1 ? target : target.slice(0, query)
}

/**
 * Analyses a request-target (RFC 9112 section 3.2).
 *
 * @returns the target, or a sentence saying why it is malformed, or `ambiguous` when it has too many readings
 */
export function analyseTarget(
  raw: string,
  steps?: Steps,
): Target | { readonly malformed: string } | 'ambiguous' {
  let path = pathOf(raw)
  let canonical = true
  if (path.charCodeAt(0) !== slash) {
    const authority = /^https?:\/\/[^/?#\\]*/i.exec(path)
    if (authority === null) return { malformed: 'The request target is not an absolute path.' }
    // Routers strip the authority of an absolute-form target and go on with the path.
    path = path.slice(authority[0].length)
    if (path === '') path = '/'
    if (path.charCodeAt(0) !== slash) path = `/${path}`
    canonical = false
  }
  if (path.length > maxPathLength) return { malformed: 'The path is too long.' }

  let upper = false
  let encoded = false
  let nonAscii = false
  let oneReading = false
  let previous = 0
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i)
    const kind = code < 128 ? (classes[code] as number) : 3
    if (kind !== 0) {
      if (kind === 1) upper = true
      else if (kind === 3) return { malformed: 'The path contains a character that must be percent-encoded.' }
      else if (code === slash) {
        if (previous === slash) canonical = false
      } else if (code === dot) {
        if (previous === slash && isDotSegment(path, i)) canonical = false
      } else if (code === percent) {
        const high = hexValue(path.charCodeAt(i + 1))
        const low = hexValue(path.charCodeAt(i + 2))
        if (high < 0 || low < 0) return { malformed: 'The path contains an invalid percent-encoding.' }
        const octet = high * 16 + low
        if (octet < 0x20 || octet === 0x7f)
          return { malformed: 'The path contains an encoded control character.' }
        encoded = true
        if (octet >= 0x80) nonAscii = true
        else if (octet === 0x5b || octet === 0x5d || octet === 0x5e || octet === 0x7c) oneReading = true
        else if (isSuspiciousOctet(octet) || (octet === 0x20 && endsSegment(path, i + 3))) canonical = false
        i += 2
      } else canonical = false
    }
    previous = code
  }
  if (nonAscii && !isValidUtf8(path)) return { malformed: 'The path is not valid UTF-8.' }
  if (oneReading) path = decodeOneReading(path)
  if (canonical) {
    if (!encoded)
      return { path, key: upper ? path.toLowerCase() : path, otherKeys: undefined, readings: undefined }
    const folds = foldsOf(path)
    if (folds === undefined) return { malformed: tooManyMarks }
    const [key, ...otherKeys] = folds
    return { path, key, otherKeys: otherKeys.length === 0 ? undefined : otherKeys, readings: undefined }
  }
  if (path.length > maxAmbiguousLength) return 'ambiguous'
  const readings = readingsOf(path, steps ?? new Steps())
  if (readings === undefined) return 'ambiguous'
  if (typeof readings === 'string') return { malformed: readings }
  return { path, key: path, otherKeys: undefined, readings }
}

/** Decodes the characters that mean the same in both spellings: `[`, `]`, `|` and `^`. */
export function decodeOneReading(path: string): string {
  if (!path.includes('%')) return path
  // A function that is called for each would cost many times as much.
  return path.replace(/%5b/gi, '[').replace(/%5d/gi, ']').replace(/%5e/gi, '^').replace(/%7c/gi, '|')
}

function isDotSegment(path: string, at: number): boolean {
  let end = at + 1
  if (path.charCodeAt(end) === dot) end++
  return end === path.length || path.charCodeAt(end) === slash
}

function endsSegment(path: string, at: number): boolean {
  return at === path.length || path.charCodeAt(at) === slash
}
