// A page with a session opens a WebSocket by a ticket: bound, short-lived, used once, and never logged.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  type AuditEvent,
  createGate,
  createServices,
  fromRequest,
  memoryStore,
  type Principal,
  type Store,
  sessionCookie,
  ticket,
} from 'upgate'
import { ticketEndpoint } from 'upgate/node'
import type { TicketRecord } from 'upgate/store'
import { manualClock } from 'upgate/testing'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, test } from 'vitest'
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws'
import { createToken } from '../../src/crypto/tokens.ts'
import { NodeRequest } from '../../src/node/request.ts'

const origin = 'https://gateway.example.com'
const path = '/ws'
const here = { clientAddress: undefined, dryRun: false, path, origin }
const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

async function stage(options: { readonly query?: string; readonly store?: Store } = {}) {
  const clock = manualClock()
  const store = options.store ?? memoryStore()
  const passwordHasher = {
    hash: async (password: string) => password,
    verify: async () => true,
    needsRehash: () => false,
  }
  const services = createServices({ clock, store, passwordHasher, limits: { logInterval: 0 } })
  const created = await services.accounts.create({
    email: 'ada@example.com',
    scopes: ['chat'],
    roles: ['user'],
  })
  if (created.outcome !== 'done') throw new Error(created.reason)
  const session = await services.sessions.create(created.account.id)
  if (session === undefined) throw new Error('no session')
  const { tickets } = services
  const gate = createGate({
    clock,
    origins: [origin],
    trustedProxies: ['loopback'],
    schemes: [
      sessionCookie({ sessions: services.sessions }),
      ticket({ tickets, ...(options.query === undefined ? {} : { query: options.query }) }),
    ],
    rules: [
      { path, access: 'deferred', handshake: upgateHandshake() },
      { path: '/strict', access: 'required' },
      { path: '/api/*', access: 'required' },
    ],
  })
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  const endpoint = ticketEndpoint(gate, { tickets, paths: [path, '/strict'] })
  const server = createServer((request, response) => void endpoint(request, response))
  const wss = new WebSocketServer({
    noServer: true,
    handleProtocols: (names) => [...names][0] ?? false,
  })
  const accepted: Principal[] = []
  wss.on('connection', (_ws: WebSocket, _request: unknown, principal: Principal) => accepted.push(principal))
  const guarded = guardServer(server, gate, { sockets: { [path]: wss, '/strict': wss }, hold: 0 })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  open.push(async () => {
    const drained = guarded.close()
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
    clock.advance(5000)
    await drained
    gate.close()
    await services.close()
    server.closeAllConnections()
    server.close()
  })
  const cookie = `__Host-upgate_session=${session.token}`
  const principalOf = async (): Promise<Principal> => {
    const answer = await services.sessions.verify(session.token)
    if (answer.outcome !== 'authenticated') throw new Error(answer.outcome)
    return answer.principal
  }
  return {
    clock,
    store,
    services,
    tickets,
    gate,
    events,
    accepted,
    port,
    session,
    account: created.account,
    cookie,
    principalOf,
    make: async (to: { path?: string; origin?: string | undefined } = {}) =>
      (await tickets.create(await principalOf(), { path, origin, ...to })).ticket,
    connect(protocols: string[] = [], headers: ClientOptions['headers'] = {}, target = path) {
      const ws = new WebSocket(`ws://127.0.0.1:${port}${target}`, protocols, {
        headers: { host: 'gateway.example.com', origin, ...headers },
      })
      ws.on('error', () => {})
      return ws
    },
  }
}

const asSubprotocol = (token: string) =>
  `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`

/** The token with another last character. */
const altered = (token: string) => `${token.slice(0, -1)}${token.endsWith('x') ? 'y' : 'x'}`

/** `open`, or the close code and reason, or the status of a refusal before the 101. */
async function outcome(ws: WebSocket, frame?: object): Promise<string> {
  if (frame !== undefined) ws.on('open', () => ws.send(JSON.stringify(frame)))
  return new Promise((resolve) => {
    ws.on('unexpected-response', (_, response) => resolve(`status ${response.statusCode}`))
    ws.on('message', (data) => {
      const { type, code } = JSON.parse(String(data)) as { type: string; code?: string }
      resolve(code ?? type)
    })
    ws.on('close', (code, reason) => resolve(`closed ${code} ${String(reason)}`))
  })
}

describe('transports of a ticket', () => {
  test('in the first frame, once', async () => {
    const { make, connect, accepted, account, session } = await stage()
    const token = await make()
    expect(await outcome(connect(), { type: 'auth', token })).toBe('auth_ok')
    expect(accepted).toMatchObject([
      { kind: 'user', id: account.id, scheme: 'session', sessionId: session.session.id, scopes: ['chat'] },
    ])
    expect(await outcome(connect(), { type: 'auth', token })).toBe('invalid_credential')
  })

  test('as a subprotocol: accepted at the 101, stripped, never echoed', async () => {
    const { make, connect, accepted } = await stage()
    for (const target of [path, '/strict']) {
      const token = await make({ path: target })
      const ws = connect(['chat.v1', asSubprotocol(token)], {}, target)
      await once(ws, 'open')
      expect(ws.protocol).toBe('chat.v1')
      ws.close()
    }
    expect(accepted).toHaveLength(2)
  })

  test.each([
    ['alone, without a real subprotocol', (token: string) => [asSubprotocol(token)]],
    ['twice', (token: string) => ['chat.v1', asSubprotocol(token), asSubprotocol(altered(token))]],
    ['altered', (token: string) => ['chat.v1', asSubprotocol(altered(token))]],
  ])('a subprotocol %s does not count, nor does the cookie of the same request', async (_, protocols) => {
    const { make, connect, accepted, cookie, events } = await stage()
    const token = await make({ path: '/strict' })
    const answer = await outcome(connect(protocols(token), { cookie }, '/strict'))
    // A client that offered only secrets closes the socket itself, because none of its subprotocols was
    // selected.
    expect(answer).toBe(protocols(token).length === 1 ? 'closed 1006 ' : 'closed 4401 invalid_credential')
    expect(events.flatMap((event) => ('code' in event ? event.code : []))).toContain('invalid_credential')
    expect(accepted).toEqual([])
  })

  test('in the query only if configured, and it is logged nowhere', async () => {
    const without = await stage()
    const refused = without.connect([], {}, `/strict?ticket=${await without.make({ path: '/strict' })}`)
    expect(await outcome(refused)).toBe('closed 4401 auth_required')

    const { make, connect, gate, events, accepted } = await stage({ query: 'ticket' })
    const token = await make({ path: '/strict' })
    const ws = connect([], {}, `/strict?ticket=${token}`)
    await once(ws, 'open')
    expect(accepted).toHaveLength(1)
    expect(await outcome(connect([], {}, `/strict?ticket=${token}`))).toBe('closed 4401 invalid_credential')
    const twice = `/strict?ticket=${await make({ path: '/strict' })}&ticket=x`
    expect(await outcome(connect([], {}, twice))).toBe('closed 4401 invalid_credential')
    const explained = await gate.explain(upgradeRequest(`/strict?ticket=${token}`))
    expect(JSON.stringify([events, explained.steps])).not.toContain(token.slice(0, 20))
    ws.terminate()
  })
})

/** A request as the `upgrade` event carries it. */
function upgradeRequest(url: string, headers: Record<string, string> = {}): NodeRequest {
  const all = {
    host: 'gateway.example.com',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    origin,
    ...headers,
  }
  const native = { method: 'GET', url, headers: all, rawHeaders: Object.entries(all).flat(), socket: {} }
  return new NodeRequest('upgrade', native as never)
}

describe('a ticket is bound by', () => {
  test('its path, its origin, 30 seconds', async () => {
    const { make, tickets, clock } = await stage()
    const verify = async (token: string, context: object) => {
      const answer = await tickets.verify(token, { ...here, ...context })
      return answer.outcome === 'rejected' ? answer.code : answer.outcome
    }
    expect(await verify(await make(), { path: '/strict' })).toBe('invalid_credential')
    expect(await verify(await make(), { origin: 'https://other.example.com' })).toBe('invalid_credential')
    expect(await verify(await make(), { origin: undefined })).toBe('invalid_credential')
    expect(await verify(await make({ origin: undefined }), {})).toBe('invalid_credential')
    expect(await verify(await make({ origin: undefined }), { origin: undefined })).toBe('authenticated')
    const [early, late] = [await make(), await make()]
    clock.advance(29_999)
    expect(await verify(early, {})).toBe('authenticated')
    clock.advance(1)
    expect(await verify(late, {})).toBe('expired_credential')
  })

  test('the session: revoking it ends issued tickets (section 4 item 12)', async () => {
    for (const [how, end] of [
      ['the session', ({ services, session }: Stage) => services.sessions.revoke(session.session.id)],
      ['all sessions', ({ services, account }: Stage) => services.sessions.revokeAll(account.id)],
      ['the account', ({ services, account }: Stage) => services.accounts.disable(account.id)],
      ['a scope', ({ services, account }: Stage) => services.accounts.setScopes(account.id, [])],
    ] as const) {
      const set = await stage()
      const token = await set.make()
      await end(set)
      expect(await set.tickets.verify(token, here), how).toMatchObject({
        outcome: 'rejected',
        code: 'revoked_credential',
      })
    }
  })

  test('the current records: a revocation elsewhere counts even before it is heard of', async () => {
    const store = memoryStore()
    const one = await stage({ store })
    const two = createServices({ store, clock: one.clock, limits: { logInterval: 0 } })
    open.push(() => two.close())
    const principal = await one.principalOf()
    await two.sessions.revoke(one.session.session.id)
    const { ticket } = await one.tickets.create(principal, { path, origin })
    expect(await one.tickets.verify(ticket, here)).toMatchObject({ code: 'revoked_credential' })

    const key = await one.services.keys.create({ name: 'ci', scopes: ['a', 'b'] })
    const answer = await one.services.keys.verify(key.token)
    if (answer.outcome !== 'authenticated') throw new Error(answer.outcome)
    await two.keys.setScopes(key.id, ['a'])
    const early = await one.tickets.create(answer.principal, { path, origin })
    expect(await one.tickets.verify(early.ticket, here)).toMatchObject({ code: 'revoked_credential' })
    await one.services.revocations.sync()
    const narrowed = await one.tickets.create(answer.principal, { path, origin })
    expect(await one.tickets.verify(narrowed.ticket, here)).toMatchObject({ principal: { scopes: ['a'] } })
    await two.keys.revoke(key.id)
    const revoked = await one.tickets.create(answer.principal, { path, origin })
    expect(await one.tickets.verify(revoked.ticket, here)).toMatchObject({ code: 'revoked_credential' })
  })

  test('a revocation elsewhere that was unknown when the ticket was made, even without a record', async () => {
    const store = memoryStore()
    const one = await stage({ store })
    const two = createServices({ store, clock: one.clock, limits: { logInterval: 0 } })
    open.push(() => two.close())
    const { sessionId: _, ...principal } = { ...(await one.principalOf()), id: 'grace', scheme: 'request' }
    const before = await one.tickets.create(principal, { path, origin })
    expect(await one.tickets.verify(before.ticket, here)).toMatchObject({ outcome: 'authenticated' })
    await two.revocations.revoke({ principalId: 'grace' })
    const { ticket } = await one.tickets.create(principal, { path, origin })
    expect(await one.tickets.verify(ticket, here)).toMatchObject({ code: 'revoked_credential' })
    // After the revocation was read, a new proof is later than the revocation and counts.
    await one.services.revocations.sync()
    const after = await one.tickets.create(principal, { path, origin })
    expect(await one.tickets.verify(after.ticket, here)).toMatchObject({ outcome: 'authenticated' })
  })

  test('an end that never comes, and a store that keeps JSON', async () => {
    const memory = memoryStore()
    const { add } = memory.tickets
    const store = {
      ...memory,
      tickets: { ...memory.tickets, add: (record: TicketRecord, most: number) => add(written(record), most) },
    }
    const written = (record: TicketRecord) => JSON.parse(JSON.stringify(record)) as TicketRecord
    const { tickets, principalOf } = await stage({ store })
    const principal = { ...(await principalOf()), expiresAt: Number.POSITIVE_INFINITY }
    const { ticket } = await tickets.create(principal, { path, origin })
    expect(await tickets.verify(ticket, here)).toMatchObject({ outcome: 'authenticated' })
    const verified = await tickets.verify((await tickets.create(principal, { path, origin })).ticket, here)
    expect(verified).not.toHaveProperty('principal.expiresAt')
  })

  test('expired tickets are removed, even if the clock was set back', async () => {
    const memory = memoryStore()
    const purged: number[] = []
    const store = {
      ...memory,
      tickets: {
        ...memory.tickets,
        async purge(before: number, atMost: number) {
          purged.push(before)
          return memory.tickets.purge(before, atMost)
        },
      },
    }
    let now = Date.UTC(2026, 0, 1)
    const clock = { now: () => now, setTimer: () => ({ cancel() {} }) }
    const services = createServices({ store, clock, limits: { logInterval: 0 } })
    const principal: Principal = {
      kind: 'user',
      id: 'grace',
      scheme: 'request',
      scopes: [],
      roles: [],
      attributes: {},
    }
    for (const step of [0, 1_000, -3_600_000, 1_000, 30_000]) {
      now += step
      await services.tickets.create(principal, { path, origin })
    }
    expect(purged).toHaveLength(3)
    await services.close()
  })

  test('one use, even on two instances at once', async () => {
    const store = memoryStore()
    const one = await stage({ store })
    const two = createServices({ store, clock: one.clock, limits: { logInterval: 0 } })
    open.push(() => two.close())
    const token = await one.make()
    const answers = await Promise.all(
      [one.tickets, two.tickets, one.tickets, two.tickets].map((t) => t.verify(token, here)),
    )
    expect(answers.map(({ outcome }) => outcome).sort()).toEqual([
      'authenticated',
      'rejected',
      'rejected',
      'rejected',
    ])
  })

  test('neither its public id nor `explain` uses it up', async () => {
    const { make, tickets, gate } = await stage()
    const token = await make()
    const forged = createToken('ugt', token.slice(4, 16), randomBytes)
    expect(await tickets.verify(forged, here)).toMatchObject({ code: 'invalid_credential' })
    const offered = { 'sec-websocket-protocol': `chat.v1, ${asSubprotocol(token)}` }
    const explained = await gate.explain(upgradeRequest(path, offered))
    expect(explained.decision.outcome).toBe('allow')
    expect(JSON.stringify(explained.steps)).not.toContain(Buffer.from(token).toString('base64url'))
    expect(await tickets.verify(token, here)).toMatchObject({ outcome: 'authenticated' })
  })

  test('at most 20 at a time: the oldest go', async () => {
    const { make, tickets } = await stage()
    const all = []
    for (let i = 0; i < 21; i++) all.push(await make())
    const outcomes = []
    for (const token of all) outcomes.push((await tickets.verify(token, here)).outcome)
    expect(outcomes).toEqual(['rejected', ...Array(20).fill('authenticated')])
  })

  test('a store that cannot answer is not a bad ticket', async () => {
    const { make, tickets, store } = await stage()
    const token = await make()
    await store.close()
    expect(await tickets.verify(token, here)).toMatchObject({ outcome: 'unavailable' })
  })
})

type Stage = Awaited<ReturnType<typeof stage>>

describe('the endpoint', () => {
  async function post({ port }: Stage, body: string, headers: Record<string, string>, method = 'POST') {
    const { request } = await import('node:http')
    const asked = request({
      port,
      host: '127.0.0.1',
      path: '/api/tickets',
      method,
      headers: { host: 'gateway.example.com', ...headers },
    })
    asked.end(body)
    const [response] = (await once(asked, 'response')) as [import('node:http').IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    return {
      status: response.statusCode,
      headers: response.headers,
      body: JSON.parse(text) as Record<string, string>,
    }
  }

  test('gives a ticket, ready to be offered, to an own page with a session', async () => {
    const set = await stage()
    const made = await post(set, JSON.stringify({ path }), { cookie: set.cookie, origin })
    expect(made).toMatchObject({ status: 201, headers: { 'cache-control': 'no-store' } })
    const ws = set.connect(['chat.v1', made.body.subprotocol as string])
    await once(ws, 'open')
    expect(set.accepted).toMatchObject([{ id: set.account.id }])
    ws.terminate()
    expect(JSON.stringify(set.events)).not.toContain(made.body.ticket)
  })

  test('refuses unknown clients, foreign pages, other methods and other paths', async () => {
    const set = await stage()
    const { cookie } = set
    const body = JSON.stringify({ path })
    expect(await post(set, body, { origin })).toMatchObject({ status: 401, body: { code: 'auth_required' } })
    expect(await post(set, body, { cookie, origin: 'https://evil.example' })).toMatchObject({ status: 403 })
    expect(await post(set, '', { cookie, origin }, 'GET')).toMatchObject({
      status: 405,
      headers: { allow: 'POST' },
    })
    for (const bad of [
      JSON.stringify({ path: '/other' }),
      '{',
      'null',
      JSON.stringify({ path: [path] }),
      `"${'x'.repeat(9000)}"`,
    ]) {
      expect(await post(set, bad, { cookie, origin })).toMatchObject({
        status: 404,
        body: { code: 'unknown_path' },
      })
    }
  })

  test.each([
    ['revoked_credential', (t: Slow) => t.services.revocations.revoke({ principalId: 'grace' })],
    ['expired_credential', async (t: Slow) => t.clock.advance(60_000)],
  ] as const)('refuses a client that holds its body back until after a %s', async (code, meanwhile) => {
    const t = await slow()
    const { request } = await import('node:http')
    const asked = request({
      port: t.port,
      host: '127.0.0.1',
      path: '/api/tickets',
      method: 'POST',
      headers: { host: 'gateway.example.com', cookie: 'sid=1', origin },
    })
    asked.flushHeaders()
    await t.decided
    await meanwhile(t)
    asked.end(JSON.stringify({ path }))
    const [response] = (await once(asked, 'response')) as [import('node:http').IncomingMessage]
    let text = ''
    for await (const chunk of response) text += String(chunk)
    expect([response.statusCode, JSON.parse(text)]).toMatchObject([401, { code }])
  })

  type Slow = Awaited<ReturnType<typeof slow>>

  /** Behind the application's own login: no record of ours shows the revocation or expiry. */
  async function slow() {
    const clock = manualClock()
    const services = createServices({ clock, store: memoryStore(), limits: { logInterval: 0 } })
    const gate = createGate({
      clock,
      origins: [origin],
      schemes: [
        fromRequest(() => ({ id: 'grace', expiresAt: clock.now() + 60_000 }), {
          cookie: 'sid',
          revocations: services.revocations,
        }),
      ],
    })
    const endpoint = ticketEndpoint(gate, { tickets: services.tickets, paths: [path] })
    const server = createServer()
    guardServer(server, gate)
    const decided = new Promise<void>((resolve) => {
      server.on('request', (asked, answer) => {
        void endpoint(asked, answer)
        resolve()
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.push(async () => {
      gate.close()
      await services.close()
      server.closeAllConnections()
      server.close()
    })
    return { clock, services, decided, port: (server.address() as AddressInfo).port }
  }

  test('wrong options throw and name the remedy', async () => {
    const { gate, tickets, services, principalOf } = await stage()
    expect(() => ticketEndpoint(gate, { tickets, paths: [] })).toThrow(
      '`paths` must be a list of the paths of WebSockets',
    )
    expect(() => ticket({ tickets, query: '?' })).toThrow('`query` must be the name of a query parameter')
    expect(() => ticket({} as never)).toThrow('ticket: `tickets` is missing')
    expect(() => createServices({ store: memoryStore(), tickets: { lifetime: 1 } })).toThrow(
      'createServices: `tickets.lifetime` must be a whole number of milliseconds from 1,000 to 120,000, not 1.',
    )
    await expect(services.tickets.create(await principalOf(), { path: '/ws?x', origin })).rejects.toThrow(
      '`path` must be',
    )
  })
})
