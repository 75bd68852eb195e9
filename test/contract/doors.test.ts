/*
 * An application has an HTTP adapter, and a library that takes sockets on the same server. The adapter never sees them:
 * they stood open to every page, and nothing said so.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import expressWs from 'express-ws'
import httpProxy from 'http-proxy'
import { createProxyMiddleware } from 'http-proxy-middleware'
import Koa from 'koa'
import koaWebSocket from 'koa-websocket'
import { Server as SocketIo } from 'socket.io'
import {
  createGate,
  type Gate,
  type Principal,
  type Revocation,
  type RevocationReason,
  type RevocationSelector,
  type Scheme,
  type Verification,
} from 'upgate'
import { expressGate } from 'upgate/express'
import { koaGate } from 'upgate/koa'
import { httpGate } from 'upgate/node'
import { asPrincipal, assertGuarded, type ManualClock, manualClock } from 'upgate/testing'
import { guardServer, jsonFrame } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { until } from './expectations.ts'

const origin = 'https://gateway.example.com'
const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo()
})

const user: Principal = {
  kind: 'user',
  id: 'alice',
  scheme: 'test',
  credentialId: 'c1',
  scopes: [],
  roles: [],
  attributes: {},
}

interface Stage {
  readonly gate: Gate
  readonly clock: ManualClock
  readonly warnings: string[]
  revoke(selector: RevocationSelector, reason?: RevocationReason): void
}

type Proof = 'header' | 'cookie' | 'deferred'

function stage(proof: Proof, expiresAt?: number): Stage {
  const clock = manualClock()
  const warnings: string[] = []
  const revoked = new Set<(revocation: Revocation) => void>()
  let sequence = 0
  const alice = asPrincipal({ id: 'alice' }).scheme
  const scheme: Scheme = {
    name: 'test',
    ambient: proof === 'cookie',
    extract({ headers }) {
      const value = proof === 'cookie' ? headers.cookie : headers.authorization
      if (typeof value !== 'string') return undefined
      return {
        credential: { type: 'token', source: proof === 'cookie' ? 'cookie' : 'header', value },
        location: 'it',
      }
    },
    verify: async (credential): Promise<Verification> => {
      if (!('value' in credential) || !String(credential.value).endsWith('alice'))
        return { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
      return { outcome: 'authenticated', principal: expiresAt === undefined ? user : { ...user, expiresAt } }
    },
    revocations: {
      sequence: () => sequence,
      subscribe(listener) {
        revoked.add(listener)
        return () => revoked.delete(listener)
      },
    },
  }
  const handshake = jsonFrame({ credential: (message) => message.token })
  const gate = createGate({
    clock,
    schemes: [scheme, alice],
    ...(proof === 'header' ? {} : { origins: [origin] }),
    logger: { warn: (text) => void warnings.push(text), error: (text) => void warnings.push(text) },
    rules: [
      { path: '/health', access: 'public' },
      ...(proof === 'deferred' ? [{ path: '/nodes', access: 'deferred', handshake } as const] : []),
    ],
  }) as unknown as Gate
  return {
    gate,
    clock,
    warnings,
    revoke(selector, reason = 'revoked') {
      sequence++
      for (const listener of revoked) listener({ sequence, at: clock.now(), selector, reason })
    },
  }
}

async function listen(server: Server): Promise<number> {
  cleanup.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  if (!server.listening) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const socketIo = (server: Server, transports: ('polling' | 'websocket')[]): void => {
  const io = new SocketIo(server, { transports })
  cleanup.push(() => io.close())
}

/** What applications put next to an adapter. */
const neighbours: Record<string, (server: Server) => void> = {
  'socket.io': (server) => socketIo(server, ['polling', 'websocket']),
  'socket.io that only polls': (server) => socketIo(server, ['polling']),
  'http-proxy': (server) => {
    const proxy = httpProxy.createProxyServer({ target: 'http://127.0.0.1:1' })
    server.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head))
  },
  'http-proxy-middleware': (server) => {
    const proxy = createProxyMiddleware({ target: 'http://127.0.0.1:1', ws: true })
    server.on('upgrade', proxy.upgrade)
  },
  'a server of ws': (server) => {
    new WebSocketServer({ server, path: '/live' })
  },
}

const listed = 'and no gate decides it: an HTTP adapter sees only the requests that reach the application.'

describe.each(Object.entries(neighbours))('%s next to an adapter', (_name, attach) => {
  for (const when of ['before', 'late'] as const) {
    it(`throws at the next request where cookies count (${when})`, async () => {
      const { gate } = stage('cookie')
      const app = express().use(expressGate(gate))
      app.get('/health', (_request, response) => void response.send('fine'))
      const errors: Error[] = []
      app.use((error: Error, _request: unknown, response: express.Response, _next: unknown) => {
        errors.push(error)
        response.status(500).send('misconfigured')
      })
      const server = createServer(app)
      if (when === 'before') attach(server)
      const port = await listen(server)
      const health = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/health`)).status
      if (when === 'late') {
        expect(await health()).toBe(200)
        attach(server)
      }
      expect([await health(), await health()]).toEqual([500, 500])
      expect(errors[0]).toBeInstanceOf(TypeError)
      expect(errors[0]?.message).toContain(listed)
      expect(errors[0]?.message).toContain('`guardServer(server, gate)`')
      expect(() => assertGuarded(server)).toThrow('No gate guards this server')
      // The line that the message asks for.
      guardServer(server, gate)
      expect(await health()).toBe(200)
      expect(() => assertGuarded(server)).not.toThrow()
    })
  }

  it('warns once by name where only headers count, and says nothing if told so', async () => {
    const { gate, warnings } = stage('header')
    const server = createServer(
      express()
        .use(expressGate(gate))
        .use((_request, response) => void response.send('in')),
    )
    attach(server)
    const port = await listen(server)
    for (let i = 0; i < 3; i++) expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200)
    expect(warnings).toEqual([expect.stringContaining(listed)])

    const told = stage('cookie')
    const quiet = createServer(
      express()
        .use(expressGate(told.gate, { socketsElsewhere: true }))
        .use((_request, response) => void response.send('in')),
    )
    attach(quiet)
    expect((await fetch(`http://127.0.0.1:${await listen(quiet)}/health`)).status).toBe(200)
    expect(told.warnings).toEqual([])
  })
})

describe('other adapters', () => {
  it('koaGate throws where a rule is deferred', async () => {
    const { gate } = stage('deferred')
    const app = new Koa()
    const errors: string[] = []
    app.on('error', (error: Error) => errors.push(error.message))
    app.use(koaGate(gate))
    const server = createServer(app.callback())
    server.on('upgrade', (_request, socket) => socket.destroy())
    expect((await fetch(`http://127.0.0.1:${await listen(server)}/health`)).status).toBe(500)
    expect(errors).toEqual([expect.stringMatching(/^koaGate: this server has an `upgrade` listener/)])
  })

  it('httpGate throws as well', async () => {
    const { gate } = stage('cookie')
    const listener = httpGate(gate, (_request, response) => void response.end('in'))
    const caught: unknown[] = []
    const server = createServer((request, response) => {
      try {
        listener(request, response)
      } catch (error) {
        caught.push(error)
        response.statusCode = 500
        response.end()
      }
    })
    server.on('upgrade', (_request, socket) => socket.destroy())
    expect((await fetch(`http://127.0.0.1:${await listen(server)}/health`)).status).toBe(500)
    expect(caught).toEqual([expect.any(TypeError)])
    expect(() => httpGate(gate, () => {}, { socketElsewhere: true } as never)).toThrow(
      /httpGate: .*socketElsewhere/,
    )
  })

  it('nothing is said about wrappers, further listeners, or a server without sockets', async () => {
    const { gate, warnings } = stage('cookie')
    const app = express()
      .use(expressGate(gate))
      .use((_request, response) => void response.send('in'))
    const server = createServer((request, response) => app(request, response))
    server.on('request', () => {})
    server.on('upgrade', () => {}).removeAllListeners('upgrade')
    expect((await fetch(`http://127.0.0.1:${await listen(server)}/health`)).status).toBe(200)
    expect(warnings).toEqual([])
  })
})

/** Sockets that a library opened come through the adapter: how each library is set up. */
const wrappers: Record<string, (gate: Gate, reached: string[]) => Promise<number>> = {
  async 'express-ws'(gate, reached) {
    const app = express()
    const server = createServer(app)
    const { app: withWs } = expressWs(app as never, server) as unknown as {
      app: { ws(path: string, handler: (ws: WebSocket, request: IncomingMessage) => void): void }
    }
    app.use(expressGate(gate))
    withWs.ws('/chat', (ws, request) => {
      ws.send(`welcome ${gate.principalOf(request)?.id}`)
      ws.on('message', (data) => {
        reached.push(String(data))
        ws.send(`echo ${data}`)
      })
    })
    app.get('/health', (_request, response) => void response.send('fine'))
    return listen(server)
  },
  async 'koa-websocket'(gate, reached) {
    const app = koaWebSocket(new Koa())
    app.ws.use(koaGate(gate) as never)
    app.ws.use((ctx: { websocket: WebSocket; state: { principal?: { id: string } } }) => {
      ctx.websocket.send(`welcome ${ctx.state.principal?.id}`)
      ctx.websocket.on('message', (data) => {
        reached.push(String(data))
        ctx.websocket.send(`echo ${data}`)
      })
    })
    app.use(koaGate(gate) as never)
    app.use((ctx: { body: string }) => {
      ctx.body = 'fine'
    })
    const server = app.listen(0, '127.0.0.1') as unknown as Server
    await new Promise((resolve) => server.once('listening', resolve))
    return listen(server)
  },
}

function open(
  port: number,
  headers: Record<string, string>,
): { messages: string[]; closed: Promise<string>; ws: WebSocket } {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/chat`, {
    headers: { host: 'gateway.example.com', ...headers },
  })
  cleanup.push(() => ws.terminate())
  const messages: string[] = []
  ws.on('message', (data) => messages.push(String(data)))
  ws.on('error', () => {})
  const closed = new Promise<string>((resolve) =>
    ws.on('close', (code, reason) => resolve(`${code} ${reason}`)),
  )
  return { messages, closed, ws }
}

describe.each(Object.entries(wrappers))('sockets of %s behind an adapter', (_name, setUp) => {
  const ours = { cookie: 'alice', origin }

  it('are refused with a code and a reason', async () => {
    const { gate } = stage('cookie')
    const reached: string[] = []
    const port = await setUp(gate, reached)
    for (const [headers, end] of [
      [{}, '4401 auth_required'],
      [{ cookie: 'alice' }, '4401 auth_required'],
      [{ ...ours, origin: 'https://evil.example' }, '4403 origin_refused'],
      [{ origin, authorization: 'Bearer nothing' }, '4401 invalid_credential'],
    ] as const) {
      const { closed, messages, ws } = open(port, headers)
      ws.on('open', () => ws.send('too early'))
      expect([headers, await closed, messages]).toEqual([headers, end, []])
    }
    expect(reached).toEqual([])
    expect(gate.connections.size).toBe(0)
  })

  it('are in the register until they close: revoked, expired, and not heard any more', async () => {
    const clock = manualClock()
    const { gate, revoke, clock: own } = stage('cookie', clock.now() + 60_000)
    const reached: string[] = []
    const port = await setUp(gate, reached)
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200)
    const first = open(port, ours)
    await until(() => first.messages.length === 1)
    expect(first.messages).toEqual(['welcome alice'])
    expect([...gate.connections.list()].map(({ path, principal }) => [path, principal.id])).toEqual([
      ['/chat', 'alice'],
    ])
    first.ws.send('a')
    await until(() => first.messages.length === 2)
    revoke({ principalId: 'alice' })
    first.ws.send('after')
    expect(await first.closed).toBe('4403 revoked')
    expect(reached).toEqual(['a'])

    const second = open(port, ours)
    await until(() => second.messages.length === 1)
    own.advance(60_001)
    expect(await second.closed).toBe('4401 auth_expired')
    expect(gate.connections.size).toBe(0)
  })
})
