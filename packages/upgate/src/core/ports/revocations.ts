import type { Principal } from '../contract/principal.ts'

/**
 * Why something stopped counting; becomes the close reason of live sockets.
 *
 * `unavailable` is no verdict: whether the credential still counts is unknown, so the client has to come back.
 */
export type RevocationReason =
  | 'revoked'
  | 'expired'
  | 'narrowed'
  | 'disabled'
  | 'logged_out'
  | 'rotated'
  | 'unavailable'

/** The principals that a revocation selects. Every field given must match; at least one is given. */
export interface RevocationSelector {
  /** Id of the principal. */
  readonly principalId?: string
  /** Kind of the principal. */
  readonly kind?: Principal['kind']
  /** Session that the principal came from. */
  readonly sessionId?: string
  /** Public id of the credential. */
  readonly credentialId?: string
  /** Value of `principal.scheme`, such as `session`. */
  readonly scheme?: string
}

/** One entry of the numbered revocation log. */
export interface Revocation {
  /** Position in the log, from 1, without gaps. */
  readonly sequence: number
  /** Milliseconds since the epoch. */
  readonly at: number
  /** The principals that it concerns. */
  readonly selector: RevocationSelector
  /** Why their credentials stopped counting. */
  readonly reason: RevocationReason
}

/**
 * The log of revocations as a gate sees it.
 *
 * `sequence` is compared before and after a verification, so that a revocation during it wins.
 */
export interface RevocationFeed {
  /** Number of the newest entry that this process knows; 0 when there is none. */
  sequence(): number
  /**
   * Calls the listener, synchronously, for every entry this process learns of. Returns its removal.
   *
   * @param listener - called in the order of the log
   */
  subscribe(listener: (revocation: Revocation) => void): () => void
}

/** Whether a principal is concerned by a selector. */
export function selects(selector: RevocationSelector, principal: Principal): boolean {
  return (
    (selector.principalId === undefined || selector.principalId === principal.id) &&
    (selector.kind === undefined || selector.kind === principal.kind) &&
    (selector.sessionId === undefined || selector.sessionId === principal.sessionId) &&
    (selector.credentialId === undefined || selector.credentialId === principal.credentialId) &&
    (selector.scheme === undefined || selector.scheme === principal.scheme)
  )
}
