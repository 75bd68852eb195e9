import type { IncomingMessage } from 'node:http'
import type { Allow } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import type { Shared } from '../talk/shared.ts'
import type { LiveSocket } from './live-socket.ts'

/** Where a socket was accepted. */
export interface Endpoint {
  readonly path: string
  readonly clientAddress: string | undefined
  /** The other end of the TCP connection: the client, or a proxy. */
  readonly peerAddress?: string | undefined
}

/** Reads messages that renew the credential of an accepted socket. */
export interface RenewalReader<P extends Principal> {
  /** A socket was accepted. */
  accepted(socket: LiveSocket<P>, ws: WebSocketLike, request: IncomingMessage): void
  /** No other override stands in front of its messages any more. */
  released(socket: LiveSocket<P>, ws: WebSocketLike): void
  /** Whether a message was about the credential; the application then does not get it. */
  hears(socket: LiveSocket<P>, ws: WebSocketLike, data: unknown, isBinary: boolean): boolean
  closed(socket: LiveSocket<P>): void
}

/** Reads the first frame of sockets that HTTP let in. */
export interface FirstReader<P extends Principal> {
  /** A socket was accepted at the 101. */
  expect(socket: LiveSocket<P>, ws: WebSocketLike, request: IncomingMessage, decision: Allow<P>): void
  /** Whether a message was a credential, or has to wait for one; if false, it and all further messages are data. */
  takes(socket: LiveSocket<P>, ws: WebSocketLike, data: unknown, isBinary: boolean): boolean
  closed(socket: LiveSocket<P>): void
}

/** The parts that accepted sockets share with waiting ones, and among themselves. */
export interface SharedByAccepted<P extends Principal> extends Shared<P> {
  readonly renewals: RenewalReader<P>
  readonly firstFrames: FirstReader<P>
}
