import type { RuleOptions } from '../core/contract/rules.ts'
import { assertKnownOptions, nameOf, optionsOf, wrongOption } from '../core/options/check-options.ts'

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
  /** Paths of protected resources, such as an MCP endpoint: they answer 401 with their metadata, never a redirect. */
  readonly resources?: readonly string[]
  /** Public origin of this server, for the URLs of the metadata: `https://gateway.example.com`. */
  readonly origin?: string
}

/**
 * Makes the rules that an authorization server of your own needs: discovery and machine endpoints are public, protected
 * resources answer 401 with `resource_metadata` (RFC 9728), and nothing is ever redirected to a login page.
 *
 * The machine endpoints are called by servers and by pages of any origin; they authenticate their callers themselves,
 * without cookies, and so take foreign Origins.
 *
 * @throws TypeError for an unknown option, or resources without an origin
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
    ]),
  )
  const { token = '/oauth/token', register = '/oauth/register', revoke = '/oauth/revoke' } = options
  const { jwks = '/.well-known/jwks.json', authorize, resources = [], origin } = options
  for (const [name, path] of Object.entries({ token, register, revoke, jwks, authorize })) {
    // A pattern here would make more public than the endpoint.
    if (path !== undefined && !(typeof path === 'string' && /^\/[^*:?#\s]+$/.test(path))) {
      throw new TypeError(
        `oauthRules: \`${name}\` must be one path, such as '/oauth/${name}', not a pattern.`,
      )
    }
  }
  if (!Array.isArray(resources)) {
    throw wrongOption('oauthRules', 'resources', "a list of paths, such as ['/mcp']", resources)
  }
  const at = resources.findIndex((path: unknown) => typeof path !== 'string' || !path.startsWith('/'))
  if (at !== -1) {
    const strange: unknown = resources[at]
    throw new TypeError(
      `oauthRules: \`resources\` must list paths, such as '/mcp', not ${typeof strange === 'string' ? JSON.stringify(strange) : nameOf(strange)}.`,
    )
  }
  const wanted = resources.length > 0 || origin !== undefined
  if (wanted && !(typeof origin === 'string' && /^https?:\/\/[^/?#\s]+$/.test(origin))) {
    throw new TypeError(
      "oauthRules: `origin` must be the public origin of this server, such as 'https://gateway.example.com', because the challenge of a protected resource names an absolute URL.",
    )
  }
  const rules: RuleOptions[] = [
    {
      path: [
        '/.well-known/oauth-protected-resource',
        '/.well-known/oauth-protected-resource/*',
        '/.well-known/oauth-authorization-server',
        '/.well-known/oauth-authorization-server/*',
        '/.well-known/openid-configuration',
        jwks,
      ],
      methods: ['GET', 'OPTIONS'],
      access: 'public',
      dangerouslyAllowForeignOrigins: true,
    },
    {
      path: [token, register, revoke],
      methods: ['POST', 'OPTIONS'],
      access: 'public',
      dangerouslyAllowForeignOrigins: true,
    },
  ]
  if (authorize !== undefined) rules.push({ path: authorize, access: 'required' })
  for (const resource of resources) {
    rules.push({
      path: resource,
      access: 'required',
      kinds: ['user', 'service'],
      resourceMetadata: `${origin}/.well-known/oauth-protected-resource${resource.replace(/\/\*$/, '')}`,
    })
  }
  return rules
}
