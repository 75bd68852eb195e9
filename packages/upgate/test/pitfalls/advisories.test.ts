// What gateways in the field were attacked with, each through a whole server with the limits that it has by default.
import { once } from 'node:events'
import { apiKey, createServices, memoryStore, sharedToken } from 'upgate'
import { afterEach, describe, expect, it } from 'vitest'
import { admin } from '../pairing/stage.ts'
import { fakeHasher, goodPassword } from '../services/setup.ts'
import { closeAll, type Ended, type Gateway, origin, shared, startGateway } from './advisory-stage.ts'

afterEach(closeAll)

const evil = { origin: 'https://evil.example' }
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
/** Through the proxy on this machine, from that address. */
const from = (address: string) => ({ 'x-forwarded-for': address })

async function times<T>(count: number, run: (n: number) => Promise<T>): Promise<T[]> {
  const all: T[] = []
  for (let n = 0; n < count; n++) all.push(await run(n))
  return all
}

/** What the first successful `connect` was answered. */
function hello({ how, said }: Ended) {
  expect(how).toBe('accepted')
  return said.find((frame) => frame.ok === true)?.payload as Record<string, unknown>
}

/** Ten wrong passwords, then the right one: whether the guesses were counted. */
async function guess(gateway: Gateway, headers: (n: number) => Record<string, string>): Promise<string> {
  const wrong = await times(10, (n) => gateway.connect({ password: `wrong password ${n}` }, {}, headers(n)))
  expect(new Set(wrong.map(({ how }) => how))).toEqual(new Set(['1008 invalid_credential']))
  return (await gateway.connect({ password: goodPassword }, {}, headers(10))).how
}

describe('2. a web page against a gateway on localhost', () => {
  it('cannot guess: its sockets and its logins are refused before anything is checked', async () => {
    const gateway = await startGateway({ proxies: false })
    for (const auth of [{ password: goodPassword }, { token: shared }]) {
      expect((await gateway.connect(auth, {}, evil)).how).toBe('403')
      expect((await gateway.connect(auth, {}, { origin: 'null' })).how).toBe('403')
    }
    expect(await gateway.ask('/login', evil, 'POST')).toMatchObject({ status: 403, code: 'origin_refused' })
    expect(await gateway.ask('/api/x', { host: 'evil.example' })).toMatchObject({ code: 'host_refused' })
  })

  it('pairs nothing by itself: a request from loopback is refused, or waits for a person', async () => {
    const gateway = await startGateway({ proxies: false })
    const claim = { claimSecret: 'claim-secret-of-a-device'.padEnd(43, 'x') }
    expect((await gateway.connect(claim, {}, evil)).how).toBe('403')
    expect((await gateway.connect(claim)).how).not.toBe('accepted')
    expect(await gateway.pairing.pending()).toEqual([])
    expect((await gateway.connect({ ...claim, token: shared })).how).toBe('1008 pairing_required')
    expect((await gateway.pairing.pending()).map(({ state }) => state)).toEqual(['pending'])
    expect(gateway.accepted).toEqual([])
  })
})

describe('3. GHSA-rqpp-rjj8-7wv8: a shared secret without a device that declares itself admin', () => {
  it('gets the configured scopes, and the answer names the scopes that were not granted', async () => {
    const gateway = await startGateway()
    const wish = { role: 'admin', scopes: ['operator.admin', 'operator.read'] }
    const payload = hello(await gateway.connect({ token: shared }, wish))
    expect(gateway.accepted[0]).toMatchObject({ roles: ['operator'], scopes: ['operator.read'] })
    expect(payload.auth).toMatchObject({ scopes: ['operator.read'] })
    expect(JSON.stringify(payload)).toContain('operator.admin')
    expect(await gateway.ask('/api/admin/x', bearer(shared))).toMatchObject({ code: 'insufficient_scope' })
  })
})

describe('4. CVE-2026-53821: scopes that a client sends through a trusted proxy', () => {
  it.each(['x-scopes', 'x-auth-scopes', 'x-forwarded-scopes', 'x-openclaw-scopes', 'x-roles'])(
    '%s adds nothing',
    async (name) => {
      const gateway = await startGateway()
      const { token } = await gateway.keys.create({ name: 'k', scopes: ['operator.read'] })
      const headers = { ...bearer(token), ...from('192.0.2.1'), [name]: 'operator.admin' }
      expect(await gateway.ask('/api/admin/x', headers)).toMatchObject({ code: 'insufficient_scope' })
      expect((await gateway.ask('/api/x', headers)).principal?.scopes).toEqual(['operator.read'])
    },
  )
})

describe('5. CVE-2026-53832: an identity header forged from loopback', () => {
  it.each([
    'cf-access-authenticated-user-email',
    'x-forwarded-user',
    'x-forwarded-email',
    'x-auth-request-user',
    'remote-user',
    'tailscale-user-login',
  ])('%s proves no principal', async (name) => {
    for (const proxies of [true, false]) {
      const gateway = await startGateway({ proxies })
      expect(await gateway.ask('/api/x', { [name]: 'ada@example.com' })).toMatchObject({
        status: 401,
        code: 'auth_required',
      })
    }
  })
})

describe('6. CVE-2026-35656: X-Forwarded-For with a loopback hop in it', () => {
  it.each(['127.0.0.1', '::1', '127.0.0.1, 127.0.0.1', '203.0.113.9, 127.0.0.1', '::ffff:127.0.0.1'])(
    '%s opens nothing, and does not get around the limits',
    async (hops) => {
      const gateway = await startGateway()
      expect((await gateway.ask('/api/x', from(hops))).status).toBe(401)
      // The proxy appends the address it saw; everything left of it is the client's claim.
      expect(await guess(gateway, (n) => from(`${n % 2 === 0 ? hops : '::1'}, 203.0.113.7`))).toBe('429')
    },
  )
})

describe('7. GHSA-5847-rm3g-23mw: an address in IPv4-mapped form', () => {
  it('has no second bucket', async () => {
    const gateway = await startGateway()
    const forms = ['203.0.113.7', '::ffff:203.0.113.7', '::FFFF:cb00:7107', '0:0:0:0:0:ffff:203.0.113.7']
    expect(await guess(gateway, (n) => from(forms[n % forms.length] as string))).toBe('429')
  })
})

describe('8. pull request 57647: a bogus device token sent with the guesses', () => {
  it('does not switch the limiter off, nor reset it', async () => {
    const gateway = await startGateway()
    const bogus = 'ugd_000000000000_bogus'
    const headers = from('203.0.113.7')
    for (let n = 0; n < 10; n++) {
      expect((await gateway.connect({ password: `wrong password ${n}` }, {}, headers)).how).toMatch(/^1008/)
      if (n < 5) expect((await gateway.connect({ token: bogus }, {}, headers)).how).toMatch(/^1008/)
    }
    expect((await gateway.connect({ password: goodPassword }, {}, headers)).how).toBe('429')
  })

  it('in the same frame is two credentials, and nothing is checked', async () => {
    const gateway = await startGateway()
    const auth = { password: goodPassword, deviceToken: 'ugd_000000000000_bogus' }
    expect((await gateway.connect(auth)).how).not.toBe('accepted')
    expect(gateway.accepted).toEqual([])
  })
})

describe('9. pull request 16876: a limiter that has to be switched on', () => {
  it('is on: ten wrong passwords and the right one is not even asked for', async () => {
    const gateway = await startGateway()
    expect(await guess(gateway, () => from('203.0.113.7'))).toBe('429')
    expect((await gateway.connect({ password: goodPassword }, {}, from('198.51.100.1'))).how).toBe('accepted')
  })

  it('is on for logins as well', async () => {
    const { accounts } = createServices({ store: memoryStore(), passwordHasher: fakeHasher() })
    const outcomes = await times(11, () => accounts.login('nobody@example.com', 'wrong password here'))
    expect(outcomes.map(({ outcome }) => outcome)).toEqual([...Array(10).fill('rejected'), 'throttled'])
  })
})

describe('10. GHSA-4jpw-hj22-2xmc, GHSA-whf9-3hcx-gq54: rotation that mints more, or another role', () => {
  it('gives a new token to the same record, whatever is asked for', async () => {
    const gateway = await startGateway()
    const { id } = await gateway.devices.create({ name: 'd', role: 'node', scopes: ['node.run'] })
    const more = { scopes: ['operator.admin'], role: 'admin' } as never
    await expect(gateway.devices.rotate(id, more)).rejects.toThrow(/unknown option/)
    const rotated = await gateway.devices.rotate(id)
    if (rotated.outcome !== 'done') throw new Error(rotated.reason)
    const { principal } = await gateway.ask('/api/x', bearer(rotated.token))
    expect(principal).toMatchObject({ id, scopes: ['node.run'], roles: ['node'] })
  })
})

describe('11. CVE-2026-33579, CVE-2026-33577, CVE-2026-41386: approval beyond the approver', () => {
  const claim = { claimSecret: 'claim-secret-of-a-device'.padEnd(43, 'x') }
  const poor = admin({ scopes: ['operator.read'], roles: [] })

  it('is refused, and no device is paired', async () => {
    const gateway = await startGateway()
    await gateway.connect({ ...claim, token: shared }, { role: 'node', scopes: ['operator.admin'] })
    const [request] = await gateway.pairing.pending()
    expect(await gateway.pairing.approve(request?.id ?? '', { actor: poor })).toMatchObject({
      outcome: 'refused',
      code: 'scope_not_held',
    })
    const role = { actor: poor, role: 'operator', scopes: [] }
    expect(await gateway.pairing.approve(request?.id ?? '', role)).toMatchObject({
      code: 'role_not_grantable',
    })
    expect((await gateway.connect(claim)).how).toBe('1008 pairing_required')
    expect(await gateway.devices.list()).toEqual([])
  })

  it('nor by a code: it is bound to its role and scopes, and to what its maker holds', async () => {
    const gateway = await startGateway()
    const { bootstrap } = gateway.pairing
    expect(await bootstrap.create({ actor: poor, scopes: ['operator.admin'] })).toMatchObject({
      code: 'scope_not_held',
    })
    const made = await bootstrap.create({ actor: admin(), role: 'node', scopes: ['node.run'] })
    if (made.outcome !== 'done') throw new Error(made.reason)
    const wish = { role: 'node', scopes: ['operator.admin'] }
    await gateway.connect({ ...claim, bootstrapToken: made.code }, wish)
    for (const { id } of await gateway.pairing.pending()) {
      expect(await gateway.pairing.approve(id, { actor: admin() })).toMatchObject({
        code: 'beyond_invitation',
      })
    }
    expect(await gateway.devices.list()).toEqual([])
  })
})

describe('12. CVE-2026-34503: a revoked session', () => {
  it('is over at once: its live socket is closed, and it opens nothing any more', async () => {
    const gateway = await startGateway()
    const issued = await gateway.sessions.create(gateway.account.id)
    const headers = { origin, cookie: `__Host-upgate_session=${issued?.token}` }
    const ws = gateway.dial('/ws/strict', headers)
    await once(ws, 'open')
    const closed = once(ws, 'close')
    await gateway.sessions.revoke(issued?.session.id ?? '')
    const [code] = await closed
    expect(code).toBe(4403)
    expect((await gateway.ask('/api/x', headers)).status).toBe(401)
  })
})

describe('13. GHSA-m8wm-r5vq-qjpg: a secret that was rotated', () => {
  it('is not remembered: a device token', async () => {
    const gateway = await startGateway()
    const { id, token } = await gateway.devices.create({ name: 'd' })
    expect((await gateway.ask('/api/x', bearer(token))).status).toBe(200)
    const ws = gateway.dial('/ws/strict', bearer(token))
    await once(ws, 'open')
    const closed = once(ws, 'close')
    await gateway.devices.rotate(id)
    expect((await closed)[0]).toBe(4403)
    expect((await gateway.ask('/api/x', bearer(token))).status).toBe(401)
  })

  it('is not remembered: a shared token, without a restart', async () => {
    const gateway = await startGateway()
    expect((await gateway.ask('/api/x', bearer(shared))).status).toBe(200)
    gateway.rotateShared('another-gateway-token-9876543210')
    expect((await gateway.ask('/api/x', bearer(shared))).status).toBe(401)
    expect((await gateway.ask('/api/x', bearer('another-gateway-token-9876543210'))).status).toBe(200)
  })
})

describe('14. GHSA-mfg5-7q5g-f37j: sockets before authentication', () => {
  it('are 32 an address, and those that say nothing are closed', async () => {
    const gateway = await startGateway()
    const silent = Array.from({ length: 32 }, () => gateway.dial('/ws', from('203.0.113.7')))
    await Promise.all(silent.map((ws) => once(ws, 'open')))
    expect((await gateway.connect({ token: shared }, {}, from('203.0.113.7'))).how).toBe('503')
    expect((await gateway.connect({ token: shared }, {}, from('203.0.113.8'))).how).toBe('accepted')
    const closed = Promise.all(silent.map((ws) => once(ws, 'close')))
    await new Promise((resolve) => setImmediate(resolve))
    gateway.clock.advance(10_000)
    // Those that are overdue are looked at once more, in case that they have spoken.
    expect(new Set((await closed).map(([code]) => code))).toEqual(new Set([1013]))
    expect(gateway.guarded.counts.quarantined).toBe(0)
  })
})

describe('15. GHSA-cjv3-m589-v3rx: proof by another client at the same address', () => {
  it('is no proof for the next one', async () => {
    for (const proxies of [true, false]) {
      const gateway = await startGateway({ proxies })
      const headers = from('203.0.113.7')
      hello(await gateway.connect({ token: shared }, {}, headers))
      expect((await gateway.ask('/api/x', { ...headers, ...bearer(shared) })).status).toBe(200)
      expect((await gateway.ask('/api/x', headers)).status).toBe(401)
      expect((await gateway.connect({}, {}, headers)).how).not.toBe('accepted')
      expect((await gateway.connect({ token: 'x'.repeat(31) }, {}, headers)).how).toMatch(/^1008/)
      expect(gateway.accepted).toHaveLength(1)
    }
  })
})

describe('18. what moltis had', () => {
  it('an empty set of scopes grants nothing, on HTTP as on WebSocket', async () => {
    const gateway = await startGateway()
    const { token } = await gateway.keys.create({ name: 'k' })
    expect(await gateway.ask('/api/admin/x', bearer(token))).toMatchObject({ code: 'insufficient_scope' })
    hello(await gateway.connect({ token }, { scopes: ['operator.admin'] }))
    expect(gateway.accepted[0]?.scopes).toEqual([])
  })

  it('a device does not say which role or node it is', async () => {
    const gateway = await startGateway()
    const { id, token } = await gateway.devices.create({ name: 'd', scopes: ['node.run'] })
    const wish = { role: 'operator', nodeId: 'other', client: { id: 'other', instanceId: 'other' } }
    const payload = hello(await gateway.connect({ deviceToken: token }, wish))
    expect(JSON.stringify(payload)).toContain('operator')
    expect(gateway.accepted.map(({ id, roles }) => [id, roles])).toEqual([[id, ['node']]])
  })

  it('revoking a token closes its sockets', async () => {
    const gateway = await startGateway()
    const { id, token } = await gateway.keys.create({ name: 'k' })
    const ws = gateway.dial('/ws/strict', bearer(token))
    await once(ws, 'open')
    const closed = once(ws, 'close')
    await gateway.keys.revoke(id)
    expect((await closed)[0]).toBe(4403)
  })

  it('a mode without its secret does not start, or admits no client', async () => {
    const principal = { kind: 'service', id: 'gateway' } as const
    for (const token of [undefined, '', [], [''], 'short']) {
      expect(() => sharedToken({ token, principal } as never)).toThrow(TypeError)
    }
    expect(() => apiKey({} as never)).toThrow(TypeError)
    const gateway = await startGateway()
    for (const unset of ['', undefined as never]) {
      gateway.rotateShared(unset)
      for (const token of ['', 'undefined', shared]) {
        expect((await gateway.ask('/api/x', bearer(token))).status).not.toBe(200)
        expect((await gateway.connect({ token })).how).not.toBe('accepted')
      }
    }
  })
})
