import {
  assertKnownOptions,
  checkPorts,
  checkStrings,
  isCallable,
  isPlain,
  readOptions,
  wrongOption,
} from '../../core/options/check-options.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import { systemClock } from '../../platform/system-clock.ts'
import type { AccessServiceGrant, CloudflareAccessOptions, Identify } from './types.ts'

const where = 'cloudflareAccess'

/** Options after checking, with defaults filled in. Times in milliseconds. */
export interface Settings {
  readonly name: string
  readonly issuer: string
  readonly audience: ReadonlySet<string>
  readonly clockTolerance: number
  readonly identify: Identify | undefined
  readonly identifyTimeout: number
  readonly services: ReadonlyMap<string, AccessServiceGrant>
  readonly notBefore: CloudflareAccessOptions['notBefore']
  readonly revocations: CloudflareAccessOptions['revocations']
  readonly online: { readonly url: string; readonly timeout: number } | undefined
  readonly cacheEntries: number
  readonly cacheTtl: number
  readonly verificationsInFlight: number
  readonly keys: KeySettings
  /** Sent with every fetch: a simulator on loopback learns from a header which team is meant. */
  readonly fetchHeaders: Readonly<Record<string, string>>
  readonly fetch: NonNullable<CloudflareAccessOptions['fetch']>
  readonly clock: Clock
  readonly logger: Logger | undefined
}

/** Settings of the signing keys. Times in milliseconds. */
export interface KeySettings {
  readonly url: string
  readonly refreshAfter: number
  readonly maxAge: number
  readonly maxStale: number
  readonly cooldown: number
  readonly maxBackoff: number
  readonly timeout: number
}

/** Checks the options. Throws a `TypeError` that names the wrong option and the remedy. */
export function resolveOptions(options: CloudflareAccessOptions): Settings {
  const given = readOptions(where, options, optionNames)
  const {
    audience,
    clockTolerance = 30, // s
    identify,
    identifyTimeout = 5, // s
    services = {},
    notBefore,
    revocations,
    online = false,
    cache = {},
    verificationsInFlight = 1_024,
    keys = {},
    name = 'cloudflare-access',
    fetch = (url, init) => globalThis.fetch(url, init),
    clock = systemClock,
    logger,
    dangerouslyTrustSimulatorAt,
    team,
    issuer,
  } = given
  for (const [option, value] of Object.entries({ cache, keys })) {
    if (!isPlain(value)) throw wrongOption(where, option, 'an object', value)
  }
  if (typeof online !== 'boolean' && !isPlain(online)) {
    throw wrongOption(where, 'online', 'false, true or an object, such as { every: 60 }', online)
  }
  checkPorts(where, { clock, logger, revocations })
  const { entries = 10_000, ttl = 60 /* s */, ...unknownCache } = cache
  const {
    refreshAfter = 600, // s
    maxAge = Math.max(3_600, refreshAfter), // s
    maxStale = Math.max(86_400, maxAge), // s
    cooldown = 30, // s
    maxBackoff = 60, // s
    timeout = 5, // s
    ...unknownKeys
  } = keys
  const {
    every = 60,
    timeout: onlineTimeout = 5,
    ...unknownOnline
  } = typeof online === 'object' ? online : {} // s
  assertKnownOptions(`${where} cache`, unknownCache, ['entries', 'ttl'])
  assertKnownOptions(`${where} keys`, unknownKeys, keyOptionNames)
  assertKnownOptions(`${where} online`, unknownOnline, ['every', 'timeout'])

  if (typeof name !== 'string' || name === '') throw wrong('name', 'must be a non-empty string')
  for (const [option, value] of Object.entries({ identify, notBefore, fetch })) {
    if (value !== undefined && !isCallable(value)) throw wrong(option, 'must be a function')
  }
  range('keys.cooldown', cooldown, 1, 3_600)
  range('keys.maxBackoff', maxBackoff, 1, 3_600)
  range('keys.timeout', timeout, 0.1, 60)
  range('keys.refreshAfter', refreshAfter, 1, 86_400)
  range('keys.maxAge', maxAge, refreshAfter, 7 * 86_400)
  range('keys.maxStale', maxStale, maxAge, 7 * 86_400)
  range('clockTolerance', clockTolerance, 0, 300)
  range('identifyTimeout', identifyTimeout, 0.1, 60)
  range('cache.ttl', ttl, 0, 60)
  range('cache.entries', entries, 2, 1_000_000)
  range('verificationsInFlight', verificationsInFlight, 1, 100_000)
  range('online.every', every, 0, 3_600)
  range('online.timeout', onlineTimeout, 0.1, 60)

  const iss = issuerOf(team, issuer)
  const base = dangerouslyTrustSimulatorAt === undefined ? iss : simulatorOf(dangerouslyTrustSimulatorAt)
  return {
    name,
    issuer: iss,
    audience: audienceOf(audience),
    clockTolerance: clockTolerance * 1_000,
    identify,
    identifyTimeout: identifyTimeout * 1_000,
    services: servicesOf(services),
    notBefore,
    revocations,
    online:
      online === false
        ? undefined
        : { url: `${base}/cdn-cgi/access/get-identity`, timeout: onlineTimeout * 1_000 },
    cacheEntries: entries,
    cacheTtl: (online === false ? ttl : Math.min(ttl, every)) * 1_000,
    verificationsInFlight,
    keys: {
      url: `${base}/cdn-cgi/access/certs`,
      refreshAfter: refreshAfter * 1_000,
      maxAge: maxAge * 1_000,
      maxStale: maxStale * 1_000,
      cooldown: cooldown * 1_000,
      maxBackoff: maxBackoff * 1_000,
      timeout: timeout * 1_000,
    },
    fetchHeaders: base === iss ? {} : { 'edge-sim-host': new URL(iss).host },
    fetch,
    clock,
    logger,
  }
}

const optionNames = [
  'team',
  'issuer',
  'audience',
  'clockTolerance',
  'identify',
  'identifyTimeout',
  'services',
  'notBefore',
  'revocations',
  'online',
  'cache',
  'verificationsInFlight',
  'keys',
  'name',
  'fetch',
  'clock',
  'logger',
  'dangerouslyTrustSimulatorAt',
] as const
const keyOptionNames = ['refreshAfter', 'maxAge', 'maxStale', 'cooldown', 'maxBackoff', 'timeout']

function wrong(option: string, what: string): TypeError {
  return new TypeError(`${where}: \`${option}\` ${what}.`)
}

function range(option: string, value: unknown, least: number, most: number): void {
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    throw wrong(option, `must be a number from ${least} to ${most}`)
  }
}

function issuerOf(team: unknown, issuer: unknown): string {
  if ((team === undefined) === (issuer === undefined)) {
    throw new TypeError(
      `${where}: give either \`team\` (such as 'acme') or \`issuer\`, not both and not neither.`,
    )
  }
  if (team !== undefined) {
    if (typeof team !== 'string' || !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(team)) {
      throw wrong('team', "must be the bare team name: 'acme', not a domain or URL; use `issuer` for a URL")
    }
    return `https://${team}.cloudflareaccess.com`
  }
  if (typeof issuer !== 'string' || !issuer.startsWith('https://') || originOf(issuer) !== issuer) {
    throw wrong(
      'issuer',
      "must be the exact `iss` of the tokens: 'https://acme.cloudflareaccess.com', https, lower case, no path and no trailing slash",
    )
  }
  return issuer
}

function originOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).origin : undefined
}

function simulatorOf(url: unknown): string {
  if (typeof url !== 'string' || !/^http:\/\/(?:127\.0\.0\.1|\[::1\]|localhost)(?::\d+)?$/.test(url)) {
    throw wrong(
      'dangerouslyTrustSimulatorAt',
      "must be a loopback origin such as 'http://127.0.0.1:8788'; real keys come from the team domain",
    )
  }
  return url
}

function audienceOf(audience: unknown): ReadonlySet<string> {
  // Refuse a plain string: `includes` on a string would test for a substring.
  if (!Array.isArray(audience) || audience.length === 0) {
    throw wrong('audience', 'must be an array with the AUD tag of at least one Access application')
  }
  for (const tag of audience) {
    if (typeof tag !== 'string' || !/^[\x21-\x2b\x2d-\x7e]{1,256}$/.test(tag)) {
      throw wrong(
        'audience',
        'must hold AUD tags: non-empty strings without spaces or commas (an unset variable?)',
      )
    }
  }
  return new Set(audience as string[])
}

function servicesOf(services: unknown): ReadonlyMap<string, AccessServiceGrant> {
  if (!isPlain(services)) {
    throw wrong('services', 'must be an object of client ids')
  }
  const grants = new Map<string, AccessServiceGrant>()
  for (const [commonName, grant] of Object.entries(services as Record<string, AccessServiceGrant>)) {
    const option = `services[${JSON.stringify(commonName)}]`
    if (commonName === '') throw wrong('services', 'has an empty client id (an unset variable?)')
    if (typeof grant !== 'object' || grant === null) throw wrong(option, 'must be an object with `scopes`')
    const { id = commonName, scopes, roles = [], displayName, ...unknown } = grant
    assertKnownOptions(`${where} ${option}`, unknown, ['id', 'scopes', 'roles', 'displayName'])
    if (typeof id !== 'string' || id === '') throw wrong(`${option}.id`, 'must be a non-empty string')
    checkStrings(`${where}: \`${option}\``, { displayName })
    if (!isNames(scopes))
      throw wrong(`${option}.scopes`, 'must be an array of scope names; [] grants nothing')
    if (!isNames(roles)) throw wrong(`${option}.roles`, 'must be an array of role names')
    grants.set(commonName, {
      id,
      scopes: Object.freeze([...scopes]),
      roles: Object.freeze([...roles]),
      ...(displayName === undefined ? {} : { displayName }),
    })
  }
  return grants
}

/** Whether a value is a list of scope or role names. */
export function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== '')
}
