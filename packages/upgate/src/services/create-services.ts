import { randomBytes as nodeRandomBytes } from 'node:crypto'
import {
  clock as clockKind,
  flag,
  fn,
  logger as loggerKind,
  methods,
  nested,
  optional,
  text,
  withDefault,
} from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { RevocationSelector } from '../core/ports/revocations.ts'
import { scryptHasher } from '../crypto/password.ts'
import { processWarnings } from '../platform/process-warnings.ts'
import { systemClock } from '../platform/system-clock.ts'
import { createAccounts } from './accounts/accounts.ts'
import { createDeviceCookies } from './accounts/device-cookies.ts'
import { createFailures } from './accounts/failure-limits.ts'
import { createHashPool } from './accounts/hash-pool.ts'
import { createLogin } from './accounts/login.ts'
import { serviceLimits } from './limits.ts'
import { createPairing } from './pairing/create-pairing.ts'
import { checkPairingNames, pairingOptions } from './pairing/options.ts'
import { createRevocations } from './revocations/revocations.ts'
import { apiKeys, createIssuedTokens, createTokenJudge, deviceTokens } from './tokens/issued-tokens.ts'
import { createSessionFinder, createSessionJudge, createSessions } from './tokens/sessions.ts'
import { createTickets, ticketOptions } from './tokens/tickets.ts'
import { createTokenVerifier } from './tokens/token-verifier.ts'
import { createTouches } from './tokens/touches.ts'
import type { ApiKey, Device, NewApiKey, NewDevice } from './tokens/types.ts'
import type { Services, ServicesOptions } from './types.ts'

const where = 'createServices'
const parts = ['accounts', 'sessions', 'keys', 'devices', 'pairings', 'tickets', 'revocations'] as const

const aStore = 'a store: memoryStore(), or what sqliteStore() or postgresStore() of upgate/sql resolves to'
const servicesOptions = optionTable<ServicesOptions>()({
  // A factory that was not called, or a promise that was not awaited, would fail at the first login.
  store: methods(['close'], aStore),
  bus: optional(methods(['announce', 'subscribe'], 'what postgresBus() or redisBus() resolves to')),
  dangerouslyKeepSocketsWhenCutOff: flag(false),
  clock: withDefault(clockKind(), systemClock),
  logger: withDefault(loggerKind(), processWarnings),
  randomBytes: withDefault(fn(), nodeRandomBytes),
  passwordHasher: optional(methods(['hash', 'verify', 'needsRehash'], 'a hasher, such as scryptHasher()')),
  deviceCookieSecret: optional(
    text('a string of at least 32 characters', /^.{32}/s, 'Leave it out where the store keeps the key.'),
  ),
  limits: nested(serviceLimits),
  pairing: nested(pairingOptions),
  tickets: nested(ticketOptions),
})

/**
 * Creates the services over one store: accounts, sessions, device cookies, API keys, devices, pairing and
 * tickets.
 *
 * @param options - `store` is required; see {@link ServicesOptions} for defaults and units
 * @returns the services; call `close()` when the process ends
 * @throws TypeError for an unknown option, a missing store, or a limit out of range
 * @example
 * const services = createServices({ store: await sqliteStore({ file: './data/gateway.db' }) })
 * const { token } = await services.devices.create({ name: 'kitchen' })
 * const gate = createGate({ schemes: [deviceToken({ devices: services.devices })] })
 */
export function createServices(options: ServicesOptions): Services {
  const {
    store,
    bus,
    dangerouslyKeepSocketsWhenCutOff: keepSocketsWhenLost,
    clock,
    logger,
    randomBytes,
    deviceCookieSecret,
    limits,
    ...read
  } = servicesOptions.read(where, options)
  const missing = parts.find((part) => typeof store[part] !== 'object' || store[part] === null)
  if (missing !== undefined)
    throw new TypeError(`${where}: \`store\` has no \`${missing}\`; it must be ${aStore}.`)
  checkPairingNames(where, read.pairing)
  const hasher = read.passwordHasher ?? scryptHasher({ randomBytes })
  const revocations = createRevocations({
    log: store.revocations,
    bus,
    clock,
    logger,
    interval: limits.logInterval,
    timeout: limits.lookupTimeout,
    keepSocketsWhenLost,
  })
  const pool = createHashPool({ clock, inFlight: limits.hashesInFlight, queue: limits.hashQueue })
  const failures = createFailures({
    shared: store.failures,
    clock,
    logger,
    maxEntries: limits.failureEntries,
    waiting: limits.lookupsInFlight,
  })
  const { cacheEntries, cacheAge, lookupsInFlight, lookupTimeout } = limits
  const bounds = { clock, revocations, cacheEntries, lookupsInFlight, lookupTimeout }
  const touching = { clock, logger, delay: limits.touchDelay }

  const lifetimes = { idle: limits.sessionIdle, absolute: limits.sessionAbsolute }
  // Look a used session up often enough that it never appears idle.
  const sessionAge = Math.min(cacheAge, Math.floor(limits.sessionIdle / 4))
  const sessionTouches = createTouches({ ...touching, write: store.sessions.touch })
  const sessionVerifier = createTokenVerifier({
    ...bounds,
    prefix: 'ugs',
    noun: 'session',
    cacheAge: sessionAge,
    find: createSessionFinder(store),
    judge: createSessionJudge({
      accounts: store.accounts,
      clock,
      touches: sessionTouches,
      lifetimes,
      touchAge: Math.floor(sessionAge / 2),
    }),
  })

  const judging = { accounts: store.accounts, clock, touchAge: Math.floor(cacheAge / 2) }
  const keyTouches = createTouches({ ...touching, write: store.keys.touch })
  const keyVerifier = createTokenVerifier({
    ...bounds,
    prefix: 'ugk',
    noun: 'API key',
    cacheAge,
    find: store.keys.get,
    judge: createTokenJudge({ ...judging, scheme: 'api-key', kind: 'service', touches: keyTouches }),
  })
  const deviceTouches = createTouches({ ...touching, write: store.devices.touch })
  const deviceVerifier = createTokenVerifier({
    ...bounds,
    prefix: 'ugd',
    noun: 'device token',
    cacheAge,
    find: store.devices.get,
    judge: createTokenJudge({ ...judging, scheme: 'device-token', kind: 'device', touches: deviceTouches }),
  })

  const { recognise, ...deviceCookies } = createDeviceCookies({
    accounts: store.accounts,
    secrets: store.secrets,
    secret: deviceCookieSecret,
    logger,
    randomBytes,
    maxEntries: limits.failureEntries,
    lookups: lookupsInFlight,
  })
  const accounts = createAccounts({
    accounts: store.accounts,
    sessions: store.sessions,
    clock,
    logger,
    revocations,
    hasher,
    pool,
    randomBytes,
    login: createLogin({
      accounts: store.accounts,
      recognise,
      failures,
      logger,
      hasher,
      pool,
      randomBytes,
    }),
    forget(selector: RevocationSelector) {
      sessionVerifier.forget(selector)
      keyVerifier.forget(selector)
    },
  })
  const { endSessions: _, ...publicAccounts } = accounts

  const pairing = createPairing({
    store: store.pairings,
    devices: store.devices,
    clock,
    logger,
    revocations,
    randomBytes,
    failures,
    forget: deviceVerifier.forget,
    judge: createTokenJudge({ ...judging, scheme: 'device-key', kind: 'device', touches: deviceTouches }),
    options: read.pairing,
  })
  const { close: closePairing, ...publicPairing } = pairing

  return {
    accounts: publicAccounts,
    sessions: createSessions({
      sessions: store.sessions,
      accounts: store.accounts,
      accountService: accounts,
      clock,
      revocations,
      verifier: sessionVerifier,
      perAccount: limits.sessionsPerAccount,
      randomBytes,
      ...lifetimes,
    }),
    deviceCookies,
    keys: createIssuedTokens<ApiKey, NewApiKey>({
      ...apiKeys,
      tokens: store.keys,
      accounts: store.accounts,
      clock,
      revocations,
      verifier: keyVerifier,
      randomBytes,
    }),
    devices: createIssuedTokens<Device, NewDevice>({
      ...deviceTokens,
      tokens: store.devices,
      accounts: store.accounts,
      clock,
      revocations,
      verifier: deviceVerifier,
      randomBytes,
    }),
    pairing: publicPairing,
    tickets: createTickets({ store, clock, revocations, randomBytes, options: read.tickets }),
    revocations,
    async close() {
      revocations.close()
      closePairing()
      await Promise.all([sessionTouches.flush(), keyTouches.flush(), deviceTouches.flush()])
    },
  }
}
