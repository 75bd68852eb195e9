import type { RejectionCode, Verification } from '../../core/contract/credential.ts'
import type { AccessPrincipal } from './types.ts'

/** Any answer about a token except "authenticated". */
export type Refusal = Exclude<Verification<AccessPrincipal>, { outcome: 'authenticated' }>

export function rejected(reason: string, code: RejectionCode = 'invalid_credential'): Refusal {
  return { outcome: 'rejected', code, reason }
}

/**
 * Creates the answer "cannot answer".
 *
 * @param retryAfter - seconds
 */
export function unavailable(reason: string, retryAfter?: number): Refusal {
  return { outcome: 'unavailable', reason, retryAfter }
}
