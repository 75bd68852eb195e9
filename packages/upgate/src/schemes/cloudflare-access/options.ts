import { isPlain, wrongOption } from '../../core/options/check-options.ts'
import {
  clock as clockKind,
  count,
  fn,
  isText,
  list,
  logger as loggerKind,
  nested,
  optional,
  revocationFeed,
  seconds,
  text,
  value,
  withDefault,
} from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import { processWarnings } from '../../platform/process-warnings.ts'
import { systemClock } from '../../platform/system-clock.ts'
import type {
  AccessKeyOptions,
  AccessOnlineOptions,
  AccessServiceGrant,
  CloudflareAccessOptions,
  Identify,
} from './types.ts'

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
  readonly logger: Logger
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

const day = 86_400
const week = 7 * day

const keyTable = optionTable<AccessKeyOptions>()({
  refreshAfter: seconds(600, 1, day),
  // At least `refreshAfter`.
  maxAge: optional(seconds(3_600, 1, week)),
  // At least `maxAge`.
  maxStale: optional(seconds(day, 1, week)),
  cooldown: seconds(30, 1, 3_600),
  maxBackoff: seconds(60, 1, 3_600),
  timeout: seconds(5, 0.1, 60),
})

const onlineTable = optionTable<AccessOnlineOptions>()({
  every: seconds(60, 0, 3_600),
  timeout: seconds(5, 0.1, 60),
})

const cacheTable = optionTable<NonNullable<CloudflareAccessOptions['cache']>>()({
  entries: count(10_000, 2, 1_000_000),
  ttl: seconds(60, 0, 60),
})

const names = (noun: string) => list<string>(`a list of names of ${noun}`, isName, 0)

const grantTable = optionTable<AccessServiceGrant>()({
  id: optional(text()),
  scopes: names('scopes; [] grants nothing'),
  roles: withDefault(names('roles'), []),
  displayName: optional(text()),
})

const accessTable = optionTable<CloudflareAccessOptions>()({
  team: optional(
    text(
      "the bare team name: 'acme', not a domain or URL; use `issuer` for a URL",
      /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    ),
  ),
  issuer: optional(
    value<string>(
      "the exact `iss` of the tokens: 'https://acme.cloudflareaccess.com', https, lower case, no path and no trailing slash",
      (issuer) => typeof issuer === 'string' && issuer.startsWith('https://') && originOf(issuer) === issuer,
      isText,
    ),
  ),
  // A plain string is refused: `includes` on a string would test for a substring.
  audience: list<string>(
    'an array with the AUD tag of at least one Access application, each without spaces or commas (an unset variable?)',
    (tag) => typeof tag === 'string' && /^[\x21-\x2b\x2d-\x7e]{1,256}$/.test(tag),
  ),
  clockTolerance: seconds(30, 0, 300),
  identify: optional(fn()),
  identifyTimeout: seconds(5, 0.1, 60),
  services: withDefault(value('an object of client ids', isPlain), {}),
  notBefore: optional(fn()),
  revocations: optional(revocationFeed()),
  online: withDefault(
    value<boolean | AccessOnlineOptions>(
      'false, true or an object, such as { every: 60 }',
      (online) => typeof online === 'boolean' || isPlain(online),
    ),
    false,
  ),
  cache: nested(cacheTable),
  verificationsInFlight: count(1_024, 1, 100_000),
  keys: nested(keyTable),
  name: withDefault(text(), 'cloudflare-access'),
  fetch: withDefault(fn(), (url, init) => globalThis.fetch(url, init)),
  clock: withDefault(clockKind(), systemClock),
  logger: withDefault(loggerKind(), processWarnings),
  dangerouslyTrustSimulatorAt: optional(
    text(
      "a loopback origin such as 'http://127.0.0.1:8788'; real keys come from the team domain",
      /^http:\/\/(?:127\.0\.0\.1|\[::1\]|localhost)(?::\d+)?$/,
    ),
  ),
})

/** Checks the options. Throws a `TypeError` that names the wrong option and the remedy. */
export function resolveOptions(options: CloudflareAccessOptions): Settings {
  const given = accessTable.read(where, options)
  const online =
    given.online === false
      ? undefined
      : onlineTable.read(where, given.online === true ? {} : given.online, 'online')
  const { cache, keys } = given
  const { refreshAfter } = keys
  const { maxAge = Math.max(3_600, refreshAfter) } = keys
  const { maxStale = Math.max(day, maxAge) } = keys
  inOrder('keys.maxAge', maxAge, refreshAfter)
  inOrder('keys.maxStale', maxStale, maxAge)
  const iss = issuerOf(given.team, given.issuer)
  const base = given.dangerouslyTrustSimulatorAt ?? iss
  return {
    name: given.name,
    issuer: iss,
    audience: new Set(given.audience),
    clockTolerance: given.clockTolerance * 1_000,
    identify: given.identify,
    identifyTimeout: given.identifyTimeout * 1_000,
    services: servicesOf(given.services),
    notBefore: given.notBefore,
    revocations: given.revocations,
    online:
      online === undefined
        ? undefined
        : { url: `${base}/cdn-cgi/access/get-identity`, timeout: online.timeout * 1_000 },
    cacheEntries: cache.entries,
    cacheTtl: Math.min(cache.ttl, online?.every ?? cache.ttl) * 1_000,
    verificationsInFlight: given.verificationsInFlight,
    keys: {
      url: `${base}/cdn-cgi/access/certs`,
      refreshAfter: refreshAfter * 1_000,
      maxAge: maxAge * 1_000,
      maxStale: maxStale * 1_000,
      cooldown: keys.cooldown * 1_000,
      maxBackoff: keys.maxBackoff * 1_000,
      timeout: keys.timeout * 1_000,
    },
    fetchHeaders: base === iss ? {} : { 'edge-sim-host': new URL(iss).host },
    fetch: given.fetch,
    clock: given.clock,
    logger: given.logger,
  }
}

function inOrder(option: string, value: number, least: number): void {
  if (value >= least) return
  throw new TypeError(
    `${where}: \`${option}\` must be a number of seconds from ${least} to ${week}, not ${value}.`,
  )
}

function issuerOf(team: string | undefined, issuer: string | undefined): string {
  if ((team === undefined) === (issuer === undefined)) {
    throw new TypeError(
      `${where}: give either \`team\` (such as 'acme') or \`issuer\`, not both and not neither.`,
    )
  }
  return issuer ?? `https://${team}.cloudflareaccess.com`
}

function originOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).origin : undefined
}

function servicesOf(
  services: NonNullable<CloudflareAccessOptions['services']>,
): ReadonlyMap<string, AccessServiceGrant> {
  const grants = new Map<string, AccessServiceGrant>()
  for (const [commonName, grant] of Object.entries(services)) {
    if (commonName === '')
      throw new TypeError(`${where}: \`services\` has an empty client id (an unset variable?).`)
    const option = `services[${JSON.stringify(commonName)}]`
    if (!isPlain(grant)) throw wrongOption(where, option, 'an object with `scopes`', grant)
    const { id = commonName, scopes, roles, displayName } = grantTable.read(where, grant, option)
    grants.set(commonName, {
      id,
      scopes: Object.freeze([...scopes]),
      roles: Object.freeze([...roles]),
      ...(displayName === undefined ? {} : { displayName }),
    })
  }
  return grants
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

/** Whether a value is a list of scope or role names. */
export function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isName)
}
