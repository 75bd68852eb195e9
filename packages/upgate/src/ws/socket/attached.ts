import type { Duplex } from 'node:stream'
import type { WebSocketLike } from './web-socket-like.ts'

/** Under this key a socket knows the object that handles it: shared listeners find their state through `this`. */
export const attached: unique symbol = Symbol('upgate.attached')

/** A socket of `ws` with what is attached to it. */
export type AttachedSocket<O> = WebSocketLike & { [attached]?: O | undefined }

/** A raw socket with what is attached to it. */
export type AttachedStream<O> = Duplex & { [attached]?: O | undefined }

type Emit = WebSocketLike['emit']

/** Whether a socket is open: `WebSocket.OPEN`, which is the same in every copy of `ws`. */
export function isOpen(ws: Pick<WebSocketLike, 'readyState'>): boolean {
  return ws.readyState === 1
}

/** Emits with the method of the socket's class, past any override on the instance. */
export function emitAsUsual(ws: WebSocketLike, event: string | symbol, a: unknown, b: unknown): boolean {
  return ((Object.getPrototypeOf(ws) as WebSocketLike).emit as Emit).call(ws, event, a, b)
}

/** Puts an override in front of the socket's `emit`. */
export function intercept(
  ws: WebSocketLike,
  emit: (this: never, event: string | symbol, a?: unknown, b?: unknown) => boolean,
): void {
  ;(ws as { emit: unknown }).emit = emit
}

/** Removes the override: events reach the socket's listeners again. */
export function release(ws: WebSocketLike): void {
  delete (ws as { emit?: unknown }).emit
}
