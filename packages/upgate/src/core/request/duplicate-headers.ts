/** A name to look for, in lower case; each has a bit of its own. */
interface Watched {
  readonly name: string
  /** As most clients spell it: `X-Api-Key`. */
  readonly usual: string
  readonly bit: number
  /** Another name of the same length. */
  readonly next: Watched | undefined
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
  const byLength: (Watched | undefined)[] = new Array(longest + 1).fill(undefined)
  // By length, a bit for the first letter of each name: most headers differ from all names in one of the two.
  const firstLetters = new Int32Array(longest + 1)
  unique.forEach((name, i) => {
    const { length } = name
    const usual = name.replace(/(?<![^-])[a-z]/g, (letter) => letter.toUpperCase())
    byLength[length] = { name, usual, bit: 1 << i, next: byLength[length] }
    firstLetters[length] = (firstLetters[length] as number) | (1 << (name.charCodeAt(0) | 0x20))
  })
  return (rawHeaders) => {
    let seen = 0
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i] as string
      const { length } = raw
      // Reading beyond the end of an array is slow.
      if (length > longest) continue
      const letters = firstLetters[length] as number
      // Before the letter is read: no name has most of the lengths.
      if (letters === 0 || (letters & (1 << (raw.charCodeAt(0) | 0x20))) === 0) continue
      for (let watched = byLength[length]; watched !== undefined; watched = watched.next) {
        const { name, bit } = watched
        if (raw !== watched.usual && raw !== name && raw.toLowerCase() !== name) continue
        if ((seen & bit) !== 0) return name
        seen |= bit
        break
      }
    }
    return undefined
  }
}
