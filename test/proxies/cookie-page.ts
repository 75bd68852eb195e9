import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AuditEvent, createGate, createServices, fromRequest, memoryStore, ticket } from 'upgate'
import { ticketEndpoint } from 'upgate/node'
import { guardServer } from 'upgate/ws'
import { WebSocketServer } from 'ws'
import { type ProxyProgram, startProxy } from './programs.ts'

/** An application with a login cookie behind nginx, and pages of strangers. */
export interface CookieStage {
  /** Of the application, as browsers reach it. */
  readonly origin: string
  /** Pages of strangers: another port of the same host, which is the same site, and another site. */
  readonly sameSite: string
  readonly crossSite: string
  readonly events: AuditEvent[]
  readonly lines: string[]
  readonly saved: string[]
  /** `Sec-Fetch-Site` of the upgrades that arrived. */
  readonly upgradeSites: (string | undefined)[]
  close(): Promise<void>
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/**
 * Starts it. `/login/<SameSite>` sets the cookie; `/plain` is a WebSocket by that cookie, `/by-ticket` one by a ticket.
 *
 * @param configure - the text for nginx with its port, the upstream's, and a folder for its files
 */
export async function startCookieStage(
  scheme: 'http' | 'https',
  configure: (port: number, upstream: number, folder: string) => string,
): Promise<CookieStage> {
  const saved: string[] = []
  const upgradeSites: (string | undefined)[] = []
  const secure = scheme === 'https' ? '; Secure' : ''
  const server = createServer((request, response) => {
    const [, path, sameSite] = request.url?.split('/') ?? []
    if (path === 'tickets') return void endpoint(request, response)
    if (path === 'save') saved.push(request.headers['sec-fetch-site'] as string)
    if (path === 'login') response.setHeader('set-cookie', `app=1; Path=/; SameSite=${sameSite}${secure}`)
    response.setHeader('content-type', 'text/html')
    response.end('<p>ours')
  })
  const upstream = await listen(server)
  const proxy: ProxyProgram = await startProxy('nginx', (port, folder) => configure(port, upstream, folder))
  const origin = `${scheme}://localhost:${proxy.port}`
  const { tickets } = createServices({ store: memoryStore() })
  const lines: string[] = []
  const gate = createGate({
    origins: [origin],
    trustedProxies: ['loopback'],
    logger: { warn: (message) => lines.push(message), error() {} },
    schemes: [
      fromRequest(({ headers }) => (headers.cookie?.toString().includes('app=1') ? { id: 'ada' } : null), {
        cookie: 'app',
      }),
      ticket({ tickets }),
    ],
    rules: [
      { path: '/login/*', access: 'public' },
      { path: '/plain', access: 'required' },
      // Nothing that browsers send by themselves counts on it.
      { path: '/by-ticket', access: 'required', anyOrigin: true },
    ],
  })
  const endpoint = ticketEndpoint(gate, { tickets, paths: ['/by-ticket'] })
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  const guard = guardServer(server, gate, {
    sockets: {
      '/plain': new WebSocketServer({ noServer: true }),
      '/by-ticket': new WebSocketServer({ noServer: true }),
    },
  })
  for (const path of ['/plain', '/by-ticket'] as const) {
    guard.on(path, (socket, request, principal) => {
      upgradeSites.push(request.headers['sec-fetch-site'] as string | undefined)
      socket.send(`you are ${principal.id}`)
    })
  }
  const stranger = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html').end('<p>a stranger'),
  )
  const port = await listen(stranger)
  return {
    origin,
    sameSite: `http://localhost:${port}/`,
    crossSite: `http://127.0.0.1:${port}/`,
    events,
    lines,
    saved,
    upgradeSites,
    async close() {
      await guard.close()
      await proxy.stop()
      for (const each of [server, stranger]) {
        each.closeAllConnections()
        each.close()
      }
    },
  }
}
