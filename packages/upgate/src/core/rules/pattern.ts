import type { CompiledRule } from '../contract/rules.ts'
import { nameOf } from '../options/check-options.ts'
import { analyseTarget, decodeOneReading } from '../request/target.ts'

/** A path pattern, parsed: exact, prefix or with segment parameters. No regular expressions. */
export interface Pattern {
  readonly source: string
  /** Literal segments as written; `undefined` stands for a parameter. */
  readonly segments: Segments
  /** The segments in the form that counts where neither case nor encoding does; the same list where nothing is folded. */
  readonly fold: Segments
  /** Further such forms: only where characters outside ASCII fold in several ways. */
  readonly otherFolds: readonly Segments[]
  /** True for a pattern that ends in `/*`: everything below. */
  readonly prefix: boolean
  /** Text that a canonical path starts with or equals; only for patterns without parameters. */
  readonly text: string | undefined
  /** Whether it is its own fold: a path that equals its own fold, too, then needs no second comparison. */
  readonly plain: boolean
}

export type Segments = readonly (string | undefined)[]

/** One pattern of one rule. */
export interface RulePattern {
  readonly rule: CompiledRule
  readonly pattern: Pattern
}

const none: readonly Segments[] = []
const colon = 0x3a

/** Parses a pattern; throws a `TypeError` that names it and its fault. */
export function parsePattern(source: unknown, where: string): Pattern {
  const fail = (why: string): never => {
    throw new TypeError(`${where}: the path pattern ${JSON.stringify(source)} ${why}.`)
  }
  if (typeof source !== 'string') {
    throw new TypeError(
      `${where}: a path pattern must be a string such as '/assets/*' or '/users/:id', not ${nameOf(source)}.`,
    )
  }
  if (source === '') return fail('must be a non-empty string')
  if (!source.startsWith('/')) return fail('must start with `/`')
  const prefix = source === '/*' || source.endsWith('/*')
  const easy = plainPattern(source)
  if (easy !== undefined) return easy
  const body = decodeOneReading(prefix ? source.slice(0, -2) : source)
  if (body.includes('*')) return fail('may contain `*` only as the last segment, as in `/assets/*`')
  let names: Set<string> | undefined
  const segments: (string | undefined)[] = []
  const literal: string[] = []
  for (const segment of body === '' ? [] : body.slice(1).split('/')) {
    if (segment.startsWith(':')) {
      if (!/^:[A-Za-z_][A-Za-z0-9_]*$/.test(segment))
        return fail(`has the parameter ${segment}: name it with letters, digits and _`)
      names ??= new Set()
      if (names.has(segment)) return fail(`has the parameter ${segment} twice`)
      names.add(segment)
      segments.push(undefined)
      literal.push('x')
    } else {
      segments.push(segment)
      literal.push(segment)
    }
  }
  const sample = prefix ? `/${literal.join('/')}` : body === '' ? '/' : `/${literal.join('/')}`
  const analysed = analyseTarget(sample)
  if (
    (prefix && body.endsWith('/')) ||
    sample.includes('?') ||
    analysed === 'ambiguous' ||
    'malformed' in analysed ||
    analysed.readings !== undefined
  ) {
    return fail(
      'is not in canonical form: use `/` once between segments, percent-encode what RFC 3986 wants encoded, leave out dot segments, parameters, query and fragment',
    )
  }
  const hasParameters = names !== undefined
  // Folding neither makes nor removes a slash.
  const fold = (text: string): Segments => {
    const folded = text.slice(1).split('/')
    return segments.map((segment, i) => (segment === undefined ? undefined : folded[i]))
  }
  const { key: text, otherKeys: others = [] } = analysed
  return {
    source,
    segments,
    fold: text === sample ? segments : fold(text),
    otherFolds: others.length === 0 ? none : others.map(fold),
    prefix,
    text: hasParameters ? undefined : prefix ? `${body}/` : body,
    plain: text === sample,
  }
}

/** A pattern in which nothing can be read in two ways: it needs no analysis, and most are of this form. */
const simple = /^(?:\/(?:[a-z0-9_-]+|:[A-Za-z_][A-Za-z0-9_]*))+(?:\/\*)?$/

/** Parses a {@link simple} pattern; `undefined` for all others, and where it has a parameter twice. */
export function plainPattern(source: unknown): Pattern | undefined {
  if (typeof source !== 'string' || source.length >= 1_000 || !simple.test(source)) return undefined
  const prefix = source.endsWith('/*')
  const body = prefix ? source.slice(0, -2) : source
  const written = body.slice(1).split('/')
  if (!body.includes(':')) {
    const text = prefix ? `${body}/` : body
    return { source, segments: written, fold: written, otherFolds: none, prefix, text, plain: true }
  }
  const segments: (string | undefined)[] = written
  for (let at = 0; at < written.length; at++) {
    const segment = written[at] as string
    if (segment.charCodeAt(0) !== colon) continue
    if (written.includes(segment, at + 1)) return undefined
    segments[at] = undefined
  }
  return { source, segments, fold: segments, otherFolds: none, prefix, text: undefined, plain: true }
}

/** The segments in each form that counts where neither case nor encoding does. */
export function foldsOf({ fold, otherFolds }: Pattern): readonly Segments[] {
  return otherFolds.length === 0 ? [fold] : [fold, ...otherFolds]
}

/** Whether a path matches a pattern exactly as written. */
export function matchesStrictly(pattern: Pattern, path: string): boolean {
  if (pattern.text !== undefined)
    return pattern.prefix ? path.startsWith(pattern.text) : path === pattern.text
  return matchesSegments(pattern.segments, pattern.prefix, path, false)
}

/** Whether a folded path matches as for a lenient router: any case and encoding, with or without a trailing slash. */
export function matchesLeniently(pattern: Pattern, key: string): boolean {
  return foldsOf(pattern).some((segments) => matchesSegments(segments, pattern.prefix, key, true))
}

function matchesSegments(wanted: Segments, prefix: boolean, path: string, lenient: boolean): boolean {
  const actual = path.slice(1).split('/')
  if (prefix) {
    if (actual.length < (lenient ? wanted.length : wanted.length + 1)) return false
  } else if (actual.length !== wanted.length) {
    if (!(lenient && actual.length === wanted.length + 1 && actual.at(-1) === '')) return false
  }
  return wanted.every((segment, i) => (segment === undefined ? actual[i] !== '' : actual[i] === segment))
}

/**
 * Whether every path that `inner` matches is matched by `outer` as well.
 *
 * @param leniently - `outer` is protective, and matches in any case and encoding
 */
export function covers(outer: Pattern, inner: Pattern, leniently: boolean): boolean {
  if (!outer.prefix && (inner.prefix || inner.segments.length !== outer.segments.length)) return false
  if (outer.prefix && inner.segments.length < outer.segments.length) return false
  // `/a/*` strictly covers the paths below `/a`, not `/a` itself.
  if (outer.prefix && !leniently && !inner.prefix && inner.segments.length === outer.segments.length)
    return false
  if (!leniently) return coversSegments(outer.segments, inner.segments)
  // `outer` covers `inner` if it covers one of its folded forms: a path has all of them, and a rule matches by any.
  return foldsOf(outer).some((wide) => foldsOf(inner).some((narrow) => coversSegments(wide, narrow)))
}

function coversSegments(outer: Segments, inner: Segments): boolean {
  // A parameter is a segment that is not empty: `/:page` is not `/`.
  return outer.every((wide, i) => (wide === undefined ? inner[i] !== '' : wide === inner[i]))
}

/** Whether some path matches both patterns. */
export function overlap(a: Pattern, b: Pattern): boolean {
  const shorter = Math.min(a.segments.length, b.segments.length)
  for (let i = 0; i < shorter; i++) {
    const one = a.segments[i]
    const other = b.segments[i]
    if (one !== undefined && other !== undefined && one !== other) return false
  }
  if (a.segments.length === b.segments.length) return a.prefix === b.prefix
  return a.segments.length < b.segments.length ? a.prefix : b.prefix
}
