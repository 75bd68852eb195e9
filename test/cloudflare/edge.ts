import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createEdgeSim, type EdgeSim, type EdgeSimOptions } from '@upgate/edge-sim'
import express from 'express'
import {
  createGate,
  createServices,
  deviceToken,
  type Gate,
  memoryStore,
  type RuleOptions,
  type Services,
} from 'upgate'
import { byEmail, type CloudflareAccessOptions, cloudflareAccess } from 'upgate/cloudflare-access'
import { expressGate } from 'upgate/express'
import { type ManualClock, manualClock } from 'upgate/testing'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { afterEach } from 'vitest'
import { WebSocketServer } from 'ws'
import { TestSocket } from '../gateway/socket.ts'

export const site = 'https://gateway.example.com'
export const aud = 'a'.repeat(64)

/** Made once per test file, by way of PEM: Node 20 can lock up when a key just generated is exported as JWK. */
const keys = Array.from({ length: 5 }, () => {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return createPrivateKey(privateKey).export({ format: 'jwk' })
})

export interface Behind {
  readonly clock: ManualClock
  readonly sim: EdgeSim
  readonly gate: Gate
  readonly services: Services
  /** Where the origin listens: what the edge is meant to hide. */
  readonly origin: string
  /** How often the signing keys were fetched. */
  certsFetched(): number
  /** A GET through the edge as a program would send it. */
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>
  /** The same past the edge. */
  direct(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>
  /** A socket through the edge. */
  socket(path: string, headers?: Readonly<Record<string, string>>): TestSocket
  /** A socket past the edge. */
  socketAt(origin: string, path: string, headers?: Readonly<Record<string, string>>): TestSocket
  /** Logs in on the simulated page, as a browser does, and answers its cookie. */
  logIn(email: string): Promise<string>
  /** Lets the time pass that the gate holds back the close of a refused socket. */
  passRefusal(closed?: Promise<unknown>): Promise<void>
  /** A second process over the same records, behind the same edge. */
  restart(): Promise<Behind>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

const rules: readonly RuleOptions[] = [
  { path: '/health', access: 'public' },
  { path: '/robots', access: 'required', kinds: ['service'], scopes: ['files.read'] },
  { path: '/ws', access: 'required' },
  { path: '/nodes', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
  {
    path: '/nodes/admin',
    access: 'deferred',
    kinds: ['device'],
    scopes: ['operator.admin'],
    handshake: upgateHandshake(),
  },
  {
    path: '/nodes/paired',
    access: 'deferred',
    kinds: ['device'],
    handshake: upgateHandshake(),
    // Devices are named after the site of the service token that they need.
    agreesWithEdge: (edge, device) => device.displayName === `${edge.id} node`,
  },
]

const closing: (() => Promise<void>)[] = []

/** Ends, after each test, the servers of that test. */
export function cleanUp(): void {
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })
}

/** A gateway behind the simulated edge: Express, a guarded server, records in memory, one clock for all. */
export async function startBehind(
  access: Partial<CloudflareAccessOptions> = {},
  edge: Partial<EdgeSimOptions> = {},
): Promise<Behind> {
  const clock = manualClock(Date.UTC(2026, 9, 1))
  const sim = createEdgeSim({
    clock,
    teams: [
      { name: 'acme', signingKeys: keys.slice(0, 4) },
      { name: 'globex', signingKeys: keys.slice(4) },
    ],
    users: ['ada@example.com', 'eve@example.com'].map((email) => ({ email })),
    applications: [
      {
        name: 'gateway',
        host: 'gateway.example.com',
        aud,
        policies: [{ action: 'service_auth' }, { action: 'allow' }],
      },
    ],
    ...edge,
  })

  const services = createServices({ store: memoryStore(), clock, limits: { logInterval: 0 } })
  await services.accounts.create({ email: 'Ada@example.com', scopes: ['chat'], roles: ['writer'] })
  closing.push(() => sim.stop())
  await sim.start()
  return serve({ clock, sim, services, access })
}

interface Parts {
  readonly clock: ManualClock
  readonly sim: EdgeSim
  readonly services: Services
  readonly access: Partial<CloudflareAccessOptions>
}

async function serve(parts: Parts): Promise<Behind> {
  const { clock, sim, services, access } = parts
  let certs = 0
  const scheme = cloudflareAccess({
    team: 'acme',
    audience: [aud],
    identify: byEmail(services.accounts),
    revocations: services.revocations,
    clock,
    fetch: (url, init) => {
      if (url.endsWith('/certs')) certs++
      return sim.fetch(url, init)
    },
    ...access,
  })
  const gate = createGate({
    origins: [site],
    schemes: [scheme, deviceToken({ devices: services.devices })],
    rules,
    clock,
  })
  const app = express()
  app.use(expressGate(gate))
  const shown = (request: object) => {
    const decision = gate.decisionOf(request)
    const edge = decision?.outcome === 'allow' ? decision.edgePrincipal : undefined
    return { principal: gate.principalOf(request) ?? null, edge: edge ?? null }
  }
  app.use((request, response) => void response.json(shown(request)))
  const server = createServer(app)
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (socket, request) => {
    socket.send(JSON.stringify({ type: 'welcome', ...shown(request) }))
    socket.on('message', (data) => socket.send(String(data)))
  })
  const guarded = guardServer(server, gate, {
    sockets: { '/ws': wss, '/nodes': wss, '/nodes/admin': wss, '/nodes/paired': wss },
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  closing.push(async () => {
    // The graces of closing are of the same clock.
    let ended = false
    void guarded.close().then(() => {
      ended = true
    })
    while (!ended) {
      clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
    gate.close()
    scheme.close()
    await services.close()
  })
  // The edge learns where its origin is only now; after a restart it is somewhere else.
  sim.addHost('gateway.example.com', origin)

  const ask = async (answer: Promise<Response>): Promise<Answer> => {
    const response = await answer
    const text = await response.text()
    const json = response.headers.get('content-type')?.includes('json') === true
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : { text } }
  }
  return {
    clock,
    sim,
    gate,
    services,
    origin,
    certsFetched: () => certs,
    get: (path, headers = {}) => ask(sim.fetch(site + path, { headers, redirect: 'manual' })),
    direct: (path, headers = {}) => ask(direct(origin + path, headers)),
    socket(path, headers = {}) {
      const to = sim.to(`${site.replace('http', 'ws')}${path}`)
      return new TestSocket(to.url, { ...to.headers, ...headers })
    },
    socketAt: (at, path, headers = {}) =>
      new TestSocket(`${at}${path}`, { host: 'gateway.example.com', ...headers }),
    logIn: (email) => logIn(sim, email),
    async passRefusal(closed) {
      // The refusal is decided while the upgrade or the frame travels; time may pass only afterwards. Where time
      // passed meanwhile, the socket may be gone already.
      let gone = false
      void closed?.then(() => {
        gone = true
      })
      while (!gone && guarded.counts.refused === 0) await new Promise((resolve) => setImmediate(resolve))
      clock.advance(2_000)
    },
    restart: () => serve(parts),
  }
}

/** A request under the name of the site to where the origin really listens; `fetch` would not let us say so. */
function direct(url: string, headers: Readonly<Record<string, string>>): Promise<Response> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers: { host: 'gateway.example.com', ...headers } }, (answer) => {
      let body = ''
      answer.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      answer.once('end', () =>
        resolve(new Response(body, { status: answer.statusCode ?? 0, headers: plain(answer.headers) })),
      )
    })
    sent.once('error', reject)
    sent.end()
  })
}

function plain(headers: IncomingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((one): [string, string] => [name, one]),
  )
}

/** Redirect to the team's login page, choice of a user, hand-over, cookie. */
async function logIn(sim: EdgeSim, email: string): Promise<string> {
  const to = (url: string, init: RequestInit = {}) => sim.fetch(url, { redirect: 'manual', ...init })
  const redirect = (await to(`${site}/`)).headers.get('location') ?? ''
  const state = /name="state" value="([0-9a-f]+)"/.exec(await (await to(redirect)).text())?.[1] ?? ''
  const chosen = await to('https://acme.cloudflareaccess.com/cdn-cgi/access/callback', {
    method: 'POST',
    body: new URLSearchParams({ state, email }),
  })
  const done = await to(chosen.headers.get('location') ?? '')
  const line = done.headers.getSetCookie().find((cookie) => cookie.startsWith('CF_Authorization='))
  if (line === undefined) throw new Error(`The login was answered ${done.status}, without a cookie.`)
  return line.split(';')[0] ?? ''
}
