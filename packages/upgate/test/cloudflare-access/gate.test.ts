import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGate, type Gate, type RuleOptions } from 'upgate'
import type { CloudflareAccessOptions } from 'upgate/cloudflare-access'
import { manualClock } from 'upgate/testing'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { current, keyOf, requestOf, team } from './team.ts'

const origin = 'https://gateway.example.com'
const rules: RuleOptions[] = [
  { path: '/health', access: 'public' },
  { path: '/ws', access: 'required' },
  { path: '/robots', access: 'required', kinds: ['service'] },
  { path: '/nodes', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
]

function gateOf(options: Partial<CloudflareAccessOptions> = {}) {
  const acme = team({ services: { 'svc.access': { id: 'backup', scopes: [] } }, ...options })
  const gate = createGate({ origins: [origin], schemes: [acme.scheme], rules, clock: acme.clock })
  return { acme, gate }
}

async function decide(
  gate: Gate,
  headers: Record<string, string | string[]>,
  target = '/api',
  peer?: string,
) {
  const decision = await gate.decide({ ...requestOf(headers, 'http', peer), target })
  return 'code' in decision ? `${decision.status} ${decision.code}` : decision.outcome
}

describe('through the gate', () => {
  it('8. a service token is 403 on a route for people, and vice versa; unknown people are 403', async () => {
    const { acme, gate } = gateOf({
      identify: ({ email }) => (email === 'ada@example.com' ? { id: 'ada' } : null),
    })
    const service = { 'cf-access-jwt-assertion': acme.service({ common_name: 'svc.access' }) }
    const user = { 'cf-access-jwt-assertion': acme.user() }
    expect(await decide(gate, service)).toBe('403 kind_not_allowed')
    expect(await decide(gate, service, '/robots')).toBe('allow')
    expect(await decide(gate, user)).toBe('allow')
    expect(await decide(gate, user, '/robots')).toBe('403 kind_not_allowed')
    expect(await decide(gate, { 'cf-access-jwt-assertion': acme.user({ email: 'eve@example.com' }) })).toBe(
      '403 unknown_identity',
    )
  })

  it('9. a duplicated header is 400, a bad one 401 with any cookie', async () => {
    const { acme, gate } = gateOf()
    const token = acme.user()
    expect(await decide(gate, { 'cf-access-jwt-assertion': [token, token] })).toBe('400 duplicate_header')
    expect(
      await decide(gate, { 'cf-access-jwt-assertion': 'bad', cookie: `CF_Authorization=${token}` }),
    ).toBe('401 invalid_credential')
  })

  it('8. JWKS unreachable and nothing usable is 503, never 401', async () => {
    const { acme, gate } = gateOf()
    acme.serve(() => new Response('', { status: 500 }))
    expect(await decide(gate, { 'cf-access-jwt-assertion': acme.user() })).toBe('503 unavailable')
    expect(await decide(gate, {}, '/health')).toBe('allow')
  })

  it.each([
    ['without proxy headers', {}],
    ['with those of a tunnel', { 'cf-connecting-ip': '203.0.113.7', 'x-forwarded-for': '203.0.113.7' }],
  ])('11. a loopback peer %s proves nothing', async (_, proxy) => {
    const { acme, gate } = gateOf()
    for (const peer of ['127.0.0.1', '::1']) {
      const email = { 'cf-access-authenticated-user-email': 'ada@example.com' }
      expect(await decide(gate, { ...proxy, ...email }, '/api', peer)).toBe('401 auth_required')
      const forged = { 'cf-access-jwt-assertion': acme.user({}, keyOf('mallory')), ...email }
      expect(await decide(gate, { ...proxy, ...forged }, '/api', peer)).toBe('401 invalid_credential')
      const good = { 'cf-access-jwt-assertion': acme.user(), ...email }
      expect(await decide(gate, { ...proxy, ...good }, '/api', peer)).toBe('allow')
    }
  })

  it('is no way around a deferred path: the edge principal is kept separately, and admits no client', async () => {
    const { acme, gate } = gateOf()
    const headers = {
      origin,
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'cf-access-jwt-assertion': acme.user(),
    }
    const request = { ...requestOf(headers, 'upgrade'), target: '/nodes' }
    expect(await gate.decide(request)).toMatchObject({
      outcome: 'defer',
      httpPrincipal: undefined,
      edgePrincipal: { kind: 'user', displayName: 'ada@example.com' },
    })
    const bad = { ...request, headers: { ...request.headers, 'cf-access-jwt-assertion': 'bad' } }
    expect(await gate.decide(bad)).toMatchObject({ outcome: 'defer', httpFailure: 'invalid_credential' })
  })
})

describe('10. upgrades', () => {
  const closing: (() => void)[] = []
  afterEach(() => {
    for (const close of closing.splice(0)) close()
  })

  async function serve(gate: Gate, onConnection = (): void => {}): Promise<string> {
    const server: Server = createServer()
    const wss = new WebSocketServer({ noServer: true })
    wss.on('connection', onConnection)
    guardServer(server, gate, { sockets: { '/ws': wss, '/nodes': wss, '/robots': wss } })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(() => {
      for (const client of wss.clients) client.terminate()
      server.close()
      server.closeAllConnections()
    })
    return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  async function connect(url: string, headers: Record<string, string>): Promise<WebSocket | number> {
    const socket = new WebSocket(url, { headers: { host: 'gateway.example.com', ...headers } })
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(socket))
      socket.once('unexpected-response', (_, response) => {
        resolve(response.statusCode ?? 0)
        socket.terminate()
      })
      socket.once('error', reject)
    })
  }

  it('verifies before the application sees the socket, and closes it at exp', async () => {
    const { acme, gate } = gateOf()
    const accepted: string[] = []
    const url = `${await serve(gate, () => accepted.push('connection'))}/ws`
    const forged = acme.user({}, keyOf('mallory'))
    expect(await connect(url, { 'cf-access-jwt-assertion': forged }), 'a program').toBe(401)
    // A page could not read the status, so it gets a close code; the application sees nothing.
    for (const token of [forged, acme.user({ exp: acme.now() - 60 })]) {
      const refused = await connect(url, { origin, 'cf-access-jwt-assertion': token })
      if (typeof refused === 'number') throw new Error(`refused with ${refused}`)
      const closed = once(refused, 'close')
      acme.clock.advance(1_500)
      expect(((await closed) as [number])[0]).toBe(4401)
    }
    expect(accepted).toEqual([])

    const socket = await connect(url, {
      origin,
      'cf-access-jwt-assertion': acme.user({ exp: acme.now() + 600 }),
    })
    if (typeof socket === 'number') throw new Error(`refused with ${socket}`)
    expect(accepted).toEqual(['connection'])
    acme.clock.advance(599_999)
    expect(socket.readyState).toBe(WebSocket.OPEN)
    const closed = once(socket, 'close')
    acme.clock.advance(1)
    const [code] = (await closed) as [number]
    expect(code).toBeGreaterThanOrEqual(4_000)
  })

  it('a foreign page is refused with a user identity, by cookie or header; a service needs no Origin', async () => {
    const { acme, gate } = gateOf()
    const base = await serve(gate)
    const user = acme.user()
    const cookie = `CF_Authorization=${user}`
    expect(await connect(`${base}/ws`, { origin: 'https://evil.example', cookie })).toBe(403)
    expect(
      await connect(`${base}/ws`, {
        origin: 'https://evil.example',
        'cf-access-jwt-assertion': user,
        cookie,
      }),
    ).toBe(403)
    expect(await connect(`${base}/ws`, { cookie }), 'no Origin: ambient does not count').toBe(401)
    expect(await connect(`${base}/ws`, { origin, cookie })).toBeInstanceOf(WebSocket)
    const service = { 'cf-access-jwt-assertion': acme.service({ common_name: 'svc.access' }) }
    expect(await connect(`${base}/robots`, service)).toBeInstanceOf(WebSocket)
  })
})

it('the scheme uses the clock it is given', async () => {
  const clock = manualClock(Date.UTC(2030, 0))
  const acme = team({ clock })
  const token = acme.user({ exp: Math.floor(clock.now() / 1_000) + 10 }, current)
  expect((await acme.verify(token)).outcome).toBe('authenticated')
  clock.advance(60_000)
  expect((await acme.verify(token)).outcome).toBe('rejected')
})
