/** A name to look for, in lower case; each has a bit of its own. */
interface Watched {
  readonly name: string
  readonly first: number
  readonly bit: number
}

/**
 * Finds headers that may occur once and came more than once.
 *
 * Node keeps the first of some (`Authorization`, `Host`) and joins others with a comma, so two readers of one
 * request may see two different credentials; the raw list shows all.
 *
 * @param names at most 31, in lower case
 */
export function createDuplicateFinder(
  names: readonly string[],
): (rawHeaders: readonly string[]) => string | undefined {
  const unique = [...new Set(names)]
  if (unique.length > 31)
    throw new TypeError('createGate: the schemes name more than 31 headers of their own.')
  const longest = Math.max(0, ...unique.map((name) => name.length))
  const byLength: (readonly Watched[] | undefined)[] = new Array(longest + 1).fill(undefined)
  unique.forEach((name, i) => {
    const watched = { name, first: name.charCodeAt(0) | 0x20, bit: 1 << i }
    byLength[name.length] = [...(byLength[name.length] ?? []), watched]
  })
  return (rawHeaders) => {
    let seen = 0
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i] as string
      // Reading beyond the end of an array is slow.
      const candidates = raw.length <= longest ? byLength[raw.length] : undefined
      if (candidates === undefined) continue
      // Most headers differ from all that are looked for in length or first letter: nothing is made of them.
      const first = raw.charCodeAt(0) | 0x20
      for (const { name, first: wanted, bit } of candidates) {
        if (first !== wanted || (raw !== name && raw.toLowerCase() !== name)) continue
        if ((seen & bit) !== 0) return name
        seen |= bit
      }
    }
    return undefined
  }
}
