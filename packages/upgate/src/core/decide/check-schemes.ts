import type { Scheme } from '../contract/credential.ts'
import type { Principal, PrincipalKind } from '../contract/principal.ts'
import { nameOf, wrongOption } from '../options/check-options.ts'
import { fn, list, value } from '../options/option-kinds.ts'
import type { RevocationFeed } from '../ports/revocations.ts'

const kindNames: readonly PrincipalKind[] = ['user', 'device', 'service']

/** Checks the option `schemes`: their parts, and that no two of them stand in each other's way. */
export function checkSchemes<P extends Principal>(schemes: readonly Scheme<P>[]): readonly Scheme<P>[] {
  if (!Array.isArray(schemes) || schemes.length === 0) {
    const given = schemes === undefined || Array.isArray(schemes) ? '' : `, not ${nameOf(schemes)}`
    throw new TypeError(
      `createGate: \`schemes\` must hold at least one scheme, for example [apiKey({ keys })]${given}; without one nobody could ever enter.`,
    )
  }
  const names = new Set<string>()
  for (const [index, scheme] of schemes.entries()) {
    if (typeof scheme?.name !== 'string' || scheme.name === '' || typeof scheme.verify !== 'function') {
      throw new TypeError(
        `createGate: \`schemes[${index}]\` is not a scheme but ${nameOf(scheme)}: it needs a \`name\` and a \`verify\` function.`,
      )
    }
    checkScheme(scheme, index)
    if (names.has(scheme.name)) {
      throw new TypeError(
        `createGate: \`schemes\` holds two schemes named ${JSON.stringify(scheme.name)}; give one another \`name\`.`,
      )
    }
    names.add(scheme.name)
  }
  checkEdgeHeaders(schemes)
  return schemes
}

const isName = (value: unknown): boolean => typeof value === 'string' && value !== ''
const feed = value('a feed with the method `subscribe`, as those of the services have', (given) => {
  return typeof (given as RevocationFeed | null)?.subscribe === 'function'
})
/** The parts of a scheme that may be absent. */
const schemeParts = {
  extract: fn(),
  claims: fn(),
  clearCookie: fn(),
  hidesHeaders: fn(),
  headers: list('a list of names', isName, 0),
  audiences: list('a list of names', isName, 0),
  yields: list(
    `a list of kinds: ${kindNames.join(', ')}`,
    (kind) => kindNames.some((known) => known === kind),
    0,
  ),
  principalSchemes: list('a list of names, such as `session`', isName, 0),
  revocations: feed,
  events: feed,
}

/** Of two edge schemes that read one header, the second would never be asked. */
function checkEdgeHeaders(schemes: readonly Pick<Scheme, 'name' | 'edge' | 'headers'>[]): void {
  const readers = new Map<string, string>()
  for (const { name, edge, headers = [] } of schemes) {
    if (edge !== true) continue
    for (const header of headers) {
      const first = readers.get(header)
      if (first !== undefined) {
        throw new TypeError(
          `createGate: \`schemes\` has two edge schemes that read the header ${header}, ${JSON.stringify(first)} and ${JSON.stringify(name)}; the second would never count. Give one scheme the AUD tags of all applications, cloudflareAccess({ team, audience: [...] }), and name those of a path with \`audience\` in its rule; for another team, create another gate. Of \`trustedHeader\`, one scheme takes the \`peers\` of all proxies.`,
        )
      }
      readers.set(header, name)
    }
  }
}

/** Checks a scheme of the application: a missing part would fail at the first request, or never count. */
function checkScheme<P extends Principal>(scheme: Scheme<P>, index: number): void {
  const where = `createGate: \`schemes[${index}]\` (${scheme.name})`
  if (typeof scheme.ambient !== 'boolean') {
    const expected = 'true or false: true if browsers send the credential by themselves, as they do cookies'
    throw wrongOption(where, 'ambient', expected, scheme.ambient)
  }
  for (const [part, kind] of Object.entries(schemeParts)) {
    const value: unknown = scheme[part as keyof typeof schemeParts]
    if (value !== undefined) kind.read(where, part, value)
  }
}
