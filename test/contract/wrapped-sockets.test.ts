import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import express from 'express'
import expressWs from 'express-ws'
import Koa from 'koa'
import mount from 'koa-mount'
import { createGate, type Gate } from 'upgate'
import { expressGate } from 'upgate/express'
import { koaGate } from 'upgate/koa'
import { guardServer, jsonFrame } from 'upgate/ws'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { handshake, raw, request, textFrame } from '../../packages/upgate/test/adapters/raw.ts'
import { type Credentials, createCredentials } from './credentials.ts'

// Libraries that pass an upgrade to the application like a GET: the rules must hold there as well.

const origin = 'https://gateway.example.com'
const servers: Server[] = []
let credentials: Credentials

beforeEach(() => {
  credentials = createCredentials()
})
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

function createTheGate(): Gate {
  return createGate({
    schemes: credentials.schemes,
    origins: [origin],
    rules: [
      { path: '/health', access: 'public' },
      { path: '/open', access: 'public', upgrade: true },
      {
        path: '/ws',
        access: 'deferred',
        kinds: ['device'],
        handshake: jsonFrame({ credential: (message) => message.token }),
      },
    ],
  }) as unknown as Gate
}

async function listen(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const own = (): string[] => [`Cookie: ${credentials.cookie}`, `Origin: ${origin}`]
const foreignPage = (): string[] => [`Cookie: ${credentials.cookie}`, 'Origin: https://evil.example']

describe('express-ws', () => {
  interface WsApp {
    use(...handlers: unknown[]): void
    get(path: string, ...handlers: unknown[]): void
    ws(path: string, handler: (ws: WebSocket, request: IncomingMessage) => void): void
  }

  function createApplication(gate: Gate): { server: Server; reached: string[]; wss: WebSocketServer } {
    const app = express() as unknown as WsApp
    const server = createServer(app as never)
    const reached: string[] = []
    const { getWss } = expressWs(app, server) as { getWss(): WebSocketServer }
    app.use(expressGate(gate))
    for (const path of ['/chat', '/open', '/ws']) {
      app.ws(path, (ws, incoming) => {
        reached.push(path)
        ws.send(`welcome ${gate.principalOf(incoming)?.id ?? 'stranger'}`)
        ws.on('message', (data) => ws.send(`echo ${data}`))
      })
    }
    app.get('/health', (_request: unknown, response: ServerResponse) => response.end('fine'))
    return { server, reached, wss: getWss() }
  }

  it('reaches the handler by the rules of the requested path', async () => {
    const { server, reached } = createApplication(createTheGate())
    const port = await listen(server)
    for (const slow of [false, true]) {
      credentials.slow = slow
      const client = raw(port, handshake('/chat?room=1', own()))
      await client.until(/welcome alice/)
      client.socket.destroy()
    }
    const stranger = raw(port, handshake('/open'))
    await stranger.until(/welcome stranger/)
    stranger.socket.destroy()
    expect(reached).toEqual(['/chat', '/chat', '/open'])
  })

  it('reaches no handler without proof, from a foreign page, or on a deferred path', async () => {
    const { server, reached } = createApplication(createTheGate())
    const port = await listen(server)
    for (const [target, headers] of [
      ['/chat', []],
      ['/chat', foreignPage()],
      ['/chat', [`Cookie: ${credentials.cookie}`]],
      ['/chat', [`Authorization: Bearer ${credentials.device}`]],
      ['/ws', []],
      ['/open/../chat', []],
      ['/open/.websocket', []],
      ['/health', []],
    ] as const) {
      const answer = raw(port, handshake(target, headers))
      answer.socket.write(textFrame('hello'))
      // express-ws has answered 101 by then, so the socket ends with a close frame.
      const text = await answer.until(/\x88/)
      expect([target, text]).toEqual([target, expect.not.stringMatching(/welcome|echo/)])
      answer.socket.destroy()
    }
    expect(reached).toEqual([])
  })

  it('does not open the sockets of an application to an ordinary request', async () => {
    const { server, reached } = createApplication(createTheGate())
    const port = await listen(server)
    const answer = await raw(port, request('GET /open/.websocket HTTP/1.1', ['Connection: close'])).ended()
    expect(answer).toMatch(/^HTTP\/1\.1 401 /)
    expect(reached).toEqual([])
  })

  it('is decided once if guardServer decided it before', async () => {
    const gate = createTheGate()
    const { server, reached, wss } = createApplication(gate)
    let decisions = 0
    gate.events.subscribe((event) => {
      if (event.type === 'allowed' || event.type === 'refused' || event.type === 'deferred') decisions++
    })
    expect(() => guardServer(server, gate, { sockets: { '/ws': wss } })).toThrow(
      new TypeError(
        "guardServer: `sockets['/ws']` comes from a release of `ws` whose sockets cannot be paused. Use ws 8.5 or newer for it (express-ws brings ws 7).",
      ),
    )
    const nodes = new WebSocketServer({ noServer: true })
    nodes.on('connection', (ws, incoming) => {
      ws.send(`welcome ${gate.principalOf(incoming)?.id}`)
      ws.on('message', (data) => ws.send(`echo ${data}`))
    })
    guardServer(server, gate, { sockets: { '/ws': nodes } })
    const port = await listen(server)
    const chat = raw(port, handshake('/chat?room=1', own()))
    await chat.until(/welcome alice/)
    chat.socket.destroy()
    expect(decisions).toBe(1)

    const node = raw(port, handshake('/ws'))
    await node.until(/^HTTP\/1\.1 101 /)
    node.socket.write(textFrame(JSON.stringify({ token: credentials.device })))
    await node.until(/welcome node-1/)
    node.socket.write(textFrame('ping'))
    await node.until(/echo ping/)
    node.socket.destroy()
    expect(decisions).toBe(2)
    expect(reached).toEqual(['/chat'])

    const refused = await raw(port, handshake('/chat', foreignPage())).ended()
    expect(refused).toMatch(/^HTTP\/1\.1 403 /)
    expect(await raw(port, request('GET /health HTTP/1.1', ['Connection: close'])).ended()).toMatch(/fine$/)
  })
})

describe('Koa with a wrapper that makes a request out of the upgrade', () => {
  /** Passes every upgrade to the middleware, with `ctx.ws()` to take the socket, like koa-easy-ws. */
  function createApplication(gate: Gate): { server: Server; reached: string[] } {
    const app = new Koa()
    const reached: string[] = []
    const wss = new WebSocketServer({ noServer: true })
    const taken = new WeakMap<IncomingMessage, { socket: Duplex; head: Buffer }>()
    app.use(koaGate(gate))
    app.use(
      async (ctx: {
        req: IncomingMessage
        path: string
        respond: boolean
        state: { principal?: { id: string } }
      }) => {
        reached.push(ctx.path)
        const upgrade = taken.get(ctx.req)
        if (upgrade === undefined) return
        ctx.respond = false
        wss.handleUpgrade(ctx.req, upgrade.socket, upgrade.head, (ws) => {
          ws.send(`welcome ${ctx.state.principal?.id ?? 'stranger'}`)
        })
      },
    )
    const callback = app.callback()
    const server = createServer(callback)
    server.on('upgrade', (incoming, socket, head) => {
      taken.set(incoming, { socket, head })
      const response = new ServerResponse(incoming)
      response.assignSocket(socket as never)
      void callback(incoming, response)
    })
    return { server, reached }
  }

  it('answers on the socket, and closes it', async () => {
    const { server, reached } = createApplication(createTheGate())
    const port = await listen(server)
    for (const [target, headers, status] of [
      ['/chat', [], 401],
      ['/chat', foreignPage(), 403],
      ['/chat', [`Cookie: ${credentials.cookie}`], 401],
      ['/ws', [], 426],
      ['/health', [], 401],
      ['/open/../chat', [], 401],
    ] as const) {
      const answer = await raw(port, handshake(target, headers)).ended()
      expect([target, answer]).toEqual([target, expect.stringMatching(new RegExp(`^HTTP/1\\.1 ${status} `))])
      expect(answer).toMatch(/\r\nConnection: close\r\n/i)
      expect(answer).toMatch(/\r\nUpgate-Refusal: /i)
    }
    expect(reached).toEqual([])
  })

  it('admits an allowed client', async () => {
    const { server } = createApplication(createTheGate())
    const port = await listen(server)
    const chat = raw(port, handshake('/chat', own()))
    await chat.until(/welcome alice/)
    chat.socket.destroy()
    const stranger = raw(port, handshake('/open'))
    await stranger.until(/welcome stranger/)
    stranger.socket.destroy()
  })
})

describe('Koa with a wrapper that runs the middleware on an open socket', () => {
  it('closes refused sockets, and reaches no handler', async () => {
    const gate = createTheGate()
    const app = new Koa()
    const server = createServer(app.callback())
    const reached: string[] = []
    const guard = koaGate(gate)
    new WebSocketServer({ server }).on('connection', (websocket, incoming) => {
      const context = Object.assign(app.createContext(incoming, new ServerResponse(incoming)), { websocket })
      void guard(context, async () => {
        reached.push(incoming.url ?? '')
        websocket.send('welcome')
      })
    })
    const port = await listen(server)
    const refused = raw(port, handshake('/chat', foreignPage()))
    expect(await refused.until(/\x88.{3}origin_refused/s)).not.toContain('welcome')
    refused.socket.destroy()
    const chat = raw(port, handshake('/chat', own()))
    await chat.until(/welcome/)
    chat.socket.destroy()
    expect(reached).toEqual(['/chat'])
  })
})

describe('the same gate at the server and in the application', () => {
  it('decides once, and again if the URL was rewritten in between', async () => {
    const gate = createTheGate()
    let decisions = 0
    gate.events.subscribe(() => decisions++)
    const app = express()
    app.use((incoming, _response, next) => {
      if (incoming.url === '/health?admin') incoming.url = '/admin'
      next()
    })
    app.use(expressGate(gate))
    app.use((incoming, response) => void response.end(`reached ${incoming.url}`))
    const server = createServer(app)
    guardServer(server, gate, { sockets: { '/ws': new WebSocketServer({ noServer: true }) } })
    const port = await listen(server)
    const ask = (path: string, headers: string[] = []): Promise<string> =>
      raw(port, request(`GET ${path} HTTP/1.1`, ['Connection: close', ...headers])).ended()
    expect(await ask('/health')).toMatch(/reached \/health$/)
    expect(decisions).toBe(1)
    expect(await ask('/health?admin')).toMatch(/^HTTP\/1\.1 401 /)
    expect(decisions).toBe(3)
    expect(await ask('/health?admin', own())).toMatch(/reached \/admin$/)
  })
})

describe('koa-mount', () => {
  it('knows the innermost of nested mounts only: the outer ones count as a rewrite, which never opens a path', async () => {
    const gate = createTheGate()
    const app = new Koa()
    app.use(mount('/outer', mount('/inner', koaGate(gate))))
    app.use((ctx: { body: string }) => {
      ctx.body = 'reached'
    })
    const port = await listen(createServer(app.callback()))
    const ask = (path: string, headers: string[] = []): Promise<string> =>
      raw(port, request(`GET ${path} HTTP/1.1`, ['Connection: close', ...headers])).ended()
    expect(await ask('/outer/inner/x')).toMatch(/^HTTP\/1\.1 401 /)
    expect(await ask('/outer/inner/x', own())).toMatch(/reached$/)
    expect(await ask('/elsewhere')).toMatch(/reached$/)
  })
})
