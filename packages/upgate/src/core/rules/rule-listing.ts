import type { ListedRule, RuleOverlap, Transport } from '../contract/listed-rule.ts'
import type { CompiledRule } from '../contract/rules.ts'
import { Overlaps } from './overlaps.ts'
import type { Pattern, RulePattern } from './pattern.ts'
import type { Methods, Reach, Reaches } from './reach.ts'

/**
 * Lists the open paths with their principals, in the order of the rules.
 *
 * @param lefts - by pattern: the requests that the rules before it left to it
 */
export function listRules(
  patterns: readonly RulePattern[],
  lefts: readonly Reach[],
  reaches: Reaches,
  unmatched: CompiledRule,
): readonly ListedRule[] {
  const earlier = new Overlaps()
  const listed: ListedRule[] = []
  for (const [at, entry] of patterns.entries()) {
    const left = lefts[at] ?? 0n
    for (const transport of transports) {
      const methods = reaches.methods(transport, left, entry.rule.methods)
      if (methods === undefined || (transport === 'upgrade' && !includesGet(methods))) continue
      listed.push(
        Object.freeze({
          ...lineOf(entry.rule, entry.pattern.source, transport),
          ...methodsOf(transport, methods),
          ...overlapsOf(entry, earlier.of(entry, reaches.on(transport, left))),
        }),
      )
    }
    earlier.add(entry, reaches.taken(entry.rule))
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

function overlapsOf({ pattern }: RulePattern, earlier: readonly RulePattern[]): Pick<ListedRule, 'overlaps'> {
  return earlier.length === 0 ? {} : { overlaps: earlier.map((other) => overlapOf(other, pattern)) }
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
