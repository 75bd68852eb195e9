// The typed way to accepted sockets: `guard.on` and `guard.onOptional`.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { apiKey, createGate, createServices, deviceToken, memoryStore, type Principal } from 'upgate'
import { type GuardedServer, guardServer, type SocketServers, upgateHandshake } from 'upgate/ws'
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'

const origin = 'http://localhost'
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

class Peer {
  readonly messages: string[] = []
  readonly closed: Promise<readonly [code: number, reason: string]>
  readonly #ws: WebSocket

  constructor(port: number, path: string, token?: string) {
    const headers = { origin, ...(token !== undefined && { 'x-api-key': token }) }
    this.#ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers })
    closing.push(() => this.#ws.terminate())
    this.#ws.on('error', () => {})
    this.#ws.on('message', (data) => this.messages.push(String(data)))
    this.closed = once(this.#ws, 'close').then(([code, reason]) => [code, String(reason)])
  }

  async heard(count: number): Promise<string[]> {
    while (this.messages.length < count) await once(this.#ws, 'message')
    return this.messages
  }
}

const services = createServices({ store: memoryStore() })
const logged: string[] = []
function makeGate() {
  return createGate({
    origins: [origin],
    hosts: ['127.0.0.1'],
    schemes: [apiKey({ keys: services.keys }), deviceToken({ devices: services.devices })],
    rules: [
      { path: '/live', access: 'public', upgrade: true },
      { path: '/feed', access: 'optional', kinds: ['service'], upgrade: true },
      { path: ['/ws', '/rooms/*'], access: 'required', kinds: ['service'] },
      { path: '/nodes', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
      // Everything before it keeps its own answer.
      { path: '/*', access: 'optional', kinds: ['service'], upgrade: true },
    ],
    logger: { warn: () => {}, error: (message, fields) => void logged.push(`${message} ${fields?.error}`) },
  })
}

let token: string
let id: string
beforeEach(async () => {
  logged.length = 0
  ;({ id, token } = await services.keys.create({ name: 'script' }))
})

const noServer = () => new WebSocketServer({ noServer: true })

describe('guard.on', () => {
  it('hands over sockets, typed, with the principal of the gate', async () => {
    const server = createServer()
    const gate = makeGate()
    const guard = guardServer(server, gate, { sockets: { '/ws': noServer(), '/nodes': noServer() } })
    guard.on('/ws', (socket, request, principal) => {
      expectTypeOf(socket).toEqualTypeOf<WebSocket>()
      expectTypeOf(request).toEqualTypeOf<IncomingMessage>()
      expectTypeOf(principal).toEqualTypeOf<Principal>()
      expect(gate.principalOf(request)).toBe(principal)
      socket.send(`hello ${principal.id}`)
    })
    const port = await listening(server)
    expect(await new Peer(port, '/ws', token).heard(1)).toEqual([`hello ${id}`])
  })

  it('hears of its own path only, also where one WebSocketServer owns several', async () => {
    const server = createServer()
    const shared = noServer()
    const sockets = { '/ws': shared, '/rooms/:room': shared, '/nodes': noServer() }
    const guard = guardServer(server, makeGate(), { sockets })
    guard.on('/ws', (socket) => socket.send('ws'))
    guard.on('/rooms/:room', (socket, request) => socket.send(`room ${request.url}`))
    const port = await listening(server)
    const peers = ['/ws', '/rooms/a?b', '/rooms/c'].map((path) => new Peer(port, path, token))
    for (const peer of peers) await peer.heard(1)
    expect(peers.map(({ messages }) => messages)).toEqual([['ws'], ['room /rooms/a?b'], ['room /rooms/c']])
  })

  it('hears nothing of sockets that the same WebSocketServer got past the guard', async () => {
    const guarded = createServer()
    const shared = noServer()
    const heard: unknown[] = []
    const guard = guardServer(guarded, makeGate(), { sockets: { '/ws': shared, '/nodes': noServer() } })
    guard.on('/ws', (_socket, _request, principal) => heard.push(principal.id))
    const open = createServer()
    const past: unknown[] = []
    shared.on('connection', (...values: unknown[]) => past.push(values[2]))
    open.on('upgrade', (request, socket, head) => {
      shared.handleUpgrade(request, socket, head, (ws) => {
        shared.emit('connection', ws, request, { id: 'anybody' })
        ws.close(1000, 'done')
      })
    })
    expect(await new Peer(await listening(open), '/ws').closed).toEqual([1000, 'done'])
    expect([past, heard]).toEqual([[{ id: 'anybody' }], []])
  })

  it('does not hear the sockets of a second server with the same WebSocketServer and gate', async () => {
    const shared = noServer()
    const gate = makeGate()
    const ports: number[] = []
    for (const name of ['first', 'second']) {
      const server = createServer()
      const guard = guardServer(server, gate, { sockets: { '/ws': shared, '/nodes': noServer() } })
      guard.on('/ws', (socket) => socket.send(name))
      ports.push(await listening(server))
    }
    const peers = ports.map((port) => new Peer(port, '/ws', token))
    for (const peer of peers) await peer.heard(1)
    expect(peers.map(({ messages }) => messages)).toEqual([['first'], ['second']])
  })

  it.each([
    ['/live', '/live'],
    ['/feed', '/feed'],
    ['/rooms', '/*'],
    ['/other/:id', '/*'],
  ])('refuses %s, where sockets may have no principal', (path, rule) => {
    const guard = guardServer(createServer(), makeGate(), {
      sockets: { [path]: noServer(), '/nodes': noServer() },
    })
    expect(() => guard.on(path, () => {})).toThrow(
      new TypeError(
        `guard.on("${path}"): the rule for ${rule} lets sockets in without a principal. ` +
          "Use guard.onOptional, whose listener gets `undefined` for them, or demand one: access: 'required'.",
      ),
    )
    guard.onOptional(path, () => {})
  })

  it.each(['/ws', '/rooms/:room', '/rooms/*', '/nodes'])(
    'takes %s, whose rules let in no socket without a principal',
    (path) => {
      const sockets = { '/nodes': noServer(), [path]: noServer() }
      guardServer(createServer(), makeGate(), { sockets }).on(path, () => {})
    },
  )

  it('accepts a path with a public rule for pages only: its sockets fall to the next rule', () => {
    const schemes = [apiKey({ keys: services.keys })]
    const gate = createGate({ schemes, rules: [{ path: '/page', access: 'public' }] })
    guardServer(createServer(), gate, { sockets: { '/page': noServer() } }).on('/page', () => {})
  })

  it('refuses a path without an owner, and says which paths have one', () => {
    const guard = guardServer(createServer(), makeGate(), {
      sockets: { '/ws': noServer(), '/nodes': noServer() },
    })
    const said = (path: string, known: string) =>
      new TypeError(
        `guard.on("${path}"): no WebSocketServer owns this path. ${known} where the server is guarded: ` +
          `sockets: { "${path}": wss }.`,
      )
    const known = 'The paths of `sockets` are /ws, /nodes; name one for this path'
    // @ts-expect-error no such path
    expect(() => guard.on('/sw', () => {})).toThrow(said('/sw', known))
    // @ts-expect-error no such path
    expect(() => guard.on('toString', () => {})).toThrow(said('toString', known))
    const gate = createGate({ schemes: [apiKey({ keys: services.keys })] })
    const bare = guardServer(createServer(), gate)
    // @ts-expect-error no path has an owner
    expect(() => bare.on('/ws', () => {})).toThrow(said('/ws', 'Name one'))
    // @ts-expect-error not a function
    expect(() => guard.on('/ws', 'listener')).toThrow(
      new TypeError('guard.on("/ws"): the second argument must be a function (socket, request, principal).'),
    )
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('a bug')
      },
      'A `connection` or `message` listener threw: the socket is closed.',
    ],
    [
      'rejects',
      async () => {
        throw new Error('a bug')
      },
      'A `connection` listener rejected: the socket is closed.',
    ],
  ])('ends the socket, and no more, where a listener %s', async (_how, listener, message) => {
    const server = createServer()
    const guard = guardServer(server, makeGate(), { sockets: { '/ws': noServer(), '/nodes': noServer() } })
    guard.on('/ws', listener)
    const port = await listening(server)
    expect(await new Peer(port, '/ws', token).closed).toEqual([1011, 'internal_error'])
    expect(logged).toEqual([`${message} Error: a bug`])
  })

  it('never calls a listener without a principal, even where the gate is wrong about its rules', async () => {
    const server = createServer()
    const gate = { ...makeGate(), anonymousRuleFor: () => undefined }
    const guard = guardServer(server, gate, { sockets: { '/feed': noServer(), '/nodes': noServer() } })
    const heard: unknown[] = []
    guard.on('/feed', (_socket, _request, principal) => heard.push(principal))
    expect(await new Peer(await listening(server), '/feed').closed).toEqual([1011, 'internal_error'])
    expect([heard, logged]).toEqual([
      [],
      ['A `connection` or `message` listener threw: the socket is closed. Error: No principal on /feed.'],
    ])
  })

  it('is removed by the function that it returns, and by closing the guard', async () => {
    const server = createServer()
    const wss = noServer()
    const guard = guardServer(server, makeGate(), { sockets: { '/ws': wss, '/nodes': noServer() } })
    const own = () => {}
    wss.on('connection', own)
    const remove = guard.on('/ws', () => {})
    guard.onOptional('/ws', () => {})
    expect(wss.listenerCount('connection')).toBe(3)
    remove()
    remove()
    expect(wss.listenerCount('connection')).toBe(2)
    await guard.close()
    expect(wss.listeners('connection')).toEqual([own])
  })
})

describe('guard.onOptional', () => {
  it('hands over sockets with and without a principal', async () => {
    const server = createServer()
    const guard = guardServer(server, makeGate(), { sockets: { '/feed': noServer(), '/nodes': noServer() } })
    guard.onOptional('/feed', (socket, _request, principal) => {
      expectTypeOf(principal).toEqualTypeOf<Principal | undefined>()
      socket.send(`hello ${principal?.id}`)
    })
    const port = await listening(server)
    expect(await new Peer(port, '/feed').heard(1)).toEqual(['hello undefined'])
    expect(await new Peer(port, '/feed', token).heard(1)).toEqual([`hello ${id}`])
  })
})

describe('the types', () => {
  class Session extends WebSocket {
    readonly room = 'lobby'
  }
  interface Person extends Principal {
    readonly kind: 'user'
    readonly attributes: { readonly email: string }
  }
  const server = createServer()

  it('are those of the schemes and of the WebSocketServer', () => {
    const person: Person = {
      kind: 'user',
      id: 'ada',
      scheme: 'mine',
      scopes: [],
      roles: [],
      attributes: { email: 'ada@example.com' },
    }
    const gate = createGate({
      schemes: [
        {
          name: 'mine',
          ambient: false,
          verify: () => ({ outcome: 'authenticated', principal: person }),
        },
      ],
    })
    const rooms = new WebSocketServer<typeof Session>({ noServer: true, WebSocket: Session })
    const guard = guardServer(server, gate, { sockets: { '/rooms': rooms } })
    guard.on('/rooms', (socket, _request, principal) => {
      expectTypeOf(socket).toEqualTypeOf<Session>()
      expectTypeOf(principal).toEqualTypeOf<Person>()
      expectTypeOf(principal.attributes.email).toEqualTypeOf<string>()
    })
    // @ts-expect-error a principal is no Date
    guard.on('/rooms', (_socket, _request, principal: Date) => principal)
    // @ts-expect-error a principal may be missing
    guard.onOptional('/rooms', (_socket, _request, principal) => principal.id)
    // @ts-expect-error the socket is no string
    guard.on('/rooms', (socket: string) => socket)
    expectTypeOf(gate.principalOf({})).toEqualTypeOf<Person | undefined>()
    // Where a function takes any guarded server, the paths are not known any more.
    expectTypeOf(guard).toExtend<GuardedServer<Person, SocketServers>>()
  })
})
