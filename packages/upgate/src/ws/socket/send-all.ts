import type { OutgoingFrame } from '../../core/contract/handshake.ts'
import type { WebSocketLike } from './web-socket-like.ts'

/** Sends frames of a handshake, in order: a string as a text frame, bytes as a binary one. */
export function sendAll(ws: Pick<WebSocketLike, 'send'>, frames: readonly OutgoingFrame[]): void {
  for (const frame of frames) ws.send(frame)
}
