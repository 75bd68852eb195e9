import { foldsOf } from './fold.ts'

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
/** More readings than this is an attack, not a path. */
const maxReadings = 48

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
export function analyseTarget(raw: string): Target | { readonly malformed: string } | 'ambiguous' {
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
    const [key, ...otherKeys] = foldsOf(path)
    return { path, key, otherKeys: otherKeys.length === 0 ? undefined : otherKeys, readings: undefined }
  }
  if (path.length > maxAmbiguousLength) return 'ambiguous'
  const readings = readingsOf(path)
  if (readings === undefined) return 'ambiguous'
  if (typeof readings === 'string') return { malformed: readings }
  return { path, key: path, otherKeys: undefined, readings }
}

/** Decodes the characters that mean the same in both spellings: `[`, `]`, `|` and `^`. */
export function decodeOneReading(path: string): string {
  return path.replace(/%(?:5[bde]|7c)/gi, decodeURIComponent)
}

function isDotSegment(path: string, at: number): boolean {
  let end = at + 1
  if (path.charCodeAt(end) === dot) end++
  return end === path.length || path.charCodeAt(end) === slash
}

function endsSegment(path: string, at: number): boolean {
  return at === path.length || path.charCodeAt(at) === slash
}

function isValidUtf8(path: string): boolean {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

function decodeAsciiOnce(path: string): string {
  return path.replace(/%([0-7][0-9a-fA-F])/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

function resolveDots(path: string): string {
  const out: string[] = []
  const segments = path.split('/')
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i] as string
    const last = i === segments.length - 1
    if (segment === '.' || segment === '..') {
      if (segment === '..') out.pop()
      if (last) out.push('')
    } else out.push(segment)
  }
  return `/${out.join('/')}`
}

/** Each is something that a router, proxy or framework is known to do to a path before it routes. */
const transformations: readonly ((path: string) => string)[] = [
  decodeAsciiOnce,
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.replace(/[?#].*$/s, ''),
  (path) => path.replace(/^\/\/+[^/]*/, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  // URL parsers and some file systems drop trailing blanks.
  (path) => path.replace(/ +(?=\/|$)/g, ''),
  resolveDots,
]

/** What all readings are compared under; `undefined` when there are too many, a sentence when one is malformed. */
function readingsOf(path: string): readonly string[] | string | undefined {
  const seen = new Set<string>([path])
  for (const reading of seen) {
    for (const transform of transformations) {
      let next = transform(reading)
      if (next === '' || next.charCodeAt(0) !== slash) next = `/${next}`
      if (seen.has(next)) continue
      // A character that appears only after decoding twice is as dangerous as a plain one.
      for (let i = 0; i < next.length; i++) {
        const code = next.charCodeAt(i)
        if (code < 0x20 || code === 0x7f) return 'The path contains an encoded control character.'
      }
      for (const run of next.match(/(?:%[89a-fA-F][0-9a-fA-F])+/g) ?? []) {
        if (!isValidUtf8(run)) return 'The path is not valid UTF-8.'
      }
      seen.add(next)
      if (seen.size > maxReadings) return undefined
    }
  }
  const keys = new Set<string>()
  for (const reading of seen) for (const key of foldsOf(reading)) keys.add(key)
  return [...keys]
}
