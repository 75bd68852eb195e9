// Needs Debian's nginx, chromium and firefox-esr.
/*
 * nginx with the recipe that writes `Origin`, in front of an application with a cookie. A page of another site counts as
 * the application's own then: over HTTP the browser's word wins, on WebSockets there is none.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AuditEvent, createGate, createServices, fromRequest, memoryStore, ticket } from 'upgate'
import { ticketEndpoint } from 'upgate/node'
import { guardServer } from 'upgate/ws'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { type BrowserProgram, browsers, type Tab } from './browsers.ts'
import { hasProxy, startProxy } from './programs.ts'

interface Stage {
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

async function startStage(): Promise<Stage> {
  const saved: string[] = []
  const upgradeSites: (string | undefined)[] = []
  const server = createServer((request, response) => {
    const [, path, sameSite] = request.url?.split('/') ?? []
    if (path === 'tickets') return void endpoint(request, response)
    if (path === 'save') saved.push(request.headers['sec-fetch-site'] as string)
    if (path === 'login') response.setHeader('set-cookie', `app=1; Path=/; SameSite=${sameSite}`)
    response.setHeader('content-type', 'text/html')
    response.end('<p>ours')
  })
  const upstream = await listen(server)
  const proxy = await startProxy(
    'nginx',
    (port) => `
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
server {
  listen 127.0.0.1:${port};
  location / {
    proxy_pass http://127.0.0.1:${upstream};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Origin http://$http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  }
}`,
  )
  const origin = `http://localhost:${proxy.port}`
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

/** Runs in a page: what a WebSocket says first, or the code with which it closes. */
async function talk(url: string): Promise<string> {
  const socket = new WebSocket(url.replace('http', 'ws'))
  return await new Promise((resolve) => {
    socket.onmessage = (event) => {
      resolve(event.data)
      socket.close()
    }
    socket.onclose = (event) => resolve(`closed ${event.code}`)
  })
}

/** Runs in a page of a stranger: posts with the visitor's cookies, as a form does. */
async function post(url: string): Promise<void> {
  await fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'a=1' })
}

/** Runs in a page of the application: fetches a ticket and opens a WebSocket with it. */
async function talkByTicket(origin: string): Promise<string> {
  const answer = await fetch('/tickets', { method: 'POST', body: JSON.stringify({ path: '/by-ticket' }) })
  const { subprotocol } = await answer.json()
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/by-ticket`, ['chat.v1', subprotocol])
  return await new Promise((resolve) => {
    socket.onmessage = (event) => resolve(event.data)
    socket.onclose = (event) => resolve(`closed ${event.code}`)
  })
}

for (const { name, upgradeSite, has, launch } of browsers) {
  describe.skipIf(!has() || !hasProxy('nginx'))(`a proxy that writes Origin, and ${name}`, () => {
    let browser: BrowserProgram
    let stage: Stage
    let profile: Awaited<ReturnType<BrowserProgram['newProfile']>>
    beforeAll(async () => {
      browser = await launch()
    }, 90_000)
    afterAll(() => browser?.close())
    beforeEach(async () => {
      stage = await startStage()
      profile = await browser.newProfile()
    })
    afterEach(async () => {
      await profile?.close()
      await stage?.close()
    })

    async function loggedIn(sameSite: 'Lax' | 'Strict'): Promise<Tab> {
      const tab = await profile.newTab()
      await tab.goto(`${stage.origin}/login/${sameSite}`)
      return tab
    }

    async function strangerAt(url: string): Promise<Tab> {
      const tab = await profile.newTab()
      await tab.goto(url)
      return tab
    }

    it("lets the application's own page in, and warns once of the navigations", async () => {
      const own = await loggedIn('Lax')
      await own.evaluate(post, `${stage.origin}/save`)
      expect(stage.saved).toEqual(['same-origin'])
      expect(await own.evaluate(talk, `${stage.origin}/plain`)).toBe('you are ada')
      expect(await own.evaluate(talkByTicket, stage.origin)).toBe('you are ada')
      await loggedIn('Lax')
      const warned = stage.lines.filter((line) => line === 'A proxy seems to write Origin.')
      expect(warned).toHaveLength(1)
    })

    it.each(['crossSite', 'sameSite'] as const)("refuses a stranger's POST (%s)", async (where) => {
      await loggedIn('Lax')
      const stranger = await strangerAt(stage[where])
      await stranger.evaluate(post, `${stage.origin}/save`)
      await stranger.evaluate(post, `${stage.origin}/tickets`)
      expect(stage.saved).toEqual([])
      const refused = stage.events.filter((event) => event.type === 'refused')
      expect(refused.map(({ code }) => code)).toEqual(['origin_refused', 'origin_refused'])
      expect(refused[0]?.reason).toContain('a proxy writes Origin')
    })

    it("lets the WebSocket of a neighbour's page in by any cookie, and not where the rule demands a ticket", async () => {
      for (const sameSite of ['Lax', 'Strict'] as const) {
        await loggedIn(sameSite)
        const near = await strangerAt(stage.sameSite)
        const said = await near.evaluate(talk, `${stage.origin}/plain`)
        expect([sameSite, said]).toEqual([sameSite, 'you are ada'])
        expect(await near.evaluate(talk, `${stage.origin}/by-ticket`)).toBe('closed 4401')
      }
      expect(stage.upgradeSites).toEqual([upgradeSite, upgradeSite])
      // Of a navigation, not of the upgrades.
      expect(stage.lines.filter((line) => line === 'A proxy seems to write Origin.')).toHaveLength(1)
    })

    it('is kept off by SameSite where the stranger is of another site', async () => {
      for (const sameSite of ['Lax', 'Strict'] as const) {
        await loggedIn(sameSite)
        const other = await strangerAt(stage.crossSite)
        const said = await other.evaluate(talk, `${stage.origin}/plain`)
        expect([sameSite, said]).toEqual([sameSite, 'closed 4401'])
      }
    })
  })
}
