import type { IncomingMessage } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { Principal } from 'upgate'
import { guardServer } from 'upgate/ws'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { handshake, raw, request, textFrame } from '../adapters/raw.ts'
import { makeGate } from '../core/fixtures.ts'
import { closeStages, eventually, ours, stage } from './guard-stage.ts'
import { certificate } from './tls-fixture.ts'

afterEach(closeStages)

const slow = ['Authorization: Bearer k_slow']
const token = textFrame(JSON.stringify({ token: 'k_device' }))

/** Sockets that the server holds. */
async function held(server: {
  getConnections(callback: (error: Error | null, count: number) => void): void
}): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
}

describe('the upgrade path, in front of the quarantine', () => {
  it('pitfall 1: an upgrade without a taker is answered, not left hanging', async () => {
    const { port, events } = await stage()
    const answer = await raw(port, handshake('/nowhere', ours)).ended()
    expect(answer).toMatch(/^HTTP\/1\.1 404 /)
    expect(answer).toMatch(/\r\nUpgate-Refusal: unknown_path; /)
    expect(events.map((event) => event.type)).toEqual(['allowed', 'refused'])
  })

  it('pitfall 1: a decision that never comes is answered 503 after ten seconds', async () => {
    const { port, clock, guard, letDecide, undecided } = await stage()
    const client = raw(port, handshake('/chat', slow))
    await eventually(() => undecided() === 1)
    clock.advance(9_999)
    expect(client.text()).toBe('')
    clock.advance(1)
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 503 .*\r\nUpgate-Refusal: unavailable; /s)
    letDecide()
    await new Promise((resolve) => setImmediate(resolve))
    expect(guard.counts.accepted).toBe(0)
  })

  it('pitfall 1: decisions in flight are bounded', async () => {
    const { port, letDecide, undecided } = await stage({
      options: { sockets: {}, maxDeciding: 2 },
      rules: [],
    })
    const first = raw(port, handshake('/one', slow))
    const second = raw(port, handshake('/two', slow))
    await eventually(() => undecided() === 2)
    const third = await raw(port, handshake('/three', slow)).ended()
    expect(third).toMatch(/^HTTP\/1\.1 503 .*\r\nUpgate-Refusal: over_capacity; .*\r\nRetry-After: /s)
    letDecide()
    expect(await first.ended()).toMatch(/^HTTP\/1\.1 404 /)
    expect(await second.ended()).toMatch(/^HTTP\/1\.1 404 /)
    const fourth = raw(port, handshake('/four', slow))
    await eventually(() => undecided() === 1)
    letDecide()
    expect(await fourth.ended()).toMatch(/^HTTP\/1\.1 404 /)
  })

  it('pitfall 2: of two servers made with { server, path } neither answers 400 for the other', async () => {
    const made: WebSocketServer[] = []
    const { port, server, gate } = await stage({ options: { sockets: {} }, rules: [] })
    for (const path of ['/a', '/b']) {
      const wss = new WebSocketServer({ server, path })
      wss.on('connection', (ws) => ws.send(`welcome to ${path}`))
      made.push(wss)
    }
    const [a, b] = made as [WebSocketServer, WebSocketServer]
    const second = makeGate({ rules: [{ path: ['/a', '/b', '/c'], access: 'public', upgrade: true }] })
    guardServer(server, second, { sockets: { '/a': a, '/b': b } })
    expect(second).not.toBe(gate)
    for (const path of ['/a', '/b']) {
      const client = raw(port, handshake(path, ours))
      await client.until(new RegExp(`welcome to ${path}`))
      client.socket.destroy()
    }
    // Both listen on the server themselves, and neither answers for a path that is not its own.
    expect(await raw(port, handshake('/c', ours)).ended()).toMatch(/^HTTP\/1\.1 404 .*unknown_path/s)
  })

  it('pitfall 2: an owner made with { server, path } gets each upgrade once', async () => {
    let connections = 0
    const made: { wss?: WebSocketServer } = {}
    const s = await stage({ options: { sockets: {} }, rules: [] })
    const wss = new WebSocketServer({ server: s.server, path: '/feed' })
    made.wss = wss
    wss.on('connection', (ws) => {
      connections++
      ws.send('welcome')
    })
    guardServer(s.server, makeGate({ rules: [{ path: '/feed', access: 'public', upgrade: true }] }), {
      sockets: { '/feed': wss },
    })
    const client = raw(s.port, handshake('/feed', ours))
    await client.until(/welcome/)
    expect(connections).toBe(1)
    expect(client.text().match(/HTTP\/1\.1/g)).toHaveLength(1)
    client.socket.destroy()
  })

  it('pitfall 4: a reset while the decision is awaited does not end the process', async () => {
    const { port, clock, guard, letDecide, undecided, server } = await stage()
    const uncaught = vi.fn()
    process.on('uncaughtExceptionMonitor', uncaught)
    for (const target of ['/chat', '/ws', '/nowhere']) {
      const client = raw(port, handshake(target, slow))
      await eventually(() => undecided() === 1)
      client.socket.resetAndDestroy()
      await client.ended()
      letDecide()
    }
    clock.advance(20_000)
    expect(await raw(port, request('GET /health HTTP/1.1', ['Connection: close'])).ended()).toMatch(
      /reached$/,
    )
    await vi.waitFor(async () => expect(await held(server)).toBe(0), 20_000)
    expect(guard.counts).toMatchObject({ quarantined: 0, accepted: 0, refused: 0 })
    process.removeListener('uncaughtExceptionMonitor', uncaught)
    expect(uncaught).not.toHaveBeenCalled()
  })

  it('pitfall 5: a refused peer that only half-closes, or sends nothing more, does not keep its socket', async () => {
    const { port, server } = await stage()
    const halfClosed = raw(port, handshake('/chat'))
    halfClosed.socket.end()
    expect(await halfClosed.ended()).toMatch(/^HTTP\/1\.1 401 /)
    const silent = raw(port, handshake('/chat'))
    expect(await silent.ended()).toMatch(/^HTTP\/1\.1 401 /)
    await vi.waitFor(async () => expect(await held(server)).toBe(0), 20_000)
  })

  it('pitfall 6: a refused peer that does not read is cut off after a second', async () => {
    const { server, clock, gate } = await stage()
    // A socket with a peer that never reads.
    const socket = new Duplex({ read() {}, write() {}, allowHalfOpen: true })
    const incoming = {
      method: 'GET',
      url: '/chat',
      headers: { host: 'gateway.example.com', upgrade: 'websocket' },
      rawHeaders: [],
      upgrade: true,
      socket,
    }
    server.emit('upgrade', incoming as never, socket, Buffer.alloc(0))
    expect(socket.destroyed).toBe(false)
    clock.advance(999)
    expect(socket.destroyed).toBe(false)
    clock.advance(1)
    expect(socket.destroyed).toBe(true)
    expect(gate.connections.size).toBe(0)
  })

  it('pitfall 8: head and pipelined frames reach the owner in order, however long the decision takes', async () => {
    const { port, letDecide, undecided } = await stage({ rules: [{ path: '/ws', access: 'required' }] })
    const client = raw(
      port,
      Buffer.concat([Buffer.from(handshake('/ws', slow)), textFrame('one'), textFrame('two')]),
    )
    await eventually(() => undecided() === 1)
    client.socket.write(textFrame('three'))
    letDecide()
    expect(await client.until(/echo three/)).toMatch(/welcome slow.*echo one.*echo two.*echo three/s)
    client.socket.destroy()
  })

  it('pitfall 14: hostile targets neither throw nor reach an owner', async () => {
    const { port, guard } = await stage()
    for (const target of [
      '//[',
      '//evil.example/ws',
      'http://evil.example/ws',
      '/a/../ws',
      '/%77s',
      '/ws/',
      '/WS',
      `/${'a'.repeat(9_000)}`,
      '/ws%00',
    ]) {
      const client = raw(port, Buffer.concat([Buffer.from(handshake(target)), token]))
      expect([target.slice(0, 20), await client.ended()]).toEqual([
        target.slice(0, 20),
        expect.stringMatching(/^HTTP\/1\.1 40[01] .*\r\nUpgate-Refusal: /s),
      ])
    }
    // Also with proof: a path that is not in canonical form has no owner.
    const known = await raw(port, handshake('/x/../ws', ours)).ended()
    expect(known).toMatch(/^HTTP\/1\.1 4/)
    expect(guard.counts).toMatchObject({ quarantined: 0, accepted: 0 })
  })

  it('pitfall 15: `Upgrade: h2c` is an ordinary request, and 426 next to an offer of WebSocket', async () => {
    const { port } = await stage()
    const lines = ['Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABk']
    for (const [target, offer, status] of [
      ['/ws', 'h2c', 426],
      ['/health', 'h2c', 200],
      ['/open', 'h2c', 200],
      ['/closed', 'h2c', 401],
      ['/health', 'websocket, h2c', 426],
    ] as const) {
      const answer = await raw(
        port,
        request(`GET ${target} HTTP/1.1`, [...lines, `Upgrade: ${offer}`]),
      ).ended()
      expect([target, answer]).toEqual([target, expect.stringMatching(new RegExp(`^HTTP/1\\.1 ${status} `))])
    }
  })

  it('pitfall 16: an upgrade with a body is refused, and its bytes are never parsed as frames', async () => {
    const { port, guard } = await stage()
    const body = token.toString('latin1')
    for (const header of [
      `Content-Length: ${token.length}`,
      'Transfer-Encoding: chunked',
      'Content-Length: 0',
    ]) {
      const client = raw(port, Buffer.from(handshake('/ws', [header]) + body, 'latin1'))
      expect(await client.ended()).toMatch(/^HTTP\/1\.1 400 .*\r\nUpgate-Refusal: malformed_upgrade; /s)
    }
    expect(guard.counts.quarantined).toBe(0)
  })

  it('pitfall 16: works where the event hands out a bare Duplex', async () => {
    const { server } = await stage()
    let written = ''
    const socket = new Duplex({
      read() {},
      write(chunk, _encoding, done) {
        written += chunk
        done()
      },
    })
    const incoming = {
      method: 'GET',
      url: '/ws',
      headers: { host: 'gateway.example.com', upgrade: 'h2c' },
      rawHeaders: [],
      socket: undefined,
    }
    server.emit('upgrade', incoming as never, socket, Buffer.alloc(0))
    await eventually(() => socket.destroyed)
    expect(written).toMatch(/^HTTP\/1\.1 426 /)
  })

  it('pitfall 17: a decision that rejects is a refusal, not the end of the process', async () => {
    const { port, gate } = await stage()
    for (const decide of [
      () => Promise.reject(new Error('bug')),
      () => {
        throw new Error('bug')
      },
    ]) {
      Object.assign(gate, { decide })
      expect(await raw(port, handshake('/ws')).ended()).toMatch(/^HTTP\/1\.1 503 /)
      expect(await raw(port, request('GET /health HTTP/1.1', ['Connection: close'])).ended()).toMatch(
        /^HTTP\/1\.1 503 /,
      )
    }
  })

  it('pitfalls 18 and 25: a refusal says its length, says that it closes, and closes', async () => {
    const { port, server } = await stage()
    for (let i = 0; i < 5; i++) {
      const answer = await raw(port, handshake('/chat')).ended()
      const [head = '', body = ''] = answer.split('\r\n\r\n')
      expect(head).toMatch(/\r\nConnection: close$/m)
      expect(head).toMatch(/\r\nDate: \w{3}, /)
      expect(/\r\nContent-Length: (\d+)/.exec(head)?.[1]).toBe(String(body.length))
    }
    await vi.waitFor(async () => expect(await held(server)).toBe(0), 20_000)
  })

  it('pitfall 25: the answer outlives frames that were sent along with the refused upgrade', async () => {
    const { port } = await stage()
    const flood = Buffer.concat([Buffer.from(handshake('/chat')), Buffer.alloc(512 * 1024, 0x82)])
    for (let i = 0; i < 5; i++) expect(await raw(port, flood).ended()).toMatch(/^HTTP\/1\.1 401 .*\}\n$/s)
  })

  it('pitfall 20: headers beyond 16 KiB are 431 by Node, before any listener', async () => {
    const { port, events } = await stage()
    const answer = await raw(port, handshake('/ws', [`X-Padding: ${'a'.repeat(17_000)}`])).ended()
    expect(answer).toMatch(/^HTTP\/1\.1 431 /)
    expect(events).toEqual([])
  })

  it('pitfall 24: repeated and joined headers do not get around anything', async () => {
    const { port, guard } = await stage()
    const evil = 'Origin: https://evil.example'
    for (const headers of [
      ['Authorization: Bearer k_u', 'Authorization: Bearer k_device'],
      [...ours, evil],
      [evil, ...ours],
      ['Cookie: sid=u', 'Origin: https://gateway.example.com, https://evil.example'],
    ]) {
      const answer = await raw(port, handshake('/chat', headers)).ended()
      expect(answer).toMatch(/^HTTP\/1\.1 40[03] /)
    }
    expect(guard.counts.accepted).toBe(0)
  })

  it('an upgrade pipelined behind a request that is still being answered is cut', async () => {
    let finish: (() => void) | undefined
    const { port, guard } = await stage({
      listener: (_request, response) => {
        response.write('begun ')
        finish = () => response.end('done')
      },
    })
    const client = raw(port, request('GET /health HTTP/1.1') + handshake('/ws'))
    const text = await client.ended()
    finish?.()
    expect(text).not.toMatch(/101/)
    expect(guard.counts.quarantined).toBe(0)
  })

  it('works on https, also on a server that listens already', async () => {
    const server = createTlsServer(certificate, (_request, response) => response.end('reached'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const wss = new WebSocketServer({ noServer: true })
    wss.on('connection', (ws: WebSocket, _request: IncomingMessage, principal: Principal) => {
      ws.send(`welcome ${principal.id}`)
    })
    guardServer(server, makeGate(), { sockets: { '/chat': wss } })
    const ask = (bytes: string, until: RegExp): Promise<string> =>
      new Promise((resolve) => {
        const { port } = server.address() as { port: number }
        const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
        let text = ''
        const look = (chunk: Buffer | string): void => {
          text += chunk.toString('latin1')
          if (until.test(text)) {
            resolve(text)
            socket.destroy()
          }
        }
        socket.on('data', look)
        socket.write(bytes)
      })
    expect(await ask(handshake('/chat'), /\}\n$/)).toMatch(/^HTTP\/1\.1 401 /)
    expect(await ask(request('GET /x HTTP/1.1'), /\}\n$/)).toMatch(/^HTTP\/1\.1 401 /)
    expect(await ask(handshake('/chat', ours), /welcome/)).toMatch(/^HTTP\/1\.1 101 .*welcome u/s)
    server.closeAllConnections()
    for (const ws of wss.clients) ws.terminate()
    await new Promise((resolve) => server.close(resolve))
  })
})
