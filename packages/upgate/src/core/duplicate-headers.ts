/**
 * Finds headers that may occur once and came more than once.
 *
 * Node keeps the first of some (`Authorization`, `Host`) and joins others with a comma, so two readers of one
 * request may see two different credentials; the raw list shows all.
 */
export function createDuplicateFinder(
  names: readonly string[],
): (rawHeaders: readonly string[]) => string | undefined {
  const longest = Math.max(0, ...names.map((name) => name.length))
  const byLength: (readonly string[] | undefined)[] = new Array(longest + 1).fill(undefined)
  for (const name of new Set(names)) byLength[name.length] = [...(byLength[name.length] ?? []), name]
  return (rawHeaders) => {
    let seen: string[] | undefined
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i] as string
      // Reading beyond the end of an array is slow.
      const candidates = raw.length <= longest ? byLength[raw.length] : undefined
      if (candidates === undefined) continue
      const lower = raw.toLowerCase()
      if (!candidates.includes(lower)) continue
      if (seen === undefined) seen = [lower]
      else if (seen.includes(lower)) return lower
      else seen.push(lower)
    }
    return undefined
  }
}
