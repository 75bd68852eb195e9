/* The programs of the guide, with the real libraries: what they say is asserted from outside. */
import { once } from 'node:events'
import type { betterAuth } from 'better-auth'
import type session from 'express-session'
import type { Services } from 'upgate'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Browser, origin, type Program, run } from './sessions-elsewhere.ts'

/** How a page, which sends an Origin, learns that it has no principal: the socket opens and is closed. */
const nobody = [4401, 'auth_required']

async function countAsNone(browser: Browser, cookies: readonly string[]): Promise<void> {
  const judged = cookies.map(async (cookie) => {
    const answer = await browser.get('/api/me', cookie)
    expect([answer.status, JSON.parse(answer.body).code], cookie).toEqual([401, 'auth_required'])
    expect(await browser.open(cookie).closed, cookie).toEqual(nobody)
  })
  await Promise.all(judged)
}

describe('sessions of express-session', () => {
  let program: Program & { readonly store: session.MemoryStore }
  let stop: () => Promise<void>
  let browser: Browser
  beforeAll(async () => {
    ;({ program, stop } = await run<typeof program>('express-session'))
    browser = new Browser(program.server)
  })
  afterAll(() => stop())

  async function logIn(): Promise<string> {
    const answer = await browser.post('/login', { user: 'ada', password: 'correct horse' })
    expect(answer.status).toBe(204)
    return answer.cookie
  }
  const sessionIdIn = (cookie: string): string =>
    decodeURIComponent(cookie.split('=')[1] ?? '')
      .slice(2)
      .split('.')[0] ?? ''

  it('count for requests and for upgrades, with the roles and scopes of the account', async () => {
    expect((await browser.get('/api/me')).status).toBe(401)
    const cookie = await logIn()
    expect(JSON.parse((await browser.get('/api/me', cookie)).body)).toEqual({ id: 'ada', visits: 1 })
    expect((await browser.get('/api/admin', cookie)).status).toBe(200)
    const socket = browser.open(cookie)
    expect(await socket.message()).toBe('hello ada')
    const [live] = [...program.gate.connections.list()]
    expect(live?.principal).toMatchObject({ id: 'ada', scheme: 'express-session', scopes: ['chat.write'] })
    // The session's id is a secret: a thief can sign nothing with it, but has half of a cookie.
    expect(JSON.stringify(live?.principal)).not.toContain(sessionIdIn(cookie))
    socket.ws.terminate()
    await socket.closed
  })

  // A session that the gate had left on the request was taken for loaded by the application's own middleware, which
  // could then never save it: the counter stayed at 1, and a login was lost.
  it('are saved by the application as if there were no gate', async () => {
    const cookie = await logIn()
    for (const visits of [1, 2, 3]) {
      expect(JSON.parse((await browser.get('/api/me', cookie)).body)).toEqual({ id: 'ada', visits })
    }
  })

  it('that are unknown or were tampered with count as none', async () => {
    const cookie = await logIn()
    const unsigned = `connect.sid=${encodeURIComponent(`s:${sessionIdIn(cookie)}`)}`
    await countAsNone(browser, [`${cookie}x`, unsigned, 'connect.sid=s%3Aunknown.signature', 'connect.sid='])
    // Two of the same name: a site of a parent domain set the other one, which locks no user out.
    for (const both of [`${cookie}; connect.sid=s%3Aother.x`, `connect.sid=s%3Aother.x; ${cookie}`]) {
      expect((await browser.get('/api/me', both)).status).toBe(200)
    }
  })

  it('without a login in them count as none, and are not taken away', async () => {
    const cookie = await logIn()
    const id = sessionIdIn(cookie)
    const known = JSON.parse(
      (program.store as unknown as { sessions: Record<string, string> }).sessions[id] ?? '',
    )
    await new Promise((resolve) => program.store.set(id, { ...known, userId: undefined }, resolve))
    const answer = await browser.get('/api/me', cookie)
    expect([answer.status, answer.headers['set-cookie']]).toEqual([401, undefined])
  })

  it('that have expired count as none', async () => {
    const cookie = await logIn()
    const { sessions } = program.store as unknown as { sessions: Record<string, string> }
    const id = sessionIdIn(cookie)
    const known = JSON.parse(sessions[id] ?? '')
    sessions[id] = JSON.stringify({ ...known, cookie: { ...known.cookie, expires: new Date(0) } })
    expect((await browser.get('/api/me', cookie)).status).toBe(401)
    expect(await browser.open(cookie).closed).toEqual(nobody)
  })

  it('count for pages of an allowed origin only', async () => {
    const cookie = await logIn()
    expect(await browser.open(cookie, 'https://evil.example').refused).toBe(403)
    expect(await browser.open(cookie, 'null').refused).toBe(403)
    // No Origin at all: not a browser, and the cookie does not count.
    expect(await browser.open(cookie, '').refused).toBe(401)
    const foreign = await browser.post('/logout', {}, cookie, 'https://evil.example')
    expect([foreign.status, JSON.parse(foreign.body).code]).toEqual([403, 'origin_refused'])
    expect((await browser.get('/api/me', cookie)).status).toBe(200)
  })

  it.each([
    ['fails', (_id: string, done: (error: Error) => void) => done(new Error('no connection'))],
    [
      'throws',
      () => {
        throw new Error('no connection')
      },
    ],
  ])('cannot be judged when their store %s: 503, never 401', async (_how, get) => {
    const cookie = await logIn()
    const broken = vi.spyOn(program.store, 'get').mockImplementation(get as never)
    const answer = await browser.get('/api/me', cookie)
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([503, 'unavailable'])
    expect(await browser.open(cookie).closed).toEqual([1013, 'unavailable'])
    broken.mockRestore()
    expect((await browser.get('/api/me', cookie)).status).toBe(200)
  })

  // express-session goes on without a session then, as if no user had logged in.
  it('cannot be judged when their store says that it is disconnected', async () => {
    const cookie = await logIn()
    program.store.emit('disconnect')
    expect((await browser.get('/api/me', cookie)).status).toBe(503)
    expect(await browser.open(cookie).closed).toEqual([1013, 'unavailable'])
    program.store.emit('connect')
    expect((await browser.get('/api/me', cookie)).status).toBe(200)
  })

  it('end their live sockets when they are logged out, and no others', async () => {
    const [first, second] = [await logIn(), await logIn()]
    const sockets = [browser.open(first), browser.open(second)]
    for (const socket of sockets) await socket.message()
    expect((await browser.post('/logout', {}, first)).status).toBe(204)
    expect(await sockets[0]?.closed).toEqual([4403, 'logged_out'])
    expect((await browser.get('/api/me', first)).status).toBe(401)
    expect(program.gate.connections.size).toBe(1)
    sockets[1]?.ws.terminate()
    await sockets[1]?.closed
  })

  // The verification had read the session before it was destroyed, and is started again by the revocation: a session
  // left on the request by the first attempt was believed by the second.
  it('that are logged out while an upgrade is being verified do not get in', async () => {
    const cookie = await logIn()
    const original = program.store.get.bind(program.store)
    let answer = (): void => {}
    const asked = new Promise<void>((resolve) => {
      vi.spyOn(program.store, 'get').mockImplementationOnce((id, done) => {
        original(id, (error, found) => {
          answer = () => done(error, found)
          resolve()
        })
      })
    })
    const socket = browser.open(cookie)
    await asked
    expect((await browser.post('/logout', {}, cookie)).status).toBe(204)
    answer()
    expect(await socket.closed).toEqual(nobody)
    expect(socket.messages).toEqual([])
    vi.restoreAllMocks()
  })
})

describe('sessions of better-auth', () => {
  type Row = Record<string, unknown>
  let program: Program & {
    readonly auth: ReturnType<typeof betterAuth>
    readonly services: Services
    readonly database: { readonly user: Row[]; session: Row[] }
  }
  let stop: () => Promise<void>
  let browser: Browser
  let people = 0
  beforeAll(async () => {
    ;({ program, stop } = await run<typeof program>('better-auth'))
    browser = new Browser(program.server)
  })
  afterAll(async () => {
    await stop()
    await program.services.close()
  })

  /** Signs a new user up and in. */
  async function signIn(scopes: readonly string[] = ['chat.write']) {
    const person = { email: `ada${++people}@example.com`, password: 'correct horse' }
    const made = await browser.post('/api/auth/sign-up/email', { ...person, name: 'Ada' })
    expect(made.status, made.body).toBe(200)
    const user = program.database.user.find(({ email }) => email === person.email) as Row
    user.scopes = scopes
    const answer = await browser.post('/api/auth/sign-in/email', person)
    expect(answer.status, answer.body).toBe(200)
    return { ...person, id: user.id as string, user, cookie: answer.cookie }
  }
  const rowOf = ({ id }: { id: string }): Row =>
    program.database.session.findLast(({ userId }) => userId === id) as Row

  it('count for requests and for upgrades, with the scopes of the account', async () => {
    expect((await browser.get('/api/me')).status).toBe(401)
    const ada = await signIn()
    expect(await browser.get('/api/me', ada.cookie)).toMatchObject({
      status: 200,
      body: `{"id":"${ada.id}"}`,
    })
    const socket = browser.open(ada.cookie)
    expect(await socket.message()).toBe(`hello ${ada.email}`)
    const [live] = [...program.gate.connections.list()]
    expect(live?.principal).toMatchObject({ id: ada.id, scheme: 'better-auth', sessionId: rowOf(ada).id })
    expect(JSON.stringify(live?.principal)).not.toContain(rowOf(ada).token)
    socket.ws.terminate()
    await socket.closed
  })

  it('grant what the account holds, and not what a sign-up asked for', async () => {
    const eve = { email: 'eve@example.com', password: 'correct horse', name: 'Eve', scopes: ['chat.write'] }
    const asked = await browser.post('/api/auth/sign-up/email', eve)
    expect([asked.status, JSON.parse(asked.body).code]).toEqual([400, 'FIELD_NOT_ALLOWED'])
    const bob = await signIn([])
    expect((await browser.get('/api/me', bob.cookie)).status).toBe(200)
    expect(await browser.open(bob.cookie).closed).toEqual([4403, 'insufficient_scope'])
  })

  it('that are unknown or were tampered with count as none', async () => {
    const { cookie } = await signIn()
    const [name = '', value = ''] = cookie.split('=')
    const forged = decodeURIComponent(value).replace(/^./, (first) => (first === 'a' ? 'b' : 'a'))
    await countAsNone(browser, [
      `${cookie}x`,
      `${name}=${encodeURIComponent(forged)}`,
      `${name}=unknown`,
      `${name}=`,
    ])
  })

  it('that have expired count as none, and their sockets end when they do', async () => {
    const ada = await signIn()
    const socket = browser.open(ada.cookie)
    await socket.message()
    const [live] = [...program.gate.connections.list()]
    expect(live?.principal.expiresAt).toBe((rowOf(ada).expiresAt as Date).getTime())
    socket.ws.terminate()
    rowOf(ada).expiresAt = new Date(Date.now() - 1)
    expect((await browser.get('/api/me', ada.cookie)).status).toBe(401)
    expect(await browser.open(ada.cookie).closed).toEqual(nobody)
  })

  it('count for pages of an allowed origin only', async () => {
    const { cookie } = await signIn()
    expect(await browser.open(cookie, 'https://evil.example').refused).toBe(403)
    expect(await browser.open(cookie, '').refused).toBe(401)
    expect((await browser.post('/anything', {}, cookie, 'https://evil.example')).status).toBe(403)
  })

  it('cannot be judged when their database fails: 503, never 401', async () => {
    const { cookie } = await signIn()
    const { session } = program.database
    Object.defineProperty(program.database, 'session', {
      configurable: true,
      get() {
        throw new Error('no connection')
      },
    })
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const answer = await browser.get('/api/me', cookie)
    const closed = await browser.open(cookie).closed
    Object.defineProperty(program.database, 'session', { configurable: true, writable: true, value: session })
    vi.restoreAllMocks()
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([503, 'unavailable'])
    expect(closed).toEqual([1013, 'unavailable'])
    expect((await browser.get('/api/me', cookie)).status).toBe(200)
  })

  it('end their live sockets when a user signs out', async () => {
    const [ada, bob] = [await signIn(), await signIn()]
    const sockets = [browser.open(ada.cookie), browser.open(bob.cookie)]
    for (const socket of sockets) await socket.message()
    expect((await browser.post('/api/auth/sign-out', {}, ada.cookie)).status).toBe(200)
    expect(await sockets[0]?.closed).toEqual([4403, 'logged_out'])
    expect((await browser.get('/api/me', ada.cookie)).status).toBe(401)
    expect(program.gate.connections.size).toBe(1)
    sockets[1]?.ws.terminate()
    await sockets[1]?.closed
  })

  it('end their live sockets when all sessions of a user are revoked elsewhere', async () => {
    const ada = await signIn()
    const again = await browser.post('/api/auth/sign-in/email', ada)
    const sockets = [browser.open(ada.cookie), browser.open(again.cookie)]
    for (const socket of sockets) await socket.message()
    await program.auth.api.revokeSessions({ headers: new Headers({ cookie: ada.cookie, origin }) })
    for (const socket of sockets) expect(await socket.closed).toEqual([4403, 'logged_out'])
    expect((await browser.get('/api/me', again.cookie)).status).toBe(401)
  })

  it('are extended by better-auth alone: the gate writes nothing', async () => {
    const ada = await signIn()
    const row = rowOf(ada)
    row.expiresAt = new Date(Date.now() + 60_000)
    const before = structuredClone(program.database.session)
    expect((await browser.get('/api/me', ada.cookie)).headers['set-cookie']).toBeUndefined()
    const socket = browser.open(ada.cookie)
    await socket.message()
    expect(program.database.session).toEqual(before)
    socket.ws.terminate()
    await once(socket.ws, 'close')
  })
})
