import type { Verification } from '../../core/contract/credential.ts'
import type { RevocationFeed } from '../../core/ports/revocations.ts'
import type { ListPage, PageOptions } from '../pages.ts'
import type { DeviceCookies, DeviceCookieValue } from './device-cookies.ts'

/** An account as the services show it: without the password hash. */
export interface Account {
  /** Stable; the id of the account's principal. */
  readonly id: string
  /** Normalised; unique. */
  readonly email: string
  /** Exact scope names that the account grants. */
  readonly scopes: readonly string[]
  /** Roles that the account grants. */
  readonly roles: readonly string[]
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Milliseconds since the epoch; `undefined` = not disabled. */
  readonly disabledAt: number | undefined
  /**
   * Identities that an edge issued before this time, in milliseconds since the epoch, do not count; see
   * {@link Accounts.endAccess}.
   */
  readonly notBefore: number | undefined
  /** Whether the account can log in by password. */
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

/** An account to be created. */
export interface NewAccount {
  /** In any spelling; it is normalised and must not be taken. */
  readonly email: string
  /** 12 characters to 1,024 UTF-8 bytes; absent = no login by password (an identity of the edge only). */
  readonly password?: string | undefined
  /** Exact scope names. Default: none. */
  readonly scopes?: readonly string[]
  /** Default: none. */
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
 * Answer to a login. The outcomes:
 *
 * - `authenticated`: the password is right, and `principal` is the account's user
 * - `rejected`, `invalid_credential`: no such account, or not its password
 * - `rejected`, `account_disabled`: the password is right, and the account is disabled
 * - `throttled`: too many failures; nothing was verified. `retryAfter` is in seconds
 * - `unavailable`: the store or the hasher cannot answer, or too many passwords are being hashed. It says nothing about
 *   the password
 *
 * The other fields are facts for the operator. Tell the client the outcome alone: the other fields reveal
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
  /**
   * Creates an account; refused if the email is taken or the password does not fit.
   *
   * @param account - `email` is required; without a password the account can log in at an edge only
   * @returns the account, or the reason of the refusal
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @throws TypeError (as a rejection) for a scope that is not an RFC 6749 scope token
   * @example
   * const made = await services.accounts.create({ email: 'alice@example.com', password: secret, scopes: ['operator.read'] })
   * if (made.outcome === 'refused') console.error(made.reason)
   */
  create(account: NewAccount): Promise<AccountResult>
  /**
   * Creates an account only if there is none at all: one of several concurrent set-ups succeeds.
   *
   * @param account - as for `create`
   * @returns the account, or `accounts_exist`
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * const made = await services.accounts.createFirst({ email, password: secret, scopes: ['operator.admin'] })
   */
  createFirst(account: NewAccount): Promise<AccountResult>
  /** Whether any account exists. A store that cannot answer rejects; it never says false. */
  any(): Promise<boolean>
  /** One account by its id, disabled ones included. */
  get(id: string): Promise<Account | undefined>
  /** Finds an account by its address, in any spelling (case, Unicode form, white space around it). */
  byEmail(email: string): Promise<Account | undefined>
  /** All accounts in order of creation, disabled ones included. */
  list(): Promise<readonly Account[]>
  /**
   * A page of the list above.
   *
   * @param options - `after` and `limit`
   * @throws TypeError (as a rejection) for a limit out of range
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  page(options?: PageOptions): Promise<ListPage<Account>>
  /**
   * Sets a password and ends the account's sessions and the sockets that were proved by password.
   *
   * @param id - of the account
   * @param password - 12 characters to 1,024 UTF-8 bytes
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  setPassword(id: string, password: string): Promise<AccountResult>
  /**
   * Replaces scopes and, if given, roles. Removing any of them ends the account's sessions and live sockets.
   *
   * @param id - of the account
   * @param scopes - exact names; they replace all present ones
   * @param roles - default: the roles stay
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  setScopes(id: string, scopes: readonly string[], roles?: readonly string[]): Promise<AccountResult>
  /**
   * Shuts the account out at once: sessions, keys that act for it, live sockets.
   *
   * @param id - of the account
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  disable(id: string): Promise<AccountResult>
  /**
   * Lets a disabled account in again. Its ended sessions and sockets do not come back.
   *
   * @param id - of the account
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  enable(id: string): Promise<AccountResult>
  /**
   * Ends every login of the account, and leaves the account open: sessions, live sockets, and identities that
   * an edge issued until now, which would otherwise return until they expire. Keys stay. The person has to
   * log in again, at the edge as well.
   *
   * @param id - of the account
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * await services.accounts.endAccess(account.id) // after a device of the person was stolen
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
   * @returns the principal, or the reason; `throttled` and `unavailable` carry `retryAfter` in seconds
   * @example
   * const clientAddress = clientAddressOf(gate, request)
   * const answer = await services.accounts.login(email, secret, { clientAddress })
   * if (answer.outcome === 'authenticated') await services.sessions.create(answer.principal.id)
   */
  login(email: string, password: string, context?: LoginContext): Promise<LoginAnswer>
  /** The revocations of all accounts; schemes pass them to the gate. */
  readonly revocations: RevocationFeed
}
