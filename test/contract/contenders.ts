import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import express from 'express'
import express4 from 'express4'
import Koa from 'koa'
import mount from 'koa-mount'
import Koa2 from 'koa2'
import type { Decider, Gate } from 'upgate'
import { expressGate } from 'upgate/express'
import { koaGate } from 'upgate/koa'
import { httpGate } from 'upgate/node'
import { guardServer } from 'upgate/ws'
import { WebSocketServer } from 'ws'

/** The application behind a gate: answers every request that reaches it, and records it. */
export interface Application {
  readonly reached: string[]
  answer(request: IncomingMessage): string
}

/** Position of the gate in an application. */
export interface Placement {
  /** The gate is mounted below this path only. */
  readonly prefix?: string
  /** A middleware before the gate rewrites the first path to the second. */
  readonly rewrite?: readonly [from: string, to: string]
}

/** One way to put a gate in front of an application. */
export interface Contender {
  readonly name: string
  /** Frameworks have mounts; a bare server has none. */
  readonly mounts: boolean
  readonly rewrites: boolean
  /** An application with the gate in front of its HTTP side. */
  serve(gate: Gate, application: Application, placement?: Placement): Server
  /** A decider for one route, `/route`, behind the gate; absent if there are no routes. */
  serveRoute?(gate: Gate, route: Decider, application: Application): Server
  /** True if `serve` guards the upgrades as well, with its own unmodified `WebSocketServer`s. */
  readonly guardsSockets: boolean
}

type Next = () => void

function expressLike(name: string, create: typeof express): Contender {
  return {
    name,
    mounts: true,
    rewrites: true,
    guardsSockets: false,
    serve(gate, application, { prefix, rewrite } = {}) {
      const app = create()
      if (rewrite !== undefined) {
        app.use((request: IncomingMessage, _response: unknown, next: Next) => {
          if (request.url === rewrite[0]) request.url = rewrite[1]
          next()
        })
      }
      if (prefix === undefined) app.use(expressGate(gate))
      else app.use(prefix, expressGate(gate))
      app.use((request: IncomingMessage, response: ServerResponse) => {
        response.end(application.answer(request))
      })
      return createServer(app)
    },
    serveRoute(gate, route, application) {
      const app = create()
      app.use(expressGate(gate))
      app.get('/route', expressGate(route), (request: IncomingMessage, response: ServerResponse) => {
        response.end(application.answer(request))
      })
      return createServer(app)
    },
  }
}

function koaLike(name: string, Application: typeof Koa): Contender {
  return {
    name,
    mounts: true,
    rewrites: true,
    guardsSockets: false,
    serve(gate, application, { prefix, rewrite } = {}) {
      const app = new Application()
      // Koa would log every client that leaves.
      app.silent = true
      if (rewrite !== undefined) {
        app.use((ctx: { url: string }, next: Next) => {
          if (ctx.url === rewrite[0]) ctx.url = rewrite[1]
          return next()
        })
      }
      app.use(prefix === undefined ? koaGate(gate) : mount(prefix, koaGate(gate)))
      app.use((ctx: { req: IncomingMessage; body: string; state: { principal?: { id: string } } }) => {
        const body = application.answer(ctx.req)
        if (ctx.state.principal?.id !== gate.principalOf(ctx.req)?.id) throw new Error('two principals')
        ctx.body = body
      })
      return createServer(app.callback())
    },
    serveRoute(gate, route, application) {
      const app = new Application()
      app.use(koaGate(gate))
      const guarded = koaGate(route)
      app.use((ctx: never, next: () => Promise<unknown>) => {
        const { path } = ctx as { path: string }
        return path === '/route' ? guarded(ctx, next) : next()
      })
      app.use((ctx: { req: IncomingMessage; body: string }) => {
        ctx.body = application.answer(ctx.req)
      })
      return createServer(app.callback())
    },
  }
}

export const contenders: readonly Contender[] = [
  expressLike('Express 5', express),
  expressLike('Express 4', express4),
  koaLike('Koa 3', Koa),
  koaLike('Koa 2', Koa2),
  {
    name: 'bare http',
    mounts: false,
    rewrites: false,
    guardsSockets: false,
    serve: (gate, application) =>
      createServer(
        httpGate(gate, (request, response) => {
          response.end(application.answer(request))
        }),
      ),
    serveRoute(gate, route, application) {
      const handler = httpGate(route, (request, response) => {
        response.end(application.answer(request))
      })
      return createServer(httpGate(gate, handler))
    },
  },
  {
    name: 'guardServer before an unmodified Express + ws application',
    mounts: false,
    rewrites: false,
    guardsSockets: true,
    serve(gate, application) {
      const app = express()
      app.use((request: IncomingMessage, response: ServerResponse) => {
        response.end(application.answer(request))
      })
      const server = createServer(app)
      guardServer(server, gate, { sockets: sockets(server) })
      return server
    },
  },
]

/**
 * The application's sockets: an echo that first sends the principal's id. With a server they are created as
 * usual.
 */
export function sockets(server?: Server): Record<string, WebSocketServer> {
  const made: Record<string, WebSocketServer> = {}
  for (const path of ['/ws', '/ws/chat']) {
    const wss = new WebSocketServer(server === undefined ? { noServer: true } : { server, path })
    wss.on('connection', (ws, _request, principal?: { id: string }) => {
      ws.send(`welcome ${principal?.id ?? 'stranger'} on ${path}`)
      ws.on('message', (data) => ws.send(`echo ${data}`))
    })
    made[path] = wss
  }
  return made
}
