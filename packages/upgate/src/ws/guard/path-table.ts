import { analyseTarget, decodeOneReading, pathOf } from '../../core/request/target.ts'
import { matchesStrictly, overlap, type Pattern, parsePattern } from '../../core/rules/pattern.ts'

/** What belongs to which upgrade path. */
export interface PathTable<T> {
  /** The entry for a request-target; a target that is not in canonical form has none. */
  of(target: string): T | undefined
  /** The entry whose paths a pattern shares, in part or all of them. */
  overlapping(pattern: Pattern): Pattern | undefined
  readonly patterns: readonly Pattern[]
}

/**
 * Compiles entries by path; the paths are patterns as in rules.
 *
 * @param where - for messages: the function and its option
 * @param taken - tables that already have paths
 * @throws TypeError for a pattern that is none, and for a path that has two entries
 */
export function createPathTable<T>(
  entries: Readonly<Record<string, T>>,
  where: string,
  option: string,
  taken: readonly { readonly option: string; readonly table: PathTable<unknown> }[] = [],
): PathTable<T> {
  const exact = new Map<string, T>()
  const patterned: { readonly pattern: Pattern; readonly entry: T }[] = []
  const patterns: Pattern[] = []
  const overlapping = (pattern: Pattern): Pattern | undefined =>
    patterns.find((known) => overlap(known, pattern))
  for (const [path, entry] of Object.entries(entries)) {
    const pattern = parsePattern(path, `${where}: \`${option}\``)
    const others = [{ option, table: { overlapping } }, ...taken]
    for (const other of others) {
      const owner = other.table.overlapping(pattern)
      if (owner === undefined) continue
      throw new TypeError(
        `${where}: \`${option}['${path}']\`: some paths are owned by \`${other.option}['${owner.source}']\` already; every path has one owner.`,
      )
    }
    patterns.push(pattern)
    if (pattern.text !== undefined && !pattern.prefix) exact.set(pattern.text, entry)
    else patterned.push({ pattern, entry })
  }
  return {
    of(target) {
      const path = decodeOneReading(pathOf(target))
      const entry = exact.get(path)
      if (entry !== undefined || patterned.length === 0) return entry
      const analysed = analyseTarget(target)
      if (analysed === 'ambiguous' || 'malformed' in analysed || analysed.readings !== undefined)
        return undefined
      return patterned.find(({ pattern }) => matchesStrictly(pattern, path))?.entry
    },
    overlapping,
    patterns,
  }
}
