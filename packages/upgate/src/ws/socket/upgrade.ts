import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { withoutSecrets } from './subprotocols.ts'
import type { WebSocketLike, WebSocketServerLike } from './web-socket-like.ts'

/**
 * Lets the application's server answer 101, without what must not be negotiated: subprotocols that are secrets
 * (the answer would echo them), and compression where `compression` is false. The request's headers are as
 * before when it returns.
 */
export function upgrade(
  wss: WebSocketServerLike,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  isSecretSubprotocol: (name: string) => boolean,
  compression: boolean,
  done: (ws: WebSocketLike) => void,
): void {
  const { headers } = request
  const protocols = headers['sec-websocket-protocol']
  const extensions = headers['sec-websocket-extensions']
  if (protocols !== undefined) {
    const kept = withoutSecrets(protocols, isSecretSubprotocol)
    if (kept === undefined) delete headers['sec-websocket-protocol']
    else headers['sec-websocket-protocol'] = kept
  }
  if (!compression && extensions !== undefined) delete headers['sec-websocket-extensions']
  try {
    wss.handleUpgrade(request, socket, head, done)
  } finally {
    if (protocols !== undefined) headers['sec-websocket-protocol'] = protocols
    if (extensions !== undefined) headers['sec-websocket-extensions'] = extensions
  }
}
