import type { Verification } from '../../core/contract/credential.ts'
import { createPrincipal, type PrincipalFacts } from '../../core/contract/principal.ts'
import { isStoreUnavailable } from '../../core/ports/stores.ts'

/** Creates the answer that a credential is a principal's, frozen to the last list because answers are shared. */
export function authenticated(facts: PrincipalFacts): Verification {
  return Object.freeze({ outcome: 'authenticated', principal: createPrincipal(facts) })
}

/** Creates a rejection, frozen because answers are shared. */
export function rejected(
  code: Extract<Verification, { outcome: 'rejected' }>['code'],
  reason: string,
): Verification {
  return Object.freeze({ outcome: 'rejected', code, reason })
}

/** Creates the answer "cannot answer", frozen. `retryAfter` is in seconds. */
export function unavailable(reason: string, retryAfter?: number): Verification {
  return Object.freeze({ outcome: 'unavailable', reason, retryAfter })
}

/**
 * Turns an exception of a store into an answer. `StoreUnavailable` needs no log entry; any other error is
 * handed on as `cause` to be logged.
 */
export function storeFailed(error: unknown): Verification {
  const failed = { outcome: 'unavailable', reason: 'the store cannot answer', retryAfter: 5 } as const
  return isStoreUnavailable(error) ? failed : { ...failed, cause: error }
}
