import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  apiKey,
  createGate,
  createServices,
  deviceToken,
  memoryStore,
  sessionCookie,
  type Verification,
} from 'upgate'
import { connectFrame, guardServer, type Handshake, jsonFrame, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import {
  Client,
  closeAll,
  deferredPromise,
  device,
  eventually,
  frame,
  goodToken,
  type Harness,
  type Options,
  origin,
  type RawPeer,
  settled,
  start,
  table,
  text,
  type Verify,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

const second = 'second-token-of-node-1-0123456789'
const others = 'token-of-node-2-0123456789abcdef'
const known = table({
  [goodToken]: device('node-1'),
  [second]: device('node-1', { credentialId: 'second', scopes: [] }),
  [others]: device('node-2'),
})
const header = { authorization: `Bearer ${goodToken}` }

type Heard = (string | Buffer)[]

interface Stage extends Harness {
  readonly heard: Heard
  /** A socket that its header let in at the 101. */
  in(headers?: Record<string, string>): Promise<Client>
  /** The same, with frames written in one packet, or record of TLS, behind the 101. */
  rawIn(...frames: Buffer[]): Promise<RawPeer>
}

async function stage(options: Options = {}): Promise<Stage> {
  const t = await start({ verify: known, handshake: upgateHandshake(), ...options })
  const heard: Heard = []
  t.wss.on('connection', (ws) => {
    ws.on('message', (data, isBinary) => heard.push(isBinary ? (data as Buffer) : String(data)))
  })
  return Object.assign(t, {
    heard,
    async in(headers: Record<string, string> = {}) {
      const client = t.connect({ ...header, ...headers })
      await client.opened()
      await eventually(() => t.connections.length > 0)
      return client
    },
    async rawIn(...frames: Buffer[]) {
      const peer = await t.raw([`Authorization: Bearer ${goodToken}`])
      await peer.upgraded()
      peer.write(...frames)
      return peer
    },
  })
}

const at = (token: string, more: object = {}): object => ({ type: 'auth', token, ...more })

/** Verifies the header at once, and what comes in band when it is told to. */
function slowly(): { verify: Verify; asked: string[]; answer(with_: Verification): void } {
  const asked: string[] = []
  let resolve: (answer: Verification) => void = () => {}
  return {
    asked,
    verify(value) {
      if (value === goodToken) return known(value)
      asked.push(value)
      const promise = deferredPromise<Verification>()
      resolve = promise.resolve
      return promise.promise
    },
    answer: (answer) => resolve(answer),
  }
}

// A cookie or a header satisfied the rule at the 101, and the client began with its `auth` frame all the same: the
// application was handed the token as data.
describe('the first frame of a socket that HTTP let in', () => {
  it('is consumed where it is a credential of the same principal, and answered as usual', async () => {
    const t = await stage()
    const client = await t.in()
    await client.send(at(second), 'data')
    expect(await client.message()).toEqual({
      type: 'auth_ok',
      principal: { kind: 'device', id: 'node-1' },
      scopes: ['node.run'],
      roles: ['node'],
    })
    await eventually(() => t.heard.length > 0)
    expect(t.heard).toEqual(['data'])
    expect(client.ws.readyState).toBe(1)
    // The application was told of the credential of the header, and goes by it.
    const [connection] = t.connections
    expect(t.gate.principalOf(connection?.request as object)).toMatchObject({ scopes: ['node.run'] })
    t.revoke({ credentialId: 'second' })
    await settled()
    expect(client.ws.readyState).toBe(1)
  })

  it('is consumed once: a later one is data', async () => {
    const t = await stage()
    const client = await t.in()
    await client.send(at(second), at(others), at(wrongToken))
    await eventually(() => t.heard.length === 2)
    expect(t.heard.map((each) => JSON.parse(String(each)).token)).toEqual([others, wrongToken])
    expect(await client.message()).toMatchObject({ type: 'auth_ok' })
    expect(client.messages).toHaveLength(1)
    expect(client.ws.readyState).toBe(1)
  })

  it('is data where it is none, and so is a credential after it', async () => {
    const t = await stage()
    const client = await t.in()
    const bytes = Buffer.from([0, 255, 1])
    await client.send('hello', at(wrongToken), bytes, '{"type":"auth_refresh"}')
    await eventually(() => t.heard.length === 4)
    expect(t.heard).toEqual(['hello', JSON.stringify(at(wrongToken)), bytes, '{"type":"auth_refresh"}'])
    expect(client.messages).toEqual([])
  })

  it.each<[string, object | string | Buffer]>([
    ['binary', Buffer.from(JSON.stringify(at(wrongToken)))],
    ['longer than the quarantine reads', at(wrongToken, { padding: 'x'.repeat(65_536) })],
    ['no JSON', '{"type":"auth","token":'],
    ['a list', [at(wrongToken)]],
    ['of another type', { type: 'authenticate', token: wrongToken }],
  ])('is data where it is %s', async (_, first) => {
    const t = await stage()
    const client = await t.in()
    await client.send(first, 'more')
    await eventually(() => t.heard.length === 2)
    expect(t.heard[1]).toBe('more')
    expect(client.ws.readyState).toBe(1)
  })

  it('closes with 4401 where it does not count, is held, and is never ignored', async () => {
    const t = await stage()
    const client = await t.in({ 'x-forwarded-for': '192.0.2.1' })
    await client.send(at(wrongToken), 'data')
    expect(await client.message()).toMatchObject({ type: 'auth_error', code: 'invalid_credential' })
    await settled()
    expect(client.ws.readyState).toBe(1)
    t.clock.advance(1_500)
    expect(await client.closed()).toEqual({ code: 4401, reason: 'invalid_credential' })
    expect(t.heard).toEqual([])
    expect(t.events.find(({ type }) => type === 'socket_refused')).toMatchObject({
      code: 'invalid_credential',
      closeCode: 4401,
      place: { path: '/ws', clientAddress: '192.0.2.1' },
    })
    expect(JSON.stringify(t.events)).not.toContain(wrongToken)
    await eventually(() => t.quarantine.counts.accepted === 0)
  })

  it.each<[string, object, number, string]>([
    ['no credential', { type: 'auth' }, 4401, 'auth_required'],
    ['a number for a token', { type: 'auth', token: 7 }, 4400, 'bad_handshake'],
    ['two credentials', { type: 'auth', token: 'a', password: 'b' }, 4400, 'multiple_credentials'],
  ])('is refused like any other where it holds %s', async (_, first, code, reason) => {
    const t = await stage({ limits: { hold: 0 } })
    const client = await t.in()
    await client.send(first, 'data')
    expect(await client.message()).toMatchObject({ type: 'auth_error', code: reason })
    expect(await client.closed()).toEqual({ code, reason })
    expect(t.heard).toEqual([])
  })

  it('is refused with 4403 where it proves another principal', async () => {
    const t = await stage({ limits: { hold: 0 } })
    const client = await t.in()
    await client.send(at(others), 'data')
    expect(await client.message()).toMatchObject({ type: 'auth_error', code: 'principal_mismatch' })
    expect(await client.closed()).toEqual({ code: 4403, reason: 'principal_mismatch' })
    expect(t.heard).toEqual([])
  })

  it('leaves the renewal of credentials as it is, whether it was data or a credential', async () => {
    const t = await stage({ handshake: upgateHandshake({ refresh: true }) })
    for (const first of ['data', at(second)]) {
      const client = await t.in()
      await client.send(first, { type: 'auth_refresh', token: goodToken }, 'more')
      const answers = typeof first === 'string' ? ['auth_refreshed'] : ['auth_ok', 'auth_refreshed']
      for (const [n, type] of answers.entries()) expect(await client.message(n)).toMatchObject({ type })
    }
    await eventually(() => t.heard.length === 3)
    expect(t.heard).toEqual(['data', 'more', 'more'])
  })

  it('is not asked for: a socket that says nothing stays', async () => {
    const t = await stage()
    const client = await t.in()
    t.clock.advance(60_000)
    await settled()
    expect(client.ws.readyState).toBe(1)
    await client.send(at(second))
    expect(await client.message()).toMatchObject({ type: 'auth_ok' })
  })

  it('is data on a path that is not deferred', async () => {
    const t = await stage()
    const client = t.connect(header, '/strict')
    await client.send(at(wrongToken))
    await eventually(() => t.heard.length === 1)
    expect(client.messages).toEqual([])
  })

  it('is data where a protocol of the application does not say which frames are its credentials', async () => {
    const { claims: _, ...handshake } = upgateHandshake()
    const t = await stage({ handshake })
    const client = await t.in()
    await client.send(at(wrongToken))
    await eventually(() => t.heard.length === 1)
  })
})

describe('in the words of other protocols', () => {
  const connect = (token: string) => ({
    type: 'req',
    id: '1',
    method: 'connect',
    params: { auth: { token } },
  })

  it('jsonFrame: any object with a credential in its place', async () => {
    const handshake = jsonFrame({ credential: (m) => m.params?.token })
    const t = await stage({ handshake, limits: { hold: 0 } })
    const client = await t.in()
    await client.send({ params: { token: second } }, { params: { token: second } })
    expect(await client.message()).toMatchObject({ type: 'auth_ok' })
    await eventually(() => t.heard.length === 1)
    const throwing = await t.in()
    await throwing.send({ method: 'list' }, { params: { token: '' } })
    await eventually(() => t.heard.length === 3)
    const wrong = await t.in()
    await wrong.send({ params: { token: 7 } })
    expect(await wrong.closed()).toEqual({ code: 4400, reason: 'bad_handshake' })
    expect(t.heard).toHaveLength(3)
  })

  it('connectFrame: the request `connect`, answered with the same id', async () => {
    const t = await stage({ handshake: connectFrame(), limits: { hold: 0 } })
    const client = await t.in()
    await client.send(connect(second), { type: 'req', id: '2', method: 'list' })
    expect(await client.message()).toMatchObject({
      type: 'res',
      id: '1',
      ok: true,
      payload: { type: 'hello-ok' },
    })
    await eventually(() => t.heard.length === 1)
    const wrong = await t.in()
    await wrong.send(connect(wrongToken))
    expect(await wrong.message()).toMatchObject({ id: '1', ok: false })
    expect(await wrong.closed()).toEqual({ code: 1008, reason: 'invalid_credential' })
    const other = await t.in()
    await other.send({ type: 'req', id: '3', method: 'list' }, connect(wrongToken))
    await eventually(() => t.heard.length === 3)
  })

  it('connectFrame: a frame that the application insists on is handed on, once and first', async () => {
    const t = await stage({ handshake: connectFrame({ replay: true }) })
    const client = await t.in()
    await client.send(connect(second), 'data')
    await eventually(() => t.heard.length === 2)
    expect(t.heard).toEqual([JSON.stringify(connect(second)), 'data'])
    expect(client.messages).toEqual([])
  })

  it('a protocol that challenges first gets the answer to its challenge', async () => {
    const own = upgateHandshake()
    const handshake: Handshake = {
      ...own,
      claims: (received) => !received.binary && received.text === 'hello',
      receive: (received, context) =>
        !received.binary && received.text === 'hello'
          ? { step: 'send', frames: ['{"nonce":1}'] }
          : own.receive(received, context),
    }
    const t = await stage({ handshake, limits: { hold: 0 } })
    const client = await t.in()
    await client.send('hello')
    expect(await client.message()).toEqual({ nonce: 1 })
    await client.send(at(second), 'data')
    expect(await client.message(1)).toMatchObject({ type: 'auth_ok' })
    await eventually(() => t.heard.length === 1)
    const other = await t.in()
    await other.send('hello', 'no answer')
    expect(await other.closed()).toEqual({ code: 4400, reason: 'bad_handshake' })
    expect(t.heard).toEqual(['data'])
  })

  it('a handshake that throws is logged, and the frame refused', async () => {
    const own = upgateHandshake()
    const handshake: Handshake = {
      ...own,
      receive() {
        throw new Error('a bug')
      },
    }
    const t = await stage({ handshake, limits: { hold: 0 } })
    const client = await t.in()
    await client.send(at(second))
    expect(await client.closed()).toEqual({ code: 4400, reason: 'bad_handshake' })
    expect(t.errors.join()).toContain('A handshake threw.')
  })
})

describe('while it is verified', () => {
  it('nothing is lost or overtakes another: text, binary, fragments, pipelined and later', async () => {
    const { verify, asked, answer } = slowly()
    const t = await stage({ verify })
    const peer = await t.raw([`Authorization: Bearer ${goodToken}`])
    await peer.upgraded()
    peer.write(
      text(at(second)),
      text('one'),
      frame(2, Buffer.from([1, 2, 3])),
      frame(1, 'tw', false),
      frame(9, 'ping'),
      frame(0, 'o'),
      frame(1, 'thr', false),
    )
    await eventually(() => asked.length === 1)
    peer.write(frame(0, 'ee'), text('four'))
    await settled()
    expect(t.heard).toEqual([])
    answer(await known(second))
    await eventually(() => t.heard.length === 5)
    expect(t.heard).toEqual(['one', Buffer.from([1, 2, 3]), 'two', 'three', 'four'])
    peer.write(text('five'))
    await eventually(() => t.heard.length === 6)
  })

  it('is the first frame also in fragments, and right behind the upgrade', async () => {
    const t = await stage()
    const peer = await t.raw([`Authorization: Bearer ${goodToken}`])
    const whole = JSON.stringify(at(second))
    peer.write(frame(1, whole.slice(0, 9), false), frame(0, whole.slice(9)), text('data'))
    await eventually(() => t.heard.length === 1)
    expect(t.heard).toEqual(['data'])
    await peer.until(({ text: received }) => received.includes('auth_ok'))
  })

  it('more than a socket may queue is 4429', async () => {
    const { verify, asked } = slowly()
    const t = await stage({ verify, limits: { hold: 0, maxQueuedMessages: 2 } })
    const peer = await t.rawIn(text(at(second)), text('a'), text('b'), text('c'))
    await eventually(() => asked.length === 1)
    const close = Buffer.concat([Buffer.from([4429 >> 8, 4429 & 255]), Buffer.from('too_many_frames')])
    await peer.until(({ received }) => received.includes(close))
    expect(t.heard).toEqual([])
  })

  it('takes too long, or does not get its turn: 1013, which says nothing about the credential', async () => {
    const { verify, asked } = slowly()
    const t = await stage({ verify, limits: { hold: 0, maxVerifying: 1, verifyTimeout: 20_000 } })
    const first = await t.in()
    await first.send(at(second))
    await eventually(() => asked.length === 1)
    const next = await t.in()
    await next.send(at(second))
    await settled()
    t.clock.advance(10_000)
    expect(await next.closed()).toEqual({ code: 1013, reason: 'unavailable' })
    expect(await first.closed()).toEqual({ code: 1013, reason: 'unavailable' })
    expect(asked).toHaveLength(1)
  })

  it('a revocation wins, of the one as of the other', async () => {
    const { verify, asked, answer } = slowly()
    const t = await stage({ verify, limits: { hold: 0 } })
    const client = await t.in()
    await client.send(at(second))
    await eventually(() => asked.length === 1)
    t.revoke({ credentialId: 'second' })
    answer(await known(second))
    // The gate asks again after a revocation; whatever the answer, that one came in between.
    await eventually(() => asked.length === 2)
    answer(await known(second))
    expect(await client.closed()).toEqual({ code: 4401, reason: 'revoked_credential' })
    const other = await t.in()
    await other.send(at(second), 'data')
    await eventually(() => asked.length === 3)
    t.revoke({ credentialId: 'node-1-credential' })
    expect(await other.closed()).toEqual({ code: 4403, reason: 'revoked' })
    answer(await known(second))
    await settled()
    expect(other.messages).toEqual([])
    expect(t.heard).toEqual([])
  })

  it('an application that paused its socket keeps it paused', async () => {
    const { verify, asked, answer } = slowly()
    const t = await stage({ verify })
    t.wss.on('connection', (ws) => {
      const pause = ws.pause.bind(ws)
      ws.once('ping', () => pause())
    })
    const peer = await t.raw([`Authorization: Bearer ${goodToken}`])
    await peer.upgraded()
    peer.write(frame(9, ''), text(at(second)), text('one'))
    await eventually(() => asked.length === 1)
    answer(await known(second))
    await eventually(() => t.heard.length === 1)
    peer.write(text('two'))
    await settled()
    expect(t.heard).toEqual(['one'])
    t.connections[0]?.ws.resume()
    await eventually(() => t.heard.length === 2)
  })

  it('waits for an application that does not listen yet', async () => {
    const { verify, asked, answer } = slowly()
    const t = await start({ verify, handshake: upgateHandshake({ refresh: true }) })
    const client = t.connect(header)
    await client.send(at(second), 'one')
    await eventually(() => asked.length === 1)
    answer(await known(second))
    await client.message()
    const heard: string[] = []
    t.connections[0]?.ws.on('message', (data) => heard.push(String(data)))
    await eventually(() => heard.length === 1)
    // Renewing goes on as it would have.
    await client.send({ type: 'auth_refresh', token: goodToken }, 'two')
    expect(await client.message(1)).toMatchObject({ type: 'auth_refreshed' })
    await eventually(() => heard.length === 2)
    expect(heard).toEqual(['one', 'two'])
  })

  it('may go: nothing is left of a socket that left', async () => {
    const { verify, asked, answer } = slowly()
    const t = await stage({ verify })
    // In one packet: frames behind it wait unread, and with them the end, as in `ws`.
    const peer = await t.rawIn(text(at(second)), text('data'))
    await eventually(() => asked.length === 1)
    peer.destroy()
    await settled()
    answer(await known(second))
    await eventually(() => t.quarantine.counts.accepted === 0)
    expect(t.heard).toEqual([])
  })
})

describe('bounds', () => {
  it('guesses count for the address, and beyond ten a minute none is verified', async () => {
    const asked: string[] = []
    const t = await stage({
      limits: { hold: 0 },
      verify: (value) => {
        asked.push(value)
        return known(value)
      },
    })
    const from = { 'x-forwarded-for': '192.0.2.1' }
    const guess = async (value: string): Promise<number> => {
      const client = await t.in(from)
      await client.send(at(value))
      return (await client.closed()).code
    }
    for (let n = 0; n < 10; n++) expect(await guess(`guess${n}`)).toBe(4401)
    const before = asked.length
    expect(await guess('guess10')).toBe(4429)
    expect(asked.slice(before)).toEqual([goodToken])
    // A cookie of the same address is no guess, and neither is a token.
    const client = await t.in(from)
    await client.send(at(second))
    expect(await client.message()).toMatchObject({ type: 'auth_ok' })
    // The same count as that of the quarantine.
    expect(await t.connect(from).refused()).toBe(429)
  })

  it('holds no more sockets than the quarantine would', async () => {
    const t = await stage({ limits: { maxHeld: 1 } })
    const first = await t.in()
    await first.send(at(wrongToken))
    await first.message()
    const second = await t.in()
    await second.send(at(wrongToken))
    expect(await second.closed()).toEqual({ code: 4401, reason: 'invalid_credential' })
    expect(first.ws.readyState).toBe(1)
    const waiting = t.connect()
    await waiting.send(at(wrongToken))
    expect(await waiting.closed()).toMatchObject({ code: 4401 })
    first.ws.terminate()
    t.clock.advance(1_500)
    t.clock.advance(1_000)
    await eventually(() => t.quarantine.counts.accepted === 0)
    const third = await t.in()
    await third.send(at(wrongToken))
    await third.message()
    await settled()
    expect(third.ws.readyState).toBe(1)
  })
})

// The way of browsers: a session cookie satisfies the rule, and the page sends its token as well.
it('is consumed behind a session cookie, through guardServer', async () => {
  const services = createServices({ store: memoryStore() })
  const made = await services.accounts.create({ email: 'ada@example.com' })
  if (made.outcome !== 'done') throw new Error(made.reason)
  const session = await services.sessions.create(made.account.id)
  const own = await services.keys.create({ name: 'of the page', accountId: made.account.id })
  const { token: foreign } = await services.devices.create({ name: 'kitchen' })
  const cookies = sessionCookie({ sessions: services.sessions, secure: false })
  const gate = createGate({
    origins: [origin],
    schemes: [cookies, apiKey({ keys: services.keys }), deviceToken({ devices: services.devices })],
    rules: [{ path: '/ws', access: 'deferred', kinds: ['user', 'device'], handshake: upgateHandshake() }],
  })
  const server = createServer()
  const wss = new WebSocketServer({ noServer: true })
  const heard: string[] = []
  wss.on('connection', (ws) => ws.on('message', (data) => heard.push(String(data))))
  const guarded = guardServer(server, gate, { sockets: { '/ws': wss }, hold: 0 })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const cookie = String(cookies.setCookie(session as NonNullable<typeof session>)).split(';')[0] as string
  const connect = () => new Client(port, '/ws', { origin, cookie }, [], false)
  try {
    const client = connect()
    await client.send(at(own.token), 'data')
    expect(await client.message()).toMatchObject({ type: 'auth_ok', principal: { kind: 'user' } })
    await eventually(() => heard.length === 1)
    const other = connect()
    await other.send(at(foreign), 'data')
    expect(await other.closed()).toEqual({ code: 4403, reason: 'principal_mismatch' })
    const wrong = connect()
    await wrong.send(at('ugd_wrong'), 'data')
    expect(await wrong.closed()).toEqual({ code: 4401, reason: 'invalid_credential' })
    expect(heard).toEqual(['data'])
    client.destroy()
  } finally {
    await guarded.close()
    gate.close()
    await services.close()
    server.close()
  }
})
