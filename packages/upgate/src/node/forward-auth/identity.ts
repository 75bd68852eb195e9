import type { HeaderList } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { assertKnownOptions, wrongOption } from '../../core/options/check-options.ts'
import type { IdentityHeaderNames } from './options.ts'

const defaults = {
  user: 'Remote-User',
  device: 'Remote-Device',
  service: 'Remote-Service',
  name: 'Remote-Name',
  scopes: 'Remote-Scopes',
  roles: 'Remote-Roles',
} as const
const facts = Object.keys(defaults) as (keyof typeof defaults)[]

/** Headers with a meaning of their own, which a principal must not write. */
const taken =
  /^(?:set-cookie|location|connection|upgrade|host|authorization|cookie|origin|date|vary|cache-control|www-authenticate|retry-after|te|trailer|keep-alive|upgate-.*|transfer-encoding|content-.*|access-control-.*|x-forwarded-.*|x-original-.*|proxy-.*|sec-.*)$/i

/**
 * Compiles the names of the identity headers.
 *
 * The returned function answers a line for each name, empty where the principal has no such fact: a proxy that copies
 * it replaces what a client sent under that name.
 *
 * @throws TypeError for a name that is no header's, is taken, or comes twice
 */
export function createIdentityWriter(
  where: string,
  given: IdentityHeaderNames = {},
): (principal: Principal | undefined) => HeaderList {
  if (given !== undefined) assertKnownOptions(`${where}: \`headers\``, given, facts)
  const used = new Set<string>()
  const names = facts.flatMap((fact) => {
    const name: unknown = given[fact] ?? defaults[fact]
    if (name === false) return []
    if (typeof name !== 'string' || !/^[a-z][a-z\d-]{0,63}$/i.test(name) || taken.test(name)) {
      throw wrongOption(
        where,
        `headers.${fact}`,
        `the name of a header of its own in letters, digits and hyphens, such as ${defaults[fact]}, or false`,
        name,
      )
    }
    if (used.has(name.toLowerCase())) {
      throw new TypeError(`${where}: \`headers\` has the name ${name} twice. Give each fact its own name.`)
    }
    used.add(name.toLowerCase())
    return [[fact, name] as const]
  })
  return (principal) => names.map(([fact, name]) => [name, textOf(fact, principal)])
}

function textOf(fact: keyof typeof defaults, principal: Principal | undefined): string {
  if (principal === undefined) return ''
  if (fact === 'name') return encoded(principal.displayName ?? '', notPlain)
  if (fact === 'scopes' || fact === 'roles') {
    return principal[fact].map((entry) => encoded(entry, notInList)).join(',')
  }
  // By kind: a device must not pass for the user of the same id.
  return principal.kind === fact ? encoded(principal.id, notPlain) : ''
}

/** All that could end a header, or be read in two ways. `%` is among them, so that no two texts become the same. */
const notPlain = /[^\x20-\x24\x26-\x7e]+|^ +| +$/g
const notInList = /[^\x21-\x24\x26-\x2b\x2d-\x7e]+/g

/** Percent-encodes the UTF-8 octets of what does not belong into a header. */
function encoded(text: string, outside: RegExp): string {
  return text.replace(outside, (part) => {
    const octets = [...Buffer.from(part, 'utf8')]
    return octets.map((octet) => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  })
}
