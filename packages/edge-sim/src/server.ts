import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Answer, html, type Verdict } from './answer.ts'
import { credentialNames } from './credentials.ts'
import { decideAtEdge } from './edge.ts'
import { type EdgeRequest, readEdgeRequest } from './edge-request.ts'
import { forward, type OriginOptions } from './origin.ts'
import type { RequestLog } from './request-log.ts'
import type { Identities } from './team-host.ts'
import type { World } from './world.ts'
import { writeAnswer } from './write-answer.ts'

/** Limits of the listening side. */
export interface ServerOptions {
  readonly originSilenceMs: number
  readonly idleCutMs: number
  readonly maxConnections: number
}

/** The listening side of the simulator. */
export interface EdgeServer {
  readonly server: Server
  /** Ends every connection, joined WebSockets included. */
  destroyAll(): void
}

/** Makes the server: one port for every host, HTTP and upgrades alike. */
export function createEdgeServer(
  world: World,
  identities: Identities,
  log: RequestLog,
  options: ServerOptions,
): EdgeServer {
  const sockets = new Set<Duplex>()
  const track = (socket: Duplex): void => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }

  async function handle(
    raw: IncomingMessage,
    response: ServerResponse,
    client: { socket: Socket; head: Buffer } | undefined,
  ): Promise<void> {
    const at = world.clock.now()
    const request = readEdgeRequest(world, raw, client !== undefined)
    if (typeof request === 'string') {
      writeAnswer(
        response,
        raw.method ?? 'GET',
        '0000000000000000-SIM',
        html(400, 'invalid', 'Bad Request', request),
      )
      return
    }
    const verdict = await decideAtEdge(world, identities, request).catch(internalError)
    if (raw.socket.destroyed) return
    let logged = false
    const note = (status: number, location: string | undefined): void => {
      if (location !== undefined) world.leaks.redirected(request, location)
      if (logged) return
      logged = true
      log.add({ at, status, ...facts(request), ...result(verdict) })
    }
    if (verdict.kind === 'silence') return note(0, undefined)
    if (verdict.kind === 'answer') {
      note(verdict.status, verdict.headers.find(([name]) => name === 'location')?.[1])
      writeAnswer(response, request.method, request.ray, verdict)
      return
    }
    const origin: OriginOptions = { clock: world.clock, ...options, onStatus: note, track }
    response.once('close', () => note(0, undefined))
    forward(request, verdict, response, client, origin)
  }

  const server = createServer({ maxHeaderSize: 32 * 1024, requestTimeout: 0 }, (raw, response) => {
    handle(raw, response, undefined).catch(() => raw.socket.destroy())
  })
  server.maxConnections = options.maxConnections
  server.on('connection', track)
  server.on('upgrade', (raw: IncomingMessage, duplex: Duplex, head: Buffer) => {
    const socket = duplex as Socket
    // Without a listener a client that hangs up during the handshake would end the process.
    socket.on('error', () => {})
    const response = new ServerResponse(raw)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    // The server no longer looks after this socket: draining and ending are up to us.
    const drained = (): void => void response.emit('drain')
    socket.on('drain', drained)
    response.once('finish', () => {
      socket.off('drain', drained)
      socket.end()
    })
    handle(raw, response, { socket, head }).catch(() => socket.destroy())
  })
  server.on('clientError', (_, socket) => {
    if (socket.writable)
      socket.end('HTTP/1.1 400 Bad Request\r\nServer: cloudflare\r\nConnection: close\r\n\r\n')
    else socket.destroy()
  })

  return {
    server,
    destroyAll() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

function internalError(): Answer {
  return html(
    500,
    'edge_error',
    'Internal error',
    '<h1>edge-sim failed</h1><p>This is a bug of the simulator.</p>',
  )
}

type Facts = 'ray' | 'method' | 'host' | 'path' | 'upgrade' | 'address' | 'userAgent' | 'credentials'

function facts(request: EdgeRequest): Pick<RequestLog['entries'][number], Facts> {
  const { ray, method, host, path, upgrade, address, userAgent } = request
  return { ray, method, host, path, upgrade, address, userAgent, credentials: credentialNames(request) }
}

function result(
  verdict: Verdict,
): Pick<RequestLog['entries'][number], 'outcome' | 'application' | 'identity'> {
  if (verdict.kind === 'silence')
    return { outcome: verdict.outcome, application: undefined, identity: undefined }
  return { outcome: verdict.outcome, application: verdict.application?.name, identity: verdict.identity }
}
