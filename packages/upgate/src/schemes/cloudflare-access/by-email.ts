import { andThen } from '../../core/async/maybe-promise.ts'
import type { MaybePromise } from '../../core/contract/credential.ts'
import { lowerAscii } from './claims.ts'
import type { Identify } from './types.ts'

/** An account as {@link byEmail} needs it. */
export interface DirectoryAccount {
  readonly id: string
  /** Where present it is compared again with the verified address. */
  readonly email?: string | undefined
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly disabled?: boolean | undefined
  /** Milliseconds since the epoch; present = disabled. */
  readonly disabledAt?: number | undefined
  /** Milliseconds since the epoch; see `IdentifiedPrincipal`. */
  readonly notBefore?: number | undefined
}

/** Where accounts are looked up: `services.accounts`, or anything with this one method. */
export interface AccountDirectory {
  byEmail(email: string): MaybePromise<DirectoryAccount | null | undefined>
}

/**
 * Maps people to the existing account with their email address, for `identify`; nobody is created.
 *
 * Letters A to Z compare without case; anything else must be the same, character by character. Service tokens are
 * nobody here: give them `services`.
 *
 * @example
 * cloudflareAccess({ team: 'acme', audience: [aud], identify: byEmail(services.accounts), revocations: services.revocations })
 */
export function byEmail(accounts: AccountDirectory): Identify {
  if (typeof accounts?.byEmail !== 'function') {
    throw new TypeError('byEmail: `accounts` must have a method `byEmail`, as `services.accounts` has.')
  }
  return (identity) => {
    if (identity.kind !== 'user') return null
    const email = lowerAscii(identity.email)
    return andThen(accounts.byEmail(email), (account) => {
      if (account === null || account === undefined) return null
      // A directory may fold characters (a Kelvin sign becomes k): that would be somebody else's account.
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
