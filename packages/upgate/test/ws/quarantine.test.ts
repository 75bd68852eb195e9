import { once } from 'node:events'
import type { Principal, Verification } from 'upgate'
import { upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import {
  auth,
  closeAll,
  deferredPromise,
  device,
  eventually,
  goodToken,
  origin,
  settled,
  start,
  table,
  text,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

const yes = (principal: Principal): Verification => ({ outcome: 'authenticated', principal })

describe('acceptance', () => {
  it('accepts a node without any HTTP credential when its first frame carries a valid one', async () => {
    const t = await start()
    const client = t.connect({ 'x-forwarded-for': '192.0.2.1' }, '/ws?room=1')
    await client.send(auth())
    expect(await client.message()).toMatchObject({
      type: 'auth_ok',
      principal: { kind: 'device', id: 'node-1' },
    })
    await eventually(() => t.connections.length === 1)
    const { request, principal, ws } = t.connections[0] as (typeof t.connections)[0]
    expect(principal).toMatchObject({ id: 'node-1', roles: ['node'] })
    expect(request.url).toBe('/ws?room=1')
    expect(request.method).toBe('GET')
    expect(request.headers['x-forwarded-for']).toBe('192.0.2.1')
    expect(request.headers['sec-websocket-version']).toBe('13')
    expect(request.rawHeaders).toContain('192.0.2.1')
    expect(request.socket.remoteAddress).toBe('127.0.0.1')
    expect(t.gate.principalOf(request)).toBe(principal)
    expect([...t.wss.clients]).toEqual([ws])
    expect(t.gate.connections.size).toBe(1)
    expect([...t.gate.connections.list()][0]).toMatchObject({ path: '/ws', principal: { id: 'node-1' } })
    expect(t.quarantine.counts).toEqual({
      quarantined: 0,
      verifying: 0,
      refused: 0,
      accepted: 1,
      anonymous: 0,
    })
    const accepted = t.events.find((event) => event.type === 'socket_accepted')
    expect(accepted).toMatchObject({
      place: { path: '/ws', clientAddress: '192.0.2.1' },
      principal: { id: 'node-1' },
    })
    expect(JSON.stringify(t.events)).not.toContain(goodToken)

    ws.on('message', (data) => ws.send(`echo ${String(data)}`))
    await client.send('hello')
    await client.message(1).catch(() => {})
    expect(client.messages[1]).toBe('echo hello')
    client.ws.close()
    await eventually(() => t.gate.connections.size === 0)
    expect(t.wss.clients.size).toBe(0)
    expect(t.events.at(-1)).toMatchObject({ type: 'socket_closed', reason: undefined })
  })

  it('accepts at 101 what HTTP proved, and registers it', async () => {
    const t = await start()
    const client = t.connect({ authorization: `Bearer ${goodToken}` })
    await client.opened()
    await eventually(() => t.connections.length === 1)
    expect(t.connections[0]?.principal).toMatchObject({ id: 'node-1' })
    expect(t.gate.connections.size).toBe(1)
    t.revoke({ credentialId: 'node-1-credential' })
    expect(await client.closed()).toEqual({ code: 4403, reason: 'revoked' })
  })

  // Ten thousand sockets take a while to close: until its turn comes, no socket may be heard.
  it('hears nothing of a revoked principal, though the close frames of very many sockets take their time', async () => {
    const t = await start()
    const headers = { authorization: `Bearer ${goodToken}` }
    const clients: ReturnType<typeof t.connect>[] = []
    while (clients.length < 80) {
      const client = t.connect(headers)
      clients.push(client)
      await client.opened()
      // One after the other, so that both sides have them in the same order.
      await eventually(() => t.connections.length === clients.length)
    }
    const heard: string[] = []
    for (const { ws } of t.connections) ws.on('message', (data) => heard.push(String(data)))
    t.revoke({ principalId: 'node-1' })
    expect(t.gate.connections.size).toBe(0)
    // The clock stands still: their turn does not come.
    const late = clients.slice(64)
    expect(t.connections.map(({ ws }) => ws.readyState === ws.OPEN)).toEqual(clients.map((_, n) => n >= 64))
    for (const { ws } of clients) if (ws.readyState === ws.OPEN) ws.send('still here')
    for (const { ws } of late) ws.ping()
    await Promise.all(late.map(({ ws }) => once(ws, 'pong')))
    expect(heard).toEqual([])
    t.clock.advance(0)
    const ends = await Promise.all(clients.map((client) => client.closed()))
    expect(new Set(ends.map(({ code, reason }) => `${code} ${reason}`))).toEqual(new Set(['4403 revoked']))
    expect(heard).toEqual([])
    await eventually(() => t.wss.clients.size === 0)
    const ended = t.events.filter((event) => event.type === 'socket_closed')
    expect(new Set(ended.map((event) => 'reason' in event && event.reason))).toEqual(new Set(['revoked']))
  })

  it('keeps compression for accepted upgrades, and does not negotiate it in the quarantine', async () => {
    const t = await start({ server: { perMessageDeflate: true } })
    const strict = t.connect({ authorization: `Bearer ${goodToken}` })
    await strict.opened()
    expect(strict.ws.extensions).toBe('permessage-deflate')
    const deferred = t.connect()
    await deferred.opened()
    expect(deferred.ws.extensions).toBe('')
    await deferred.send(auth())
    await eventually(() => t.connections.length === 2)
    expect(t.connections[1]?.request.headers['sec-websocket-extensions']).toContain('permessage-deflate')
  })

  it('negotiates compression in the quarantine only by the loud option', async () => {
    const t = await start({
      server: { perMessageDeflate: true },
      limits: { dangerouslyAllowCompression: true },
    })
    const client = t.connect()
    await client.opened()
    expect(client.ws.extensions).toBe('permessage-deflate')
  })

  it('names the declared role and scopes that were not granted', async () => {
    const t = await start({ handshake: upgateHandshake() })
    const client = t.connect()
    await client.send({
      type: 'auth',
      token: goodToken,
      role: 'admin',
      scopes: ['node.run', 'operator.admin'],
    })
    expect(await client.message()).toMatchObject({
      type: 'auth_ok',
      scopes: ['node.run'],
      dropped: { role: 'admin', scopes: ['operator.admin'] },
    })
  })

  it('hands the credential frame on only when the handshake says so', async () => {
    const handshake = upgateHandshake({ replay: true })
    const t = await start({ handshake })
    const heard: string[] = []
    t.wss.on('connection', (ws: WebSocket) => ws.on('message', (data) => heard.push(String(data))))
    const client = t.connect()
    await client.send({ type: 'auth', token: goodToken }, 'next')
    await eventually(() => heard.length === 2)
    expect(JSON.parse(heard[0] as string)).toEqual({ type: 'auth', token: goodToken })
    expect(heard[1]).toBe('next')
  })

  it('ends only the socket for which the connection listener throws', async () => {
    const t = await start()
    const other = t.connect()
    await other.send(auth())
    await other.message()
    t.wss.on('connection', () => {
      throw new Error('bug in the application')
    })
    const client = t.connect()
    await client.send(auth())
    expect(await client.closed()).toEqual({ code: 1011, reason: 'internal_error' })
    expect(t.errors.join()).toContain('bug in the application')
    expect(other.ws.readyState).toBe(1)
  })
})

describe('refusal', () => {
  it('answers a wrong token with the error frame, holds the socket, then closes', async () => {
    const t = await start()
    const client = t.connect({ 'x-forwarded-for': '192.0.2.9' })
    await client.send(auth(wrongToken))
    expect(await client.message()).toMatchObject({
      type: 'auth_error',
      code: 'invalid_credential',
      message: expect.stringContaining('not valid'),
      action: expect.any(String),
    })
    t.clock.advance(499)
    await settled()
    expect(client.ws.readyState).toBe(1)
    expect(t.quarantine.counts.refused).toBe(1)
    t.clock.advance(1001)
    expect(await client.closed()).toEqual({ code: 4401, reason: 'invalid_credential' })
    expect(t.connections).toHaveLength(0)
    expect(t.events).toContainEqual(
      expect.objectContaining({
        type: 'socket_refused',
        code: 'invalid_credential',
        closeCode: 4401,
        place: { method: 'GET', path: '/ws', clientAddress: '192.0.2.9', peerAddress: '127.0.0.1' },
      }),
    )
    expect(JSON.stringify(t.events) + t.errors.join()).not.toContain(wrongToken)
    await eventually(() => t.quarantine.counts.refused === 0)
  })

  it('forbids a principal of another kind with 4403', async () => {
    const t = await start({ verify: table({ [goodToken]: device('mallory', { kind: 'user' }) }) })
    const client = t.connect()
    await client.send(auth())
    expect(await client.message()).toMatchObject({ code: 'kind_not_allowed' })
    t.clock.advance(1500)
    expect(await client.closed()).toEqual({ code: 4403, reason: 'kind_not_allowed' })
  })

  it('says 1013, never 4401, when the store cannot answer', async () => {
    for (const verify of [
      (): Verification => ({ outcome: 'unavailable', reason: 'store down' }),
      (): Verification => {
        throw new Error('store down')
      },
      (): Promise<Verification> => Promise.reject(new Error('store down')),
    ]) {
      const t = await start({ verify })
      const client = t.connect()
      await client.send(auth())
      expect(await client.message()).toMatchObject({ code: 'unavailable' })
      t.clock.advance(1500)
      expect(await client.closed()).toEqual({ code: 1013, reason: 'unavailable' })
    }
  })

  it('closes a silent socket at the deadline with 4408', async () => {
    const t = await start()
    const client = t.connect()
    await client.opened()
    await eventually(() => t.quarantine.counts.quarantined === 1)
    t.clock.advance(9_999)
    await settled()
    expect(client.ws.readyState).toBe(1)
    t.clock.advance(1)
    expect(await client.message()).toMatchObject({ code: 'handshake_timeout' })
    expect(await client.closed()).toEqual({ code: 4408, reason: 'handshake_timeout' })
    await eventually(() => t.quarantine.counts.refused === 0)
    expect(t.clock.pending).toBe(0)
  })

  it('uses one timer for all that wait', async () => {
    const t = await start()
    const clients = Array.from({ length: 20 }, () => t.connect())
    await Promise.all(clients.map((client) => client.opened()))
    await eventually(() => t.quarantine.counts.quarantined === 20)
    expect(t.clock.pending).toBe(1)
  })

  it('gives up a verification that takes too long, and does not use its answer', async () => {
    const answer = deferredPromise<Verification>()
    const t = await start({ verify: () => answer.promise })
    const client = t.connect()
    await client.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 1)
    t.clock.advance(5000)
    expect(await client.message()).toMatchObject({ code: 'unavailable' })
    answer.resolve(yes(device('node-1')))
    await settled()
    expect(t.connections).toHaveLength(0)
    t.clock.advance(1500)
    expect(await client.closed()).toMatchObject({ code: 1013 })
  })

  it('lets the deadline cover the verification as well', async () => {
    const t = await start({ verify: () => new Promise(() => {}), limits: { verifyTimeout: 60_000 } })
    const client = t.connect()
    await client.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 1)
    t.clock.advance(10_000)
    expect(await client.closed()).toEqual({ code: 1013, reason: 'unavailable' })
  })

  it('allows further attempts only by option, and answers each', async () => {
    const t = await start({ limits: { maxAttempts: 2 } })
    const client = t.connect()
    await client.send(auth(wrongToken), auth())
    expect(await client.message(0)).toMatchObject({ type: 'auth_error', code: 'invalid_credential' })
    expect(await client.message(1)).toMatchObject({ type: 'auth_ok' })
    const other = t.connect()
    await other.send(auth(wrongToken), auth(wrongToken), auth())
    await other.message(1)
    t.clock.advance(1500)
    expect(await other.closed()).toMatchObject({ code: 4401 })
    expect(other.messages).toHaveLength(2)
  })

  it('does not take an object that looks like a refusal for one', async () => {
    const t = await start()
    const client = t.connect()
    await client.send({
      step: 'reject',
      code: 'nonsense',
      detail: 'x',
      rejection: { step: 'reject' },
      ...auth(),
    })
    expect(await client.message()).toMatchObject({ type: 'auth_ok' })
  })

  it('refuses a page in band, since it cannot read a status, and a program with a status', async () => {
    const t = await start()
    const page = t.connect({ origin }, '/strict')
    await eventually(() => t.quarantine.counts.refused === 1)
    t.clock.advance(1500)
    expect(await page.closed()).toEqual({ code: 4401, reason: 'auth_required' })
    // The path has no handshake: its clients speak the application's protocol, and a frame of ours could crash them.
    expect(page.messages).toEqual([])
    expect(await t.connect({}, '/strict').refused()).toBe(401)
    expect(t.connections).toHaveLength(0)
  })

  it('answers a foreign page with 403, before 101', async () => {
    const t = await start()
    expect(await t.connect({ origin: 'https://evil.example' }).refused()).toBe(403)
    expect(await t.connect({ origin: 'null' }).refused()).toBe(403)
  })

  it('renders a handshake that throws as a refusal, not as a crash', async () => {
    for (const method of ['open', 'receive', 'accept', 'reject'] as const) {
      const good = upgateHandshake()
      const t = await start({
        handshake: {
          ...good,
          [method]: () => {
            throw new Error('bug in the handshake')
          },
        },
      })
      const client = t.connect()
      await client.send({ type: 'auth', token: method === 'reject' ? wrongToken : goodToken })
      if (method === 'reject') await eventually(() => t.errors.join().includes('bug in the handshake'))
      else expect(await client.message()).toMatchObject({ type: 'auth_error' })
      t.clock.advance(1500)
      expect((await client.closed()).code).toBeGreaterThan(1000)
      expect(t.connections).toHaveLength(0)
      expect(t.errors.join()).toContain('bug in the handshake')
    }
  })
})

describe('revocation and expiry', () => {
  it('closes an accepted socket at once and hears nothing more from it', async () => {
    const t = await start()
    const heard: string[] = []
    t.wss.on('connection', (ws: WebSocket) => ws.on('message', (data) => heard.push(String(data))))
    const client = t.connect()
    await client.send(auth(), 'before')
    await eventually(() => heard.length === 1)
    client.ws.pause()
    t.revoke({ principalId: 'node-1' })
    await client.send('after')
    await settled()
    expect(heard).toEqual(['before'])
    expect(t.gate.connections.size).toBe(0)
    client.ws.resume()
    expect(await client.closed()).toEqual({ code: 4403, reason: 'revoked' })
    await eventually(() => t.events.some((event) => event.type === 'socket_closed'))
    expect(t.events.at(-1)).toMatchObject({ type: 'socket_closed', reason: 'revoked' })
  })

  it('closes with 4401 auth_expired at the expiry of the credential', async () => {
    const now = Date.UTC(2026, 0, 1)
    const t = await start({ verify: table({ [goodToken]: device('node-1', { expiresAt: now + 60_000 }) }) })
    const client = t.connect()
    await client.send(auth())
    await client.message()
    t.clock.advance(59_999)
    await settled()
    expect(client.ws.readyState).toBe(1)
    t.clock.advance(1)
    expect(await client.closed()).toEqual({ code: 4401, reason: 'auth_expired' })
    await eventually(() => t.events.at(-1)?.type === 'socket_closed')
    expect(t.events.at(-1)).toMatchObject({ reason: 'auth_expired' })
  })

  it('terminates a revoked peer that ignores the close frame, after the grace', async () => {
    const t = await start()
    const peer = await t.raw()
    await peer.upgraded()
    peer.write(text(auth()))
    await eventually(() => t.connections.length === 1)
    t.revoke({ principalId: 'node-1' }, 'disabled')
    await peer.until((p) => p.text.includes('disabled'))
    expect(peer.ended).toBe(false)
    t.clock.advance(1000)
    await peer.gone()
    await eventually(() => t.quarantine.counts.accepted === 0)
  })

  it('wins against a verification in flight', async () => {
    const answer = deferredPromise<Verification>()
    const t = await start({ verify: () => answer.promise })
    const client = t.connect()
    await client.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 1)
    t.revoke({ credentialId: 'node-1-credential' })
    answer.resolve(yes(device('node-1')))
    expect(await client.message()).toMatchObject({ type: 'auth_error' })
    t.clock.advance(1500)
    expect((await client.closed()).code).toBe(4401)
    expect(t.connections).toHaveLength(0)
  })

  // The gate compares before it answers; its answer then travels through promises to the acceptance. A revocation
  // in any of those microtasks used to find neither a verification in flight nor a registered socket.
  it.each([0, 1, 2, 3, 4, 5, 6])(
    'wins when it comes %i microtasks after the answer of the scheme',
    async (turns) => {
      const answer = deferredPromise<Verification>()
      const t = await start({ verify: () => answer.promise })
      const client = t.connect()
      await client.send(auth())
      await eventually(() => t.quarantine.counts.verifying === 1)
      answer.resolve(yes(device('node-1')))
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      t.revoke({ principalId: 'node-1' })
      await eventually(() => t.quarantine.counts.verifying === 0)
      expect(t.gate.connections.size).toBe(0)
      // A socket of TLS that is cut loses the close frame that waits behind another write.
      await settled()
      t.clock.advance(1500)
      expect((await client.closed()).reason).toMatch(/revoked/)
    },
  )

  it('wins against an upgrade that was already allowed', async () => {
    const carriedOut = deferredPromise<void>()
    const t = await start({ slowDecision: () => carriedOut.promise })
    const client = t.connect({ authorization: `Bearer ${goodToken}` })
    await once(t.server, 'upgrade')
    await settled()
    t.revoke({ principalId: 'node-1' })
    carriedOut.resolve()
    expect(await client.refused()).toBe(401)
    expect(t.connections).toHaveLength(0)
  })
})

describe('drain', () => {
  it('closes everything with 1001 and resolves when all are gone', async () => {
    const t = await start({ verify: async (value) => table({ [goodToken]: device('node-1') })(value) })
    const accepted = t.connect()
    await accepted.send(auth())
    await accepted.message()
    const waiting = t.connect()
    const anonymous = t.connect({}, '/feed')
    const refused = t.connect()
    await Promise.all([waiting.opened(), anonymous.opened()])
    await refused.send(auth(wrongToken))
    await refused.message()
    await eventually(() => t.quarantine.counts.quarantined === 1)
    const drained = t.quarantine.close()
    for (const client of [accepted, waiting, anonymous, refused]) {
      expect(await client.closed()).toEqual({ code: 1001, reason: 'shutdown' })
    }
    await drained
    expect(await t.connect().refused()).toBe(503)
    expect(t.quarantine.counts).toEqual({
      quarantined: 0,
      verifying: 0,
      refused: 0,
      accepted: 0,
      anonymous: 0,
    })
  })

  it('terminates what does not answer, after the grace', async () => {
    const t = await start()
    const peer = await t.raw()
    await peer.upgraded()
    await eventually(() => t.quarantine.counts.quarantined === 1)
    let done = false
    const drained = t.quarantine.close({ code: 1012 }).then(() => {
      done = true
    })
    await peer.until((p) => p.text.includes('restart'))
    await settled()
    expect(done).toBe(false)
    t.clock.advance(1000)
    await drained
  })

  it('closes what waits for a WebSocketServer that the application closed', async () => {
    const t = await start()
    const client = t.connect()
    await client.opened()
    await eventually(() => t.quarantine.counts.quarantined === 1)
    await new Promise<void>((resolve) => t.wss.close(() => resolve()))
    expect(await client.closed()).toEqual({ code: 1001, reason: 'shutdown' })
    expect(t.connections).toHaveLength(0)
  })

  it('resolves immediately when there are no sockets', async () => {
    const t = await start()
    await t.quarantine.close()
  })
})

describe('sockets without a principal', () => {
  it('accepts them on public paths, keeps the caps, and frees the place once', async () => {
    const t = await start({ limits: { maxAnonymousSockets: 3, maxSocketsPerAddress: 2 } })
    const from = (address: string): ReturnType<typeof t.connect> =>
      t.connect({ 'x-forwarded-for': address }, '/feed')
    const [a, b] = [from('192.0.2.1'), from('192.0.2.1')]
    await Promise.all([a.opened(), b.opened()])
    await eventually(() => t.connections.length === 2)
    expect(t.connections[0]?.principal).toBeUndefined()
    expect(await from('192.0.2.1').refused()).toBe(503)
    const c = from('192.0.2.2')
    await c.opened()
    await eventually(() => t.connections.length === 3)
    expect(await from('192.0.2.3').refused()).toBe(503)
    expect(t.gate.connections.size).toBe(0)
    a.ws.terminate()
    await eventually(() => t.quarantine.counts.anonymous === 2)
    const d = from('192.0.2.1')
    await d.opened()
    expect(t.quarantine.counts.anonymous).toBe(3)
  })
})
