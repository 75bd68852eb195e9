import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { request as ask, createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createGate,
  createServices,
  fromRequest,
  type Gate,
  type HeaderIdentity,
  memoryStore,
  type Scheme,
  type TrustedHeaderOptions,
  trustedHeader,
} from 'upgate'
import { httpGate } from 'upgate/node'
import { manualClock } from 'upgate/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { raw } from '../adapters/raw.ts'
import {
  cookieScheme,
  handshake,
  keyScheme,
  makeGate,
  origin,
  person,
  request,
  upgrade,
} from '../core/fixtures.ts'

const proxy = '10.0.0.5'
const accounts: Record<string, { id: string; scopes?: string[]; disabledAt?: number }> = {
  ada: { id: 'u1', scopes: ['read'] },
  eve: { id: 'u2', disabledAt: 1 },
}
const identities: HeaderIdentity[] = []
const identify = (identity: HeaderIdentity): (typeof accounts)[string] | null => {
  identities.push(identity)
  return Object.hasOwn(accounts, identity.user) ? (accounts[identity.user] ?? null) : null
}
function scheme(options: Partial<TrustedHeaderOptions> = {}): Scheme {
  return trustedHeader({ headers: 'authelia', peers: [proxy], identify, ...options })
}
function gateWith(options: Partial<TrustedHeaderOptions> = {}): Gate {
  return makeGate({
    schemes: [cookieScheme({ u: person('u', { scheme: 'cookie' }) }), scheme(options)],
    rules: [
      { path: '/open', access: 'public' },
      { path: '/maybe', access: 'optional' },
    ],
  })
}

async function outcome(
  gate: Gate,
  headers: Record<string, string> | readonly string[],
  peerAddress = proxy,
): Promise<string> {
  const list = Array.isArray(headers) ? (headers as string[]) : Object.entries(headers).flat()
  const joined: Record<string, string> = {}
  for (let i = 0; i < list.length; i += 2) {
    const name = (list[i] as string).toLowerCase()
    joined[name] = name in joined ? `${joined[name]}, ${list[i + 1]}` : (list[i + 1] as string)
  }
  const rawHeaders = ['host', 'gateway.example.com', ...list]
  const asked = request('/x', { headers: joined, rawHeaders, peerAddress })
  const decision = await gate.decide(asked)
  return 'code' in decision
    ? `${decision.status} ${decision.code}`
    : decision.outcome === 'allow'
      ? `${decision.principal?.id}`
      : decision.outcome
}

describe('trustedHeader', () => {
  it('maps a user of the proxy to an account, else answers 403', async () => {
    const gate = gateWith()
    expect(await outcome(gate, { 'Remote-User': 'ada' })).toBe('u1')
    expect(await outcome(gate, { 'remote-user': 'ada' })).toBe('u1')
    expect(await outcome(gate, { 'Remote-User': 'nina' })).toBe('403 unknown_identity')
    expect(await outcome(gate, { 'Remote-User': 'eve' })).toBe('401 account_disabled')
    expect(await outcome(gate, {})).toBe('401 auth_required')
  })

  it('gives the application a principal with the rights of the account alone', async () => {
    const clock = manualClock(5_000)
    const gate = makeGate({ schemes: [scheme({ clock, lifetime: 60_000 })], clock })
    const headers = {
      'Remote-User': 'ada',
      'Remote-Email': 'ada@example.com',
      'Remote-Name': 'Ad\xc3\xa9l',
      'Remote-Groups': 'admins, operator.admin ,,dev',
    }
    const lower = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
    )
    const decision = await gate.decide(request('/x', { headers: lower, peerAddress: proxy }))
    expect(decision).toMatchObject({
      outcome: 'allow',
      principal: {
        kind: 'user',
        id: 'u1',
        scheme: 'trusted-header',
        scopes: ['read'],
        roles: [],
        expiresAt: 65_000,
        displayName: 'Adél',
        attributes: { user: 'ada', email: 'ada@example.com', groups: ['admins', 'operator.admin', 'dev'] },
      },
    })
  })

  it('counts nothing from any other peer, under any spelling', async () => {
    const gate = gateWith()
    for (const peer of ['10.0.0.6', '127.0.0.1', '::1', '::ffff:127.0.0.1', '2001:db8::1', '']) {
      for (const name of [
        'Remote-User',
        'REMOTE-USER',
        'rEmOtE-uSeR',
        'remote_user',
        'Remote.User',
        'Remote~User',
      ]) {
        expect(await outcome(gate, [name, 'ada'], peer), `${name} of ${peer}`).toBe('401 auth_required')
        expect(await outcome(gate, [name, 'ada', 'Cookie', 'sid=u'], peer), `${name} of ${peer}`).toBe('u')
      }
      expect(await outcome(gate, ['Remote-User', 'ada', 'remote-user', 'ada'], peer)).toBe(
        '401 auth_required',
      )
      const forged = ['X-Forwarded-For', proxy, 'CF-Connecting-IP', proxy, 'Forwarded', `for=${proxy}`]
      expect(await outcome(gate, ['Remote-User', 'ada', ...forged], peer)).toBe('401 auth_required')
    }
    expect(await outcome(gate, { 'Remote-User': 'ada' }, `::ffff:${proxy}`)).toBe('u1')
  })

  it('counts nothing of the proxy that is doubled, empty, joined or an alias', async () => {
    const gate = gateWith()
    for (const list of [
      ['Remote-User', 'ada', 'Remote-User', 'ada'],
      ['Remote-User', 'nina', 'remote-user', 'ada'],
      ['Remote-User', 'nina, ada'],
      ['Remote-User', ''],
      ['Remote-User', '  '],
      ['Remote-User', '(null)'],
      ['Remote-User', '-'],
      ['Remote-User', 'a\xff'],
      ['Remote-User', 'ada\x7f'],
      ['Remote-User', 'a'.repeat(257)],
      ['remote_user', 'ada'],
      ['Remote-Email', 'ada@example.com'],
    ]) {
      expect(await outcome(gate, list), list.join(' ')).toBe('401 auth_required')
    }
    expect(await outcome(gate, ['remote_user', 'nina', 'Remote-User', 'ada'])).toBe('u1')
  })

  it('does not take a doubled or foreign address, or a part without a user', async () => {
    identities.length = 0
    const gate = gateWith()
    for (const email of [
      ['Remote-Email', 'a@x', 'remote-email', 'b@x'],
      ['Remote-Email', 'a@x, b@x'],
      ['remote_email', 'a@x'],
      ['Remote-Email', '\xe2\x84\xaaim@x'],
    ]) {
      expect(await outcome(gate, ['Remote-User', 'ada', ...email])).toBe('u1')
    }
    expect(identities.map(({ email }) => email)).toEqual([undefined, undefined, undefined, undefined])
  })

  /* Authentik lets users choose any name, and `=?utf-8?q?ada?=` was taken for `ada`. */
  it('decodes no encoded words of a proxy that writes none: they are a name that the user chose', async () => {
    for (const [headers, user] of [
      ['authentik', 'X-authentik-username'],
      ['authelia', 'Remote-User'],
      ['oauth2-proxy', 'X-Auth-Request-User'],
      ['remote-user', 'Remote-User'],
      [{ user: 'X-Forwarded-User' }, 'X-Forwarded-User'],
    ] as const) {
      const gate = gateWith({ headers })
      for (const word of ['=?utf-8?q?ada?=', '=?UTF-8?Q?=61da?=', '=?utf-8?q?a?= =?utf-8?q?da?=']) {
        identities.length = 0
        expect(await outcome(gate, [user, word]), `${user}: ${word}`).toBe('403 unknown_identity')
        expect(identities).toMatchObject([{ user: word }])
      }
    }
  })

  /* The last octet of `à` was taken for a space. */
  it('trims spaces and tabs, and no octet of a name', async () => {
    const gate = gateWith()
    for (const name of ['voilà', 'СЕРГЕЙ Р', 'x†', '\u00a0ada\u00a0', '\u3000ada']) {
      identities.length = 0
      await outcome(gate, ['Remote-User', ` \t${Buffer.from(name).toString('latin1')}\t `])
      expect(identities).toMatchObject([{ user: name }])
    }
    expect(await outcome(gate, ['Remote-User', '\t ada \t'])).toBe('u1')
  })

  it('is ambient: it counts on upgrades and unsafe methods only with an allowed Origin', async () => {
    const gate = gateWith()
    const headers = { 'remote-user': 'ada' }
    const ask = async (asked: ReturnType<typeof request>): Promise<string> => {
      const decision = await gate.decide({ ...asked, peerAddress: proxy })
      return 'code' in decision ? decision.code : decision.outcome
    }
    expect(await ask(request('/x', { method: 'POST', headers: { ...headers, origin } }))).toBe('allow')
    expect(
      await ask(request('/x', { method: 'POST', headers: { ...headers, origin: 'https://evil.example' } })),
    ).toBe('origin_refused')
    expect(
      await ask(request('/x', { method: 'POST', headers: { ...headers, 'sec-fetch-site': 'cross-site' } })),
    ).toBe('origin_refused')
    expect(await ask(upgrade('/x', { ...headers, origin }))).toBe('allow')
    expect(await ask(upgrade('/x', headers))).toBe('auth_required')
  })

  it('is the identity of the edge on deferred paths, next to the principal of the protocol', async () => {
    const gate = makeGate({
      schemes: [keyScheme({ k_device: person('node-1', { kind: 'device' }) }), scheme()],
      rules: [{ path: '/ws', access: 'deferred', kinds: ['device', 'user'], handshake }],
    })
    const asked = { ...upgrade('/ws', { 'remote-user': 'ada', origin }), peerAddress: proxy }
    const decision = await gate.decide(asked)
    if (decision.outcome !== 'defer') throw new Error(decision.outcome)
    expect(decision.edgePrincipal?.id).toBe('u1')
    expect(decision.httpPrincipal).toBeUndefined()
    const inBand = { credential: { type: 'token', source: 'frame', value: 'k_device' } } as const
    expect(await gate.resume(decision, inBand)).toMatchObject({
      outcome: 'allow',
      principal: { id: 'node-1', scopes: [] },
      edgePrincipal: { id: 'u1', scopes: ['read'] },
    })
    // A user without an account here closes no path to the devices behind the same proxy.
    const unknown = await gate.decide({
      ...upgrade('/ws', { 'remote-user': 'nina', origin }),
      peerAddress: proxy,
    })
    expect(unknown).toMatchObject({ outcome: 'defer', httpFailure: 'unknown_identity' })
  })

  it('waits for no look-up without end, and never answers 401 for one that failed', async () => {
    const clock = manualClock(0)
    const late = makeGate({ schemes: [scheme({ clock, identify: () => new Promise(() => {}) })] })
    const answer = outcome(late, { 'Remote-User': 'ada' })
    clock.advance(5_000)
    expect(await answer).toBe('503 unavailable')
    for (const broken of [
      () => Promise.reject(new Error('the database is down')),
      () => ({ id: 7 }) as never,
      () => ({ id: 'u1', scopes: 'operator.admin' }) as never,
      () => Promise.resolve({ id: 'u1', roles: [7] }) as never,
      () => ({ id: 'u1', expiresAt: Number.NaN }),
    ]) {
      const gate = makeGate({ schemes: [scheme({ identify: broken })] })
      expect(await outcome(gate, { 'Remote-User': 'ada' })).toBe('503 unavailable')
    }
  })

  it('takes an account of the services as the answer of identify, also once it is disabled', async () => {
    const services = createServices({ store: memoryStore() })
    const made = await services.accounts.create({
      email: 'ada@example.com',
      scopes: ['read'],
    })
    if (!('account' in made)) throw new Error(JSON.stringify(made))
    const byEmail = scheme({
      identify: ({ email }) => (email === undefined ? null : services.accounts.byEmail(email)),
      revocations: services.revocations,
    })
    const gate = makeGate({ schemes: [byEmail] })
    const headers = { 'Remote-User': 'ada', 'Remote-Email': 'ada@example.com' }
    expect(await outcome(gate, headers)).toBe(made.account.id)
    await services.accounts.disable(made.account.id)
    expect(await outcome(gate, headers)).toBe('401 account_disabled')
    services.close()
  })

  describe('of tailscale serve', () => {
    const info = ['Tailscale-Headers-Info', 'https://tailscale.com/s/serve-headers']
    it('counts only with the mark of serve, and never for a request from the internet', async () => {
      identities.length = 0
      const gate = gateWith({ headers: 'tailscale' })
      expect(await outcome(gate, ['Tailscale-User-Login', 'ada', ...info])).toBe('u1')
      expect(await outcome(gate, ['Tailscale-User-Login', 'ada'])).toBe('401 auth_required')
      const funnel = ['Tailscale-Funnel-Request', '?1']
      expect(await outcome(gate, ['Tailscale-User-Login', 'ada', ...info, ...funnel])).toBe(
        '401 auth_required',
      )
      const name = ['Tailscale-User-Name', '=?utf-8?q?Kr=C5=ABmi=C5=86a_X?=']
      expect(await outcome(gate, ['Tailscale-User-Login', 'ada', ...name, ...info])).toBe('u1')
      expect(identities.at(-1)).toMatchObject({ user: 'ada', email: 'ada', displayName: 'Krūmiņa X' })
    })
  })

  it.each<[string, Partial<TrustedHeaderOptions>, string]>([
    ['no peers', { peers: [] }, "`peers` must be a list of the proxy's addresses or Unix sockets"],
    [
      'loopback by name',
      { peers: ['loopback'] },
      '`peers` has "loopback", from which each program on this machine',
    ],
    ['loopback by address', { peers: ['127.0.0.1'] }, 'Let the proxy connect to a Unix socket of mode 600'],
    ['loopback of IPv6', { peers: ['::1'] }, 'each program on this machine'],
    ['loopback in other notation', { peers: ['::ffff:127.0.0.1'] }, 'each program on this machine'],
    ['a network with loopback in it', { peers: ['::/96'] }, 'each program on this machine'],
    ['Cloudflare by name', { peers: ['cloudflare'] }, 'from which each customer of Cloudflare can send'],
    ['Cloudflare by range', { peers: ['104.16.0.0/16'] }, 'from which each customer of Cloudflare can send'],
    ['all private networks', { peers: ['private'] }, 'each machine of a large network'],
    ['a large network', { peers: ['10.0.0.0/8'] }, 'each machine of a large network'],
    [
      'an address within a network',
      { peers: ['10.0.0.5/24'] },
      "Write '10.0.0.5' for this one address, or '10.0.0.0/24'",
    ],
    [
      'the world, in spite of the loud option',
      { peers: ['0.0.0.0/0'], dangerouslyTrustSharedPeers: true },
      '`peers` trusts 100 % of all IPv4 addresses',
    ],
    ['a name', { peers: ['nginx'] }, '`peers` has "nginx"'],
    [
      'an unknown proxy',
      { headers: 'traefik' as never },
      "`headers` must be one of 'remote-user', 'authelia'",
    ],
    ['no user', { headers: { email: 'X-Email' } as never }, '`headers.user` is missing'],
    [
      'a header that clients send',
      { headers: { user: 'Authorization' } },
      "`headers.user` must be the name of a header of the proxy's own",
    ],
    ['a name with an underscore', { headers: { user: 'Remote_User' } }, '`headers.user` must be the name'],
    [
      'an unknown part',
      { headers: { user: 'X-User', mail: 'X-Mail' } as never },
      '`headers` has no part "mail"',
    ],
    ['no identify', { identify: undefined as never }, '`identify` is missing; give it a function'],
  ])('refuses to start with %s', (_, options, message) => {
    expect(() => scheme(options)).toThrow(TypeError)
    expect(() => scheme(options)).toThrow(`trustedHeader: `)
    expect(() => scheme(options)).toThrow(message)
  })

  it('does not share a header with a second scheme, which would never see it', () => {
    const second = scheme({ name: 'second', peers: ['10.0.0.6'] })
    expect(() => makeGate({ schemes: [scheme(), second] })).toThrow(
      /two edge schemes that read the header remote-user.* one scheme takes the `peers` of all proxies/,
    )
  })

  it('needs origins, as cookies do', () => {
    expect(() => createGate({ schemes: [scheme()] })).toThrow(
      '`origins` is required, because the scheme "trusted-header"',
    )
  })

  it('explains which headers it removed, and why, and changes nothing', async () => {
    const headers = { 'remote-user': 'ada', remote_groups: 'x' }
    const asked = request('/x', { headers, peerAddress: '10.0.0.6' })
    const { steps } = await gateWith().explain(asked)
    expect(steps).toContainEqual({
      step: 'scheme trusted-header',
      detail: 'remote-user, remote_groups removed: they came from 10.0.0.6, which is not in `peers`',
    })
    expect(asked.headers['remote-user']).toBe('ada')
  })
})

/** A server behind which the handler, and a scheme that reads requests, show the headers that they see. */
describe('a request over a real connection', () => {
  const servers: Server[] = []
  const folder = mkdtempSync(join(tmpdir(), 'upgate-identity-'))
  afterAll(async () => {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    rmSync(folder, { recursive: true, force: true })
  })
  const errors: string[] = []

  async function serve(
    peers: string[],
    dangerouslyTrustSharedPeers: boolean,
    at: string | number,
  ): Promise<Server> {
    const logger = { warn() {}, error: (message: string) => void errors.push(message) }
    const gate = createGate({
      origins: [origin],
      hosts: ['app.example.com'],
      logger,
      rules: [{ path: '/open', access: 'public' }],
      schemes: [
        fromRequest((native: IncomingMessage) =>
          // As applications do that have such a login already.
          native.headers['remote-user'] === undefined
            ? null
            : { id: `taken for ${native.headers['remote-user']}` },
        ),
        scheme({ peers, dangerouslyTrustSharedPeers, logger }),
      ],
    })
    const listener = httpGate(gate, (req, res) => {
      const seen = [req.headers, req.rawHeaders, req.headersDistinct]
        .map((each) => JSON.stringify(each))
        .join()
      res.end(
        `${gate.principalOf(req)?.id ?? 'anonymous'}; identity headers: ${seen.match(/remote.user|remote.email/gi)?.length ?? 0}`,
      )
    })
    const server = createServer(listener)
    servers.push(server)
    await new Promise<void>((resolve) => {
      if (typeof at === 'string') server.listen(at, resolve)
      else server.listen(at, '127.0.0.1', resolve)
    })
    return server
  }

  const hostile = [
    ['Remote-User: ada'],
    ['REMOTE-USER: ada'],
    ['remote_user: ada', 'Remote.User: ada'],
    ['Remote-User: ada', 'Remote-User: ada', 'Remote-Email: ada@example.com'],
    ['Remote-User:', 'remote-user: ada', 'Remote_User: ada'],
  ]

  it('keeps forged headers from handlers and schemes, on public paths, too', async () => {
    const server = await serve([proxy], false, 0)
    const { port } = server.address() as AddressInfo
    for (const lines of hostile) {
      for (const [path, expected] of [
        ['/open', '200'],
        ['/x', '401'],
      ]) {
        const head = [
          `GET ${path} HTTP/1.1`,
          'Host: app.example.com',
          'Cookie: a=1',
          ...lines,
          'Connection: close',
        ]
        const text = await raw(port, `${head.join('\r\n')}\r\n\r\n`).ended()
        expect(text.slice(9, 12), lines.join()).toBe(expected)
        if (expected === '200') expect(text, lines.join()).toContain('anonymous; identity headers: 0')
        else expect(text).toContain('auth_required')
      }
    }
  })

  it('shows the handler what the proxy said, without the aliases', async () => {
    const server = await serve(['loopback'], true, 0)
    const { port } = server.address() as AddressInfo
    const head = [
      'GET /x HTTP/1.1',
      'Host: app.example.com',
      'remote_user: eve',
      'Remote-User: ada',
      'Connection: close',
    ]
    const text = await raw(port, `${head.join('\r\n')}\r\n\r\n`).ended()
    expect(text.slice(9, 12)).toBe('200')
    expect(text).toContain('u1; identity headers: 3')
  })

  const overSocket = (socketPath: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const headers = { Host: 'app.example.com', 'Remote-User': 'ada', Connection: 'close' }
      ask({ socketPath, path: '/x', headers }, (response) => {
        let text = `${response.statusCode} `
        response.on('data', (chunk) => (text += chunk))
        response.on('end', () => resolve(text))
      })
        .on('error', reject)
        .end()
    })

  it('takes a Unix socket of mode 600 for the proxy, and no other', async () => {
    const path = join(folder, 'own.sock')
    await serve([path], false, path)
    chmodSync(path, 0o600)
    expect(await overSocket(path)).toMatch(/^200 u1;/)
    for (const mode of [0o660, 0o606, 0o601, 0o777]) {
      chmodSync(path, mode)
      expect(await overSocket(path)).toMatch(/^401 .*auth_required/s)
    }
    expect(errors).toHaveLength(4)
    expect(errors[0]).toContain(
      `come by ${path} do not count, because the mode of the socket is 660. Create it with mode 600`,
    )
    const other = join(folder, 'other.sock')
    await serve([path], false, other)
    chmodSync(other, 0o600)
    expect(await overSocket(other)).toMatch(/^401 .*auth_required/s)
  })
})
