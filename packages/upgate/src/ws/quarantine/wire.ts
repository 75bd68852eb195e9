import type { Duplex } from 'node:stream'
import {
  type AttachedSocket,
  type AttachedStream,
  attached,
  emitAsUsual,
  intercept,
  release,
} from '../socket/attached.ts'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'

/** The events that a wire reports to its waiting socket. */
export interface Listener {
  /** More bytes arrived; they are counted before they are parsed. */
  received(length: number): void
  message(data: unknown, isBinary: boolean): void
  /** A ping or a pong. */
  control(): void
  failed(error: unknown): void
  /** The socket has gone. */
  closed(): void
}

/** Takes an opened socket from its server: from here on the listener alone hears it. */
export function takeOver(wss: WebSocketServerLike, ws: WebSocketLike, listener: Listener): void {
  // Out of `clients` before anything else can run: a broadcast must not reach a socket that is not accepted.
  ;(wss.clients as Set<unknown> | undefined)?.delete(ws)
  ;(ws as AttachedSocket<Listener>)[attached] = listener
  intercept(ws, emitToListener)
}

/** Counts the bytes of the raw socket as well. */
export function countBytes(raw: Duplex, listener: Listener): void {
  ;(raw as AttachedStream<Listener>)[attached] = listener
  raw.prependListener('data', onData)
}

/** Gives the events of a socket back; its server's `clients` follow when the socket is accepted. */
export function letGo(raw: Duplex, ws: WebSocketLike): void {
  raw.removeListener('data', onData)
  ;(raw as AttachedStream<Listener>)[attached] = undefined
  release(ws)
}

/** Stands in for `emit` while the socket waits: the application does not see its events. */
function emitToListener(
  this: AttachedSocket<Listener>,
  event: string | symbol,
  a?: unknown,
  b?: unknown,
): boolean {
  const listener = this[attached]
  switch (event) {
    case 'message':
      listener?.message(a, b === true)
      return true
    case 'ping':
    case 'pong':
      listener?.control()
      return true
    case 'error':
      listener?.failed(a)
      return true
    case 'close':
      listener?.closed()
      return emitAsUsual(this, event, a, b)
    default:
      return emitAsUsual(this, event, a, b)
  }
}

function onData(this: AttachedStream<Listener>, chunk: Buffer): void {
  this[attached]?.received(chunk.length)
}
