import { analyseTarget } from './target.ts'

/** A path pattern, parsed: exact, prefix or with segment parameters. No regular expressions. */
export interface Pattern {
  readonly source: string
  /** Literal segments in their own case; `undefined` stands for a parameter. */
  readonly segments: readonly (string | undefined)[]
  /** True for a pattern that ends in `/*`: everything below. */
  readonly prefix: boolean
  /** Text that a canonical path starts with or equals; only for patterns without parameters. */
  readonly text: string | undefined
  readonly hasUpperCase: boolean
}

/** Parses a pattern; throws a `TypeError` naming it and what is wrong. */
export function parsePattern(source: unknown, where: string): Pattern {
  const fail = (why: string): never => {
    throw new TypeError(`${where}: the path pattern ${JSON.stringify(source)} ${why}.`)
  }
  if (typeof source !== 'string' || source === '') return fail('must be a non-empty string')
  if (!source.startsWith('/')) return fail('must start with `/`')
  const prefix = source === '/*' || source.endsWith('/*')
  const body = prefix ? source.slice(0, -2) : source
  if (body.includes('*')) return fail('may contain `*` only as the last segment, as in `/assets/*`')
  const names = new Set<string>()
  const segments: (string | undefined)[] = []
  const literal: string[] = []
  for (const segment of body === '' ? [] : body.slice(1).split('/')) {
    if (segment.startsWith(':')) {
      if (!/^:[A-Za-z_][A-Za-z0-9_]*$/.test(segment))
        return fail(`has the parameter ${segment}: name it with letters, digits and _`)
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
    sample.includes('?') ||
    analysed === 'ambiguous' ||
    'malformed' in analysed ||
    analysed.readings !== undefined
  ) {
    return fail(
      'is not in canonical form: use `/` once between segments, percent-encode what RFC 3986 wants encoded, leave out dot segments, parameters, query and fragment',
    )
  }
  const hasParameters = names.size > 0
  return {
    source,
    segments,
    prefix,
    text: hasParameters ? undefined : prefix ? `${body}/` : source,
    hasUpperCase: /[A-Z]/.test(literal.join('')),
  }
}

/** Whether a path in its own case matches a pattern exactly as written. */
export function matchesStrictly(pattern: Pattern, path: string): boolean {
  if (pattern.text !== undefined)
    return pattern.prefix ? path.startsWith(pattern.text) : path === pattern.text
  return matchesSegments(pattern, path, false)
}

/** Whether a path matches a pattern as a lenient router would: any case, with or without a trailing slash. */
export function matchesLeniently(pattern: Pattern, lowerPath: string): boolean {
  return matchesSegments(pattern, lowerPath, true)
}

function matchesSegments(pattern: Pattern, path: string, lenient: boolean): boolean {
  const actual = path.slice(1).split('/')
  const wanted = pattern.segments
  if (pattern.prefix) {
    if (actual.length < (lenient ? wanted.length : wanted.length + 1)) return false
  } else if (actual.length !== wanted.length) {
    if (!(lenient && actual.length === wanted.length + 1 && actual.at(-1) === '')) return false
  }
  for (let i = 0; i < wanted.length; i++) {
    const segment = wanted[i]
    if (segment === undefined ? actual[i] === '' : actual[i] !== (lenient ? segment.toLowerCase() : segment))
      return false
  }
  return true
}

/** Whether every path that `inner` matches is matched by `outer` as well. */
export function covers(outer: Pattern, inner: Pattern, ignoreCase: boolean): boolean {
  if (!outer.prefix && (inner.prefix || inner.segments.length !== outer.segments.length)) return false
  if (outer.prefix && inner.segments.length < outer.segments.length) return false
  // `/a/*` strictly covers what is below `/a`, not `/a` itself.
  if (outer.prefix && !ignoreCase && !inner.prefix && inner.segments.length === outer.segments.length)
    return false
  for (let i = 0; i < outer.segments.length; i++) {
    const wide = outer.segments[i]
    const narrow = inner.segments[i]
    if (wide === undefined) continue
    if (narrow === undefined) return false
    if (ignoreCase ? wide.toLowerCase() !== narrow.toLowerCase() : wide !== narrow) return false
  }
  return true
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
