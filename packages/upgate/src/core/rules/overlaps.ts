import type { CompiledRule } from '../contract/rules.ts'
import { isPermissive } from './matcher.ts'
import { covers, type RulePattern } from './pattern.ts'
import { letsInMore, type Reach } from './reach.ts'
import { RuleIndex } from './rule-index.ts'

/** Overlaps that a line of the list names at most: with parameters, each of n rules may cross each of n others. */
export const mostOverlaps = 100

/** Groups that are kept apart. Rules beyond them share one group, in which each pattern is compared. */
const mostGroups = 64

/** Patterns of rules that demand the same. */
interface Group {
  /** Any rule of it; `undefined` for the group that the rest shares. */
  readonly sample: CompiledRule | undefined
  readonly index: RuleIndex
}

/**
 * Finds earlier patterns that share paths with a pattern and let in more.
 *
 * Rules that demand the same never overlap in this sense, and most rules of an application demand one of a few things: the
 * patterns of each demand are kept apart, so that those of no interest are not looked at one by one.
 */
export class Overlaps {
  readonly #groups = new Map<string, Group>()
  readonly #rest: Group = { sample: undefined, index: new RuleIndex() }
  /** By the demands of a rule: the groups that let in more. */
  readonly #wider = new Map<string, { readonly known: number; readonly groups: readonly Group[] }>()
  #last: { readonly rule: CompiledRule; readonly key: string | undefined } | undefined

  /** @param taken - the requests that the rule takes from the rules behind it */
  add(entry: RulePattern, taken: Reach): void {
    this.#groupOf(entry.rule).index.add(entry, taken)
  }

  /**
   * At most {@link mostOverlaps} earlier patterns, in the order of their rules.
   *
   * @param left - the requests that the rules before it left to the pattern
   */
  of({ rule, pattern }: RulePattern, left: Reach): readonly RulePattern[] {
    const counts = (earlier: RulePattern): boolean =>
      earlier.rule !== rule &&
      letsInMore(earlier.rule, rule) &&
      // An exception in front of its rule, or behind it, is no overlap by chance.
      !covers(earlier.pattern, pattern, !isPermissive(earlier.rule)) &&
      !covers(pattern, earlier.pattern, true)
    const found: RulePattern[] = []
    for (const { index } of [...this.#groupsWiderThan(rule), this.#rest]) {
      found.push(...index.across(pattern, left, counts, mostOverlaps - found.length))
    }
    return found.sort((a, b) => a.rule.index - b.rule.index)
  }

  #groupOf(rule: CompiledRule): Group {
    const key = this.#keyOf(rule)
    if (key === undefined) return this.#rest
    const known = this.#groups.get(key)
    if (known !== undefined) return known
    if (this.#groups.size === mostGroups) return this.#rest
    const group: Group = { sample: rule, index: new RuleIndex() }
    this.#groups.set(key, group)
    return group
  }

  #groupsWiderThan(rule: CompiledRule): readonly Group[] {
    const key = this.#keyOf(rule)
    const known = key === undefined ? undefined : this.#wider.get(key)
    if (known?.known === this.#groups.size) return known.groups
    const groups = [...this.#groups.values()].filter(
      ({ sample }) => sample !== undefined && letsInMore(sample, rule),
    )
    if (key !== undefined) this.#wider.set(key, { known: this.#groups.size, groups })
    return groups
  }

  /** A text that is the same for rules that demand the same; `undefined` where a function is among the demands. */
  #keyOf(rule: CompiledRule): string | undefined {
    if (this.#last?.rule === rule) return this.#last.key
    const { access, allowForeignOrigins, kinds, schemes, audience, scopes, roles, agreesWithEdge } = rule
    const demands = [access, allowForeignOrigins, kinds, schemes ?? 0, audience ?? 0, scopes, roles]
    const key = agreesWithEdge === undefined ? JSON.stringify(demands) : undefined
    this.#last = { rule, key }
    return key
  }
}
