import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AccessApplication, type ConnectOptions, connect, wsTransport } from '@upgate/client'
import { connect as connectInPage } from '@upgate/client/browser'
import { createEdgeSim } from '@upgate/edge-sim'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { manualClock } from 'upgate/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cleanUp, failureOf, kept, later, startGate } from './helpers.ts'

cleanUp()

/* A user's token of Cloudflare Access goes to a server only after it proved that its host is the token's application. */

describe('through Cloudflare’s edge, simulated', () => {
  async function behindEdge() {
    const gate = await startGate()
    const sim = createEdgeSim({
      upstream: `http://127.0.0.1:${gate.port}`,
      teams: ['acme', 'other'],
      users: [{ email: 'ann@example.com' }],
      applications: [
        { name: 'app', host: '127.0.0.1', policies: [{ action: 'allow' }] },
        { name: 'second', host: 'second.example.com', policies: [{ action: 'allow' }] },
      ],
    })
    await sim.start()
    later(() => sim.stop())
    const { token } = await gate.services.devices.create({ name: 'kitchen' })
    const userToken = await sim.issueUserToken('app', 'ann@example.com')
    const options = { credential: token, transport: { ...wsTransport(), fetch: sim.fetch } }
    return { ...gate, sim, userToken, options, url: `${sim.url.replace('http', 'ws')}/ws` }
  }

  test('a token, and a function that finds the one for the application', async () => {
    const { url, sim, userToken, options } = await behindEdge()
    const { team, aud } = sim.application('app')
    kept(connect(url, { ...options, edge: { userToken } }))
    const asked: AccessApplication[] = []
    const connection = kept(
      connect(url, {
        ...options,
        edge: {
          team,
          audience: [aud],
          userToken(application) {
            asked.push(application)
            return userToken
          },
        },
      }),
    )
    expect((await connection.accepted).principal?.kind).toBe('device')
    expect(asked).toEqual([{ team: 'acme.cloudflareaccess.com', audience: aud, hostname: '127.0.0.1' }])
  })

  test('no credential goes with the requests for metadata and keys', async () => {
    const { url, sim, userToken, options } = await behindEdge()
    sim.clearLog()
    await kept(connect(url, { ...options, edge: { userToken } })).accepted
    expect(sim.log.map(({ method, outcome, credentials }) => [method, outcome, credentials])).toEqual([
      ['HEAD', 'discovery', []],
      ['GET', 'jwks', []],
      ['GET', expect.any(String), ['cf-access-token']],
    ])
    expect(sim.leaks).toEqual([])
  })

  test('an expired session: the function is asked again, and the server proves itself again', async () => {
    const { url, sim, userToken, options } = await behindEdge()
    sim.logOut('ann@example.com')
    const stale = await failureOf(connect(url, { ...options, edge: { userToken: await expired(sim) } }))
    expect([stale.code, stale.diagnosis.retry]).toEqual(['access_user_token_expired', 'after_new_credential'])
    let asked = 0
    const connection = kept(
      connect(url, {
        ...options,
        random: () => 0,
        edge: async () => ({ userToken: asked++ === 0 ? await expired(sim) : userToken }),
      }),
    )
    await connection.accepted
    expect(asked).toBe(2)
    expect(sim.log.filter(({ outcome }) => outcome === 'discovery').length).toBe(3)
    async function expired(from: typeof sim): Promise<string> {
      return await from.issueUserToken('app', 'ann@example.com', { exp: 1 })
    }
  })

  test('without a token nothing is sent, and the edge says what it wants', async () => {
    const { url, options } = await behindEdge()
    const error = await failureOf(connect(url, { ...options, edge: { userToken: () => undefined } }))
    expect(error.code).toBe('access_login_required')
  })

  test('a token for another application of the same team, and one of the team itself, stay here', async () => {
    const { url, sim, options } = await behindEdge()
    for (const userToken of [
      await sim.issueUserToken('second', 'ann@example.com'),
      await sim.issueUserToken('app', 'ann@example.com', { type: 'org' }),
      await sim.issueUserToken('app', 'ann@example.com', { aud: undefined }),
    ]) {
      sim.clearLog()
      const error = await failureOf(connect(url, { ...options, edge: { userToken } }))
      expect(error.code).toBe('access_unverified')
      expect(sim.log.flatMap(({ credentials }) => credentials)).toEqual([])
      expect(JSON.stringify([error, error.message, error.diagnosis])).not.toContain(userToken)
    }
  })
})

describe('a server that wants the token of another application', () => {
  const team = 'acme.cloudflareaccess.com'
  const aud = 'a'.repeat(64)
  let own: CryptoKeyPair
  let foreign: CryptoKeyPair
  let userToken: string
  beforeAll(async () => {
    own = (await generateKeyPair('RS256')) as CryptoKeyPair
    foreign = (await generateKeyPair('RS256')) as CryptoKeyPair
    userToken = await new SignJWT({
      type: 'app',
      aud: [aud],
      iss: `https://${team}`,
      email: 'ann@example.com',
    })
      .setProtectedHeader({ alg: 'RS256', kid: 'k' })
      .sign(own.privateKey)
  })
  const servers: ReturnType<typeof createServer>[] = []
  afterAll(() => {
    for (const server of servers) server.close()
  })

  const now = Date.parse('2026-11-29T12:00:00Z')
  const claims = {
    type: 'match',
    hostname: '127.0.0.1',
    auth_domain: team,
    aud,
    app_hostname: '127.0.0.1',
    iat: now / 1000,
  }
  const signed = (
    changes: Readonly<Record<string, unknown>>,
    keys = own,
    header: { alg: string; kid?: string } = { alg: 'RS256', kid: 'k' },
  ): Promise<string> =>
    new SignJWT({ ...claims, ...changes }).setProtectedHeader(header).sign(keys.privateKey)

  /** A server with this metadata; answers the verdict, the headers that it got, and the hosts that were asked for keys. */
  async function attempt(
    metadata: string | undefined,
    options: Partial<ConnectOptions['edge']> = {},
    more: { readonly status?: number; readonly keys?: () => Response | Promise<Response> } = {},
  ): Promise<{ said: readonly string[]; got: readonly IncomingHttpHeaders[]; asked: readonly string[] }> {
    const got: IncomingHttpHeaders[] = []
    const asked: string[] = []
    const server = createServer((request, response) => {
      got.push(request.headers)
      response.writeHead(more.status ?? 200, metadata === undefined ? {} : { 'cf-access-metadata': metadata })
      response.end()
    })
    server.on('upgrade', (request, socket) => {
      got.push(request.headers)
      socket.end(
        'HTTP/1.1 403 Forbidden\r\nUpgate-Refusal: kind_not_allowed; gate="g"\r\nContent-Length: 0\r\n\r\n',
      )
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const transport = wsTransport()
    const jwk = { ...(await exportJWK(own.publicKey)), kid: 'k', alg: 'RS256' }
    const error = await failureOf(
      connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`, {
        reconnect: false,
        clock: { ...realClock, now: () => now },
        edge: { userToken, ...options } as never,
        transport: {
          ...transport,
          async fetch(input, init) {
            const { hostname, href } = new URL(String(input))
            if (hostname === '127.0.0.1') return await (transport.fetch as typeof fetch)(input, init)
            asked.push(href)
            return (await more.keys?.()) ?? Response.json({ keys: [jwk] })
          },
        },
      }),
    )
    const evidence = error.diagnosis.evidence.find(({ name }) => name === 'error')?.value ?? ''
    return { said: [error.code, evidence], got, asked }
  }
  const sentToken = (got: readonly IncomingHttpHeaders[]): boolean => JSON.stringify(got).includes(userToken)

  test('the right metadata: the token is sent', async () => {
    const { said, got } = await attempt(await signed({}))
    expect([said[0], sentToken(got)]).toEqual(['kind_not_allowed', true])
  })

  test.each<[string, () => Promise<string | undefined>, string]>([
    ['no metadata', async () => undefined, 'The server sends no Access metadata.'],
    ['no token', async () => 'nonsense', 'The server sends no Access metadata.'],
    ['signed by other keys', () => signed({}, foreign), 'not signed by the keys'],
    ['with another key id', () => signed({}, own, { alg: 'RS256', kid: 'x' }), 'not signed by the keys'],
    ['without a key id', () => signed({}, own, { alg: 'RS256' }), 'not signed by the keys'],
    ['not signed', async () => unsigned(await signed({})), 'not signed by the keys'],
    ['a day and an hour old', () => signed({ iat: now / 1000 - 25 * 3600 }), 'too old'],
    ['from tomorrow', () => signed({ iat: now / 1000 + 24 * 3600 }), 'too old'],
    ['without a time', () => signed({ iat: undefined }), 'too old'],
    ['of another host', () => signed({ hostname: 'gateway.example.com' }), 'for another host'],
    ['of another type', () => signed({ type: 'meta' }), 'for another host'],
    ['of another application', () => signed({ aud: 'b'.repeat(64) }), 'for another application'],
    ['without an application', () => signed({ aud: undefined }), 'another application than'],
    [
      'of a team that is none',
      () => signed({ auth_domain: 'acme.cloudflareaccess.com.evil.example' }),
      'no team',
    ],
    [
      'of a path in place of a team',
      () => signed({ auth_domain: 'evil.example/x.cloudflareaccess.com' }),
      'no team',
    ],
  ])('%s', async (_name, metadata, reason) => {
    const { said, got } = await attempt(await metadata())
    expect(said).toEqual(['access_unverified', expect.stringContaining(reason)])
    expect(sentToken(got)).toBe(false)
  })

  test('the server’s own team, with its keys: the token’s team is another one, and its keys are not fetched', async () => {
    const metadata = await signed({ auth_domain: 'evil.cloudflareaccess.com' })
    const { said, got, asked } = await attempt(metadata)
    expect([said[0], sentToken(got), asked]).toEqual(['access_unverified', false, []])
  })

  test('a first contact with a function: the pins decide before it is asked', async () => {
    let called = 0
    const find = () => {
      called++
      return userToken
    }
    const metadata = await signed({ auth_domain: 'evil.cloudflareaccess.com' })
    const byTeam = await attempt(metadata, { userToken: find, team: 'acme' })
    const byTag = await attempt(await signed({ aud: 'b'.repeat(64) }), { userToken: find, audience: aud })
    expect([byTeam.said[0], byTag.said[0], called]).toEqual(['access_unverified', 'access_unverified', 0])
    // Without pins the function is asked, and its token still names its own application.
    const without = await attempt(metadata, { userToken: find })
    expect([without.said[0], called, sentToken(without.got)]).toEqual(['access_unverified', 1, false])
  })

  test.each<[string, () => Response | Promise<Response>]>([
    ['an error', () => Promise.reject(new TypeError('fetch failed'))],
    ['a redirect', () => new Response(null, { status: 302, headers: { location: 'https://evil.example/' } })],
    ['a page', () => new Response('<html>')],
    ['a document without keys', () => Response.json({ keys: 'x' })],
    ['nothing but null', () => new Response('null')],
    ['a document without end', () => new Response(`{"keys":[${'{},'.repeat(200_000)}{}]}`)],
  ])(
    '%s in place of the keys: the token stays here, and the client tries again later',
    async (_name, keys) => {
      const { said, got } = await attempt(await signed({}), {}, { keys })
      expect([said[0], sentToken(got)]).toEqual(['access_keys_unreachable', false])
    },
  )

  test('a server in trouble has the verdict of its answer', async () => {
    expect((await attempt(undefined, {}, { status: 530 })).said[0]).toMatch(/^(?:edge_|tunnel_)/)
  })

  test('a server that is away, or silent, has the verdict of the network', async () => {
    const options = { reconnect: false, edge: { userToken } } as const
    expect((await failureOf(connect('ws://127.0.0.1:1/ws', options))).code).toBe('tcp_refused')
    const clock = manualClock()
    const silent = connect('wss://gateway.example.com/ws', {
      ...options,
      clock,
      transport: {
        ...wsTransport(),
        fetch: (_input, init) =>
          new Promise((_resolve, reject) => {
            init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
          }),
      },
    })
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(15_000)
    expect((await failureOf(silent)).code).toBe('http_silent')
  })
})

test('over plain to another computer no metadata are asked for, and nothing is sent', async () => {
  const transport = { ...wsTransport(), fetch: () => Promise.reject(new Error('asked')) }
  const error = await failureOf(connect('ws://10.0.0.1/', { transport, edge: { userToken: 'a.b.c' } }))
  expect(error.code).toBe('edge_secret_over_plain')
})

test('options that are wrong throw, and quote nothing', () => {
  for (const [edge, message] of [
    [
      { userToken: 's3cret' },
      'connect: `edge.userToken` must be the text that `cloudflared access token` prints',
    ],
    [{ userToken: 1 }, 'connect: `edge.userToken` must'],
    [{ userToken: 'a.b.c', team: 'https://s3cret' }, 'connect: `edge.team` must be the name of a team'],
    [{ userToken: 'a.b.c', audience: 's3cret' }, 'connect: `edge.audience` must be an AUD tag'],
    [{ userToken: 'a.b.c', audience: [] }, 'connect: `edge.audience` must be an AUD tag'],
    [{ userToken: 'a.b.c', clientId: 's3cret' }, 'connect: unknown option `edge.clientId`'],
    [{ clientId: 'a', clientSecret: 'b', userTokens: 's3cret' }, 'connect: unknown option `edge.userTokens`'],
    ['s3cret', 'connect: `edge` must be { clientId, clientSecret }, { userToken }'],
  ] as const) {
    expect(() => connect('wss://h/', { edge } as never)).toThrow(message)
    expect(() => connect('wss://h/', { edge } as never)).not.toThrow('s3cret')
  }
  const transport = { ...wsTransport() }
  expect(() => connectInPage('wss://h/', { transport, edge: { userToken: 'a.b.c' } })).toThrow(
    'connect: `edge.userToken` needs the entry @upgate/client.',
  )
})

const realClock = {
  setTimer(milliseconds: number, callback: () => void) {
    const timer = setTimeout(callback, milliseconds)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** The same claims with the algorithm `none` and no signature worth the name. */
function unsigned(token: string): string {
  const header = Buffer.from('{"alg":"none","kid":"k"}').toString('base64url')
  return `${header}.${token.split('.')[1]}.x`
}
