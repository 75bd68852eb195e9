import type { Transport } from '../contract/listed-rule.ts'
import { EarlierPatterns } from './earlier-patterns.ts'
import { isPermissive } from './matcher.ts'
import { covers, type Pattern, type RulePattern } from './pattern.ts'
import type { PatternTree } from './pattern-tree.ts'
import { letsInMore, type Reach, type Reaches } from './reach.ts'

/**
 * Finds out what the rules before each pattern leave to it, in the order of the patterns, and throws where the order of
 * the rules takes from one what its author wrote it for.
 *
 * - A path that is listed twice in one rule.
 * - A rule that is left with nothing at all.
 * - A rule that an earlier one opens: with a strictly wider pattern, and letting in what the later one would not, it
 *   takes any method or transport from it.
 * - A rule from which the earlier ones together take all HTTP requests, or all upgrades.
 *
 * The same pattern with some of the methods first, and narrower patterns first, are how exceptions are written. A rule
 * that says by `upgrade` that it is for one transport loses nothing on the other.
 *
 * @throws TypeError naming both rules and what to do
 */
export function checkOrder(
  patterns: readonly RulePattern[],
  reaches: Reaches,
): { readonly lefts: readonly Reach[]; readonly tree: PatternTree } {
  const earlier = new EarlierPatterns(reaches)
  const lefts = patterns.map((entry) => {
    const left = leftOf(entry, earlier, reaches)
    earlier.add(entry)
    return left
  })
  return { lefts, tree: earlier.tree }
}

function leftOf(entry: RulePattern, before: EarlierPatterns, reaches: Reaches): Reach {
  const { rule, pattern } = entry
  const own = reaches.own(rule)
  const around = before.around(pattern, own)
  // Most patterns: none before them takes anything.
  if (around.length === 0 && own !== 0n && !pattern.prefix) return own
  const takers: RulePattern[] = []
  let taken = 0n
  for (const earlier of around) {
    if (earlier.rule === rule) {
      if (isSame(earlier.pattern, pattern)) throw listedTwice(entry, earlier)
      continue
    }
    const now = reaches.taken(earlier.rule) & own & ~taken
    if (now === 0n) continue
    if (isWider(earlier, pattern) && letsInMore(earlier.rule, rule)) {
      // Where nothing is left either, that is the simpler thing to say.
      if (now !== own) throw opened(entry, earlier, reaches.describe(now))
    }
    taken |= now
    takers.push(earlier)
  }
  const below = pattern.prefix && before.continues(pattern) ? deeper(entry, before, reaches) : nothing
  const together = taken | below.taken
  if (together === 0n && own !== 0n) return own
  if ((below.taken & ~taken) !== 0n) takers.push(...below.takers.filter((taker) => !takers.includes(taker)))
  if (together === own) throw neverMatches(entry, takers)
  for (const transport of ['http', 'upgrade'] as const) {
    const whole = reaches.on(transport, own)
    if (whole !== 0n && (whole & ~together) === 0n) throw takenWhole(entry, takers, transport)
  }
  return own & ~taken
}

/**
 * What patterns take together that start where a prefix ends: `/a/:x` and `/a/:x/*` are all that is below `/a`.
 */
function deeper(
  { rule, pattern }: RulePattern,
  before: EarlierPatterns,
  reaches: Reaches,
): { readonly taken: Reach; readonly takers: readonly RulePattern[] } {
  const takers: RulePattern[] = []
  const own = reaches.own(rule)
  const takenOf = (part: Pattern): Reach => {
    let taken = 0n
    for (const earlier of before.around(part, own)) {
      const now = earlier.rule === rule ? 0n : reaches.taken(earlier.rule) & own & ~taken
      if (now !== 0n) takers.push(earlier)
      taken |= now
    }
    return taken
  }
  const visit = (start: Pattern): Reach => {
    if (!before.continues(start)) return 0n
    const one: Pattern = {
      ...start,
      segments: [...start.segments, undefined],
      fold: [...start.fold, undefined],
      otherFolds: start.otherFolds.map((fold) => [...fold, undefined]),
      prefix: false,
      text: undefined,
    }
    const rest: Pattern = { ...one, prefix: true }
    return takenOf(one) & (takenOf(rest) | visit(rest))
  }
  return { taken: visit(pattern), takers }
}

const nothing = { taken: 0n, takers: [] }

/** Whether two patterns match the same paths as written, whatever their parameters are called. */
function isSame(one: Pattern, other: Pattern): boolean {
  return covers(one, other, false) && covers(other, one, false)
}

function isWider(outer: RulePattern, inner: Pattern): boolean {
  return !covers(inner, outer.pattern, !isPermissive(outer.rule))
}

function named({ rule, pattern }: RulePattern): string {
  return `\`rules[${rule.index}]\` (${pattern.source})`
}

function listedTwice(entry: RulePattern, earlier: RulePattern): TypeError {
  const again = earlier.pattern.source === entry.pattern.source ? '' : `, also as ${earlier.pattern.source}`
  return new TypeError(
    `createGate: \`rules[${entry.rule.index}]\` lists the path ${entry.pattern.source} twice${again}. Remove one.`,
  )
}

function neverMatches(entry: RulePattern, takers: readonly RulePattern[]): TypeError {
  const [first, ...others] = takers.map(named)
  return new TypeError(
    others.length === 0
      ? `createGate: ${named(entry)} can never match: ${first} comes first and takes everything it could match. ` +
          'Put the narrower rule first, or remove one.'
      : `createGate: ${named(entry)} can never match: ${takers.map(named).join(', ')} come first and together take ` +
          'everything it could match. Put the narrower rule first, or remove one.',
  )
}

function opened(entry: RulePattern, earlier: RulePattern, what: string): TypeError {
  const { rule } = entry
  const how =
    earlier.rule.access === rule.access
      ? 'demands less'
      : `is ${earlier.rule.access} where this one is ${rule.access}`
  return new TypeError(
    `createGate: ${named(entry)} is hidden by ${named(earlier)}, which comes first, ${how}, and takes ${what} from it. ` +
      `Put the narrower rule first${otherwise(entry, what)}.`,
  )
}

function otherwise({ rule }: RulePattern, what: string): string {
  if (what === 'HTTP requests')
    return ". If it is meant for WebSocket upgrades only, say `upgrade: 'only'` in it"
  if (what === 'WebSocket upgrades' && rule.http && rule.access === 'required')
    return '. If it is meant for HTTP only, say `upgrade: false` in it'
  return ', or list in its `methods` those that are left to it'
}

function takenWhole(entry: RulePattern, takers: readonly RulePattern[], transport: Transport): TypeError {
  const what = transport === 'http' ? 'HTTP requests' : 'WebSocket upgrades'
  const only =
    transport === 'http'
      ? "WebSocket upgrades only, say `upgrade: 'only'`"
      : 'HTTP only, say `upgrade: false`'
  const remedy = takers.every((taker) => isSame(taker.pattern, entry.pattern))
    ? 'Remove one'
    : 'Put the narrower rule first, or remove one'
  const by = `${takers.map(named).join(', ')} ${takers.length === 1 ? 'comes' : 'come'} first and ${takers.length === 1 ? 'takes' : 'together take'}`
  return new TypeError(
    `createGate: ${named(entry)} never sees ${what}: ${by} them all. ` +
      `${remedy}. If it is meant for ${only} in it.`,
  )
}
