const space = 32
const semicolon = 59
const equals = 61

/**
 * Reads one cookie from a `Cookie` header without parsing the others (RFC 6265 section 5.4).
 *
 * `undefined` when it is absent, empty, or there twice with different values: somebody who may set cookies for a
 * parent domain put one beside ours, and which came first says nothing about whose is whose. Only the space
 * separates: a name behind other white space is another name, which browsers let anybody set.
 */
export function readCookie(header: string, name: string): string | undefined {
  let value: string | undefined
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
    if (value !== undefined && value !== found) return undefined
    value = found
  }
  return value === '' ? undefined : value
}
