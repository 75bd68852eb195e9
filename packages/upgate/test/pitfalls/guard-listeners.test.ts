import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import type { Duplex } from 'node:stream'
import { guardServer } from 'upgate/ws'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { handshake, raw, request, textFrame } from '../adapters/raw.ts'
import { makeGate } from '../core/fixtures.ts'
import { closeStages, eventually, ours, stage } from './guard-stage.ts'

afterEach(closeStages)

const get = (port: number, path: string, headers: readonly string[] = []): Promise<string> =>
  raw(port, request(`GET ${path} HTTP/1.1`, ['Connection: close', ...headers])).ended()

/** Answers an upgrade by itself, the way applications do without `ws`. */
const takes =
  (name: string, reached: string[]) =>
  (incoming: IncomingMessage, socket: Duplex): void => {
    reached.push(`${name} ${incoming.url}`)
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\ntaken')
  }

describe('listeners of a guarded server', () => {
  it('are all behind the decision: there before, added later, prepended, once', async () => {
    const reached: string[] = []
    const listener = (name: string) => (incoming: IncomingMessage) =>
      void reached.push(`${name} ${incoming.url}`)
    const { server, port } = await stage({
      listener: (_request, response) => response.end('reached'),
      before: (s) => s.once('request', listener('early')),
    })
    server.on('request', listener('later'))
    server.prependListener('request', listener('first'))
    server.prependOnceListener('request', listener('once'))
    for (let i = 0; i < 3; i++) expect(await get(port, '/secret')).toMatch(/^HTTP\/1\.1 401 /)
    expect(reached).toEqual([])
    expect(await get(port, '/health')).toMatch(/reached$/)
    // Refusals have not used up the listener added with `once`.
    expect(reached).toEqual(['once /health', 'first /health', 'early /health', 'later /health'])
    expect(await get(port, '/health')).toMatch(/reached$/)
    expect(reached.slice(4)).toEqual(['first /health', 'later /health'])
  })

  it('are behind the decision for upgrades, too, and refusals do not use up `once`', async () => {
    const reached: string[] = []
    const { server, port } = await stage()
    server.prependOnceListener('upgrade', takes('once', reached))
    for (const headers of [[], ['Cookie: sid=u'], ['Cookie: sid=u', 'Origin: https://evil.example']]) {
      expect(await raw(port, handshake('/chat', headers)).ended()).toMatch(/^HTTP\/1\.1 40[13] /)
    }
    // An owned path concerns its owner alone.
    const node = raw(port, handshake('/ws'))
    await node.until(/101/)
    node.socket.destroy()
    expect(reached).toEqual([])
    expect(await raw(port, handshake('/chat', ours)).ended()).toMatch(/taken$/)
    expect(reached).toEqual(['once /chat'])
    expect(await raw(port, handshake('/chat', ours)).ended()).toMatch(/^HTTP\/1\.1 404 /)
  })

  it('may be removed, all of them, without opening anything', async () => {
    const { server, port } = await stage()
    server.removeAllListeners('upgrade')
    const client = raw(
      port,
      Buffer.concat([Buffer.from(handshake('/ws')), textFrame('{"token":"k_device"}')]),
    )
    await client.until(/welcome node-1/)
    client.socket.destroy()
    expect(await raw(port, handshake('/chat')).ended()).toMatch(/^HTTP\/1\.1 401 /)
    server.removeAllListeners('request')
    server.on('request', (_request: IncomingMessage, response: ServerResponse) => response.end('replaced'))
    expect(await get(port, '/secret')).toMatch(/^HTTP\/1\.1 401 /)
    expect(await get(port, '/health')).toMatch(/replaced$/)
    // Without even the listener that keeps upgrades coming, they are ordinary requests, and still decided as upgrades.
    server.removeAllListeners('removeListener')
    server.removeAllListeners('upgrade')
    expect(await raw(port, handshake('/ws', ['Connection: close'])).ended()).toMatch(/^HTTP\/1\.1 426 /)
    expect(await raw(port, handshake('/chat')).until(/\}\n$/)).toMatch(/^HTTP\/1\.1 401 /)
  })

  it('for `Expect` do not get requests around the gate', async () => {
    const reached: string[] = []
    const { server, port } = await stage()
    server.on('checkContinue', (incoming, response) => {
      reached.push(`continue ${incoming.url}`)
      response.writeContinue()
      server.emit('request', incoming, response)
    })
    server.on('checkExpectation', (incoming, response) => {
      reached.push(`expectation ${incoming.url}`)
      response.end('met')
    })
    const ask = (path: string, expectation: string): Promise<string> =>
      raw(
        port,
        request(`POST ${path} HTTP/1.1`, [
          'Connection: close',
          `Expect: ${expectation}`,
          'Content-Length: 0',
        ]),
      ).ended()
    for (const expectation of ['100-continue', 'a-miracle']) {
      expect(await ask('/secret', expectation)).toMatch(/^HTTP\/1\.1 401 /)
    }
    expect(reached).toEqual([])
    expect(await ask('/health', '100-continue')).toMatch(
      /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 .*reached$/s,
    )
    expect(await ask('/health', 'a-miracle')).toMatch(/met$/)
    expect(reached).toEqual(['continue /health', 'expectation /health'])
  })

  it('for CONNECT never hear of one', async () => {
    const reached = vi.fn()
    const { server, port, events } = await stage()
    server.on('connect', reached)
    const answer = await raw(
      port,
      request('CONNECT evil.example:443 HTTP/1.1', ['Authorization: Bearer k_u']),
    ).ended()
    expect(answer).toMatch(/^HTTP\/1\.1 405 .*\r\nUpgate-Refusal: method_refused; /s)
    expect(reached).not.toHaveBeenCalled()
    expect(events.map((event) => event.type)).toEqual(['refused'])
  })

  it('get what other libraries emit on the server only if it is allowed', async () => {
    const { server, port } = await stage()
    const other = createServer((incoming, response) => void server.emit('request', incoming, response))
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port: otherPort } = other.address() as { port: number }
    expect(await get(otherPort, '/secret')).toMatch(/^HTTP\/1\.1 401 /)
    expect(await get(otherPort, '/health')).toMatch(/reached$/)
    expect(await get(port, '/health')).toMatch(/reached$/)
    await new Promise((resolve) => other.close(resolve))
  })

  it('know the principal', async () => {
    let seen: unknown
    const { server, port, gate } = await stage()
    server.prependListener('request', (incoming) => {
      seen = gate.principalOf(incoming)?.id
    })
    await get(port, '/secret', ['Cookie: sid=u'])
    expect(seen).toBe('u')
    server.on('upgrade', (incoming, socket) => {
      seen = [gate.principalOf(incoming)?.id]
      socket.destroy()
    })
    await raw(port, handshake('/chat', ours)).ended()
    expect(seen).toEqual(['u'])
  })

  it('are watched over after the upgrade: revocation ends the sockets they took', async () => {
    const { server, port, gate } = await stage()
    server.on('upgrade', (_incoming, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\nopen'))
    const client = raw(port, handshake('/chat', ours))
    await client.until(/open/)
    expect([...gate.connections.list()].map((live) => [live.principal.id, live.path])).toEqual([
      ['u', '/chat'],
    ])
    expect(gate.connections.close({ principalId: 'u' }, 'revoked')).toBe(1)
    await client.ended()
    await eventually(() => gate.connections.size === 0)
  })

  it('cause one warning if there are several: engine.io and ws end upgrades of other paths', async () => {
    const { server, port, warnings } = await stage()
    const reached: string[] = []
    server.on('upgrade', takes('one', reached))
    server.on('upgrade', (incoming) => reached.push(`two ${incoming.url}`))
    await raw(port, handshake('/chat', ours)).ended()
    await raw(port, handshake('/chat', ours)).ended()
    expect(reached).toHaveLength(4)
    expect(warnings.filter((warning) => warning.includes('2 upgrade listeners'))).toEqual([
      expect.stringMatching(/engine\.io .* Give each path an owner in `sockets`/),
    ])
  })

  it('are back on their own after close, with sockets gone with 1001 and a warning while the server listens', async () => {
    const { server, port, guard, warnings } = await stage()
    const client = raw(
      port,
      Buffer.concat([Buffer.from(handshake('/ws')), textFrame('{"token":"k_device"}')]),
    )
    await client.until(/welcome/)
    const waiting = raw(port, handshake('/ws'))
    await waiting.until(/101/)
    expect(guard.counts).toMatchObject({ accepted: 1, quarantined: 1 })
    const closed = guard.close()
    expect(guard.close()).toBe(closed)
    const late = await raw(port, handshake('/ws')).ended()
    expect(late).toMatch(/^HTTP\/1\.1 503 .*shutting down/s)
    const closeFrame = new RegExp(
      `${String.fromCharCode(0x88)}.${String.fromCharCode(1001 >> 8, 1001 & 255)}shutdown`,
      's',
    )
    await client.until(closeFrame)
    await waiting.until(closeFrame)
    client.socket.destroy()
    waiting.socket.destroy()
    await closed
    expect(Object.hasOwn(server, 'emit')).toBe(false)
    expect(server.listenerCount('upgrade')).toBe(0)
    expect(warnings.at(-1)).toBe(
      'guardServer: closed, but the server still listens and is not guarded any more.',
    )
    expect(await get(port, '/secret')).toMatch(/reached$/)
  })

  it('leave an override of `emit` made by other code in place', async () => {
    const server = createServer((_request, response) => response.end('reached'))
    const seen: unknown[] = []
    const emit = server.emit.bind(server)
    server.emit = ((event: string, ...values: unknown[]) => {
      seen.push(event)
      return emit(event, ...values)
    }) as Server['emit']
    const mine = server.emit
    const { guard, port } = await stage({ server })
    expect(await get(port, '/secret')).toMatch(/^HTTP\/1\.1 401 /)
    expect(seen).not.toContain('request')
    expect(await get(port, '/health')).toMatch(/reached$/)
    expect(seen).toContain('request')
    await guard.close()
    expect(server.emit).toBe(mine)
  })
})

describe('what guardServer is given', () => {
  const deferred = {
    path: '/ws',
    access: 'deferred',
    handshake: { name: 'x', receive() {}, accept() {}, reject() {} },
  } as never
  const wss = (): WebSocketServer => new WebSocketServer({ noServer: true })
  const server = createServer()

  it.each<[string, () => unknown, string]>([
    [
      'no server',
      () => guardServer({} as never, makeGate()),
      'guardServer: the first argument must be a server of node:http or node:https.',
    ],
    [
      'an HTTP/2 server',
      () => guardServer(createHttp2Server() as never, makeGate()),
      'HTTP/2 servers deliver requests in other ways and cannot be guarded.',
    ],
    [
      'a route',
      () => guardServer(createServer(), makeGate().require() as never),
      'guardServer: the second argument must be a gate (createGate).',
    ],
    ['an unknown option', () => guardServer(createServer(), makeGate(), { socket: {} } as never), 'socket'],
    [
      'a wrong limit',
      () => guardServer(createServer(), makeGate(), { decisionTimeout: 0 }),
      'guardServer: `decisionTimeout` must be a whole number of milliseconds from 1 to 2,147,483,647, not 0.',
    ],
    [
      'a wrong limit',
      () => guardServer(createServer(), makeGate(), { maxDeciding: Number.NaN }),
      'guardServer: `maxDeciding` must be a whole number from 1, not NaN.',
    ],
    [
      'sockets that are none',
      () => guardServer(createServer(), makeGate(), { sockets: { '/ws': {} as never } }),
      "guardServer: `sockets['/ws']` must be a WebSocketServer of the package `ws`, not an object.",
    ],
    [
      'no sockets',
      () => guardServer(createServer(), makeGate(), { sockets: null as never }),
      "guardServer: `sockets` must be an object of WebSocketServers by path, such as { '/ws': wss }, not null.",
    ],
    [
      'a path that is none',
      () => guardServer(createServer(), makeGate(), { sockets: { ws: wss() } }),
      'must start with `/`',
    ],
    [
      'a deferred rule without an owner',
      () => guardServer(createServer(), makeGate({ rules: [deferred] }), { sockets: { '/other': wss() } }),
      'guardServer: the deferred rule for /ws has no owner in `sockets`',
    ],
    [
      'a server for another path',
      () =>
        guardServer(server, makeGate(), {
          sockets: { '/ws': new WebSocketServer({ server, path: '/feed' }) },
        }),
      'was made for the path "/feed"',
    ],
    [
      'a server of another server',
      () =>
        guardServer(createServer(), makeGate(), {
          sockets: { '/ws': new WebSocketServer({ server, path: '/ws' }) },
        }),
      'takes upgrades from a server of its own, which no gate guards.',
    ],
    [
      'two owners',
      () => guardServer(createServer(), makeGate(), { sockets: { '/a/:id': wss(), '/a/b': wss() } }),
      "guardServer: `sockets['/a/b']`: some paths are owned by `sockets['/a/:id']` already",
    ],
    [
      'two owners',
      () => guardServer(createServer(), makeGate(), { sockets: { '/a/*': wss(), '/a/b/*': wss() } }),
      'every path has one owner.',
    ],
  ])('%s is refused by name', (_what, call, message) => {
    expect(call).toThrow(TypeError)
    expect(call).toThrow(message)
  })

  it('is not guarded twice by the same gate, nor a path owned twice by two', () => {
    const twice = createServer()
    const gate = makeGate()
    guardServer(twice, gate, { sockets: { '/a': wss() } })
    expect(() => guardServer(twice, gate, {})).toThrow(
      new TypeError(
        'guardServer: this gate guards this server already; name all paths in the `sockets` of one call.',
      ),
    )
    expect(() => guardServer(twice, makeGate(), { sockets: { '/:any': wss() } })).toThrow(
      new TypeError(
        "guardServer: `sockets['/:any']` has an owner already: another guard of this server owns `/a`.",
      ),
    )
    expect(() => guardServer(twice, makeGate(), { sockets: { '/b': wss() } })).not.toThrow()
  })

  it('may be guarded again after close', async () => {
    const again = createServer()
    const gate = makeGate()
    await guardServer(again, gate).close()
    expect(() => guardServer(again, gate)).not.toThrow()
  })

  it('may own patterns, which match canonical paths exactly as written', async () => {
    const rooms = wss()
    rooms.on('connection', (ws, incoming) => ws.send(`welcome to ${incoming.url}`))
    const { port } = await stage({ options: { sockets: { '/rooms/:id/*': rooms } }, rules: [] })
    const client = raw(port, handshake('/rooms/7/feed', ours))
    await client.until(/welcome to \/rooms\/7\/feed/)
    client.socket.destroy()
    for (const path of [
      '/rooms/7',
      '/ROOMS/7/feed',
      '/rooms//feed',
      '/rooms/7/../7/feed',
      '/rooms/%37/feed',
    ]) {
      expect(await raw(port, handshake(path, ours)).ended()).toMatch(/^HTTP\/1\.1 4/)
    }
  })
})
