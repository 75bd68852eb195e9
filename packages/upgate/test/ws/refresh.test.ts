import type { Principal, Verification } from 'upgate'
import { jsonFrame, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type Client,
  closeAll,
  deferredPromise,
  device,
  eventually,
  goodToken,
  type Harness,
  type Options,
  settled,
  start,
  table,
  type Verify,
} from './harness.ts'

afterEach(closeAll)

const at = (token: string): object => ({ type: 'auth', token })
const again = (token: string, more: object = {}): object => ({ type: 'auth_refresh', token, ...more })
/** Not short enough to count as guessed. */
const long = (name: string): string => `${name}-token-0123456789abcdef`
const hour = 3_600_000

interface Stage extends Harness {
  readonly client: Client
  /** What the application's `message` listener was given. */
  readonly heard: string[]
  readonly refreshed: (readonly [Principal, Principal])[]
  /** Frames after `auth_ok`. */
  answer(index?: number): Promise<Record<string, unknown>>
}

/** One accepted socket of `node-1`; its first credential expires in an hour. */
async function accepted(
  principals: Record<string, Partial<Principal> & { id?: string }> = {},
  options: Options & { readonly listens?: boolean; readonly verifyMore?: Verify } = {},
): Promise<Stage> {
  let clockNow = (): number => 0
  const known = table({
    ...Object.fromEntries(
      Object.entries(principals).map(([token, { id = 'node-1', ...extra }]) => [
        long(token),
        device(id, extra),
      ]),
    ),
  })
  const first: Verify = (value) =>
    value === goodToken
      ? { outcome: 'authenticated', principal: device('node-1', { expiresAt: clockNow() + hour }) }
      : (options.verifyMore?.(value) ?? known(value))
  const t = await start({ verify: first, handshake: upgateHandshake({ refresh: true }), ...options })
  clockNow = () => t.clock.now()
  const heard: string[] = []
  const refreshed: (readonly [Principal, Principal])[] = []
  t.wss.on('connection', (ws) => {
    ws.on('message', (data) => heard.push(String(data)))
    if (options.listens !== false) ws.on('refreshed', (now, before) => refreshed.push([now, before]))
  })
  const client = t.connect()
  await client.send(at(goodToken))
  expect(await client.message()).toMatchObject({ type: 'auth_ok' })
  return Object.assign(t, {
    client,
    heard,
    refreshed,
    answer: (index = 0) => client.message(index + 1),
  })
}

describe('a newer credential of an accepted socket', () => {
  it('counts instead of the old one, in the answer and for the application', async () => {
    const t = await accepted({ newer: { credentialId: 'k2' } })
    await t.client.send(again(long('newer')))
    expect(await t.answer()).toEqual({
      type: 'auth_refreshed',
      principal: { kind: 'device', id: 'node-1' },
      scopes: ['node.run'],
      roles: ['node'],
    })
    expect(t.refreshed.map((pair) => pair.map(({ credentialId }) => credentialId))).toEqual([
      ['k2', 'node-1-credential'],
    ])
    const { request } = t.connections[0] as Harness['connections'][0]
    expect(t.gate.principalOf(request)).toMatchObject({ credentialId: 'k2' })
    expect(t.events.at(-1)).toMatchObject({ type: 'socket_refreshed', principal: { credentialId: 'k2' } })
    // Not heard by the application, which goes on as if nothing were.
    await t.client.send('hello')
    await eventually(() => t.heard.length > 0)
    expect(t.heard).toEqual(['hello'])
    expect(t.gate.connections.size).toBe(1)
  })

  it('moves the expiry: the socket outlives the old credential and ends with the new one', async () => {
    const u: Stage = await accepted(
      {},
      {
        verifyMore: () => ({
          outcome: 'authenticated',
          principal: device('node-1', { expiresAt: u.clock.now() + 2 * hour }),
        }),
      },
    )
    await u.client.send(again(long('newer')))
    expect(await u.answer()).toMatchObject({ type: 'auth_refreshed' })
    u.clock.advance(hour + 1)
    await settled()
    expect(u.client.ws.readyState).toBe(1)
    u.clock.advance(hour)
    expect(await u.client.closed()).toEqual({ code: 4401, reason: 'auth_expired' })
  })

  it('is what revocation acts on from then on, and the old one is not', async () => {
    const t = await accepted({ newer: { credentialId: 'k2', sessionId: 's2' } })
    await t.client.send(again(long('newer')))
    await t.answer()
    t.revoke({ credentialId: 'node-1-credential' })
    await settled()
    expect(t.client.ws.readyState).toBe(1)
    expect(t.gate.connections.size).toBe(1)
    t.revoke({ sessionId: 's2' })
    expect(await t.client.closed()).toEqual({ code: 4403, reason: 'revoked' })
    expect(t.gate.connections.size).toBe(0)
  })

  it('may come again and again, and may be asked for right behind the first one', async () => {
    const t = await accepted({ newer: {}, newest: {} })
    const client = t.connect()
    await client.send(at(goodToken), again(long('newer')), 'application data', again(long('newest')))
    const types: unknown[] = []
    for (let i = 0; i < 3; i++) types.push((await client.message(i)).type)
    expect(types).toEqual(['auth_ok', 'auth_refreshed', 'auth_refreshed'])
    expect(t.heard).toEqual(['application data'])
  })

  it('is not application data where the application listened late', async () => {
    const known = table({ [goodToken]: device('node-1'), [long('newer')]: device('node-1') })
    const t = await start({
      // Asynchronous: messages that arrive during the verification are queued.
      verify: async (value) => known(value),
      handshake: upgateHandshake({ refresh: true }),
    })
    const client = t.connect()
    await client.send(at(goodToken), 'one', again(long('newer')), 'two')
    await client.message()
    await settled()
    const heard: string[] = []
    t.connections[0]?.ws.on('message', (data) => heard.push(String(data)))
    expect(await client.message(1)).toMatchObject({ type: 'auth_refreshed' })
    await client.send(again(long('newer')), 'three')
    expect(await client.message(2)).toMatchObject({ type: 'auth_refreshed' })
    await eventually(() => heard.length === 3)
    expect(heard).toEqual(['one', 'two', 'three'])
  })
})

describe('a newer credential that does not count', () => {
  it.each([
    ['is unknown', again('unknown-token-0123456789abcdef'), 'invalid_credential'],
    ['has expired', again(long('expired')), 'expired_credential'],
    ['lacks a scope of the rule', again(long('weak')), 'insufficient_scope'],
    ['is malformed', { type: 'auth_refresh', token: 7 }, 'bad_handshake'],
    ['is two', { type: 'auth_refresh', token: 'a', password: 'b' }, 'multiple_credentials'],
    ['is absent', { type: 'auth_refresh' }, 'auth_required'],
    ['cannot be checked', again(long('down')), 'unavailable'],
  ])('because it %s leaves everything as it was, says so, and extends nothing', async (_why, frame, code) => {
    const t = await accepted(
      {},
      {
        rules: [
          {
            path: '/ws',
            access: 'deferred',
            kinds: ['device'],
            scopes: ['node.run'],
            handshake: upgateHandshake({ refresh: true }),
          },
        ],
        verifyMore: (value) => {
          if (value === long('down')) return { outcome: 'unavailable', reason: 'down' }
          if (value === long('weak')) {
            return { outcome: 'authenticated', principal: device('node-1', { scopes: [] }) }
          }
          if (value === long('expired'))
            return { outcome: 'authenticated', principal: device('node-1', { expiresAt: 1 }) }
          return { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
        },
      },
    )
    await t.client.send(frame, 'still here')
    expect(await t.answer()).toMatchObject({
      type: 'auth_refresh_failed',
      code,
      message: expect.any(String),
      action: expect.any(String),
    })
    await eventually(() => t.heard.includes('still here'))
    expect(t.events.at(-1)).toMatchObject({
      type: 'socket_refresh_refused',
      code,
      principal: { id: 'node-1' },
    })
    expect(t.refreshed).toEqual([])
    t.clock.advance(hour)
    expect(await t.client.closed()).toEqual({ code: 4401, reason: 'auth_expired' })
  })

  // A socket that changed its principal would carry the application's state of the first to the second.
  it.each([
    ['another device', { id: 'node-2' }],
    ['a user with the same id', { kind: 'user' as const }],
  ])('because it is of %s ends the socket', async (_who, principal) => {
    const rules = [
      {
        path: '/ws',
        access: 'deferred' as const,
        kinds: ['device' as const, 'user' as const],
        handshake: upgateHandshake({ refresh: true }),
      },
    ]
    const t = await accepted({ others: principal }, { rules })
    await t.client.send(again(long('others')), 'no longer heard')
    expect(await t.answer()).toMatchObject({
      type: 'auth_refresh_failed',
      code: 'principal_mismatch',
      message: 'The new credential is of another principal than this socket.',
    })
    expect(await t.client.closed()).toEqual({ code: 4403, reason: 'principal_mismatch' })
    expect([t.heard, t.refreshed]).toEqual([[], []])
  })

  it('does so three times in a row at most; a success resets the count', async () => {
    const t = await accepted({ newer: {} }, { limits: { maxRefreshes: 100 } })
    const bad = again('unknown-token-0123456789abcdef')
    await t.client.send(bad, bad, again(long('newer')), bad, bad)
    await t.answer(4)
    await settled()
    expect(t.client.ws.readyState).toBe(1)
    await t.client.send(bad, bad)
    expect(await t.client.closed()).toEqual({ code: 4429, reason: 'too_many_failures' })
    expect(t.client.messages).toHaveLength(7)
  })

  it('counts against its address like any other: passwords are not guessed on an open socket', async () => {
    const t = await accepted({}, { limits: { maxRefreshes: 100, maxRefreshFailures: 100 } })
    const headers = { 'x-forwarded-for': '203.0.113.7' }
    const client = t.connect(headers)
    await client.send(at(goodToken))
    await client.message()
    for (let i = 0; i < 10; i++) await client.send({ type: 'auth_refresh', password: `guess ${i}` })
    await client.message(10)
    expect(await t.connect(headers).refused()).toBe(429)
  })

  it('or does, may be sent six times a minute; one more is told to wait, and the next ends the socket', async () => {
    const t = await accepted({ newer: {} })
    const good = again(long('newer'))
    for (let i = 0; i < 6; i++) await t.client.send(good)
    expect(await t.answer(5)).toMatchObject({ type: 'auth_refreshed' })
    t.clock.advance(15_000)
    await t.client.send(good)
    expect(await t.answer(6)).toMatchObject({ code: 'too_many_failures', retryAfter: 45 })
    t.clock.advance(45_000)
    await t.client.send(good)
    expect(await t.answer(7)).toMatchObject({ type: 'auth_refreshed' })
    for (let i = 0; i < 7; i++) await t.client.send({ type: 'auth_refresh', token: 7 })
    expect(await t.client.closed()).toEqual({ code: 4429, reason: 'too_many_failures' })
  })

  it('and grants less than the application was told is refused, unless the application listens', async () => {
    const less = { less: { scopes: [], credentialId: 'k2' } }
    const deaf = await accepted(less, { listens: false })
    await deaf.client.send(again(long('less')))
    expect(await deaf.answer()).toMatchObject({ code: 'insufficient_scope' })
    expect([...deaf.gate.connections.list()][0]?.principal.scopes).toEqual(['node.run'])
    const t = await accepted(less)
    await t.client.send(again(long('less')))
    expect(await t.answer()).toMatchObject({ type: 'auth_refreshed', scopes: [] })
    expect(t.refreshed[0]?.[0]).toMatchObject({ scopes: [], credentialId: 'k2' })
  })

  it('that asks for more than the client holds is narrowed to its scopes, and the answer says so', async () => {
    const t = await accepted({ newer: {} })
    await t.client.send(again(long('newer'), { scopes: ['node.run', 'operator.admin'], role: 'admin' }))
    expect(await t.answer()).toMatchObject({
      type: 'auth_refreshed',
      scopes: ['node.run'],
      dropped: { scopes: ['operator.admin'], role: 'admin' },
    })
  })
})

describe('while a newer credential is being verified', () => {
  async function verifying() {
    const { promise, resolve } = deferredPromise<Verification>()
    const asked = deferredPromise<void>()
    const t = await accepted(
      {},
      {
        verifyMore: () => {
          asked.resolve()
          return promise
        },
      },
    )
    await t.client.send(again(long('newer')))
    await asked.promise
    const good: Verification = {
      outcome: 'authenticated',
      principal: device('node-1', { credentialId: 'k2', expiresAt: t.clock.now() + 10 * hour }),
    }
    return Object.assign(t, { resolve, good })
  }

  it('the socket goes on', async () => {
    const t = await verifying()
    await t.client.send('meanwhile')
    await eventually(() => t.heard.includes('meanwhile'))
    t.resolve(t.good)
    expect(await t.answer()).toMatchObject({ type: 'auth_refreshed' })
  })

  it('a revocation of the old one wins', async () => {
    const t = await verifying()
    t.revoke({ credentialId: 'node-1-credential' })
    t.resolve(t.good)
    expect(await t.client.closed()).toEqual({ code: 4403, reason: 'revoked' })
    expect([t.gate.connections.size, t.client.messages.length, t.refreshed]).toEqual([0, 1, []])
  })

  it('a revocation of the new one wins, and the old one goes on', async () => {
    const t = await verifying()
    t.revoke({ credentialId: 'k2' })
    t.resolve(t.good)
    expect(await t.answer()).toMatchObject({ type: 'auth_refresh_failed', code: 'revoked_credential' })
    expect([t.gate.connections.size, t.refreshed]).toEqual([1, []])
    t.revoke({ credentialId: 'node-1-credential' })
    expect(await t.client.closed()).toMatchObject({ code: 4403 })
  })

  it('a handshake that cannot refuse it ends nothing: the old one goes on, and the bug is logged', async () => {
    const held = deferredPromise<Verification>()
    const standard = upgateHandshake({ refresh: true })
    const refresh = {
      ...(standard.refresh as NonNullable<typeof standard.refresh>),
      reject(): never {
        throw new Error('a bug')
      },
    }
    const u = await accepted({}, { handshake: { ...standard, refresh }, verifyMore: () => held.promise })
    await u.client.send(again(long('newer')))
    await settled()
    u.revoke({ credentialId: 'k2' })
    held.resolve({ outcome: 'authenticated', principal: device('node-1', { credentialId: 'k2' }) })
    await eventually(() => u.logged.length === 1)
    expect(JSON.parse(u.logged[0] as string)).toMatchObject({ hook: 'refresh.reject', error: 'Error: a bug' })
    await settled()
    expect(u.client.ws.readyState).toBe(1)
    expect(u.events.at(-1)).toMatchObject({ type: 'socket_refresh_refused', code: 'revoked_credential' })
  })

  it('the old one may expire: nothing is waited for', async () => {
    const t = await verifying()
    t.clock.advance(hour)
    expect(await t.client.closed()).toEqual({ code: 4401, reason: 'auth_expired' })
    t.resolve(t.good)
    await settled()
    expect([t.gate.connections.size, t.refreshed]).toEqual([0, []])
  })

  it('another one is refused', async () => {
    const t = await verifying()
    await t.client.send(again(long('other')))
    expect(await t.answer()).toMatchObject({ code: 'too_many_frames' })
    t.resolve(t.good)
    expect(await t.answer(1)).toMatchObject({ type: 'auth_refreshed' })
  })

  it('the verifier may take too long: unavailable, and a late answer changes nothing', async () => {
    const t = await verifying()
    t.clock.advance(5_000)
    expect(await t.answer()).toMatchObject({ code: 'unavailable' })
    t.resolve(t.good)
    await settled()
    expect(t.refreshed).toEqual([])
    t.clock.advance(hour - 5_000)
    expect(await t.client.closed()).toMatchObject({ code: 4401 })
  })

  it('the client may leave', async () => {
    const t = await verifying()
    t.client.destroy()
    await eventually(() => t.quarantine.counts.accepted === 0)
    t.resolve(t.good)
    await settled()
    expect([t.gate.connections.size, t.refreshed]).toEqual([0, []])
  })
})

describe('before it expires', () => {
  it('a client is told, once, a minute before; and again after a renewal', async () => {
    const t = await accepted(
      {},
      {
        verifyMore: () => ({
          outcome: 'authenticated',
          principal: device('node-1', { expiresAt: t.clock.now() + hour }),
        }),
      },
    )
    const expiresAt = t.clock.now() + hour
    t.clock.advance(hour - 61_000)
    await settled()
    expect(t.client.messages).toHaveLength(1)
    t.clock.advance(1_000)
    expect(await t.answer()).toEqual({ type: 'auth_expiring', expiresAt, time: expiresAt - 60_000 })
    await t.client.send(again(long('newer')))
    expect(await t.answer(1)).toMatchObject({ type: 'auth_refreshed' })
    t.clock.advance(hour - 60_000)
    expect(await t.answer(2)).toMatchObject({ type: 'auth_expiring' })
    t.clock.advance(60_000)
    expect(await t.client.closed()).toMatchObject({ code: 4401 })
    expect(t.client.messages).toHaveLength(4)
  })

  it('all are told with one timer, which goes with the last of them', async () => {
    const t = await accepted()
    const others = Array.from({ length: 20 }, () => t.connect())
    for (const client of others) {
      await client.send(at(goodToken))
      await client.message()
    }
    t.clock.advance(hour - 60_000)
    for (const client of others) expect(await client.message(1)).toMatchObject({ type: 'auth_expiring' })
    for (const client of [...others, t.client]) client.destroy()
    await eventually(() => t.clock.pending === 0)
    const late = t.connect()
    await late.send(at(goodToken))
    await late.message()
    late.destroy()
    await eventually(() => t.clock.pending === 0)
  })

  it('very many are told in portions, all within the minute', async () => {
    const t = await accepted({}, { limits: { maxSocketsPerAddress: 1000 } })
    const others = Array.from({ length: 600 }, () => t.connect())
    for (const client of others) await client.send(at(goodToken))
    for (const client of others) await client.message()
    t.clock.advance(hour - 60_000)
    await settled()
    const told = (): number => others.filter(({ messages }) => messages.length === 2).length
    expect(told()).toBeLessThanOrEqual(250)
    t.clock.advance(100)
    await eventually(() => told() === 600)
  })
})

describe('frames that only look like it', () => {
  it.each([
    ['quote the marker', { type: 'chat', text: 'send "auth_refresh" now' }],
    ['are no object', ['auth_refresh']],
    ['are no JSON', '{"auth_refresh"'],
    ['inherit their type', { __proto__: null, note: { type: 'auth_refresh' }, kind: '"auth_refresh"' }],
  ])('because they %s reach the application', async (_why, frame) => {
    const t = await accepted()
    await t.client.send(frame as object)
    await eventually(() => t.heard.length === 1)
    expect(t.client.messages).toHaveLength(1)
  })

  it('are binary or too long for a credential', async () => {
    const t = await accepted({ newer: {} })
    const text = JSON.stringify(again(long('newer'), { padding: 'x'.repeat(20_000) }))
    await t.client.send(text, Buffer.from(JSON.stringify(again(long('newer')))) as never)
    await eventually(() => t.heard.length === 2)
    expect(t.client.messages).toHaveLength(1)
  })

  it('are all application data where the protocol does not renew', async () => {
    const t = await accepted({ newer: {} }, { handshake: upgateHandshake() })
    await t.client.send(again(long('newer')))
    await eventually(() => t.heard.length === 1)
    expect(Object.hasOwn(t.connections[0]?.ws as object, 'emit')).toBe(false)
  })
})

describe('an application that reads credentials out of messages of its own', () => {
  async function own(principals: Record<string, Partial<Principal>> = {}, options: Options = {}) {
    const handshake = jsonFrame({ credential: (m: { token?: string }) => m.token })
    return accepted(principals, { handshake, ...options })
  }

  it('has them verified, and gets the new principal', async () => {
    const t = await own({ newer: { credentialId: 'k2', scopes: [] } })
    const { ws, request } = t.connections[0] as Harness['connections'][0]
    const answer = await t.quarantine.refresh(ws, request, long('newer'))
    expect(answer).toMatchObject({ outcome: 'allow', principal: { credentialId: 'k2', scopes: [] } })
    expect(t.gate.principalOf(request)).toBe(answer.outcome === 'allow' && answer.principal)
    expect(t.refreshed).toHaveLength(1)
    t.revoke({ credentialId: 'k2' })
    expect(await t.client.closed()).toMatchObject({ code: 4403 })
    expect(await t.quarantine.refresh(ws, request, long('newer'))).toMatchObject({
      code: 'revoked_credential',
    })
  })

  it('is told why they do not count, and the socket goes on', async () => {
    const t = await own()
    const { ws, request } = t.connections[0] as Harness['connections'][0]
    const credential = { type: 'token', source: 'frame', value: 'unknown-token-0123456789abcdef' } as const
    expect(await t.quarantine.refresh(ws, request, { credential })).toMatchObject({
      code: 'invalid_credential',
    })
    expect(t.client.ws.readyState).toBe(1)
  })

  it.each([
    undefined,
    null,
    5,
    {},
    { credential: { type: 'token', source: 'frame', value: 5 } },
    { credential: { type: 'token', source: 'frame' } },
    { credential: null },
  ])('may hand on whatever the client sent instead of one: %j', async (credential) => {
    const t = await own()
    const { ws, request } = t.connections[0] as Harness['connections'][0]
    expect(await t.quarantine.refresh(ws, request, credential as never)).toMatchObject({
      code: 'bad_handshake',
    })
    expect(await t.quarantine.refresh(ws, request, goodToken)).toMatchObject({ outcome: 'allow' })
  })

  it('may have a handshake that trusts what a client sent', async () => {
    const standard = upgateHandshake({ refresh: true })
    const refresh = standard.refresh as NonNullable<typeof standard.refresh>
    const receive: typeof refresh.receive = (frame) => {
      const { token } = JSON.parse((frame as { text: string }).text) as { token: string }
      return { step: 'credential', credential: { type: 'token', source: 'frame', value: token } }
    }
    const t = await accepted({}, { handshake: { ...standard, refresh: { ...refresh, receive } } })
    await t.client.send({ type: 'auth_refresh' })
    expect(await t.answer()).toMatchObject({ type: 'auth_refresh_failed', code: 'bad_handshake' })
    expect(t.errors).toContainEqual(expect.stringContaining('A handshake threw.'))
  })

  it('may say so in its own words before the socket of another principal is closed', async () => {
    const t = await own({ others: { id: 'node-2' } })
    const { ws, request } = t.connections[0] as Harness['connections'][0]
    const answer = await t.quarantine.refresh(ws, request, long('others'))
    ws.send('{"no":true}')
    expect(answer).toMatchObject({ code: 'principal_mismatch' })
    expect(await t.answer()).toEqual({ no: true })
    expect(await t.client.closed()).toEqual({ code: 4403, reason: 'principal_mismatch' })
  })

  it('is told when the socket goes while it is verified, and nothing is registered for one that has gone', async () => {
    const held = deferredPromise<Verification>()
    const u = await accepted(
      {},
      {
        handshake: jsonFrame({ credential: (m: { token?: string }) => m.token }),
        verifyMore: () => held.promise,
      },
    )
    const { ws, request } = u.connections[0] as Harness['connections'][0]
    const waiting = u.quarantine.refresh(ws, request, long('newer'))
    u.client.destroy()
    await eventually(() => u.quarantine.counts.accepted === 0)
    held.resolve({ outcome: 'authenticated', principal: device('node-1') })
    expect(await waiting).toMatchObject({ code: 'revoked_credential' })
    expect(u.gate.connections.size).toBe(0)
  })

  it('is told when the socket goes before its turn has come', async () => {
    const held = deferredPromise<Verification>()
    const asked: string[] = []
    const u = await accepted(
      {},
      {
        handshake: jsonFrame({ credential: (m: { token?: string }) => m.token }),
        limits: { maxVerifying: 1 },
        verifyMore: (value) => {
          asked.push(value)
          return held.promise
        },
      },
    )
    await u.connect().send({ token: long('slow') })
    await eventually(() => u.quarantine.counts.verifying === 1)
    const { ws, request } = u.connections[0] as Harness['connections'][0]
    const waiting = u.quarantine.refresh(ws, request, long('newer'))
    u.revoke({ principalId: 'node-1' })
    expect(await waiting).toMatchObject({ code: 'revoked_credential' })
    held.resolve({ outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' })
    await settled()
    expect(asked).toEqual([long('slow')])
  })

  it('cannot do that without a principal, for another socket, or before acceptance', async () => {
    const t = await own({ newer: {} })
    const { ws, request } = t.connections[0] as Harness['connections'][0]
    expect(() => t.quarantine.refresh({} as never, request, 'x')).toThrow(TypeError)
    expect(() => t.quarantine.refresh(ws, {} as never, 'x')).toThrow(TypeError)
    const anonymous = t.connect({}, '/feed')
    await anonymous.opened()
    await eventually(() => t.connections.length === 2)
    const other = t.connections[1] as Harness['connections'][0]
    for (const asked of [other.request, request]) {
      expect(await t.quarantine.refresh(other.ws, asked, long('newer'))).toMatchObject({
        code: 'principal_mismatch',
      })
    }
    expect(anonymous.ws.readyState).toBe(1)
  })
})
