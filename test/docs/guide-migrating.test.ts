/* The recipes of the guide, with the real libraries: what they say is asserted from outside. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { Browser, type Program, run, Socket } from './sessions-elsewhere.ts'

const guide = 'guide-migrating'
/** How a page, which sends an Origin, is told that it has to log in: the socket opens and is closed. */
const unauthorized = [4401, 'auth_required']

async function start<P extends Program>(heading: string, nth = 0) {
  const { program, stop } = await run<P>(heading, { guide, nth })
  return { program, stop, browser: new Browser(program.server) }
}

/** What every recipe with a cookie has to show. */
function sessionsOf(started: () => { program: Program; browser: Browser }): void {
  const logIn = async (): Promise<string> => {
    // `passport-local` calls them by other names.
    const person = { user: 'ada', username: 'ada', password: 'correct horse' }
    const answer = await started().browser.post('/login', person)
    expect([200, 204]).toContain(answer.status)
    return answer.cookie
  }

  it('lets in requests and upgrades of a session, and no others', async () => {
    const { browser } = started()
    expect((await browser.get('/api/me')).status).toBe(401)
    expect(await browser.open().closed).toEqual(unauthorized)
    const wrong = await browser.post('/login', { user: 'ada', username: 'ada', password: 'wrong' })
    expect(wrong.status).toBe(401)
    const cookie = await logIn()
    const answer = await browser.get('/api/me', cookie)
    expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { id: 'ada' }])
    const socket = browser.open(cookie)
    expect(await socket.message()).toBe('hello ada')
    socket.ws.terminate()
    await socket.closed
  })

  it('takes a session that was tampered with for none', async () => {
    const { browser } = started()
    const cookie = (await logIn()).replaceAll(/(=[^;]{6})./g, '$1_')
    expect((await browser.get('/api/me', cookie)).status).toBe(401)
    expect(await browser.open(cookie).closed).toEqual(unauthorized)
  })

  it('refuses pages of another origin', async () => {
    const { browser } = started()
    const cookie = await logIn()
    expect(await browser.open(cookie, 'https://evil.example').refused).toBe(403)
    const foreign = await browser.post('/logout', {}, cookie, 'https://evil.example')
    expect([foreign.status, JSON.parse(foreign.body).code]).toEqual([403, 'origin_refused'])
  })

  it('ends the sockets of a session that logs out, and no others', async () => {
    const { program, browser } = started()
    const [first, second] = [await logIn(), await logIn()]
    const sockets = [browser.open(first), browser.open(second)]
    for (const socket of sockets) await socket.message()
    const secret = decodeURIComponent(/=([^;]+)/.exec(first)?.[1] ?? '').replace(/^s:|\..*$/g, '')
    const live = [...program.gate.connections.list()]
    expect(live.length).toBe(2)
    expect(JSON.stringify(live.map(({ principal }) => principal))).not.toContain(secret)
    expect((await browser.post('/logout', {}, first)).status).toBe(204)
    expect(await sockets[0]?.closed).toEqual([4403, 'logged_out'])
    expect((await browser.get('/api/me', first)).status).toBe(401)
    expect(program.gate.connections.size).toBe(1)
    sockets[1]?.ws.terminate()
    await sockets[1]?.closed
  })
}

describe('passport', () => {
  let started: Awaited<ReturnType<typeof start>>
  beforeAll(async () => {
    started = await start('passport')
  })
  afterAll(() => started.stop())
  sessionsOf(() => started)
})

describe('koa-session', () => {
  type Kept = Program & { readonly kept: Map<string, Record<string, unknown>> }
  let started: Awaited<ReturnType<typeof start<Kept>>>
  beforeAll(async () => {
    started = await start<Kept>('koa-session')
  })
  afterAll(() => started.stop())
  sessionsOf(() => started)

  it('is not judged when its store fails: 503, never 401', async () => {
    const { program, browser } = started
    const { cookie } = await browser.post('/login', { user: 'ada', password: 'correct horse' })
    vi.spyOn(program.kept, 'get').mockImplementation(() => {
      throw new Error('no connection')
    })
    const answer = await browser.get('/api/me', cookie)
    const closed = await browser.open(cookie).closed
    vi.restoreAllMocks()
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([503, 'unavailable'])
    expect(closed).toEqual([1013, 'unavailable'])
  })
})

async function token(claims: Record<string, unknown> = {}, key = 'change me: 32 characters at least') {
  return new SignJWT({ scope: 'chat', ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('ada')
    .setIssuer('https://login.example.com')
    .setAudience('gateway')
    .setExpirationTime(typeof claims.exp === 'number' ? claims.exp : '1h')
    .sign(new TextEncoder().encode(key))
}

const unsigned = `${btoa('{"alg":"none"}')}.${btoa('{"sub":"ada"}')}.`.replaceAll('=', '')

function open({ server }: Program, headers: Record<string, string> = {}): Socket {
  const { port } = server.address() as AddressInfo
  return new Socket(
    new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { host: 'localhost:8787', ...headers } }),
  )
}

describe('express-jwt', () => {
  let started: Awaited<ReturnType<typeof start>>
  beforeAll(async () => {
    started = await start('express-jwt')
  })
  afterAll(() => started.stop())

  it('lets in requests and upgrades with a token, as far as its scopes go', async () => {
    const { program, browser } = started
    expect((await browser.get('/health')).status).toBe(200)
    expect((await browser.get('/api/me')).status).toBe(401)
    const authorization = `Bearer ${await token()}`
    const answer = await browser.get('/api/me', undefined, { authorization })
    expect([answer.status, answer.body]).toEqual([200, '{"id":"ada"}'])
    const forbidden = await browser.get('/api/admin', undefined, { authorization })
    expect([forbidden.status, JSON.parse(forbidden.body).code]).toEqual([403, 'insufficient_scope'])
    const admin = `Bearer ${await token({ scope: 'chat admin' })}`
    expect((await browser.get('/api/admin', undefined, { authorization: admin })).status).toBe(200)
    const socket = open(program, { authorization })
    expect(await socket.message()).toBe('hello ada')
    const [live] = [...program.gate.connections.list()]
    expect(live?.principal.expiresAt).toBeGreaterThan(Date.now() + 3_500_000)
    socket.ws.terminate()
    await socket.closed
  })

  it('takes a wrong token for one: 401, and not the 503 of a failure', async () => {
    const { program, browser } = started
    const expired = await token({ exp: 1_000_000_000 })
    const foreign = await token({}, 'another secret, of 32 characters at least')
    for (const wrong of [expired, foreign, unsigned, 'nonsense']) {
      const authorization = `Bearer ${wrong}`
      const answer = await browser.get('/api/me', undefined, { authorization })
      expect([answer.status, JSON.parse(answer.body).code]).toEqual([401, 'invalid_credential'])
      expect(await open(program, { authorization }).refused).toBe(401)
    }
  })
})

describe('tokens in the first frame', () => {
  let started: Awaited<ReturnType<typeof start>>
  beforeAll(async () => {
    started = await start('express-jwt', 1)
  })
  afterAll(() => started.stop())

  async function say(text: string): Promise<Socket> {
    const socket = open(started.program)
    await once(socket.ws, 'open')
    socket.ws.send(JSON.stringify({ type: 'auth', token: text }))
    return socket
  }

  it('count there and in the header', async () => {
    const socket = await say(await token())
    while (socket.messages.length < 2) await once(socket.ws, 'message')
    expect(JSON.parse(socket.messages[0] ?? '')).toMatchObject({ type: 'auth_ok', principal: { id: 'ada' } })
    expect(socket.messages[1]).toBe('hello ada')
    socket.ws.terminate()
    await socket.closed
    const authorization = `Bearer ${await token()}`
    expect((await started.browser.get('/', undefined, { authorization })).body).toBe('ada')
  })

  it.each([
    ['expired_credential', () => token({ exp: 1_000_000_000 })],
    ['invalid_credential', () => token({}, 'another secret, of 32 characters at least')],
    ['invalid_credential', async () => unsigned.replace(/\.$/, '.AA')],
  ])('are refused as %s', async (code, wrong) => {
    const socket = await say(await wrong())
    expect(await socket.closed).toEqual([4401, code])
  })
})

describe('upgrade code of your own', () => {
  type Own = Program & { readonly sessions: Map<string, { user: string; ends: number }> }
  let started: Awaited<ReturnType<typeof start<Own>>>
  beforeAll(async () => {
    started = await start<Own>('Upgrade code of your own')
  })
  afterAll(() => started.stop())

  it('goes on deciding by its own sessions', async () => {
    const { program, browser } = started
    expect((await browser.get('/api/public')).body).toBe('hello stranger')
    expect((await browser.get('/', 'sid=c0ffee')).body).toBe('hello ada')
    const socket = browser.open('sid=c0ffee', undefined, '/ws')
    expect(await socket.message()).toBe('hello ada')
    socket.ws.terminate()
    await socket.closed
    program.sessions.set('0ld', { user: 'ada', ends: Date.now() - 1 })
    for (const cookie of ['sid=unknown', 'sid=0ld'])
      expect(await browser.open(cookie, undefined, '/ws').closed).toEqual(unauthorized)
    expect(await browser.open('sid=c0ffee', 'https://evil.example', '/ws').refused).toBe(403)
  })
})
