import type { RuleOptions } from '../core/contract/rules.ts'
import { flag, list, optional, text, unchecked, withDefault } from '../core/options/option-kinds.ts'
import { type OptionKind, optionTable } from '../core/options/option-table.ts'
import { type OAuthResource, resourceRules, wellKnownResource } from './resource-rules.ts'

/** Paths of an authorization server that clients must reach without a login. */
export interface OAuthPaths {
  /** Where the user agrees; a browser is there, and may have to log in. Not public by itself. Default: none. */
  readonly authorize?: string
  /** RFC 6749 section 3.2. Default: `/oauth/token`. */
  readonly token?: string
  /** RFC 7591. Default: `/oauth/register`. */
  readonly register?: string
  /** RFC 7009. Default: `/oauth/revoke`. */
  readonly revoke?: string
  /** RFC 7517. Default: `/.well-known/jwks.json`. */
  readonly jwks?: string
}

/** Options of {@link oauthRules}. Unknown options throw. */
export interface OAuthRulesOptions extends OAuthPaths {
  /**
   * Protected resources, such as an MCP endpoint, by path or with details: they answer 401 with their metadata, never a
   * redirect. Default: none.
   */
  readonly resources?: readonly (string | OAuthResource)[]
  /** Public origin of this server, for the URLs of the metadata: `https://gateway.example.com`. */
  readonly origin?: string
  /**
   * Issuers of the tokens that the resources take, for their metadata. Default: `[origin]`, this server.
   */
  readonly authorizationServers?: readonly string[]
  /**
   * Whether the gate serves the metadata of the resources (RFC 9728), at the paths that their challenges name. False:
   * the application serves them there. Default: true.
   */
  readonly serveMetadata?: boolean
  /**
   * Whether pages of every origin may use the discovery documents, the machine endpoints and the resources, as MCP
   * clients in browsers do, with tokens that they send themselves. Cookies never count there then. Default: false.
   */
  readonly anyOrigin?: boolean
}

// A pattern here would make more public than the endpoint.
const endpoint = (name: string): OptionKind<string, 'required'> =>
  text(`one path, such as '/oauth/${name}', not a pattern`, /^\/[^*:?#\s]+$/)
const oauthRulesOptions = optionTable<OAuthRulesOptions>()({
  authorize: optional(endpoint('authorize')),
  token: withDefault(endpoint('token'), '/oauth/token'),
  register: withDefault(endpoint('register'), '/oauth/register'),
  revoke: withDefault(endpoint('revoke'), '/oauth/revoke'),
  jwks: withDefault(endpoint('jwks'), '/.well-known/jwks.json'),
  // Each is checked by `resourceRules`.
  resources: withDefault(
    list("a list of paths, such as ['/mcp']", () => true, 0),
    [],
  ),
  origin: optional(
    text("the public origin of this server, such as 'https://gateway.example.com'", /^https?:\/\/[^/?#\s]+$/),
  ),
  // Checked by `resourceRules`.
  authorizationServers: unchecked(),
  serveMetadata: flag(true),
  anyOrigin: flag(false),
})

/**
 * Makes the rules that an authorization server of your own needs: discovery and machine endpoints are public, protected
 * resources answer 401 with `resource_metadata` (RFC 9728) and the gate serves that document, and nothing is ever
 * redirected to a login page.
 *
 * The machine endpoints are called by servers and by pages of any origin; they authenticate their clients themselves,
 * without cookies, and so take foreign Origins.
 *
 * @param options - paths that differ from the defaults, and the protected resources
 * @returns rules for `createGate`; put them before your own
 * @throws TypeError for an unknown option, resources without an origin, or a resource whose path has parameters
 * @example
 * rules: [...oauthRules({ resources: ['/mcp'], origin: 'https://gateway.example.com' }), ...others]
 */
export function oauthRules(options: OAuthRulesOptions = {}): RuleOptions[] {
  const read = oauthRulesOptions.read('oauthRules', options)
  const { token, register, revoke, jwks, authorize, resources, origin } = read
  const { authorizationServers, serveMetadata, anyOrigin } = read
  if (resources.length > 0 && origin === undefined) {
    throw new TypeError(
      "oauthRules: `origin` must be the public origin of this server, such as 'https://gateway.example.com', because the challenge of a protected resource names an absolute URL.",
    )
  }
  const made = resourceRules(resources, {
    origin: origin ?? '',
    authorizationServers,
    serveMetadata,
    anyOrigin,
  })
  const served = new Set(made.documents.map(({ path }) => path))
  const open = anyOrigin ? { anyOrigin } : { dangerouslyAllowForeignOrigins: true }
  return [
    // Ahead of the rule for discovery, which covers their paths.
    ...made.documents,
    {
      path: [
        ...[wellKnownResource, `${wellKnownResource}/*`].filter((path) => !served.has(path)),
        '/.well-known/oauth-authorization-server',
        '/.well-known/oauth-authorization-server/*',
        '/.well-known/openid-configuration',
        '/.well-known/openid-configuration/*',
        jwks,
      ],
      methods: ['GET', 'OPTIONS'],
      access: 'public',
      ...open,
    },
    { path: [token, register, revoke], methods: ['POST', 'OPTIONS'], access: 'public', ...open },
    ...(authorize === undefined ? [] : [{ path: authorize, access: 'required' } as const]),
    ...made.resources,
  ]
}
