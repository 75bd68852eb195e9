import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Principal } from '../../core/contract/principal.ts'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'
import type { Shared } from '../talk/shared.ts'
import { serverThrew } from './answer-101.ts'
import type { BareSocket } from './bare-socket.ts'

/** Any valid key: its answer is dropped. */
const anyKey = 'AAAAAAAAAAAAAAAAAAAAAA=='

/**
 * Lets the server make the WebSocket object of a bare socket, which stays bare if it makes none.
 *
 * @param bytes - what the object reads first
 */
export function dress<P extends Principal>(
  { gate }: Shared<P>,
  bare: BareSocket<P>,
  bytes: Buffer,
): WebSocketLike | undefined {
  const { wss, raw, url } = bare
  bare.leave()
  let ws: WebSocketLike | undefined
  try {
    ws = lateUpgrade(wss, url, raw, bare.protocol, bytes)
  } catch (error) {
    gate.logger.error(serverThrew, { error })
  }
  if (ws === undefined) bare.stay()
  else raw.resume()
  return ws
}

/**
 * Lets a server make the WebSocket object of a socket that was answered by hand. The server writes a 101 of its own: it is
 * dropped.
 *
 * @returns `undefined` if the server makes none: it was closed
 */
function lateUpgrade(
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

/** Drops what is written meanwhile. */
function silently(raw: Duplex, work: () => void): void {
  const { write, end } = raw
  raw.write = () => true
  raw.end = () => raw
  try {
    work()
  } finally {
    // Not deleted, where they were inherited: an object that lost a property costs V8 2.8 kB more.
    raw.write = write
    raw.end = end
  }
}
