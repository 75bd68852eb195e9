import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { admin, type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { TestSocket } from './socket.ts'
import { bearer, loggedIn, Visitor } from './visitor.ts'

/* The users of the gateway, and the account of each. */

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

const ben = { email: 'ben@example.com', password: 'another horse battery' }

async function logIn({ email, password }: { email: string; password: string }): Promise<Visitor> {
  const browser = new Visitor(program.origin)
  const login = await browser.post('/api/auth/login', { email, password })
  expect(login.status).toBe(204)
  browser.cookie = login.header('set-cookie')?.split(';')[0]
  return browser
}

const idOf = async (who: Visitor, email: string): Promise<string> =>
  ((await who.get('/api/users')).json().users as { id: string; email: string }[]).find(
    (user) => user.email === email,
  )?.id ?? ''

describe('users', () => {
  it('are created, listed, shut out at once with their live sockets, and let in again', async () => {
    const ada = await loggedIn(program.origin)
    const created = await ada.post('/api/users', { ...ben, scopes: ['operator.read'] })
    expect([created.status, created.json()]).toEqual([
      201,
      { id: expect.any(String), email: ben.email, scopes: ['operator.read'] },
    ])
    const again = await ada.post('/api/users', { ...ben, email: 'BEN@example.com', scopes: [] })
    expect([again.status, again.json().code]).toEqual([409, 'email_taken'])

    const browser = await logIn(ben)
    const live = new TestSocket(`${program.origin}/ws/live`, {
      cookie: browser.cookie ?? '',
      origin: program.origin,
    })
    await live.messageOf('nodes')
    const id = await idOf(ada, ben.email)
    expect((await ada.get(`/api/users/${id}/sessions`)).json().sessions).toHaveLength(1)
    expect((await ada.post(`/api/users/${id}/disable`, {})).status).toBe(204)
    expect((await live.closed).code).toBe(4403)
    expect((await browser.get('/api/me')).status).toBe(401)
    expect((await new Visitor(program.origin).post('/api/auth/login', ben)).status).toBe(401)

    expect((await ada.post(`/api/users/${id}/enable`, {})).status).toBe(204)
    expect((await (await logIn(ben)).get('/api/me')).status).toBe(200)
    expect(program.output()).toMatch(/"event":"user_disabled".*"by":"ada@example.com"/)
  })

  it('are logged out everywhere, and stay users', async () => {
    const ada = await loggedIn(program.origin)
    await ada.post('/api/users', { ...ben, scopes: [] })
    const browser = await logIn(ben)
    const id = await idOf(ada, ben.email)
    expect((await ada.delete(`/api/users/${id}/sessions`)).status).toBe(204)
    expect((await browser.get('/api/me')).status).toBe(401)
    expect((await (await logIn(ben)).get('/api/me')).status).toBe(200)
  })

  it('get no scope that their creator lacks, and shut out neither themselves nor users with more scopes', async () => {
    const ada = await loggedIn(program.origin)
    await ada.post('/api/users', { ...ben, scopes: ['operator.admin'] })
    const browser = await logIn(ben)
    const beyond = await browser.post('/api/users', {
      email: 'cy@example.com',
      password: ben.password,
      scopes: ['operator.pairing'],
    })
    expect([beyond.status, beyond.json().code]).toEqual([403, 'scope_not_held'])
    const shutOut = await browser.post(`/api/users/${await idOf(ada, admin.email)}/disable`, {})
    expect([shutOut.status, shutOut.json().code]).toEqual([403, 'scope_not_held'])
    const own = await browser.post(`/api/users/${await idOf(ada, ben.email)}/disable`, {})
    expect([own.status, own.json().code]).toEqual([409, 'own_account'])
    expect((await ada.get('/api/me')).status).toBe(200)
  })

  it('open for admins alone: not for other users, and for no program', async () => {
    const ada = await loggedIn(program.origin)
    await ada.post('/api/users', { ...ben, scopes: ['operator.read'] })
    const browser = await logIn(ben)
    for (const path of ['/api/users', '/users']) expect((await browser.get(path)).status).toBe(403)
    const { token } = (
      await ada.post('/api/keys', { name: 'program', scopes: ['operator.admin'] })
    ).json() as { token: string }
    const answer = await new Visitor(program.origin).get('/api/users', bearer(token))
    expect([answer.status, answer.json().code]).toEqual([403, 'kind_not_allowed'])
  })

  it('bad input gets a clear answer', async () => {
    const ada = await loggedIn(program.origin)
    for (const [body, code] of [
      [{ email: 'nobody', password: ben.password, scopes: [] }, 'invalid_email'],
      [{ ...ben, password: 'short', scopes: [] }, 'password_too_short'],
      [{ ...ben, scopes: 'operator.read' }, 'invalid_body'],
      [{ ...ben, password: 1, scopes: [] }, 'invalid_body'],
    ] as const) {
      const answer = await ada.post('/api/users', body)
      expect([answer.status, answer.json().code], JSON.stringify(body)).toEqual([400, code])
    }
    expect((await ada.get('/api/users')).json().users).toHaveLength(1)
  })
})

describe('the own password', () => {
  it('is changed with the current one; every other browser is logged out, and this one is not', async () => {
    const here = await loggedIn(program.origin)
    const there = await logIn(admin)
    const next = 'a new horse battery'
    const wrong = await here.post('/api/account/password', { current: 'not the password', next })
    expect([wrong.status, wrong.json().code]).toEqual([403, 'wrong_password'])
    const short = await here.post('/api/account/password', { current: admin.password, next: 'short' })
    expect([short.status, short.json().code]).toEqual([400, 'password_too_short'])
    expect((await there.get('/api/me')).status).toBe(200)

    const changed = await here.post('/api/account/password', { current: admin.password, next })
    expect(changed.status).toBe(204)
    here.cookie = changed.header('set-cookie')?.split(';')[0]
    expect((await here.get('/api/me')).status).toBe(200)
    expect((await there.get('/api/me')).status).toBe(401)
    expect((await new Visitor(program.origin).post('/api/auth/login', admin)).status).toBe(401)
    expect((await (await logIn({ ...admin, password: next })).get('/api/me')).status).toBe(200)
    expect(program.output()).toContain('"event":"password_changed"')
    expect(program.output() + program.errors()).not.toContain(next)
  })
})
