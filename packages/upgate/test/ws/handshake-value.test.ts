// What a handshake says around its frames: notes about a socket, a value for the application, lines of the 101.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGate, createServices, deviceToken, memoryStore } from 'upgate'
import {
  guardServer,
  type Handshake,
  type HandshakeContext,
  type HandshakeHeader,
  jsonFrame,
  upgateHandshake,
} from 'upgate/ws'
import { afterEach, describe, expect, expectTypeOf, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { closeAll, eventually, goodToken, settled, start, wrongToken } from './harness.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await closeAll()
})

const good = upgateHandshake({ refresh: true })
const auth = (token = goodToken): object => ({ type: 'auth', token })
const bearer = { authorization: `Bearer ${goodToken}` }
const empty = { quarantined: 0, verifying: 0, refused: 0, accepted: 0, anonymous: 0 }

interface Upstream {
  readonly name: string
  readonly path: string
}

/** Counts its sockets, and gives each an upstream. */
function upstreams(parts: Partial<Handshake<{ opened: number }, Upstream>> = {}) {
  const gone: (readonly [number, string | undefined])[] = []
  let made = 0
  const handshake: Handshake<{ opened: number }, Upstream> = {
    ...good,
    state: () => ({ opened: ++made }),
    async open(context) {
      await Promise.resolve()
      context.value = { name: `upstream ${context.state.opened}`, path: context.path }
      return []
    },
    closed: ({ state, value }) => void gone.push([state.opened, value?.name]),
    ...parts,
  } as Handshake<{ opened: number }, Upstream>
  return { handshake, gone, made: () => made }
}

describe('the value of a handshake', () => {
  it('reaches `connection` as fourth argument, one for each socket, and `closed`', async () => {
    const { handshake, gone } = upstreams()
    const t = await start({ handshake: handshake as Handshake })
    const values: unknown[] = []
    t.wss.on('connection', (...[, , , value]: unknown[]) => values.push(value))
    const [a, b, refused] = [t.connect(), t.connect(), t.connect()]
    for (const client of [a, b]) await client.send(auth())
    await refused.send(auth(wrongToken))
    await eventually(() => values.length === 2 && refused.messages.length === 1)
    expect(new Set(values.map((value) => (value as Upstream).name)).size).toBe(2)
    expect((values[0] as Upstream).path).toBe('/ws')
    for (const client of [a, b, refused]) client.destroy()
    await eventually(() => gone.length === 3)
    expect(gone.map(([n, name]) => name === `upstream ${n}`)).toEqual([true, true, true])
  })

  it('is `undefined` for a socket that HTTP let in, unless `headers` made it', async () => {
    const plain = upstreams()
    const first = await start({ handshake: plain.handshake as Handshake })
    const named = upstreams({
      headers(context) {
        context.value = { name: 'early', path: context.path }
        return [['X-Upstream', 'early']]
      },
    })
    const second = await start({ handshake: named.handshake as Handshake })
    for (const [t, expected] of [
      [first, undefined],
      [second, { name: 'early', path: '/ws' }],
    ] as const) {
      const got: unknown[] = []
      t.wss.on('connection', (...[, , , value]: unknown[]) => got.push(value))
      const client = t.connect(bearer)
      await client.opened()
      await eventually(() => got.length === 1)
      expect(got).toEqual([expected])
      client.destroy()
    }
    await eventually(() => named.gone.length === 1)
    expect(plain.made()).toBe(0)
  })

  it('is the same context in a renewal, with the frame that is answered', async () => {
    const seen: unknown[] = []
    const note = (
      hook: string,
      context: HandshakeContext<{ opened: number }, Upstream>,
      said: unknown,
    ): void => void seen.push([hook, context.state.opened, context.value?.name, said])
    const { refresh } = good
    const { handshake } = upstreams({
      refresh: {
        marker: 'auth_refresh',
        receive(frame, context) {
          if (!frame.binary && frame.text.includes('nonce?')) return { step: 'send', frames: ['nonce'] }
          if (!frame.binary && frame.text.includes('nothing')) return { step: 'ignore' }
          return refresh?.receive(frame, context as never) as never
        },
        accept(_, frame, context) {
          note('accept', context, frame)
          return ['renewed']
        },
        reject(_, frame, context) {
          note('reject', context, frame)
          return ['not renewed']
        },
      },
    })
    const t = await start({ handshake: handshake as Handshake })
    const client = t.connect()
    const messages: string[] = []
    await client.send(auth())
    await client.message()
    t.connections[0]?.ws.on('message', (data) => messages.push(String(data)))
    const texts = [goodToken, wrongToken].map((token) => JSON.stringify({ type: 'auth_refresh', token }))
    await client.send('{"type":"auth_refresh nonce?"}', '{"type":"auth_refresh nothing"}', ...texts, 'data')
    await eventually(() => client.messages.length === 4 && messages.length === 1)
    expect(client.messages.slice(1)).toEqual(['nonce', 'renewed', 'not renewed'])
    expect(messages).toEqual(['data'])
    const at = (i: number) => ({ binary: false, text: texts[i] })
    expect(seen).toEqual([
      ['accept', 1, 'upstream 1', at(0)],
      ['reject', 1, 'upstream 1', at(1)],
    ])
  })

  it('renews in bytes, too; answers count as attempts, so that a socket cannot make the server talk', async () => {
    const refresh: NonNullable<Handshake['refresh']> = {
      marker: Buffer.from([0, 255]),
      receive: (frame) =>
        frame.binary && frame.bytes.length > 2
          ? {
              step: 'credential',
              credential: {
                type: 'token',
                source: 'frame',
                value: Buffer.from(frame.bytes.slice(2)).toString(),
              },
            }
          : { step: 'send', frames: [Buffer.from('nonce')] },
      accept: () => [Buffer.from('renewed')],
      reject: ({ code }) => [Buffer.from(code)],
    }
    const t = await start({ handshake: { ...good, refresh }, limits: { maxRefreshes: 3 } })
    const client = t.connect()
    await client.send(auth())
    await client.message()
    const renew = Buffer.concat([Buffer.from([0, 255]), Buffer.from(goodToken)])
    client.ws.send(renew)
    for (let i = 0; i < 4; i++) client.ws.send(Buffer.from([0, 255]))
    expect((await client.closed()).code).toBe(4429)
    expect(client.messages.slice(1)).toEqual([
      'renewed',
      'nonce',
      'nonce',
      'too_many_failures',
      'too_many_failures',
    ])
  })

  it('that cannot be made refuses its own socket alone, and is tried once', async () => {
    let tries = 0
    const { handshake } = upstreams({
      state() {
        if (++tries === 1) throw new Error('no notes')
        return { opened: tries }
      },
    })
    const t = await start({ handshake: handshake as Handshake })
    const [first, second] = [t.connect(), t.connect()]
    await second.send(auth())
    await first.opened()
    await eventually(() => t.connections.length === 1)
    expect(t.errors.join()).toContain('no notes')
    expect(tries).toBe(2)
    first.destroy()
    await settled()
    expect(tries).toBe(2)
  })
})

describe('header lines of the 101', () => {
  const withHeaders = (lines: unknown): Handshake => ({ ...good, headers: () => lines as HandshakeHeader[] })

  async function head(t: Awaited<ReturnType<typeof start>>, headers: string[] = []): Promise<string> {
    const peer = await t.raw(headers)
    await peer.upgraded()
    return peer.text.slice(0, peer.text.indexOf('\r\n\r\n'))
  }

  it('are sent to every socket of the path, those that HTTP lets in included, and to no other', async () => {
    const handshake: Handshake = {
      ...good,
      headers: (context) => [['Acp-Connection-Id', `id-${context.path}`]],
    }
    const t = await start({ handshake })
    const other = await start()
    for (const headers of [[], [`Authorization: Bearer ${goodToken}`]]) {
      expect(await head(t, headers)).toContain('\r\nAcp-Connection-Id: id-/ws')
    }
    const feed = await t.raw([], '/feed')
    await feed.upgraded()
    expect(feed.text).not.toContain('Acp-Connection-Id')
    expect(await head(other)).not.toContain('Acp-Connection-Id')
  })

  it('arrive once, also where `verifyClient` answers later, and with the lines of the application', async () => {
    const answers: (() => void)[] = []
    const verifyClient = (_: unknown, answer: (ok: boolean) => void): void => {
      answers.push(() => answer(true))
    }
    const t = await start({
      handshake: withHeaders([['X-Ours', '1']]),
      server: { verifyClient: verifyClient as never },
    })
    t.wss.on('headers', (lines: string[]) => lines.push('X-Theirs: 2'))
    const peers = [await t.raw(), await t.raw()]
    await eventually(() => answers.length === 2)
    for (const answer of answers) answer()
    for (const peer of peers) {
      await peer.upgraded()
      expect(peer.text.split('X-Ours: 1').length).toBe(2)
      expect(peer.text).toContain('X-Theirs: 2')
    }
  })

  it.each<[string, unknown, RegExp]>([
    [
      'a session cookie',
      [['Set-Cookie', '__Host-session=ugs_secret; Path=/']],
      /"Set-Cookie": the socket is not accepted/,
    ],
    ['any cookie, in any case', [['SET-cookie', 'a=b']], /not accepted yet/],
    ['Sec-WebSocket-*', [['Sec-WebSocket-Protocol', 'x']], /"Sec-WebSocket-Protocol": the WebSocket server/],
    ['Sec-WebSocket-Extensions', [['sec-websocket-extensions', 'permessage-deflate']], /WebSocket server/],
    ['Connection', [['Connection', 'close']], /belongs to the connection/],
    ['Upgrade', [['upgrade', 'h2c']], /belongs to the connection/],
    ['Transfer-Encoding', [['Transfer-Encoding', 'chunked']], /describes a body/],
    ['Content-Length', [['content-length', '5']], /describes a body/],
    [
      'a line break in a value',
      [['X-A', 'a\r\nSet-Cookie: b=c']],
      /"X-A" with a value that is no header value/,
    ],
    ['a bare line feed', [['X-A', 'a\nb']], /no header value/],
    ['NUL', [['X-A', 'a\0b']], /no header value/],
    ['a character of another script', [['X-A', 'ä']], /no header value/],
    ['a line break in a name', [['X-A: b\r\nX-B', 'a']], /no header name/],
    ['a colon in a name', [['X-A:', 'a']], /no header name/],
    ['an empty name', [['', 'a']], /no header name/],
    ['a number', [['X-A', 5]], /a list of \[name, value\], both strings/],
    ['lines as text', ['X-A: b'], /a list of \[name, value\]/],
    ['an object', { 'X-A': 'b' }, /a list of \[name, value\]/],
    ['a promise', Promise.resolve([]), /a list of \[name, value\]/],
    ['too many', Array.from({ length: 33 }, (_, i) => [`X-${i}`, 'a']), /more than 32/],
    ['too much', [['X-A', 'a'.repeat(9000)]], /more than 8192/],
  ])('never are %s: the upgrade is answered 503, and the log says why', async (_, lines, message) => {
    const closed: unknown[] = []
    const t = await start({
      handshake: { ...withHeaders(lines), closed: (context) => void closed.push(context.gone) },
    })
    for (const headers of [{}, bearer]) {
      expect(await t.connect(headers).refused()).toBe(503)
    }
    expect(t.errors.join()).toMatch(message)
    expect(t.errors.join()).not.toContain('ugs_secret')
    expect(closed).toEqual([true, true])
    expect(t.quarantine.counts).toEqual(empty)
  })

  it('that cannot be made refuse their own socket alone', async () => {
    let sockets = 0
    const t = await start({
      handshake: {
        ...good,
        headers: () => {
          if (++sockets === 1) throw new Error('a bug')
          return []
        },
      },
    })
    expect(await t.connect().refused()).toBe(503)
    const next = t.connect()
    await next.send(auth())
    expect(await next.message()).toMatchObject({ type: 'auth_ok' })
  })
})

describe('a handshake with a wrong part', () => {
  it.each<[string, object, RegExp]>([
    ['state', { state: {} }, /`handshake\.state` must be a function, or left out/],
    ['headers', { headers: [] }, /`handshake\.headers` must be a function, or left out/],
    ['refresh', { refresh: true }, /`handshake\.refresh` must be an object, or left out/],
    ['refresh.receive', { refresh: { marker: 'x' } }, /`handshake\.refresh\.receive` must be a function/],
    [
      'an empty marker',
      { refresh: { ...good.refresh, marker: '' } },
      /`handshake\.refresh\.marker` must be text or bytes, not empty/,
    ],
  ])('%s: throws at construction', (_, parts, message) => {
    const { devices } = createServices({ store: memoryStore() })
    expect(() =>
      createGate({
        origins: ['http://localhost'],
        schemes: [deviceToken({ devices })],
        rules: [
          {
            path: '/ws',
            access: 'deferred',
            kinds: ['device'],
            handshake: { ...good, ...parts } as Handshake,
          },
        ],
      }),
    ).toThrow(message)
  })
})

describe('guard.on with a handshake', () => {
  async function guarded(handshake: Handshake<{ opened: number }, Upstream>) {
    const services = createServices({ store: memoryStore() })
    const { token } = await services.devices.create({ name: 'node', role: 'node' })
    const gate = createGate({
      origins: ['http://localhost'],
      hosts: ['127.0.0.1'],
      schemes: [deviceToken({ devices: services.devices })],
      rules: [
        { path: '/ws', access: 'deferred', kinds: ['device'], handshake },
        {
          path: '/other',
          access: 'deferred',
          kinds: ['device'],
          handshake: jsonFrame({ credential: (m) => m.t }),
        },
        { path: '/plain', access: 'required', kinds: ['device'] },
      ],
    })
    const server = createServer()
    const guard = guardServer(server, gate, {
      sockets: {
        '/ws': new WebSocketServer({ noServer: true }),
        '/other': new WebSocketServer({ noServer: true }),
        '/plain': new WebSocketServer({ noServer: true }),
      },
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    closing.push(async () => {
      await guard.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      gate.close()
    })
    return { guard, token, port: (server.address() as AddressInfo).port }
  }

  it('hands the value over with its type', async () => {
    const { handshake } = upstreams()
    const { guard, token, port } = await guarded(handshake)
    const got: unknown[] = []
    guard.on('/ws', handshake, (socket, _request, principal, upstream) => {
      expectTypeOf(upstream).toEqualTypeOf<Upstream | undefined>()
      expectTypeOf(socket).toEqualTypeOf<WebSocket>()
      got.push(upstream?.name)
      socket.send(`${principal.kind} ${upstream?.name}`)
    })
    guard.on('/ws', (_socket, _request, _principal, value) => {
      expectTypeOf(value).toEqualTypeOf<unknown>()
      got.push(value)
    })
    const client = new WebSocket(`ws://127.0.0.1:${port}/ws`)
    closing.push(() => client.terminate())
    client.on('open', () => client.send(JSON.stringify(auth(token))))
    const said: string[] = []
    client.on('message', (data) => said.push(String(data)))
    await eventually(() => said.length === 2)
    expect(said[1]).toBe('device upstream 1')
    expect(got).toEqual(['upstream 1', { name: 'upstream 1', path: '/ws' }])
  })

  it('throws for another handshake than the rule has, for a path without one, and without a listener', async () => {
    const { handshake } = upstreams()
    const { guard } = await guarded(handshake)
    const on = guard.on as (...values: unknown[]) => unknown
    expect(() => on('/other', handshake, () => {})).toThrow(
      'guard.on("/other"): a rule for this path has another handshake, "json"',
    )
    expect(() => on('/ws', { ...handshake }, () => {})).toThrow('has another handshake, "upgate"')
    expect(() => on('/plain', handshake, () => {})).toThrow('no deferred rule for this path has a handshake')
    expect(() => on('/ws', handshake)).toThrow('the second argument must be a function')
    expect(() => on('/ws', handshake, 'x')).toThrow('the third argument must be a function')
  })
})
