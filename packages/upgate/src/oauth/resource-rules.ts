import type { PrincipalKind } from '../core/contract/principal.ts'
import type { RuleOptions } from '../core/contract/rules.ts'
import { assertKnownOptions, isPlain, nameOf, wrongOption } from '../core/options/check-options.ts'
import { text, unchecked } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'

/** One protected resource: a path, and what its rule demands and its metadata says. */
export interface OAuthResource {
  /** A path, or everything below one: `/mcp`, `/mcp/*`. It ends the resource's identifier, so it has no parameters. */
  readonly path: string
  /**
   * Scopes that every request needs. The 401 names them, and so does the metadata if `scopesSupported` is left out.
   * Default: none.
   */
  readonly scopes?: readonly string[]
  /** Scopes that clients may ask for, as the metadata lists them. Default: `scopes`. */
  readonly scopesSupported?: readonly string[]
  /** Kinds of principal that may enter. Default: `['user', 'service']`. */
  readonly kinds?: readonly PrincipalKind[]
  /** Names of the schemes that count here. Default: all. */
  readonly schemes?: readonly string[]
  /** Further members of the metadata (RFC 9728 section 2), such as `resource_name`. Default: none. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

interface Surroundings {
  readonly origin: string
  readonly authorizationServers: readonly string[] | undefined
  readonly serveMetadata: boolean
  readonly anyOrigin: boolean
}

// The rules check what becomes of them.
const resourceTable = optionTable<OAuthResource>()({
  path: text(),
  scopes: unchecked(),
  scopesSupported: unchecked(),
  kinds: unchecked(),
  schemes: unchecked(),
  metadata: unchecked(),
})

/** Where the metadata of resources is (RFC 9728 section 3). */
export const wellKnownResource = '/.well-known/oauth-protected-resource'
/** The members that the options decide: two sources for one could contradict each other. */
const ownMembers = ['resource', 'authorization_servers', 'scopes_supported', 'bearer_methods_supported']

/** The rules for protected resources, and those for their metadata. */
export function resourceRules(
  resources: readonly unknown[],
  { origin, authorizationServers: issuers, serveMetadata, anyOrigin }: Surroundings,
): { readonly documents: readonly RuleOptions[]; readonly resources: readonly RuleOptions[] } {
  if (issuers !== undefined && !(isList(issuers) && issuers.length > 0 && issuers.every(isIssuer))) {
    throw new TypeError(
      "oauthRules: `authorizationServers` must list issuers, such as ['https://login.example.com'], as RFC 8414 has them: URLs without a query or fragment.",
    )
  }
  const authorizationServers = issuers ?? [origin]
  const rules: RuleOptions[] = []
  const documents = new Map<string, RuleOptions>()
  for (const [index, given] of resources.entries()) {
    const { path, scopes, scopesSupported = scopes, schemes, metadata, ...rest } = checked(given, index)
    const { kinds = schemes === undefined ? (['user', 'service'] as const) : undefined } = rest
    // The root has no path to append (RFC 9728 section 3.1).
    const suffix = path.replace(/\/\*?$/, '')
    const place = `${wellKnownResource}${suffix}`
    rules.push({
      path,
      access: 'required',
      resourceMetadata: `${origin}${place}`,
      ...(kinds !== undefined && { kinds }),
      ...(scopes !== undefined && { scopes }),
      ...(schemes !== undefined && { schemes }),
      ...(anyOrigin && { anyOrigin }),
    })
    if (!serveMetadata) continue
    const document: RuleOptions = {
      path: place,
      methods: ['GET', 'OPTIONS'],
      access: 'public',
      // Public and the same for all: a page of any origin may read it, too.
      anyOrigin: true,
      document: {
        resource: `${origin}${suffix}`,
        authorization_servers: authorizationServers,
        ...(scopesSupported !== undefined && { scopes_supported: scopesSupported }),
        bearer_methods_supported: ['header'],
        ...metadata,
      },
    }
    const other = documents.get(place)
    if (other !== undefined && JSON.stringify(other) !== JSON.stringify(document)) {
      throw new TypeError(
        `oauthRules: \`resources[${index}]\` is the same resource as an earlier one, ${origin}${suffix}, and describes it differently; give both the same \`scopesSupported\` and \`metadata\`.`,
      )
    }
    documents.set(place, document)
  }
  return { documents: [...documents.values()], resources: rules }
}

function checked(given: unknown, index: number): OAuthResource {
  const resource = typeof given === 'string' ? { path: given } : given
  const where = `oauthRules: \`resources[${index}]\``
  if (!isPlain(resource)) {
    throw new TypeError(
      `oauthRules: \`resources\` must list paths, such as '/mcp', or objects, such as { path: '/mcp', scopes: ['mcp'] }, not ${nameOf(given)}.`,
    )
  }
  assertKnownOptions(where, resource, resourceTable.names)
  const { path, scopesSupported, metadata = {} } = resource as OAuthResource
  if (typeof path !== 'string' || !path.startsWith('/')) {
    const what = typeof path === 'string' ? JSON.stringify(path) : nameOf(path)
    throw new TypeError(`oauthRules: \`resources\` must list paths, such as '/mcp', not ${what}.`)
  }
  if (/[?#\s]|\/:|\*.|[^/]\*/.test(path)) {
    throw new TypeError(
      `${where}: the path ${JSON.stringify(path)} has to be fixed, because it names the resource in its metadata: no parameters, query or white space. List each resource by its own path.`,
    )
  }
  if (scopesSupported !== undefined && !(isList(scopesSupported) && scopesSupported.every(isScope))) {
    throw wrongOption(where, 'scopesSupported', 'a list of scope names', scopesSupported)
  }
  if (!isPlain(metadata)) throw wrongOption(where, 'metadata', 'an object', metadata)
  const taken = ownMembers.find((member) => Object.hasOwn(metadata, member))
  if (taken !== undefined) {
    throw new TypeError(
      `${where}: \`metadata\` has \`${taken}\`, which the other options decide: \`origin\`, \`path\`, \`authorizationServers\` and \`scopesSupported\`.`,
    )
  }
  return resource as OAuthResource
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function isScope(value: unknown): boolean {
  return typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value)
}

function isIssuer(value: unknown): boolean {
  return typeof value === 'string' && /^https?:\/\/[^/?#\s]+[^?#\s]*$/.test(value)
}
