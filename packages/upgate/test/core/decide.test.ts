import {
  type AuditEvent,
  createGate,
  type Principal,
  type Revocation,
  type RevocationFeed,
  type Verification,
} from 'upgate'
import { describe, expect, it } from 'vitest'
import {
  cookieScheme,
  fixedClock,
  handshake,
  keyScheme,
  makeGate,
  origin,
  person,
  request,
  silent,
  upgrade,
  verdict,
} from './fixtures.ts'

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
const cookie = (value: string): Record<string, string> => ({ cookie: `sid=${value}` })

const rules = [
  { path: '/health', access: 'public' },
  { path: '/login', access: 'public' },
  { path: '/feed', access: 'optional' },
  { path: '/ws', access: 'deferred', kinds: ['device'], handshake },
  { path: '/live', access: 'public', upgrade: true },
  { path: '/admin/*', access: 'required', scopes: ['operator.admin'] },
  { path: '/ops/*', access: 'required', roles: ['admin', 'operator'] },
  { path: '/devices/*', access: 'required', kinds: ['device', 'user'] },
  { path: '/keys-only', access: 'required', schemes: ['key'] },
] as const

describe('decide over HTTP', () => {
  const gate = makeGate({ rules })

  it('answers synchronously, without a promise, where nothing must be awaited', () => {
    expect(gate.decide(request('/health'))).toMatchObject({ outcome: 'allow', principal: undefined })
    expect(gate.decide(request('/any', { headers: bearer('k_u') }))).toMatchObject({
      outcome: 'allow',
      principal: { id: 'u' },
    })
  })

  it('demands a user where no rule matches', async () => {
    expect(await verdict(gate, request('/any'))).toBe('challenge auth_required')
    expect(await verdict(gate, request('/any', { headers: cookie('u') }))).toBe('allow')
    expect(await verdict(gate, request('/any', { headers: bearer('k_device') }))).toBe(
      'forbid kind_not_allowed',
    )
  })

  it.each([
    ['/admin/x', 'k_u', 'forbid insufficient_scope'],
    ['/admin/x', 'k_admin', 'allow'],
    ['/ops/x', 'k_u', 'forbid role_required'],
    ['/ops/x', 'k_admin', 'allow'],
    ['/devices/1', 'k_device', 'allow'],
  ])('applies scopes, roles and kinds: %s with %s is %s', async (path, key, expected) => {
    expect(await verdict(gate, request(path, { headers: bearer(key) }))).toBe(expected)
  })

  it('names the missing scope', () => {
    expect(gate.decide(request('/admin/x', { headers: bearer('k_u') }))).toMatchObject({
      detail: 'The credential lacks: operator.admin.',
      principal: { id: 'u' },
    })
  })

  it('lets an anonymous caller into an optional path, and names the principal when it is known', () => {
    expect(gate.decide(request('/feed'))).toMatchObject({ outcome: 'allow', principal: undefined })
    expect(gate.decide(request('/feed', { headers: cookie('u') }))).toMatchObject({ principal: { id: 'u' } })
  })

  it('ignores an ambient credential of a scheme that the rule does not admit', async () => {
    expect(await verdict(gate, request('/keys-only', { headers: cookie('u') }))).toBe(
      'challenge auth_required',
    )
    expect(await verdict(gate, request('/keys-only', { headers: bearer('k_u') }))).toBe('allow')
  })

  it.each(['CONNECT', 'TRACE', 'get', 'Post', '', 'GET ', 'X/1'])(
    'refuses the method %j everywhere',
    async (method) => {
      expect(await verdict(gate, request('/health', { method }))).toBe('invalid method_refused')
    },
  )

  it('treats HEAD as GET, and OPTIONS like any other method', async () => {
    const narrow = makeGate({ rules: [{ path: '/a', methods: ['GET'], access: 'public' }] })
    expect(await verdict(narrow, request('/a', { method: 'HEAD' }))).toBe('allow')
    expect(await verdict(narrow, request('/a', { method: 'OPTIONS' }))).toBe('challenge auth_required')
    expect(await verdict(narrow, request('/a', { method: 'POST' }))).toBe('challenge auth_required')
  })
})

describe('absent is not rejected', () => {
  const gate = makeGate({ rules })

  it('ends the search at a bad explicit credential, although a good cookie is there', async () => {
    expect(await verdict(gate, request('/any', { headers: { ...bearer('k_nobody'), ...cookie('u') } }))).toBe(
      'challenge invalid_credential',
    )
  })

  it('ends the search at an explicit credential that no scheme claims', async () => {
    expect(
      await verdict(gate, request('/any', { headers: { authorization: 'Basic dTpw', ...cookie('u') } })),
    ).toBe('challenge invalid_credential')
    expect(await verdict(gate, request('/feed', { headers: { authorization: 'Basic dTpw' } }))).toBe(
      'challenge invalid_credential',
    )
  })

  it('takes a bad cookie for none, and clears it', () => {
    expect(gate.decide(request('/any', { headers: cookie('stale') }))).toMatchObject({
      code: 'auth_required',
      headers: [['Set-Cookie', 'sid=; Max-Age=0; Path=/']],
    })
    expect(gate.decide(request('/feed', { headers: cookie('stale') }))).toMatchObject({
      outcome: 'allow',
      principal: undefined,
      headers: [['Set-Cookie', 'sid=; Max-Age=0; Path=/']],
    })
  })

  it('does not clear a cookie that could not be checked, and answers 503', async () => {
    const down = makeGate({
      schemes: [cookieScheme({ u: { outcome: 'unavailable', reason: 'store down', retryAfter: 7 } })],
    })
    expect(await down.decide(request('/any', { headers: cookie('u') }))).toMatchObject({
      outcome: 'unavailable',
      status: 503,
      retryAfter: 7,
      headers: undefined,
    })
  })

  it('lets explicit beat ambient', () => {
    expect(gate.decide(request('/any', { headers: { ...bearer('k_admin'), ...cookie('u') } }))).toMatchObject(
      { principal: { id: 'admin' } },
    )
  })

  it('refuses two explicit credentials', async () => {
    const both = { ...bearer('k_u'), 'x-api-key': 'k_admin' }
    expect(await verdict(gate, request('/any', { headers: both }))).toBe('invalid multiple_credentials')
    expect(
      await verdict(gate, request('/any', { headers: { authorization: 'Basic x', 'x-api-key': 'k_u' } })),
    ).toBe('invalid multiple_credentials')
  })

  it.each(['Authorization', 'Host', 'X-Api-Key', 'Origin'])('refuses %s sent twice', async (name) => {
    const req = request('/any', { headers: bearer('k_u') })
    const rawHeaders = [...req.rawHeaders, name, 'one', name.toLowerCase(), 'two']
    expect(await verdict(gate, { ...req, rawHeaders })).toBe('invalid duplicate_header')
  })

  it('counts a scheme that throws or rejects as unavailable, never as absent', async () => {
    for (const failure of [
      () => {
        throw new Error('boom')
      },
      () => Promise.reject(new Error('boom')),
    ]) {
      const broken = makeGate({ schemes: [keyScheme({ k_u: failure as () => Promise<Verification> })] })
      expect(await verdict(broken, request('/any', { headers: bearer('k_u') }))).toBe(
        'unavailable unavailable',
      )
    }
    const extracting = makeGate({
      schemes: [
        keyScheme(
          {},
          {
            extract: () => {
              throw new Error('boom')
            },
          },
        ),
        cookieScheme({ u: person('u') }),
      ],
    })
    expect(await verdict(extracting, request('/any', { headers: cookie('u') }))).toBe(
      'unavailable unavailable',
    )
  })

  it('refuses a principal at its expiry, whatever the scheme says', async () => {
    const at = (expiresAt: number) => makeGate({ schemes: [keyScheme({ k_u: person('u', { expiresAt }) })] })
    expect(await verdict(at(1_000_000), request('/any', { headers: bearer('k_u') }))).toBe(
      'challenge expired_credential',
    )
    expect(await verdict(at(1_000_001), request('/any', { headers: bearer('k_u') }))).toBe('allow')
  })
})

describe('nothing ambient without Origin', () => {
  const gate = makeGate({ rules })

  it.each([
    ['allowed Origin', { origin }, 'allow'],
    ['no browser headers at all', {}, 'allow'],
    ['same-origin by the browser', { 'sec-fetch-site': 'same-origin' }, 'allow'],
    ['typed by the user', { 'sec-fetch-site': 'none' }, 'allow'],
    ['same site is another origin', { 'sec-fetch-site': 'same-site' }, 'forbid origin_refused'],
    ['cross site', { 'sec-fetch-site': 'cross-site' }, 'forbid origin_refused'],
    ['foreign Origin', { origin: 'https://evil.example' }, 'forbid origin_refused'],
    ['another port', { origin: `${origin}:8443` }, 'forbid origin_refused'],
    ['another scheme', { origin: 'http://gateway.example.com' }, 'forbid origin_refused'],
    ['null', { origin: 'null' }, 'forbid origin_refused'],
    ['null of our own page', { origin: 'null', 'sec-fetch-site': 'same-origin' }, 'allow'],
    [
      'null of a rebound name',
      { origin: 'null', 'sec-fetch-site': 'same-origin', host: 'evil.example' },
      'forbid origin_refused',
    ],
    ['a list', { origin: `${origin}, https://evil.example` }, 'forbid origin_refused'],
    [
      'foreign Origin, whatever the site says',
      { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
      'forbid origin_refused',
    ],
  ])('a POST with a cookie: %s', async (_, headers, expected) => {
    expect(
      await verdict(gate, request('/any', { method: 'POST', headers: { ...cookie('u'), ...headers } })),
    ).toBe(expected)
  })

  it('refuses a foreign Origin on public rules too (login CSRF), unless the rule opts out', async () => {
    const foreign = { headers: { origin: 'https://evil.example' }, method: 'POST' }
    expect(await verdict(gate, request('/login', foreign))).toBe('forbid origin_refused')
    const open = makeGate({
      rules: [{ path: '/hook', access: 'public', dangerouslyAllowForeignOrigins: true }],
    })
    expect(await verdict(open, request('/hook', foreign))).toBe('allow')
  })

  it('does not let a cookie count on a rule that lets foreign origins in', async () => {
    const open = makeGate({
      rules: [{ path: '/api/*', access: 'required', dangerouslyAllowForeignOrigins: true }],
    })
    const headers = { origin: 'https://evil.example' }
    expect(
      await verdict(open, request('/api/x', { method: 'POST', headers: { ...headers, ...cookie('u') } })),
    ).toBe('challenge auth_required')
    expect(
      await verdict(open, request('/api/x', { method: 'POST', headers: { ...headers, ...bearer('k_u') } })),
    ).toBe('allow')
  })

  it('says which Origin was refused, cut and printable', () => {
    const decision = gate.decide(
      request('/any', {
        method: 'POST',
        headers: { origin: `https://evil.example\u0007${'x'.repeat(200)}` },
      }),
    )
    expect(decision).toMatchObject({
      detail: `The origin "https://evil.example?${'x'.repeat(79)}" is not allowed.`,
    })
  })

  it('says which Host was refused, cut and printable, and to the operator alone which would be right', async () => {
    const lines: unknown[] = []
    const events: AuditEvent[] = []
    const logger = { warn: (...line: unknown[]) => void lines.push(line), error() {} }
    const own = makeGate({ hosts: ['10.0.0.1:8787'], logger })
    own.events.subscribe((event) => void events.push(event))
    const answer = async (host: string | undefined) => {
      const asked = { ...request('/any'), headers: host === undefined ? {} : { host } }
      const decision = await own.decide(asked)
      if (!('code' in decision)) throw new Error('not refused')
      const { status, body, headers } = own.render(decision, asked)
      expect([status, decision.code]).toEqual([403, 'host_refused'])
      expect(JSON.stringify([body, headers])).not.toMatch(/10\.0\.0\.1|gateway\.example\.com/)
      return JSON.parse(body).detail
    }
    expect(await answer('127.0.0.1:8787')).toBe(
      'The Host header names "127.0.0.1:8787", which is not a host of this server.',
    )
    expect(await answer(`evil\u0007\u001b[2J<script>${'x'.repeat(200)}`)).toBe(
      `The Host header names "evil??[2J<script>${'x'.repeat(83)}", which is not a host of this server.`,
    )
    expect(await answer(undefined)).toBe('The request has no Host header.')
    const note = expect.stringMatching(/^Hosts of this gate are: gateway\.example\.com, 10\.0\.0\.1:8787\. /)
    expect(events[0]).toMatchObject({ type: 'refused', code: 'host_refused', note })
    const reason = expect.stringMatching(
      /^Host arrived as "127\.0\.0\.1:8787"; this gate has "gateway\.example\.com", /,
    )
    expect(lines[0]).toEqual(['A request was refused for its Host.', { code: 'host_refused', note, reason }])
    for (let i = 0; i < 100; i++) await answer(`host-${i}.example`)
    expect(lines, 'a stranger cannot flood the log').toHaveLength(5)
    const { steps } = await own.explain(request('/any', { headers: { host: 'other' } }))
    expect(steps).toContainEqual({ step: 'note', detail: note })
  })

  it('refuses a Host that is not ours outside public rules (DNS rebinding)', async () => {
    expect(await verdict(gate, request('/any', { headers: { host: 'evil.example', ...cookie('u') } }))).toBe(
      'forbid host_refused',
    )
    expect(await verdict(gate, request('/health', { headers: { host: '10.0.0.1' } }))).toBe('allow')
    expect(
      await verdict(gate, request('/any', { headers: { host: 'Gateway.Example.Com:443', ...cookie('u') } })),
    ).toBe('allow')
    expect(
      await verdict(
        makeGate({ hosts: ['10.0.0.1:80'] }),
        request('/any', { headers: { host: '10.0.0.1:80', ...cookie('u') } }),
      ),
    ).toBe('allow')
  })

  it('answers preflights itself', () => {
    const preflight = {
      origin,
      'access-control-request-method': 'DELETE',
      'access-control-request-headers': 'content-type,x-api-key',
    }
    expect(gate.decide(request('/any', { method: 'OPTIONS', headers: preflight }))).toMatchObject({
      outcome: 'preflight',
      headers: expect.arrayContaining([
        ['Access-Control-Allow-Origin', origin],
        ['Access-Control-Allow-Methods', 'DELETE'],
        ['Access-Control-Allow-Headers', 'content-type,x-api-key'],
        ['Access-Control-Allow-Credentials', 'true'],
      ]),
    })
    expect(
      gate.decide(
        request('/any', { method: 'OPTIONS', headers: { ...preflight, origin: 'https://evil.example' } }),
      ),
    ).toMatchObject({
      code: 'origin_refused',
    })
  })

  it('adds the headers that let an allowed page read an answer', () => {
    expect(gate.decide(request('/health', { headers: { origin } }))).toMatchObject({
      outcome: 'allow',
      headers: expect.arrayContaining([
        ['Access-Control-Allow-Origin', origin],
        ['Vary', 'Origin'],
      ]),
    })
    expect(gate.decide(request('/health', { headers: { origin: 'https://evil.example' } }))).toMatchObject({
      outcome: 'allow',
      headers: [['Vary', 'Origin']],
    })
  })
})

describe('upgrades', () => {
  const gate = makeGate({ rules })

  it('defers a node without any HTTP credential', () => {
    expect(gate.decide(upgrade('/ws'))).toMatchObject({
      outcome: 'defer',
      httpPrincipal: undefined,
      httpFailure: undefined,
    })
  })

  it.each([
    ['a bad bearer', bearer('k_nobody'), 'invalid_credential'],
    ['one that nobody claims', { authorization: 'Basic x' }, 'invalid_credential'],
    ['two explicit ones', { ...bearer('k_u'), 'x-api-key': 'k_u' }, 'multiple_credentials'],
  ])('never refuses a deferred path because of %s: it hands the failure on', (_, headers, code) => {
    expect(gate.decide(upgrade('/ws', headers))).toMatchObject({ outcome: 'defer', httpFailure: code })
  })

  it('never refuses a deferred path because of a duplicate Authorization, or a store that is down', async () => {
    const req = upgrade('/ws', bearer('k_u'))
    const twice = { ...req, rawHeaders: [...req.rawHeaders, 'Authorization', 'Bearer k_admin'] }
    expect(gate.decide(twice)).toMatchObject({ outcome: 'defer', httpFailure: 'duplicate_header' })
    const down = makeGate({
      rules,
      schemes: [keyScheme({ k_u: { outcome: 'unavailable', reason: 'down' } })],
    })
    expect(await down.decide(upgrade('/ws', bearer('k_u')))).toMatchObject({
      outcome: 'defer',
      httpFailure: 'unavailable',
    })
  })

  it('accepts at 101 when HTTP already proves enough, and hands on a principal that is not enough', () => {
    expect(gate.decide(upgrade('/ws', bearer('k_device')))).toMatchObject({
      outcome: 'allow',
      principal: { id: 'node-1' },
    })
    expect(gate.decide(upgrade('/ws', bearer('k_u')))).toMatchObject({
      outcome: 'defer',
      httpPrincipal: { id: 'u' },
    })
  })

  it('drops a cookie without an allowed Origin, and refuses a foreign one before 101', async () => {
    expect(gate.decide(upgrade('/ws', cookie('u')))).toMatchObject({
      outcome: 'defer',
      httpPrincipal: undefined,
    })
    expect(gate.decide(upgrade('/ws', { ...cookie('u'), origin }))).toMatchObject({
      httpPrincipal: { id: 'u' },
    })
    for (const foreign of ['https://evil.example', 'null', `${origin}.evil.example`]) {
      expect(await verdict(gate, upgrade('/ws', { origin: foreign }))).toBe('forbid origin_refused')
      expect(await verdict(gate, upgrade('/any', { ...cookie('u'), origin: foreign }))).toBe(
        'forbid origin_refused',
      )
    }
    expect(await verdict(gate, upgrade('/any', cookie('u')))).toBe('challenge auth_required')
    expect(await verdict(gate, upgrade('/any', { ...cookie('u'), origin }))).toBe('allow')
  })

  it('takes no part of a public rule that does not say so', async () => {
    expect(await verdict(gate, upgrade('/health'))).toBe('challenge auth_required')
    expect(await verdict(gate, upgrade('/live'))).toBe('allow')
    const key = { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }
    const asked = request('/health', { headers: { upgrade: 'websocket', ...key } })
    expect(await verdict(gate, asked)).toBe('invalid malformed_upgrade')
  })

  it('answers 426 for anything but a WebSocket on a deferred path', async () => {
    expect(await verdict(gate, request('/ws'))).toBe('invalid upgrade_required')
    expect(await verdict(gate, request('/ws', { method: 'POST', headers: bearer('k_device') }))).toBe(
      'invalid upgrade_required',
    )
  })

  it('decides an upgrade that a framework was handed as an ordinary request by the rules for upgrades', async () => {
    const asRequest = { ...upgrade('/ws'), kind: 'http' as const }
    expect(await verdict(gate, asRequest)).toBe('defer')
    expect(await verdict(gate, { ...upgrade('/any', cookie('u')), kind: 'http' as const })).toBe(
      'challenge auth_required',
    )
  })

  it.each([
    ['another protocol', { upgrade: 'h2c' }, 'invalid unsupported_upgrade'],
    ['an old version', { 'sec-websocket-version': '8' }, 'invalid unsupported_upgrade'],
    ['no key', { 'sec-websocket-key': '' }, 'invalid malformed_upgrade'],
    ['a short key', { 'sec-websocket-key': 'AAAA' }, 'invalid malformed_upgrade'],
    ['a body', { 'content-length': '0' }, 'invalid malformed_upgrade'],
    ['chunks', { 'transfer-encoding': 'chunked' }, 'invalid malformed_upgrade'],
    ['no Connection', { connection: 'keep-alive' }, 'invalid malformed_upgrade'],
  ])('refuses %s', async (_, headers, expected) => {
    expect(await verdict(gate, upgrade('/ws', headers))).toBe(expected)
  })
})

describe('resume', () => {
  const gate = makeGate({ rules })
  const deferred = (headers: Record<string, string> = {}) => {
    const decision = gate.decide(upgrade('/ws', headers))
    if (!('outcome' in decision) || decision.outcome !== 'defer') throw new Error('not deferred')
    return decision
  }
  const token = (value: string) => ({ credential: { type: 'token', source: 'frame', value } as const })

  it('accepts what the same schemes verify, under the same rule', () => {
    expect(gate.resume(deferred(), token('k_device'))).toMatchObject({
      outcome: 'allow',
      principal: { id: 'node-1' },
      dropped: undefined,
    })
  })

  it.each([
    ['a bad token', 'k_nobody', 'challenge invalid_credential'],
    ['a format nobody claims', 'x', 'challenge invalid_credential'],
    ['a user where a device is wanted', 'k_u', 'forbid kind_not_allowed'],
  ])('refuses %s', async (_, value, expected) => {
    const answer = await gate.resume(deferred(), token(value))
    expect('code' in answer ? `${answer.outcome} ${answer.code}` : answer.outcome).toBe(expected)
  })

  it('refuses a device token behind the cookie of another principal', async () => {
    expect(await gate.resume(deferred({ ...cookie('u'), origin }), token('k_device'))).toMatchObject({
      code: 'principal_mismatch',
    })
  })

  it('lets a client narrow the grants of its record, and reports the dropped ones', async () => {
    const answer = await gate.resume(deferred(), {
      ...token('k_device'),
      declared: { role: 'admin', scopes: ['b', 'operator.admin'], id: 'somebody-else' },
    })
    expect(answer).toMatchObject({
      principal: { id: 'node-1', roles: ['node'], scopes: ['b'] },
      dropped: { role: 'admin', scopes: ['operator.admin'], id: 'somebody-else' },
    })
  })

  it('is unavailable, never refused, when the verifier fails', async () => {
    const broken = makeGate({
      rules,
      schemes: [
        keyScheme({
          k_d: () => {
            throw new Error('boom')
          },
        }),
      ],
    })
    const decision = await broken.decide(upgrade('/ws'))
    if (decision.outcome !== 'defer') throw new Error('not deferred')
    expect(await broken.resume(decision, token('k_d'))).toMatchObject({ outcome: 'unavailable' })
  })
})

describe('a revocation during a verification wins', () => {
  function feed(): RevocationFeed & { revoke(selector: Revocation['selector']): void } {
    const listeners = new Set<(revocation: Revocation) => void>()
    let sequence = 0
    return {
      sequence: () => sequence,
      subscribe(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      revoke(selector) {
        sequence++
        for (const listener of listeners) listener({ sequence, at: 0, selector, reason: 'revoked' })
      },
    }
  }

  it('verifies again when a revocation concerned the principal during verification', async () => {
    const revocations = feed()
    let calls = 0
    const verify = async (): Promise<Verification> => {
      calls++
      if (calls > 1) return { outcome: 'rejected', code: 'revoked_credential', reason: 'gone' }
      const principal: Principal = person('u')
      await Promise.resolve()
      revocations.revoke({ principalId: 'u' })
      return { outcome: 'authenticated', principal }
    }
    const gate = makeGate({ schemes: [keyScheme({ k_u: verify }, { revocations })] })
    expect(await verdict(gate, request('/any', { headers: bearer('k_u') }))).toBe(
      'challenge revoked_credential',
    )
    expect(calls).toBe(2)
  })

  it('gives up as unavailable when they do not stop', async () => {
    const revocations = feed()
    const verify = async (): Promise<Verification> => {
      await Promise.resolve()
      revocations.revoke({ principalId: 'u' })
      return { outcome: 'authenticated', principal: person('u') }
    }
    const gate = makeGate({ schemes: [keyScheme({ k_u: verify }, { revocations })] })
    expect(await verdict(gate, request('/any', { headers: bearer('k_u') }))).toBe('unavailable unavailable')
  })
})

describe('setup', () => {
  const page = '/setup'
  const setupRules = [{ path: ['/setup', '/login'], access: 'public' }] as const

  it('is required until there is an account, and asked no more after that', async () => {
    let empty = true
    let asked = 0
    const gate = makeGate({
      rules: setupRules,
      setup: {
        page,
        required: () => {
          asked++
          return empty
        },
      },
    })
    expect(await verdict(gate, request('/api'))).toBe('challenge setup_required')
    empty = false
    expect(await verdict(gate, request('/api'))).toBe('challenge auth_required')
    expect(await verdict(gate, request('/api'))).toBe('challenge auth_required')
    expect(asked).toBe(2)
  })

  it('is never assumed because the store cannot answer', async () => {
    for (const required of [
      () => {
        throw new Error('down')
      },
      () => Promise.reject(new Error('down')),
    ]) {
      const gate = makeGate({ rules: setupRules, setup: { page, required } })
      expect(await verdict(gate, request('/api'))).toBe('unavailable unavailable')
    }
  })
})

describe('a single route', () => {
  it('demands its own, with the same schemes and checks', async () => {
    const gate = makeGate()
    const route = gate.require({ scopes: ['operator.admin'] })
    expect(await verdict(route, request('/anything', { headers: bearer('k_admin') }))).toBe('allow')
    expect(await verdict(route, request('/anything', { headers: bearer('k_u') }))).toBe(
      'forbid insufficient_scope',
    )
    expect(
      await verdict(
        route,
        request('/anything', { method: 'POST', headers: { ...cookie('u'), origin: 'https://evil.example' } }),
      ),
    ).toBe('forbid origin_refused')
    expect(() => gate.require({ scope: ['x'] } as never)).toThrow(/gate\.require: unknown option `scope`/)
  })
})

describe('two forms of one target', () => {
  const gate = makeGate({
    rules: [
      { path: '/open/*', access: 'public' },
      { path: '/admin/*', access: 'required', scopes: ['operator.admin'] },
      { path: '/ops/*', access: 'required', roles: ['ops'] },
      { path: '/admin-ops/*', access: 'required', roles: ['admin'] },
    ],
  })

  it.each([
    ['/open/x', '/admin/x', undefined, 'challenge auth_required'],
    ['/admin/x', '/open/x', undefined, 'challenge auth_required'],
    ['/open/x', '/open/y', undefined, 'allow'],
    ['/admin/x', '/ops/x', 'k_admin', 'forbid role_required'],
    ['/admin/x', '/admin-ops/x', 'k_admin', 'allow'],
    ['/ops/x', '/admin-ops/x', 'k_admin', 'forbid role_required'],
    ['/open/x', '/any', 'k_device', 'forbid kind_not_allowed'],
    ['/open/x', '/open/%00', undefined, 'invalid malformed_target'],
  ])('%s rewritten to %s with %s: the stricter wins', async (target, rewrittenTarget, key, expected) => {
    const headers = key === undefined ? {} : bearer(key)
    expect(await verdict(gate, request(target, { rewrittenTarget, headers }))).toBe(expected)
  })
})

describe('principals of typed schemes', () => {
  it('are remembered per gate and per request object', () => {
    const gate = createGate({ schemes: [keyScheme({ k_u: person('u') })], clock: fixedClock, logger: silent })
    const other = createGate({
      schemes: [keyScheme({ k_u: person('u') })],
      clock: fixedClock,
      logger: silent,
    })
    const native = {}
    const decision = gate.decide(request('/any', { headers: bearer('k_u') }))
    if (!('outcome' in decision)) throw new Error('not synchronous')
    gate.remember(native, decision)
    expect(gate.principalOf(native)?.id).toBe('u')
    expect(gate.principalOf({})).toBeUndefined()
    expect(other.principalOf(native)).toBeUndefined()
  })
})
