import { generateKeyPairSync } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { type Behind, cleanUp, site, startBehind } from './edge.ts'

cleanUp()

const header = 'cf-access-jwt-assertion'

/** A token with everything of a real one but the signature. */
async function forge(real: string): Promise<string> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { kid = '' } = decodeProtectedHeader(real)
  return new SignJWT(decodeJwt(real)).setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' }).sign(privateKey)
}

async function refusalOf(behind: Behind, path: string, headers: Record<string, string>, edge = false) {
  const { status, body, headers: answered } = await behind[edge ? 'get' : 'direct'](path, headers)
  return [status, body.code, answered.has('upgate-refusal')]
}

const refused = (code: string) => [401, code, true]

describe('directly at the origin', () => {
  it('an unsigned header proves nothing', async () => {
    const behind = await startBehind()
    const real = await behind.sim.issueUserToken('gateway', 'ada@example.com')
    const email = { 'cf-access-authenticated-user-email': 'ada@example.com' }
    const edgeLike = { 'cf-ray': '8a0b', 'cf-connecting-ip': '203.0.113.9', 'cdn-loop': 'cloudflare' }
    const me = (headers: Record<string, string>) => refusalOf(behind, '/api/me', { ...edgeLike, ...headers })
    expect(await me(email)).toEqual(refused('auth_required'))
    for (const forged of [await forge(real), real.slice(0, -8), 'eyJhbGciOiJub25lIn0.e30.', 'spoofed', '']) {
      expect(await me({ ...email, [header]: forged }), forged).toEqual(refused('invalid_credential'))
      const socket = behind.socketAt(behind.origin, '/ws', { ...edgeLike, [header]: forged })
      expect((await socket.upgraded).status, forged).toBe(401)
    }
    expect((await behind.direct('/api/me', { ...edgeLike, ...email, [header]: real })).status).toBe(200)
  })

  it('a bad header is final: the good cookie next to it does not count', async () => {
    const behind = await startBehind()
    const real = await behind.sim.issueUserToken('gateway', 'ada@example.com')
    const cookie = `CF_Authorization=${real}`
    expect((await behind.direct('/api/me', { cookie })).status).toBe(200)
    expect(await refusalOf(behind, '/api/me', { cookie, [header]: await forge(real) })).toEqual(
      refused('invalid_credential'),
    )
  })

  it('an expired token is refused as expired, one of another team or of the login itself as invalid', async () => {
    const behind = await startBehind()
    const { sim, clock } = behind
    sim.addApplication({ name: 'other', team: 'globex', host: 'other.example.com', policies: [] })
    sim.addUser({ email: 'ada@globex.example', team: 'globex' })
    const real = await sim.issueUserToken('gateway', 'ada@example.com')
    const meta = await sim.issueUserToken('gateway', 'ada@example.com', { type: 'meta' })
    const other = await sim.issueUserToken('other', 'ada@globex.example', decodeJwt(real))
    for (const token of [meta, other]) {
      expect(await refusalOf(behind, '/api/me', { [header]: token })).toEqual(refused('invalid_credential'))
    }
    clock.advance(86_400_000 + 30_000)
    expect(await refusalOf(behind, '/api/me', { [header]: real })).toEqual(refused('expired_credential'))
    // The edge itself wants a new login.
    expect((await behind.get('/api/me', { cookie: `CF_Authorization=${real}` })).status).toBe(302)
  })
})

describe('through the edge', () => {
  it('the assertion of another application in front of the same origin is the wrong AUD', async () => {
    const behind = await startBehind()
    behind.sim.addApplication({
      name: 'wiki',
      host: 'gateway.example.com',
      path: '/wiki',
      policies: [{ action: 'allow' }],
    })
    const cookie = `CF_Authorization=${await behind.sim.issueUserToken('wiki', 'ada@example.com')}`
    const answer = await refusalOf(behind, '/wiki/page', { cookie }, true)
    expect(behind.sim.log.at(-1)).toMatchObject({ application: 'wiki', outcome: 'forwarded' })
    expect(answer).toEqual(refused('invalid_credential'))
  })

  it('what a client spoofs on a gated path is overwritten', async () => {
    const behind = await startBehind()
    const cookie = await behind.logIn('ada@example.com')
    const spoofed = { [header]: 'spoofed', 'cf-access-authenticated-user-email': 'root@example.com' }
    const answer = await behind.get('/api/me', { cookie, ...spoofed })
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({ principal: { displayName: 'ada@example.com' } })
  })

  it('a Bypass policy lets spoofed headers through, and they open nothing', async () => {
    const behind = await startBehind()
    const real = await behind.sim.issueUserToken('gateway', 'ada@example.com')
    for (const path of ['/api/hook', '/health', '/ws']) {
      behind.sim.addApplication({
        name: path,
        host: 'gateway.example.com',
        path,
        policies: [{ action: 'bypass' }],
      })
    }
    const spoofed = { [header]: await forge(real), 'cf-access-authenticated-user-email': 'ada@example.com' }
    expect(await refusalOf(behind, '/api/hook', spoofed, true)).toEqual(refused('invalid_credential'))
    expect(behind.sim.log.at(-1)?.outcome).toBe('bypassed')
    expect((await behind.socket('/ws', { ...spoofed, origin: site }).upgraded).status).toBe(101)
    await behind.passRefusal()
    expect((await behind.socket('/ws', spoofed).upgraded).status).toBe(401)
    // Public here and at the edge: no header makes a client a principal.
    const health = await behind.get('/health', spoofed)
    expect([health.status, health.body]).toEqual([200, { principal: null, edge: null }])
  })
})
