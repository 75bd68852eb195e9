import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Answered, Decision, InBand, Refused, Resumption } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { QuarantineCounts } from '../limits/roster.ts'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'

/** The principal and path of an accepted socket. */
export interface AcceptedAs<P extends Principal = Principal> {
  /** Absent on public and optional paths. */
  readonly principal: P | undefined
  /** The path of its upgrade, without the query. */
  readonly path: string
}

/** A decided upgrade and its destination. */
export interface Admission<P extends Principal = Principal> {
  /** The application's own server: it gets `connection`, with the principal as third argument, on acceptance. */
  readonly wss: WebSocketServerLike
  /** The request of the `upgrade` event. */
  readonly request: IncomingMessage
  /** The socket of the `upgrade` event. */
  readonly socket: Duplex
  /** The first bytes after the request, as the `upgrade` event gives them. */
  readonly head: Buffer
  /** The decision about the request. */
  readonly decision: Exclude<Decision<P>, Answered>
  /**
   * Canonical client address, where it is known; a deferred decision brings its own. Absent: only the limits
   * over all sockets apply.
   */
  readonly clientAddress?: string | undefined
}

/** The close code and reason that {@link Quarantine.close} sends. */
export interface DrainOptions {
  /** Close code: 1001 (going away) or 1012 (restart). Default: 1001. */
  readonly code?: number
  /** Close reason, a stable token. Default: `shutdown`, with 1012 `restart`. */
  readonly reason?: string
}

/**
 * The life of sockets between the upgrade and their acceptance. One per server: its limits are shared by all paths.
 */
export interface Quarantine<P extends Principal = Principal> {
  /**
   * Takes over an upgrade that was decided.
   *
   * Returns `undefined` if the quarantine owns the socket now: it is accepted, waiting, or being refused in band.
   * Returns a refusal if nothing was written: the caller renders it with `gate.render` and writes it. Reasons are a
   * refusing decision that no page has to read, a reached cap (503), or an address with too many failures (429); the
   * last two carry `retryAfter`.
   *
   * @param admission - the upgrade, its decision, and the server that is to own the socket
   */
  admit(admission: Admission<P>): Refused | undefined
  /**
   * Closes every socket, accepted ones too, terminates the remaining ones after `closeGrace`, and resolves when
   * all are closed. Every later upgrade is refused with 503.
   *
   * @param options - close code and reason. Default: 1001, `shutdown`
   */
  close(options?: DrainOptions): Promise<void>
  /**
   * Verifies a newer credential of an accepted socket, which arrived in a message of the application's own protocol.
   * The same schemes and rule apply as for the first one. If it is accepted and belongs to the same principal, expiry
   * and revocation follow it from then on, and `refreshed` is emitted on the socket. Otherwise the old credential stays
   * in force; a credential of another principal closes the socket (4403), and so do too many attempts or failures.
   *
   * @param request - the one that came with the socket in `connection`; `gate.principalOf` knows the new principal, too
   * @param credential - a token, or what a handshake would have found
   * @param socket - as `connection` handed it over
   * @returns the new principal, which may hold less than the one before, or why it does not count. Never rejects.
   * @throws TypeError for a socket that was not accepted here
   */
  refresh(
    socket: WebSocketLike,
    request: IncomingMessage,
    credential: InBand | string,
  ): Promise<Resumption<P>>
  /**
   * Answers the principal and path of an accepted socket, by its newest credential; `undefined` for every other
   * socket.
   *
   * @param socket - of `ws`, as `connection` handed it over
   */
  acceptedAs(socket: object): AcceptedAs<P> | undefined
  /** Numbers of sockets by stage, for metrics. */
  readonly counts: QuarantineCounts
}
