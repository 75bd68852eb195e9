import { isIP } from 'node:net'
import { resolve } from 'node:path'

/** The checked settings of the environment. Times are in milliseconds. */
export interface Config {
  readonly host: string
  /** 0 lets the system pick a free port. */
  readonly port: number
  /** Absolute path of the folder with the database file; unused with PostgreSQL. */
  readonly dataDir: string
  /** Present: records live in PostgreSQL, and there may be several instances. */
  readonly database: DatabaseConfig | undefined
  /** Key for the digests of accepted nodes' addresses; absent = the key in the data folder, if there is one. */
  readonly acquaintanceKey: string | undefined
  /** Origin under which browsers reach the gateway; absent = `http://HOST:PORT` and localhost. */
  readonly publicUrl: string | undefined
  readonly trustedProxies: readonly string[]
  /** The password is absent only if Cloudflare Access does the login. */
  readonly admin: { readonly email: string; readonly password: string | undefined } | undefined
  /** Present: Cloudflare Access does the login, and the gateway's own login is closed. */
  readonly access: AccessConfig | undefined
  /** Time from a node's upgrade to its credential. */
  readonly handshakeTimeout: number
  readonly remote: RemoteConfig
}

/** The connection to another gateway. */
export interface RemoteConfig {
  /** Encrypts its secrets; absent = the key in the data folder, if there is one. */
  readonly key: string | undefined
  /** Inner addresses that it may lead to: addresses, CIDR ranges, `loopback`, `private`. */
  readonly allow: readonly string[]
}

/** The servers that several instances share. The addresses may contain passwords. */
export interface DatabaseConfig {
  /** `postgres://` */
  readonly url: string
  /** `redis://` or `rediss://`; absent = PostgreSQL announces revocations. */
  readonly redis: string | undefined
}

/** The Cloudflare Access application in front of the gateway. */
export interface AccessConfig {
  /** `iss` of its tokens. */
  readonly issuer: string
  /** AUD tags, at least one. */
  readonly audience: readonly string[]
  /** Loopback origin of an edge simulator with trusted keys. */
  readonly simulator: string | undefined
}

/** A setting that cannot be used. The message names the variable and says what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/**
 * Reads the settings of the gateway from environment variables. An empty variable counts as absent.
 *
 * @throws {ConfigError} at the first invalid variable; the message never contains a value that could be a secret
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const read = (name: string): string | undefined => {
    const value = env[name]?.trim()
    return value === '' ? undefined : value
  }
  const access = readAccess(read)
  const publicUrl = readPublicUrl(read('PUBLIC_URL'))
  if (access !== undefined && publicUrl === undefined) {
    throw new ConfigError(
      'PUBLIC_URL is missing: with CF_ACCESS_TEAM it must be the address that Cloudflare Access protects, such as https://gateway.example.com.',
    )
  }
  return {
    host: readHost(read('HOST') ?? '127.0.0.1'),
    port: readInteger('PORT', read('PORT') ?? '8787', 0, 65_535),
    dataDir: resolve(read('DATA_DIR') ?? './data'),
    database: readDatabase(read('DATABASE_URL'), read('REDIS_URL')),
    acquaintanceKey: readKey('ACQUAINTANCE_KEY', read('ACQUAINTANCE_KEY')),
    publicUrl,
    trustedProxies: readProxies(read('TRUST_PROXY')),
    // A password may begin or end with a space: it is not trimmed.
    admin: readAdmin(read('ADMIN_EMAIL'), env.ADMIN_PASSWORD || undefined, access !== undefined),
    access,
    handshakeTimeout: readInteger(
      'HANDSHAKE_TIMEOUT_MS',
      read('HANDSHAKE_TIMEOUT_MS') ?? '10000',
      100,
      60_000,
    ),
    remote: { key: readKey('REMOTE_KEY', read('REMOTE_KEY')), allow: readAllowed(read('REMOTE_ALLOW')) },
  }
}

/** Shortest password an account may have, in characters. */
export const passwordMinimum = 12

/** Longest password that is hashed, in characters: hashing long passwords must not overload the server. */
export const passwordMaximum = 1024

/** Whether a string has the form of an email address; delivery is not checked. */
export function isEmail(value: string): boolean {
  return value.length <= 254 && /^[^\s@<>"'`\\]+@[^\s@<>"'`\\]+$/.test(value)
}

/** The allowed origins of pages, for a known port. */
export function originsOf(config: Config, port: number): readonly [string, ...string[]] {
  if (config.publicUrl !== undefined) return [config.publicUrl]
  const host = config.host.includes(':') ? `[${config.host}]` : config.host
  const origin = new URL(`http://${host}:${port}`).origin
  const localhost = new URL(`http://localhost:${port}`).origin
  return origin === localhost ? [origin] : [origin, localhost]
}

function readHost(value: string): string {
  if (/[\s/@?#]/.test(value) || value.includes('://')) {
    throw new ConfigError(
      'HOST must be the address to listen on, such as 127.0.0.1, 0.0.0.0 or ::1, without scheme or port.',
    )
  }
  return value.replace(/^\[(.*)\]$/, '$1')
}

function readInteger(name: string, value: string, minimum: number, maximum: number): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
  if (!(number >= minimum && number <= maximum)) {
    throw new ConfigError(
      `${name} must be a whole number from ${minimum} to ${maximum}; it is ${JSON.stringify(value)}.`,
    )
  }
  return number
}

function readPublicUrl(value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  const hint = 'PUBLIC_URL must be the address that browsers use, such as https://gateway.example.com'
  let url: URL
  try {
    url = new URL(value)
  } catch {
    throw new ConfigError(`${hint}; it is not a URL.`)
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ConfigError(`${hint}; it must begin with http:// or https://.`)
  }
  if (url.username !== '' || url.password !== '')
    throw new ConfigError(`${hint}, without a user or password.`)
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new ConfigError(`${hint}, without a path: the gateway has to be at the root of its host.`)
  }
  return url.origin
}

function readKey(name: string, key: string | undefined): string | undefined {
  if (key !== undefined && key.length < 32) {
    throw new ConfigError(`${name} must have at least 32 characters: \`openssl rand -base64 32\` makes one.`)
  }
  return key
}

function readDatabase(url: string | undefined, redis: string | undefined): DatabaseConfig | undefined {
  if (url !== undefined) {
    checkServer(
      'DATABASE_URL',
      url,
      ['postgres:', 'postgresql:'],
      'postgres://user:password@host:5432/gateway',
    )
  }
  if (redis !== undefined) {
    checkServer('REDIS_URL', redis, ['redis:', 'rediss:'], 'redis://host:6379, or rediss:// for TLS')
    if (url === undefined)
      throw new ConfigError(
        'REDIS_URL is of no use without DATABASE_URL: instances have to share their records.',
      )
  }
  return url === undefined ? undefined : { url, redis }
}

/** Does not repeat the value, which may contain a password. */
function checkServer(name: string, value: string, protocols: readonly string[], example: string): void {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || !protocols.includes(url.protocol)) {
    throw new ConfigError(`${name} must be the address of the server, such as ${example}.`)
  }
}

function readProxies(value: string | undefined): readonly string[] {
  const hint =
    'TRUST_PROXY must list the proxies in front of the gateway, separated by commas: addresses, CIDR ranges, loopback or private'
  const entries = listOf(value)
  for (const entry of entries) {
    if (/^(true|\d+|\*|all)$/i.test(entry)) {
      // A number of hops, or all addresses, would let a client choose its own address.
      throw new ConfigError(`${hint}; ${JSON.stringify(entry)} would let clients forge their address.`)
    }
    if (entry !== 'loopback' && entry !== 'private' && !isNetwork(entry)) {
      throw new ConfigError(`${hint}; ${JSON.stringify(entry)} is none of these.`)
    }
  }
  return entries
}

function readAllowed(value: string | undefined): readonly string[] {
  const entries = listOf(value)
  const wrong = entries.find((entry) => entry !== 'loopback' && entry !== 'private' && !isNetwork(entry))
  if (wrong !== undefined) {
    throw new ConfigError(
      `REMOTE_ALLOW must list the inner addresses that this gateway may connect to, separated by commas: addresses, CIDR ranges, loopback or private; ${JSON.stringify(wrong)} is none of these.`,
    )
  }
  return entries
}

/** The entries of a list with commas, in lower case. */
function listOf(value: string | undefined): readonly string[] {
  return (value ?? '')
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== '')
}

function isNetwork(entry: string): boolean {
  const [address = '', bits, ...more] = entry.split('/')
  const longest = isIP(address) === 6 ? 128 : 32
  if (isIP(address) === 0 || more.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= longest)
}

function readAccess(read: (name: string) => string | undefined): AccessConfig | undefined {
  const team = read('CF_ACCESS_TEAM')
  const tags = read('CF_ACCESS_AUD')
  const simulator = read('CF_ACCESS_SIMULATOR')
  if (team === undefined && tags === undefined) {
    if (simulator === undefined) return undefined
    throw new ConfigError('CF_ACCESS_SIMULATOR is of no use without CF_ACCESS_TEAM and CF_ACCESS_AUD.')
  }
  // Half of the settings must not start a gateway that seems to be behind Access.
  if (team === undefined) throw new ConfigError('CF_ACCESS_TEAM is missing: CF_ACCESS_AUD requires it.')
  if (tags === undefined) throw new ConfigError('CF_ACCESS_AUD is missing: CF_ACCESS_TEAM requires it.')
  if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.fed)?$/.test(team)) {
    throw new ConfigError(
      'CF_ACCESS_TEAM must be the name of the team, such as acme of acme.cloudflareaccess.com, or acme.fed for FedRAMP.',
    )
  }
  const audience = tags.split(',').map((tag) => tag.trim())
  if (!audience.every((tag) => /^[0-9a-f]{64}$/.test(tag))) {
    throw new ConfigError(
      'CF_ACCESS_AUD must be the AUD tag of the Access application, 64 characters from 0 to 9 and a to f; several are separated by commas.',
    )
  }
  if (simulator !== undefined && !/^http:\/\/(?:127\.0\.0\.1|\[::1\]|localhost)(?::\d+)?$/.test(simulator)) {
    throw new ConfigError(
      'CF_ACCESS_SIMULATOR must be where edge-sim listens on this machine, such as http://127.0.0.1:8788.',
    )
  }
  return { issuer: `https://${team}.cloudflareaccess.com`, audience, simulator }
}

function readAdmin(
  email: string | undefined,
  password: string | undefined,
  withoutPassword: boolean,
): Config['admin'] {
  if (email === undefined && password === undefined) return undefined
  if (email === undefined) throw new ConfigError('ADMIN_EMAIL is missing: ADMIN_PASSWORD requires it.')
  if (!isEmail(email)) throw new ConfigError('ADMIN_EMAIL must be an email address, such as ada@example.com.')
  if (password === undefined) {
    if (withoutPassword) return { email, password }
    throw new ConfigError('ADMIN_PASSWORD is missing: ADMIN_EMAIL requires it.')
  }
  if (password.length < passwordMinimum || password.length > passwordMaximum) {
    throw new ConfigError(
      `ADMIN_PASSWORD must have ${passwordMinimum} to ${passwordMaximum} characters; it has ${password.length}.`,
    )
  }
  return { email, password }
}
