import type { IncomingMessage } from 'node:http'
import type { Allow } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { compiledRuleOf } from '../../core/contract/rules.ts'
import { type AttachedSocket, attached, emitAsUsual, intercept, release } from '../socket/attached.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import type { Shared } from '../talk/shared.ts'
import { FirstFrame, type PassesOn } from './first-frame.ts'
import type { LiveSocket } from './live-socket.ts'
import type { FirstReader, RenewalReader } from './shared.ts'

/**
 * Sockets on deferred paths that were accepted by their HTTP credential and have sent no message yet. A client of the
 * path's protocol still begins with its credential, which the application must not get. After the first frame these
 * sockets cost nothing.
 */
export class FirstFrames<P extends Principal> implements FirstReader<P>, PassesOn<P> {
  readonly #shared: Shared<P>
  readonly #renewals: RenewalReader<P>
  readonly #expected: WeakMap<LiveSocket<P>, FirstFrame<P>> = new WeakMap()

  constructor(shared: Shared<P>, renewals: RenewalReader<P>) {
    this.#shared = shared
    this.#renewals = renewals
  }

  /** A socket was accepted at the 101. */
  expect(socket: LiveSocket<P>, ws: WebSocketLike, request: IncomingMessage, decision: Allow<P>): void {
    if (compiledRuleOf(decision.rule).handshake?.claims === undefined) return
    const { origin } = request.headers
    this.#expected.set(socket, new FirstFrame(this.#shared, this, socket, ws, decision, origin))
    intercept(ws, emitToFirst)
  }

  /** Whether a message is a credential or has to wait for one; if false, it and all further messages are data. */
  takes(socket: LiveSocket<P>, ws: WebSocketLike, data: unknown, isBinary: boolean): boolean {
    const first = this.#expected.get(socket)
    if (first?.takes(data, isBinary) === true) return true
    this.passed(socket, ws)
    return false
  }

  /** Gives the socket's messages back to the application. */
  passed(socket: LiveSocket<P>, ws: WebSocketLike): void {
    this.#expected.delete(socket)
    release(ws)
    this.#renewals.released(socket, ws)
  }

  /** The socket has gone. */
  closed(socket: LiveSocket<P>): void {
    this.#expected.get(socket)?.closed()
  }
}

type Owned = AttachedSocket<{ takesFirst(data: unknown, isBinary: boolean): boolean }>

/** Stands in for `emit` until the first frame is known to be data, or was a credential that counts. */
function emitToFirst(this: Owned, event: string | symbol, a?: unknown, b?: unknown): boolean {
  if (event !== 'message') return emitAsUsual(this, event, a, b)
  if (this[attached]?.takesFirst(a, b === true) === true) return true
  return this.emit(event, a, b)
}
