import type { AccountRecord } from '../../core/ports/stores.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'

/**
 * Why what belongs to an account does not count now, or `undefined` if it does.
 *
 * @param generation - the account's session generation when a session began; left out for what outlives sessions
 * @returns `ended`: the session was ended with all others of the account
 */
export function accountFault(
  account: AccountRecord | undefined,
  generation?: number,
): 'gone' | 'disabled' | 'ended' | undefined {
  if (account === undefined) return 'gone'
  if (account.disabledAt !== undefined) return 'disabled'
  // Not "older than": a restored backup may have brought an older generation back.
  return generation === undefined || generation === account.sessionGeneration ? undefined : 'ended'
}

/** Why an API key or device does not count now, or `undefined` if it does. */
export function tokenFault(
  { revokedAt, expiresAt }: Pick<TokenRecord, 'revokedAt' | 'expiresAt'>,
  now: number,
): 'revoked' | 'expired' | undefined {
  if (revokedAt !== undefined) return 'revoked'
  return expiresAt !== undefined && now >= expiresAt ? 'expired' : undefined
}
