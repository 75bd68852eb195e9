import type { RevocationReason, RevocationSelector } from '../ports/revocations.ts'
import type { Principal } from './principal.ts'

declare const moment: unique symbol

/**
 * A moment in the order of revocations: from before a credential was verified. Every decision that lets a principal
 * in carries one; {@link Connections.register} takes it and refuses a principal that was revoked since.
 */
export type Moment = number & { readonly [moment]: true }

/** An accepted socket or streamed response, as the register sees it. */
export interface LiveConnection {
  /** Unique in this process, safe to log. */
  readonly id: string
  /** The principal that it was accepted with; what revocations select it by. */
  readonly principal: Principal
  /** Milliseconds since the epoch at which it was accepted. */
  readonly acceptedAt: number
  /** The path it was accepted on, without query. */
  readonly path: string
  /**
   * Stops hearing it. Called at once for every connection that is to be closed, however many they are; `close`
   * follows, for all but the first ones in a later turn of the event loop. Without it `close` is called at once.
   */
  mute?(reason: RevocationReason): void
  /** Ends it. Must not throw and may be called more than once. */
  close(reason: RevocationReason): void
}

/** The answer of {@link Connections.register}. */
export type Registration =
  | {
      /** The connection is live, and on the register. */
      readonly outcome: 'registered'
      /** Takes the connection off the register; calling it again does nothing. */
      remove(): void
    }
  | {
      /** The principal was revoked since the decision, or has expired. The connection was not called. */
      readonly outcome: 'refused'
      /** `unavailable` where it cannot be known: the client has to come back and be verified again. */
      readonly reason: RevocationReason
    }

/** The register of live connections: what revocation and expiry act on. */
export interface Connections {
  /**
   * Adds a connection, unless its principal stopped counting since the decision that let it in.
   *
   * @param decided - `asOf` of that decision
   * @param connection - the socket or stream, as the register calls it
   * @returns `refused` where the principal was revoked since, or has expired: end the connection then
   * @example
   * const { principal, asOf } = decision
   * const registration = gate.connections.register({ id, principal, acceptedAt, path, close }, asOf)
   * if (registration.outcome === 'refused') socket.destroy()
   * else socket.once('close', registration.remove)
   */
  register(connection: LiveConnection, decided: Moment): Registration
  /**
   * Closes every connection that the selector matches; returns their number. From then on none of them is in the
   * register, nor heard; where they are very many, the close frames of the later ones follow within some turns of the
   * event loop.
   *
   * @param selector - the principals; at least one field
   * @param reason - close reason, and code by the rule or the protocol
   */
  close(selector: RevocationSelector, reason: RevocationReason): number
  /** The live connections, in order of acceptance. */
  list(): IterableIterator<LiveConnection>
  /** Number of live connections. */
  readonly size: number
}
