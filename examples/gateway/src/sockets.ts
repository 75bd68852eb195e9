import type { IncomingMessage } from 'node:http'
import type { Principal } from 'upgate'
import { closeCodes } from 'upgate/protocol'
import { type WebSocket, WebSocketServer } from 'ws'

/** One endpoint, and the handler of its accepted sockets. */
export interface Endpoint {
  /** Longest message, in bytes. */
  readonly maxPayload: number
  /** Most sockets of one principal at a time. One more ends the oldest, which may be dead without having closed yet. */
  readonly atMost: number
  accept(socket: WebSocket, principal: Principal, request: IncomingMessage): void
}

/**
 * Creates a WebSocket server for every endpoint; the guard hands accepted sockets to it. Paths with the same endpoint
 * share the server, and with it the most sockets of a principal.
 */
export function createSockets(
  endpoints: Readonly<Record<string, Endpoint>>,
): Record<string, WebSocketServer> {
  const created = new Map<Endpoint, WebSocketServer>()
  const servers: Record<string, WebSocketServer> = {}
  for (const [path, endpoint] of Object.entries(endpoints)) {
    const server = created.get(endpoint) ?? createSocketServer(endpoint)
    created.set(endpoint, server)
    servers[path] = server
  }
  return servers
}

function createSocketServer({ maxPayload, atMost, accept }: Endpoint): WebSocketServer {
  const keep = createKeeper(atMost)
  const server = new WebSocketServer({ noServer: true, maxPayload, perMessageDeflate: false })
  server.on('connection', (socket: WebSocket, request: IncomingMessage, principal?: Principal) => {
    // The rules admit no socket without a principal; if they ever do, the endpoint cannot use it.
    if (principal === undefined) {
      socket.close(1011, 'no_principal')
      return
    }
    keep(principal.id, socket)
    accept(socket, principal, request)
  })
  return server
}

/** Counts sockets by principal: a stolen token must not open an unlimited number. */
function createKeeper(atMost: number): (principalId: string, socket: WebSocket) => void {
  const open = new Map<string, Set<WebSocket>>()
  return (principalId, socket) => {
    const own = open.get(principalId) ?? new Set()
    open.set(principalId, own)
    own.add(socket)
    socket.once('close', () => {
      own.delete(socket)
      if (own.size === 0 && open.get(principalId) === own) open.delete(principalId)
    })
    const [oldest] = own
    if (own.size > atMost && oldest !== undefined) {
      own.delete(oldest)
      oldest.close(closeCodes.tooMany, 'too_many_sockets')
    }
  }
}
