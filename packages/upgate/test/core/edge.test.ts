import type { Principal, Scheme, Verification } from 'upgate'
import { describe, expect, it } from 'vitest'
import {
  cookieScheme,
  handshake,
  keyScheme,
  makeGate,
  origin,
  person,
  request,
  upgrade,
  verdict,
} from './fixtures.ts'

/** An edge that asserts an identity in a header: `user:x` is ambient, `service:x` is explicit, anything else is forged. */
const edge: Scheme = {
  name: 'edge',
  ambient: true,
  edge: true,
  headers: ['x-edge'],
  extract(request) {
    const cookie = /edge=([^;]*)/.exec(String(request.headers.cookie ?? ''))?.[1]
    if (cookie !== undefined && request.headers['x-edge'] === undefined) {
      return { location: 'cookie edge', credential: { type: 'token', source: 'cookie', value: cookie } }
    }
    const value = request.headers['x-edge']
    return typeof value === 'string'
      ? { location: 'x-edge', credential: { type: 'token', source: 'edge', value } }
      : undefined
  },
  verify(credential): Verification {
    const [kind, id] = credential.type === 'token' ? credential.value.split(':') : []
    if (kind !== 'user' && kind !== 'service')
      return { outcome: 'rejected', code: 'invalid_credential', reason: 'forged' }
    const principal: Principal = person(id ?? '', { kind, scheme: 'edge', scopes: ['operator.admin'] })
    return { outcome: 'authenticated', principal, ambient: kind === 'user' }
  },
}
const key = keyScheme({
  k_u: person('u'),
  k_device: person('node-1', { kind: 'device', attributes: { owner: 'u' } }),
})
const schemes = [edge, cookieScheme({ u: person('u', { scheme: 'cookie' }) }), key]
const asserted = (value: string): Record<string, string> => ({ 'x-edge': value })
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

describe('the edge principal', () => {
  const gate = makeGate({
    schemes,
    rules: [
      { path: '/ws', access: 'deferred', kinds: ['device', 'service'], handshake },
      { path: '/direct', access: 'deferred', kinds: ['service'], schemes: ['edge'], handshake },
      { path: '/admin/*', access: 'required', scopes: ['operator.admin'] },
      {
        path: '/owned',
        access: 'deferred',
        kinds: ['device'],
        handshake,
        agreesWithEdge: (passed, device) => device.attributes.owner === passed.id,
      },
      {
        path: '/agreed',
        access: 'required',
        kinds: ['user', 'device'],
        agreesWithEdge: (passed, own) => passed.id === own.id,
      },
    ],
  })

  it('is the login where nothing else was sent', () => {
    expect(gate.decide(request('/any', { headers: asserted('user:e') }))).toMatchObject({
      outcome: 'allow',
      principal: { id: 'e' },
    })
  })

  it('is the login where nothing but a bad cookie was sent, which is removed', () => {
    const headers = { ...asserted('user:e'), cookie: 'sid=bad' }
    expect(gate.decide(request('/any', { headers }))).toMatchObject({
      outcome: 'allow',
      principal: { id: 'e' },
      headers: [['Set-Cookie', 'sid=; Max-Age=0; Path=/']],
    })
  })

  it('is kept apart from the own principal and never lends it scopes', async () => {
    const both = { ...asserted('user:e'), ...bearer('k_u') }
    expect(gate.decide(request('/any', { headers: both }))).toMatchObject({
      principal: { id: 'u' },
      edgePrincipal: { id: 'e' },
    })
    expect(await verdict(gate, request('/admin/x', { headers: both }))).toBe('forbid insufficient_scope')
  })

  it('ends it all when the assertion is forged, whatever else is there', async () => {
    expect(
      await verdict(gate, request('/any', { headers: { ...asserted('forged'), ...bearer('k_u') } })),
    ).toBe('challenge invalid_credential')
    expect(gate.decide(upgrade('/ws', asserted('forged')))).toMatchObject({
      outcome: 'defer',
      httpFailure: 'invalid_credential',
    })
  })

  it('is absent when only a bad cookie of the edge claims it', async () => {
    expect(
      await verdict(gate, request('/any', { headers: { cookie: 'edge=forged', ...bearer('k_u') } })),
    ).toBe('allow')
    expect(await verdict(gate, request('/any', { headers: { cookie: 'edge=forged' } }))).toBe(
      'challenge auth_required',
    )
  })

  it('counts as ambient for people only: a page of another origin does not borrow it', async () => {
    expect(gate.decide(upgrade('/ws', asserted('user:e')))).toMatchObject({
      outcome: 'defer',
      edgePrincipal: undefined,
    })
    expect(gate.decide(upgrade('/ws', { ...asserted('user:e'), origin }))).toMatchObject({
      edgePrincipal: { id: 'e' },
    })
    expect(gate.decide(upgrade('/ws', asserted('service:s')))).toMatchObject({ edgePrincipal: { id: 's' } })
    const foreign = { origin: 'https://evil.example' }
    expect(
      await verdict(
        gate,
        request('/any', { method: 'POST', headers: { ...asserted('user:e'), ...foreign } }),
      ),
    ).toBe('forbid origin_refused')
  })

  it('does not speak the protocol of a deferred path, unless the rule names its scheme', async () => {
    expect(await verdict(gate, upgrade('/ws', asserted('service:s')))).toBe('defer')
    expect(await verdict(gate, upgrade('/direct', asserted('service:s')))).toBe('allow')
  })

  it('must agree with the own principal where a rule says so', async () => {
    expect(await verdict(gate, request('/agreed', { headers: bearer('k_u') }))).toBe('forbid edge_mismatch')
    expect(
      await verdict(gate, request('/agreed', { headers: { ...asserted('user:e'), ...bearer('k_u') } })),
    ).toBe('forbid edge_mismatch')
    expect(
      await verdict(gate, request('/agreed', { headers: { ...asserted('user:u'), ...bearer('k_u') } })),
    ).toBe('allow')
    for (const [passed, expected] of [
      ['user:u', 'allow'],
      ['user:e', 'forbid'],
      [undefined, 'forbid'],
    ] as const) {
      const decision = await gate.decide(
        upgrade('/owned', { ...(passed === undefined ? {} : asserted(passed)), origin }),
      )
      if (decision.outcome !== 'defer') throw new Error(decision.outcome)
      const answer = await gate.resume(decision, {
        credential: { type: 'token', source: 'frame', value: 'k_device' },
      })
      expect(answer.outcome, passed).toBe(expected)
    }
  })
})

/** The edge above, whose values end in their applications: `user:ada:a+b`. In band, too. */
const applications: Scheme = {
  ...edge,
  audiences: ['a', 'b'],
  claims: (credential) => credential.type === 'token' && /^(?:user|service):/.test(credential.value),
  verify(credential): Verification {
    const [kind, id = '', of] = credential.type === 'token' ? credential.value.split(':') : []
    const principal = person(id, {
      kind: kind === 'service' ? 'service' : 'user',
      scheme: 'edge',
      // An edge that names no application at all is of none.
      ...(of !== undefined && { audiences: of.split('+') }),
    })
    return { outcome: 'authenticated', principal, ambient: kind === 'user' }
  },
}

describe('a rule with an audience', () => {
  const rules = [
    { path: '/a/*', access: 'required', audience: ['a'] },
    { path: '/b/*', access: 'required', audience: ['b'] },
    { path: '/either', access: 'required', audience: ['a', 'b'] },
    { path: '/ws', access: 'deferred', audience: ['b'], handshake },
  ] as const
  const gate = makeGate({ schemes: [applications, key], rules })

  it.each([
    ['/a/x', 'user:ada:a', 'allow'],
    ['/a/x', 'user:ada:b', 'challenge invalid_credential'],
    ['/a/x', 'user:ada:b+a', 'allow'],
    ['/a/x', 'user:ada', 'challenge invalid_credential'],
    ['/a/x', 'user:ada:', 'challenge invalid_credential'],
    ['/either', 'user:ada:b', 'allow'],
    ['/elsewhere', 'user:ada:b', 'allow'],
  ])('%s with %s: %s', async (path, value, expected) => {
    expect(await verdict(gate, request(path, { headers: asserted(value) }))).toBe(expected)
  })

  it('takes what both forms of a rewritten path take, and nothing where they take different ones', async () => {
    for (const [target, rewrittenTarget, value, expected] of [
      ['/a/x', '/b/x', 'user:ada:a', 'challenge invalid_credential'],
      ['/a/x', '/b/x', 'user:ada:b', 'challenge invalid_credential'],
      ['/a/x', '/b/x', 'user:ada:a+b', 'challenge invalid_credential'],
      ['/elsewhere', '/a/x', 'user:ada:b', 'challenge invalid_credential'],
      ['/either', '/a/x', 'user:ada:a', 'allow'],
      ['/either', '/a/x', 'user:ada:b', 'challenge invalid_credential'],
    ] as const) {
      const asked = request(target, { rewrittenTarget, headers: asserted(value) })
      expect(await verdict(gate, asked), `${target} ${rewrittenTarget} ${value}`).toBe(expected)
    }
  })

  it('concerns no credential of the application, which needs no edge', async () => {
    expect(await verdict(gate, request('/a/x', { headers: bearer('k_u') }))).toBe('allow')
    const both = { ...bearer('k_u'), ...asserted('user:u:b') }
    expect(await verdict(gate, request('/a/x', { headers: both }))).toBe('challenge invalid_credential')
  })

  it('holds for what an edge says in band, and for single routes', async () => {
    const decision = await gate.decide(upgrade('/ws', { origin }))
    if (decision.outcome !== 'defer') throw new Error(decision.outcome)
    for (const [value, expected] of [
      ['user:ada:a', 'invalid_credential'],
      ['user:ada', 'invalid_credential'],
      ['user:ada:b', 'allow'],
    ] as const) {
      const answer = await gate.resume(decision, { credential: { type: 'token', source: 'frame', value } })
      expect(answer.outcome === 'allow' ? 'allow' : answer.code, value).toBe(expected)
    }
    const route = gate.require({ audience: ['a'] })
    expect((await route.decide(request('/x', { headers: asserted('user:ada:b') }))).outcome).toBe('challenge')
    expect((await route.decide(request('/x', { headers: asserted('user:ada:a') }))).outcome).toBe('allow')
  })

  it('lists it, and an earlier rule for more applications is an overlap', () => {
    expect(gate.rules()[0]).toMatchObject({ path: '/a/*', audience: ['a'] })
    const crossed = makeGate({
      schemes: [applications, key],
      rules: [
        { path: '/:team/x', access: 'required' },
        { path: '/a/:file', access: 'required', audience: ['a'] },
      ],
    })
    expect(crossed.rules().find(({ path }) => path === '/a/:file')?.overlaps).toMatchObject([{ at: '/a/x' }])
  })
})

describe('a login that is done elsewhere', () => {
  const rules = [
    { path: ['/login', '/setup', '/api/auth/*'], access: 'public' },
    { path: '/assets/*', access: 'public' },
  ] as const
  const external = {
    name: 'Cloudflare Access',
    logoutUrl: '/cdn-cgi/access/logout',
    closes: ['/login', '/setup', '/api/auth/login'],
  }
  const gate = makeGate({
    schemes,
    rules,
    externalLogin: external,
    login: { page: '/login' },
    setup: { page: '/setup', required: () => true },
  })

  it.each(['/login', '/setup', '/api/auth/login', '/Login', '/login/', '//login', '/x/../setup', '/%6cogin'])(
    'closes %s',
    async (target) => {
      expect(
        await verdict(
          gate,
          request(target, { method: target.startsWith('/api') ? 'POST' : 'GET', headers: bearer('k_u') }),
        ),
      ).toBe('forbid external_login')
    },
  )

  it('leaves everything else as it is, and redirects no request to a closed page', async () => {
    expect(await verdict(gate, request('/api/auth/config'))).toBe('allow')
    const req = request('/page', { headers: { accept: 'text/html' } })
    const decision = await gate.decide(req)
    if (decision.outcome !== 'challenge') throw new Error(decision.outcome)
    expect(gate.render(decision, req).status).toBe(401)
  })

  it('shows a user logged in there without an account here the way out', async () => {
    const refused: Scheme = {
      ...key,
      verify: () => ({ outcome: 'rejected', code: 'unknown_identity', reason: 'nobody' }),
    }
    const pageOf = async (externalLogin: typeof external | undefined) => {
      const req = request('/page', { headers: { accept: 'text/html', ...bearer('k_u') } })
      const own = makeGate({ schemes: [refused], rules, ...(externalLogin && { externalLogin }) })
      const decision = await own.decide(req)
      if (decision.outcome !== 'forbid') throw new Error(decision.outcome)
      return own.render(decision, req).body
    }
    const link = '<a href="/cdn-cgi/access/logout">Log out of Cloudflare Access</a>'
    expect(await pageOf(external)).toContain(link)
    expect(await pageOf({ ...external, name: '<b>', logoutUrl: "/out?a='&b" })).toContain(
      '<a href="/out?a=&#39;&#38;b">Log out of &#60;b&#62;</a>',
    )
    expect(await pageOf(undefined)).not.toContain('<a')
  })

  it('tells pages about it', () => {
    expect(gate.loginConfiguration).toEqual({
      login: 'external',
      name: 'Cloudflare Access',
      logoutUrl: '/cdn-cgi/access/logout',
    })
    expect(makeGate().loginConfiguration).toEqual({ login: 'built-in' })
  })

  it.each([
    [{ ...external, closes: [] }, /`externalLogin.closes` must be a list of the paths/],
    [{ ...external, logoutUrl: 'javascript:alert(1)' }, /`externalLogin.logoutUrl` must be a URL/],
    [{ ...external, logoutUrl: '//evil.example' }, /`externalLogin.logoutUrl` must be a URL/],
    [{ ...external, name: '' }, /`externalLogin.name` must be the name of the external login/],
    [{ ...external, url: 'x' }, /unknown option `url`/],
  ])('is checked at construction: %j', (externalLogin, message) => {
    expect(() => makeGate({ rules, externalLogin: externalLogin as never })).toThrow(message)
  })
})

describe('a protected resource of OAuth (RFC 9728)', () => {
  const metadata = 'https://gateway.example.com/.well-known/oauth-protected-resource/mcp'
  const gate = makeGate({
    login: { page: '/login' },
    rules: [
      { path: '/login', access: 'public' },
      { path: '/mcp', access: 'required', resourceMetadata: metadata },
    ],
  })

  it('answers 401 with the metadata, never a redirect', async () => {
    for (const headers of [{ accept: 'text/html' }, {}]) {
      const req = request('/mcp', { headers })
      const decision = await gate.decide(req)
      if (decision.outcome !== 'challenge') throw new Error(decision.outcome)
      const rendered = gate.render(decision, req)
      expect(rendered.status).toBe(401)
      expect(rendered.headers).toContainEqual([
        'WWW-Authenticate',
        `Bearer realm="upgate", resource_metadata="${metadata}"`,
      ])
    }
  })

  it.each([
    [{ resourceMetadata: '/relative' }, /`resourceMetadata` must be an absolute URL/],
    [{ resourceMetadata: metadata, challenge: 'auto' }, /`challenge` can only be 'api'/],
    [{ agreesWithEdge: true }, /`agreesWithEdge` must be a function/],
    [{ agreesWithEdge: () => true, access: 'optional' }, /`agreesWithEdge` belongs to required and deferred/],
  ])('is checked at construction: %j', (extra, message) => {
    expect(() => makeGate({ rules: [{ path: '/mcp', access: 'required', ...extra } as never] })).toThrow(
      message,
    )
  })
})
