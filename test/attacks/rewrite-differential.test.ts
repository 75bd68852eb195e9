/*
 * What a gate decided is what the router must see. Here middlewares rewrite the URL and override the method between
 * the server's gate and the application's, or in front of it, as their headers say, and the application notes what
 * reaches a protected handler.
 *
 * `UPGATE_TARGETS` (default: 30,000, of which this takes a fifth) and `UPGATE_SEED` make it longer, or another.
 */
import { createServer, IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import Koa from 'koa'
import methodOverride from 'method-override'
import { createGate, type Gate } from 'upgate'
import { expressGate } from 'upgate/express'
import { type KoaContext, koaGate } from 'upgate/koa'
import { guardServer } from 'upgate/ws'
import { describe, expect, it } from 'vitest'
import { protectedPaths, randomOf, writeTarget } from './path-grammar.ts'

const seed = Number(process.env.UPGATE_SEED ?? 20261128)
const count = Math.ceil(Number(process.env.UPGATE_TARGETS ?? 30_000) / 5)
const timeout = 60_000 + count * 5

// Those that every router here can name.
const plain = protectedPaths.filter((path) => /^[a-z/:*]+$/.test(path))

const makeGate = (): Gate =>
  createGate({
    schemes: [
      {
        name: 'none',
        ambient: false,
        verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: '' }),
      },
    ],
    rules: [
      { path: '/forms/*', methods: ['GET'], access: 'public' },
      {
        path: [
          '/forms/*',
          ...protectedPaths.map((path) => path.replace(/[^\x21-\x7e]+/g, encodeURIComponent)),
        ],
        access: 'required',
      },
      { path: '/*', access: 'public' },
    ],
  })

/** What people's middlewares do to a URL. */
const rewrites: readonly ((url: string) => string)[] = [
  (url) => url,
  (url) => url.toLowerCase(),
  (url) => decodeURI(url),
  (url) => decodeURIComponent(url),
  (url) => url.replace(/\/{2,}/g, '/'),
  (url) => new URL(url, 'http://localhost').pathname,
  (url) => url.replace(/^\/v2(?=\/)/, ''),
  (url) => url.replace(/^\/public(?=\/)/, '/admin'),
  (url) => url.replace(/;[^/]*/g, ''),
  (url) => url.replace(/[#?].*/, ''),
  (url) => (url === '/health' ? '/api/secret' : url),
  (url) => url.replace('%2f', '/').replace('%2F', '/'),
  (url) => `/admin${url}`,
]
const methods = [
  'GET',
  'GET',
  'POST',
  'DELETE',
  'PUT',
  'HEAD',
  'OPTIONS',
  'PROPFIND',
  'post',
  'Delete',
  'FOO',
  'TRACE',
  '',
]

const rewrite = (incoming: IncomingMessage): string => {
  const url = incoming.url ?? ''
  const change = rewrites[Number(incoming.headers['x-rewrite'] ?? 0)]
  try {
    return change?.(url) ?? url
  } catch {
    return url
  }
}
const overridden = (incoming: IncomingMessage): string | undefined => {
  const method = incoming.headers['x-http-method-override']
  return typeof method === 'string' ? method : undefined
}

interface Arrangement {
  readonly guarded: boolean
  /** The application has a gate in front of what rewrites, too. */
  readonly twice: boolean
  readonly mounted: boolean
}

let reached: string | undefined

function expressApp(create: typeof express, gate: Gate, { twice, mounted }: Arrangement): RequestListener {
  const app = create()
  const modern = create === express
  const star = (path: string): string =>
    modern ? path.replace('/*', '{/*rest}') : path.replace('/*', '(/*)?')
  if (twice) app.use(expressGate(gate))
  app.use(methodOverride('X-HTTP-Method-Override') as express.RequestHandler)
  app.use((incoming, _response, next) => {
    incoming.url = rewrite(incoming)
    incoming.method = overridden(incoming) ?? incoming.method
    next()
  })
  const note: express.RequestHandler = (incoming, response) => {
    reached = `${incoming.method} ${incoming.originalUrl} as ${incoming.url}`
    response.end()
  }
  if (mounted) {
    for (const path of ['/forms/*', ...plain]) {
      const [, first = '', ...rest] = path.split('/')
      const sub = create()
      const inner = create.Router()
      sub.use(expressGate(gate))
      const below = star(`/${rest.join('/')}`.replace(/^\/\*$/, '/*')).replace(/^$/, '/')
      if (first === 'forms') inner.post(below, note).delete(below, note).put(below, note)
      else inner.all(below, note)
      sub.use(inner)
      app.use(`/${first}`, sub)
    }
  } else {
    app.use(expressGate(gate))
    app.post('/forms/:id', note).delete('/forms/:id', note).put('/forms/:id', note)
    app.all(plain.map(star), note)
  }
  app.use((_incoming, response) => void response.end())
  app.use(((_error, _incoming, response, _next) => void response.end()) as express.ErrorRequestHandler)
  return app as unknown as RequestListener
}

interface RoutedContext extends KoaContext {
  method: string
}

function koaApp(gate: Gate, { twice }: Arrangement): RequestListener {
  const app = new Koa()
  app.silent = true
  const router = new KoaRouter()
  const note = (context: RoutedContext): void => {
    reached = `${context.method} ${context.originalUrl} as ${context.url}`
    context.body = ''
  }
  router.post('/forms/:id', note).delete('/forms/:id', note).put('/forms/:id', note)
  for (const path of plain) router.all(path.replace('/*', '{/*rest}'), note)
  if (twice) app.use(koaGate(gate))
  app.use((context: RoutedContext, next: () => Promise<unknown>) => {
    context.url = rewrite(context.req)
    context.method = overridden(context.req) ?? context.method
    return next()
  })
  app.use(koaGate(gate))
  app.use(router.routes())
  return app.callback()
}

const socket = new Socket()

/** Gives a server a request as its parser would, and waits for the answer. */
function ask(
  server: ReturnType<typeof createServer>,
  method: string,
  url: string,
  change: number,
  override: string | undefined,
): Promise<void> {
  const incoming = new IncomingMessage(socket)
  incoming.method = method
  incoming.url = url
  const headers: Record<string, string> = { host: '127.0.0.1', 'x-rewrite': String(change) }
  if (override !== undefined) headers['x-http-method-override'] = override
  incoming.headers = headers
  incoming.rawHeaders = Object.entries(headers).flat()
  const response = new ServerResponse(incoming)
  return new Promise((resolve) => {
    response.end = (() => {
      resolve()
      return response
    }) as never
    server.emit('request', incoming, response)
  })
}

const old = express4 as unknown as typeof express
const arrangements: [string, Arrangement, (gate: Gate, arrangement: Arrangement) => RequestListener][] = []
for (const [name, application] of [
  ['Express 5', (gate: Gate, arrangement: Arrangement) => expressApp(express, gate, arrangement)],
  ['Express 4', (gate: Gate, arrangement: Arrangement) => expressApp(old, gate, arrangement)],
  ['Koa', koaApp],
] as const) {
  for (const guarded of [true, false]) {
    for (const place of ['behind', 'on both sides', 'in every mount'] as const) {
      if (name === 'Koa' && place === 'in every mount') continue
      const arrangement = { guarded, twice: place === 'on both sides', mounted: place === 'in every mount' }
      arrangements.push([
        `${name}, a gate ${guarded ? 'at the server and ' : ''}${place}`,
        arrangement,
        application,
      ])
    }
  }
}

describe('what rewrites and overrides between the gate and the router', () => {
  it.each(arrangements)('opens nothing: %s', { timeout }, async (_name, arrangement, application) => {
    const gate = makeGate()
    const server = createServer(application(gate, arrangement))
    if (arrangement.guarded) guardServer(server, gate)
    const random = randomOf(seed)
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
    const holes: string[] = []
    const targets = Math.ceil(count / arrangements.length)
    for (let i = 0; i < targets; i++) {
      const base =
        random() < 0.4
          ? pick([
              '/forms/7',
              '/forms/7',
              '/forms/7/',
              '/Forms/7',
              '/health',
              '/v2/admin/x',
              '/public/x',
              '/v2/forms/7',
            ])
          : writeTarget(random)
      const url = random() < 0.2 ? `${pick(['/v2', '/public', '/x/..'])}${base}` : base
      const method = pick(['GET', 'GET', 'GET', 'POST', 'HEAD', 'DELETE'])
      const change = Math.floor(random() * rewrites.length)
      const override = random() < 0.5 ? pick(methods) : undefined
      // No parser hands on an empty target, and Express never answers one.
      if (url === '') continue
      reached = undefined
      await ask(server, method, url, change, override)
      if (reached !== undefined)
        holes.push(
          `${method} ${url}, rewrite ${change}, override ${override}: ${reached} (seed ${seed}, target ${i})`,
        )
    }
    expect(holes.slice(0, 10)).toEqual([])
  })

  it('would open handlers, if no gate were behind it', { timeout }, async () => {
    const open = { ...makeGate() }
    // The application's gate lets everything in: what the gate at the server decided before the rewrite then stands.
    const lenient = createGate({
      schemes: [
        {
          name: 'none',
          ambient: false,
          verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: '' }),
        },
      ],
      rules: [{ path: '/*', access: 'public' }],
    })
    for (const [name, arrangement, application] of arrangements) {
      if (!arrangement.guarded) continue
      const server = createServer(application(lenient, arrangement))
      guardServer(server, open)
      for (const [method, url, change, override] of [
        ['POST', '/health', 10, undefined],
        ['GET', '/public/x', 7, undefined],
        ['GET', '/v2/admin/x', 6, undefined],
        ['GET', '/forms/7', 0, 'DELETE'],
      ] as const) {
        reached = undefined
        await ask(server, method, url, change, override)
        expect(reached, `${name}: ${method} ${url}`).toBeDefined()
      }
    }
  })
})
