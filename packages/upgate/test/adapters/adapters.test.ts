import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Decider, Decision } from 'upgate'
import { expressGate } from 'upgate/express'
import { koaGate } from 'upgate/koa'
import { httpGate } from 'upgate/node'
import { afterEach, describe, expect, it } from 'vitest'
import { makeGate } from '../core/fixtures.ts'
import { raw, request } from './raw.ts'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function listen(listener: RequestListener): Promise<number> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const get = (port: number, path: string, headers: readonly string[] = []): Promise<string> =>
  raw(port, request(`GET ${path} HTTP/1.1`, ['Connection: close', ...headers])).ended()

const open = makeGate({ rules: [{ path: '/*', access: 'public' }] })

/** A gate with a fixed answer to every request. */
function answering(decide: () => Decision | Promise<Decision>): Decider {
  return { ...makeGate(), decide }
}

describe('misuse', () => {
  it('is named at construction', () => {
    const listener: RequestListener = () => {}
    for (const [name, use] of [
      ['expressGate', (gate: never) => expressGate(gate)],
      ['koaGate', (gate: never) => koaGate(gate)],
      ['httpGate', (gate: never) => httpGate(gate, listener)],
    ] as const) {
      for (const wrong of [undefined, {}, () => {}, { schemes: [] }]) {
        expect(() => use(wrong as never)).toThrow(TypeError)
        expect(() => use(wrong as never)).toThrow(
          `${name}: the first argument must be a gate (createGate) or the result of gate.require(...), not `,
        )
      }
    }
    expect(() => httpGate(open, undefined as never)).toThrow(
      new TypeError(
        'httpGate: the second argument must be the request listener to be guarded, not undefined.',
      ),
    )
  })
})

describe('a decider that is broken', () => {
  it('neither lets in nor ends the process', async () => {
    const broken: readonly Decider[] = [
      answering(() => {
        throw new Error('bug')
      }),
      answering(() => Promise.reject(new Error('bug'))),
    ]
    for (const decider of broken) {
      let reached = 0
      const port = await listen(httpGate(decider, () => reached++))
      const answer = await get(port, '/')
      expect(answer).toMatch(/^HTTP\/1\.1 503 /)
      expect(answer).toMatch(/\r\nUpgate-Refusal: unavailable; gate="upgate"\r\n/)
      expect(reached).toBe(0)
    }
  })
})

describe('what can be decided at once', () => {
  it('goes on in the same tick', async () => {
    let order: string[] = []
    const express = expressGate(open)
    const bare = httpGate(open, () => order.push('bare'))
    const koa = koaGate(open)
    const port = await listen((req, res) => {
      order = []
      express(req, res, () => order.push('express'))
      bare(req, res)
      const { url = '' } = req
      void koa({ req, res, originalUrl: url, url, status: 404, body: undefined, state: {} }, async () =>
        order.push('koa'),
      )
      order.push('after')
      res.end()
    })
    await get(port, '/')
    expect(order).toEqual(['express', 'bare', 'koa', 'after'])
  })
})

describe('headers of a decision', () => {
  const headers = [
    ['Set-Cookie', 'sid=; Max-Age=0'],
    ['Vary', 'Origin, Accept'],
    ['Access-Control-Allow-Origin', 'https://gateway.example.com'],
  ] as const

  it('are added to what the application answers, not put in its place', async () => {
    const allow = await open.decide({
      kind: 'http',
      method: 'GET',
      target: '/',
      headers: {},
      rawHeaders: [],
      encrypted: false,
    })
    const decider = answering(() => ({ ...(allow as Extract<Decision, { outcome: 'allow' }>), headers }))
    const gate = expressGate(decider)
    const port = await listen((req, res) => {
      res.setHeader('Vary', 'Accept-Encoding, accept')
      res.setHeader('Set-Cookie', 'theme=dark')
      gate(req, res, () => {
        res.appendHeader('Set-Cookie', 'lang=en')
        res.end()
      })
    })
    const answer = await get(port, '/')
    expect(answer.match(/set-cookie: .*/gi)).toEqual([
      'Set-Cookie: theme=dark',
      'Set-Cookie: sid=; Max-Age=0',
      'Set-Cookie: lang=en',
    ])
    expect(answer.match(/vary: .*/gi)).toEqual(['Vary: Accept-Encoding, accept, Origin'])
    expect(answer).toContain('Access-Control-Allow-Origin: https://gateway.example.com\r\n')
  })

  it('leave a Vary of * alone', async () => {
    const allow = await open.decide({
      kind: 'http',
      method: 'GET',
      target: '/',
      headers: {},
      rawHeaders: [],
      encrypted: false,
    })
    const gate = expressGate(
      answering(() => ({ ...(allow as Extract<Decision, { outcome: 'allow' }>), headers })),
    )
    const port = await listen((req, res) => {
      res.setHeader('Vary', '*')
      gate(req, res, () => res.end())
    })
    expect((await get(port, '/')).match(/vary: .*/gi)).toEqual(['Vary: *'])
  })
})

describe('a refusal after part of another answer is out', () => {
  const begin = (res: ServerResponse): void => {
    res.writeHead(200, { 'Content-Length': '100' })
    res.write('begun')
  }

  it('cuts the answer short', async () => {
    const gate = expressGate(makeGate())
    const koa = koaGate(makeGate())
    let reached = 0
    const express = await listen((req, res) => {
      begin(res)
      gate(req, res, () => reached++)
    })
    const koaPort = await listen((req: IncomingMessage, res) => {
      begin(res)
      const { url = '' } = req
      void koa(
        { req, res, originalUrl: url, url, status: 404, body: undefined, state: {} },
        async () => reached++,
      )
    })
    for (const port of [express, koaPort]) {
      expect(await get(port, '/')).not.toContain('Upgate-Refusal')
    }
    expect(reached).toBe(0)
  })
})

describe('the URL behind mounts', () => {
  const gate = makeGate({
    rules: [
      { path: '/a', access: 'public' },
      { path: '/a/public/*', access: 'public' },
      { path: '/public/*', access: 'public' },
    ],
  })

  async function status(originalUrl: string, baseUrl: string, url: string): Promise<string | undefined> {
    const middleware = expressGate(gate)
    const port = await listen((req, res) => {
      middleware(Object.assign(req, { originalUrl, baseUrl, url }), res, () => res.end())
    })
    return /^HTTP\/1\.1 (\d+)/.exec(await get(port, '/'))?.[1]
  }

  it('is the received one where the mount accounts for the difference', async () => {
    expect(await status('/a/public/x?q', '/a', '/public/x?q')).toBe('200')
    expect(await status('/a', '/a', '/')).toBe('200')
    expect(await status('/a?q=/b', '/a', '/?q=/b')).toBe('200')
  })

  it('is decided in both forms where it does not', async () => {
    expect(await status('/public/x', '', '/private/x')).toBe('401')
    expect(await status('/private/x', '', '/public/x')).toBe('401')
    expect(await status('/a/public/x', '/a', '/secret/x')).toBe('401')
    expect(await status('/a', '/a', '/x')).toBe('401')
    expect(await status('/a?q', '/a', '/?other')).toBe('200')
    expect(await status('/public/x', '/a', '/public/x')).toBe('200')
    expect(await status('http://evil.example/a/public/x', '/a', 'http://evil.example/public/x')).toBe('401')
  })
})

describe('headers that another listener changes during a decision', () => {
  it('are those of the moment before it, in each part of the decision', async () => {
    const seen: (string | undefined)[] = []
    const late = makeGate({
      schemes: [
        {
          name: 'late',
          ambient: false,
          extract: ({ headers }) => {
            seen.push(headers['x-late'] as string | undefined)
            return { credential: { type: 'token', source: 'header', value: 'x' }, location: 'x-late' }
          },
          headers: ['x-late'],
          verify: async () => ({ outcome: 'rejected', code: 'invalid_credential', reason: 'no' }),
        },
      ],
      rules: [],
    })
    const port = await listen((request, response) => {
      const { headers } = request
      let reads = 0
      // As a lazy middleware may do it.
      Object.defineProperty(request, 'headers', {
        get: () => (reads++ === 0 ? headers : { ...headers, host: 'evil.example.com', 'x-late': 'other' }),
      })
      httpGate(late, () => response.end('let in'))(request, response)
    })
    const answer = await get(port, '/', ['X-Late: first', 'Origin: https://gateway.example.com'])
    expect(answer).toContain('invalid_credential')
    expect(seen).toEqual(['first'])
  })
})
