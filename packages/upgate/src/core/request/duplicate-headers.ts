/** A name to look for, in lower case; each has a bit of its own. */
interface Watched {
  readonly name: string
  /** As most clients spell it: `X-Api-Key`. */
  readonly usual: string
  /** Its first letter. */
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
    const usual = name.replace(/(?<![^-])[a-z]/g, (letter) => letter.toUpperCase())
    const watched = { name, usual, first: name.charCodeAt(0) | 0x20, bit: 1 << i }
    byLength[name.length] = [...(byLength[name.length] ?? []), watched]
  })
  // By length, a bit for the first letter of each name: most headers differ from all names in one of the two.
  const firstLetters = new Int32Array(longest + 1)
  for (const { name, first } of byLength.flatMap((watched) => watched ?? [])) {
    firstLetters[name.length] = (firstLetters[name.length] as number) | (1 << first)
  }
  return (rawHeaders) => {
    let seen = 0
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i] as string
      // Reading beyond the end of an array is slow.
      if (raw.length > longest) continue
      const first = raw.charCodeAt(0) | 0x20
      if (((firstLetters[raw.length] as number) & (1 << first)) === 0) continue
      for (const { name, usual, bit } of byLength[raw.length] ?? []) {
        if (raw !== usual && raw !== name && raw.toLowerCase() !== name) continue
        if ((seen & bit) !== 0) return name
        seen |= bit
      }
    }
    return undefined
  }
}
