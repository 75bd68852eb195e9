import { createEdgeSim, type EdgeSim } from '@upgate/edge-sim'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  admin,
  type DataDir,
  endAll,
  type Program,
  spawnProgram,
  startProgram,
  temporaryDataDir,
} from './program.ts'
import { connectRequest, TestSocket } from './socket.ts'
import { type Answer, loggedIn, Visitor } from './visitor.ts'

const site = 'https://gateway.example.com'
let data: DataDir
let sim: EdgeSim
// One for all tests: each makes RSA keys.
beforeAll(async () => {
  sim = createEdgeSim({
    users: [{ email: 'Ada@Example.com' }, { email: 'eve@example.com' }],
    applications: [
      {
        name: 'gateway',
        host: 'gateway.example.com',
        policies: [{ action: 'service_auth' }, { action: 'allow' }],
      },
    ],
  })
  await sim.start()
})
afterAll(() => sim.stop())
beforeEach(() => {
  data = temporaryDataDir()
})
afterEach(async () => {
  await endAll()
  data.remove()
})

/** Settings that put the gateway behind the simulated edge: Access, and an admin without a password. */
const settings = () => ({
  CF_ACCESS_TEAM: 'acme',
  CF_ACCESS_AUD: sim.application('gateway').aud,
  CF_ACCESS_SIMULATOR: sim.url,
  PUBLIC_URL: site,
  ADMIN_PASSWORD: undefined,
})

/** The gateway behind the edge; it also answers on its own address. */
async function start(): Promise<Program & { readonly direct: string }> {
  const program = await startProgram({ dataDir: data.path, env: settings() })
  const [, address = ''] = await program.printed(/^Listening on (\S+)\n/m)
  sim.addHost('gateway.example.com', `http://${address}`)
  return { ...program, direct: `http://${address}` }
}

async function cookieOf(email: string): Promise<string> {
  return `CF_Authorization=${await sim.issueUserToken('gateway', email)}`
}

const ask = (path: string, headers: Record<string, string>, init: RequestInit = {}) =>
  sim.fetch(site + path, { redirect: 'manual', headers, ...init })
const send = (path: string, cookie: string, body: unknown) =>
  ask(
    path,
    { cookie, origin: site, 'content-type': 'application/json' },
    { method: 'POST', body: JSON.stringify(body) },
  )
/** Sent like a browser's address bar; `fetch` marks its requests as no navigation. */
const visit = (path: string, headers: Record<string, string>): Promise<Answer> =>
  new Visitor(sim.url).get(path, { headers: { host: 'gateway.example.com', ...navigation, ...headers } })
const navigation = { accept: 'text/html', 'sec-fetch-mode': 'navigate' }

function socket(path: string, headers: Readonly<Record<string, string>>): TestSocket {
  const to = sim.to(`wss://gateway.example.com${path}`)
  return new TestSocket(to.url, { ...to.headers, ...headers })
}

describe('settings that cannot be used', () => {
  it.each([
    ['CF_ACCESS_AUD', { CF_ACCESS_AUD: undefined }, /CF_ACCESS_AUD is missing/],
    ['CF_ACCESS_TEAM', { CF_ACCESS_TEAM: '' }, /CF_ACCESS_TEAM is missing/],
    ['a domain', { CF_ACCESS_TEAM: 'acme.cloudflareaccess.com' }, /CF_ACCESS_TEAM must be the name of the/],
    ['a short AUD', { CF_ACCESS_AUD: 'abc' }, /CF_ACCESS_AUD must be the AUD tag/],
    ['an empty AUD among two', { CF_ACCESS_AUD: `${'a'.repeat(64)},` }, /CF_ACCESS_AUD must be the AUD tag/],
    ['a simulator elsewhere', { CF_ACCESS_SIMULATOR: 'http://10.0.0.1' }, /CF_ACCESS_SIMULATOR must be/],
    [
      'a simulator alone',
      { CF_ACCESS_TEAM: undefined, CF_ACCESS_AUD: undefined, ADMIN_PASSWORD: admin.password },
      /CF_ACCESS_SIMULATOR is of no use/,
    ],
    ['no public URL', { PUBLIC_URL: undefined }, /PUBLIC_URL is missing/],
    [
      'no account that could log in',
      { ADMIN_EMAIL: undefined },
      /ADMIN_EMAIL is missing: there is no account/,
    ],
  ])('refuses to start: %s', async (_name, env, sentence) => {
    const program = spawnProgram({ dataDir: data.path, env: { ...settings(), ...env } })
    expect((await program.exited).code).toBe(1)
    expect(program.errors()).toMatch(sentence)
    expect(program.errors().trim().split('\n')).toHaveLength(1)
    expect(program.output()).not.toContain('ready')
  })
})

describe('Cloudflare Access is the login', () => {
  it('the person with the email of the admin is the admin, without a password, on pages, API and sockets', async () => {
    const program = await start()
    await program.printed(/^Cloudflare Access does the login: https:\/\/acme\.cloudflareaccess\.com/m)
    expect(program.output()).not.toContain('Setup code')
    expect((await visit('/nodes', {})).header('location')).toMatch(/cloudflareaccess\.com/)

    const cookie = await cookieOf('Ada@Example.com')
    const me = await (await ask('/api/me', { cookie })).json()
    expect(me).toMatchObject({ kind: 'user', name: 'ada@example.com', roles: ['admin'] })
    const page = (await visit('/nodes', { cookie })).text
    expect(page).toContain('via Cloudflare Access')
    expect(page).toContain('href="/cdn-cgi/access/logout"')
    expect(page).not.toContain('action="/logout"')

    const chat = socket('/ws/chat', { cookie, origin: site })
    expect(await chat.messageOf('welcome')).toBeDefined()
    const foreign = socket('/ws/chat', { cookie, origin: 'https://evil.example' })
    expect((await foreign.upgraded).status).toBe(403)
  })

  it('our own login, logout and set-up are closed and give the reason; the configuration names the right logout', async () => {
    await start()
    const cookie = await cookieOf('Ada@Example.com')
    for (const path of ['/login', '/setup']) {
      const answer = await visit(path, { cookie })
      expect([answer.status, answer.header('content-type')]).toEqual([403, 'text/html; charset=utf-8'])
      expect(answer.text).toContain('the login is done elsewhere')
      expect(answer.text).not.toContain('password')
    }
    const credentials = { ...admin, code: 'AAAAAAAA' }
    for (const path of ['/api/auth/login', '/api/auth/setup', '/api/auth/logout']) {
      const answer = await send(path, cookie, credentials)
      expect([answer.status, (await answer.json()).code], path).toEqual([403, 'external_login'])
    }
    expect(await (await ask('/api/auth/config', { cookie })).json()).toEqual({
      login: 'external',
      name: 'Cloudflare Access',
      logoutUrl: '/cdn-cgi/access/logout',
      setupRequired: false,
    })
    expect((await ask('/cdn-cgi/access/logout', { cookie })).status).toBeLessThan(400)
  })

  it('no other client is admitted: strangers with a login, the former password, or forged headers', async () => {
    const before = await startProgram({ dataDir: data.path })
    const session = await loggedIn(before.origin)
    await before.stop('SIGTERM')

    const { direct } = await start()
    const eve = await ask('/api/me', { cookie: await cookieOf('eve@example.com') })
    expect([eve.status, (await eve.json()).code]).toEqual([403, 'unknown_identity'])
    const host = { 'edge-sim-host': 'none' }
    const past = (headers: Record<string, string>) =>
      new TestSocket(`${direct}/ws/chat`, { host: 'gateway.example.com', origin: site, ...host, ...headers })
    for (const headers of [
      { cookie: session.cookie ?? '' },
      { 'cf-access-authenticated-user-email': 'ada@example.com' },
      { 'cf-access-jwt-assertion': 'forged' },
    ]) {
      const refused = past(headers as Record<string, string>)
      expect((await refused.closed).code).toBe(4401)
    }
    // The former account is still in use: it logs in by its address.
    const ada = await ask('/api/me', { cookie: await cookieOf('Ada@Example.com') })
    expect((await ada.json()).name).toBe('ada@example.com')
  })

  it('a node passes the edge with a service token and proves itself here; a key does so over HTTP', async () => {
    const program = await start()
    const cookie = await cookieOf('Ada@Example.com')
    const device = (await (await send('/api/devices', cookie, { name: 'cellar' })).json()) as {
      token: string
    }
    const key = (await (
      await send('/api/keys', cookie, { name: 'board', scopes: ['operator.read'] })
    ).json()) as { token: string }
    const service = sim.addServiceToken({ name: 'cellar' })

    // The service token alone passes the edge, and grants nothing more.
    const alone = await ask('/api/nodes', service.headers)
    expect([alone.status, (await alone.json()).code]).toEqual([403, 'insufficient_scope'])
    expect((await visit('/', service.headers)).status).toBe(403)

    const node = socket('/ws', service.headers)
    expect((await node.upgraded).status).toBe(101)
    node.send(connectRequest(device.token))
    expect(await node.message()).toMatchObject({ ok: true })
    const nodes = await ask('/api/nodes', { ...service.headers, authorization: `Bearer ${key.token}` })
    expect(await nodes.json()).toMatchObject({ nodes: [{ name: 'cellar', role: 'node' }] })
    node.close()

    await program.stop('SIGTERM')
    const printed = program.output() + program.errors()
    for (const secret of [service.clientSecret, device.token, key.token, cookie.slice(20)]) {
      expect(printed).not.toContain(secret)
    }
    expect(sim.secretReachedRedirectedHost).toBe(false)
  })
})
