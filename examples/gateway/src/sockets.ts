import type { IncomingMessage } from 'node:http'
import type { Principal } from 'upgate'
import { type WebSocket, WebSocketServer } from 'ws'

/** One endpoint: the longest message it takes, in bytes, and who takes over accepted sockets. */
export interface Endpoint {
  readonly maxPayload: number
  accept(socket: WebSocket, principal: Principal, request: IncomingMessage): void
}

/** Makes a WebSocket server for every path; the guard owns them and hands over who was accepted. */
export function createSockets(
  endpoints: Readonly<Record<string, Endpoint>>,
): Record<string, WebSocketServer> {
  const servers: Record<string, WebSocketServer> = {}
  for (const [path, { maxPayload, accept }] of Object.entries(endpoints)) {
    const server = new WebSocketServer({ noServer: true, maxPayload, perMessageDeflate: false })
    server.on('connection', (socket: WebSocket, request: IncomingMessage, principal?: Principal) => {
      // The rules let nobody in without a principal; should they ever, the socket is of no use to anybody.
      if (principal === undefined) socket.close(1011, 'no_principal')
      else accept(socket, principal, request)
    })
    servers[path] = server
  }
  return servers
}
