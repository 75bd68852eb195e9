import type { JWK } from 'jose'
import { flag, hostName, integer, oneOf, onlyKnown } from './check.ts'
import type { Clock } from './clock.ts'
import { createSigningKeys, type SigningKeys } from './signing-keys.ts'

/** Which shape the `meta` token of a login redirect has: today's, the one with a token id, the oldest. */
export type MetaGeneration = 'current' | 'token-id' | 'minimal'

/** The settings of a team that may change while the simulator runs. */
export interface TeamSettings {
  /** Strict service-token mode: 401 or 403 and no cookie, never a redirect. Default `false`. */
  readonly strict?: boolean
  /** Shape of the `meta` token in login redirects. Default `current`. */
  readonly meta?: MetaGeneration
  /** Answers `HEAD` with `cf-access-metadata-request: true`. Default `true`. */
  readonly discovery?: boolean
  /** Publishes `/.well-known/cloudflare-access-protected-resource` (RFC 9728). Default `true`. */
  readonly protectedResource?: boolean
  /** How long the edge still honours a session after its logout, in seconds, 0-3600. Default 25. */
  readonly logoutDelaySeconds?: number
}

/** A team (Zero Trust organisation) to simulate. */
export interface TeamOptions extends TeamSettings {
  /** The team's name: one host label, as in `https://<name>.cloudflareaccess.com`. */
  readonly name: string
  /** Uses the FedRAMP domain `<name>.fed.cloudflareaccess.com`. Default `false`. */
  readonly fedramp?: boolean
  /** Private RSA JWKs used, in order, before new keys are generated; makes tests start faster. Default none. */
  readonly signingKeys?: readonly JWK[]
}

/** A team as the simulator keeps it. */
export interface Team {
  readonly name: string
  /** `<name>.cloudflareaccess.com` */
  readonly domain: string
  /** `https://<domain>`, without a trailing slash: the `iss` of every token. */
  readonly issuer: string
  readonly keys: SigningKeys
  settings: Required<TeamSettings>
}

const SETTINGS = ['strict', 'meta', 'discovery', 'protectedResource', 'logoutDelaySeconds']
const DEFAULTS: Required<TeamSettings> = {
  strict: false,
  meta: 'current',
  discovery: true,
  protectedResource: true,
  logoutDelaySeconds: 25,
}

/** Checks settings and lays them over `base`; throws a `TypeError` naming the option. */
export function teamSettings(
  patch: TeamSettings,
  base: Required<TeamSettings> = DEFAULTS,
): Required<TeamSettings> {
  onlyKnown('team', patch, SETTINGS)
  const settings = { ...base, ...patch }
  flag('team.strict', settings.strict)
  oneOf('team.meta', settings.meta, ['current', 'token-id', 'minimal'])
  flag('team.discovery', settings.discovery)
  flag('team.protectedResource', settings.protectedResource)
  integer('team.logoutDelaySeconds', settings.logoutDelaySeconds, 0, 3600)
  return settings
}

/** Makes a team; its keys are generated when they are first needed. Throws a `TypeError` naming a bad option. */
export function createTeam(options: TeamOptions, clock: Clock): Team {
  onlyKnown('team', options, ['name', 'fedramp', 'signingKeys', ...SETTINGS])
  const { name, fedramp = false, signingKeys = [], ...settings } = options
  hostName('team.name', name)
  if (name.includes('.')) throw new TypeError(`team.name must be one host label, got ${JSON.stringify(name)}`)
  flag('team.fedramp', fedramp)
  for (const jwk of signingKeys) {
    if (jwk.kty !== 'RSA' || typeof jwk.d !== 'string') {
      throw new TypeError('team.signingKeys must be private RSA JWKs')
    }
  }
  const domain = `${name.toLowerCase()}${fedramp ? '.fed' : ''}.cloudflareaccess.com`
  return {
    name,
    domain,
    issuer: `https://${domain}`,
    keys: createSigningKeys(domain, clock, signingKeys),
    settings: teamSettings(settings),
  }
}
