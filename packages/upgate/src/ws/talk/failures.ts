import type { RefusalCode } from '../../core/contract/codes.ts'
import type { Credential } from '../../core/contract/credential.ts'
import { deviceProofOf } from '../../core/contract/device-proof.ts'
import type { RevocationReason } from '../../core/ports/revocations.ts'

/** Whether trying finds it: passwords and codes. Fewer than 22 characters of base62 hold fewer than 128 bits. */
export function isGuessable(credential: Credential): boolean {
  const { beside, second } = deviceProofOf(credential) ?? {}
  const sentAlong = [beside, second].filter((each) => each !== undefined)
  if (sentAlong.length > 0) return sentAlong.some(isGuessable)
  return credential.type === 'password' || (credential.type === 'token' && credential.value.length < 22)
}

/** Whether a refusal says something against the client; waiting, or a store that is down, does not. */
export function countsAsFailure(code: RefusalCode): boolean {
  switch (code) {
    case 'handshake_timeout':
    case 'auth_required':
    // A device that waits for an approval reconnects again and again, as its refusal says.
    case 'pairing_required':
    case 'pairing_full':
    case 'unavailable':
    case 'over_capacity':
    case 'too_many_sockets':
    case 'too_many_failures':
      return false
    default:
      return true
  }
}

/** The refusal for a credential that was revoked while it was being verified. */
export function codeOfRevocation(reason: RevocationReason): RefusalCode {
  if (reason === 'unavailable') return 'unavailable'
  if (reason === 'expired') return 'expired_credential'
  return reason === 'disabled' ? 'account_disabled' : 'revoked_credential'
}

/** The refusal for an error of `ws` about what the peer sent. */
export function codeOfSocketError(error: unknown): 'too_big' | 'bad_handshake' {
  const { code } = (error ?? {}) as { code?: unknown }
  return code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'too_big' : 'bad_handshake'
}
