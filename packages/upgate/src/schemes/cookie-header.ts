import { text } from '../core/options/option-kinds.ts'
import type { OptionKind } from '../core/options/option-table.ts'

/** An option that names a cookie, without the prefix that a secure one gets. */
export const cookieNameOption: OptionKind<string, 'required'> = text(
  '1 to 64 letters, digits, `_` or `-`, without a `__Host-` prefix',
  /^(?!__(?:host|secure|http))[a-z0-9_-]{1,64}$/i,
)

const space = 32
const semicolon = 59
const equals = 61

/** Largest number of different values of one name that are checked: the last ones. */
const maxCandidates = 4

/**
 * Reads one cookie from a `Cookie` header without parsing the others (RFC 6265 section 5.4).
 *
 * Only the space separates: a name after other white space is another name, which browsers let any site set.
 *
 * @returns its value, the different values if there are several, or `undefined` if it is absent or empty. A
 * site that may set cookies for a parent domain, or for a longer path, can add cookies of the same name;
 * their order does not tell which cookie is ours. Of many, the last four are returned: browsers send cookies
 * for longer paths first, so that only cookies for `Path=/`, one per parent domain, can come after ours.
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
