import type { EndReason } from '../../core/contract/client-families.ts'
import type { Moment } from '../../core/contract/connections.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { RevocationReason } from '../../core/ports/revocations.ts'
import type { Message } from '../socket/message.ts'
import type { SocketContext } from '../talk/handshake-context.ts'

/** An accepted socket, as the files see it that read its messages before the application does. */
export interface LiveSocket<P extends Principal> {
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number
  /** The path of its upgrade, without the query. */
  readonly path: string
  readonly clientAddress: string | undefined
  readonly peerAddress?: string | undefined
  /** Absent on public and optional paths. */
  readonly principal: P | undefined
  /** Reason with which the gate is closing the socket. */
  readonly endReason: string | undefined
  /** The handshake's view of the socket; absent while the handshake does not need it. */
  context: SocketContext<P> | undefined
  /**
   * Replaces the credential by a newer one of the same principal: expiry and revocation follow the newer one.
   *
   * @returns the reason, if the newer credential was revoked since its verification; the old one then stays in force
   */
  renew(principal: P, decided: Moment): RevocationReason | undefined
  /** Emits one of the gate's events on the application's socket. */
  tell(event: string, ...values: unknown[]): void
  /** Delivers messages that had to wait, before any later message; `resume`: then reads on. */
  deliver(messages: readonly Message[], resume: boolean): void
  /** Drops every further message of the peer. */
  hush(reason: string): void
  /** Drops further messages and sends the close frame; the socket is terminated after `closeGrace`. */
  end(code: number, reason: string): void
  /** Ends the socket with the close code of its protocol or its rule for the reason, else with the standard code. */
  endAs(reason: EndReason, standardCode: number, text?: string): void
}
