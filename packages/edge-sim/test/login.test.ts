import type { EdgeSim } from '@upgate/edge-sim'
import { decodeJwt } from 'jose'
import { describe, expect, test } from 'vitest'
import { AUD, cleanUp, cookieOf, GLOBEX_KEYS, manualClock, startOrigin, startSim } from './helpers.ts'

cleanUp()

const TEAM = 'https://acme.cloudflareaccess.com'
const APP = 'https://app.example.com'
const CALLBACK = `${TEAM}/cdn-cgi/access/callback`

function get(sim: EdgeSim, url: string, headers: Record<string, string> = {}): Promise<Response> {
  return sim.fetch(url, { headers, redirect: 'manual' })
}

function post(
  sim: EdgeSim,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Response> {
  return sim.fetch(CALLBACK, {
    method: 'POST',
    body: new URLSearchParams(fields),
    headers,
    redirect: 'manual',
  })
}

function loginUrl(redirectUrl: string, kid = AUD, host = 'app.example.com'): string {
  return `${TEAM}/cdn-cgi/access/login/${host}?${new URLSearchParams({ kid, redirect_url: redirectUrl })}`
}

async function stateOf(page: Response): Promise<string> {
  return /name="state" value="([0-9a-f]+)"/.exec(await page.text())?.[1] ?? ''
}

/** Performs the whole login as a browser would, and returns the cookies it got. */
async function logIn(
  sim: EdgeSim,
  email: string,
  path = '/',
): Promise<{ app: string; org: string; back: string }> {
  const page = await get(sim, (await get(sim, `${APP}${path}`)).headers.get('location') ?? '')
  const chosen = await post(sim, { state: await stateOf(page), email })
  const handover = chosen.headers.get('location') ?? ''
  expect(handover).toMatch(/^https:\/\/app\.example\.com\/cdn-cgi\/access\/authorized\?nonce=/)
  const done = await get(sim, handover)
  return {
    app: cookieOf(done, 'CF_Authorization') ?? '',
    org: cookieOf(chosen, 'CF_Authorization') ?? '',
    back: done.headers.get('location') ?? '',
  }
}

describe('a browser logs in', () => {
  test('page, choice, hand-over, cookie, and back to where it wanted to go', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const page = await get(sim, loginUrl('/'))
    expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
    const text = await page.text()
    expect(text).toContain('<title>Sign in ・ Cloudflare Access</title>')
    expect(text).toContain('value="anna@example.com"')
    const { app, org, back } = await logIn(sim, 'anna@example.com', '/a?b=c&d')
    expect(back).toBe('/a?b=c&d')
    expect(decodeJwt(org)).toMatchObject({ type: 'org' })
    expect(decodeJwt(app)).toMatchObject({ type: 'app', aud: [AUD], email: 'anna@example.com' })
    expect((await get(sim, APP, { cookie: `CF_Authorization=${app}` })).status).toBe(200)
    expect((await get(sim, APP, { cookie: `CF_Authorization=${org}` })).status).toBe(302)
  })

  test('a session at the team is enough for the next application', async () => {
    const sim = await startSim()
    sim.addApplication({
      name: 'other',
      host: 'o.example.com',
      aud: 'c'.repeat(64),
      policies: [{ action: 'allow' }],
    })
    const { org } = await logIn(sim, 'anna@example.com')
    const url = loginUrl('/', 'c'.repeat(64), 'o.example.com')
    const response = await get(sim, url, { cookie: `CF_Authorization=${org}` })
    expect(response.headers.get('location')).toMatch(
      /^https:\/\/o\.example\.com\/cdn-cgi\/access\/authorized/,
    )
  })

  test('a user that no policy admits gets the forbidden page, and no token for the application', async () => {
    const sim = await startSim()
    const page = await get(sim, loginUrl('/'))
    const response = await post(sim, { state: await stateOf(page), email: 'bob@other.example' })
    expect([response.status, response.headers.get('location')]).toEqual([403, null])
  })

  test('with loopback URLs everything a browser opens is on this machine, and cookies need no TLS', async () => {
    const sim = await startSim({
      urls: 'loopback',
      applications: [{ name: 'l', host: 'localhost', policies: [{ action: 'allow' }] }],
    })
    const first = await get(sim, `http://localhost:${sim.port}/x`)
    const location = first.headers.get('location') ?? ''
    expect(location).toMatch(
      new RegExp(
        `^http://acme\\.cloudflareaccess\\.com\\.localhost:${sim.port}/cdn-cgi/access/login/localhost:${sim.port}\\?`,
      ),
    )
    expect(first.headers.getSetCookie()[0]).not.toMatch(/Secure/)
    const page = await get(sim, location)
    const action = new URL('/cdn-cgi/access/callback', location)
    const body = new URLSearchParams({ state: await stateOf(page), email: 'anna@example.com' })
    const chosen = await sim.fetch(action, { method: 'POST', body, redirect: 'manual' })
    const handover = chosen.headers.get('location') ?? ''
    expect(handover).toMatch(new RegExp(`^http://localhost:${sim.port}/cdn-cgi/access/authorized\\?nonce=`))
    const done = await get(sim, handover)
    expect(done.headers.getSetCookie()[0]).toMatch(
      /^CF_Authorization=ey.*; Path=\/; Max-Age=86400; HttpOnly; SameSite=Lax$/,
    )
    const token = cookieOf(done, 'CF_Authorization') ?? ''
    expect(decodeJwt(token).iss).toBe('https://acme.cloudflareaccess.com')
  })
})

describe('hostile logins', () => {
  test.each([
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example',
    '/\t/evil.example',
    '\\\\evil.example',
    'javascript:alert(1)',
    '/a\r\nset-cookie: x=1',
    '/a\\b',
    '/\u4f60',
    '',
    'x',
  ])('redirect_url %j leads nowhere', async (value) => {
    const sim = await startSim()
    const response = await get(sim, loginUrl(value))
    expect([response.status, response.headers.get('location')]).toEqual([400, null])
    expect(await response.text()).not.toContain('evil.example')
  })

  test.each([
    [AUD, 'evil.example'],
    [AUD, 'app.example.com.evil.example'],
    [AUD, 'app.example.com:6666'],
    [AUD, 'app.example.com%2F@evil.example'],
    [AUD, 'app.example.com@evil.example'],
    ['e'.repeat(64), 'app.example.com'],
  ])('kid %s on host %s is no application', async (kid, host) => {
    const sim = await startSim()
    const response = await get(sim, loginUrl('/', kid, host))
    expect([response.status, response.headers.get('location')]).toEqual([400, null])
  })

  test('another team’s application cannot be entered through this team', async () => {
    const sim = await startSim()
    sim.addTeam({ name: 'globex', signingKeys: GLOBEX_KEYS })
    sim.addApplication({
      name: 'g',
      team: 'globex',
      host: 'g.example.com',
      aud: 'c'.repeat(64),
      policies: [{ action: 'allow' }],
    })
    expect((await get(sim, loginUrl('/', 'c'.repeat(64), 'g.example.com'))).status).toBe(400)
  })

  test('a foreign page cannot log anybody in: the form needs a fresh state and the same site', async () => {
    const clock = manualClock()
    const sim = await startSim({ clock })
    const state = async (): Promise<string> => stateOf(await get(sim, loginUrl('/')))
    const email = 'anna@example.com'
    expect((await post(sim, { email })).status).toBe(400)
    expect((await post(sim, { email, state: 'f'.repeat(48) })).status).toBe(400)
    expect(
      (await post(sim, { email, state: await state() }, { 'sec-fetch-site': 'cross-site' })).status,
    ).toBe(400)
    expect((await post(sim, { email: 'nobody@example.com', state: await state() })).status).toBe(400)
    const used = await state()
    expect((await post(sim, { email, state: used })).status).toBe(302)
    expect((await post(sim, { email, state: used })).status).toBe(400)
    const late = await state()
    clock.advance(10 * 60_000)
    expect((await post(sim, { email, state: late })).status).toBe(400)
  })

  test('the hand-over works once, on its own host, for a minute; a big form is refused', async () => {
    const clock = manualClock()
    const sim = await startSim({ clock })
    sim.addApplication({ name: 'other', host: 'o.example.com', policies: [{ action: 'allow' }] })
    const handover = async (): Promise<string> => {
      const state = await stateOf(await get(sim, loginUrl('/')))
      return (await post(sim, { state, email: 'anna@example.com' })).headers.get('location') ?? ''
    }
    const first = await handover()
    expect((await get(sim, first.replace('app.', 'o.').replace('oexample', 'o.example'))).status).toBe(400)
    const second = await handover()
    expect([(await get(sim, second)).status, (await get(sim, second)).status]).toEqual([302, 400])
    const third = await handover()
    clock.advance(60_000)
    expect((await get(sim, third)).status).toBe(400)
    expect((await post(sim, { email: 'x'.repeat(10_000), state: '' })).status).toBe(400)
  })

  test('names and hosts are escaped on the page', async () => {
    const sim = await startSim()
    sim.addUser({ email: 'm@example.com', name: '<img src=x onerror=alert(1)>' })
    const text = await (await get(sim, loginUrl('/'))).text()
    expect(text).not.toContain('<img')
    expect(text).toContain('&#60;img src=x onerror=alert(1)&#62;')
  })
})

describe('identity and logout', () => {
  test.each([`${APP}`, TEAM])(
    'get-identity and logout at %s; the edge forgets after the delay',
    async (base) => {
      const clock = manualClock()
      const origin = await startOrigin()
      const sim = await startSim({ clock, upstream: origin.url })
      const { app, org } = await logIn(sim, 'anna@example.com')
      const cookie = `CF_Authorization=${base === TEAM ? org : app}`
      const identity = await get(sim, `${base}/cdn-cgi/access/get-identity`, { cookie })
      expect(await identity.json()).toMatchObject({
        email: 'anna@example.com',
        name: 'Anna',
        geo: { country: 'US' },
      })
      const anonymous = await get(sim, `${base}/cdn-cgi/access/get-identity`)
      expect([anonymous.status, await anonymous.json()]).toEqual([400, { err: 'no app token set' }])
      const out = await get(sim, `${base}/cdn-cgi/access/logout?returnTo=https://evil.example`, { cookie })
      expect([out.status, out.headers.get('location')]).toEqual([200, null])
      expect(out.headers.getSetCookie()[0]).toMatch(/^CF_Authorization=; Path=\/; Max-Age=0/)
      const still = async (): Promise<number> =>
        (await get(sim, APP, { cookie: `CF_Authorization=${app}` })).status
      expect(await still()).toBe(200)
      clock.advance(25_000)
      expect(await still()).toBe(302)
      expect((await get(sim, `${base}/cdn-cgi/access/get-identity`, { cookie })).status).toBe(400)
      expect((await get(sim, loginUrl('/'), { cookie: `CF_Authorization=${org}` })).status).toBe(200)
    },
  )

  test('an unknown path is 404, on both kinds of host', async () => {
    const sim = await startSim()
    for (const base of [TEAM, APP])
      expect((await get(sim, `${base}/cdn-cgi/access/nothing`)).status).toBe(404)
    expect((await get(sim, `${APP}/cdn-cgi/trace`)).status).toBe(404)
    expect((await sim.fetch(`${TEAM}/cdn-cgi/access/certs`, { method: 'POST' })).status).toBe(404)
  })
})
