import { once } from 'node:events'
import type { EdgeSim } from '@upgate/edge-sim'
import { decodeJwt } from 'jose'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { cleanUp, manualClock, raw, startOrigin, startSim, upgrade } from './helpers.ts'

cleanUp()

const WS = 'wss://app.example.com/ws'

function open(sim: EdgeSim, headers: Record<string, string> = {}): WebSocket {
  const to = sim.to(WS)
  return new WebSocket(to.url, { headers: { ...to.headers, ...headers }, perMessageDeflate: false })
}

async function echo(socket: WebSocket, text: string): Promise<string> {
  socket.send(text)
  const [data] = (await once(socket, 'message')) as [Buffer]
  return data.toString()
}

describe('upgrades', () => {
  test('a service token: 101, the assertion is on the upgrade request, bytes pass both ways', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const { headers } = sim.addServiceToken({ name: 'node' })
    const socket = open(sim, { ...headers, 'Cf-Access-Jwt-Assertion': 'spoofed' })
    await once(socket, 'open')
    expect(await echo(socket, 'hello')).toBe('hello')
    const large = 'x'.repeat(3_000_000)
    expect(await echo(socket, large)).toBe(large)
    expect(origin.last.upgrade).toBe(true)
    expect(decodeJwt(String(origin.last.headers['cf-access-jwt-assertion']))).toMatchObject({
      sub: '',
      type: 'app',
    })
    expect(origin.last.headers).not.toHaveProperty('cf-access-client-secret')
    expect(origin.last.headers['cf-connecting-ip']).toBe('203.0.113.10')
    expect(sim.log.at(-1)).toMatchObject({ upgrade: true, status: 101, outcome: 'forwarded' })
    socket.close(1000)
    const [code] = (await once(socket, 'close')) as [number]
    expect(code).toBe(1000)
  })

  test('a user’s cookie too; without a credential, strict and not, the answer is the same as over HTTP', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const token = await sim.issueUserToken('app', 'anna@example.com')
    expect((await upgrade(sim, WS, { cookie: `CF_Authorization=${token}` })).status).toBe(101)
    const refused = await upgrade(sim, WS)
    expect([refused.status, refused.headers.location]).toEqual([
      302,
      expect.stringMatching(/\/access\/login\/app/),
    ])
    sim.configureTeam('acme', { strict: true })
    expect((await upgrade(sim, WS, { 'CF-Access-Client-Id': 'x.access' })).status).toBe(401)
    expect(origin.seen).toHaveLength(1)
  })

  test('a socket outlives its token: the edge does not close it', async () => {
    const clock = manualClock()
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url, clock, idleCutMs: 3_600_000 })
    sim.configureApplication('app', { sessionSeconds: 60 })
    const { headers } = sim.addServiceToken({ name: 'node' })
    const socket = open(sim, headers)
    await once(socket, 'open')
    clock.advance(120_000)
    sim.expireServiceToken('node')
    const { exp = 0 } = decodeJwt(String(origin.last.headers['cf-access-jwt-assertion']))
    expect(exp * 1000).toBeLessThan(clock.now())
    expect(await echo(socket, 'still here')).toBe('still here')
    socket.terminate()
  })

  test('the idle cut: 100 s without a byte end in 1006, a ping in time does not', async () => {
    const clock = manualClock()
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url, clock })
    const { headers } = sim.addServiceToken({ name: 'node' })
    const socket = open(sim, headers)
    await once(socket, 'open')
    clock.advance(99_000)
    socket.ping()
    await once(socket, 'pong')
    clock.advance(99_999)
    socket.ping()
    await once(socket, 'pong')
    clock.advance(100_000)
    const [code] = (await once(socket, 'close')) as [number]
    expect(code).toBe(1006)
  })

  test('a lost Upgrade header: the origin sees a plain GET and its answer comes back', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const { headers } = sim.addServiceToken({ name: 'node' })
    const off = sim.inject({ kind: 'drop-upgrade' })
    const lost = await upgrade(sim, WS, headers)
    expect([lost.status, lost.headers['x-origin']]).toEqual([200, 'here'])
    expect(origin.last).toMatchObject({ method: 'GET', upgrade: false })
    expect(origin.last.headers).not.toHaveProperty('upgrade')
    expect(origin.last.headers['sec-websocket-key']).toBeDefined()
    off()
    expect((await upgrade(sim, WS, headers)).status).toBe(101)
  })

  test('a refusal by the origin comes back whole; an origin that is not there is 502', async () => {
    const origin = await startOrigin()
    origin.server.removeAllListeners('upgrade')
    origin.server.on('upgrade', (_, socket) => {
      socket.end(
        'HTTP/1.1 403 Forbidden\r\nX-Origin: here\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno',
      )
    })
    const sim = await startSim({ upstream: origin.url })
    const { headers } = sim.addServiceToken({ name: 'node' })
    const refused = await upgrade(sim, WS, headers)
    expect([refused.status, refused.headers['x-origin'], refused.body]).toEqual([403, 'here', 'no'])
    await origin.close()
    const gone = await upgrade(sim, WS, headers)
    expect([gone.status, gone.headers['x-origin']]).toEqual([502, undefined])
  })

  test('a mid-stream reset cuts the socket after so many bytes', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const { headers } = sim.addServiceToken({ name: 'node' })
    sim.inject({ kind: 'reset', afterBytes: 10, times: 1 })
    const socket = open(sim, headers)
    await once(socket, 'open')
    expect(await echo(socket, '1234')).toBe('1234')
    socket.on('error', () => {})
    socket.send('567890')
    const [code] = (await once(socket, 'close')) as [number]
    expect(code).toBe(1006)
  })

  test('upgrades to other protocols than WebSocket are answered as plain requests', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'] })
    const answer = await raw(
      sim.port,
      'GET / HTTP/1.1\r\nHost: open.example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(origin.last.headers).not.toHaveProperty('upgrade')
    expect(origin.last.headers).not.toHaveProperty('http2-settings')
  })

  test('ends are passed on: the origin closing closes the client, and stop() ends everything', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const { headers } = sim.addServiceToken({ name: 'node' })
    const one = open(sim, headers)
    await once(one, 'open')
    for (const socket of origin.sockets) socket.destroy()
    expect(((await once(one, 'close')) as [number])[0]).toBe(1006)
    const two = open(sim, headers)
    await once(two, 'open')
    const closed = once(two, 'close')
    await sim.stop()
    expect(((await closed) as [number])[0]).toBe(1006)
    await sim.stop()
  })
})
