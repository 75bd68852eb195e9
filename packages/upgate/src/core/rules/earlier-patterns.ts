import { isPermissive } from './matcher.ts'
import { covers, type Pattern, type RulePattern, type Segments } from './pattern.ts'
import { PatternTree } from './pattern-tree.ts'
import type { Reach, Reaches } from './reach.ts'

/** The patterns before one, found without comparing it with all of them. */
export class EarlierPatterns {
  /** All of them, once the last one was added. */
  readonly tree: PatternTree = new PatternTree()
  readonly #reaches: Reaches
  /** What the rules of a place take together, where there are several. */
  readonly #together = new Map<readonly RulePattern[], Reach>()

  constructor(reaches: Reaches) {
    this.#reaches = reaches
  }

  add(entry: RulePattern): void {
    const { fold, otherFolds } = entry.pattern
    this.#add(fold, entry)
    for (let at = 0; at < otherFolds.length; at++) this.#add(otherFolds[at] as Segments, entry)
  }

  #add(segments: Segments, entry: RulePattern): void {
    const entries = this.tree.insert(segments, entry)
    if (entries.length === 1) return
    this.#together.set(entries, this.#takenBy(entries) | this.#reaches.taken(entry.rule))
  }

  #takenBy(entries: readonly RulePattern[]): Reach {
    // Most places have one pattern.
    return this.#together.get(entries) ?? this.#reaches.taken((entries[0] as RulePattern).rule)
  }

  /**
   * The patterns that match every path that this one matches, in the order of their rules.
   *
   * @param reach - places at which no rule takes anything of it are left out
   */
  around(pattern: Pattern, reach: Reach): readonly RulePattern[] {
    const places = this.tree.around(pattern)
    // Most patterns: none before them has anything to do with them.
    if (places.length === 0) return none
    const found: RulePattern[] = []
    for (const entries of places) {
      // Where thousands of rules share a path, each for methods of its own, none of them is looked at.
      if ((this.#takenBy(entries) & reach) === 0n) continue
      for (const entry of entries) {
        if (covers(entry.pattern, pattern, !isPermissive(entry.rule))) found.push(entry)
      }
    }
    return found.sort((a, b) => a.rule.index - b.rule.index)
  }

  /** Whether some pattern goes on with a parameter where this one ends. */
  continues(pattern: Pattern): boolean {
    return this.tree.continues(pattern)
  }
}

const none: readonly RulePattern[] = []
