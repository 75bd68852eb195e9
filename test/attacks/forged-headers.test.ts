/*
 * Headers of proxies, edges and logins in front, written by a client that came past all of them: whatever their spelling and
 * number, each answer, each counted address and each thing that the application sees is the same as without them.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import {
  type AuditEvent,
  createGate,
  createServices,
  deviceToken,
  fromRequest,
  memoryStore,
  trustedHeader,
} from 'upgate'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { TestSocket } from '../gateway/socket.ts'

const services = createServices({ store: memoryStore() })
const identities = /^(?:remote|tailscale.user|x.auth.request|x.authentik|x.forwarded.user)/i
const gate = createGate({
  origins: ['http://app.example.com'],
  // Neither of them is the peer of this test.
  trustedProxies: ['10.0.0.1', 'cloudflare'],
  logger: { warn() {}, error() {} },
  schemes: [
    fromRequest(({ headers }) => (headers.cookie === 'app=1' ? { id: 'ada' } : null), { cookie: 'app' }),
    deviceToken({ devices: services.devices }),
    ...[
      'Remote-User',
      'Tailscale-User-Login',
      'X-Auth-Request-User',
      'X-authentik-username',
      'X-Forwarded-User',
    ].map((user) =>
      trustedHeader({
        name: user.toLowerCase(),
        headers: user === 'Remote-User' ? { user, email: 'Remote-Email' } : { user },
        peers: ['10.0.0.9'],
        identify: (said) => ({ id: said.user }),
      }),
    ),
  ],
  rules: [
    { path: '/open', access: 'public' },
    { path: '/either', access: 'optional' },
    { path: '/live', access: 'required' },
    { path: '/nodes', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
  ],
})
const events: AuditEvent[] = []
gate.events.subscribe((event) => events.push(event))
const server = createServer((request, response) => {
  const seen = request.rawHeaders.filter((name, i) => i % 2 === 0 && identities.test(name))
  response.end(JSON.stringify([gate.principalOf(request)?.id ?? null, request.method, request.url, seen]))
})
const guard = guardServer(server, gate, {
  sockets: {
    '/live': new WebSocketServer({ noServer: true }),
    '/nodes': new WebSocketServer({ noServer: true }),
  },
  hold: 0,
})
guard.on('/nodes', (socket) => socket.send('{"type":"welcome"}'))
let port = 0
let token = ''
beforeAll(async () => {
  token = (await services.devices.create({ name: 'kitchen' })).token
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(async () => {
  await guard.close()
  await services.close()
  server.closeAllConnections()
  server.close()
})

/** What each party says, and two values that would change something if it counted. */
const headers: Readonly<Record<string, readonly [string, string]>> = {
  'CF-Connecting-IP': ['198.51.100.1', '127.0.0.1'],
  'CF-Connecting-IPv6': ['2001:db8::1', '::1'],
  'CF-Ray': ['8a0b-AMS', '8a0c-AMS'],
  'CF-Visitor': ['{"scheme":"https"}', '{"scheme":"http"}'],
  'CF-IPCountry': ['DE', 'US'],
  'CDN-Loop': ['cloudflare', 'other'],
  'Cf-Access-Authenticated-User-Email': ['root@example.com', 'ada@example.com'],
  'True-Client-IP': ['198.51.100.1', '127.0.0.1'],
  'X-Real-IP': ['198.51.100.1', '10.0.0.1'],
  'X-Forwarded-For': ['198.51.100.1', '10.0.0.1, 162.158.1.1'],
  'X-Forwarded-Host': ['app.example.com', 'evil.example'],
  'X-Forwarded-Proto': ['https', 'http'],
  'X-Forwarded-Port': ['443', '80'],
  'X-Forwarded-Method': ['GET', 'POST'],
  'X-Forwarded-Uri': ['/open', '/live'],
  'X-Forwarded-Prefix': ['/open', '/live'],
  'X-Forwarded-User': ['root', 'ada'],
  'X-Original-URI': ['/open', '/live'],
  'X-Original-URL': ['/open', '/live'],
  'X-Rewrite-URL': ['/open', '/live'],
  'X-Original-Method': ['GET', 'POST'],
  'X-Original-Host': ['app.example.com', 'evil.example'],
  Forwarded: ['for=198.51.100.1;host=app.example.com;proto=https', 'for=10.0.0.1'],
  'Remote-User': ['root', 'ada'],
  'Remote-Email': ['root@example.com', 'ada@example.com'],
  'Tailscale-User-Login': ['root@example.com', 'ada@example.com'],
  'X-Auth-Request-User': ['root', 'ada'],
  'X-authentik-username': ['root', 'ada'],
}

const odd = (name: string): string =>
  [...name].map((c, i) => (i % 2 ? c.toUpperCase() : c.toLowerCase())).join('')
/** The lines of each spelling and number of a header. */
const spellings: Readonly<Record<string, (name: string, one: string, other: string) => readonly string[]>> = {
  'as it is': (name, one) => [`${name}: ${one}`],
  'with the other value': (name, _, other) => [`${name}: ${other}`],
  empty: (name) => [`${name}:`],
  'in upper case': (name, one) => [`${name.toUpperCase()}: ${one}`],
  'in odd case': (name, one) => [`${odd(name)}: ${one}`],
  'with underscores': (name, one) => [`${name.replaceAll('-', '_')}: ${one}`],
  'with underscores, in lower case': (name, one) => [`${name.replaceAll('-', '_').toLowerCase()}: ${one}`],
  'with one underscore': (name, one) => [`${name.replace('-', '_')}: ${one}`],
  'with dots': (name, one) => [`${name.replaceAll('-', '.')}: ${one}`],
  doubled: (name, one) => [`${name}: ${one}`, `${name}: ${one}`],
  'doubled with another value': (name, one, other) => [`${name}: ${one}`, `${name.toLowerCase()}: ${other}`],
  'doubled with an alias': (name, one, other) => [
    `${name.replaceAll('-', '_')}: ${other}`,
    `${name}: ${one}`,
  ],
  joined: (name, one, other) => [`${name}: ${one}, ${other}`],
}

const handshake = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]
const close = 'Connection: close'
/** Requests of each kind: refused and let in, by each access. */
const requests: Readonly<Record<string, readonly [line: string, lines: readonly string[]]>> = {
  'a public path': ['GET /open', [close]],
  'an optional path': ['GET /either', [close]],
  'a path that demands a login': ['GET /any', [close]],
  'the same with a cookie': ['GET /any', [close, 'Cookie: app=1']],
  'a POST of a foreign page': ['POST /open', [close, 'Content-Length: 0', 'Origin: http://evil.example']],
  'a WebSocket without proof': ['GET /live', handshake],
  'a WebSocket of a foreign page': [
    'GET /live',
    [...handshake, 'Cookie: app=1', 'Origin: http://evil.example'],
  ],
}

/** The answer without its date, and the address of its event. */
async function answerTo(line: string, lines: readonly string[]): Promise<readonly string[]> {
  events.length = 0
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write([`${line} HTTP/1.1`, 'Host: app.example.com', ...lines, '', ''].join('\r\n'))
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  const counted = events.map((event) =>
    'place' in event ? `${event.type} ${event.place.clientAddress}` : event.type,
  )
  return [text.replace(/^Date: .*\r\n/m, ''), ...counted]
}

describe.each(Object.entries(headers))('%s of a client that is no proxy', (name, [one, other]) => {
  it('changes no answer, no counted address, and nothing that the application sees', async () => {
    for (const [what, [line, lines]] of Object.entries(requests)) {
      const plain = await answerTo(line, lines)
      for (const [spelling, linesOf] of Object.entries(spellings)) {
        const forged = await answerTo(line, [...linesOf(name, one, other), ...lines])
        expect(forged, `${what}, ${spelling}`).toEqual(plain)
      }
    }
  })
})

it('the same headers, all at once, change nothing about a device and its first frame', async () => {
  const all = Object.fromEntries(Object.entries(headers).map(([name, [one]]) => [name, one]))
  const socket = new TestSocket(`http://127.0.0.1:${port}/nodes`, { Host: 'app.example.com', ...all })
  expect((await socket.upgraded).status).toBe(101)
  socket.send({ type: 'auth', token })
  expect(await socket.message()).toMatchObject({ type: 'auth_ok', principal: { kind: 'device' } })
  const other = new TestSocket(`http://127.0.0.1:${port}/nodes`, { Host: 'app.example.com', ...all })
  expect((await other.upgraded).status).toBe(101)
  other.send({ type: 'auth', token: 'root' })
  expect(await other.message()).toMatchObject({ type: 'auth_error', code: 'invalid_credential' })
})
