/** Real routers, each asked in process which handler a target reaches. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import findMyWay from 'find-my-way'
import { Hono } from 'hono'
import { LinearRouter } from 'hono/router/linear-router'
import { PatternRouter } from 'hono/router/pattern-router'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { TrieRouter } from 'hono/router/trie-router'
import Koa from 'koa'
import koaStatic from 'koa-static'
import sirv from 'sirv'
import { URLPattern } from 'urlpattern-polyfill'
import { protectedPaths, protectedSamples, publicSamples } from './path-grammar.ts'

export interface Contender {
  readonly name: string
  /** It is asked about one target of so many: some take much longer than others. */
  readonly every: number
  /** Whether a target comes to a protected handler. */
  reaches(target: string): boolean | Promise<boolean>
}

const socket = new Socket()

function requestOf(target: string, method = 'GET'): IncomingMessage {
  const request = new IncomingMessage(socket)
  request.method = method
  request.url = target
  return request
}

/** A response that swallows everything. */
const answerless = new Proxy({}, { get: () => () => undefined, set: () => true }) as ServerResponse

/** What a router throws for a target is an answer of 400 or 500, and reaches nothing. */
function quietly(reaches: () => boolean): boolean {
  try {
    return reaches()
  } catch {
    return false
  }
}

const isParameter = (segment: string): boolean => segment.startsWith(':')
const bySegment = (path: string, spell: (segment: string) => string): string =>
  path
    .split('/')
    .map((segment) => (segment === '*' || isParameter(segment) ? segment : spell(segment)))
    .join('/')
const encodeSegment = (segment: string): string => segment.replace(/[^\x21-\x7e]+/g, encodeURIComponent)

/** path-to-regexp 8, of Express 5 and `@koa/router`; both match the path as it was sent. */
const modern = (path: string): string =>
  bySegment(path, (segment) => encodeSegment(segment).replace(/[{}()[\]+?!:*\\]/g, '\\$&')).replace(
    '/*',
    '{/*rest}',
  )
/** path-to-regexp 0.1, of Express 4. */
const old = (path: string): string =>
  bySegment(path, (segment) => encodeSegment(segment).replace(/[()[\]+?!:*\\|^$]/g, '\\$&')).replace(
    '/*',
    '(/*)?',
  )

interface ExpressSettings {
  readonly strict?: boolean
  readonly caseSensitive?: boolean
}
const modernExpress = express
const oldExpress = express4 as unknown as typeof express

function expressContender(
  name: string,
  create: typeof express,
  settings: ExpressSettings,
  every = 2,
): Contender {
  const spell = create === modernExpress ? modern : old
  let reached = false
  const router = create.Router(settings)
  router.get(protectedPaths.map(spell), () => {
    reached = true
  })
  return {
    name,
    every,
    reaches: (target) =>
      runRouter(
        router,
        target,
        () => reached,
        () => (reached = false),
      ),
  }
}

function runRouter(
  router: express.Router,
  target: string,
  reached: () => boolean,
  reset: () => void,
): boolean {
  reset()
  return quietly(() => {
    router(requestOf(target) as never, answerless as never, () => undefined)
    return reached()
  })
}

/** Every handler below one mount, and the last segment below a second one. */
function mountedContender(name: string, create: typeof express): Contender {
  const spell = create === modernExpress ? modern : old
  let reached = false
  const outer = create.Router()
  for (const path of protectedPaths) {
    const segments = path.split('/').slice(1)
    const application = create()
    const inner = create.Router({ mergeParams: true })
    inner.get(segments.length === 1 ? '/' : spell(`/${segments.slice(1).join('/')}`), () => {
      reached = true
    })
    application.use(inner)
    // A sub-application in the place of every other router.
    outer.use(spell(`/${segments[0]}`), segments.length % 2 === 0 ? application : inner)
  }
  return {
    name,
    every: 4,
    reaches: (target) =>
      runRouter(
        outer,
        target,
        () => reached,
        () => (reached = false),
      ),
  }
}

function koaContender(name: string, settings: object): Contender {
  const application = new Koa()
  const router = new KoaRouter(settings)
  for (const path of protectedPaths) router.get(modern(path), () => undefined)
  return {
    name,
    every: 1,
    reaches: (target) =>
      quietly(() => router.match(application.createContext(requestOf(target), {}).path, 'GET').route),
  }
}

/** Doubles the colon, which find-my-way would take for a parameter. */
const wayOf = (path: string): string => bySegment(path, (segment) => segment.replaceAll(':', '::'))

async function fastifyContender(name: string, routerOptions: object): Promise<Contender> {
  let reached = false
  const application = fastify({ routerOptions, exposeHeadRoutes: false })
  for (const path of protectedPaths) {
    application.get(wayOf(path), (_request, reply) => {
      reached = true
      reply.hijack()
    })
  }
  await application.ready()
  return {
    name,
    every: 10,
    reaches: (target) => {
      reached = false
      return quietly(() => {
        application.routing(requestOf(target), answerless)
        return reached
      })
    },
  }
}

function findMyWayContender(name: string, settings: object): Contender {
  let reached = false
  // Its types lack the option for semicolons.
  const router = findMyWay({ ...settings, defaultRoute: () => undefined, onBadUrl: () => undefined })
  for (const path of protectedPaths) {
    router.on('GET', wayOf(path), () => {
      reached = true
    })
  }
  return {
    name,
    every: 1,
    reaches: (target) => {
      reached = false
      return quietly(() => {
        router.lookup(requestOf(target), answerless)
        return reached
      })
    },
  }
}

type HonoRouter = NonNullable<ConstructorParameters<typeof Hono>[0]>['router']

function honoContender(name: string, router: HonoRouter, strict: boolean): Contender {
  const application = new Hono({ strict, ...(router === undefined ? {} : { router }) })
  for (const path of protectedPaths) {
    // Brackets and bars in a route are a regular expression's for some of these.
    if (!path.includes('[')) application.get(path, (context) => context.text(''))
  }
  return {
    name,
    every: 6,
    reaches: (target) =>
      quietly(() =>
        // As a server of Node makes a URL of a target: as it is where it looks usual, else by the parser.
        [`http://localhost${target}`, new URL(target, 'http://localhost').href].some(
          (url) => application.router.match('GET', application.getPath({ url } as Request))[0].length > 0,
        ),
      ),
  }
}

function urlPatternContender(ignoreCase: boolean): Contender {
  const patterns = protectedPaths.map(
    (path) =>
      new URLPattern(
        { pathname: bySegment(path, (segment) => segment.replace(/[{}()+?*:\\]/g, '\\$&')) },
        // Its types know a base in this place only.
        { ignoreCase } as never,
      ),
  )
  return {
    name: `URLPattern, ignoreCase ${ignoreCase}`,
    every: 20,
    reaches: (target) =>
      quietly(() => {
        const { pathname } = new URL(target, 'http://localhost')
        return patterns.some((pattern) => pattern.test({ pathname }))
      }),
  }
}

/** A file for every protected and public path. */
export function createTree(): { readonly root: string; remove(): void } {
  const root = mkdtempSync(join(tmpdir(), 'upgate-paths-'))
  for (const path of [...protectedSamples, ...publicSamples]) {
    const file = join(root, path.endsWith('/') ? `${path}index.html` : path)
    mkdirSync(dirname(file), { recursive: true })
    try {
      writeFileSync(file, '')
    } catch {
      // A folder by that name holds other files.
    }
  }
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) }
}

const isProtectedFile = (path: string): boolean => protectedSamples.some((sample) => path.endsWith(sample))

function expressStaticContender(name: string, create: typeof express, root: string): Contender {
  return {
    name,
    every: 20,
    reaches: (target) =>
      new Promise<boolean>((resolve) => {
        const request = requestOf(target, 'HEAD')
        const response = new ServerResponse(request)
        const serve = create.static(root, {
          setHeaders: (_response, path) => resolve(isProtectedFile(path)),
        })
        response.end = (() => {
          resolve(false)
          return response
        }) as never
        serve(request as never, response as never, () => resolve(false))
      }).catch(() => false),
  }
}

function koaStaticContender(root: string): Contender {
  const application = new Koa()
  return {
    name: 'koa-static',
    every: 20,
    reaches: async (target) => {
      let reached = false
      const request = requestOf(target, 'HEAD')
      const context = application.createContext(request, new ServerResponse(request))
      const serve = koaStatic(root, {
        setHeaders: (_response: unknown, path: string) => {
          reached = isProtectedFile(path)
        },
      })
      try {
        await serve(context, async () => undefined)
      } catch {
        return false
      }
      context.body?.destroy?.()
      return reached
    },
  }
}

function sirvContender(root: string, dev: boolean): Contender {
  const found = Symbol('found')
  let reached = false
  const serve = sirv(root, {
    dev,
    setHeaders: () => {
      // Before the file is opened.
      throw found
    },
  })
  const publicOnes = new Set(publicSamples)
  return {
    name: `sirv, dev ${dev}`,
    every: dev ? 20 : 1,
    reaches: (target) => {
      reached = false
      try {
        serve(requestOf(target), answerless, () => undefined)
      } catch (error) {
        if (error !== found) return false
        let path = target.split('?')[0] ?? ''
        try {
          path = decodeURI(path)
        } catch {}
        reached = !publicOnes.has(path.replace(/\/$/, '') || '/')
      }
      return reached
    },
  }
}

/** Routers as people write them, and file systems: decoded, resolved, and compared under a fold. */
function handWritten(
  name: string,
  read: (target: string) => string,
  fold: (text: string) => string,
): Contender {
  const exact = new Set<string>()
  const below: string[] = []
  for (const path of protectedPaths) {
    if (path.endsWith('/*')) below.push(fold(path.slice(0, -1)))
    else exact.add(fold(path.replace(':id', '7')))
  }
  return {
    name,
    every: 1,
    reaches: (target) =>
      quietly(() => {
        const path = fold(read(target))
        return exact.has(path) || below.some((prefix) => path.startsWith(prefix))
      }),
  }
}

const pathOf = (target: string): string => target.split('?')[0] ?? ''
const asFile = (target: string): string => posix.normalize(decodeURIComponent(pathOf(target)))
const marks = /(?<=[A-Za-z])\p{M}+/gu
const lower = (text: string): string => text.toLowerCase()
const viaUpper = (text: string): string => text.toUpperCase().toLowerCase()

export async function createContenders(root: string): Promise<Contender[]> {
  return [
    expressContender('Express 4', oldExpress, {}, 1),
    expressContender('Express 4, strict, case-sensitive', oldExpress, { strict: true, caseSensitive: true }),
    expressContender('Express 5', modernExpress, {}, 1),
    expressContender('Express 5, strict', modernExpress, { strict: true }),
    expressContender('Express 5, case-sensitive', modernExpress, { caseSensitive: true }),
    mountedContender('Express 4, mounts', oldExpress),
    mountedContender('Express 5, mounts', modernExpress),
    koaContender('@koa/router', {}),
    koaContender('@koa/router, strict, sensitive', { strict: true, sensitive: true }),
    await fastifyContender('Fastify', {}),
    await fastifyContender('Fastify, any case, duplicate slashes, semicolons', {
      caseSensitive: false,
      ignoreDuplicateSlashes: true,
      ignoreTrailingSlash: true,
      useSemicolonDelimiter: true,
    }),
    findMyWayContender('find-my-way', {}),
    findMyWayContender('find-my-way, any case', { caseSensitive: false }),
    findMyWayContender('find-my-way, duplicate slashes', {
      ignoreDuplicateSlashes: true,
      ignoreTrailingSlash: true,
    }),
    findMyWayContender('find-my-way, semicolons', { caseSensitive: false, useSemicolonDelimiter: true }),
    honoContender('Hono', undefined, true),
    honoContender('Hono, not strict', undefined, false),
    honoContender('Hono, LinearRouter', new LinearRouter(), true),
    honoContender('Hono, PatternRouter', new PatternRouter(), true),
    honoContender('Hono, RegExpRouter', new RegExpRouter(), true),
    honoContender('Hono, TrieRouter', new TrieRouter(), true),
    urlPatternContender(false),
    urlPatternContender(true),
    expressStaticContender('express.static of Express 4', oldExpress, root),
    expressStaticContender('express.static of Express 5', modernExpress, root),
    koaStaticContender(root),
    sirvContender(root, false),
    sirvContender(root, true),
    handWritten(
      'URL parsing',
      (target) => new URL(target, 'http://localhost').pathname,
      (text) => lower(encodeSegments(text)),
    ),
    handWritten(
      'URL parsing, then decoding, then parsing',
      (target) => {
        const path = decodeURIComponent(new URL(target, 'http://localhost').pathname).replace(/\/+/g, '/')
        return decodeURIComponent(new URL(path.replace(/\/$/, '') || '/', 'http://localhost').pathname)
      },
      lower,
    ),
    handWritten('a file system that folds to lower case', asFile, lower),
    handWritten('a file system that folds to upper case', asFile, (text) => text.toUpperCase()),
    handWritten('a file system that composes and folds', asFile, (text) => viaUpper(text.normalize('NFC'))),
    handWritten('a router that ignores marks', asFile, (text) => lower(text).replace(marks, '')),
    handWritten('a router that folds by upper case and ignores marks', asFile, (text) =>
      viaUpper(text.normalize('NFC')).replace(marks, ''),
    ),
  ]
}

const encodeSegments = (path: string): string =>
  path.includes('%') ? path : path.split('/').map(encodeSegment).join('/')
