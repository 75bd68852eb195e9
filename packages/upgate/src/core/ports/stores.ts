import type { AcquaintanceStore } from './acquaintances.ts'
import type { FailureStore } from './failures.ts'
import type { Page, PageRequest } from './pages.ts'
import type { PairingStore } from './pairings.ts'
import type { Revocation, RevocationReason, RevocationSelector } from './revocations.ts'
import type { TicketStore } from './tickets.ts'
import type { TokenRecord } from './token-record.ts'

/** Why a store could not answer. */
export type StoreErrorCode =
  | 'store_unavailable'
  | 'store_busy'
  | 'store_full'
  | 'store_closed'
  | 'store_corrupt'
  | 'store_too_new'

/**
 * The store could not answer: it is closed, locked, full, broken, or written by a newer version.
 *
 * Never means "not found". Recognise it with {@link isStoreUnavailable}: two copies of the library may be loaded.
 *
 * @example
 * throw new StoreUnavailable('store_unavailable', 'The database did not answer in time.', { cause })
 */
export class StoreUnavailable extends Error {
  /** Stable: which failure it is. */
  readonly code: StoreErrorCode

  constructor(code: StoreErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.name = 'StoreUnavailable'
    this.code = code
  }
}

/**
 * Tells whether an error says that a store could not answer: answer 503 then, and never "not found".
 *
 * It also recognises errors of another copy of the library, which `instanceof` does not.
 *
 * @param error - a caught value of any type
 * @example
 * try {
 *   await services.accounts.byEmail(email)
 * } catch (error) {
 *   if (!isStoreUnavailable(error)) throw error
 *   response.writeHead(503).end()
 * }
 */
export function isStoreUnavailable(error: unknown): error is StoreUnavailable {
  return error instanceof Error && error.name === 'StoreUnavailable' && 'code' in error
}

/** A revocation before it has its place in the log. */
export interface RevocationDraft {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** The principals that it concerns. */
  readonly selector: RevocationSelector
  /** Why their credentials stop counting; becomes the close reason of live sockets. */
  readonly reason: RevocationReason
}

/** A person's account. Times are milliseconds since the epoch. */
export interface AccountRecord {
  /** Public and unique: the principal's id. */
  readonly id: string
  /** Counts the writes, from 1: what compare-and-set compares. */
  readonly version: number
  /** Normalised; unique. */
  readonly email: string
  /** In PHC string format; absent = no login by password. */
  readonly passwordHash?: string | undefined
  /** Exact scope names that the account grants. */
  readonly scopes: readonly string[]
  /** Roles that the account grants. */
  readonly roles: readonly string[]
  /** Time of the creation. */
  readonly createdAt: number
  /** Time from which no credential of the account counts. Absent = it is not disabled. */
  readonly disabledAt?: number | undefined
  /**
   * Time before which identities of the edge do not count. Their tokens cannot be revoked here, so their issue
   * time is compared.
   */
  readonly notBefore?: number | undefined
  /** Sessions of an older generation are void, whether or not their records are gone already. */
  readonly sessionGeneration: number
  /** Ids of the device cookies that count, the latest last: few. Absent = none. */
  readonly deviceCookies?: readonly string[] | undefined
}

/** A login. */
export interface SessionRecord {
  /** Public: fit for logs and pages. */
  readonly id: string
  /** SHA-256 of the token, base64url. */
  readonly digest: string
  /** SHA-256 of the token before the last rotation, base64url. */
  readonly previousDigest?: string | undefined
  /** Milliseconds since the epoch until which that token counts as well. */
  readonly previousUntil?: number | undefined
  /** The account that logged in. */
  readonly accountId: string
  /** The account's generation when the session began. */
  readonly generation: number
  /** Time of the login. */
  readonly createdAt: number
  /** Coalesced: may be behind by the touch interval. */
  readonly lastSeenAt: number
  /** The absolute end, whatever the activity. */
  readonly expiresAt: number
  /** For people: which browser it is. */
  readonly label?: string | undefined
  /** For people: the address of the login, canonical. */
  readonly clientAddress?: string | undefined
}

/** The tokens that a session counts by. */
export type SessionDigests = Required<Pick<SessionRecord, 'digest' | 'previousDigest' | 'previousUntil'>>

/** When a record was last used. */
export interface Touch {
  /** Id of the record. */
  readonly id: string
  /** Milliseconds since the epoch. An earlier time than the recorded one changes nothing. */
  readonly at: number
}

/** Accounts. Every operation is atomic, and durable when it has answered. */
export interface AccountStore {
  /**
   * Whether there is any account, disabled ones included.
   *
   * @throws StoreUnavailable (as a rejection), as every operation of a store
   */
  any(): Promise<boolean>
  /** One account by its id, disabled ones included. */
  get(id: string): Promise<AccountRecord | undefined>
  /** One account by its normalised email. */
  byEmail(email: string): Promise<AccountRecord | undefined>
  /**
   * In order of creation.
   *
   * @returns all accounts, disabled ones included
   */
  list(): Promise<readonly AccountRecord[]>
  /** A page of the list above. */
  page(request: PageRequest): Promise<Page<AccountRecord>>
  /**
   * Adds if neither id nor email is taken. Of concurrent callers one gets true.
   *
   * @param record - with `version` 1
   * @returns false: the id or the email is taken
   */
  add(record: AccountRecord): Promise<boolean>
  /**
   * Adds if there is no account at all. Of concurrent callers one gets true.
   *
   * @param record - with `version` 1
   * @returns false: there is an account already
   */
  addFirst(record: AccountRecord): Promise<boolean>
  /**
   * Compare and set: writes if the stored version is `record.version - 1`, and appends the drafts to the log in
   * the same transaction. `undefined` = nothing changed: another writer was faster, or the `email` is another account's.
   *
   * @param record - the new state, with the next `version`
   * @param revocations - log entries that belong to the change; may be empty
   * @returns the entries with their numbers
   */
  replace(
    record: AccountRecord,
    revocations: readonly RevocationDraft[],
  ): Promise<readonly Revocation[] | undefined>
}

/** Sessions. Every operation is atomic; all but `touch` are durable when they have answered. */
export interface SessionStore {
  /** One session by its id. */
  get(id: string): Promise<SessionRecord | undefined>
  /**
   * Of one account, newest first.
   *
   * @param accountId - account whose sessions are listed
   */
  list(accountId: string): Promise<readonly SessionRecord[]>
  /** A page of the list above. */
  page(accountId: string, request: PageRequest): Promise<Page<SessionRecord>>
  /**
   * Adds a session and removes the account's oldest ones beyond `atMost`, with a log entry each: at the new session's
   * `createdAt`, with the selector `{ sessionId }` and the reason `revoked`. Answers the entries, or
   * `undefined` if the id was taken.
   *
   * @param record - the new session
   * @param atMost - sessions of the account, the new one included
   */
  add(record: SessionRecord, atMost: number): Promise<readonly Revocation[] | undefined>
  /**
   * Compare and set: gives the session another token if it still has this one, and appends the draft to the log in
   * the same transaction. `undefined` = it is gone, or another writer was faster.
   *
   * @param id - of the session
   * @param from - the digest that is stored now
   * @param to - the digests that replace it
   * @param revocation - log entry of the rotation
   */
  rotate(
    id: string,
    from: string,
    to: SessionDigests,
    revocation: RevocationDraft,
  ): Promise<Revocation | undefined>
  /**
   * Consumes: of concurrent callers one gets the log entry, the others `undefined`.
   *
   * @param id - of the session
   * @param revocation - log entry of the removal
   */
  remove(id: string, revocation: RevocationDraft): Promise<Revocation | undefined>
  /**
   * Removes the account's sessions of generations before this one, after the account's generation moved on; the log
   * entry was written with the account. Sessions of later generations stay. Answers how many.
   *
   * @param accountId - account of the sessions
   * @param generation - sessions of earlier generations are removed
   */
  removeOf(accountId: string, generation: number): Promise<number>
  /**
   * Forgets sessions that ended by themselves: `expiresAt` is `expiredBy` or earlier, or they were last seen before
   * `lastSeenBefore`. Answers how many; as many as `atMost` = there may be more.
   *
   * @param expiredBy - milliseconds since the epoch
   * @param lastSeenBefore - milliseconds since the epoch
   * @param atMost - sessions to forget: other operations must not wait for a long one
   */
  purge(expiredBy: number, lastSeenBefore: number, atMost: number): Promise<number>
  /** Records uses; ids of sessions that are gone are ignored. */
  touch(touches: readonly Touch[]): Promise<void>
}

/** A session with the account that logged in. */
export interface SessionWithAccount extends SessionRecord {
  /** `undefined`: the account is gone. */
  readonly account: AccountRecord | undefined
}

/**
 * Reads a session together with its account, where one query can. Services use it only as long as a store's
 * `sessions` and `accounts` are these two, so that a store that replaces one of them is asked.
 */
export interface SessionsWithAccounts {
  /** The sessions that it reads. */
  readonly sessions: SessionStore
  /** The accounts that it reads. */
  readonly accounts: AccountStore
  /** One session by its id, with its account, as of one moment. */
  get(id: string): Promise<SessionWithAccount | undefined>
}

/** API keys, or device tokens. Every operation is atomic; all but `touch` are durable when they have answered. */
export interface TokenStore {
  /** One record by its id, revoked and expired ones included. */
  get(id: string): Promise<TokenRecord | undefined>
  /** In order of creation, revoked ones included. */
  list(): Promise<readonly TokenRecord[]>
  /**
   * A page of the list above.
   *
   * @param request - `revoked: false` leaves revoked ones out, and fills the page with others
   */
  page(request: PageRequest & { readonly revoked: boolean }): Promise<Page<TokenRecord>>
  /**
   * Adds if the id is not taken. Of concurrent callers one gets true.
   *
   * @param record - with `version` 1
   * @returns false: the id is taken
   */
  add(record: TokenRecord): Promise<boolean>
  /**
   * Adds those whose id is not taken, all at once: for the import of many. Absent: they are added one by one.
   *
   * @param records - with `version` 1, at most 1,000
   * @returns the number of records that were added
   */
  addAll?(records: readonly TokenRecord[]): Promise<number>
  /**
   * Compare and set with log entries, as for accounts. Does not touch `lastUsedAt`.
   *
   * @param record - the new state, with the next `version`
   * @param revocations - log entries that belong to the change; may be empty
   */
  replace(
    record: TokenRecord,
    revocations: readonly RevocationDraft[],
  ): Promise<readonly Revocation[] | undefined>
  /** Records uses; ids that do not exist are ignored. */
  touch(touches: readonly Touch[]): Promise<void>
}

/** Keys that an installation makes once and uses from then on, such as the one that signs device cookies. */
export interface SecretStore {
  /**
   * Keeps the value if none of that name is kept, and answers the one that is. Of concurrent callers all get the same.
   *
   * @param name - of the secret, such as `device-cookies`
   * @param value - a new secret, used only if none is kept
   * @returns the secret that is kept
   */
  keep(name: string, value: string): Promise<string>
}

/** The numbered log of revocations, written together with the change it announces wherever both are in one place. */
export interface RevocationLog {
  /**
   * Adds entries by themselves: for changes that were made elsewhere, such as in another store.
   *
   * @param drafts - entries without a number, in order
   * @returns the entries with their numbers
   */
  append(drafts: readonly RevocationDraft[]): Promise<readonly Revocation[]>
  /** Number of the newest entry; 0 when there is none. */
  head(): Promise<number>
  /**
   * Entries after a number, in order, at most `limit`.
   *
   * @param sequence - number after which entries are read
   * @param limit - largest number of entries
   */
  since(sequence: number, limit: number): Promise<readonly Revocation[]>
}

/**
 * Where accounts, sessions, keys and devices live.
 *
 * Operations reject with {@link StoreUnavailable} when the store cannot answer, and with nothing else.
 */
export interface Store {
  /** Accounts of people that may log in. */
  readonly accounts: AccountStore
  /** Logins. */
  readonly sessions: SessionStore
  /** API keys. */
  readonly keys: TokenStore
  /** Device tokens. */
  readonly devices: TokenStore
  /** The numbered log of revocations. */
  readonly revocations: RevocationLog
  /** Pairing requests, invitations and the keys of devices. */
  readonly pairings: PairingStore
  /** Single-use tickets for WebSockets. */
  readonly tickets: TicketStore
  /** Counts of failed attempts that several instances share. Absent: each process counts for itself. */
  readonly failures?: FailureStore | undefined
  /** Addresses that are known beyond a restart. Absent: the store does not keep them. */
  readonly acquaintances?: AcquaintanceStore | undefined
  /** Sessions with their accounts in one query. Absent: the session is read, and then its account. */
  readonly sessionsWithAccounts?: SessionsWithAccounts | undefined
  /** Absent: such keys have to be given as options, or end with the process. */
  readonly secrets?: SecretStore | undefined
  /**
   * Releases files and connections, after the operations that began before. Further operations reject with
   * `store_closed`; closing again resolves.
   */
  close(): Promise<void>
}

/** A store that keeps the addresses that are known beyond a restart, as those of `upgate/sql` do. */
export interface RememberingStore extends Store {
  /** Addresses that are known beyond a restart. */
  readonly acquaintances: AcquaintanceStore
}
