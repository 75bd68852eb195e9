import type { PrincipalKind } from '../contract/principal.ts'
import type { Access, CompiledRule } from '../contract/rules.ts'
import type { ReachedPattern } from './hidden-rules.ts'
import { isPermissive, type RulePattern } from './matcher.ts'
import { covers, type Pattern } from './pattern.ts'
import { letsInMore, type Methods, type Reaches, type Transport } from './reach.ts'
import { RuleIndex } from './rule-index.ts'

/** An earlier rule that decides some of a rule's paths and lets in more there. */
export interface RuleOverlap {
  /** Place of the earlier rule in `rules`. */
  readonly rule: number
  /** Its pattern. */
  readonly path: string
  /** The paths that both match, as a pattern. */
  readonly at: string
}

/** What one path pattern is open to, on one transport: one line of `gate.rules()`. */
export interface ListedRule {
  /** The pattern as written; `(unmatched)` for what no rule matches. */
  readonly path: string
  readonly transport: Transport
  /** The methods that are left to it here: `'all'`, or their names. `GET` includes `HEAD`. */
  readonly methods: 'all' | readonly string[]
  /** Methods that earlier rules for the same paths decide; only where `methods` is `'all'`. */
  readonly except?: readonly string[]
  readonly access: Access
  /** `'anyone'` where nothing has to be proved, else the kinds of principal that may enter. */
  readonly openTo: 'anyone' | readonly PrincipalKind[]
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
  readonly schemes?: readonly string[]
  /** Place of the rule in `rules`; -1 for what no rule matches. */
  readonly rule: number
  /** Earlier rules that decide some of these paths and let in more than this one. */
  readonly overlaps?: readonly RuleOverlap[]
}

/** Lists what is open to which principals, in the order of the rules. */
export function listRules(
  reached: readonly ReachedPattern[],
  reaches: Reaches,
  unmatched: CompiledRule,
): readonly ListedRule[] {
  const index = new RuleIndex()
  const listed: ListedRule[] = []
  for (const entry of reached) {
    for (const transport of transports) {
      const methods = reaches.methods(transport, entry.left)
      if (methods === undefined || (transport === 'upgrade' && !includesGet(methods))) continue
      listed.push(
        Object.freeze({
          ...lineOf(entry.rule, entry.pattern.source, transport),
          ...methodsOf(transport, methods),
          ...overlapsOf(entry, transport, index, reaches),
        }),
      )
    }
    index.add(entry)
  }
  for (const transport of transports) {
    listed.push(
      Object.freeze({ ...lineOf(unmatched, '(unmatched)', transport), ...methodsOf(transport, {}) }),
    )
  }
  return Object.freeze(listed)
}

const transports = ['http', 'upgrade'] as const

function lineOf(rule: CompiledRule, path: string, transport: Transport): ListedRule {
  const { access, kinds, scopes, roles, schemes, index } = rule
  const open = access === 'public' || access === 'optional'
  return {
    path,
    transport,
    methods: 'all',
    access,
    openTo: open ? 'anyone' : kinds,
    ...(scopes.length > 0 && { scopes }),
    ...(roles.length > 0 && { roles }),
    ...(schemes !== undefined && { schemes }),
    rule: index,
  }
}

function methodsOf(
  transport: Transport,
  { only, except = [] }: Methods,
): Pick<ListedRule, 'methods' | 'except'> {
  // Upgrades are GET requests, whatever else a rule names.
  if (transport === 'upgrade') return { methods: ['GET'] }
  if (only !== undefined) return { methods: [...only].sort() }
  return { methods: 'all', ...(except.length > 0 && { except: [...except].sort() }) }
}

function includesGet({ only, except }: Methods): boolean {
  return only === undefined ? except?.includes('GET') !== true : only.includes('GET')
}

function overlapsOf(
  entry: ReachedPattern,
  transport: Transport,
  index: RuleIndex,
  reaches: Reaches,
): Pick<ListedRule, 'overlaps'> {
  const { rule, pattern, left } = entry
  const overlaps = index
    .across(pattern)
    .filter(
      (earlier) =>
        earlier.rule !== rule &&
        letsInMore(earlier.rule, rule) &&
        reaches.on(transport, reaches.taken(earlier.rule) & left) !== 0n &&
        // An exception in front of its rule, or behind it, is no overlap by chance.
        !covers(earlier.pattern, pattern, !isPermissive(earlier.rule)) &&
        !covers(pattern, earlier.pattern, true),
    )
    .sort((a, b) => a.rule.index - b.rule.index)
    .map((earlier) => overlapOf(earlier, pattern))
  return overlaps.length === 0 ? {} : { overlaps }
}

function overlapOf({ rule, pattern }: RulePattern, other: Pattern): RuleOverlap {
  const longer = pattern.segments.length > other.segments.length ? pattern : other
  const shorter = longer === other ? pattern : other
  const written = longer.source.split('/').slice(1)
  const segments = longer.segments.map((segment, at) => segment ?? shorter.segments[at] ?? written[at])
  // Where only one is a prefix, the other one says where both end.
  const end = pattern.prefix && other.prefix ? '/*' : ''
  return { rule: rule.index, path: pattern.source, at: `/${segments.join('/')}${end}` }
}
