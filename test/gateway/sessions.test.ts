import { afterEach, beforeEach, expect, it } from 'vitest'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { TestSocket } from './socket.ts'
import { bearer, loggedIn, Visitor } from './visitor.ts'

let data: DataDir
let program: Program
beforeEach(async () => {
  data = temporaryDataDir()
  program = await startProgram({ dataDir: data.path })
})
afterEach(async () => {
  await endAll()
  data.remove()
})

interface View {
  readonly id: string
  readonly current: boolean
}

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
const list = async (who: Visitor) => (await who.get('/api/sessions')).json().sessions as View[]
const me = async (who: Visitor) => (await who.get('/api/me')).status

it('lists the sessions of the account, ends one with its live sockets, or all others', async () => {
  const here = await loggedIn(program.origin)
  const { email, password } = { email: 'ada@example.com', password: 'correct horse battery' }
  const there = new Visitor(program.origin)
  const login = await there.post(
    '/api/auth/login',
    { email, password },
    { headers: { 'user-agent': firefox } },
  )
  there.cookie = login.header('set-cookie')?.split(';')[0]
  const third = await loggedIn(program.origin)

  const sessions = await list(here)
  expect(sessions).toHaveLength(3)
  expect(sessions.map((session) => session.current)).toEqual([true, false, false])
  const other = sessions.find((session) => (session as { browser?: string }).browser === 'Firefox on Linux')
  expect(other).toEqual({
    id: expect.any(String),
    browser: 'Firefox on Linux',
    address: '127.0.0.1',
    current: false,
    createdAt: expect.stringMatching(/^\d{4}-/),
    lastSeenAt: expect.stringMatching(/^\d{4}-/),
  })

  const live = new TestSocket(`${program.origin}/ws/live`, {
    cookie: there.cookie ?? '',
    origin: program.origin,
  })
  await live.messageOf('nodes')
  expect((await here.delete(`/api/sessions/${other?.id}`)).status).toBe(204)
  expect((await live.closed).code).toBe(4403)
  expect([await me(here), await me(there), await me(third)]).toEqual([200, 401, 200])
  expect((await here.delete(`/api/sessions/${other?.id}`)).json().code).toBe('not_found')

  expect((await here.delete('/api/sessions/others')).status).toBe(204)
  expect([await me(here), await me(third)]).toEqual([200, 401])
  const [own] = await list(here)
  const gone = await here.delete(`/api/sessions/${own?.id}`)
  expect([gone.status, gone.header('set-cookie')]).toEqual([204, expect.stringContaining('Max-Age=0')])
  expect(await me(here)).toBe(401)
  expect(program.output().match(/"event":"session_revoked"/g)).toHaveLength(3)
})

it('opens for people only, from pages of the gateway', async () => {
  const visitor = await loggedIn(program.origin)
  const { token } = await visitor.key(['operator.admin', 'operator.read', 'operator.pairing'])
  const program_ = new Visitor(program.origin)
  expect((await program_.get('/api/sessions')).status).toBe(401)
  expect((await program_.get('/api/sessions', bearer(token))).json().code).toBe('kind_not_allowed')
  const foreign = await visitor.delete('/api/sessions/others', {
    headers: { origin: 'https://evil.example' },
  })
  expect(foreign.json().code).toBe('origin_refused')
})

// A second login left the browser's former session valid.
it('ends the former session of a browser when it logs in again, with its open pages', async () => {
  const visitor = await loggedIn(program.origin)
  const other = await loggedIn(program.origin)
  const former = visitor.cookie ?? ''
  const live = new TestSocket(`${program.origin}/ws/live`, { cookie: former, origin: program.origin })
  await live.messageOf('nodes')
  expect((await visitor.logIn()).status).toBe(204)
  expect((await live.closed).code).toBe(4403)
  expect(visitor.cookie).not.toBe(former)
  expect(await me(new Visitor(program.origin, former))).toBe(401)
  expect([await me(visitor), await me(other)]).toEqual([200, 200])
  expect(await list(visitor)).toHaveLength(2)
})

// Ten wrong guesses from an unknown address, as behind a tunnel, locked the owner out.
it('recognises a browser that logged in before, and admits it while strangers are locked out', async () => {
  const owner = new Visitor(program.origin)
  const device = ((await owner.logIn()).header('set-cookie') ?? '').split('\n')[1] ?? ''
  expect(device).toMatch(
    /^__Host-gateway_device=1\.1\.\w{12}\.[\w-]{43}; Max-Age=31536000; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
  )
  const stranger = new Visitor(program.origin)
  const guess = { email: 'ada@example.com', password: 'a wrong password' }
  for (let n = 0; n < 10; n++) expect((await stranger.logIn(guess)).status).toBe(401)
  const text = async (cookie?: string) => {
    const answer = await new Visitor(program.origin, cookie).logIn()
    return [
      answer.status,
      answer.header('retry-after'),
      answer.text.replace(/Wait (?:[45]\d|60) seconds/, 'Wait'),
    ]
  }
  const [cookie = ''] = device.split(';')
  const refusal = await text()
  expect(refusal[0]).toBe(429)
  expect(refusal[2]).toContain(
    'Failures of others do not hold up a browser that logged in to the account before: use that one.',
  )
  const forged = `${cookie.slice(0, -1)}${cookie.endsWith('_') ? '-' : '_'}`
  expect((await text(forged))[2]).toBe(refusal[2])
  const back = new Visitor(program.origin, cookie)
  expect((await back.logIn()).status).toBe(204)
  // The browser keeps its cookie, which grants no access.
  expect(await me(new Visitor(program.origin, cookie))).toBe(401)
  expect(await me(back)).toBe(200)

  const lines = (await back.get('/api/audit')).json().lines as Record<string, string>[]
  expect(lines.find(({ event, reason }) => event === 'login_failed' && reason === 'throttled')).toMatchObject(
    {
      browser: 'new',
      locked: 'pair',
      detail: 'This account is locked for this address.',
    },
  )
  expect(lines.find(({ event }) => event === 'logged_in')).toMatchObject({ browser: 'known' })
  const page = await back.get('/audit')
  expect(page.text).toContain('This account is locked for this address.')

  // After ten wrong passwords with its cookie, it is a stranger.
  for (let n = 0; n < 10; n++)
    expect((await new Visitor(program.origin, cookie).logIn(guess)).status).toBe(401)
  expect((await text(cookie))[0]).toBe(429)
  expect(program.output()).toContain('"event":"browser_distrusted"')
  const signature = cookie.split('.')[3] ?? ''
  expect(program.output()).not.toContain(signature)
})

it('forgets the other browsers when all others are revoked', async () => {
  const cookies: string[] = []
  for (let n = 0; n < 2; n++) {
    const visitor = new Visitor(program.origin)
    const set = ((await visitor.logIn()).header('set-cookie') ?? '').split('\n')
    cookies.push(set.map((one) => one.split(';')[0]).join('; '))
  }
  const [here = '', there = ''] = cookies
  expect((await new Visitor(program.origin, here).delete('/api/sessions/others')).status).toBe(204)
  const stranger = new Visitor(program.origin)
  const guess = { email: 'ada@example.com', password: 'a wrong password' }
  for (let n = 0; n < 10; n++) await stranger.logIn(guess)
  expect((await new Visitor(program.origin, there).logIn()).status).toBe(429)
  expect((await new Visitor(program.origin, here).logIn()).status).toBe(204)
})
