import { appliesTo, type RulePattern } from './matcher.ts'
import { covers, overlap, parsePattern } from './pattern.ts'

/**
 * The label of the first rule that lets WebSockets in without a principal on some path of a pattern; `undefined` where
 * every socket on every such path has a principal.
 *
 * Rules are read in their order. One that matches all paths of the pattern hides those after it.
 */
export function anonymousRuleFor(
  rules: readonly RulePattern[],
  path: string,
  where: string,
): string | undefined {
  const wanted = parsePattern(path, where)
  for (const { rule, pattern } of rules) {
    if (!appliesTo(rule, 'GET', true)) continue
    const isAnonymous = rule.access === 'public' || rule.access === 'optional'
    if (isAnonymous && overlap(pattern, wanted)) return rule.label
    if (covers(pattern, wanted, false)) return undefined
  }
  return undefined
}
