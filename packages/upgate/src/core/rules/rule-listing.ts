import type { ListedRule, RuleOverlap, Transport } from '../contract/listed-rule.ts'
import type { CompiledRule } from '../contract/rules.ts'
import type { ReachedPattern } from './hidden-rules.ts'
import { isPermissive, type RulePattern } from './matcher.ts'
import { covers, type Pattern } from './pattern.ts'
import { letsInMore, type Methods, type Reaches } from './reach.ts'
import { RuleIndex } from './rule-index.ts'

/** Lists the open paths with their principals, in the order of the rules. */
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
    index.add(entry, reaches.taken(entry.rule))
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
  const { access, kinds, scopes, roles, schemes, audience, anyOrigin, index } = rule
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
    ...(audience !== undefined && { audience }),
    ...(anyOrigin && { anyOrigin }),
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
