import { text } from '../core/options/option-kinds.ts'
import type { OptionKind } from '../core/options/option-table.ts'

/** An option that names a cookie, without the prefix that a secure one gets. */
export const cookieNameOption: OptionKind<string, 'required'> = text(
  '1 to 64 letters, digits, `_` or `-`, without a `__Host-` prefix',
  /^(?!__(?:host|secure|http))[a-z0-9_-]{1,64}$/i,
)

const semicolon = 0x3b
const equals = 0x3d
const space = 0x20

/** Largest number of different values of one name that are checked: the last ones. */
const maxCandidates = 4

/**
 * Finds the next cookie of a name in a `Cookie` header without parsing the others (RFC 6265 section 5.4).
 *
 * Only the space separates, as browsers write it: a name after other white space is another name, which some browsers let
 * any site set.
 *
 * @param from - where to begin in the header
 * @returns the index at which its value begins, or -1
 */
export function nextCookie(header: string, name: string, from: number): number {
  for (let at = header.indexOf(name, from); at !== -1; at = header.indexOf(name, at + 1)) {
    const end = at + name.length
    if (header.charCodeAt(end) !== equals) continue
    let before = at - 1
    while (before >= 0 && header.charCodeAt(before) === space) before--
    if (before < 0 || header.charCodeAt(before) === semicolon) return end + 1
  }
  return -1
}

/** The value that begins at an index of {@link nextCookie}, without the blanks after it. */
export function cookieAt(header: string, start: number): string {
  let end = header.indexOf(';', start)
  if (end === -1) end = header.length
  while (end > start && header.charCodeAt(end - 1) === space) end--
  return header.slice(start, end)
}

/**
 * Reads one cookie from a `Cookie` header.
 *
 * @returns its value, the different values if there are several, or `undefined` if it is absent or empty. A
 * site that may set cookies for a parent domain, or for a longer path, can add cookies of the same name;
 * their order does not tell which cookie is ours. Of many, the last four are returned: browsers send cookies
 * for longer paths first, so that only cookies for `Path=/`, one per parent domain, can come after ours.
 */
export function readCookie(header: string, name: string): string | readonly string[] | undefined {
  let value: string | undefined
  let several: string[] | undefined
  for (let start = nextCookie(header, name, 0); start !== -1; start = nextCookie(header, name, start)) {
    const found = cookieAt(header, start)
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
