import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AuditEvent, createGate, createServices, type Gate, memoryStore, sessionCookie } from 'upgate'
import { guardServer } from 'upgate/ws'
import { WebSocket, WebSocketServer } from 'ws'
import { printed } from './guide.ts'
import { type ProxyName, startProxy } from './programs.ts'

const ends: (() => unknown)[] = []

/** Ends all stages of a test. */
export async function endStages(): Promise<void> {
  for (const end of ends.splice(0).reverse()) await end()
}

/** Called when the stages of the test end. */
export function later(end: () => unknown): void {
  ends.push(end)
}

/** A guarded server behind a proxy. */
export interface Stage {
  readonly port: number
  readonly gate: Gate
  readonly events: AuditEvent[]
  readonly lines: string[]
}

/** Starts one with the guide's text changed by `edit`. `/health` is public, `/ws` owns sockets, all else demands a login. */
export async function stage(
  edit: (text: string) => string = (text) => text,
  name: ProxyName = 'nginx',
): Promise<Stage> {
  const server: Server = createServer((_request, response) => response.end('a page'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const upstream = (server.address() as AddressInfo).port
  const proxy = await startProxy(name, (port) => edit(printed(name, port, upstream)))
  const { sessions } = createServices({ store: memoryStore() })
  const lines: string[] = []
  const gate = createGate({
    origins: [proxy.origin],
    trustedProxies: ['loopback'],
    logger: {
      warn: (message, fields) => lines.push(`${message} ${JSON.stringify(fields ?? {})}`),
      error() {},
    },
    schemes: [sessionCookie({ sessions, secure: false })],
    rules: [{ path: '/health', access: 'public' }],
  })
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  const guard = guardServer(server, gate, { sockets: { '/ws': new WebSocketServer({ noServer: true }) } })
  ends.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => guard.close(),
    () => proxy.stop(),
  )
  return { port: proxy.port, gate, events, lines }
}

/** The answer to a request. */
export function ask(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, path, headers, method }, (response: IncomingMessage) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
      .on('error', reject)
      .end()
  })
}

/** The status with which a WebSocket is refused, or 101. */
export function upgradeStatus(
  port: number,
  headers: Record<string, string> = {},
  path = '/ws',
): Promise<number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers })
    socket.on('unexpected-response', (_request, response) => {
      resolve(response.statusCode ?? 0)
      socket.terminate()
    })
    socket.on('open', () => {
      resolve(101)
      socket.terminate()
    })
    socket.on('error', () => {})
  })
}
