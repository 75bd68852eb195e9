import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { admin, type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { bearer, loggedIn, Visitor } from './visitor.ts'

let data: DataDir
let program: Program
let visitor: Visitor
let stranger: Visitor
beforeAll(async () => {
  data = temporaryDataDir()
  program = await startProgram({ dataDir: data.path })
  visitor = await loggedIn(program.origin)
  stranger = new Visitor(program.origin)
})
afterAll(async () => {
  await endAll()
  data.remove()
})

const allScopes = ['operator.read', 'operator.pairing', 'operator.admin']

describe('login', () => {
  it('answers 204 with a strict cookie, and the right person comes back', async () => {
    const answer = await new Visitor(program.origin).logIn()
    expect([answer.status, answer.text]).toEqual([204, ''])
    expect(answer.header('set-cookie')).toMatch(
      /^__Host-gateway_session=ugs_\w+; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Strict\n__Host-gateway_device=/,
    )
    expect((await visitor.get('/api/me')).json()).toMatchObject({
      kind: 'user',
      name: admin.email,
      scopes: allScopes,
      roles: ['admin'],
    })
  })

  it('gives the same answer to a wrong password and an unknown account', async () => {
    const wrong = await stranger.logIn({ ...admin, password: 'not the password' })
    const unknown = await stranger.logIn({ ...admin, email: 'eve@example.com' })
    expect(wrong.status).toBe(401)
    expect(wrong.text).toBe(unknown.text)
    expect(wrong.header('content-type')).toBe('application/problem+json; charset=utf-8')
    expect(wrong.json()).toEqual({
      type: 'urn:problem-type:upgate-gateway:invalid_credential',
      title: 'Unauthorized',
      status: 401,
      code: 'invalid_credential',
      detail: 'Email or password is wrong.',
      action: 'Check both and try again.',
    })
    expect(wrong.header('set-cookie')).toBeUndefined()
  })

  it('slows a guessing client down, and says for how long', async () => {
    const guess = () => stranger.logIn({ email: 'guessed@example.com', password: 'a guess' })
    for (const answer of await Promise.all(Array.from({ length: 12 }, guess)))
      expect([401, 429]).toContain(answer.status)
    const late = await guess()
    expect([late.status, late.json().code]).toEqual([429, 'too_many_failures'])
    expect(Number(late.header('retry-after'))).toBeGreaterThan(0)
    // Only this account is slowed down.
    expect((await new Visitor(program.origin).logIn()).status).toBe(204)
  })

  it('keeps two logins separate: one logs out, the other stays', async () => {
    const one = await loggedIn(program.origin)
    const other = await loggedIn(program.origin)
    expect(one.cookie).not.toBe(other.cookie)
    const answer = await one.post('/api/auth/logout', {})
    expect(answer.status).toBe(204)
    expect(answer.header('set-cookie')).toMatch(/^__Host-gateway_session=; Max-Age=0;/)
    expect((await one.get('/api/me')).status).toBe(401)
    expect((await other.get('/api/me')).status).toBe(200)
    expect((await one.post('/api/auth/logout', {})).status).toBe(204)
  })

  it('is refused from pages of other origins, like every other request that changes something', async () => {
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
    ]) {
      const login = await stranger.post('/api/auth/login', admin, { headers })
      expect([login.status, login.json().code]).toEqual([403, 'origin_refused'])
      const device = await visitor.post('/api/devices', { name: 'x' }, { headers })
      expect([device.status, device.json().code]).toEqual([403, 'origin_refused'])
    }
    const own = await visitor.post('/api/devices', { name: 'own' }, { headers: { origin: program.origin } })
    expect(own.status).toBe(201)
  })

  it('shows its configuration without a login', async () => {
    const answer = await stranger.get('/api/auth/config')
    expect([answer.status, answer.json()]).toEqual([
      200,
      {
        login: 'password',
        setupRequired: false,
        loginPage: '/login',
        setupPage: '/setup',
        passwordMinimum: 12,
      },
    ])
  })
})

describe('the login form', () => {
  // Every login here is a session, and the eleventh of an account ends the first.
  afterAll(async () => {
    await visitor.logIn()
  })
  const form = (fields: Record<string, string>, headers: Record<string, string> = {}) =>
    stranger.request('POST', '/login', {
      raw: new URLSearchParams(fields).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: program.origin, ...headers },
    })

  it.each([
    ['/audit', '/audit'],
    ['/keys?x=1', '/keys?x=1'],
    ['https://evil.example/', '/nodes'],
    ['//evil.example/', '/nodes'],
    ['/\\evil.example', '/nodes'],
    ['/\t/evil.example', '/nodes'],
    ['javascript:alert(1)', '/nodes'],
    ['/login?next=/login', '/nodes'],
    ['/api/nodes', '/nodes'],
    ['', '/nodes'],
  ])('leads back to a page of its own only: %j', async (next, place) => {
    const answer = await form({ ...admin, next })
    expect([answer.status, answer.header('location')]).toEqual([303, place])
  })

  it('shows the error, and escapes the input', async () => {
    const answer = await form({
      email: '"><script>alert(1)</script>@x',
      password: 'wrong wrong wrong',
      next: '"><b>',
    })
    expect(answer.status).toBe(401)
    expect(answer.header('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.text).toContain('<strong>Email or password is wrong.</strong>')
    expect(answer.text).not.toContain('<script>alert')
    expect(answer.text).not.toContain('"><b>')
    expect(answer.text).not.toContain('wrong wrong wrong')
  })

  it('is refused when another site sends it', async () => {
    expect((await form(admin, { origin: 'https://evil.example' })).status).toBe(403)
  })
})

describe('pages', () => {
  const navigation = { headers: { 'sec-fetch-mode': 'navigate', accept: 'text/html' } }

  it('redirects visitors without a session to the login and back', async () => {
    for (const path of ['/', '/nodes', '/keys', '/chat', '/audit']) {
      const answer = await stranger.get(path, navigation)
      expect([answer.status, answer.header('location')]).toEqual([
        303,
        `/login?next=${encodeURIComponent(path)}`,
      ])
    }
  })

  it.each(['/nodes', '/keys', '/chat', '/audit'])(
    'is shown without inline script or style: %s',
    async (path) => {
      const answer = await visitor.get(path, navigation)
      expect(answer.status).toBe(200)
      const policy = answer.header('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none';script-src 'self';style-src 'self'")
      expect(policy).not.toContain('unsafe')
      expect(answer.header('cache-control')).toBe('no-store')
      expect(answer.header('x-powered-by')).toBeUndefined()
      expect(answer.text).not.toMatch(/<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=/)
    },
  )

  it('answers unknown pages and paths in the right form', async () => {
    const page = await visitor.get('/nowhere', navigation)
    expect([page.status, page.header('content-type')]).toEqual([404, 'text/html; charset=utf-8'])
    const path = await visitor.get('/api/nowhere')
    expect([path.status, path.json().code]).toEqual([404, 'not_found'])
    expect((await stranger.get('/assets/nowhere.js')).status).toBe(404)
  })

  it('serves its assets to every client, and no other files', async () => {
    expect((await stranger.get('/assets/app.css')).header('content-type')).toBe('text/css; charset=utf-8')
    expect((await stranger.get('/assets/js/nodes.js')).header('content-type')).toMatch(/^text\/javascript/)
    for (const path of [
      '/assets/../package.json',
      '/assets/%2e%2e/package.json',
      '/assets/..%2fpackage.json',
    ]) {
      expect((await stranger.get(path)).status).toBeGreaterThanOrEqual(400)
    }
  })
})

describe('devices', () => {
  it('are created, listed and revoked', async () => {
    const created = await visitor.post('/api/devices', { name: '  attic  ' })
    expect(created.status).toBe(201)
    const { id, token, name } = created.json()
    expect(name).toBe('attic')
    expect(token).toMatch(new RegExp(`^ugd_${id}_`))
    const list = await visitor.get('/api/devices')
    expect(list.text).not.toContain(token)
    expect(list.json().devices).toContainEqual(
      expect.objectContaining({ id, name: 'attic', role: 'node', connected: false, lastUsedAt: null }),
    )
    expect((await visitor.delete(`/api/devices/${id}`)).status).toBe(204)
    expect((await visitor.get('/api/devices')).text).not.toContain(String(id))
    const unknown = await visitor.delete('/api/devices/nobody')
    expect([unknown.status, unknown.json().code]).toEqual([404, 'not_found'])
  })

  it('get role and scopes from the gateway, not from the body', async () => {
    const { id } = (
      await visitor.post('/api/devices', { name: 'greedy', role: 'admin', scopes: allScopes, id: 'mine' })
    ).json()
    expect(id).not.toBe('mine')
    const { devices } = (await visitor.get('/api/devices')).json() as {
      devices: { id: string; role: string }[]
    }
    expect(devices.find((device) => device.id === id)?.role).toBe('node')
  })
})

describe('API keys', () => {
  it('open the routes of their scopes, and nothing else', async () => {
    const reader = bearer((await visitor.key(['operator.read'])).token)
    expect((await stranger.get('/api/nodes', reader)).json()).toEqual({ nodes: [] })
    for (const path of ['/api/devices', '/api/keys', '/api/audit']) {
      const answer = await stranger.get(path, reader)
      expect([path, answer.status, answer.json().code]).toEqual([path, 403, 'insufficient_scope'])
    }
    // A service is not a person: no pages, no profile.
    for (const path of ['/nodes', '/chat', '/api/me']) {
      const answer = await stranger.get(path, reader)
      expect([path, answer.status, answer.json().code]).toEqual([path, 403, 'kind_not_allowed'])
    }
    const pairing = bearer((await visitor.key(['operator.pairing'])).token)
    expect((await stranger.get('/api/devices', pairing)).status).toBe(200)
    expect((await stranger.get('/api/nodes', pairing)).status).toBe(403)
  })

  it('open nothing when they have no scopes', async () => {
    const empty = bearer((await visitor.key([])).token)
    for (const path of ['/api/nodes', '/api/devices', '/api/keys', '/api/audit', '/api/me', '/nodes']) {
      expect([path, (await stranger.get(path, empty)).status]).toEqual([path, 403])
    }
  })

  it('cannot hold more than their creator', async () => {
    const unknown = await visitor.post('/api/keys', { name: 'x', scopes: ['operator.root'] })
    expect([unknown.status, unknown.json().code]).toEqual([403, 'scope_not_held'])
    const admins = bearer((await visitor.key(['operator.admin'])).token)
    const beyond = await stranger.post(
      '/api/keys',
      { name: 'x', scopes: ['operator.admin', 'operator.read'] },
      admins,
    )
    expect([beyond.status, beyond.json().code]).toEqual([403, 'scope_not_held'])
    const within = await stranger.post('/api/keys', { name: 'x', scopes: ['operator.admin'] }, admins)
    expect(within.status).toBe(201)
  })

  it('are worthless after they are revoked', async () => {
    const key = await visitor.key(['operator.read'], 'short-lived')
    expect((await stranger.get('/api/nodes', bearer(key.token))).status).toBe(200)
    expect((await visitor.delete(`/api/keys/${key.id}`)).status).toBe(204)
    const answer = await stranger.get('/api/nodes', bearer(key.token))
    expect([answer.status, answer.json().code]).toEqual([401, 'revoked_credential'])
    expect(answer.header('www-authenticate')).toContain('Bearer realm="gateway"')
    expect((await visitor.get('/api/keys')).text).not.toContain(key.id)
  })
})

it('admits a device token only to the API routes of its scopes', async () => {
  const device = bearer((await visitor.device()).token)
  for (const path of ['/api/devices', '/api/keys', '/api/audit', '/api/me', '/nodes', '/chat']) {
    const answer = await stranger.get(path, device)
    expect([path, answer.status, answer.json().code]).toEqual([path, 403, 'kind_not_allowed'])
  }
  expect((await stranger.post('/api/devices', { name: 'x' }, device)).status).toBe(403)
  const nodes = await stranger.get('/api/nodes', device)
  expect([nodes.status, nodes.json().code]).toEqual([403, 'insufficient_scope'])
})

describe('bad bodies', () => {
  const json = { 'content-type': 'application/json' }
  it.each<[string, string, Record<string, string>, number, string]>([
    ['no JSON', '{"name":', json, 400, 'invalid_json'],
    ['a bare string', '"name"', json, 400, 'invalid_json'],
    ['a list', '[]', json, 400, 'invalid_body'],
    ['null', 'null', json, 400, 'invalid_json'],
    ['nothing', '', json, 400, 'invalid_body'],
    ['a number for a name', '{"name":7}', json, 400, 'invalid_body'],
    ['an object for a name', '{"name":{"toString":"x"}}', json, 400, 'invalid_body'],
    ['no name', '{}', json, 400, 'invalid_body'],
    ['an empty name', '{"name":"   "}', json, 400, 'invalid_body'],
    ['a long name', JSON.stringify({ name: 'x'.repeat(65) }), json, 400, 'invalid_body'],
    ['a name that hides', JSON.stringify({ name: 'a\u202eb' }), json, 400, 'invalid_body'],
    ['an inherited name', '{"__proto__":{"name":"x"}}', json, 400, 'invalid_body'],
    [
      'a form',
      'name=x',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'unsupported_media_type',
    ],
    ['plain text', '{"name":"x"}', { 'content-type': 'text/plain' }, 415, 'unsupported_media_type'],
    ['no type', '{"name":"x"}', { 'content-type': '' }, 415, 'unsupported_media_type'],
    [
      'a strange charset',
      '{"name":"x"}',
      { 'content-type': 'application/json; charset=latin1' },
      415,
      'unsupported_media_type',
    ],
    [
      'a strange encoding',
      '{"name":"x"}',
      { ...json, 'content-encoding': 'zstd2' },
      415,
      'unsupported_media_type',
    ],
    ['no gzip', '{"name":"x"}', { ...json, 'content-encoding': 'gzip' }, 400, 'invalid_body'],
    ['too much', JSON.stringify({ name: 'x'.repeat(20_000) }), json, 413, 'body_too_large'],
  ])('are refused with a code: %s', async (_what, raw, headers, status, code) => {
    const answer = await visitor.request('POST', '/api/devices', { raw, headers })
    expect([answer.status, answer.json().code]).toEqual([status, code])
    expect(answer.header('content-type')).toMatch(/^application\/problem\+json/)
    expect(answer.text).not.toContain('xxxx')
  })

  it('are refused by every route', async () => {
    for (const [path, body] of [
      ['/api/keys', { name: 'x' }],
      ['/api/keys', { name: 'x', scopes: 'operator.read' }],
      ['/api/keys', { name: 'x', scopes: [1] }],
      ['/api/keys', { name: 'x', scopes: Array(40).fill('operator.read') }],
      ['/api/auth/login', { email: admin.email }],
      ['/api/auth/login', { email: [admin.email], password: admin.password }],
      ['/api/auth/login', { email: admin.email, password: 'x'.repeat(1025) }],
    ] as const) {
      const answer = await visitor.post(path, body)
      expect([path, answer.status, answer.json().code]).toEqual([path, 400, 'invalid_body'])
    }
  })

  it('leave the gateway unharmed', async () => {
    expect((await stranger.get('/health')).json()).toEqual({ status: 'ok' })
  })
})

describe('hostile requests', () => {
  it.each([
    '//[',
    '/api/../api/devices',
    '/API/devices',
    '/api//devices',
    '/api/%64evices',
    '/health/%2e%2e/api/devices',
    '/health;x',
    '/health%00',
  ])('open nothing: %s', async (target) => {
    const status = (await visitor.get(target)).status
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
  })

  it('are refused if the Host belongs to another site', async () => {
    expect((await visitor.get('/api/nodes', { headers: { host: 'evil.example' } })).status).toBe(403)
    expect((await visitor.get('/api/nodes')).status).toBe(200)
  })

  it('get a plain answer for unknown methods', async () => {
    const answer = await visitor.request('PUT', '/api/devices', { body: {} })
    expect([answer.status, answer.json().code]).toEqual([404, 'not_found'])
    expect((await stranger.request('GET', '/api/auth/login')).status).toBe(401)
  })
})

it('keeps an audit trail of changes and refusals', async () => {
  const { id } = await visitor.device('audited')
  await visitor.delete(`/api/devices/${id}`)
  const { lines } = (await visitor.get('/api/audit')).json() as { lines: Record<string, unknown>[] }
  const about = lines.filter((line) => line.device === id).map((line) => line.event)
  expect(about).toEqual(['device_revoked', 'device_created'])
  expect(lines).toContainEqual(
    expect.objectContaining({ event: 'revoked', credentialId: id, reason: 'revoked' }),
  )
  expect(lines).toContainEqual(expect.objectContaining({ event: 'refused', code: 'origin_refused' }))
  expect(lines).toContainEqual(expect.objectContaining({ event: 'login_failed' }))
  expect(lines.length).toBeLessThanOrEqual(500)
})
