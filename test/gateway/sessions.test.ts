import { afterEach, beforeEach, expect, it } from 'vitest'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { TestSocket } from './socket.ts'
import { bearer, loggedIn, Visitor } from './visitor.ts'

let data: DataDir
let program: Program
beforeEach(async () => {
  data = temporaryDataDir()
  program = await startProgram({ dataDir: data.path })
}, 60_000)
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

it('lists one’s own sessions, ends one with its live sockets, or all others', async () => {
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
    address: null,
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
