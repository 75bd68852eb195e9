import type { MaybePromise, Verification } from '../../core/contract/credential.ts'
import type { RevocationFeed, RevocationReason } from '../../core/ports/revocations.ts'
import type { ListPage, PageOptions } from '../pages.ts'
import type { ImportedToken, ImportOptions, ImportProgress } from './import-tokens.ts'

/** A session as the services show it: without its digest. */
export interface SessionInfo {
  /** Public: fit for logs and pages. */
  readonly id: string
  /** The account that logged in. */
  readonly accountId: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Milliseconds since the epoch, to about a minute. */
  readonly lastSeenAt: number
  /** Milliseconds since the epoch at which it ends if it is not used any more. */
  readonly expiresAt: number
  /** Milliseconds since the epoch at which it ends, used or not. */
  readonly endsAt: number
  /** Name of the browser, for people. */
  readonly label: string | undefined
  /** Canonical address of the login; `undefined` where it was not known. */
  readonly clientAddress: string | undefined
}

/** Facts of a login, and the sessions that it replaces. */
export interface NewSession {
  /** Name of the browser, for people; cut at 200 characters. */
  readonly label?: string | undefined
  /** Canonical address of the client, for people: `clientAddressOf` of `upgate/node`. */
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
   *
   * @param accountId - account that has just logged in
   * @param options - label, address, and the session that the browser sent
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * const issued = await services.sessions.create(accountId, { replaces: cookie.read(request) })
   * if (issued) response.appendHeader('set-cookie', cookie.setCookie(issued))
   */
  create(accountId: string, options?: NewSession): Promise<IssuedSession | undefined>
  /**
   * The live sessions of an account, newest first.
   *
   * @param accountId - account whose sessions are listed
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  list(accountId: string): Promise<readonly SessionInfo[]>
  /**
   * A page of the list above.
   *
   * @param accountId - account whose sessions are listed
   * @param options - `after` and `limit`
   * @throws TypeError (as a rejection) for a limit out of range
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  page(accountId: string, options?: PageOptions): Promise<ListPage<SessionInfo>>
  /**
   * Ends one session and its live sockets. False when there was none.
   *
   * @param id - of the session, as `list` shows it
   * @param reason - close reason of its sockets. Default: `logged_out`
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * await services.sessions.revoke(principal.sessionId)
   */
  revoke(id: string, reason?: RevocationReason): Promise<boolean>
  /**
   * Gives a session a new token. Do this when its privileges grow: a thief of the old token must not get
   * them.
   *
   * The old token counts until the grace ends, for requests under way. Live sockets end and reconnect.
   *
   * @param id - of the session
   * @param options - `grace`, in milliseconds
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  rotate(id: string, options?: RotateSession): Promise<SessionRotation>
  /**
   * Ends all sessions of an account and their live sockets.
   *
   * @param accountId - account that is logged out everywhere
   * @param reason - close reason of the sockets. Default: `revoked`
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  revokeAll(accountId: string, reason?: RevocationReason): Promise<void>
  /**
   * Verifies a session token and answers with its account's principal. Synchronous when the token was
   * verified within the last minute. Never rejects.
   */
  verify(token: string): MaybePromise<Verification>
  /** Whether a string has the form of a session token. Checks the form alone. */
  claims(token: string): boolean
  /** The revocations of sessions and their accounts; `sessionCookie` passes them to the gate. */
  readonly revocations: RevocationFeed
}

/** A session just created or rotated. */
export interface IssuedSession {
  /** The secret. It is not stored and cannot be shown again. */
  readonly token: string
  /** The session, without its secret. */
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

/** A refused rotation: the old credential stays as it is. */
export interface RotationRefusal {
  /** Nothing was changed. */
  readonly outcome: 'refused'
  /** Stable: programs compare it. */
  readonly code: RotationRefusalCode
  /** A sentence for people. */
  readonly reason: string
}

/** Options of rotating a session. */
export interface RotateSession {
  /** Milliseconds for which the old token counts as well; 0 to 60,000. Default: 10,000. */
  readonly grace?: number
}

/** The answer to rotating a session. */
export type SessionRotation = ({ readonly outcome: 'done' } & IssuedSession) | RotationRefusal

/** Options of rotating a key or a device token. */
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
  /** Public: fit for logs and pages. Of a device also its node id. */
  readonly id: string
  /** For people. */
  readonly name: string
  /** Exact scope names that it grants. */
  readonly scopes: readonly string[]
  /** Account that it acts for; `undefined` = it acts for itself. */
  readonly accountId: string | undefined
  /** The creating principal, for the audit. */
  readonly createdBy: string | undefined
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Milliseconds since the epoch; `undefined` = it does not expire. */
  readonly expiresAt: number | undefined
  /** To about a minute. */
  readonly lastUsedAt: number | undefined
  /** Milliseconds since the epoch; `undefined` = it is not revoked. */
  readonly revokedAt: number | undefined
}

/** An API key as the services show it. */
export interface ApiKey extends TokenInfo {
  /** Roles that it grants. */
  readonly roles: readonly string[]
}

/** A device as the services show it. */
export interface Device extends TokenInfo {
  /** The one role of the device. */
  readonly role: string
  /** Hex SHA-256 of the public key that counts for it; `undefined` = it has only its token. */
  readonly keyId: string | undefined
  /** How it got the key: by pairing, or by the first use of its token. */
  readonly keyFrom: 'pairing' | 'first-use' | undefined
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

/** An API key to be created. */
export interface NewApiKey extends NewToken {
  /** Default: none. */
  readonly roles?: readonly string[] | undefined
  /**
   * Account that the key acts for: its principal is that user, with the scopes and roles that both key and
   * account hold. Absent: its principal is a service named by the key's id.
   */
  readonly accountId?: string | undefined
}

/** A device to be created. */
export interface NewDevice extends NewToken {
  /** Default: `node`. */
  readonly role?: string | undefined
}

/** A credential just created. */
export interface Issued<T> {
  /** Public id of the record. */
  readonly id: string
  /** The secret. It is not stored and cannot be shown again. */
  readonly token: string
  /** The record, without its secret. */
  readonly record: T
}

/** API keys, or devices. Management rejects with `StoreUnavailable` when the store cannot answer. */
export interface TokenService<T, N> {
  /**
   * Issues a token. Rejects with a `TypeError` for an empty name or a scope that is not an RFC 6749 scope
   * token.
   *
   * @param token - `name` is required
   * @returns the record, and the secret, which only this answer shows
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * const { token } = await services.keys.create({ name: 'backup', scopes: ['files.read'] })
   */
  create(token: N): Promise<Issued<T>>
  /** One token by its id, revoked and expired ones included. */
  get(id: string): Promise<T | undefined>
  /**
   * Lists tokens in order of creation. Revoked ones are left out by default.
   *
   * @param options - `revoked: true` lists revoked tokens as well. Default: false
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  list(options?: { readonly revoked?: boolean }): Promise<readonly T[]>
  /**
   * A page of the list above: for pages and programs, where there may be many.
   *
   * @param options - `after`, `limit`, and `revoked` as for `list`
   * @throws TypeError (as a rejection) for a limit out of range
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * const { items, next } = await services.keys.page({ after: url.searchParams.get('after') ?? undefined })
   */
  page(options?: PageOptions & { readonly revoked?: boolean }): Promise<ListPage<T>>
  /**
   * Imports the records of tokens that exist already, such as those of another store, in slices. A record whose id is
   * there stays as it is, so that an import that was stopped is simply repeated.
   *
   * Each record is checked. It grants its own scopes and roles: import only records that you trust like the store itself.
   *
   * @param records - an array, or any iterable, also an asynchronous one: a million need not fit into memory
   * @param options - `signal`, `onProgress` and `slice`
   * @returns the numbers of records read, added and present
   * @throws TypeError (as a rejection) for a record that cannot be one, and names its number. Slices before it are kept
   * @throws StoreUnavailable (as a rejection) when the store cannot answer; the reason of `signal` when it is aborted.
   * Slices that `onProgress` reported are kept
   * @example
   * const { added } = await services.keys.import(records, { onProgress: ({ read }) => console.log(read) })
   */
  import(
    records: Iterable<ImportedToken> | AsyncIterable<ImportedToken>,
    options?: ImportOptions,
  ): Promise<ImportProgress>
  /**
   * Renames a token. `undefined` when no token has the id; the same holds for the methods below.
   *
   * @param id - of the token
   * @param name - for people; 1 to 100 characters
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  rename(id: string, name: string): Promise<T | undefined>
  /**
   * Replaces the scopes. Removing one ends the token's live sockets.
   *
   * @param id - of the token
   * @param scopes - exact names; they replace all present ones
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  setScopes(id: string, scopes: readonly string[]): Promise<T | undefined>
  /**
   * Sets or clears the expiry. An earlier expiry ends the token's live sockets.
   *
   * @param id - of the token
   * @param expiresAt - milliseconds since the epoch; `undefined` = it does not expire
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  setExpiry(id: string, expiresAt: number | undefined): Promise<T | undefined>
  /**
   * Gives the token's record a new secret under the same id, with the same rights and the same expiry. Live
   * sockets end, and reconnect with either token; those of the old token end with the overlap in any case.
   *
   * @param id - of the token
   * @param options - `overlap`, in milliseconds. Default: 0
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * const rotated = await services.devices.rotate(id, { overlap: 86_400_000 }) // a day for the device to change over
   */
  rotate(id: string, options?: RotateToken): Promise<TokenRotation<T>>
  /**
   * Ends the token and its live sockets, and cannot be undone. Revoking twice changes nothing.
   *
   * @param id - of the token
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  revoke(id: string): Promise<T | undefined>
  /**
   * Verifies a token and answers with its principal. Synchronous when the token was verified within the last
   * minute. Never rejects.
   *
   * @param token - as the client sent it
   */
  verify(token: string): MaybePromise<Verification>
  /**
   * Whether a string has the form of such a token. Checks the form alone.
   *
   * @param token - as the client sent it
   */
  claims(token: string): boolean
  /** The revocations of these tokens and of the accounts that they act for; schemes pass them to the gate. */
  readonly revocations: RevocationFeed
}

/** API keys: for programs. Their principals are services, or the users that they act for. */
export type Keys = TokenService<ApiKey, NewApiKey>
/** Device tokens: each stands for one device, with one role. */
export type Devices = TokenService<Device, NewDevice>
