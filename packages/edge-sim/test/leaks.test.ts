import { describe, expect, test } from 'vitest'
import { cleanUp, manualClock, startOrigin, startSim } from './helpers.ts'

cleanUp()

const APP = 'https://app.example.com/'

describe('secrets that follow redirects', () => {
  test('a client that follows the login redirect with its headers is caught; one that stops is not', async () => {
    const sim = await startSim()
    const { headers } = sim.addServiceToken({ name: 'ci' })
    sim.expireServiceToken('ci')
    await sim.fetch(APP, { headers, redirect: 'manual' })
    expect([sim.leaks, sim.secretReachedRedirectedHost]).toEqual([[], false])
    await sim.fetch(APP, { headers })
    expect(sim.secretReachedRedirectedHost).toBe(true)
    expect(sim.leaks).toEqual([
      {
        at: expect.any(Number),
        host: 'acme.cloudflareaccess.com',
        path: '/cdn-cgi/access/login/app.example.com',
        secret: 'cf-access-client-secret',
        reason: 'login_host',
      },
    ])
  })

  test('an origin that redirects elsewhere: followed with the secret, at once, is a leak; a visit later is not', async () => {
    const clock = manualClock()
    const origin = await startOrigin((req, res) => {
      if (req.headers.host !== 'app.example.com') return false
      res.writeHead(302, { location: 'https://b.example.com/there?x=1' }).end()
      return true
    })
    const sim = await startSim({ upstream: origin.url, clock })
    sim.addApplication({ name: 'b', host: 'b.example.com', policies: [{ action: 'service_auth' }] })
    const { headers } = sim.addServiceToken({ name: 'ci' })
    expect((await sim.fetch('https://b.example.com/there', { headers })).status).toBe(200)
    await sim.fetch(APP, { headers, redirect: 'manual' })
    clock.advance(60_001)
    await sim.fetch('https://b.example.com/there', { headers })
    expect(sim.leaks).toEqual([])
    await sim.fetch(APP, { headers })
    expect(sim.leaks).toMatchObject([{ host: 'b.example.com', path: '/there', reason: 'followed' }])
  })

  test('an unknown host, a user token and the single header count too', async () => {
    const sim = await startSim()
    const { singleHeader } = sim.addServiceToken({ name: 'ci' })
    const token = await sim.issueUserToken('app', 'anna@example.com')
    const at = { 'edge-sim-host': 'evil.example' }
    await fetch(sim.url, { headers: { ...at, 'cf-access-token': token } })
    await fetch(sim.url, { headers: { ...at, ...singleHeader } })
    expect(sim.leaks.map(({ secret, reason }) => [secret, reason])).toEqual([
      ['cf-access-token', 'unknown_host'],
      ['authorization', 'unknown_host'],
    ])
  })

  test('neither the log nor the leaks hold a secret, a token or a query string', async () => {
    const origin = await startOrigin()
    const seen: unknown[] = []
    const sim = await startSim({ upstream: origin.url, onRequest: (entry) => seen.push(entry) })
    const { headers, singleHeader, clientSecret } = sim.addServiceToken({ name: 'ci' })
    const token = await sim.issueUserToken('app', 'anna@example.com')
    const cookie = `CF_Authorization=${token}`
    await sim.fetch(`${APP}p?secret=${clientSecret}`, {
      headers: { ...headers, cookie, 'cf-access-token': token },
    })
    await sim.fetch(APP, { headers: { ...singleHeader, cookie } })
    await fetch(sim.url, { headers: { ...headers, 'edge-sim-host': 'evil.example' } })
    expect(sim.leaks).toHaveLength(1)
    const text = JSON.stringify([sim.log, sim.leaks, seen])
    for (const secret of [clientSecret, token, token.split('.')[2] ?? '', '?secret'])
      expect(text).not.toContain(secret)
    expect(sim.log[0]).toEqual({
      at: expect.any(Number),
      ray: expect.stringMatching(/-SIM$/),
      method: 'GET',
      host: 'app.example.com',
      path: '/p',
      upgrade: false,
      address: '203.0.113.10',
      userAgent: 'node',
      credentials: ['cf-access-client-id', 'cf-access-client-secret', 'cf-access-token', 'CF_Authorization'],
      outcome: 'forwarded',
      status: 200,
      application: 'app',
      identity: { kind: 'service', id: 'ci' },
    })
    expect(seen).toEqual(sim.log)
    sim.clearLog()
    expect(sim.log).toEqual([])
  })

  test('the log is bounded', async () => {
    const sim = await startSim({ logSize: 2 })
    for (const path of ['a', 'b', 'c']) await sim.fetch(`${APP}${path}`, { redirect: 'manual' })
    expect(sim.log.map(({ path }) => path)).toEqual(['/b', '/c'])
  })
})
