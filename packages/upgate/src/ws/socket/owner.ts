import type { Duplex } from 'node:stream'
import type { WebSocketLike } from './web-socket-like.ts'

/** Under this key a socket knows who is responsible for it: shared listeners find their state through `this`. */
export const owner: unique symbol = Symbol('upgate.owner')

/** A socket of `ws` with its owner. */
export type OwnedSocket<O> = WebSocketLike & { [owner]?: O | undefined }

/** A raw socket with its owner. */
export type OwnedStream<O> = Duplex & { [owner]?: O | undefined }

type Emit = WebSocketLike['emit']

/** Whether a socket is open: `WebSocket.OPEN`, which is the same in every copy of `ws`. */
export function isOpen(ws: WebSocketLike): boolean {
  return ws.readyState === 1
}

/** What the socket's class emits with, past any override on the instance. */
export function emitAsUsual(ws: WebSocketLike, event: string | symbol, a: unknown, b: unknown): boolean {
  return ((Object.getPrototypeOf(ws) as WebSocketLike).emit as Emit).call(ws, event, a, b)
}

/** Puts an override in front of the socket's `emit`: nobody else hears what it says. */
export function intercept(
  ws: WebSocketLike,
  emit: (this: never, event: string | symbol, a?: unknown, b?: unknown) => boolean,
): void {
  ;(ws as { emit: unknown }).emit = emit
}

/** Takes the override away: the socket speaks to its listeners. */
export function release(ws: WebSocketLike): void {
  delete (ws as { emit?: unknown }).emit
}
