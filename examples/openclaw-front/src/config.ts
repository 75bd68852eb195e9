import { isIP } from 'node:net'
import { resolve } from 'node:path'
import type { IdentityHeaders, IdentityProxy } from 'upgate'
import { ConfigError } from './config-error.ts'
import type { Given, SettingName } from './settings.ts'

/** The checked settings. Times are in milliseconds. */
export interface Config {
  readonly host: string
  readonly port: number
  /** Absolute. */
  readonly dataDir: string
  /** Origin of browsers; absent = `http://HOST:PORT` and localhost. */
  readonly publicUrl: string | undefined
  readonly trustedProxies: readonly string[]
  readonly upstream: UpstreamConfig
  readonly nodes: 'own-key' | 'handed-nonce'
  readonly login: LoginConfig
  readonly admin: { readonly email: string; readonly password: string | undefined } | undefined
  readonly handshakeTimeout: number
  readonly drainTimeout: number
}

/** The gateway behind the front. */
export interface UpstreamConfig {
  /** Without a path. */
  readonly url: URL
  /** With what the front introduces nodes there. */
  readonly secret: { readonly token: string } | { readonly password: string } | undefined
  /** Lower case. */
  readonly userHeader: string
  /** Sockets there that it has not accepted yet, at most. */
  readonly waiting: number
}

export type LoginConfig =
  | { readonly by: 'password' }
  | {
      readonly by: 'access'
      readonly issuer: string
      readonly audience: readonly string[]
      readonly simulator: string | undefined
    }
  | {
      readonly by: 'header'
      readonly headers: IdentityProxy | IdentityHeaders
      readonly peers: readonly string[]
      readonly trustSharedPeers: boolean
    }

/**
 * Checks the settings.
 *
 * @throws {ConfigError} at the first one that cannot be used; secrets are never part of the message
 */
export function readConfig(given: Given): Config {
  const login = readLogin(given)
  const nodes = oneOf(given, 'NODES', ['own-key', 'handed-nonce'])
  const upstream = readUpstream(given)
  if (nodes === 'own-key' && upstream.secret === undefined) {
    throw new ConfigError(
      'UPSTREAM_TOKEN (or UPSTREAM_PASSWORD) is missing: with NODES=own-key, the front connects nodes to the gateway with it.',
    )
  }
  return {
    host: given('HOST') ?? '127.0.0.1',
    port: integer(given, 'PORT', 0, 65_535),
    dataDir: resolve(given('DATA_DIR') ?? './data'),
    publicUrl: readOrigin(given('PUBLIC_URL')),
    trustedProxies: list(given('TRUST_PROXY')),
    upstream,
    nodes,
    login,
    admin: readAdmin(given, login.by === 'password'),
    handshakeTimeout: integer(given, 'HANDSHAKE_TIMEOUT_MS', 100, 60_000),
    drainTimeout: integer(given, 'DRAIN_MS', 0, 600_000),
  }
}

function readUpstream(given: Given): UpstreamConfig {
  const token = given('UPSTREAM_TOKEN')
  const password = given('UPSTREAM_PASSWORD')
  if (token !== undefined && password !== undefined) {
    throw new ConfigError('UPSTREAM_TOKEN and UPSTREAM_PASSWORD are both set; the gateway takes one of them.')
  }
  const userHeader = given('UPSTREAM_USER_HEADER')?.toLowerCase() ?? ''
  if (!/^[a-z0-9][a-z0-9-]*$/.test(userHeader)) {
    throw new ConfigError('UPSTREAM_USER_HEADER must be the name of a header, such as x-forwarded-user.')
  }
  return {
    url: readUpstreamUrl(given('UPSTREAM_URL') ?? ''),
    secret: token !== undefined ? { token } : password !== undefined ? { password } : undefined,
    userHeader,
    waiting: integer(given, 'UPSTREAM_WAITING', 4, 31),
  }
}

function readUpstreamUrl(value: string): URL {
  const hint = 'UPSTREAM_URL must be the address of the gateway, such as http://127.0.0.1:18789'
  if (!URL.canParse(value)) throw new ConfigError(`${hint}.`)
  const url = new URL(value)
  if (url.href !== `${url.origin}/` || !/^https?:$/.test(url.protocol)) {
    throw new ConfigError(`${hint}: a scheme, a host and a port, nothing else.`)
  }
  // Identities and the shared token go there with every connection: in the clear they may only stay on this machine.
  const local = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'http:' && !local) {
    throw new ConfigError(`${hint}; it must begin with https:// if the gateway is on another machine.`)
  }
  return url
}

function readLogin(given: Given): LoginConfig {
  const by = oneOf(given, 'LOGIN', ['password', 'access', 'header'])
  const foreign: readonly SettingName[] = [
    ...(by === 'access' ? [] : (['CF_ACCESS_TEAM', 'CF_ACCESS_AUD', 'CF_ACCESS_SIMULATOR'] as const)),
    ...(by === 'header'
      ? []
      : (['IDENTITY_HEADERS', 'IDENTITY_PEERS', 'IDENTITY_TRUST_SHARED_PEERS'] as const)),
  ]
  const unused = foreign.find((name) => given(name) !== undefined)
  if (unused !== undefined)
    throw new ConfigError(`${unused} has no effect with LOGIN=${by}; remove one of them.`)
  if (by === 'password') return { by }
  if (by === 'access') {
    const team = given('CF_ACCESS_TEAM') ?? ''
    if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.fed)?$/.test(team)) {
      throw new ConfigError('CF_ACCESS_TEAM must be the name of the team, such as acme, for LOGIN=access.')
    }
    const audience = list(given('CF_ACCESS_AUD'))
    if (audience.length === 0 || !audience.every((tag) => /^[0-9a-f]{64}$/.test(tag))) {
      throw new ConfigError(
        'CF_ACCESS_AUD must be the AUD tag of the application, 64 characters, for LOGIN=access.',
      )
    }
    return {
      by,
      issuer: `https://${team}.cloudflareaccess.com`,
      audience,
      simulator: given('CF_ACCESS_SIMULATOR'),
    }
  }
  const headers = given('IDENTITY_HEADERS')?.toLowerCase() ?? ''
  if (!/^[a-z0-9][a-z0-9-]*$/.test(headers)) {
    throw new ConfigError(
      'IDENTITY_HEADERS must be remote-user, authelia, authentik, oauth2-proxy, tailscale, or the name of the header with the email address.',
    )
  }
  const peers = list(given('IDENTITY_PEERS'))
  if (peers.length === 0) {
    throw new ConfigError('IDENTITY_PEERS is missing: name the addresses of the proxies whose header counts.')
  }
  const known = ['remote-user', 'authelia', 'authentik', 'oauth2-proxy', 'tailscale'] as const
  return {
    by,
    headers: known.find((name) => name === headers) ?? { user: headers, email: headers },
    peers,
    trustSharedPeers: given('IDENTITY_TRUST_SHARED_PEERS') === 'yes',
  }
}

function readAdmin(given: Given, needsPassword: boolean): Config['admin'] {
  const email = given('ADMIN_EMAIL')
  const password = given('ADMIN_PASSWORD')
  if (email === undefined && password === undefined) return undefined
  if (email === undefined) throw new ConfigError('ADMIN_EMAIL is missing: ADMIN_PASSWORD requires it.')
  if (needsPassword && password === undefined) {
    throw new ConfigError('ADMIN_PASSWORD is missing: ADMIN_EMAIL requires it with LOGIN=password.')
  }
  return { email, password }
}

function readOrigin(value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/`) {
    throw new ConfigError('PUBLIC_URL must be an origin such as https://claw.example.com, without a path.')
  }
  return url.origin
}

function oneOf<const T extends string>(given: Given, name: SettingName, choices: readonly T[]): T {
  const choice = choices.find((each) => each === given(name))
  if (choice === undefined) throw new ConfigError(`${name} must be ${choices.join(' or ')}.`)
  return choice
}

function integer(given: Given, name: SettingName, minimum: number, maximum: number): number {
  const value = given(name) ?? ''
  const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN
  if (number >= minimum && number <= maximum) return number
  throw new ConfigError(`${name} must be a whole number from ${minimum} to ${maximum}.`)
}

function list(value: string | undefined): readonly string[] {
  return (value ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

/** The origins of the front, the public one first. */
export function originsOf(config: Config, port: number): readonly [string, ...string[]] {
  if (config.publicUrl !== undefined) return [config.publicUrl]
  const host = isIP(config.host) === 6 ? `[${config.host}]` : config.host
  return [`http://${host}:${port}`, `http://localhost:${port}`]
}
