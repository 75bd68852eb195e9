import type { RevocationReason } from '../../core/ports/revocations.ts'
import type { Limits } from '../limits/limits.ts'

/** Returns the close code for a credential that expired or was revoked. */
export function closeCodeOf(
  reason: RevocationReason,
  { expiredCode, revokedCode }: Pick<Limits, 'expiredCode' | 'revokedCode'>,
): number {
  if (reason === 'expired') return expiredCode
  return reason === 'unavailable' ? 1013 : revokedCode
}

/** Returns the close reason for it. */
export function endReasonOf(reason: RevocationReason): string {
  return reason === 'expired' ? 'auth_expired' : reason
}
