/*
 * An OAuth client follows the refusals, and nothing else. The challenge of a 401 named no scopes, and that of a
 * 403 the missing ones alone: clients replace their scopes, so the real one lost a scope with each that it got, and
 * asked its user for consent without end.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGate, type RuleOptions } from 'upgate'
import { httpGate } from 'upgate/node'
import { oauthRules } from 'upgate/oauth'
import { manualClock } from 'upgate/testing'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { cookieScheme, keyScheme, person } from '../core/fixtures.ts'

const site = 'https://gateway.example.com'
const foreign = 'https://inspector.example.net'
interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const keys = keyScheme({
  k_reader: person('ada', { scopes: ['files.read', 'profile'] }),
  k_odd: person('ada', { scopes: ['quo"te', 'back\\slash', 'two words', 'é', 'files.read'] }),
  k_many: person('ada', { scopes: Array.from({ length: 900 }, (_, at) => `scope-${at}`) }),
  k_device: person('node', { kind: 'device' }),
})
const cookies = cookieScheme({ good: person('ada', { scopes: ['files.read', 'files.write'] }) })

async function start(rules: readonly RuleOptions[]) {
  const gate = createGate({
    origins: [site, 'https://own.example.com'],
    hosts: ['127.0.0.1'],
    schemes: [keys, cookies],
    rules,
  })
  const reached: string[] = []
  const server = createServer(
    httpGate(gate, (request, response) => {
      reached.push(`${request.method} ${request.url}`)
      response.setHeader('Mcp-Session-Id', 'abc')
      response.end(gate.principalOf(request)?.id ?? 'anonymous')
    }),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    gate.close()
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  const ask = askAt(port)
  return { ask, reached, gate }
}

/** Asks by a raw request, because `fetch` sends a Host of its own. */
const askAt =
  (port: number) =>
  async (path: string, { method = 'GET', headers = {} }: Asked = {}) => {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = { port, path, method, headers: { host: 'gateway.example.com', ...headers } }
      request({ host: '127.0.0.1', agent: false, ...options }, resolve)
        .on('error', reject)
        .end()
    })
    let body = ''
    for await (const chunk of answer.setEncoding('utf8')) body += chunk
    const lines = Object.entries(answer.headers).map(([name, value]) => [name, String(value)])
    return { status: answer.statusCode, headers: new Headers(Object.fromEntries(lines)), text: body }
  }

/** The parameters of the Bearer challenge. */
function challengeOf(headers: Headers): Record<string, string> {
  const value = headers.get('www-authenticate') ?? ''
  expect(value).toMatch(/^Bearer /)
  return Object.fromEntries(
    [...value.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, name = '', text = '']) => [name, text]),
  )
}

describe('the challenges of a protected resource', () => {
  const metadata = `${site}/.well-known/oauth-protected-resource/mcp`
  const rules = oauthRules({
    origin: site,
    resources: [{ path: '/mcp', scopes: ['files.read', 'files.write'], kinds: ['user'] }, '/plain'],
  })
  const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })

  it('name the scopes of the rule and the metadata in a 401, with and without a bad token', async () => {
    const { ask } = await start(rules)
    const none = await ask('/mcp')
    expect(none.status).toBe(401)
    expect(JSON.parse(none.text)).toMatchObject({
      code: 'auth_required',
      detail: 'No credential was sent, or none that counts here.',
    })
    expect(challengeOf(none.headers)).toEqual({
      realm: 'upgate',
      resource_metadata: metadata,
      scope: 'files.read files.write',
    })
    const bad = await ask('/mcp', bearer('k_unknown'))
    expect(bad.status).toBe(401)
    expect(challengeOf(bad.headers)).toEqual({
      realm: 'upgate',
      error: 'invalid_token',
      resource_metadata: metadata,
      scope: 'files.read files.write',
    })
    // No scopes demanded: none named, instead of an empty list, which would be malformed.
    expect(challengeOf((await ask('/plain')).headers)).not.toHaveProperty('scope')
  })

  it('name the granted scopes together with the missing ones in a 403', async () => {
    const { ask } = await start(rules)
    const { status, headers, text } = await ask('/mcp', bearer('k_reader'))
    expect(status).toBe(403)
    expect(JSON.parse(text)).toMatchObject({
      code: 'insufficient_scope',
      detail: 'The credential lacks: files.write.',
    })
    expect(challengeOf(headers)).toEqual({
      realm: 'upgate',
      error: 'insufficient_scope',
      resource_metadata: metadata,
      scope: 'files.read profile files.write',
    })
  })

  it('quote no scope that would break out of the header, and stay short', async () => {
    const { ask } = await start(rules)
    expect(challengeOf((await ask('/mcp', bearer('k_odd'))).headers).scope).toBe('files.read files.write')
    const { headers } = await ask('/mcp', bearer('k_many'))
    expect(challengeOf(headers).scope).toBe('files.read files.write')
  })

  it('put Bearer first on a resource, because MCP clients read the first challenge alone', async () => {
    const other = keyScheme({}, { name: 'other', challenge: 'Signature', extract: () => undefined })
    const gate = createGate({ schemes: [other, keys], rules })
    const asked = {
      kind: 'http',
      method: 'GET',
      target: '/mcp',
      headers: {},
      rawHeaders: [],
      encrypted: true,
    } as const
    const decision = await gate.decide(asked)
    if (decision.outcome !== 'challenge') throw new Error(decision.outcome)
    const line = gate.render(decision, asked).headers.find(([name]) => name === 'WWW-Authenticate')?.[1]
    expect(line).toMatch(/^Bearer .*scope="files\.read files\.write", Signature realm="upgate"$/)
    gate.close()
  })

  it('name nothing of a principal that is refused for another reason', async () => {
    const { ask } = await start(rules)
    const { status, headers, text } = await ask('/mcp', bearer('k_device'))
    expect([status, JSON.parse(text).code]).toEqual([403, 'kind_not_allowed'])
    expect(headers.has('www-authenticate')).toBe(false)
  })

  it('are the same from `gate.require`', async () => {
    const { gate } = await start(rules)
    const demands = { scopes: ['files.write'], resourceMetadata: metadata, anyOrigin: true }
    const server = createServer(
      httpGate(gate.require(demands), (_request, response) => response.end('written')),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(() => server.close())
    const ask = askAt((server.address() as AddressInfo).port)
    const refused = await ask('/tool', { headers: { authorization: 'Bearer k_reader', origin: foreign } })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([403, '*'])
    expect(challengeOf(refused.headers)).toMatchObject({
      scope: 'files.read profile files.write',
      resource_metadata: metadata,
    })
    // The cookie of a principal that has the scope: from an own page, and without effect.
    const cookie = await ask('/tool', { headers: { cookie: 'sid=good', origin: site } })
    expect([cookie.status, challengeOf(cookie.headers).scope]).toEqual([401, 'files.write'])
  })
})

describe('the metadata that oauthRules serves', () => {
  const rules = oauthRules({
    origin: site,
    authorizationServers: ['https://login.example.com/tenant'],
    resources: [
      {
        path: '/mcp',
        scopes: ['files.read'],
        scopesSupported: ['files.read', 'files.write'],
        metadata: { resource_name: 'Files' },
      },
      '/tools/*',
      '/',
    ],
  })

  it('is where the challenge says, names the resource by that URL, and reaches pages of any origin', async () => {
    const { ask, reached } = await start(rules)
    const document = {
      authorization_servers: ['https://login.example.com/tenant'],
      bearer_methods_supported: ['header'],
    }
    const expected = {
      '/mcp': {
        ...document,
        resource: `${site}/mcp`,
        scopes_supported: ['files.read', 'files.write'],
        resource_name: 'Files',
      },
      '/tools/x': { ...document, resource: `${site}/tools` },
      '/': { ...document, resource: site },
    }
    for (const [path, metadata] of Object.entries(expected)) {
      const { headers } = await ask(path)
      const url = challengeOf(headers).resource_metadata ?? ''
      expect(url.startsWith(site)).toBe(true)
      for (const origin of [foreign, undefined, 'null']) {
        const { status, headers, text } = await ask(
          url.slice(site.length),
          origin === undefined ? {} : { headers: { origin } },
        )
        expect([status, headers.get('content-type'), headers.get('access-control-allow-origin')]).toEqual([
          200,
          'application/json',
          '*',
        ])
        expect(headers.has('access-control-allow-credentials')).toBe(false)
        expect(headers.get('cache-control')).toBe('public, max-age=300')
        expect(JSON.parse(text)).toEqual(metadata)
      }
    }
    expect(reached).toEqual([])
  })

  it('answers HEAD without a body, a preflight, and neither POST nor another path', async () => {
    const { ask, reached } = await start(rules)
    const place = '/.well-known/oauth-protected-resource/mcp'
    const head = await ask(place, { method: 'HEAD' })
    expect([head.status, head.text, Number(head.headers.get('content-length')) > 0]).toEqual([200, '', true])
    const preflight = await ask(place, {
      method: 'OPTIONS',
      headers: {
        origin: foreign,
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'mcp-protocol-version',
      },
    })
    expect([
      preflight.status,
      preflight.headers.get('access-control-allow-origin'),
      preflight.headers.get('access-control-allow-headers'),
    ]).toEqual([204, '*', 'mcp-protocol-version'])
    expect((await ask(place, { method: 'POST' })).status).toBe(401)
    // The application still answers for other metadata.
    expect((await ask('/.well-known/oauth-protected-resource/other')).status).toBe(200)
    expect((await ask('/.well-known/openid-configuration/tenant')).status).toBe(200)
    expect(reached).toEqual([
      'GET /.well-known/oauth-protected-resource/other',
      'GET /.well-known/openid-configuration/tenant',
    ])
    // A spelling that a router may read as the same path opens nothing.
    for (const odd of [
      '/.well-known//oauth-protected-resource/mcp',
      '/.well-known/oauth-protected-resource/%6dcp',
    ]) {
      expect([400, 401]).toContain((await ask(odd)).status)
    }
  })

  it('is left to the application where it is asked to', async () => {
    const { ask, reached } = await start(
      oauthRules({ origin: site, resources: ['/mcp'], serveMetadata: false }),
    )
    expect((await ask('/.well-known/oauth-protected-resource/mcp')).status).toBe(200)
    expect(reached).toEqual(['GET /.well-known/oauth-protected-resource/mcp'])
  })
})

describe('a rule for pages of every origin', () => {
  const rules = [
    ...oauthRules({
      origin: site,
      anyOrigin: true,
      resources: [{ path: '/mcp', scopes: ['files.read', 'files.write'] }],
    }),
    { path: '/own', access: 'required' },
    { path: '/note', access: 'optional', anyOrigin: true },
  ] satisfies RuleOptions[]
  const page = { origin: foreign }

  it('lets pages read the 401 and the 403, with the challenge exposed and without credentials', async () => {
    const { ask } = await start(rules)
    for (const [status, extra] of [
      [401, {}],
      [401, { authorization: 'Bearer k_unknown' }],
      [403, { authorization: 'Bearer k_reader' }],
    ] as const) {
      for (const method of ['GET', 'POST']) {
        const { status: answered, headers } = await ask('/mcp', { method, headers: { ...page, ...extra } })
        expect([
          answered,
          headers.get('access-control-allow-origin'),
          headers.get('access-control-allow-credentials'),
        ]).toEqual([status, '*', null])
        expect(headers.get('access-control-expose-headers')).toBe(
          '*, Retry-After, Upgate-Refusal, WWW-Authenticate',
        )
        expect(headers.get('vary')).toContain('Origin')
      }
    }
  })

  it('answers their preflights and lets the token in, and the answer of the application can be read', async () => {
    const { ask } = await start([{ path: '/mcp', access: 'required', anyOrigin: true }])
    const preflight = await ask('/mcp', {
      method: 'OPTIONS',
      headers: {
        ...page,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    })
    expect([
      preflight.status,
      preflight.headers.get('access-control-allow-origin'),
      preflight.headers.get('access-control-allow-credentials'),
    ]).toEqual([204, '*', null])
    expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,content-type')
    const answer = await ask('/mcp', {
      method: 'POST',
      headers: { ...page, authorization: 'Bearer k_reader' },
    })
    expect([answer.status, answer.text, answer.headers.get('access-control-allow-origin')]).toEqual([
      200,
      'ada',
      '*',
    ])
  })

  it('counts no cookie, from whatever page, method and header of the browser', async () => {
    const { ask, gate } = await start(rules)
    for (const headers of [
      {},
      page,
      { origin: site },
      { origin: 'null' },
      { 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
    ]) {
      for (const method of ['GET', 'POST']) {
        const sent = { method, headers: { ...headers, cookie: 'sid=good' } as Record<string, string> }
        const answer = await ask('/mcp', sent)
        expect([answer.status, JSON.parse(answer.text).code], JSON.stringify(sent)).toEqual([
          401,
          'auth_required',
        ])
        expect(answer.headers.has('set-cookie')).toBe(false)
        expect((await ask('/note', sent)).text).toBe('anonymous')
      }
    }
    // A page that sends both acts by its token alone.
    const both = await ask('/note', {
      headers: { ...page, cookie: 'sid=good', authorization: 'Bearer k_reader' },
    })
    expect(both.text).toBe('ada')
    const { steps } = await gate.explain({
      kind: 'http',
      method: 'GET',
      target: '/mcp',
      headers: { host: 'gateway.example.com', cookie: 'sid=good' },
      rawHeaders: [],
      encrypted: true,
    })
    expect(steps.find(({ step }) => step === 'scheme cookie')?.detail).toBe(
      'cookie sid dropped: it is ambient, and the rule takes pages of every origin',
    )
  })

  it('opens no other rule, and an allowed origin keeps its own headers', async () => {
    const { ask } = await start(rules)
    const other = await ask('/own', { method: 'POST', headers: { ...page, cookie: 'sid=good' } })
    expect([
      other.status,
      JSON.parse(other.text).code,
      other.headers.get('access-control-allow-origin'),
    ]).toEqual([403, 'origin_refused', null])
    const own = await ask('/mcp', { headers: { origin: 'https://own.example.com' } })
    expect([
      own.headers.get('access-control-allow-origin'),
      own.headers.get('access-control-allow-credentials'),
    ]).toEqual(['https://own.example.com', 'true'])
    // A target in odd spelling meets the stricter of two rules.
    const odd = await ask('/%6dcp', {
      method: 'POST',
      headers: { ...page, authorization: 'Bearer k_reader' },
    })
    expect([odd.status, odd.headers.get('access-control-allow-origin')].join()).toMatch(/^(?:403,\*|400,)/)
  })

  it('still demands a Host of ours, so that a rebound name reads nothing', async () => {
    const { gate } = await start(rules)
    const headers = {
      host: 'rebound.example',
      origin: 'https://rebound.example',
      authorization: 'Bearer k_reader',
    }
    const rawHeaders = Object.entries(headers).flat()
    const decision = await gate.decide({
      kind: 'http',
      method: 'POST',
      target: '/mcp',
      headers,
      rawHeaders,
      encrypted: true,
    })
    expect(decision).toMatchObject({ outcome: 'forbid', code: 'host_refused' })
  })

  it('counts no cookie on an upgrade either, from whatever page', async () => {
    const clock = manualClock()
    const rules = [
      { path: '/live', access: 'required', anyOrigin: true },
      { path: '/frames', access: 'deferred', handshake: upgateHandshake(), anyOrigin: true },
    ] satisfies RuleOptions[]
    const gate = createGate({ origins: [site], schemes: [keys, cookies], rules, clock })
    const server = createServer()
    const wss = new WebSocketServer({ noServer: true })
    wss.on('connection', (socket, request) => socket.send(gate.principalOf(request)?.id ?? 'anonymous'))
    const guard = guardServer(server, gate, { sockets: { '/live': wss, '/frames': wss } })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(() => {
      void guard.close()
      gate.close()
      server.close()
      server.closeAllConnections()
    })
    const { port } = server.address() as AddressInfo
    const open = (path: string, headers: Readonly<Record<string, string>>) =>
      new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers })
    for (const origin of [foreign, site]) {
      // A refused page gets a 101, so that it can read the close code.
      const refused = open('/live', { origin, cookie: 'sid=good' })
      await once(refused, 'open')
      clock.advance(5_000)
      expect((await once(refused, 'close')).map(String), origin).toEqual(['4401', 'auth_required'])

      const waiting = open('/frames', { origin, cookie: 'sid=good' })
      await once(waiting, 'open')
      waiting.send(JSON.stringify({ type: 'auth' }))
      const [first] = await once(waiting, 'message')
      expect(JSON.parse(String(first)).type, origin).toBe('auth_error')
      waiting.terminate()

      const allowed = open('/live', { origin, cookie: 'sid=good', authorization: 'Bearer k_reader' })
      expect(String((await once(allowed, 'message'))[0]), origin).toBe('ada')
      allowed.terminate()
    }
  })

  it('is listed, and refuses what could not work', () => {
    const make = (rule: Partial<RuleOptions>) => () =>
      createGate({
        origins: [site],
        schemes: [keys, cookies],
        rules: [{ path: '/mcp', access: 'required', anyOrigin: true, ...rule }],
      })
    expect(make({})().rules()[0]).toMatchObject({ path: '/mcp', anyOrigin: true })
    expect(make({ methods: ['POST'] })).toThrow(/rules\[0\]`: `anyOrigin` needs 'OPTIONS' among `methods`/)
    expect(make({ schemes: ['cookie'] })).toThrow(
      /`schemes` names cookie alone, whose credentials browsers send by themselves.*Name a scheme of tokens/,
    )
    expect(make({ dangerouslyAllowForeignOrigins: true })).toThrow(
      /leave `dangerouslyAllowForeignOrigins` out/,
    )
    expect(make({ challenge: 'auto' })).toThrow(/`challenge` can only be 'api' with `anyOrigin`/)
    expect(make({ document: {} })).toThrow(/`document` belongs to rules with `access: 'public'`/)
    expect(make({ access: 'public', path: '/a/*', document: {} })).toThrow(/`path` must be exact/)
    expect(make({ access: 'public', document: { a: 1n } })).toThrow(
      /`document` must be an object that JSON can hold/,
    )
  })
})
