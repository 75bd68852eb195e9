import type { EdgeSim } from '@upgate/edge-sim'
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import {
  ACME_KEYS,
  AUD,
  cleanUp,
  cookieOf,
  GLOBEX_KEYS,
  manualClock,
  startOrigin,
  startSim,
} from './helpers.ts'

cleanUp()

const APP = 'https://app.example.com'

function get(
  sim: EdgeSim,
  url: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Response> {
  return sim.fetch(url, { headers, method, redirect: 'manual' })
}

async function keySet(sim: EdgeSim): Promise<ReturnType<typeof createLocalJWKSet>> {
  return createLocalJWKSet((await (await sim.fetch(sim.team('acme').certsUrl)).json()) as { keys: [] })
}

describe('the login redirect', () => {
  test('has the documented location, challenge and cookie, and never reaches the origin', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const response = await get(sim, `${APP}/a/b?x=1`)
    expect(response.status).toBe(302)
    const location = new URL(response.headers.get('location') ?? '')
    expect(location.origin + location.pathname).toBe(
      'https://acme.cloudflareaccess.com/cdn-cgi/access/login/app.example.com',
    )
    expect(location.searchParams.get('kid')).toBe(AUD)
    expect(location.searchParams.get('redirect_url')).toBe('/a/b?x=1')
    expect(response.headers.get('www-authenticate')).toBe(
      'Cloudflare-Access resource_metadata="https://app.example.com/.well-known/cloudflare-access-protected-resource/a/b"',
    )
    expect(cookieOf(response, 'CF_AppSession')).toMatch(/^[0-9a-f]{16}$/)
    expect(response.headers.get('server')).toBe('cloudflare')
    expect(response.headers.get('cf-ray')).toMatch(/^[0-9a-f]{16}-SIM$/)
    expect(origin.seen).toHaveLength(0)
    const { payload } = await jwtVerify(location.searchParams.get('meta') ?? '', await keySet(sim))
    expect(payload).toMatchObject({
      type: 'meta',
      aud: AUD,
      hostname: 'app.example.com',
      redirect_url: '/a/b?x=1',
    })
  })

  test('the order of its parameters varies', async () => {
    let next = 0
    const random = (count: number): Uint8Array => new Uint8Array(count).fill(next++)
    const sim = await startSim({ random })
    const orders = new Set<string>()
    for (let index = 0; index < 12; index++) {
      const { searchParams } = new URL((await get(sim, APP)).headers.get('location') ?? '')
      orders.add([...searchParams.keys()].join())
    }
    expect(orders).toEqual(
      new Set(['kid,meta,redirect_url', 'meta,redirect_url,kid', 'redirect_url,kid,meta']),
    )
  })

  test.each([
    [
      'current',
      ['exp', 'app_session_hash', 'mtls_auth', 'real_country', 'service_token_status'],
      ['service_token_id'],
    ],
    ['token-id', ['service_token_id', 'service_token_status'], ['exp', 'mtls_auth']],
    ['minimal', ['aud', 'hostname', 'redirect_url'], ['exp', 'service_token_status', 'service_token_id']],
  ] as const)('meta of the generation %s', async (meta, present, absent) => {
    const sim = await startSim()
    sim.configureTeam('acme', { meta })
    const { searchParams } = new URL((await get(sim, APP)).headers.get('location') ?? '')
    const claims = decodeJwt(searchParams.get('meta') ?? '')
    expect(Object.keys(claims)).toEqual(expect.arrayContaining([...present]))
    for (const name of absent) expect(claims).not.toHaveProperty(name)
  })
})

describe('service tokens', () => {
  const only = { policies: [{ action: 'allow' }] } as const

  async function statusInMeta(response: Response): Promise<unknown> {
    const { searchParams } = new URL(response.headers.get('location') ?? '')
    return decodeJwt(searchParams.get('meta') ?? '').service_token_status
  }

  test('valid, expired, disabled and enabled again, rotated with and without grace', async () => {
    const clock = manualClock()
    const origin = await startOrigin()
    const sim = await startSim({ clock, upstream: origin.url })
    const first = sim.addServiceToken({ name: 'a', form: 'cfast' })
    expect(first.clientSecret).toMatch(/^cfast_[0-9A-Za-z]{40}[0-9a-f]{8}$/)
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await get(sim, APP, headers)).status
    expect(await status(first.headers)).toBe(200)
    sim.disableServiceToken('a')
    expect(await status(first.headers)).toBe(302)
    sim.disableServiceToken('a', false)
    expect(await status(first.headers)).toBe(200)
    const second = sim.rotateServiceToken('a')
    expect(second.clientId).toBe(first.clientId)
    expect([await status(first.headers), await status(second.headers)]).toEqual([302, 200])
    const third = sim.rotateServiceToken('a', 60)
    expect([await status(second.headers), await status(third.headers)]).toEqual([200, 200])
    clock.advance(60_000)
    expect([await status(second.headers), await status(third.headers)]).toEqual([302, 200])
    sim.expireServiceToken('a')
    expect(await status(third.headers)).toBe(302)
    const soon = sim.addServiceToken({ name: 'b', expiresAt: clock.now() + 1_000 })
    expect(await status(soon.headers)).toBe(200)
    clock.advance(1_000)
    expect(await status(soon.headers)).toBe(302)
  })

  test('half a credential, another team’s token and a doubled header are not recognised', async () => {
    const sim = await startSim({
      teams: [
        { name: 'acme', signingKeys: ACME_KEYS },
        { name: 'globex', signingKeys: GLOBEX_KEYS },
      ],
    })
    const { headers } = sim.addServiceToken({ name: 'a' })
    const foreign = sim.addServiceToken({ name: 'g', team: 'globex' })
    const tries = [
      { 'CF-Access-Client-Id': headers['CF-Access-Client-Id'] },
      { 'CF-Access-Client-Secret': headers['CF-Access-Client-Secret'] },
      foreign.headers,
      {
        ...headers,
        'CF-Access-Client-Id': `${headers['CF-Access-Client-Id']}, ${headers['CF-Access-Client-Id']}`,
      },
    ]
    for (const headers of tries) {
      const response = await get(sim, APP, headers as Record<string, string>)
      expect([response.status, await statusInMeta(response)]).toEqual([302, false])
    }
  })

  test('valid under a plain Allow policy: redirected, with status true; unknown: status false', async () => {
    const sim = await startSim()
    sim.configureApplication('app', only)
    const { headers } = sim.addServiceToken({ name: 'a' })
    expect(await statusInMeta(await get(sim, APP, headers))).toBe(true)
    const wrong = { ...headers, 'CF-Access-Client-Secret': 'f'.repeat(64) }
    expect(await statusInMeta(await get(sim, APP, wrong))).toBe(false)
  })

  test('only the tokens a policy names', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const a = sim.addServiceToken({ name: 'a' })
    const b = sim.addServiceToken({ name: 'b' })
    sim.configureApplication('app', { policies: [{ action: 'service_auth', tokens: ['a'] }] })
    expect((await get(sim, APP, a.headers)).status).toBe(200)
    expect((await get(sim, APP, b.headers)).status).toBe(403)
  })

  test('older mode gives a cookie that admits alone, until the token is disabled; strict mode gives none', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const { headers } = sim.addServiceToken({ name: 'a' })
    const cookie = cookieOf(await get(sim, APP, headers), 'CF_Authorization')
    expect(decodeJwt(cookie ?? '')).toMatchObject({ sub: '', aud: AUD })
    const again = await get(sim, APP, { cookie: `CF_Authorization=${cookie}` })
    expect(again.status).toBe(200)
    sim.disableServiceToken('a')
    expect((await get(sim, APP, { cookie: `CF_Authorization=${cookie}` })).status).toBe(302)
    sim.disableServiceToken('a', false)
    sim.configureTeam('acme', { strict: true })
    const strict = await get(sim, APP, headers)
    expect([strict.status, strict.headers.getSetCookie()]).toEqual([200, []])
  })

  test('strict: 401 for what cannot authenticate, 403 for what no policy admits, never a redirect or a cookie', async () => {
    const sim = await startSim()
    sim.configureTeam('acme', { strict: true })
    sim.configureApplication('app', only)
    const { headers } = sim.addServiceToken({ name: 'a' })
    const wrong = { ...headers, 'CF-Access-Client-Secret': 'f'.repeat(64) }
    const unknown = await get(sim, APP, wrong)
    expect(unknown.status).toBe(401)
    expect(unknown.headers.get('cf-access-domain')).toBe('app.example.com')
    expect(unknown.headers.get('www-authenticate')).toMatch(/^Cloudflare-Access resource_metadata="https:/)
    const known = await get(sim, APP, { ...headers, accept: 'application/json' })
    expect(known.status).toBe(403)
    expect(await known.json()).toMatchObject({ status_code: 403, aud: AUD })
    expect([unknown, known].flatMap((response) => response.headers.getSetCookie())).toEqual([])
    expect((await get(sim, APP)).status).toBe(302)
  })

  test('only Service Auth, older mode: 403 with the AUD and the domain, JSON on request and switchable', async () => {
    const sim = await startSim()
    sim.configureApplication('app', { policies: [{ action: 'service_auth' }] })
    const page = await get(sim, APP)
    expect([page.status, page.headers.get('cf-access-aud'), page.headers.get('cf-access-domain')]).toEqual([
      403,
      AUD,
      'app.example.com',
    ])
    expect(await page.text()).toContain('<title>Forbidden ・ Cloudflare Access</title>')
    const data = await get(sim, APP, { accept: 'application/json' })
    expect(await data.json()).toEqual({
      message: "Forbidden. You don't have permission to view this. Please contact your system administrator.",
      status_code: 403,
      aud: AUD,
      ray_id: data.headers.get('cf-ray'),
    })
    sim.configureApplication('app', { json403: false })
    expect((await get(sim, APP, { accept: 'application/json' })).headers.get('content-type')).toMatch(/html/)
  })

  test('single-header mode, where switched on: admitted, and the header is not passed on', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const { singleHeader } = sim.addServiceToken({ name: 'a' })
    expect((await get(sim, APP, singleHeader)).status).toBe(302)
    sim.configureApplication('app', { singleHeader: true })
    expect((await get(sim, APP, singleHeader)).status).toBe(200)
    expect(origin.last.headers.authorization).toBeUndefined()
    expect((await get(sim, APP, { Authorization: '{"cf-access-client-id":1' })).status).toBe(302)
    const { headers } = sim.addServiceToken({ name: 'b' })
    await get(sim, APP, { ...headers, Authorization: 'Bearer of-the-application' })
    expect(origin.last.headers.authorization).toBe('Bearer of-the-application')
  })
})

describe('switches of an application', () => {
  test('AJAX: 401 with Access headers, or the redirect when switched off', async () => {
    const sim = await startSim()
    const headers = { 'X-Requested-With': 'XMLHttpRequest' }
    const response = await get(sim, APP, headers)
    expect([response.status, response.headers.get('cf-access-aud')]).toEqual([401, AUD])
    expect(response.headers.get('content-type')).toMatch(/^text\/html/)
    sim.configureApplication('app', { ajax401: false })
    expect((await get(sim, APP, headers)).status).toBe(302)
  })

  test('Managed OAuth: 401 Bearer for everything but a browser, and the token is then taken as Bearer', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    sim.configureApplication('app', { managedOAuth: true })
    const response = await get(sim, `${APP}/mcp`)
    const metadata = 'https://app.example.com/.well-known/cloudflare-access-protected-resource/mcp'
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toBe(
      `Bearer realm="OAuth", error="invalid_token", resource_metadata="${metadata}"`,
    )
    expect(await response.json()).toMatchObject({ error: 'invalid_token', resource_metadata: metadata })
    expect((await get(sim, `${APP}/mcp`, { accept: 'text/html' })).status).toBe(302)
    const document = await (await get(sim, metadata)).json()
    expect(document).toMatchObject({
      resource: 'https://app.example.com/mcp',
      authorization_servers: ['https://acme.cloudflareaccess.com'],
      bearer_methods_supported: ['header'],
    })
    const token = await sim.issueUserToken('app', 'anna@example.com')
    expect((await get(sim, `${APP}/mcp`, { authorization: `Bearer ${token}` })).status).toBe(200)
    expect(origin.last.headers.authorization).toBeUndefined()
    sim.configureApplication('app', { managedOAuth: false })
    expect((await get(sim, `${APP}/mcp`, { authorization: `Bearer ${token}` })).status).toBe(302)
  })

  test('discovery: HEAD tells team and AUD without a credential; the switch hides it', async () => {
    const sim = await startSim()
    const ask = { 'cf-access-metadata-request': 'true' }
    const response = await get(sim, APP, ask, 'HEAD')
    expect(response.status).toBe(200)
    const token = response.headers.get('cf-access-metadata') ?? ''
    const { payload } = await jwtVerify(token, await keySet(sim))
    expect(payload).toEqual({
      type: 'match',
      hostname: 'app.example.com',
      auth_domain: 'acme.cloudflareaccess.com',
      aud: AUD,
      app_hostname: 'app.example.com',
      iat: expect.any(Number),
    })
    expect((await get(sim, APP, ask)).headers.get('cf-access-metadata')).toBeNull()
    // A discovery token is signed by the same keys; it must not open the door it describes.
    expect((await get(sim, APP, { 'cf-access-token': token })).status).toBe(302)
    sim.configureTeam('acme', { discovery: false, protectedResource: false })
    expect((await get(sim, APP, ask, 'HEAD')).status).toBe(302)
    expect((await get(sim, `${APP}/.well-known/cloudflare-access-protected-resource/`)).status).toBe(302)
  })
})

describe('which application, which token', () => {
  test('the most specific application wins: exact host, then the longest path by whole segments', async () => {
    const sim = await startSim()
    sim.addApplication({
      name: 'api',
      host: 'app.example.com',
      path: '/api',
      aud: 'b'.repeat(64),
      policies: [{ action: 'allow' }],
    })
    sim.addApplication({
      name: 'v2',
      host: 'app.example.com',
      path: '/api/v2',
      aud: 'c'.repeat(64),
      policies: [{ action: 'allow' }],
    })
    sim.addApplication({
      name: 'any',
      host: '*.example.com',
      path: '/api/v2/x',
      aud: 'd'.repeat(64),
      policies: [{ action: 'allow' }],
    })
    const audFor = async (url: string): Promise<string | undefined> =>
      new URL((await get(sim, url)).headers.get('location') ?? '').searchParams.get('kid')?.slice(0, 1)
    expect(await audFor(`${APP}/`)).toBe('a')
    expect(await audFor(`${APP}/apis`)).toBe('a')
    expect(await audFor(`${APP}/api?x`)).toBe('b')
    expect(await audFor(`${APP}/api/v2/x`)).toBe('c')
    expect(await audFor('https://other.example.com/api/v2/x')).toBe('d')
    sim.removeApplication('v2')
    expect(await audFor(`${APP}/api/v2/x`)).toBe('b')
  })

  test('a token is good for its own application only, and only while it, its session and its user live', async () => {
    const clock = manualClock()
    const origin = await startOrigin()
    const sim = await startSim({ clock, upstream: origin.url })
    sim.addApplication({ name: 'other', host: 'other.example.com', policies: [{ action: 'allow' }] })
    const token = await sim.issueUserToken('app', 'anna@example.com')
    const at = async (url: string, token: string): Promise<number> =>
      (await get(sim, url, { cookie: `CF_Authorization=${token}` })).status
    expect([await at(APP, token), await at('https://other.example.com', token)]).toEqual([200, 302])
    expect(await at(APP, await sim.issueUserToken('app', 'bob@other.example'))).toBe(302)
    expect(await at(APP, await sim.issueUserToken('app', 'anna@example.com', { type: 'org' }))).toBe(302)
    expect(
      await at(
        APP,
        await sim.issueUserToken('app', 'anna@example.com', { iss: 'https://globex.cloudflareaccess.com' }),
      ),
    ).toBe(302)
    expect(
      await at(APP, await sim.issueUserToken('app', 'anna@example.com', { email: 'bob@other.example' })),
    ).toBe(302)
    expect(await at(APP, `${token.slice(0, -4)}${token.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`)).toBe(302)
    sim.logOut('anna@example.com')
    clock.advance(24_999)
    expect(await at(APP, token)).toBe(200)
    clock.advance(1)
    expect(await at(APP, token)).toBe(302)
    const later = await sim.issueUserToken('app', 'anna@example.com')
    clock.advance(86_399_000)
    expect(await at(APP, later)).toBe(200)
    clock.advance(1_000)
    expect(await at(APP, later)).toBe(302)
    const last = await sim.issueUserToken('app', 'anna@example.com')
    sim.removeUser('anna@example.com')
    expect(await at(APP, last)).toBe(302)
  })

  test('two teams: each application sends to its own login and trusts its own keys only', async () => {
    const sim = await startSim()
    sim.addTeam({ name: 'globex', signingKeys: GLOBEX_KEYS })
    sim.addApplication({
      name: 'g',
      team: 'globex',
      host: 'g.example.com',
      aud: 'c'.repeat(64),
      policies: [{ action: 'allow' }],
    })
    const location = (await get(sim, 'https://g.example.com/')).headers.get('location')
    expect(location).toMatch(
      /^https:\/\/globex\.cloudflareaccess\.com\/cdn-cgi\/access\/login\/g\.example\.com\?/,
    )
    const forged = await sim.issueUserToken('app', 'anna@example.com', {
      aud: ['c'.repeat(64)],
      iss: 'https://globex.cloudflareaccess.com',
    })
    expect((await get(sim, 'https://g.example.com/', { 'cf-access-token': forged })).status).toBe(302)
  })
})
