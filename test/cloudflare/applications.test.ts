/*
 * Two Access applications in front of one origin: everyone's files and the administration. An AUD that was accepted
 * anywhere was accepted everywhere, so that the login of the one opened the other to a client that reached the origin
 * past the edge, or by a path that the edge lets bypass.
 */
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createEdgeSim } from '@upgate/edge-sim'
import express from 'express'
import { createGate, createServices, memoryStore, type RuleOptions, ticket } from 'upgate'
import { byEmail, cloudflareAccess } from 'upgate/cloudflare-access'
import { expressGate } from 'upgate/express'
import { explain, ticketEndpoint } from 'upgate/node'
import { authFrame } from 'upgate/protocol'
import { manualClock } from 'upgate/testing'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { TestSocket } from '../gateway/socket.ts'

const site = 'https://gateway.example.com'
const host = 'gateway.example.com'
const files = 'a'.repeat(64)
const admin = 'b'.repeat(64)
const clock = manualClock(Date.UTC(2026, 9, 1))
const sim = createEdgeSim({
  clock,
  idleCutMs: 3_600_000,
  users: ['ada@example.com', 'eve@example.com'].map((email) => ({ email })),
  applications: [
    { name: 'files', host, aud: files, policies: [{ action: 'service_auth' }, { action: 'allow' }] },
    { name: 'admin', host, path: '/admin', aud: admin, policies: [{ action: 'allow' }] },
    // Lets everything through, with whatever headers the client sends.
    { name: 'hooks', host, path: '/admin/hooks', policies: [{ action: 'bypass' }] },
  ],
})
const services = createServices({ store: memoryStore(), clock, limits: { logInterval: 0 } })

const login = ['cloudflare-access', 'ticket']
const handshake = upgateHandshake({ refresh: true })
const rules: readonly RuleOptions[] = [
  { path: '/admin/ws', access: 'deferred', schemes: login, audience: [admin], handshake },
  {
    path: '/admin/agreed',
    access: 'deferred',
    schemes: login,
    audience: [admin],
    handshake,
    agreesWithEdge: (edge, principal) =>
      edge.id === principal.id && edge.attributes.email === 'ada@example.com',
  },
  { path: '/admin/note', access: 'optional', audience: [admin] },
  // A protocol of the application's own, without a handshake.
  { path: '/admin/live', access: 'required', schemes: login, kinds: ['user'], audience: [admin] },
  { path: '/admin/*', access: 'required', kinds: ['user', 'service'], audience: [admin] },
  { path: '/files/ws', access: 'deferred', schemes: login, audience: [files], handshake },
  { path: '/both', access: 'required', audience: [files, admin] },
  { path: '/*', access: 'required', kinds: ['user', 'service'], audience: [files] },
]

const access = cloudflareAccess({
  team: 'acme',
  audience: [files, admin],
  identify: byEmail(services.accounts),
  services: {},
  revocations: services.revocations,
  fetch: sim.fetch,
  clock,
})
const gate = createGate({
  origins: [site],
  clock,
  rules,
  schemes: [access, ticket({ tickets: services.tickets })],
})
let origin = ''
let end = async (): Promise<void> => {}
const sockets: TestSocket[] = []

beforeAll(async () => {
  await sim.start()
  for (const email of ['ada@example.com', 'eve@example.com']) await services.accounts.create({ email })
  const app = express()
  app.use(expressGate(gate))
  // Lax on purpose: the rules have to hold what the endpoint does not.
  const tickets = ticketEndpoint(gate, {
    tickets: services.tickets,
    paths: ['/admin/ws', '/admin/agreed', '/admin/live', '/files/ws'],
  })
  app.post(['/tickets', '/admin/tickets'], tickets)
  app.get(
    '/admin/explain',
    async (request, response) => void response.json((await explain(gate, request)).steps),
  )
  app.use((request, response) => void response.json({ id: gate.principalOf(request)?.displayName ?? null }))
  const server = createServer(app)
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (socket, request) => {
    socket.on('message', async (data) => {
      const { renew } = JSON.parse(String(data)) as { renew?: string }
      if (renew === undefined) return socket.send(String(data))
      const answer = await guarded.refresh(socket, request, renew)
      socket.send(JSON.stringify(answer.outcome === 'allow' ? 'allow' : answer.code))
    })
  })
  const guarded = guardServer(server, gate, {
    sockets: { '/admin/ws': wss, '/admin/agreed': wss, '/admin/live': wss, '/files/ws': wss },
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  sim.addHost(host, origin)
  end = async () => {
    void guarded.close()
    clock.advance(60_000)
    server.close()
    server.closeAllConnections()
    gate.close()
    access.close()
    await services.close()
    await sim.stop()
  }
})
afterAll(() => end())
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close()
})

const tokenOf = (application: 'files' | 'admin', email = 'ada@example.com') =>
  sim.issueUserToken(application, email)
const header = (token: string) => ({ 'cf-access-jwt-assertion': token })
const cookie = (token: string) => ({ cookie: `CF_Authorization=${token}` })

/** A request past the edge. */
async function direct(
  path: string,
  headers: Readonly<Record<string, string>>,
  method = 'GET',
  body?: string,
) {
  const sent = request(`${origin}${path}`, {
    method,
    agent: false,
    headers: { host, 'content-type': 'application/json', ...headers },
  })
  sent.end(body)
  const [answer] = await once(sent, 'response')
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) text += chunk
  return { status: answer.statusCode as number, body: JSON.parse(text) as Record<string, unknown> }
}

/** A ticket that a page of the site gets with a token, at the endpoint of one application. */
async function ticketFor(path: string, endpoint: string, token: string): Promise<string> {
  const answer = await direct(endpoint, { ...header(token), origin: site }, 'POST', JSON.stringify({ path }))
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
  return answer.body.ticket as string
}

/** A socket past the edge, as of a page of the site. */
function socketAt(path: string, headers: Readonly<Record<string, string>> = {}): TestSocket {
  const socket = new TestSocket(`${origin}${path}`, { host, origin: site, ...headers })
  sockets.push(socket)
  return socket
}

const foreign = 'The identity was issued for another application of the edge than this path takes.'

describe('a rule that names an application', () => {
  it('is open to its login through the edge, and so is the other application’s', async () => {
    for (const [application, path] of [
      ['files', '/x'],
      ['admin', '/admin/x'],
      ['files', '/both'],
      ['admin', '/admin/note'],
    ] as const) {
      const answer = await sim.fetch(site + path, {
        headers: cookie(await tokenOf(application)),
        redirect: 'manual',
      })
      expect([answer.status, await answer.json()], path).toEqual([200, { id: 'ada@example.com' }])
    }
  })

  it('takes no token of another application: as header, as cookie, on any method, past the edge or by a path that bypasses it', async () => {
    const token = await tokenOf('files')
    for (const method of ['GET', 'POST', 'DELETE']) {
      const bad = await direct('/admin/x', { ...header(token), origin: site }, method)
      expect([bad.status, bad.body.code, bad.body.detail], method).toEqual([
        401,
        'invalid_credential',
        foreign,
      ])
      const ambient = await direct('/admin/x', { ...cookie(token), origin: site }, method)
      expect([ambient.status, ambient.body.code], method).toEqual([401, 'auth_required'])
    }
    // The edge strips nothing here: the forged header arrives.
    const bypassed = await sim.fetch(`${site}/admin/hooks/x`, { headers: header(token), redirect: 'manual' })
    expect([bypassed.status, bypassed.headers.get('upgate-refusal')]).toEqual([
      401,
      'invalid_credential; gate="upgate"',
    ])
    // A bad header is final; a cookie is as if it were not there.
    expect((await direct('/admin/note', header(token))).status).toBe(401)
    expect((await direct('/admin/note', cookie(token))).body).toEqual({ id: null })
    // In both places, each of another application: the header decides.
    expect((await direct('/admin/x', { ...header(await tokenOf('admin')), ...cookie(token) })).status).toBe(
      200,
    )
    expect((await direct('/admin/x', { ...header(token), ...cookie(await tokenOf('admin')) })).status).toBe(
      401,
    )
    // Odd spellings of the path meet the stricter answer.
    for (const path of ['/ADMIN/x', '/%61dmin/x', '//admin/x', '/x/../admin/x', '/admin;a/x']) {
      expect((await direct(path, header(token))).status, path).not.toBe(200)
    }
  })

  it('is not opened by a token that the cache knows from another rule, whatever the order', async () => {
    const [one, other] = [await tokenOf('files'), await tokenOf('admin')]
    const asked = Array.from({ length: 60 }, (_, at) => {
      const [token, path] = [at % 2 === 0 ? one : other, at % 3 === 0 ? '/x' : '/admin/x']
      return { token, path, right: (token === one) === (path === '/x') }
    })
    // All at once, for tokens never seen before, and again when all are known.
    for (let round = 0; round < 2; round++) {
      const answers = await Promise.all(asked.map(({ token, path }) => direct(path, header(token))))
      expect(answers.map(({ status }) => status)).toEqual(asked.map(({ right }) => (right ? 200 : 401)))
    }
  })

  it('takes no service token of another application', async () => {
    const { headers, clientId } = sim.addServiceToken({ name: 'backup' }) as unknown as {
      headers: Record<string, string>
      clientId: string
    }
    expect(clientId).toBeTypeOf('string')
    const seen: string[] = []
    const other = createServer((request, response) => {
      seen.push(String(request.headers['cf-access-jwt-assertion']))
      response.end()
    }).listen(0, '127.0.0.1')
    await once(other, 'listening')
    sim.addHost(host, `http://127.0.0.1:${(other.address() as AddressInfo).port}`)
    await sim.fetch(`${site}/x`, { headers })
    sim.addHost(host, origin)
    other.close()
    const gateFor = (audience: readonly string[]) => {
      const scheme = cloudflareAccess({
        team: 'acme',
        audience: [files, admin],
        services: { [clientId]: { id: 'backup', scopes: [] } },
        fetch: sim.fetch,
        clock,
      })
      return createGate({
        origins: [site],
        clock,
        schemes: [scheme],
        rules: [{ path: '/*', access: 'required', kinds: ['service'], audience }],
      })
    }
    const ask = (audience: readonly string[]) => {
      const headers = { host, ...header(seen[0] ?? '') }
      const rawHeaders = Object.entries(headers).flat()
      return gateFor(audience).decide({
        kind: 'http',
        method: 'GET',
        target: '/x',
        headers,
        rawHeaders,
        encrypted: true,
      })
    }
    expect(await ask([files])).toMatchObject({
      outcome: 'allow',
      principal: { id: 'backup', audiences: [files] },
    })
    expect(await ask([admin])).toMatchObject({ outcome: 'challenge', code: 'invalid_credential' })
  })

  it('lets no socket in by it: at the upgrade, by a ticket in a frame, or by one as subprotocol', async () => {
    const token = await tokenOf('files')
    for (const headers of [header(token), cookie(token)]) {
      const waiting = socketAt('/admin/ws', headers)
      expect((await waiting.upgraded).status).toBe(101)
      waiting.send(authFrame({ token: 'ugt_nothing' }))
      expect((await waiting.message()).type).toBe('auth_error')
      clock.advance(2_000)
      expect((await waiting.closed).code).toBe(4401)
    }
    const byFrame = socketAt('/admin/ws')
    await byFrame.upgraded
    byFrame.send(authFrame({ token: await ticketFor('/admin/ws', '/tickets', token) }))
    expect(await byFrame.message()).toMatchObject({
      type: 'auth_error',
      code: 'invalid_credential',
      message: expect.stringContaining(foreign),
    })
    clock.advance(2_000)
    expect((await byFrame.closed).code).toBe(4401)
    const carried = await ticketFor('/admin/ws', '/tickets', token)
    const inOffer = `base64url.bearer.authorization.k8s.io.${Buffer.from(carried).toString('base64url')}`
    const bySubprotocol = new WebSocket(`${origin.replace('http', 'ws')}/admin/ws`, ['chat', inOffer], {
      headers: { host, origin: site },
    })
    await once(bySubprotocol, 'open')
    bySubprotocol.send('"hello"')
    const [answer] = await once(bySubprotocol, 'message')
    expect(JSON.parse(String(answer)).type).toBe('auth_error')
    clock.advance(2_000)
    expect([4400, 4401]).toContain((await once(bySubprotocol, 'close'))[0])
    expect(gate.connections.size).toBe(0)

    const own = socketAt('/admin/ws')
    await own.upgraded
    own.send(authFrame({ token: await ticketFor('/admin/ws', '/admin/tickets', await tokenOf('admin')) }))
    expect((await own.message()).type).toBe('auth_ok')
  })

  it('says in `explain`, and to the operator, which application the identity is of', async () => {
    const token = await tokenOf('files')
    const headers = { host, ...cookie(token) }
    const asked = {
      kind: 'http',
      method: 'GET',
      target: '/admin/x',
      headers,
      rawHeaders: [],
      encrypted: true,
    } as const
    const { steps } = await gate.explain(asked)
    const said = steps.map(({ step, detail }) => `${step}: ${detail}`)
    const note = `The rule takes identities of the edge's applications ${admin}; this one is of ${files}.`
    expect(said).toContain(`scheme cloudflare-access: cookie CF_Authorization does not count here. ${note}`)
    expect(said.find((line) => line.startsWith('rule: '))).toContain(`edge applications ${admin}`)
    const events: unknown[] = []
    const stop = gate.events.subscribe((event) => events.push(event))
    await direct('/admin/x', header(token))
    stop()
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'refused', code: 'invalid_credential', note }),
    )
  })
})

describe('an Access login on a live socket', () => {
  const lifetime = 600_000
  const start = async (path: string) => {
    sim.configureApplication('admin', { sessionSeconds: lifetime / 1_000 })
    const to = sim.to(`${site.replace('http', 'ws')}${path}`)
    const socket = new TestSocket(to.url, { ...to.headers, ...cookie(await tokenOf('admin')), origin: site })
    sockets.push(socket)
    expect((await socket.upgraded).status).toBe(101)
    socket.send('"hello"')
    expect(await socket.message()).toBe('hello')
    return { socket, ends: clock.now() + lifetime }
  }
  const refresh = (token: string) => JSON.stringify({ type: 'auth_refresh', token })

  it.each(['/admin/ws', '/admin/agreed'])(
    'is renewed on %s by tickets from authenticated POSTs, each to the end of its assertion and no further',
    async (path) => {
      const { socket } = await start(path)
      let ends = 0
      for (let round = 0; round < 3; round++) {
        clock.advance(lifetime - 30_000)
        ends = clock.now() + lifetime
        socket.send(refresh(await ticketFor(path, '/admin/tickets', await tokenOf('admin'))))
        const renewed = await socket.messageOf('auth_refreshed')
        expect(renewed).toMatchObject({ expiresAt: Math.floor(ends / 1_000) * 1_000 })
      }
      clock.advance(ends - clock.now() - 1)
      socket.send('"still here"')
      while ((await socket.message()) !== ('still here' as never));
      clock.advance(1)
      expect(await socket.closed).toMatchObject({ code: 4401, reason: 'auth_expired' })
    },
  )

  it('is renewed by the application, too, where the protocol is its own', async () => {
    const { socket, ends } = await start('/admin/live')
    const renew = async (ticket: string) => {
      socket.send(JSON.stringify({ renew: ticket }))
      return socket.message()
    }
    clock.advance(60_000)
    expect(await renew(await ticketFor('/admin/live', '/tickets', await tokenOf('files')))).toBe(
      'invalid_credential',
    )
    const later = clock.now() + lifetime
    expect(await renew(await ticketFor('/admin/live', '/admin/tickets', await tokenOf('admin')))).toBe(
      'allow',
    )
    clock.advance(ends + 30_000 - clock.now())
    socket.send('"past the first login"')
    expect(await socket.message()).toBe('past the first login')
    clock.advance(later - clock.now())
    expect(await socket.closed).toMatchObject({ code: 4401, reason: 'auth_expired' })
  })

  it('is not renewed by a ticket of another application, or by a used one', async () => {
    const { socket } = await start('/admin/ws')
    const used = await ticketFor('/admin/ws', '/admin/tickets', await tokenOf('admin'))
    clock.advance(1_000)
    socket.send(refresh(used))
    expect((await socket.message()).type).toBe('auth_refreshed')
    for (const token of [used, await ticketFor('/admin/ws', '/tickets', await tokenOf('files'))]) {
      clock.advance(60_000)
      socket.send(refresh(token))
      expect(await socket.messageOf('auth_refresh_failed')).toMatchObject({
        code: expect.stringMatching(/^(?:invalid|expired)_credential$/),
      })
    }
    clock.advance(lifetime)
    expect(await socket.closed).toMatchObject({ code: 4401, reason: 'auth_expired' })
  })

  it('is not renewed by a ticket of another person: the socket is closed', async () => {
    const { socket } = await start('/admin/ws')
    socket.send(
      refresh(await ticketFor('/admin/ws', '/admin/tickets', await tokenOf('admin', 'eve@example.com'))),
    )
    expect(await socket.messageOf('auth_refresh_failed')).toMatchObject({ code: 'principal_mismatch' })
    expect((await socket.closed).code).toBe(4403)
  })

  it('ends at once when the access ends, and a ticket from before does not bring it back', async () => {
    const { socket } = await start('/admin/ws')
    const kept = await ticketFor('/admin/ws', '/admin/tickets', await tokenOf('admin'))
    const account = await services.accounts.byEmail('ada@example.com')
    clock.advance(1_000)
    await services.accounts.endAccess(account?.id ?? '')
    expect((await socket.closed).code).toBe(4403)
    const back = socketAt('/admin/ws')
    await back.upgraded
    back.send(authFrame({ token: kept }))
    expect(await back.message()).toMatchObject({ type: 'auth_error', code: 'revoked_credential' })
  })
})

describe('at construction', () => {
  const scheme = (name?: string) =>
    cloudflareAccess({ team: 'acme', audience: [files], ...(name !== undefined && { name }) })

  it('an AUD that the scheme does not take throws, and so does one without an edge or on a public rule', () => {
    const make = (rule: Partial<RuleOptions>) => () =>
      createGate({
        origins: [site],
        schemes: [scheme()],
        rules: [{ path: '/a', access: 'required', ...rule }],
      })
    expect(make({ audience: [files] })).not.toThrow()
    expect(make({ audience: [files, admin] })).toThrow(
      /`rules\[0\]`: `audience\[1\]` is an AUD tag that no scheme of this gate takes; add it to `audience` of cloudflareAccess/,
    )
    expect(make({ audience: files as never })).toThrow(
      /`audience` must be a non-empty list of names, not a string/,
    )
    expect(make({ audience: [] })).toThrow(/`audience` must be a non-empty list/)
    expect(make({ access: 'public', audience: [files] })).toThrow(/`audience` has no meaning there/)
    expect(() =>
      createGate({
        origins: [site],
        schemes: [ticket({ tickets: services.tickets })],
        rules: [{ path: '/a', access: 'required', audience: [files] }],
      }),
    ).toThrow(/needs a scheme of an edge/)
    expect(() => gate.require({ audience: ['c'.repeat(64)] })).toThrow(/^gate\.require: `audience\[0\]`/)
  })

  it('two edge schemes that read one header throw, and the message says what to do instead', () => {
    expect(() => createGate({ origins: [site], schemes: [scheme(), scheme('second')] })).toThrow(
      'has two edge schemes that read the header cf-access-jwt-assertion, "cloudflare-access" and "second"; the second would never count. Give one scheme the AUD tags of all applications',
    )
  })
})
