import type {
  Revocation,
  RevocationFeed,
  RevocationReason,
  RevocationSelector,
} from '../../core/ports/revocations.ts'

/** The numbered log as this process knows it. */
export interface Revocations extends RevocationFeed {
  /**
   * Revokes, on every instance, something that another system keeps: a session of `express-session`, for
   * example. Closes the live sockets and streams that match and wins against verifications in progress.
   *
   * A client that returns is verified again, so end the session in its own system first.
   *
   * @param selector - at least one field; every field given has to match
   * @param reason - default: `revoked`
   * @throws StoreUnavailable (as a rejection) when the log cannot be written
   * @throws TypeError (as a rejection) for a selector without a known field, which would match every
   * principal, or an unknown reason
   * @example
   * await services.revocations.revoke({ scheme: 'express-session', sessionId }, 'logged_out')
   */
  revoke(selector: RevocationSelector, reason?: RevocationReason): Promise<Revocation>
  /**
   * Reads entries of other processes and announces them here. Rejects with `StoreUnavailable`.
   *
   * @throws StoreUnavailable (as a rejection) when the log cannot be read
   */
  sync(): Promise<void>
  /**
   * Reports whether this process learns of revocations made elsewhere, for readiness checks and alarms.
   *
   * @example
   * const { log, bus } = services.revocations.health()
   * if (log === 'lost') response.statusCode = 503
   */
  health(): RevocationsHealth
}

/** Whether this instance learns of revocations that others make. */
export interface RevocationsHealth {
  /**
   * `current`: the log was read, or a message of the bus arrived, within 5 s. `cut_off`: neither happened; a
   * verification reads the log first. `lost`: the log could not be read for a minute; live sockets were
   * closed.
   */
  readonly log: 'current' | 'cut_off' | 'lost'
  /** `silent`: no message arrived for 5 s. Revocations made elsewhere take effect when the log is read. */
  readonly bus: 'none' | 'heard' | 'silent'
}
