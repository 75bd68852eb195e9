/* JSON-RPC clients wait for an answer with their id, Phoenix sends lists, and other servers speak first. */
import { type Handshake, jsonFrame } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, eventually, goodToken, settled, start, wrongToken } from './harness.ts'

afterEach(closeAll)

interface Request {
  readonly id?: number | string
  readonly method?: string
  readonly params?: { readonly token?: string }
}

const rpc = (replay = false): Handshake =>
  jsonFrame<Request>({
    credential: ({ params }) => params?.token,
    ignore: ({ method }) => method === 'ping',
    accept: (_, { id }) => ({ jsonrpc: '2.0', id, result: true }),
    reject: ({ code }, request) => ({
      frame: { jsonrpc: '2.0', id: request?.id ?? null, error: { code: -32001, message: code } },
    }),
    replay,
  })

describe('answers of jsonFrame', () => {
  it('see the message that they answer, and repeat its id', async () => {
    const t = await start({ handshake: rpc() })
    const [right, wrong, strange, silent] = [t.connect(), t.connect(), t.connect(), t.connect()]
    await silent.opened()
    await right.send({ id: 'a', method: 'ping' }, { id: 7, params: { token: goodToken } })
    await wrong.send({ id: 'b', params: { token: wrongToken } })
    await strange.send('{"id":8')
    expect(await right.message()).toEqual({ jsonrpc: '2.0', id: 7, result: true })
    expect(await wrong.message()).toMatchObject({ id: 'b', error: { message: 'invalid_credential' } })
    expect(await strange.message()).toMatchObject({ id: null, error: { message: 'bad_handshake' } })
    t.clock.advance(10_001)
    expect(await silent.message()).toMatchObject({ id: null, error: { message: 'handshake_timeout' } })
    expect(right.messages.length).toBe(1)
  })

  it('to a message that was answered already have no message: later refusals are about none', async () => {
    const t = await start({ handshake: rpc(), limits: { maxAttempts: 2 } })
    const client = t.connect()
    await client.send({ id: 1, params: { token: wrongToken } }, { id: 2, method: 'ping' })
    await eventually(() => client.messages.length === 1)
    await settled()
    t.clock.advance(10_001)
    expect(await client.message()).toMatchObject({ id: 1 })
    expect(await client.message(1)).toMatchObject({ id: null, error: { message: 'handshake_timeout' } })
  })

  it('to a credential whose verification is late repeat its id as well', async () => {
    const t = await start({ handshake: rpc(), verify: () => new Promise(() => {}) })
    const client = t.connect()
    await client.send({ id: 'late', params: { token: goodToken } })
    await eventually(() => t.quarantine.counts.verifying === 1)
    t.clock.advance(5_001)
    expect(await client.message()).toMatchObject({ id: 'late', error: { message: 'unavailable' } })
  })

  it('in a refused exception keep the message out of the log', async () => {
    const t = await start({
      handshake: jsonFrame<Request & { secret: string }>({
        credential: ({ params }) => params?.token,
        accept: (_, message) => {
          throw new Error(`cannot answer ${JSON.stringify(message)}`)
        },
      }),
    })
    const client = t.connect()
    await client.send({ id: 1, secret: 'another-secret-0123456789', params: { token: goodToken } })
    await eventually(() => t.logged.length > 0)
    expect(t.logged.join()).toContain('cannot answer')
    expect(t.logged.join()).not.toMatch(/another-secret|node-token/)
    expect(t.connections).toEqual([])
  })
})

describe('any JSON', () => {
  type Phoenix = readonly [string | null, string, string, string, { readonly token?: string }]
  const phoenix = jsonFrame<Phoenix>({
    credential: ([, , , event, payload]) => (event === 'phx_join' ? (payload.token ?? null) : null),
    ignore: ([, , topic, event]) => topic === 'phoenix' && event === 'heartbeat',
    accept: (_, [join, ref, topic]) => [join, ref, topic, 'phx_reply', { status: 'ok', response: {} }],
    reject: ({ code }, message) => ({
      frame: [message?.[0] ?? null, message?.[1] ?? null, 'phoenix', 'phx_error', { reason: code }],
    }),
  })

  it('can be the message and the answer: a list, after heartbeats', async () => {
    const t = await start({ handshake: phoenix })
    const [right, missing] = [t.connect(), t.connect()]
    await right.send(
      '[null,"1","phoenix","heartbeat",{}]',
      `["2","2","room","phx_join",{"token":"${goodToken}"}]`,
    )
    await missing.send('["3","4","room","phx_join",{}]')
    expect(await right.message()).toEqual(['2', '2', 'room', 'phx_reply', { status: 'ok', response: {} }])
    expect(await missing.message()).toEqual(['3', '4', 'phoenix', 'phx_error', { reason: 'auth_required' }])
  })

  it.each(['"text"', '5', 'true', 'null', '[]', '{}', '[[[[[[]]]]]]', '{"length":5}'])(
    '%s of another protocol is refused, and nothing throws',
    async (message) => {
      const t = await start({ handshake: phoenix })
      const client = t.connect()
      await client.send(message)
      expect(JSON.stringify(await client.message())).toMatch(/bad_handshake|auth_required/)
      expect(t.errors.filter((line) => line.startsWith('error'))).toEqual([])
    },
  )

  it('can be a token alone', async () => {
    const t = await start({ handshake: jsonFrame<string>({ credential: (token) => token, accept: () => 0 }) })
    const client = t.connect()
    await client.send(JSON.stringify(goodToken))
    expect(await client.message()).toBe(0)
  })
})

describe('the opening of jsonFrame', () => {
  it.each<[string, (context: { state: unknown }) => unknown]>([
    ['at once', () => ({ type: 'auth_required' })],
    ['later', async () => ({ type: 'auth_required' })],
  ])('is sent %s, as JSON', async (_, open) => {
    const t = await start({ handshake: jsonFrame<{ t: string }>({ credential: ({ t }) => t, open }) })
    const client = t.connect()
    expect(await client.message()).toEqual({ type: 'auth_required' })
    await client.send({ t: goodToken })
    expect(await client.message(1)).toMatchObject({ type: 'auth_ok' })
  })

  it('may keep a nonce for the credential, and a value for the application', async () => {
    const handshake = jsonFrame<{ nonce: string; token: string }, string, { readonly nonce: string }>({
      open(context) {
        context.state = context.randomId(8)
        context.value = { nonce: context.state }
        return { nonce: context.state }
      },
      credential: ({ nonce, token }, { state }) => (nonce === state ? token : undefined),
    })
    const t = await start({ handshake: handshake as Handshake })
    const [right, wrong] = [t.connect(), t.connect()]
    const { nonce } = (await right.message()) as { nonce: string }
    await right.send({ nonce, token: goodToken })
    await wrong.message()
    await wrong.send({ nonce, token: goodToken })
    expect(await right.message(1)).toMatchObject({ type: 'auth_ok' })
    expect(await wrong.message(1)).toMatchObject({ code: 'auth_required' })
  })

  it.each<[string, () => unknown, string]>([
    [
      'that throws',
      () => {
        throw new Error('a bug')
      },
      'a bug',
    ],
    ['that rejects', () => Promise.reject(new Error('a bug')), 'a bug'],
    ['that is no JSON', () => () => {}, '`open` must return what is sent as JSON, not a function'],
    ['that is later no JSON', async () => Symbol('x'), '`open` must return what is sent as JSON'],
  ])('%s refuses its own socket alone', async (_, open, message) => {
    let sockets = 0
    const t = await start({
      handshake: jsonFrame<{ t: string }>({
        credential: ({ t }) => t,
        open: () => (++sockets === 1 ? open() : undefined),
      }),
    })
    const first = t.connect()
    expect(await first.message()).toMatchObject({ code: 'unavailable' })
    const next = t.connect()
    await next.send({ t: goodToken })
    expect(await next.message()).toMatchObject({ type: 'auth_ok' })
    expect(t.errors.join()).toContain(message)
  })
})

it('`ignore` that throws ignores nothing; one that answers late or wrongly is named', async () => {
  const throwing = jsonFrame<{ t?: string; a?: { b: boolean } }>({
    credential: ({ t }) => t,
    ignore: ({ a }) => (a as { b: boolean }).b,
  })
  const t = await start({ handshake: throwing })
  const client = t.connect()
  await client.send({ a: { b: true } }, { t: goodToken })
  expect(await client.message()).toMatchObject({ type: 'auth_ok' })
  for (const answer of [async () => true, () => 1 as never]) {
    const late = await start({
      handshake: jsonFrame<{ t: string }>({ credential: ({ t }) => t, ignore: answer as never }),
    })
    await late.connect().send({ t: goodToken })
    await eventually(() => late.errors.join().includes('jsonFrame: `ignore` must return true or false'))
  }
})
