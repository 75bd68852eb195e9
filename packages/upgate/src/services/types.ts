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

/** An account as services show it: without the password hash. */
export interface Account {
  readonly id: string
  readonly email: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly disabledAt: number | undefined
  /** Identities of an edge issued before, in milliseconds since the epoch, do not count; see {@link Accounts.endAccess}. */
  readonly notBefore: number | undefined
  readonly hasPassword: boolean
}

/** Why an account was not created or changed. */
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

/** Where a login comes from. */
export interface LoginContext {
  /** Canonical; absent when unknown or not trustworthy: such logins share one failure count per account. */
  readonly clientAddress?: string | undefined
  /** The device cookie that came with the request, or several of its name, as they are; see {@link DeviceCookies}. */
  readonly deviceCookie?: DeviceCookieValue
  /**
   * The `Origin` of the page, once the gate let it through. Where the address is unknown, as on localhost, pages are
   * told apart by it.
   */
  readonly origin?: string | undefined
  /** Verify, but count no failure and rehash nothing. */
  readonly dryRun?: boolean | undefined
}

/**
 * Whose a password is, with facts for the operator. Tell the client the outcome alone: the rest says whether an account
 * exists, and whether it is locked.
 */
export type LoginAnswer = Verification & {
  /** Whether the client logged in to this account before: by its device cookie, or from its address. */
  readonly known: boolean
  /**
   * `none` came; `good`: it counts; `void`: it is forged, of another account, or ended; `spent`: this wrong password was
   * its tenth, and it does not count any more.
   */
  readonly deviceCookie: 'none' | 'good' | 'void' | 'spent'
  /** What is locked, where the outcome is `throttled`: this account from here, this address, or this account for strangers. */
  readonly locked?: 'pair' | 'address' | 'account' | undefined
}

/** People who may log in. Rejects with `StoreUnavailable` when the store cannot answer. */
export interface Accounts {
  create(account: NewAccount): Promise<AccountResult>
  /** Creates only if there is no account at all: of any number of concurrent set-ups one succeeds. */
  createFirst(account: NewAccount): Promise<AccountResult>
  /** Whether there is any account; a store that cannot answer rejects, it never says no. */
  any(): Promise<boolean>
  get(id: string): Promise<Account | undefined>
  /** Finds by address, however it is spelled (case, Unicode form, white space around it). */
  byEmail(email: string): Promise<Account | undefined>
  list(): Promise<readonly Account[]>
  /** Sets a password and ends the account's sessions and password-proved sockets. */
  setPassword(id: string, password: string): Promise<AccountResult>
  /** Replaces scopes and, where given, roles. Taking any away ends what is live. */
  setScopes(id: string, scopes: readonly string[], roles?: readonly string[]): Promise<AccountResult>
  /** Shuts the account out at once: sessions, keys that act for it, live sockets. */
  disable(id: string): Promise<AccountResult>
  enable(id: string): Promise<AccountResult>
  /**
   * Ends whatever the person is logged in with, and leaves the account open: sessions, live sockets, and identities
   * that an edge issued until now, which would otherwise come back until they expire. Keys stay. They have to log in
   * anew, at the edge as well.
   */
  endAccess(id: string): Promise<AccountResult>
  /**
   * Says whose a password is. Never rejects.
   *
   * Locked per account and address after 10 failures in a minute (`throttled`); an unknown account costs what a
   * known one costs; at most 2 passwords are hashed at a time, and 16 wait (`unavailable`). Clients that logged in to
   * the account before, known by their device cookie or their address, have a place of their own, and a queue; strangers
   * take turns by network. Failures of others do not lock out a client with a device cookie.
   */
  login(email: string, password: string, context?: LoginContext): Promise<LoginAnswer>
  readonly revocations: RevocationFeed
}

/** A session as services show it: without its digest. */
export interface SessionInfo {
  readonly id: string
  readonly accountId: string
  readonly createdAt: number
  readonly lastSeenAt: number
  /** When it ends if it is not used any more, in milliseconds since the epoch. */
  readonly expiresAt: number
  /** When it ends in any case, in milliseconds since the epoch. */
  readonly endsAt: number
  readonly label: string | undefined
  readonly clientAddress: string | undefined
}

export interface NewSession {
  /** For people: which browser it is; cut at 200 characters. */
  readonly label?: string | undefined
  readonly clientAddress?: string | undefined
  /**
   * The session token that the browser sent with the login, or several of one name: those sessions end, with their live
   * sockets, since the browser forgets them for the new one. What is no valid token is ignored, and what is beyond four.
   */
  readonly replaces?: string | readonly string[] | undefined
}

/** Logins. Management rejects with `StoreUnavailable` when the store cannot answer. */
export interface Sessions {
  /**
   * Begins a session; the token is shown only here. The account's oldest sessions beyond the limit end.
   * `undefined` when the account is unknown or disabled.
   */
  create(accountId: string, options?: NewSession): Promise<IssuedSession | undefined>
  list(accountId: string): Promise<readonly SessionInfo[]>
  /** Ends one session and its live sockets. False when there was none. */
  revoke(id: string, reason?: RevocationReason): Promise<boolean>
  /**
   * Gives a session a new token, as is due when its privileges grow: whoever knew the old one does not get them.
   *
   * The old token counts until the grace ends, for requests that are under way. Live sockets end, and come back.
   */
  rotate(id: string, options?: RotateSession): Promise<SessionRotation>
  /** Ends all sessions of an account and their live sockets. */
  revokeAll(accountId: string, reason?: RevocationReason): Promise<void>
  /** Says whose a session token is; synchronous when it was verified within the last minute. Never rejects. */
  verify(token: string): MaybePromise<Verification>
  /** Whether a string has the form of a session token; looks at nothing but the form. */
  claims(token: string): boolean
  readonly revocations: RevocationFeed
}

export interface IssuedSession {
  /** The secret. It is not stored and cannot be shown again. */
  readonly token: string
  readonly session: SessionInfo
}

/** Why nothing was rotated. */
export type RotationRefusalCode =
  | 'unknown_credential'
  | 'revoked_credential'
  | 'expired_credential'
  | 'account_disabled'
  /** The overlap of the rotation before has not ended: a third token would end the first one early. */
  | 'rotation_pending'

export interface RotationRefusal {
  readonly outcome: 'refused'
  readonly code: RotationRefusalCode
  /** A sentence for people. */
  readonly reason: string
}

export interface RotateSession {
  /** Milliseconds for which the old token counts, too; 0 to 60,000. Default: 10,000. */
  readonly grace?: number
}

/** The answer to rotating a session. */
export type SessionRotation = ({ readonly outcome: 'done' } & IssuedSession) | RotationRefusal

export interface RotateToken {
  /**
   * Milliseconds for which the old token counts, too; 0 to 30 days. Default: 0: it ends at once, as is due for one
   * that leaked.
   */
  readonly overlap?: number
}

/** The answer to rotating a key or device. */
export type TokenRotation<T> =
  | ({
      readonly outcome: 'done'
      /** Until when the old token counts, in milliseconds since the epoch. */
      readonly previousUntil: number
    } & Issued<T>)
  | RotationRefusal

/** A key or device as services show it: without its digest. */
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
  /** Exact names. Empty = it may do nothing that asks for a scope. Default: none. */
  readonly scopes?: readonly string[] | undefined
  /** Milliseconds since the epoch. Default: it does not expire. */
  readonly expiresAt?: number | undefined
  /** Who creates it, for the audit. */
  readonly createdBy?: string | undefined
}

export interface NewApiKey extends NewToken {
  readonly roles?: readonly string[] | undefined
  /**
   * Account the key acts for: principals are that user, with the scopes and roles that both key and account
   * hold. Absent: principals are a service named by the key's id.
   */
  readonly accountId?: string | undefined
}

export interface NewDevice extends NewToken {
  /** Default: `node`. */
  readonly role?: string | undefined
}

/** A credential just made. */
export interface Issued<T> {
  readonly id: string
  /** The secret. It is not stored and cannot be shown again. */
  readonly token: string
  readonly record: T
}

/** API keys, or devices. Management rejects with `StoreUnavailable` when the store cannot answer. */
export interface TokenService<T, N> {
  /** Throws a `TypeError` for an empty name or a scope that is not an RFC 6749 scope token. */
  create(token: N): Promise<Issued<T>>
  get(id: string): Promise<T | undefined>
  /** In order of creation. Revoked ones are left out unless asked for. */
  list(options?: { readonly revoked?: boolean }): Promise<readonly T[]>
  /** `undefined` when there is none of that id; likewise below. */
  rename(id: string, name: string): Promise<T | undefined>
  /** Replaces the scopes. Taking any away ends what is live. */
  setScopes(id: string, scopes: readonly string[]): Promise<T | undefined>
  /** Sets or clears the expiry. Bringing it forward ends what is live. */
  setExpiry(id: string, expiresAt: number | undefined): Promise<T | undefined>
  /**
   * Gives it a new token under the same id, with the same rights and the same end. Live sockets end, and come back
   * with either token; those of the old one end with the overlap, whatever happens.
   */
  rotate(id: string, options?: RotateToken): Promise<TokenRotation<T>>
  /** Ends it for good, with its live sockets. Revoking twice changes nothing. */
  revoke(id: string): Promise<T | undefined>
  /** Says whose a token is; synchronous when it was verified within the last minute. Never rejects. */
  verify(token: string): MaybePromise<Verification>
  /** Whether a string has the form of such a token; looks at nothing but the form. */
  claims(token: string): boolean
  readonly revocations: RevocationFeed
}

export type Keys = TokenService<ApiKey, NewApiKey>
export type Devices = TokenService<Device, NewDevice>

/** Bounds; times in milliseconds. */
export interface ServiceLimits {
  /**
   * A session not used for so long ends. Default: 7 days; at least a minute.
   *
   * Its live sockets end at the end that was known when they were accepted, and come back if it was used since.
   */
  readonly sessionIdle?: number
  /** A session ends after so long whatever the activity. Default: 30 days. */
  readonly sessionAbsolute?: number
  /** Sessions per account; the oldest go. Default: 10. */
  readonly sessionsPerAccount?: number
  /** Verified credentials remembered, each of sessions, keys and devices. Default: 10,000. */
  readonly cacheEntries?: number
  /** How long a verified credential is believed without asking the store. Default: 60,000; at most 60,000. */
  readonly cacheAge?: number
  /** Store look-ups in flight, each of sessions, keys and devices; more are `unavailable`. Default: 256. */
  readonly lookupsInFlight?: number
  /** How long a look-up may take before it is `unavailable`. Default: 5,000. */
  readonly lookupTimeout?: number
  /**
   * How often the log is read for what other processes appended, besides when the bus says so; 0 = never, unless the
   * bus is silent. Default: 1,000.
   */
  readonly logInterval?: number
  /** How long uses are collected before they are written. Default: 5,000. */
  readonly touchDelay?: number
  /** Passwords hashed at a time; those of strangers on half of the places, rounded up. Default: 2. */
  readonly hashesInFlight?: number
  /** Passwords that may wait for that, of clients known from before and of strangers each. Default: 16. */
  readonly hashQueue?: number
  /** Counts of failed attempts that this process keeps, where none are shared, or while they are away. Default: 10,000. */
  readonly failureEntries?: number
}

export interface ServicesOptions {
  readonly store: Store
  /**
   * How other instances are told of revocations at once: `postgresBus` of upgate/sql or `redisBus` of upgate/redis.
   * Default: none; what another process revokes takes effect when the log is read (`limits.logInterval`).
   */
  readonly bus?: RevocationBus
  /**
   * Keeps live sockets open when the log could not be read for a minute. They were proved once, and may have been
   * revoked since: only for where an outage hurts more than a guest who stays too long. Default: false.
   */
  readonly dangerouslyKeepSocketsWhenCutOff?: boolean
  readonly clock?: Clock
  /** Default: silent. */
  readonly logger?: Logger
  /** Cryptographically random bytes. Default: node:crypto. */
  readonly randomBytes?: (size: number) => Uint8Array
  /** Default: {@link scryptHasher}. */
  readonly passwordHasher?: PasswordHasher
  /**
   * Key that signs device cookies, at least 32 characters. Default: one that is made once and kept in the store; where a
   * store keeps none, one that ends with the process.
   */
  readonly deviceCookieSecret?: string
  readonly limits?: ServiceLimits
  /** Who may be paired, by whom, and how many may wait. */
  readonly pairing?: PairingOptions
  readonly tickets?: TicketOptions
}

/** What is done with records, over one store. */
export interface Services {
  readonly accounts: Accounts
  readonly sessions: Sessions
  readonly deviceCookies: DeviceCookies
  readonly keys: Keys
  readonly devices: Devices
  readonly pairing: Pairing
  readonly tickets: Tickets
  readonly revocations: Revocations
  /** Cancels timers and writes the uses collected so far. The store stays open: it is its maker's. */
  close(): Promise<void>
}
