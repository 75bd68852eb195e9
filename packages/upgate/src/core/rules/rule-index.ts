import type { RulePattern } from './matcher.ts'
import type { Pattern } from './pattern.ts'

interface Node {
  readonly literals: Map<string, Node>
  parameter: Node | undefined
  readonly exact: RulePattern[]
  readonly below: RulePattern[]
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

  add(entry: RulePattern): void {
    let node = this.#root
    for (const key of this.#keysOf(entry.pattern)) {
      if (key === undefined) node = node.parameter ??= createNode()
      else {
        let child = node.literals.get(key)
        if (child === undefined) {
          child = createNode()
          node.literals.set(key, child)
        }
        node = child
      }
    }
    ;(entry.pattern.prefix ? node.below : node.exact).push(entry)
  }

  /** Patterns that may match every path that this one matches. */
  around(pattern: Pattern): RulePattern[] {
    const found: RulePattern[] = []
    collect(this.#root, this.#keysOf(pattern), 0, pattern.prefix, found)
    return found
  }

  /** Whether some pattern of this index goes on with a parameter where this one ends. */
  continues(pattern: Pattern): boolean {
    return goesOn(this.#root, this.#keysOf(pattern), 0)
  }

  /** Patterns of which some path may be one of this pattern's, too. */
  across(pattern: Pattern): RulePattern[] {
    const { prefix } = pattern
    const keys = this.#keysOf(pattern)
    const found: RulePattern[] = []
    const everything = (node: Node): void => {
      found.push(...node.exact, ...node.below)
      for (const child of childrenOf(node)) everything(child)
    }
    const visit = (node: Node, depth: number): void => {
      if (depth === keys.length) {
        if (!prefix) found.push(...node.exact)
        else {
          found.push(...node.below)
          for (const child of childrenOf(node)) everything(child)
        }
        return
      }
      found.push(...node.below)
      const key = keys[depth]
      if (key === undefined) {
        for (const child of childrenOf(node)) visit(child, depth + 1)
        return
      }
      const child = node.literals.get(key)
      if (child !== undefined) visit(child, depth + 1)
      if (node.parameter !== undefined) visit(node.parameter, depth + 1)
    }
    visit(this.#root, 0)
    return found
  }

  #keysOf({ segments }: Pattern): Keys {
    if (this.#known !== segments) {
      this.#known = segments
      this.#keys = segments.map((segment) => (segment === undefined ? undefined : keyOf(segment)))
    }
    return this.#keys
  }
}

type Keys = readonly (string | undefined)[]

function collect(node: Node, keys: Keys, depth: number, prefix: boolean, found: RulePattern[]): void {
  // At the same depth a prefix covers an exact path only if it is read leniently: `covers` knows.
  for (const entry of node.below) found.push(entry)
  if (depth === keys.length) {
    if (!prefix) for (const entry of node.exact) found.push(entry)
    return
  }
  const key = keys[depth]
  const child = key === undefined ? undefined : node.literals.get(key)
  if (child !== undefined) collect(child, keys, depth + 1, prefix, found)
  if (node.parameter !== undefined) collect(node.parameter, keys, depth + 1, prefix, found)
}

function goesOn(node: Node, keys: Keys, depth: number): boolean {
  if (depth === keys.length) return node.parameter !== undefined
  const key = keys[depth]
  const child = key === undefined ? undefined : node.literals.get(key)
  if (child !== undefined && goesOn(child, keys, depth + 1)) return true
  return node.parameter !== undefined && goesOn(node.parameter, keys, depth + 1)
}

function createNode(): Node {
  return { literals: new Map(), parameter: undefined, exact: [], below: [] }
}

function* childrenOf(node: Node): Iterable<Node> {
  yield* node.literals.values()
  if (node.parameter !== undefined) yield node.parameter
}

const plain = /^[a-z0-9._~-]*$/

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
