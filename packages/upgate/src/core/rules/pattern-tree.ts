import { foldsOf, type Pattern, type RulePattern, type Segments } from './pattern.ts'

/** Most nodes are leaves with one pattern: what they do not hold is not made. */
export interface TreeNode {
  /** The segment that leads here, and its first letter. */
  readonly segment: string
  readonly first: number
  /** The children by segment, where they are few. */
  few: readonly TreeNode[]
  /** The children by segment, where they are many: then `few` is empty. */
  many: Map<string, TreeNode> | undefined
  parameter: TreeNode | undefined
  /** Patterns that end here, and those that match all that is below, in the order of the rules. */
  exact: readonly RulePattern[]
  below: readonly RulePattern[]
}

/** The patterns that end at a node, in the same way. */
type Place = readonly RulePattern[]

const none: Place = []
const nowhere: readonly Place[] = []
const childless: readonly TreeNode[] = []
/**
 * Most children that are compared one by one: that takes neither a text for the segment of a path nor a hash of it. Lengths
 * and first letters tell most of them apart.
 */
const mostCompared = 8

/** Patterns by their folded segments: requests are matched in it, and the order of the rules is checked. */
export class PatternTree {
  readonly root: TreeNode = createNode()

  static of(patterns: readonly RulePattern[]): PatternTree {
    const tree = new PatternTree()
    for (const entry of patterns) for (const segments of foldsOf(entry.pattern)) tree.insert(segments, entry)
    return tree
  }

  /** Adds a pattern under one of its folds; returns those that end there like it, itself the last. */
  insert(segments: Segments, entry: RulePattern): readonly RulePattern[] {
    let node = this.root
    const steps = stepsOf(segments)
    for (let at = 0; at < steps.length; at++) {
      const segment = steps[at]
      if (segment === undefined) node = node.parameter ??= createNode()
      else node = childFor(node, segment)
    }
    const side = entry.pattern.prefix ? 'below' : 'exact'
    const list = node[side] as RulePattern[]
    if (list.length > 0) {
      list.push(entry)
      return list
    }
    node[side] = [entry]
    return node[side]
  }

  /**
   * The patterns of each place at which one may match every path that this one matches.
   *
   * The same place may come twice, where a pattern has several folds.
   */
  around({ fold, otherFolds, prefix }: Pattern): readonly Place[] {
    let found = collect(this.root, stepsOf(fold), 0, prefix, nowhere)
    for (let at = 0; at < otherFolds.length; at++)
      found = collect(this.root, stepsOf(otherFolds[at] as Segments), 0, prefix, found)
    return found
  }

  /** Whether some pattern goes on with a parameter where this one ends. */
  continues(pattern: Pattern): boolean {
    return foldsOf(pattern).some((segments) => goesOn(this.root, stepsOf(segments), 0))
  }
}

function createNode(segment = ''): TreeNode {
  const first = segment === '' ? 0 : segment.charCodeAt(0)
  return { segment, first, few: childless, many: undefined, parameter: undefined, exact: none, below: none }
}

/** The child for the segment between two indices of a path. */
export function childOf(
  { few, many }: TreeNode,
  path: string,
  from: number,
  end: number,
): TreeNode | undefined {
  if (many !== undefined) return many.get(path.slice(from, end))
  if (few.length === 0) return undefined
  const length = end - from
  const first = length === 0 ? 0 : path.charCodeAt(from)
  for (const child of few) {
    const { segment } = child
    if (child.first === first && segment.length === length && path.startsWith(segment, from)) return child
  }
  return undefined
}

/** The child for a segment, made where there is none. */
function childFor(node: TreeNode, segment: string): TreeNode {
  const present = childOf(node, segment, 0, segment.length)
  if (present !== undefined) return present
  const child = createNode(segment)
  if (node.many !== undefined) node.many.set(segment, child)
  else if (node.few.length < mostCompared) node.few = [...node.few, child]
  else {
    node.many = new Map([...node.few, child].map((one) => [one.segment, one]))
    node.few = childless
  }
  return child
}

/** The path `/` has no segment, and is written as one that is empty. */
function stepsOf(segments: Segments): Segments {
  return segments.length === 1 && segments[0] === '' ? [] : segments
}

function collect(
  node: TreeNode,
  steps: Segments,
  depth: number,
  prefix: boolean,
  before: readonly Place[],
): readonly Place[] {
  // At the same depth a prefix covers an exact path only if it is read leniently: `covers` knows.
  let found = add(node.below, before)
  if (depth === steps.length) return prefix ? found : add(node.exact, found)
  const step = steps[depth]
  const child = step === undefined ? undefined : childOf(node, step, 0, step.length)
  if (child !== undefined) found = collect(child, steps, depth + 1, prefix, found)
  return node.parameter === undefined ? found : collect(node.parameter, steps, depth + 1, prefix, found)
}

/** A list is made for the first place only: most patterns have none. */
function add(place: Place, found: readonly Place[]): readonly Place[] {
  if (place.length === 0) return found
  if (found === nowhere) return [place]
  ;(found as Place[]).push(place)
  return found
}

function goesOn(node: TreeNode, steps: Segments, depth: number): boolean {
  if (depth === steps.length) return node.parameter !== undefined
  const step = steps[depth]
  const child = step === undefined ? undefined : childOf(node, step, 0, step.length)
  if (child !== undefined && goesOn(child, steps, depth + 1)) return true
  return node.parameter !== undefined && goesOn(node.parameter, steps, depth + 1)
}
