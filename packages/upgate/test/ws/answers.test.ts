import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGate } from 'upgate'
import { guardServer, type Handshake, jsonFrame, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { closeAll, device, eventually, goodToken, start, table, wrongToken } from './harness.ts'

afterEach(closeAll)

const find = (m: { auth?: { token?: string } }): string | undefined => m.auth?.token
const auth = (token: string): string => JSON.stringify({ auth: { token } })
const wrong = (value: unknown): never => value as never

describe('what a handshake answers', () => {
  // A key that was spelt wrong, or a promise, was a frame that never came, `{}` on the wire, or one letter a frame.
  it.each<[string, Handshake, string, string]>([
    [
      'jsonFrame: a key of `reject` that there is not',
      jsonFrame({ credential: find, reject: wrong(() => ({ frame: {}, code: 4001 })) }),
      wrongToken,
      'jsonFrame: what `reject` returns: unknown option `code`. Known options: frame, closeCode, closeReason.',
    ],
    [
      'jsonFrame: a misspelt one',
      jsonFrame({ credential: find, reject: wrong(() => ({ closecode: 4001 })) }),
      wrongToken,
      'jsonFrame: what `reject` returns: unknown option `closecode`. Did you mean `closeCode`?',
    ],
    [
      'jsonFrame: nothing from `reject`',
      jsonFrame({ credential: find, reject: wrong(() => undefined) }),
      wrongToken,
      'jsonFrame: what `reject` returns: the options must be an object, not undefined.',
    ],
    [
      'jsonFrame: an asynchronous `reject`',
      jsonFrame({ credential: find, reject: wrong(async () => Promise.reject(new Error('x'))) }),
      wrongToken,
      'jsonFrame: what `reject` returns: the options must be an object, not a promise (await it first).',
    ],
    [
      'jsonFrame: an asynchronous `accept`',
      jsonFrame({ credential: find, accept: async () => Promise.reject(new Error('x')) }),
      goodToken,
      'jsonFrame: `accept` must return what is sent as JSON, not a promise (await it first).',
    ],
    [
      'jsonFrame: a function from `accept`',
      jsonFrame({ credential: find, accept: () => () => 'ok' }),
      goodToken,
      'jsonFrame: `accept` must return what is sent as JSON, not a function.',
    ],
    [
      'jsonFrame: an asynchronous `credential`',
      jsonFrame({ credential: wrong(async () => Promise.reject(new Error('x'))) }),
      goodToken,
      'jsonFrame: `credential` must return what it finds at once, not a promise.',
    ],
    [
      'jsonFrame: an asynchronous `declared`, which would narrow nothing',
      jsonFrame({ credential: find, declared: wrong(async () => Promise.reject(new Error('x'))) }),
      goodToken,
      'jsonFrame: `declared` must return what it finds at once, not a promise.',
    ],
    [
      'its own: text in place of frames',
      own({ accept: wrong(() => 'welcome') }),
      goodToken,
      'The handshake "own": `accept` must return a list of frames, not a string.',
    ],
    [
      'its own: objects in place of frames',
      own({ accept: wrong(() => [{ type: 'ok' }]) }),
      goodToken,
      'The handshake "own": `accept` must return frames as strings (JSON.stringify() them) or bytes (Uint8Array), not an object.',
    ],
    [
      'its own: nothing among the frames',
      own({ accept: wrong(() => [undefined]) }),
      goodToken,
      'The handshake "own": `accept` must return frames as strings',
    ],
    [
      'its own: a promise of frames',
      own({ accept: wrong(async () => Promise.reject(new Error('x'))) }),
      goodToken,
      'The handshake "own": `accept` must return a list of frames, not a promise',
    ],
    [
      'its own: `code` for `closeCode`',
      own({ reject: wrong(() => ({ frames: [], code: 4001, reason: '' })) }),
      wrongToken,
      'The handshake "own": `reject` returned: unknown option `code`.',
    ],
    [
      'its own: no frames with a refusal',
      own({ reject: wrong(() => ({ closeCode: 4001, closeReason: '' })) }),
      wrongToken,
      'The handshake "own": `reject`: `frames` must return a list of frames, not undefined.',
    ],
    [
      'its own: no step',
      own({ receive: wrong(() => undefined) }),
      goodToken,
      "The handshake \"own\": `receive` must return a step: { step: 'credential' | 'more' | 'send' | 'ignore' | 'reject', ... }.",
    ],
    [
      'its own: a step that there is not',
      own({ receive: wrong(() => ({ step: 'constructor' })) }),
      goodToken,
      'The handshake "own": `receive` must return a step',
    ],
    [
      'its own: `token` for `credential`',
      own({ receive: wrong(() => ({ step: 'credential', token: 'x' })) }),
      goodToken,
      'The handshake "own": `receive` returned a step: unknown option `token`.',
    ],
    [
      'its own: a promise of a step',
      own({ receive: wrong(async () => Promise.reject(new Error('x'))) }),
      goodToken,
      'The handshake "own": `receive` must return a step at once, not a promise (await it first).',
    ],
  ])('%s is named at the first one, and the socket refused', async (_, handshake, token, message) => {
    const t = await start({ rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake }] })
    const client = t.connect()
    await client.send(auth(token))
    await eventually(() => t.errors.join().includes('TypeError'))
    expect(t.errors.join('\n')).toContain(`TypeError: ${message}`)
    t.clock.advance(1500)
    expect((await client.closed()).code).toBeGreaterThan(1012)
    expect(t.connections).toEqual([])
  })

  it('an asynchronous `claims` lets no credential pass as data', async () => {
    const handshake = own({ claims: wrong(async () => Promise.reject(new Error('x'))) })
    const t = await start({ rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake }] })
    const client = t.connect({ authorization: `Bearer ${goodToken}` })
    await client.send(auth(wrongToken))
    await client.message()
    expect(t.errors.join('\n')).toContain(
      'TypeError: The handshake "own": `claims` must return true or false, not a promise (await it first).',
    )
    expect(t.connections).toHaveLength(1)
  })

  it('keeps `this`, and the methods of a class', async () => {
    class Mine implements Handshake {
      readonly name = 'mine'
      readonly #inner = own({})
      receive(...args: Parameters<Handshake['receive']>) {
        return this.#inner.receive(...args)
      }
      accept() {
        return ['{"hello":true}']
      }
      reject(...args: Parameters<Handshake['reject']>) {
        return this.#inner.reject(...args)
      }
    }
    const handshake = new Mine()
    const t = await start({ rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake }] })
    const client = t.connect()
    await client.send(auth(goodToken))
    expect(await client.message()).toEqual({ hello: true })
  })
})

function own(parts: Partial<Handshake>): Handshake {
  const inner = upgateHandshake()
  return {
    name: 'own',
    receive: (frame) =>
      frame.binary
        ? { step: 'ignore' }
        : {
            step: 'credential',
            credential: { type: 'token', source: 'frame', value: JSON.parse(frame.text).auth.token },
          },
    accept: () => [],
    reject: inner.reject,
    ...parts,
  }
}

describe('a WebSocketServer without a `connection` listener', () => {
  const bearer = { authorization: `Bearer ${goodToken}` }

  // What Fastify's and Hono's own servers are: accepted sockets were open, and answered by nothing.
  it.each([
    ['/ws', {}],
    ['/ws', bearer],
    ['/strict', bearer],
    ['/feed', {}],
  ])(
    'is answered 503 before 101 on %s, with one line in the log that names the path',
    async (path, headers) => {
      const t = await start({ verify: table({ [goodToken]: device('node-1') }) })
      t.wss.removeAllListeners('connection')
      for (let i = 0; i < 3; i++) {
        const client = t.connect(headers, path)
        expect(await client.refused()).toBe(503)
      }
      expect(t.errors.filter((line) => line.startsWith('error:'))).toEqual([
        expect.stringContaining(
          `error: The WebSocketServer that owns "${path}" has no \`connection\` listener`,
        ),
      ])
      expect(t.quarantine.counts).toMatchObject({ quarantined: 0, accepted: 0, anonymous: 0 })
      // It is asked each time: a listener that comes later is heard.
      t.wss.on('connection', (ws: WebSocket) => ws.send('{"here":true}'))
      const client = t.connect(bearer, path)
      expect(await client.message()).toEqual({ here: true })
    },
  )

  it('says so through guardServer, in the answer, too', async () => {
    const lines: string[] = []
    const scheme = {
      name: 'none',
      ambient: false,
      verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: '' }) as const,
    }
    const gate = createGate({
      schemes: [scheme],
      origins: ['https://a.example'],
      logger: { warn() {}, error: (line) => void lines.push(line) },
      rules: [{ path: '/ws/:room', access: 'deferred', handshake: upgateHandshake() }],
    })
    const server = createServer()
    guardServer(server, gate, { sockets: { '/ws/:room': new WebSocketServer({ noServer: true }) } })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = new WebSocket(`ws://127.0.0.1:${port}/ws/a?token=secret`)
    client.on('error', () => {})
    const [, response] = await once(client, 'unexpected-response')
    let body = ''
    for await (const chunk of response) body += chunk
    expect(response.statusCode).toBe(503)
    expect(JSON.parse(body)).toMatchObject({
      code: 'unavailable',
      detail: 'Nothing here takes sockets on this path.',
    })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('owns "/ws/a" has no `connection` listener')
    expect(lines[0]).toContain("Add wss.on('connection', (socket, request, principal) => ...)")
    server.closeAllConnections()
    server.close()
  })
})
