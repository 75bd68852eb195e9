/**
 * Finds headers that may occur once and came more than once.
 *
 * Node keeps the first of some (`Authorization`, `Host`) and joins others with a comma, so two readers of one
 * request may see two different credentials; the raw list shows all.
 */
export function createDuplicateFinder(
  names: Iterable<string>,
): (rawHeaders: readonly string[]) => string | undefined {
  const byLength: (readonly string[] | undefined)[] = []
  for (const name of new Set(names)) byLength[name.length] = [...(byLength[name.length] ?? []), name]
  return (rawHeaders) => {
    let seen: string[] | undefined
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i] as string
      const candidates = byLength[raw.length]
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
