import type { Pattern, RulePattern } from './pattern.ts'
import type { Reach } from './reach.ts'

/** Most nodes are leaves with one pattern: what they do not hold is not made. */
interface Node {
  literals: Map<string, Node> | undefined
  parameter: Node | undefined
  exact: Entries | undefined
  below: Entries | undefined
}

/** Patterns that end at one place, and what their rules take together. */
interface Entries {
  readonly list: RulePattern[]
  taken: Reach
}

/**
 * Finds the patterns that may cover a pattern, or that share paths with it, without comparing it with all of them.
 *
 * It answers with candidates: the literal segments are compared by a key that is at least as loose as any
 * comparison of patterns, so that `covers` has the last word.
 */
export class RuleIndex {
  readonly #root: Node = createNode()
  // One pattern is asked about several times in a row.
  #known: Keys | undefined
  #keys: Keys = []

  /** @param taken - the requests that the rule takes from the rules behind it */
  add(entry: RulePattern, taken: Reach): void {
    let node = this.#root
    for (const key of this.#keysOf(entry.pattern)) {
      if (key === undefined) node = node.parameter ??= createNode()
      else {
        node.literals ??= new Map()
        let child = node.literals.get(key)
        if (child === undefined) {
          child = createNode()
          node.literals.set(key, child)
        }
        node = child
      }
    }
    const side = entry.pattern.prefix ? 'below' : 'exact'
    const known = node[side]
    if (known === undefined) node[side] = { list: [entry], taken }
    else {
      known.list.push(entry)
      known.taken |= taken
    }
  }

  /**
   * Patterns of which some path may be one of this pattern's, too: those that count, up to a number, apart from those that
   * take nothing of `reach`.
   */
  across(
    pattern: Pattern,
    reach: Reach,
    counts: (entry: RulePattern) => boolean,
    most: number,
  ): RulePattern[] {
    const { prefix } = pattern
    const keys = this.#keysOf(pattern)
    const found: RulePattern[] = []
    const look = (entries: Entries | undefined): void => {
      if (entries === undefined || (entries.taken & reach) === 0n) return
      for (const entry of entries.list) if (found.length < most && counts(entry)) found.push(entry)
    }
    const everything = (node: Node): void => {
      look(node.exact)
      look(node.below)
      for (const child of childrenOf(node)) if (found.length < most) everything(child)
    }
    const visit = (node: Node, depth: number): void => {
      if (depth === keys.length) {
        if (!prefix) look(node.exact)
        else {
          look(node.below)
          for (const child of childrenOf(node)) if (found.length < most) everything(child)
        }
        return
      }
      look(node.below)
      const key = keys[depth]
      if (key === undefined) {
        for (const child of childrenOf(node)) if (found.length < most) visit(child, depth + 1)
        return
      }
      const child = node.literals?.get(key)
      if (child !== undefined) visit(child, depth + 1)
      if (node.parameter !== undefined) visit(node.parameter, depth + 1)
    }
    visit(this.#root, 0)
    return found
  }

  #keysOf({ segments }: Pattern): Keys {
    if (this.#known !== segments) {
      this.#known = segments
      // Most patterns are their own keys.
      this.#keys = segments.every(isPlainSegment) ? segments : segments.map(keyOfSegment)
    }
    return this.#keys
  }
}

type Keys = readonly (string | undefined)[]

function createNode(): Node {
  return { literals: undefined, parameter: undefined, exact: undefined, below: undefined }
}

function* childrenOf(node: Node): Iterable<Node> {
  if (node.literals !== undefined) yield* node.literals.values()
  if (node.parameter !== undefined) yield node.parameter
}

const plain = /^[a-z0-9._~-]*$/

function isPlainSegment(segment: string | undefined): boolean {
  return segment === undefined || plain.test(segment)
}

function keyOfSegment(segment: string | undefined): string | undefined {
  return segment === undefined ? undefined : keyOf(segment)
}

/** A key under which all spellings meet that any router might take for one another. */
function keyOf(segment: string): string {
  if (plain.test(segment)) return segment
  let decoded = segment
  try {
    decoded = decodeURIComponent(segment)
  } catch {
    // Not UTF-8, or a bare `%`: compared as it stands.
  }
  // As in `foldsOf`, and coarser. Lower-casing comes first: U+1E9E has an upper case of its own.
  const folded = decoded.normalize('NFKD').toLowerCase().toUpperCase().toLowerCase()
  return folded.normalize('NFKD').replace(/\p{M}/gu, '')
}
