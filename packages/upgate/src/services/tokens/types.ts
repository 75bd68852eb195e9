import type { MaybePromise, Verification } from '../../core/contract/credential.ts'
import type { RevocationFeed, RevocationReason } from '../../core/ports/revocations.ts'

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
