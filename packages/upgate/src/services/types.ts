import type { RevocationBus } from '../core/ports/bus.ts'
import type { Clock } from '../core/ports/clock.ts'
import type { Logger } from '../core/ports/logger.ts'
import type { Store } from '../core/ports/stores.ts'
import type { PasswordHasher } from '../crypto/password.ts'
import type { DeviceCookies } from './accounts/device-cookies.ts'
import type { Accounts } from './accounts/types.ts'
import type { Pairing, PairingOptions } from './pairing/types.ts'
import type { Revocations } from './revocations/types.ts'
import type { TicketOptions, Tickets } from './tokens/tickets.ts'
import type { Devices, Keys, Sessions } from './tokens/types.ts'

/**
 * Bounds; times in milliseconds.
 *
 * @example
 * const services = createServices({ store, limits: { sessionIdle: 86_400_000, sessionsPerAccount: 3 } })
 */
export interface ServiceLimits {
  /**
   * A session ends after so long without use. Default: 7 days; at least a minute.
   *
   * Its live sockets keep the end that was known when they were accepted, and reconnect if the session was
   * used since.
   */
  readonly sessionIdle?: number
  /** A session ends after so long, used or not. Default: 30 days. */
  readonly sessionAbsolute?: number
  /** Sessions per account; the oldest end. Default: 10. */
  readonly sessionsPerAccount?: number
  /** Verified credentials remembered, separately for sessions, keys and devices. Default: 10,000. */
  readonly cacheEntries?: number
  /**
   * Time for which a verified credential is accepted without asking the store. Default: 60,000; at most
   * 60,000.
   */
  readonly cacheAge?: number
  /**
   * Store look-ups in flight, separately for sessions, keys and devices; more are `unavailable`. Default:
   * 256.
   */
  readonly lookupsInFlight?: number
  /** Longest time of a look-up before it is `unavailable`. Default: 5,000. */
  readonly lookupTimeout?: number
  /**
   * Time between readings of the log, which finds entries of other processes without a bus; 0 = never, unless
   * the bus is silent. Default: 1,000.
   */
  readonly logInterval?: number
  /** Time for which uses are collected before they are written. Default: 5,000. */
  readonly touchDelay?: number
  /** Passwords hashed at a time; those of strangers on half of the places, rounded up. Default: 2. */
  readonly hashesInFlight?: number
  /**
   * Passwords that may wait for a hash, separately for clients known from before and for strangers. Default:
   * 16.
   */
  readonly hashQueue?: number
  /**
   * Counts of failed attempts that this process keeps if there are no shared ones, or while those cannot be
   * reached. Default: 10,000.
   */
  readonly failureEntries?: number
}

/** Options of {@link createServices}. Unknown options throw. */
export interface ServicesOptions {
  /** Keeps the records: `memoryStore`, or a store of `upgate/sql`. Required. */
  readonly store: Store
  /**
   * Tells other instances of revocations at once: `postgresBus` of upgate/sql or `redisBus` of upgate/redis.
   * Default: none; a revocation of another process then takes effect when the log is read
   * (`limits.logInterval`).
   */
  readonly bus?: RevocationBus
  /**
   * Keeps live sockets open when the log could not be read for a minute. They were proved once, and may have
   * been revoked since: use it only where an outage is worse than a revoked client that stays. Default:
   * false.
   */
  readonly dangerouslyKeepSocketsWhenCutOff?: boolean
  /** Default: the clock of the machine. Tests use `manualClock` of `upgate/testing`. */
  readonly clock?: Clock
  /** Default: Node's warnings, as `process.on('warning')` sees them. */
  readonly logger?: Logger
  /** Cryptographically random bytes. Default: node:crypto. */
  readonly randomBytes?: (size: number) => Uint8Array
  /** Default: {@link scryptHasher}. */
  readonly passwordHasher?: PasswordHasher
  /**
   * Key that signs device cookies, at least 32 characters. Default: one that is created once and kept in the
   * store; if the store keeps no secrets, one that ends with the process.
   */
  readonly deviceCookieSecret?: string
  /** Lifetimes, cache and queues; each has a default. */
  readonly limits?: ServiceLimits
  /** Options of pairing: roles, approvers and numbers of waiting requests. */
  readonly pairing?: PairingOptions
  /** Lifetime and number of tickets. */
  readonly tickets?: TicketOptions
}

/** Services on records, over one store. */
export interface Services {
  /** People that may log in: passwords, scopes, roles. */
  readonly accounts: Accounts
  /** Logins of browsers, for `sessionCookie`. */
  readonly sessions: Sessions
  /** Cookies by which a login recognises a browser that logged in before. */
  readonly deviceCookies: DeviceCookies
  /** API keys, for `apiKey`. */
  readonly keys: Keys
  /** Device tokens, for `deviceToken`. */
  readonly devices: Devices
  /** Pairing requests of devices, for `deviceKey` and `claimSecret`. */
  readonly pairing: Pairing
  /** Single-use tickets for WebSockets, for `ticket`. */
  readonly tickets: Tickets
  /** The numbered log of revocations, as this instance knows it. */
  readonly revocations: Revocations
  /** Cancels timers and writes the uses collected so far. The store stays open: its creator closes it. */
  close(): Promise<void>
}
