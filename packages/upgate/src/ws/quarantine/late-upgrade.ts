import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'

/** Any valid key: its answer is dropped. */
const anyKey = 'AAAAAAAAAAAAAAAAAAAAAA=='

/**
 * Lets a server make the WebSocket object of a socket that was answered by hand, when its first bytes arrive. What the
 * server writes meanwhile, its own 101, is dropped.
 *
 * @param protocol - the subprotocol of the 101; empty if there is none
 * @param bytes - the first bytes: the object reads them
 * @returns `undefined` if the server makes none: it was closed
 */
export function lateUpgrade(
  wss: WebSocketServerLike,
  url: string,
  raw: Duplex,
  protocol: string,
  bytes: Buffer,
): WebSocketLike | undefined {
  const headers: Record<string, string> = {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-key': anyKey,
    'sec-websocket-version': '13',
  }
  if (protocol !== '') headers['sec-websocket-protocol'] = protocol
  const request = { method: 'GET', url, headers, socket: raw } as unknown as IncomingMessage
  let made: WebSocketLike | undefined
  silently(raw, () => wss.handleUpgrade(request, raw, bytes, (ws) => (made = ws)))
  return made
}

function silently(raw: Duplex, work: () => void): void {
  const muted = raw as { write?: unknown; end?: unknown }
  const write = Object.getOwnPropertyDescriptor(raw, 'write')
  const end = Object.getOwnPropertyDescriptor(raw, 'end')
  muted.write = () => true
  muted.end = () => raw
  try {
    work()
  } finally {
    restore(raw, 'write', write)
    restore(raw, 'end', end)
  }
}

function restore(raw: Duplex, method: 'write' | 'end', own: PropertyDescriptor | undefined): void {
  if (own === undefined) delete (raw as { write?: unknown; end?: unknown })[method]
  else Object.defineProperty(raw, method, own)
}
