/*
 * The row of docs/guide-proxies.md about Cloudflare Tunnel, through the simulated edge: with the values that the row
 * prints, Host and Upgrade arrive, and the client's address is the one that counts.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createEdgeSim } from '@upgate/edge-sim'
import { type AuditEvent, createGate, createServices, deviceToken, memoryStore } from 'upgate'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { TestSocket } from '../gateway/socket.ts'

const guide = readFileSync(new URL('../../docs/guide-proxies.md', import.meta.url), 'utf8')
const row = /^\| Cloudflare Tunnel \|.*$/m.exec(guide)?.[0] ?? ''
/** The two values of `trustedProxies` that the row names. */
const [byTunnel, byEdge] = [...row.matchAll(/'(loopback|cloudflare)'/g)].map(([, name]) => name as string)

const site = 'https://gateway.example.com'
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function stage(trustedProxies: string[], edgePeer?: string) {
  const services = createServices({ store: memoryStore() })
  const { token } = await services.devices.create({ name: 'kitchen' })
  const gate = createGate({
    origins: [site],
    trustedProxies,
    logger: { warn() {}, error() {} },
    schemes: [deviceToken({ devices: services.devices })],
    rules: [
      { path: '/health', access: 'public' },
      { path: '/api', access: 'required', kinds: ['device'] },
      { path: '/nodes', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
    ],
  })
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  const arrived: IncomingHttpHeaders[] = []
  const server = createServer((request, response) => {
    arrived.push(request.headers)
    response.end('fine')
  })
  // Without a tunnel the edge connects by itself; here it is on loopback all the same.
  if (edgePeer !== undefined) {
    server.prependListener('connection', (socket: Socket) =>
      Object.defineProperty(socket, 'remoteAddress', { value: edgePeer }),
    )
  }
  const guard = guardServer(server, gate, {
    sockets: { '/nodes': new WebSocketServer({ noServer: true }) },
    maxSocketsPerAddress: 1,
    hold: 0,
  })
  guard.on('/nodes', (socket, request) => {
    arrived.push(request.headers as IncomingHttpHeaders)
    socket.send(JSON.stringify({ type: 'welcome' }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sim = createEdgeSim({ teams: ['acme'] })
  await sim.start()
  sim.addHost('gateway.example.com', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  ends.push(
    () => services.close(),
    () => new Promise((resolve) => server.close(resolve)),
    () => server.closeAllConnections(),
    () => guard.close(),
    () => sim.stop(),
  )
  return {
    token,
    events,
    arrived,
    sim,
    get: (path: string, headers: Record<string, string> = {}) => sim.fetch(`${site}${path}`, { headers }),
    open(headers: Record<string, string> = {}): TestSocket {
      const to = sim.to('wss://gateway.example.com/nodes')
      return new TestSocket(to.url, { ...to.headers, ...headers })
    },
    /** The counted address of the last event. */
    counted() {
      const event = events.at(-1)
      return event !== undefined && 'place' in event ? event.place.clientAddress : 'no event'
    },
  }
}

const from = (address: string): Record<string, string> => ({ 'Edge-Sim-Client-Ip': address })
/** All that a client may say about its address; the edge overwrites the first and appends to the second. */
const forged = { 'CF-Connecting-IP': '198.51.100.1', 'X-Forwarded-For': '198.51.100.1, 127.0.0.1' }

it('names both ways in which the edge reaches a server', () => {
  expect([byTunnel, byEdge]).toEqual(['loopback', 'cloudflare'])
})

describe.each([
  ['a tunnel', byTunnel as string, undefined],
  ['the edge itself', byEdge as string, '162.158.1.1'],
])('behind %s, with the value that the guide names', (_name, trusted, peer) => {
  it('HTTP arrives with its Host, and counts for the address of its client', async () => {
    const { get, counted, arrived, token, events } = await stage([trusted], peer)
    for (const address of ['203.0.113.9', '2001:db8::7']) {
      const answer = await get('/api', { authorization: `Bearer ${token}`, ...from(address), ...forged })
      expect([answer.status, counted()]).toEqual([200, address])
      expect((await get('/api', { ...from(address), ...forged })).status).toBe(401)
      expect([events.at(-1)?.type, counted()]).toEqual(['refused', address])
      expect(events.at(-1)).toMatchObject({ reason: undefined })
    }
    expect(arrived[0]).toMatchObject({
      host: 'gateway.example.com',
      'cf-connecting-ip': '203.0.113.9',
      'x-forwarded-for': '198.51.100.1, 127.0.0.1, 203.0.113.9',
      'x-forwarded-proto': 'https',
      'cf-visitor': '{"scheme":"https"}',
      'cdn-loop': 'cloudflare; loops=1',
      'cf-ray': expect.any(String),
    })
  })

  it('a WebSocket is accepted by its first frame, and limited by the address of its client', async () => {
    const { open, counted, arrived, token, events } = await stage([trusted], peer)
    const one = open({ ...from('203.0.113.9'), ...forged })
    expect((await one.upgraded).status).toBe(101)
    // Waits for its frame; a second one of its address finds no room, one of another address does.
    const second = open({ ...from('203.0.113.9'), ...forged })
    expect((await second.upgraded).status).toBe(503)
    expect(events.at(-1)).toMatchObject({ code: 'too_many_sockets' })
    expect(counted()).toBe('203.0.113.9')
    const other = open({ ...from('203.0.113.10'), ...forged })
    expect((await other.upgraded).status).toBe(101)
    one.send({ type: 'auth', token })
    expect(await one.message()).toMatchObject({ type: 'auth_ok' })
    expect(await one.message()).toEqual({ type: 'welcome' })
    expect(events.at(-1)?.type).toBe('socket_accepted')
    expect(counted()).toBe('203.0.113.9')
    expect(arrived[0]).toMatchObject({ host: 'gateway.example.com', upgrade: 'websocket' })
  })

  it('a zone with WebSockets switched off is named', async () => {
    const { open, sim, events } = await stage([trusted], peer)
    sim.inject({ kind: 'drop-upgrade' })
    const { status, body } = await open(from('203.0.113.9')).upgraded
    expect([status, JSON.parse(body).code]).toEqual([426, 'upgrade_required'])
    expect(body).not.toContain('Cloudflare')
    expect(events.at(-1)).toMatchObject({
      reason: expect.stringContaining('WebSockets switched on for the zone in Cloudflare'),
    })
  })
})

it('without the value, the edge counts, and the operator reads which name is missing', async () => {
  const { get, counted, events } = await stage([], '162.158.1.1')
  expect((await get('/api', from('203.0.113.9'))).status).toBe(401)
  expect(counted()).toBe('162.158.1.1')
  expect(events.at(-1)).toMatchObject({
    reason: expect.stringContaining("Add 'cloudflare' to `trustedProxies`."),
  })
})
