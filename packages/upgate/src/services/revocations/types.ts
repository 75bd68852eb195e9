import type {
  Revocation,
  RevocationFeed,
  RevocationReason,
  RevocationSelector,
} from '../../core/ports/revocations.ts'

/** The numbered log as this process knows it. */
export interface Revocations extends RevocationFeed {
  /**
   * Says on every instance that something stopped counting which is kept elsewhere: a session of another system, say.
   * Closes the live sockets and streams it concerns and wins against verifications under way. What comes back is
   * verified anew: take it away there first. Rejects with `StoreUnavailable`, and with a `TypeError` for a selector
   * without a known field, which would concern everybody, or for a reason that is none.
   *
   * @param reason - default: `revoked`
   * @example
   * await services.revocations.revoke({ scheme: 'express-session', sessionId }, 'logged_out')
   */
  revoke(selector: RevocationSelector, reason?: RevocationReason): Promise<Revocation>
  /** Reads what other processes appended and announces it here. Rejects with `StoreUnavailable`. */
  sync(): Promise<void>
  /** Whether this process learns of revocations elsewhere, for readiness checks and alarms. */
  health(): RevocationsHealth
}

export interface RevocationsHealth {
  /**
   * `current`: the log was read, or the bus heard, within 5 s. `cut_off`: neither was; what is verified reads the log
   * first. `lost`: the log could not be read for a minute; live sockets were closed.
   */
  readonly log: 'current' | 'cut_off' | 'lost'
  /** `silent`: nothing was heard for 5 s, so that revocations elsewhere take effect when the log is read. */
  readonly bus: 'none' | 'heard' | 'silent'
}
