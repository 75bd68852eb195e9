import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type AuditEvent,
  createGate,
  createServices,
  memoryStore,
  type Scheme,
  sessionCookie,
} from '../../src/index.ts'
import { type ForwardAuthOptions, forwardAuth } from '../../src/node.ts'
import { upgateHandshake } from '../../src/ws.ts'

// A proxy asks by headers which request it has, and takes any 2xx for a yes.

const names: Record<string, string> = { odd: 'Zoë\r\nRemote-Roles: admin' }
/** The principal is the word in the token: a device, or a user with an odd name. */
const own: Scheme = {
  name: 'own',
  yields: ['user', 'device'],
  ambient: false,
  extract({ headers }) {
    const [, value] = /^Bearer ([a-z]+)-token$/.exec(String(headers.authorization)) ?? []
    if (value === undefined) return undefined
    return {
      credential: { type: 'opaque', source: 'header', name: 'own', value },
      location: 'authorization',
    }
  },
  verify(credential) {
    if (credential.type !== 'opaque')
      return { outcome: 'rejected', code: 'invalid_credential', reason: 'not of this scheme' }
    const word = String(credential.value)
    const id = names[word] ?? word
    const kind = word === 'device' ? 'device' : 'user'
    const facts = { kind, id, scheme: 'own', displayName: id } as const
    const principal = { ...facts, scopes: ['read', 'a,b'], roles: [], attributes: {} }
    return { outcome: 'authenticated', principal }
  },
}
/** Of a cookie that never counts. */
const stale: Scheme = {
  ...own,
  name: 'stale',
  ambient: true,
  extract({ headers }) {
    if (!String(headers.cookie).includes('stale=1')) return undefined
    return {
      credential: { type: 'opaque', source: 'cookie', name: 'stale', value: '1' },
      location: 'cookie stale',
    }
  },
  verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: 'stale' }),
  clearCookie: () => 'stale=; Max-Age=0; Path=/',
}
const { accounts, sessions } = createServices({ store: memoryStore() })
const gate = createGate({
  origins: ['https://app.example.com'],
  login: { page: '/login' },
  logger: { warn() {}, error() {} },
  schemes: [sessionCookie({ sessions }), stale, own],
  rules: [
    { path: '/health', access: 'public' },
    { path: '/login', access: 'public' },
    { path: '/document', access: 'public', document: { text: 'of the gate' } },
    { path: '/either', access: 'optional' },
    { path: '/node', access: 'required', kinds: ['user', 'device'] },
    { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
    { path: '/live', access: 'required' },
  ],
})
const events: AuditEvent[] = []
gate.events.subscribe((event) => events.push(event))

const closers: (() => unknown)[] = []
afterEach(async () => {
  events.length = 0
  for (const close of closers.splice(0).reverse()) await close()
})

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly lines: readonly string[]
  readonly body: string
}

/** Sends header lines to a listener on loopback, or on a Unix socket with a mode. */
async function ask(
  lines: readonly string[],
  options: Partial<ForwardAuthOptions> = {},
  { mode, first = 'GET / HTTP/1.1', body = '' }: { mode?: number; first?: string; body?: string } = {},
): Promise<Answer> {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-ask-'))
  const path = join(folder, 'ask.sock')
  const server = createServer(
    forwardAuth(gate, {
      proxy: 'caddy',
      ...(mode === undefined ? { from: ['127.0.0.1'], dangerouslyTrustSharedPeers: true } : { from: [path] }),
      ...options,
    }),
  )
  if (mode === undefined) server.listen(0, '127.0.0.1')
  else server.listen(path)
  await once(server, 'listening')
  if (mode !== undefined) chmodSync(path, mode)
  const socket =
    mode === undefined ? connect((server.address() as AddressInfo).port, '127.0.0.1') : connect(path)
  closers.push(() => {
    socket.destroy()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  socket.write(
    `${[first, 'Host: ask', ...lines.filter((line) => line !== '')].join('\r\n')}\r\n${
      lines.some((line) => line.startsWith('Connection')) ? '' : 'Connection: close\r\n'
    }\r\n${body}`,
  )
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    // Kept open by a client that asked for an upgrade: what follows the head is not waited for.
    if (text.includes('\r\n\r\n') && !/^connection: close/im.test(text)) break
  }
  const end = text.indexOf('\r\n\r\n')
  const [status = '', ...rest] = text.slice(0, end).split('\r\n')
  return {
    status: Number(status.split(' ')[1]),
    lines: rest,
    headers: Object.fromEntries(
      rest.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 1).trim(),
      ]),
    ),
    body: text.slice(end + 4),
  }
}

const forwarded = (method: string, uri: string, ...more: string[]): string[] => [
  `X-Forwarded-Method: ${method}`,
  `X-Forwarded-Uri: ${uri}`,
  'X-Forwarded-Host: app.example.com',
  'X-Forwarded-Proto: https',
  ...more,
]
const original = (method: string, uri: string, ...more: string[]): string[] => [
  `X-Original-Method: ${method}`,
  `X-Original-URI: ${uri}`,
  'X-Forwarded-Host: app.example.com',
  'X-Forwarded-Proto: https',
  ...more,
]
/** The cookie of a session. */
async function login(): Promise<string> {
  const made = await accounts.create({ email: 'ada@example.com' })
  const issued = 'account' in made ? await sessions.create(made.account.id) : undefined
  return `__Host-upgate_session=${issued?.token}`
}
const as = (id: string): string => `Authorization: Bearer ${id}-token`
const handshake = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
]

describe('forwardAuth', () => {
  it('decides the original request, and says its principal', async () => {
    const allowed = await ask(forwarded('GET', '/x?y=1', as('ada')))
    expect([allowed.status, allowed.body]).toEqual([204, ''])
    expect(allowed.headers).toMatchObject({
      'remote-user': 'ada',
      'remote-device': '',
      'remote-name': 'ada',
      'remote-scopes': 'read,a%2Cb',
      'remote-roles': '',
      'cache-control': 'no-store',
    })
    const refused = await ask(forwarded('GET', '/x'))
    expect([refused.status, JSON.parse(refused.body).code]).toEqual([401, 'auth_required'])
    expect(refused.headers['remote-user']).toBeUndefined()
    // The line of the question itself opens nothing.
    expect((await ask(forwarded('GET', '/x'), {}, { first: 'GET /health HTTP/1.1' })).status).toBe(401)
    const open = await ask(forwarded('GET', '/health'))
    expect([open.status, open.headers['remote-user']]).toEqual([204, ''])
  })

  it('does not let a device pass for the user of the same id', async () => {
    const { headers } = await ask(forwarded('GET', '/node', as('device')))
    expect([headers['remote-user'], headers['remote-device']]).toEqual(['', 'device'])
  })

  it('lets no id or name end a header', async () => {
    const { status, headers } = await ask(forwarded('GET', '/x', as('odd')))
    expect([status, headers['remote-user'], headers['remote-roles']]).toEqual([
      204,
      'Zo%C3%AB%0D%0ARemote-Roles: admin',
      '',
    ])
  })

  it('has names for the headers, and leaves out those that are false', async () => {
    const { headers } = await ask(forwarded('GET', '/x', as('ada')), {
      headers: { user: 'X-User', roles: false },
    })
    expect([headers['x-user'], 'remote-user' in headers, 'remote-roles' in headers]).toEqual([
      'ada',
      false,
      false,
    ])
  })

  it.each([
    ['x-forwarded-method', 0],
    ['x-forwarded-uri', 1],
    ['x-forwarded-host', 2],
    ['x-forwarded-proto', 3],
  ] as const)('guesses no %s, and takes none that came twice', async (name, at) => {
    const lines = forwarded('GET', '/health')
    const missing = await ask(lines.filter((_, i) => i !== at))
    expect([missing.status, JSON.parse(missing.body)]).toEqual([
      400,
      expect.objectContaining({
        code: 'malformed_target',
        detail: `The question of the proxy has no ${name}.`,
        action: expect.stringMatching(/^Add it to the configuration of the proxy: header_up X-Forwarded-/),
      }),
    ])
    const doubled = await ask([...lines, lines[at] as string])
    expect([doubled.status, JSON.parse(doubled.body).code]).toEqual([400, 'duplicate_header'])
  })

  it('names the line of nginx, and reads nothing else of it', async () => {
    const { status, headers } = await ask(forwarded('GET', '/health'), { proxy: 'nginx' })
    expect([status, headers['upgate-refusal']]).toEqual([400, 'malformed_target; gate="upgate"'])
    expect(events.at(-1)).toMatchObject({ code: 'malformed_target' })
    // A client's own headers of the other family change nothing.
    const forged = ['X-Forwarded-Method: GET', 'X-Forwarded-Uri: /health']
    expect((await ask(original('POST', '/x', ...forged), { proxy: 'nginx' })).status).toBe(401)
    const opposite = ['X-Original-Method: GET', 'X-Original-URI: /health']
    expect((await ask(forwarded('POST', '/x', ...opposite))).status).toBe(401)
  })

  it.each([
    ['a URI in absolute form', 'GET', 'https://app.example.com/health'],
    ['a path that routers read differently', 'GET', '/health/..%2fx'],
    ['a doubled slash', 'GET', '//health'],
    ['no path', 'GET', 'health'],
    ['a method in lower case', 'get', '/health'],
    ['an unknown method', 'HEALTH', '/health'],
    ['two methods', 'GET, POST', '/health'],
    ['CONNECT', 'CONNECT', '/health'],
    ['TRACE', 'TRACE', '/health'],
  ])('says no to %s', async (_, method, uri) => {
    const { status } = await ask(forwarded(method, uri))
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
  })

  it.each(['app.example.com, other', 'user@app.example.com', 'a b', 'a/b'])(
    'takes %s for no host',
    async (host) => {
      const { status } = await ask(
        forwarded('GET', '/health').map((line) =>
          line.startsWith('X-Forwarded-Host') ? `X-Forwarded-Host: ${host}` : line,
        ),
      )
      expect(status).toBe(400)
    },
  )

  it('judges the host and the Origin of the original request', async () => {
    const lines = forwarded('GET', '/x', as('ada')).map((line) =>
      line.replace('app.example.com', 'evil.example'),
    )
    const { status, body } = await ask(lines)
    expect([status, JSON.parse(body).code]).toEqual([403, 'host_refused'])
    const foreign = await ask(forwarded('POST', '/health', 'Origin: https://evil.example'))
    expect([foreign.status, JSON.parse(foreign.body).code]).toEqual([403, 'origin_refused'])
  })

  it('answers no 2xx where the gate itself would have to answer', async () => {
    const preflight = await ask(
      forwarded('OPTIONS', '/x', 'Origin: https://app.example.com', 'Access-Control-Request-Method: POST'),
    )
    expect([preflight.status, JSON.parse(preflight.body).code]).toEqual([403, 'origin_refused'])
    expect(preflight.headers['remote-user']).toBeUndefined()
  })

  it('lets a WebSocket through that HTTP proved, and none whose first frame would have to', async () => {
    expect((await ask(forwarded('GET', '/live', as('ada'), ...handshake))).status).toBe(204)
    expect((await ask(forwarded('GET', '/live', ...handshake))).status).toBe(401)
    const deferred = await ask(forwarded('GET', '/ws', 'Origin: https://app.example.com', ...handshake))
    expect([deferred.status, deferred.headers['upgate-refusal']]).toEqual([
      426,
      'upgrade_required; gate="upgate"',
    ])
    expect(events.at(-1)).toMatchObject({ type: 'refused', code: 'upgrade_required' })
    const passed = await ask(forwarded('GET', '/ws', 'Origin: https://app.example.com', ...handshake), {
      dangerouslyPassDeferred: true,
    })
    expect([passed.status, passed.headers['remote-device']]).toEqual([204, ''])
  })

  /* Traefik removes Upgrade and Connection from its questions: a socket was decided as a GET, without a look at its Origin. */
  it('decides a WebSocket as one where the proxy removed Upgrade from its question', async () => {
    const left = handshake.filter((line) => line.startsWith('Sec-'))
    const traefik = { proxy: 'traefik' } as const
    const cookie = `Cookie: ${await login()}`
    const foreign = 'Origin: https://evil.example'
    const own = 'Origin: https://app.example.com'
    expect((await ask(forwarded('GET', '/live', cookie, foreign), traefik)).status).toBe(204)
    for (const lines of [left, left.slice(0, 1), left.slice(1), ['Sec-WebSocket-Protocol: v1']]) {
      const answer = await ask(forwarded('GET', '/live', cookie, foreign, ...lines), traefik)
      expect(answer.status, lines.join()).not.toBe(204)
      expect((await ask(forwarded('GET', '/health', ...lines), traefik)).status).not.toBe(204)
    }
    const refused = await ask(forwarded('GET', '/live', cookie, foreign, ...left), traefik)
    expect([refused.status, refused.headers['upgate-refusal']]).toEqual([
      403,
      'origin_refused; gate="upgate"',
    ])
    expect((await ask(forwarded('GET', '/live', cookie, own, ...left), traefik)).status).toBe(204)
    expect((await ask(forwarded('GET', '/live', as('ada'), ...left), traefik)).status).toBe(204)
    expect((await ask(forwarded('GET', '/ws', as('ada'), own, ...left), traefik)).status).toBe(426)
    // Another protocol than that of WebSockets is left to the rules for requests.
    const h2c = ['Connection: Upgrade', 'Upgrade: h2c']
    expect((await ask(forwarded('GET', '/live', as('ada'), ...h2c), traefik)).status).toBe(204)
  })

  it('leads browsers to the login page, by 401 and Location for nginx', async () => {
    const page = ['Accept: text/html', 'Sec-Fetch-Mode: navigate']
    const caddy = await ask(forwarded('GET', '/x?y=1', ...page))
    expect([caddy.status, caddy.headers.location]).toEqual([303, '/login?next=%2Fx%3Fy%3D1'])
    const nginx = await ask(original('GET', '/x?y=1', ...page), { proxy: 'nginx' })
    expect([nginx.status, nginx.headers.location, nginx.body]).toEqual([401, '/login?next=%2Fx%3Fy%3D1', ''])
    // nginx makes 500 of every other status.
    expect((await ask(original('TRACE', '/x'), { proxy: 'nginx' })).status).toBe(403)
  })

  it('has the length of what it sends, for a HEAD asked by GET', async () => {
    const { status, headers, body } = await ask(forwarded('HEAD', '/x'))
    expect([status, headers['content-length'], body]).toEqual([401, '0', ''])
    expect((await ask(forwarded('GET', '/health'), {}, { first: 'HEAD / HTTP/1.1' })).status).toBe(204)
  })

  it('reads no body, and ends the connection after one', async () => {
    const smuggled = 'GET /x HTTP/1.1\r\n\r\n'
    const { status, headers } = await ask(
      forwarded('POST', '/health', `Content-Length: ${smuggled.length}`, 'Sec-Fetch-Site: same-origin'),
      {},
      { body: smuggled },
    )
    expect([status, headers.connection]).toEqual([204, 'close'])
    expect((await ask(forwarded('GET', '/health'), {}, { first: 'POST / HTTP/1.1' })).status).toBe(405)
  })

  it('clears a bad cookie by the proxy, with a yes and with a no', async () => {
    const bad = `Cookie: __Host-upgate_session=ugs_${'0'.repeat(60)}`
    for (const [uri, expected] of [
      ['/either', 204],
      ['/x', 401],
    ] as const) {
      const { status, headers } = await ask(forwarded('GET', uri, bad))
      expect([status, headers['set-cookie']]).toEqual([
        expected,
        expect.stringMatching(/^__Host-upgate_session=; .*Max-Age=0/),
      ])
    }
    expect((await ask(forwarded('GET', '/x'))).headers['set-cookie']).toBeUndefined()
  })

  it.each(['/either', '/x'])('clears one cookie at a time by nginx, which joins them (%s)', async (uri) => {
    const bad = `__Host-upgate_session=ugs_${'0'.repeat(60)}`
    const cookiesFor = async (cookie: string): Promise<readonly string[]> => {
      const { lines } = await ask(original('GET', uri, `Cookie: ${cookie}`), { proxy: 'nginx' })
      return lines.flatMap((line) => /^set-cookie: ([^=]+)=; /i.exec(line)?.[1] ?? [])
    }
    expect(await cookiesFor(`${bad}; stale=1`)).toEqual(['__Host-upgate_session'])
    expect(await cookiesFor('stale=1')).toEqual(['stale'])
    const { lines } = await ask(forwarded('GET', uri, `Cookie: ${bad}; stale=1`))
    expect(lines.filter((line) => /^set-cookie: /i.test(line))).toHaveLength(2)
  })

  it.each(['GET', 'HEAD'])('refuses %s of a document that the gate itself would send', async (method) => {
    const { status, headers, body } = await ask(forwarded(method, '/document'))
    expect([status, headers['upgate-refusal'], headers['remote-user']]).toEqual([
      404,
      'unknown_path; gate="upgate"',
      undefined,
    ])
    expect(body).not.toContain('of the gate')
    expect(events.at(-1)).toMatchObject({ type: 'refused', code: 'unknown_path', rule: '/document' })
    const byNginx = await ask(original(method, '/document'), { proxy: 'nginx' })
    expect([byNginx.status, byNginx.body]).toEqual([403, ''])
  })

  it('answers named peers only, and tells all others the same', async () => {
    const answers = await Promise.all(
      [
        forwarded('GET', '/health'),
        forwarded('GET', '/x', as('ada')),
        forwarded('GET', '/x', as('Wrong')),
        [],
      ].map((lines) => ask(lines, { from: ['10.0.0.5'] })),
    )
    for (const { status, body, headers } of answers) {
      expect([status, body]).toEqual([403, answers[0]?.body])
      expect(headers['remote-user']).toBeUndefined()
    }
    expect(events.at(-1)).toMatchObject({
      reason: expect.stringMatching(/^they came from 127\.0\.0\.1, which is not in `from`/),
    })
  })

  it('answers on a Unix socket of mode 600, and on no other', async () => {
    expect((await ask(forwarded('GET', '/health'), {}, { mode: 0o600 })).status).toBe(204)
    expect((await ask(forwarded('GET', '/health'), {}, { mode: 0o666 })).status).toBe(403)
  })

  it.each([
    [{ from: ['loopback'] }, /`from` has "loopback", from which each program on this machine/],
    [{ from: ['127.0.0.1'] }, /or say `dangerouslyTrustSharedPeers: true`/],
    [{ from: ['cloudflare'] }, /each customer of Cloudflare/],
    [{ from: [] }, /`from` must be a list of the proxy's addresses/],
    [{ proxy: 'apache' }, /`proxy` must be 'nginx', 'caddy' or 'traefik'/],
    [{ headers: { user: 'Set-Cookie' } }, /`headers.user` must be the name of a header of its own/],
    [{ headers: { user: 'X-A\r\n' } }, /`headers.user` must be/],
    [{ headers: { user: 'X-A', name: 'x-a' } }, /the name x-a twice/],
    [{ headers: { usr: 'X-A' } }, /unknown option `usr`. Did you mean `user`/],
  ])('throws for %o', (options, message) => {
    expect(() =>
      forwardAuth(gate, { from: ['10.0.0.5'], proxy: 'nginx', ...(options as object) } as never),
    ).toThrow(message)
  })
})
