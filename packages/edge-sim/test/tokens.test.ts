import { X509Certificate } from 'node:crypto'
import { type CertsDocument, KEY_OVERLAP_MS } from '@upgate/edge-sim'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  decodeProtectedHeader,
  jwtVerify,
} from 'jose'
import { describe, expect, test } from 'vitest'
import { AUD, cleanUp, GLOBEX_KEYS, manualClock, startOrigin, startSim } from './helpers.ts'

cleanUp()

const CERTS = 'https://acme.cloudflareaccess.com/cdn-cgi/access/certs'

async function certs(sim: { fetch: typeof fetch }): Promise<CertsDocument> {
  return (await (await sim.fetch(CERTS)).json()) as CertsDocument
}

describe('the tokens an origin receives', () => {
  test('a user: jose verifies it with the certs endpoint, and the claims are the documented ones', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const token = await sim.issueUserToken('app', 'anna@example.com')
    const response = await sim.fetch('https://app.example.com/x', {
      headers: { cookie: `CF_Authorization=${token}` },
    })
    expect(response.status).toBe(200)
    const assertion = String(origin.last.headers['cf-access-jwt-assertion'])
    const keys = createRemoteJWKSet(new URL(CERTS), { [customFetch]: sim.fetch })
    const { payload, protectedHeader } = await jwtVerify(assertion, keys, {
      issuer: 'https://acme.cloudflareaccess.com',
      audience: AUD,
      algorithms: ['RS256'],
    })
    expect(protectedHeader).toEqual({
      alg: 'RS256',
      kid: expect.stringMatching(/^[0-9a-f]{64}$/),
      typ: 'JWT',
    })
    expect(payload).toEqual({
      aud: [AUD],
      email: 'anna@example.com',
      exp: Number(payload.iat) + 86_400,
      iat: payload.nbf,
      nbf: payload.iat,
      iss: 'https://acme.cloudflareaccess.com',
      type: 'app',
      identity_nonce: expect.stringMatching(/^[0-9a-f]{16}$/),
      sub: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      country: 'US',
    })
    expect(origin.last.headers['cf-access-authenticated-user-email']).toBe('anna@example.com')
    expect(origin.last.headers.cookie).toBe(`CF_Authorization=${assertion}`)
  })

  test('a service token: aud is a string, sub is empty, no nbf, no email', async () => {
    const origin = await startOrigin()
    const sim = await startSim({ upstream: origin.url })
    const { headers, clientId } = sim.addServiceToken({ name: 'ci' })
    const response = await sim.fetch('https://app.example.com/', { headers })
    expect(response.status).toBe(200)
    const assertion = String(origin.last.headers['cf-access-jwt-assertion'])
    const { payload } = await jwtVerify(assertion, createLocalJWKSet({ keys: [...(await certs(sim)).keys] }))
    expect(payload).toEqual({
      type: 'app',
      aud: AUD,
      exp: Number(payload.iat) + 86_400,
      iss: 'https://acme.cloudflareaccess.com',
      common_name: clientId,
      iat: expect.any(Number),
      sub: '',
    })
    expect(origin.last.headers['cf-access-authenticated-user-email']).toBeUndefined()
    expect(clientId).toMatch(/^[0-9a-f]{32}\.access$/)
  })

  test('custom claims, FedRAMP issuer, and changed claims for tokens no edge would issue', async () => {
    const sim = await startSim({ teams: [{ name: 'gov', fedramp: true, signingKeys: GLOBEX_KEYS }] })
    sim.addUser({ email: 'c@example.com', country: 'DE', custom: { groups: ['ops'] } })
    const claims = decodeJwt(
      await sim.issueUserToken('app', 'c@example.com', { type: 'org', nbf: undefined }),
    )
    expect(claims).toMatchObject({
      iss: 'https://gov.fed.cloudflareaccess.com',
      country: 'DE',
      custom: { groups: ['ops'] },
      type: 'org',
    })
    expect(claims).not.toHaveProperty('nbf')
    expect(sim.team('gov').certsUrl).toBe('https://gov.fed.cloudflareaccess.com/cdn-cgi/access/certs')
    expect((await sim.fetch(sim.team('gov').certsUrl)).status).toBe(200)
    const service = decodeJwt(await sim.issueServiceAssertion('app', 'x.access', { aud: [] }))
    expect(service).toMatchObject({ common_name: 'x.access', aud: [] })
  })
})

describe('keys', () => {
  test('two are live, the current one is the second, and each has a certificate of the same key', async () => {
    const sim = await startSim()
    const document = await certs(sim)
    const { kid } = decodeProtectedHeader(await sim.issueUserToken('app', 'anna@example.com'))
    expect(document.keys).toHaveLength(2)
    expect(document.keys[1]?.kid).toBe(kid)
    expect(document.public_cert.kid).toBe(kid)
    for (const [index, { kid: certKid, cert }] of document.public_certs.entries()) {
      const certificate = new X509Certificate(cert)
      expect(certificate.subject).toBe('CN=acme.cloudflareaccess.com')
      expect(certificate.verify(certificate.publicKey)).toBe(true)
      const { n } = certificate.publicKey.export({ format: 'jwk' })
      expect({ kid: certKid, n }).toEqual({ kid: document.keys[index]?.kid, n: document.keys[index]?.n })
    }
    for (const key of document.keys)
      expect(Object.keys(key).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use'])
  })

  test('rotation: the old key is published and honoured for seven days, then gone', async () => {
    const clock = manualClock()
    const origin = await startOrigin()
    const sim = await startSim({ clock, upstream: origin.url })
    sim.configureApplication('app', { sessionSeconds: 30 * 86_400 })
    const token = await sim.issueUserToken('app', 'anna@example.com')
    const old = decodeProtectedHeader(token).kid
    const fresh = await sim.rotateKeys('acme')
    const visit = async (): Promise<number> => {
      const headers = { 'cf-access-token': token }
      return (await sim.fetch('https://app.example.com/', { headers, redirect: 'manual' })).status
    }
    expect((await certs(sim)).keys.map(({ kid }) => kid).slice(-2)).toEqual([old, fresh])
    expect(decodeProtectedHeader(await sim.issueUserToken('app', 'anna@example.com')).kid).toBe(fresh)
    clock.advance(KEY_OVERLAP_MS - 1)
    expect(await visit()).toBe(200)
    clock.advance(1)
    expect((await certs(sim)).keys.map(({ kid }) => kid)).toEqual([fresh])
    expect(await visit()).toBe(302)
  })

  test('certs are also answered on the application host, and teams have keys of their own', async () => {
    const sim = await startSim()
    sim.addTeam({ name: 'globex', signingKeys: GLOBEX_KEYS })
    const onHost = (await (
      await sim.fetch('https://app.example.com/cdn-cgi/access/certs')
    ).json()) as CertsDocument
    expect(onHost).toEqual(await certs(sim))
    const other = (await (await sim.fetch(sim.team('globex').certsUrl)).json()) as CertsDocument
    expect(other.keys.map(({ kid }) => kid)).not.toContain(onHost.keys[1]?.kid)
  })

  test.each([
    ['error', 500],
    ['html', 200],
    ['redirect', 302],
    ['oversize', 200],
  ] as const)('an outage of the kind %s is switched on and off at run time', async (mode, status) => {
    const sim = await startSim()
    const off = sim.inject({ kind: 'jwks', mode })
    const response = await sim.fetch(CERTS, { redirect: 'manual' })
    expect(response.status).toBe(status)
    const body = await response.text()
    if (mode === 'oversize') expect(body.length).toBeGreaterThan(1024 * 1024)
    if (mode === 'html') expect(response.headers.get('content-type')).toMatch(/^text\/html/)
    if (mode === 'redirect') {
      const followed = await sim.fetch(CERTS)
      expect([followed.redirected, followed.url]).toEqual([true, `${CERTS}/moved`])
    }
    off()
    expect((await certs(sim)).keys).toHaveLength(2)
    expect(sim.log.map(({ outcome }) => outcome)).toContain('jwks_outage')
  })

  test('an outage by silence: no answer until the client gives up', async () => {
    const sim = await startSim()
    sim.inject({ kind: 'jwks', mode: 'silence', times: 1 })
    const controller = new AbortController()
    const pending = sim.fetch(CERTS, { signal: controller.signal })
    // A second request is answered while the first one waits: the first is silent, not slow.
    await certs(sim)
    controller.abort()
    await expect(pending).rejects.toThrow(/abort/)
  })
})
