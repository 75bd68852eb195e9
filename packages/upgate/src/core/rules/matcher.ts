import type { CompiledRule } from '../contract/rules.ts'
import { analyseTarget, type Target } from '../request/target.ts'
import { matchesLeniently, matchesStrictly, type RulePattern } from './pattern.ts'
import { childOf, PatternTree, type TreeNode } from './pattern-tree.ts'
import { RecentTargets } from './recent-targets.ts'

const slash = 0x2f

/** Permissive rules let in without proof, so they match strictly; the others match leniently. */
export function isPermissive(rule: CompiledRule): boolean {
  return rule.access !== 'required'
}

/** Whether a rule is for this method and kind of request at all, whatever the path. */
export function appliesTo(rule: CompiledRule, method: string, upgrade: boolean): boolean {
  if (rule.methods !== undefined && !rule.methods.has(method)) return false
  return upgrade ? rule.upgrade : rule.http
}

/** The result of matching a target: the rule that decides it, or the reason why none can. */
export type Match = CompiledRule | { readonly malformed: string } | 'ambiguous'

/**
 * Finds the rule for a target, at a cost that depends on the path's depth and not on the number of rules.
 */
export class Matcher {
  readonly #root: TreeNode
  readonly #unmatched: CompiledRule
  /** Exact public paths whose rule needs no further check: equality already implies canonical form. */
  readonly #open = new Map<string, CompiledRule>()
  readonly #merged = new Map<string, CompiledRule>()

  /** For GET without an upgrade. */
  readonly #recent = new RecentTargets()

  // Scratch of one synchronous walk.
  #path = ''
  #key = ''
  #method = ''
  #upgrade = false
  #strict = false
  /** The path is its own key: the trie alone has compared it letter by letter. */
  #plain = false
  #first: CompiledRule | undefined
  #protective: CompiledRule | undefined
  /** The target that was matched last, if it was canonical. */
  #canonical: string | undefined
  /** The last target that was not canonical: one request may ask about it for both transports. */
  #hostile: string | undefined
  #analysed: Target | 'ambiguous' = 'ambiguous'

  /** @param tree - with all patterns */
  constructor(
    patterns: readonly RulePattern[],
    unmatched: CompiledRule,
    tree: PatternTree = PatternTree.of(patterns),
  ) {
    this.#unmatched = unmatched
    this.#root = tree.root
    for (const { rule, pattern } of patterns) {
      if (
        rule.access !== 'public' ||
        rule.methods !== undefined ||
        pattern.prefix ||
        pattern.text === undefined
      )
        continue
      if (this.match(pattern.text, undefined, 'GET', false) === rule) this.#open.set(pattern.text, rule)
    }
  }

  /** Exact paths that a public rule decides for GET and HEAD without an upgrade, whatever else the request holds. */
  openPaths(): Iterable<readonly [path: string, rule: CompiledRule]> {
    return this.#open
  }

  /** The rule for a target and, where it was rewritten on the way, for its second form: the stricter of both. */
  match(target: string, rewritten: string | undefined, method: string, upgrade: boolean): Match {
    // HEAD is GET without a body, for rules as well.
    const effective = method === 'HEAD' ? 'GET' : method
    const first = this.#matchOne(target, effective, upgrade)
    if (rewritten === undefined || rewritten === target) return first
    if (typeof first === 'string' || 'malformed' in first) return first
    return this.stricter(first, this.#matchOne(rewritten, effective, upgrade))
  }

  /** A rule that demands everything that either of two rules demands; any other match refuses anyway. */
  stricter(first: Match, second: Match): Match {
    if (typeof first === 'string' || 'malformed' in first) return first
    if (typeof second === 'string' || 'malformed' in second || first === second) return second
    return this.#merge(first, second)
  }

  /**
   * Whether a target is known to be canonical without another look at it: only right after it was matched.
   *
   * @returns false also where it is not known
   */
  isKnownCanonical(target: string): boolean {
    return target === this.#canonical
  }

  #matchOne(raw: string, method: string, upgrade: boolean): Match {
    if (upgrade || method !== 'GET') return this.#walkTo(raw, method, upgrade)
    const recent = this.#recent.get(raw)
    if (recent !== undefined) {
      this.#canonical = raw
      return recent
    }
    const match = this.#walkTo(raw, method, upgrade)
    // Of a canonical target there is always a rule.
    if (this.#canonical === raw) this.#recent.offer(raw, match as CompiledRule)
    return match
  }

  #walkTo(raw: string, method: string, upgrade: boolean): Match {
    const target = raw === this.#hostile ? this.#analysed : analyseTarget(raw)
    this.#canonical = undefined
    if (target === 'ambiguous' || 'malformed' in target) return target
    if (target.readings === undefined) this.#canonical = raw
    else {
      this.#hostile = raw
      this.#analysed = target
    }
    return this.#matchTarget(target, method, upgrade) ?? 'ambiguous'
  }

  #matchTarget(target: Target, method: string, upgrade: boolean): CompiledRule | undefined {
    if (target.readings === undefined) {
      this.#begin(target.path, target.key, method, upgrade, true)
      this.#visit(this.#root, 0)
      if (target.otherKeys !== undefined) {
        for (const key of target.otherKeys) {
          this.#key = key
          this.#visit(this.#root, 0)
        }
      }
      return this.#found()
    }
    let common: CompiledRule | undefined
    for (const reading of target.readings) {
      this.#begin(reading, reading, method, upgrade, false)
      this.#visit(this.#root, 0)
      const rule = this.#found()
      if (common !== undefined && common !== rule) return undefined
      common = rule
    }
    return common
  }

  #begin(path: string, key: string, method: string, upgrade: boolean, canonical: boolean): void {
    this.#path = path
    this.#key = key
    this.#method = method
    this.#upgrade = upgrade
    this.#strict = canonical
    this.#plain = path === key
    this.#first = undefined
    this.#protective = undefined
  }

  #found(): CompiledRule {
    const first = this.#first
    const protective = this.#protective
    // A protective rule that misses the path by case, encoding or a trailing slash only: some router would not.
    if (first !== undefined && protective !== undefined && isPermissive(first)) return protective
    return first ?? this.#unmatched
  }

  /** `position` is that of the slash before the next segment. A loop: only a parameter next to a segment needs a call. */
  #visit(start: TreeNode, position: number): void {
    const key = this.#key
    const { length } = key
    let node = start
    let at = position
    for (;;) {
      const { below, exact, few, many, parameter } = node
      if (below.length > 0) this.#consider(below, at < length)
      if (at >= length) {
        if (exact.length > 0) this.#consider(exact, true)
        return
      }
      // `/` itself, or a trailing slash.
      if (at === length - 1 && exact.length > 0) this.#consider(exact, at === 0)
      if (few.length === 0 && many === undefined && parameter === undefined) return
      let end = at + 1
      while (end < length && key.charCodeAt(end) !== slash) end++
      const child = childOf(node, key, at + 1, end)
      if (parameter !== undefined && end > at + 1) {
        if (child !== undefined) this.#visit(child, end)
        node = parameter
      } else if (child !== undefined) node = child
      else return
      at = end
    }
  }

  /** `exactly`: the walk has met the pattern as it is written, apart from case and encoding. */
  #consider(entries: readonly RulePattern[], exactly: boolean): void {
    for (const { rule, pattern } of entries) {
      // Entries are in order: once both are found, nothing later can lower either.
      if (this.#first !== undefined && this.#protective !== undefined) {
        if (rule.index > this.#first.index && rule.index > this.#protective.index) return
      }
      if (!appliesTo(rule, this.#method, this.#upgrade)) continue
      const strict =
        this.#strict && exactly && ((this.#plain && pattern.plain) || matchesStrictly(pattern, this.#path))
      if (isPermissive(rule) && !strict) continue
      if (this.#first === undefined || rule.index < this.#first.index) this.#first = rule
      if (!strict && (this.#protective === undefined || rule.index < this.#protective.index))
        this.#protective = rule
    }
  }

  /** Both rules are met: what comes out demands everything that either demands. */
  #merge(a: CompiledRule, b: CompiledRule): CompiledRule {
    const key = `${a.index} ${b.index}`
    const known = this.#merged.get(key)
    if (known !== undefined) return known
    const ranks = { public: 0, optional: 1, deferred: 2, required: 3 } as const
    const [weak, strong] = ranks[a.access] <= ranks[b.access] ? [a, b] : [b, a]
    const merged: CompiledRule =
      weak.access !== strong.access && weak.access !== 'deferred'
        ? strong
        : {
            ...strong,
            label: `${a.label} + ${b.label}`,
            kinds: strong.kinds.filter((kind) => weak.kinds.includes(kind)),
            kindsOfSchemes: strong.kindsOfSchemes === true && weak.kindsOfSchemes === true,
            scopes: [...new Set([...strong.scopes, ...weak.scopes])],
            // Holding one role of either list is not enough for both.
            roles:
              strong.roles.length === 0 || weak.roles.length === 0
                ? [...strong.roles, ...weak.roles]
                : strong.roles.filter((role) => weak.roles.includes(role)),
            rolesImpossible:
              strong.roles.length > 0 &&
              weak.roles.length > 0 &&
              !strong.roles.some((role) => weak.roles.includes(role)),
            schemes:
              strong.schemes === undefined
                ? weak.schemes
                : weak.schemes === undefined
                  ? strong.schemes
                  : strong.schemes.filter((name) => weak.schemes?.includes(name)),
            audience: bothTake(strong.audience, weak.audience),
            http: strong.http && weak.http,
            upgrade: strong.upgrade && weak.upgrade,
            agreesWithEdge: bothAgree(strong.agreesWithEdge, weak.agreesWithEdge),
            resourceMetadata: strong.resourceMetadata ?? weak.resourceMetadata,
            challenge: strong.challenge === 'api' || weak.challenge === 'api' ? 'api' : 'auto',
            allowForeignOrigins: strong.allowForeignOrigins && weak.allowForeignOrigins,
            anyOrigin: strong.anyOrigin && weak.anyOrigin,
            document: strong.document === weak.document ? strong.document : undefined,
          }
    this.#merged.set(key, merged)
    return merged
  }
}

function bothTake(
  one: readonly string[] | undefined,
  other: readonly string[] | undefined,
): readonly string[] | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return one.filter((tag) => other.includes(tag))
}

function bothAgree(
  one: CompiledRule['agreesWithEdge'],
  other: CompiledRule['agreesWithEdge'],
): CompiledRule['agreesWithEdge'] {
  if (one === undefined || other === undefined) return one ?? other
  return (edge, principal) => one(edge, principal) && other(edge, principal)
}

/** Why a rule did or did not match, for `explain`: slow and simple, and independent of the index. */
export function whyNot(
  entry: RulePattern,
  target: Target,
  method: string,
  upgrade: boolean,
): string | undefined {
  const { rule, pattern } = entry
  const effective = method === 'HEAD' ? 'GET' : method
  if (rule.methods !== undefined && !rule.methods.has(effective))
    return `it is for ${[...rule.methods].join(', ')} only`
  if (!appliesTo(rule, effective, upgrade)) {
    return upgrade
      ? 'it is not for upgrades (`upgrade: true` would make it so)'
      : "it is for upgrades only (`upgrade: 'only'`)"
  }
  const readings = target.readings
  if (isPermissive(rule)) {
    if (readings !== undefined)
      return 'the target is not in canonical form, and a permissive rule matches canonical targets only'
    return matchesStrictly(pattern, target.path) ? undefined : 'the path is another'
  }
  const keys = readings ?? [target.key, ...(target.otherKeys ?? [])]
  const matched = keys.filter((key) => matchesLeniently(pattern, key)).length
  if (matched === 0) return 'the path is another'
  if (readings !== undefined && matched < readings.length) return 'only some readings of the target match it'
  return undefined
}
