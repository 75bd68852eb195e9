import { andThen } from '../../core/async/maybe-promise.ts'
import type { MaybePromise } from '../../core/contract/credential.ts'
import { checkMethods } from '../../core/options/check-options.ts'
import { lowerAscii } from './claims.ts'
import type { Identify } from './types.ts'

/** An account as {@link byEmail} needs it. */
export interface DirectoryAccount {
  /** Id of the account; the id of its principal. */
  readonly id: string
  /** If present, it is compared again with the verified address. */
  readonly email?: string | undefined
  /** Exact scope names that the account grants. */
  readonly scopes: readonly string[]
  /** Roles that the account grants. */
  readonly roles: readonly string[]
  /** True: the account exists and is shut out. Default: false. */
  readonly disabled?: boolean | undefined
  /** Milliseconds since the epoch; present = disabled. */
  readonly disabledAt?: number | undefined
  /** Milliseconds since the epoch; see `IdentifiedPrincipal`. */
  readonly notBefore?: number | undefined
}

/** Directory of accounts: `services.accounts`, or any object with this one method. */
export interface AccountDirectory {
  /** Finds the account with an email in lower case; `null` or `undefined` = none. */
  byEmail(email: string): MaybePromise<DirectoryAccount | null | undefined>
}

/**
 * Creates an `identify` that maps people to the existing account with their email address. It creates no
 * account.
 *
 * Letters A to Z compare without case; all other characters must be the same. Service tokens have no account
 * here: list them in `services`.
 *
 * @param accounts - `services.accounts`, or an object with its method `byEmail`
 * @returns the function, for the option `identify` of `cloudflareAccess`
 * @throws TypeError if `accounts` has no method `byEmail`
 * @example
 * cloudflareAccess({ team: 'acme', audience: [aud], identify: byEmail(services.accounts), revocations: services.revocations })
 */
export function byEmail(accounts: AccountDirectory): Identify {
  checkMethods(
    'byEmail',
    'accounts',
    accounts,
    ['byEmail'],
    '`services.accounts`, or an object with the method `byEmail`',
  )
  return (identity) => {
    if (identity.kind !== 'user') return null
    const email = lowerAscii(identity.email)
    return andThen(accounts.byEmail(email), (account) => {
      if (account === null || account === undefined) return null
      // A directory may fold characters (a Kelvin sign becomes k): the result would be another person's
      // account.
      if (account.email !== undefined && lowerAscii(account.email) !== email) return null
      return {
        id: account.id,
        scopes: account.scopes,
        roles: account.roles,
        disabled: account.disabled === true || account.disabledAt !== undefined,
        notBefore: account.notBefore,
        displayName: account.email ?? identity.email,
      }
    })
  }
}
