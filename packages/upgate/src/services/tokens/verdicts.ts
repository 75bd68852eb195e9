import type { Verification } from '../../core/contract/credential.ts'
import { isStoreUnavailable } from '../../core/ports/stores.ts'

/** A rejection, frozen: answers are shared. */
export function rejected(
  code: Extract<Verification, { outcome: 'rejected' }>['code'],
  reason: string,
): Verification {
  return Object.freeze({ outcome: 'rejected', code, reason })
}

/** "Cannot answer", frozen. `retryAfter` in seconds. */
export function unavailable(reason: string, retryAfter?: number): Verification {
  return Object.freeze({ outcome: 'unavailable', reason, retryAfter })
}

/** What an exception of a store amounts to. One that is down says so itself; anything else is handed on to be logged. */
export function storeFailed(error: unknown): Verification {
  const failed = { outcome: 'unavailable', reason: 'the store cannot answer', retryAfter: 5 } as const
  return isStoreUnavailable(error) ? failed : { ...failed, cause: error }
}
