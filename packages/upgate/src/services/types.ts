import type { MaybePromise, Verification } from '../core/contract/credential.ts'
import type { RevocationBus } from '../core/ports/bus.ts'
import type { Clock } from '../core/ports/clock.ts'
import type { Logger } from '../core/ports/logger.ts'
import type { RevocationFeed, RevocationReason } from '../core/ports/revocations.ts'
import type { Store } from '../core/ports/stores.ts'
import type { PasswordHasher } from '../crypto/password.ts'
import type { DeviceCookies, DeviceCookieValue } from './accounts/device-cookies.ts'
import type { Pairing, PairingOptions } from './pairing/types.ts'
import type { Revocations } from './revocations/types.ts'
import type { TicketOptions, Tickets } from './tokens/tickets.ts'

/** An account as the services show it: without the password hash. */
export interface Account {
  readonly id: string
  readonly email: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly disabledAt: number | undefined
  /**
   * Identities that an edge issued before this time, in milliseconds since the epoch, do not count; see
   * {@link Accounts.endAccess}.
   */
  readonly notBefore: number | undefined
  readonly hasPassword: boolean
}

/** Reasons for which an account was not created or changed. */
export type AccountRefusalCode =
  | 'invalid_email'
  | 'email_taken'
  | 'accounts_exist'
  | 'password_too_short'
  | 'password_too_long'
  | 'unknown_account'
  /** Too many passwords are being hashed; try again after a second. */
  | 'over_capacity'

/** The answer to creating or changing an account. */
export type AccountResult =
  | { readonly outcome: 'done'; readonly account: Account }
  /** `reason` is a sentence for people. */
  | { readonly outcome: 'refused'; readonly code: AccountRefusalCode; readonly reason: string }

export interface NewAccount {
  readonly email: string
  /** 12 characters to 1,024 UTF-8 bytes; absent = no login by password (an identity of the edge only). */
  readonly password?: string | undefined
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
}

/** Origin of a login: address, device cookie and page. */
export interface LoginContext {
  /** Canonical; absent when unknown or not trustworthy: such logins share one failure count per account. */
  readonly clientAddress?: string | undefined
  /** The device cookie of the request, unchanged, or several with its name; see {@link DeviceCookies}. */
  readonly deviceCookie?: DeviceCookieValue
  /**
   * The `Origin` of the page, once the gate let it through. It distinguishes pages where the address is
   * unknown, as on localhost.
   */
  readonly origin?: string | undefined
  /** Verify, but count no failure and rehash nothing. Default: false. */
  readonly dryRun?: boolean | undefined
}

/**
 * Answer to a login, with facts for the operator. Tell the client the outcome alone: the other fields reveal
 * whether an account exists, and whether it is locked.
 */
export type LoginAnswer = Verification & {
  /** Whether the client logged in to this account before: by its device cookie, or from its address. */
  readonly known: boolean
  /**
   * `none`: no cookie came. `good`: it counts. `void`: it is forged, of another account, or ended. `spent`:
   * this wrong password was its tenth, and it no longer counts.
   */
  readonly deviceCookie: 'none' | 'good' | 'void' | 'spent'
  /**
   * The lock behind the outcome `throttled`: this account from this address, this address, or this account
   * for strangers.
   */
  readonly locked?: 'pair' | 'address' | 'account' | undefined
}

/** Accounts of people that may log in. Rejects with `StoreUnavailable` when the store cannot answer. */
export interface Accounts {
  create(account: NewAccount): Promise<AccountResult>
  /** Creates an account only if there is none at all: one of several concurrent set-ups succeeds. */
  createFirst(account: NewAccount): Promise<AccountResult>
  /** Whether any account exists. A store that cannot answer rejects; it never says false. */
  any(): Promise<boolean>
  get(id: string): Promise<Account | undefined>
  /** Finds an account by its address, in any spelling (case, Unicode form, white space around it). */
  byEmail(email: string): Promise<Account | undefined>
  list(): Promise<readonly Account[]>
  /** Sets a password and ends the account's sessions and the sockets that were proved by password. */
  setPassword(id: string, password: string): Promise<AccountResult>
  /**
   * Replaces scopes and, if given, roles. Removing any of them ends the account's sessions and live sockets.
   */
  setScopes(id: string, scopes: readonly string[], roles?: readonly string[]): Promise<AccountResult>
  /** Shuts the account out at once: sessions, keys that act for it, live sockets. */
  disable(id: string): Promise<AccountResult>
  enable(id: string): Promise<AccountResult>
  /**
   * Ends every login of the account, and leaves the account open: sessions, live sockets, and identities that
   * an edge issued until now, which would otherwise return until they expire. Keys stay. The person has to
   * log in again, at the edge as well.
   */
  endAccess(id: string): Promise<AccountResult>
  /**
   * Verifies a password and answers with its account's principal. Never rejects.
   *
   * Ten failures in a minute lock a pair of account and address (`throttled`). An unknown account costs as
   * much time as a known one. At most 2 passwords are hashed at a time, and 16 wait (`unavailable`). Clients
   * that logged in to the account before, recognised by device cookie or address, have separate places and a
   * separate queue; strangers take turns by network. Failures of others do not lock out a client with a
   * device cookie.
   *
   * @param email - in any spelling
   * @param password - as typed; it is normalised (NFKC)
   * @param context - facts of the request; default: all unknown
   */
  login(email: string, password: string, context?: LoginContext): Promise<LoginAnswer>
  readonly revocations: RevocationFeed
}

/** A session as the services show it: without its digest. */
export interface SessionInfo {
  readonly id: string
  readonly accountId: string
  readonly createdAt: number
  readonly lastSeenAt: number
  /** Milliseconds since the epoch at which it ends if it is not used any more. */
  readonly expiresAt: number
  /** Milliseconds since the epoch at which it ends, used or not. */
  readonly endsAt: number
  readonly label: string | undefined
  readonly clientAddress: string | undefined
}

export interface NewSession {
  /** Name of the browser, for people; cut at 200 characters. */
  readonly label?: string | undefined
  readonly clientAddress?: string | undefined
  /**
   * The session token that the browser sent with the login, or several of one name. Those sessions end, with
   * their live sockets, because the browser replaces them by the new one. Invalid tokens are ignored, and
   * tokens beyond four.
   */
  readonly replaces?: string | readonly string[] | undefined
}

/** Logins. Management rejects with `StoreUnavailable` when the store cannot answer. */
export interface Sessions {
  /**
   * Begins a session; only this answer shows the token. The account's oldest sessions beyond the limit end.
   * `undefined` when the account is unknown or disabled.
   */
  create(accountId: string, options?: NewSession): Promise<IssuedSession | undefined>
  list(accountId: string): Promise<readonly SessionInfo[]>
  /** Ends one session and its live sockets. False when there was none. */
  revoke(id: string, reason?: RevocationReason): Promise<boolean>
  /**
   * Gives a session a new token. Do this when its privileges grow: a thief of the old token must not get
   * them.
   *
   * The old token counts until the grace ends, for requests under way. Live sockets end and reconnect.
   */
  rotate(id: string, options?: RotateSession): Promise<SessionRotation>
  /** Ends all sessions of an account and their live sockets. */
  revokeAll(accountId: string, reason?: RevocationReason): Promise<void>
  /**
   * Verifies a session token and answers with its account's principal. Synchronous when the token was
   * verified within the last minute. Never rejects.
   */
  verify(token: string): MaybePromise<Verification>
  /** Whether a string has the form of a session token. Checks the form alone. */
  claims(token: string): boolean
  readonly revocations: RevocationFeed
}

export interface IssuedSession {
  /** The secret. It is not stored and cannot be shown again. */
  readonly token: string
  readonly session: SessionInfo
}

/** Reasons for which nothing was rotated. */
export type RotationRefusalCode =
  | 'unknown_credential'
  | 'revoked_credential'
  | 'expired_credential'
  | 'account_disabled'
  /** The overlap of the previous rotation has not ended: a third token would end the first one early. */
  | 'rotation_pending'

export interface RotationRefusal {
  readonly outcome: 'refused'
  readonly code: RotationRefusalCode
  /** A sentence for people. */
  readonly reason: string
}

export interface RotateSession {
  /** Milliseconds for which the old token counts as well; 0 to 60,000. Default: 10,000. */
  readonly grace?: number
}

/** The answer to rotating a session. */
export type SessionRotation = ({ readonly outcome: 'done' } & IssuedSession) | RotationRefusal

export interface RotateToken {
  /**
   * Milliseconds for which the old token counts as well; 0 to 30 days. Default: 0: it ends at once, as it
   * must after a leak.
   */
  readonly overlap?: number
}

/** The answer to rotating a key or device. */
export type TokenRotation<T> =
  | ({
      readonly outcome: 'done'
      /** Milliseconds since the epoch until which the old token counts. */
      readonly previousUntil: number
    } & Issued<T>)
  | RotationRefusal

/** A key or device as the services show it: without its digest. */
export interface TokenInfo {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly accountId: string | undefined
  readonly createdBy: string | undefined
  readonly createdAt: number
  readonly expiresAt: number | undefined
  /** To about a minute. */
  readonly lastUsedAt: number | undefined
  readonly revokedAt: number | undefined
}

export interface ApiKey extends TokenInfo {
  readonly roles: readonly string[]
}

export interface Device extends TokenInfo {
  readonly role: string
}

interface NewToken {
  /** For people; 1 to 100 characters. */
  readonly name: string
  /** Exact names. An empty list grants nothing that needs a scope. Default: none. */
  readonly scopes?: readonly string[] | undefined
  /** Milliseconds since the epoch. Default: it does not expire. */
  readonly expiresAt?: number | undefined
  /** Creator of the token, for the audit. */
  readonly createdBy?: string | undefined
}

export interface NewApiKey extends NewToken {
  readonly roles?: readonly string[] | undefined
  /**
   * Account that the key acts for: its principal is that user, with the scopes and roles that both key and
   * account hold. Absent: its principal is a service named by the key's id.
   */
  readonly accountId?: string | undefined
}

export interface NewDevice extends NewToken {
  /** Default: `node`. */
  readonly role?: string | undefined
}

/** A credential just created. */
export interface Issued<T> {
  readonly id: string
  /** The secret. It is not stored and cannot be shown again. */
  readonly token: string
  readonly record: T
}

/** API keys, or devices. Management rejects with `StoreUnavailable` when the store cannot answer. */
export interface TokenService<T, N> {
  /**
   * Issues a token. Rejects with a `TypeError` for an empty name or a scope that is not an RFC 6749 scope
   * token.
   */
  create(token: N): Promise<Issued<T>>
  get(id: string): Promise<T | undefined>
  /** Lists tokens in order of creation. Revoked ones are left out by default. */
  list(options?: { readonly revoked?: boolean }): Promise<readonly T[]>
  /** Renames a token. `undefined` when no token has the id; the same holds for the methods below. */
  rename(id: string, name: string): Promise<T | undefined>
  /** Replaces the scopes. Removing one ends the token's live sockets. */
  setScopes(id: string, scopes: readonly string[]): Promise<T | undefined>
  /** Sets or clears the expiry. An earlier expiry ends the token's live sockets. */
  setExpiry(id: string, expiresAt: number | undefined): Promise<T | undefined>
  /**
   * Gives the token's record a new secret under the same id, with the same rights and the same expiry. Live
   * sockets end, and reconnect with either token; those of the old token end with the overlap in any case.
   */
  rotate(id: string, options?: RotateToken): Promise<TokenRotation<T>>
  /** Ends the token and its live sockets, and cannot be undone. Revoking twice changes nothing. */
  revoke(id: string): Promise<T | undefined>
  /**
   * Verifies a token and answers with its principal. Synchronous when the token was verified within the last
   * minute. Never rejects.
   */
  verify(token: string): MaybePromise<Verification>
  /** Whether a string has the form of such a token. Checks the form alone. */
  claims(token: string): boolean
  readonly revocations: RevocationFeed
}

export type Keys = TokenService<ApiKey, NewApiKey>
export type Devices = TokenService<Device, NewDevice>

/** Bounds; times in milliseconds. */
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

export interface ServicesOptions {
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
  readonly limits?: ServiceLimits
  /** Options of pairing: roles, approvers and numbers of waiting requests. */
  readonly pairing?: PairingOptions
  readonly tickets?: TicketOptions
}

/** Services on records, over one store. */
export interface Services {
  readonly accounts: Accounts
  readonly sessions: Sessions
  readonly deviceCookies: DeviceCookies
  readonly keys: Keys
  readonly devices: Devices
  readonly pairing: Pairing
  readonly tickets: Tickets
  readonly revocations: Revocations
  /** Cancels timers and writes the uses collected so far. The store stays open: its creator closes it. */
  close(): Promise<void>
}
