import type { RuleOptions } from '../core/contract/rules.ts'
import { assertKnownOptions, checkBooleans, optionsOf, wrongOption } from '../core/options/check-options.ts'
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

/** What {@link oauthRules} is given. */
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

/**
 * Makes the rules that an authorization server of your own needs: discovery and machine endpoints are public, protected
 * resources answer 401 with `resource_metadata` (RFC 9728) and the gate serves that document, and nothing is ever
 * redirected to a login page.
 *
 * The machine endpoints are called by servers and by pages of any origin; they authenticate their clients themselves,
 * without cookies, and so take foreign Origins.
 *
 * @throws TypeError for an unknown option, resources without an origin, or a resource whose path has parameters
 * @example
 * rules: [...oauthRules({ resources: ['/mcp'], origin: 'https://gateway.example.com' }), ...others]
 */
export function oauthRules(options: OAuthRulesOptions = {}): RuleOptions[] {
  assertKnownOptions(
    'oauthRules',
    options,
    optionsOf<OAuthRulesOptions>()([
      'authorize',
      'token',
      'register',
      'revoke',
      'jwks',
      'resources',
      'origin',
      'authorizationServers',
      'serveMetadata',
      'anyOrigin',
    ]),
  )
  const { token = '/oauth/token', register = '/oauth/register', revoke = '/oauth/revoke' } = options
  const { jwks = '/.well-known/jwks.json', authorize, resources = [], origin } = options
  const { authorizationServers, serveMetadata = true, anyOrigin = false } = options
  for (const [name, path] of Object.entries({ token, register, revoke, jwks, authorize })) {
    // A pattern here would make more public than the endpoint.
    if (path !== undefined && !(typeof path === 'string' && /^\/[^*:?#\s]+$/.test(path))) {
      throw new TypeError(
        `oauthRules: \`${name}\` must be one path, such as '/oauth/${name}', not a pattern.`,
      )
    }
  }
  checkBooleans('oauthRules', { serveMetadata, anyOrigin })
  if (!Array.isArray(resources)) {
    throw wrongOption('oauthRules', 'resources', "a list of paths, such as ['/mcp']", resources)
  }
  const wanted = resources.length > 0 || origin !== undefined
  if (wanted && !(typeof origin === 'string' && /^https?:\/\/[^/?#\s]+$/.test(origin))) {
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
