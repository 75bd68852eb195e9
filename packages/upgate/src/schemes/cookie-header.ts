const space = 32
const semicolon = 59
const equals = 61

/** Different values of one name that are looked at: the last ones. */
const maxCandidates = 4

/**
 * Reads one cookie from a `Cookie` header without parsing the others (RFC 6265 section 5.4).
 *
 * Only the space separates: a name behind other white space is another name, which browsers let any site set.
 *
 * @returns its value, the different ones where there are several, or `undefined` when it is absent or empty. Somebody
 * who may set cookies for a parent domain, or for a longer path, put others beside ours; which came first says nothing
 * about whose is whose. Of very many the last four are given: browsers send those for longer paths first, so that only
 * cookies for `Path=/`, of which there is one for each parent domain, can come behind ours.
 */
export function readCookie(header: string, name: string): string | readonly string[] | undefined {
  let value: string | undefined
  let several: string[] | undefined
  for (let at = header.indexOf(name); at !== -1; at = header.indexOf(name, at + 1)) {
    const start = at + name.length + 1
    if (header.charCodeAt(start - 1) !== equals) continue
    let before = at - 1
    while (before >= 0 && header.charCodeAt(before) === space) before--
    if (before >= 0 && header.charCodeAt(before) !== semicolon) continue
    let end = header.indexOf(';', at)
    if (end === -1) end = header.length
    while (header.charCodeAt(end - 1) === space) end--
    const found = header.slice(start, end)
    if (found === '' || (found === value && several === undefined)) continue
    if (value === undefined) {
      value = found
      continue
    }
    several ??= [value]
    const known = several.indexOf(found)
    if (known !== -1) several.splice(known, 1)
    several.push(found)
    if (several.length > maxCandidates) several.shift()
  }
  return several ?? value
}
