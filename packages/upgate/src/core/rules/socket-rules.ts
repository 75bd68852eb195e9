import type { Handshake } from '../contract/handshake.ts'
import { appliesTo } from './matcher.ts'
import { covers, overlap, parsePattern, type RulePattern } from './pattern.ts'

/** The rules that decide upgrades on some path of a pattern, in their order. */
function* socketRules(
  rules: readonly RulePattern[],
  path: string,
  where: string,
): Generator<RulePattern['rule']> {
  const wanted = parsePattern(path, where)
  for (const { rule, pattern } of rules) {
    if (!appliesTo(rule, 'GET', true)) continue
    if (overlap(pattern, wanted)) yield rule
    // It hides those after it.
    if (covers(pattern, wanted, false)) return
  }
}

/**
 * The label of the first rule that lets WebSockets in without a principal on some path of a pattern; `undefined` where
 * every socket on every such path has a principal.
 */
export function anonymousRuleFor(
  rules: readonly RulePattern[],
  path: string,
  where: string,
): string | undefined {
  for (const { access, label } of socketRules(rules, path, where)) {
    if (access === 'public' || access === 'optional') return label
  }
  return undefined
}

/** The handshakes of the deferred rules for some path of a pattern, each once, as the application gave them. */
export function handshakesFor(
  rules: readonly RulePattern[],
  path: string,
  where: string,
): readonly Handshake[] {
  const found = new Set<Handshake>()
  for (const { givenHandshake } of socketRules(rules, path, where)) {
    if (givenHandshake !== undefined) found.add(givenHandshake)
  }
  return [...found]
}
