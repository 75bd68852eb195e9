/*
 * A gate and a router that read one path differently are a hole: the gate sees `/public/..%2fadmin`, the router
 * serves `/admin`. Here real routers say which handler a hostile target reaches, and whenever it is a protected
 * one, the gate must not have let an anonymous caller in.
 */
import { Agent, createServer, request as httpRequest, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import express4 from 'express4'
import { createGate } from 'upgate'
import { afterAll, describe, expect, it } from 'vitest'

const protectedPaths = ['/admin/panel', '/api/secret', '/users/:id/keys', '/Mixed/Case']
const publicPaths = ['/public/page', '/health', '/users/7/avatar']

const gate = createGate({
  schemes: [
    {
      name: 'nobody',
      ambient: false,
      verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: '' }),
    },
  ],
  rules: [
    { path: '/health', access: 'public' },
    { path: '/users/:id/avatar', access: 'public' },
    { path: '/api/secret', access: 'required' },
    { path: '/mixed/case', access: 'required' },
    { path: '/users/:id/*', access: 'required' },
    { path: '/admin/*', access: 'required' },
    { path: '/*', methods: ['GET'], access: 'public' },
  ],
})
// Everything that is not protected is public: the hardest case, since any misreading falls open.

/** Mulberry32: the same targets on every run. */
function randomOf(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const inserts = [
  '/',
  '//',
  '/./',
  '/x/../',
  '%2f',
  '%2F',
  '%5c',
  '\\',
  ';x',
  ';/',
  '%3b',
  '.',
  '..',
  '%2e',
  '%2e%2e/',
  '%252e',
  '%252f',
  '#',
  '%23',
  '?',
  '%3f',
  '/%2e/',
  '%20',
  '%09',
  '%00',
  '%c0%af',
  '/..;/',
]

function mutate(random: () => number): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  let path = pick([...protectedPaths, ...protectedPaths, ...publicPaths]).replace(':id', '7')
  const times = 1 + Math.floor(random() * 3)
  for (let i = 0; i < times; i++) {
    const at = Math.floor(random() * (path.length + 1))
    const char = path[at] ?? ''
    switch (Math.floor(random() * 7)) {
      case 0:
        path =
          path.slice(0, at) +
          (char === char.toUpperCase() ? char.toLowerCase() : char.toUpperCase()) +
          path.slice(at + 1)
        break
      case 1:
        if (char !== '') path = `${path.slice(0, at)}%${char.charCodeAt(0).toString(16)}${path.slice(at + 1)}`
        break
      case 2:
        path = path.replace('%', '%25')
        break
      case 3:
        path = pick([
          `/public/..${path}`,
          `//evil${path}`,
          `http://evil.example${path}`,
          `/public/%2e%2e${path}`,
          `${path}/`,
          `${path}#/public/page`,
          `/health;${path}`,
        ])
        break
      default:
        path = path.slice(0, at) + pick(inserts) + path.slice(at)
    }
  }
  return path
}

const servers: ReturnType<typeof createServer>[] = []
const agent = new Agent({ keepAlive: true, maxSockets: 4 })
afterAll(() => {
  agent.destroy()
  for (const server of servers) server.close()
})

async function reach(listener: RequestListener): Promise<(target: string) => Promise<boolean>> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return (path) =>
    new Promise((resolve, reject) => {
      const req = httpRequest({ host: '127.0.0.1', port, path, agent }, (res) => {
        res.resume()
        res.on('end', () => resolve(res.headers['x-reached'] === 'protected'))
      })
      req.on('error', reject)
      req.end()
    })
}

function expressApp(create: typeof express): RequestListener {
  const app = create()
  for (const path of protectedPaths) {
    app.get(path, (_req, res) => {
      res.set('x-reached', 'protected').end()
    })
  }
  return app as unknown as RequestListener
}

/** A hand-written router as people write them: WHATWG URL parsing, decoding, case folded. */
function urlRouter(decode: boolean): RequestListener {
  const wanted = new Set(['/admin/panel', '/api/secret', '/users/7/keys', '/mixed/case'])
  return (req, res) => {
    let path = ''
    try {
      path = new URL(req.url ?? '/', 'http://localhost').pathname
      if (decode) {
        const decoded = decodeURIComponent(path).replace(/\/+/g, '/').replace(/\/$/, '')
        path = new URL(decoded || '/', 'http://localhost').pathname
      }
    } catch {
      path = ''
    }
    if (wanted.has(path.toLowerCase())) res.setHeader('x-reached', 'protected')
    res.end()
  }
}

describe('no router reaches a protected handler that the gate let anybody reach', () => {
  it.each<[string, RequestListener]>([
    ['Express 4', expressApp(express4 as unknown as typeof express)],
    ['Express 5', expressApp(express)],
    ['URL parsing', urlRouter(false)],
    ['URL parsing, then decoding', urlRouter(true)],
  ])('%s', { timeout: 60_000 }, async (name, listener) => {
    const reaches = await reach(listener)
    const random = randomOf(20261121)
    const targets = new Set<string>(protectedPaths.map((path) => path.replace(':id', '7')))
    while (targets.size < 2500) targets.add(mutate(random))
    const holes: string[] = []
    let reached = 0
    const queue = [...targets].filter((target) => !/[^\x21-\x7e]/.test(target) && target !== '')
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        for (let target = queue.pop(); target !== undefined; target = queue.pop()) {
          if (!(await reaches(target))) continue
          reached++
          const headers = { host: '127.0.0.1' }
          const decision = await gate.decide({
            kind: 'http',
            method: 'GET',
            target,
            headers,
            rawHeaders: ['Host', '127.0.0.1'],
            encrypted: false,
          })
          if (decision.outcome === 'allow') holes.push(target)
        }
      }),
    )
    expect(holes).toEqual([])
    // The test means nothing where hostile targets never arrive.
    expect(reached, `${name} reached by hostile targets`).toBeGreaterThan(100)
  })
})
