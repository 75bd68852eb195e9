import { createEdgeSim, type EdgeSim, type EdgeSimOptions, edgeFetch, type Fault } from '@upgate/edge-sim'
import { describe, expect, test } from 'vitest'
import { AUD, cleanUp, startOrigin, startSim } from './helpers.ts'

cleanUp()

const APP = { name: 'a', host: 'a.example.com', policies: [] }

describe('misconfiguration throws a TypeError that names the option', () => {
  test.each<[unknown, RegExp]>([
    [{ upstreams: 'x' }, /edge-sim\.upstreams is unknown; known: upstream, teams/],
    [{ upstream: 'https://127.0.0.1' }, /upstream must be a loopback origin such as/],
    [{ upstream: 'http://192.168.0.1:80' }, /upstream must be a loopback origin/],
    [{ upstream: 'http://127.0.0.1:80/path' }, /upstream must be a loopback origin/],
    [{ listen: '0.0.0.0' }, /listen must be a loopback address/],
    [{ port: -1 }, /port must be an integer from 0 to 65535/],
    [{ urls: 'both' }, /urls must be one of cloudflare, loopback/],
    [{ clientAddress: 'somewhere' }, /clientAddress must be an IP address/],
    [{ idleCutMs: 0 }, /idleCutMs must be an integer from 1/],
    [{ originSilenceMs: 1.5 }, /originSilenceMs must be an integer/],
    [{ maxConnections: 0 }, /maxConnections must be/],
    [{ logSize: 0 }, /logSize must be/],
    [{ teams: ['a.b'] }, /team\.name must be one host label/],
    [{ teams: ['acme', 'acme'] }, /team\.name "acme" is taken/],
    [{ teams: [{ name: 'a', meta: 'old' }] }, /team\.meta must be one of current, token-id, minimal/],
    [{ teams: [{ name: 'a', strict: 'yes' }] }, /team\.strict must be true or false/],
    [{ teams: [{ name: 'a', logoutDelaySeconds: -1 }] }, /team\.logoutDelaySeconds must be an integer/],
    [{ teams: [{ name: 'a', signingKeys: [{ kty: 'EC' }] }] }, /team\.signingKeys must be private RSA JWKs/],
    [{ applications: [{ ...APP, aud: 'short' }] }, /application\.aud must be 64 lower-case hex digits/],
    [
      { applications: [{ ...APP, host: 'https://a' }] },
      /application\.host must be a host name without scheme or port/,
    ],
    [{ applications: [{ ...APP, path: '/*' }] }, /application\.path must be a plain absolute path/],
    [{ applications: [{ ...APP, team: 'nobody' }] }, /there is no team named "nobody"/],
    [{ applications: [APP, APP] }, /application\.name "a" is taken/],
    [{ applications: [APP, { ...APP, name: 'b' }] }, /application "a" already covers this host and path/],
    [
      {
        applications: [
          { ...APP, aud: AUD },
          { ...APP, name: 'b', path: '/b', aud: AUD },
        ],
      },
      /application\.aud is taken/,
    ],
    [
      { applications: [{ ...APP, sessionSeconds: 0 }] },
      /application\.sessionSeconds must be an integer from 1/,
    ],
    [
      { applications: [{ ...APP, policies: [{ action: 'deny' }] }] },
      /policies\[0\]\.action must be allow, service_auth or bypass/,
    ],
    [
      { applications: [{ ...APP, policies: [{ action: 'allow', tokens: [] }] }] },
      /policies\[0\]\.tokens is unknown; known: action, emails/,
    ],
    [
      { applications: [{ ...APP, policies: [{ action: 'bypass', addresses: ['x'] }] }] },
      /policies\[0\]\.addresses must be IP addresses/,
    ],
    [{ users: [{ email: 'anna' }] }, /user\.email must be an address/],
    [{ users: [{ email: 'a@b.example', country: 'Germany' }] }, /user\.country must be two capital letters/],
    [{ hosts: ['a:80'] }, /host must be a host name/],
  ])('%j', (options, message) => {
    expect(() => createEdgeSim(options as EdgeSimOptions)).toThrow(message)
    expect(() => createEdgeSim(options as EdgeSimOptions)).toThrow(TypeError)
  })

  test.each<[(sim: EdgeSim) => unknown, RegExp]>([
    [(sim) => sim.inject({ kind: 'nonsense' } as unknown as Fault), /fault\.kind must be one of rate-limit/],
    [(sim) => sim.inject({ kind: 'waf', retryAfter: 1 } as unknown as Fault), /fault\.retryAfter is unknown/],
    [(sim) => sim.inject({ kind: 'waf', times: 0 }), /fault\.times must be an integer from 1/],
    [
      (sim) => sim.inject({ kind: 'origin-error', status: 520 as 521 }),
      /fault\.status must be an integer from 521/,
    ],
    [(sim) => sim.inject({ kind: 'waf', when: { path: '/' } as object }), /fault\.when\.path is unknown/],
    [
      (sim) => sim.inject({ kind: 'waf', when: { paths: '/' as unknown as string[] } }),
      /fault\.when\.paths must be an array/,
    ],
    [(sim) => sim.addServiceToken({ name: '' }), /serviceToken\.name must be a non-empty string/],
    [
      (sim) => sim.addServiceToken({ name: 'x', form: 'jwt' as 'hex' }),
      /serviceToken\.form must be one of hex, cfast/,
    ],
    [(sim) => sim.rotateServiceToken('nobody'), /there is no service token named "nobody"/],
    [(sim) => sim.configureTeam('nobody', {}), /there is no team named "nobody"/],
    [
      (sim) => sim.configureApplication('app', { ajax401: 1 as unknown as boolean }),
      /application\.ajax401 must be/,
    ],
    [(sim) => sim.application('nobody'), /there is no application named "nobody"/],
    [(sim) => sim.logOut('nobody@example.com'), /there is no user "nobody@example.com"/],
    [(sim) => sim.url, /has not been started/],
  ])('%s', (act, message) => {
    const sim = createEdgeSim({ applications: [{ ...APP, name: 'app' }] })
    expect(() => act(sim)).toThrow(message)
  })

  test('at most 100 faults, and a fault cannot be changed after it was switched on', async () => {
    const sim = await startSim({ hosts: ['open.example.com'] })
    const fault = { kind: 'waf', when: { paths: ['/x'] } } as const
    const off = sim.inject(fault)
    ;(fault.when.paths as unknown as string[])[0] = '/'
    expect((await sim.fetch('https://open.example.com/')).status).toBe(530)
    off()
    for (let index = 0; index < 100; index++) sim.inject({ kind: 'waf' })
    expect(() => sim.inject({ kind: 'waf' })).toThrow(/at most 100 faults/)
  })
})

describe('fetch', () => {
  test('maps names onto loopback from another process too, and refuses names that are not simulated', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com'] })
    const fetch = edgeFetch(sim.url, { hosts: ['Open.example.com'] })
    const response = await fetch('https://open.example.com/a?b=c', { method: 'POST', body: 'x' })
    expect([response.status, response.url, response.redirected]).toEqual([
      200,
      'https://open.example.com/a?b=c',
      false,
    ])
    expect(origin.last).toMatchObject({ method: 'POST', url: '/a?b=c', body: 'x' })
    expect((await fetch(origin.url)).status).toBe(200)
    await expect(fetch('https://app.example.com/')).rejects.toMatchObject({
      name: 'TypeError',
      cause: { message: 'app.example.com is not simulated' },
    })
    await expect(sim.fetch('https://app.example.com/', { redirect: 'error' })).rejects.toMatchObject({
      cause: { message: 'unexpected redirect' },
    })
  })

  test('follows redirects as fetch does: 303 becomes GET, Authorization stays behind, a loop ends', async () => {
    const origin = await startOrigin((req, res) => {
      const to = { '/303': '/end', '/307': '/end', '/far': 'https://far.example.com/end', '/loop': '/loop' }[
        req.url ?? ''
      ]
      if (to === undefined) return false
      res.writeHead(req.url === '/303' ? 303 : 307, { location: to }).end()
      return true
    })
    const sim = await startSim({ upstream: origin.url, hosts: ['open.example.com', 'far.example.com'] })
    const post = (path: string): Promise<Response> =>
      sim.fetch(`https://open.example.com${path}`, {
        method: 'POST',
        body: 'x',
        headers: { authorization: 'Bearer s' },
      })
    expect((await post('/303')).url).toBe('https://open.example.com/end')
    expect(origin.last).toMatchObject({ method: 'GET', body: '' })
    await post('/307')
    expect(origin.last).toMatchObject({ method: 'POST', body: 'x', headers: { authorization: 'Bearer s' } })
    const far = await post('/far')
    expect([far.url, far.redirected]).toEqual(['https://far.example.com/end', true])
    expect(origin.last.headers).not.toHaveProperty('authorization')
    await expect(post('/loop')).rejects.toMatchObject({ cause: { message: 'redirect count exceeded' } })
  })
})

test('a simulator can be stopped before it was started, stopped twice, and started again', async () => {
  const sim = createEdgeSim({ applications: [APP] })
  await sim.stop()
  await sim.start()
  await sim.stop()
  await sim.stop()
  await sim.start()
  expect((await sim.fetch(sim.team('acme').certsUrl)).status).toBe(200)
  await sim.stop()
})
