import { getEventListeners } from 'node:events'
import {
  connect,
  connectHandshake,
  deviceKey,
  headerHandshake,
  isConnectError,
  subprotocolHandshake,
  ticketHandshake,
  upgateHandshake,
} from '@upgate/client'
import { createEdgeSim } from '@upgate/edge-sim'
import { connectFrame } from 'upgate/ws'
import { describe, expect, test } from 'vitest'
import { cleanUp, failureOf, hurried, kept, later, startGate } from './helpers.ts'

cleanUp()

/* The client against a real gate, by each handshake. */

const admin = { kind: 'user', id: 'admin', scopes: ['operator.admin'], roles: [] } as never

describe('the minimal protocol', () => {
  test('a device token in the first frame: accepted, with its record, and messages both ways', async () => {
    const { url, services } = await startGate()
    const { token } = await services.devices.create({ name: 'kitchen', scopes: ['a'] })
    const connection = kept(connect(url, { credential: token }))
    const states: string[] = []
    connection.on('state', ({ name }) => states.push(name))
    const messages: unknown[] = []
    connection.on('message', (data) => messages.push(data))
    const acceptance = await connection.accepted
    expect([acceptance.principal?.kind, acceptance.scopes]).toEqual(['device', ['a']])
    expect(states).toEqual(['connecting', 'authenticating', 'accepted'])
    expect(connection.send('hello')).toBe(true)
    expect(connection.send(new Uint8Array([1, 2]))).toBe(true)
    await new Promise<void>((resolve) => {
      connection.on('message', () => messages.length === 2 && resolve())
    })
    expect(messages[0]).toBe('hello')
    expect([...(messages[1] as Uint8Array)]).toEqual([1, 2])
    const closed = new Promise((resolve) => connection.on('closed', resolve))
    connection.close()
    expect(await closed).toBeUndefined()
    expect(connection.state).toEqual({ name: 'closed', error: undefined })
    expect(connection.send('late')).toBe(false)
  })

  test('a wrong token: a typed error at once, no second attempt, and nothing of the token in it', async () => {
    const { url, sockets } = await startGate()
    let attempts = 0
    sockets.on('headers', () => attempts++)
    const token = 'ugd_wrongwrongwrongwrong'
    const error = await failureOf(connect(url, { credential: token }))
    expect([error.code, error.diagnosis.layer, error.diagnosis.retry]).toEqual([
      'invalid_credential',
      'origin-auth',
      'after_new_credential',
    ])
    expect(error.message).toBe(
      'The gate does not accept the credential (origin-auth, invalid_credential). Copy the credential again, completely. If it is right, it belongs to another server.',
    )
    expect(isConnectError(error)).toBe(true)
    expect(JSON.stringify(error) + error.stack).not.toContain('wrongwrong')
  })

  test('a function is asked once more after a refusal, with the verdict, and its second credential counts', async () => {
    const { url, services } = await startGate()
    const { token } = await services.devices.create({ name: 'kitchen' })
    const asked: unknown[] = []
    const connection = kept(
      connect(url, {
        random: () => 0,
        credential({ reason, diagnosis }) {
          asked.push([reason, diagnosis?.code])
          return reason === 'refused' ? token : 'ugd_oldoldoldoldoldold'
        },
      }),
    )
    await connection.accepted
    expect(asked).toEqual([
      ['connect', undefined],
      ['refused', 'invalid_credential'],
    ])
  })

  test('the same credential again ends it without a second attempt', async () => {
    const { url, sockets } = await startGate()
    let opened = 0
    sockets.on('headers', () => opened++)
    const asked: string[] = []
    const connection = connect(url, {
      random: () => 0,
      credential({ reason }) {
        asked.push(reason)
        return { token: 'ugd_oldoldoldoldoldold' }
      },
    })
    expect((await failureOf(connection)).code).toBe('invalid_credential')
    expect([asked, opened]).toEqual([['connect', 'refused'], 1])
  })

  test('a second refusal ends it', async () => {
    const { url } = await startGate()
    let asked = 0
    const other = await failureOf(
      connect(url, { random: () => 0, credential: () => `ugd_wrong${asked++}wrongwrongwrong` }),
    )
    expect([other.code, asked]).toEqual(['invalid_credential', 2])
  })

  test('revoked while open: the verdict says so, and it does not come back', async () => {
    const { url, services } = await startGate()
    const { id, token } = await services.devices.create({ name: 'kitchen' })
    const connection = kept(connect(url, { credential: token }))
    await connection.accepted
    const closed = new Promise<unknown>((resolve) => connection.on('closed', resolve))
    await services.devices.revoke(id)
    expect((await closed) as { code: string }).toMatchObject({ code: 'revoked' })
  })
})

describe('device keys and pairing', () => {
  test.each(['upgate', 'connect'] as const)(
    '%s: a code, a comparison code, the approval, and the token',
    async (name) => {
      const { url, services } = await startGate(
        name === 'connect' ? { handshake: connectFrame({ deviceKeys: true }) } : {},
      )
      const { code } = await services.pairing.bootstrap.create({ actor: admin, role: 'node', scopes: [] })
      const device = deviceKey()
      const connection = kept(
        connect(url, {
          random: () => 0,
          reconnect: { min: 10, max: 20 },
          handshake: name === 'connect' ? connectHandshake() : upgateHandshake({ role: 'node' }),
          credential: { device, code, name: 'kitchen' },
        }),
      )
      const facts = await new Promise<{ comparisonCode: string | undefined; requestId: string | undefined }>(
        (resolve) => connection.on('pairing', resolve),
      )
      const [request] = await services.pairing.pending()
      expect(request?.id).toBe(facts.requestId)
      expect(request?.comparisonCode).toBe(facts.comparisonCode)
      const token = new Promise<string>((resolve) => connection.on('token', resolve))
      await services.pairing.approve(facts.requestId as string, { actor: admin })
      const acceptance = await connection.accepted
      expect(acceptance.roles).toEqual(['node'])
      expect(await token).toMatch(/^ugd_/)
      // The kept key proves itself without a code.
      const again = kept(
        connect(url, {
          handshake: name === 'connect' ? connectHandshake() : upgateHandshake(),
          credential: { device: deviceKey(device.privateKey) },
        }),
      )
      expect((await again.accepted).roles).toEqual(['node'])
    },
  )

  test('a rejected request is final', async () => {
    const { url, services } = await startGate()
    const { code } = await services.pairing.bootstrap.create({ actor: admin, role: 'node', scopes: [] })
    const connection = connect(url, {
      clock: hurried,
      random: () => 0,
      credential: { device: deviceKey(), code },
    })
    connection.on(
      'pairing',
      ({ requestId }) => void services.pairing.reject(requestId as string, { actor: admin }),
    )
    expect((await failureOf(connection)).code).toBe('pairing_rejected')
  })
})

describe('at the upgrade', () => {
  test('the token in a header, and as a subprotocol next to a real name', async () => {
    const { url } = await startGate()
    const credential = 'a-shared-token-of-this-gate'
    const byHeader = kept(connect(url, { credential, handshake: headerHandshake() }))
    expect((await byHeader.accepted).roles).toEqual([])
    const { services, url: other } = await startGate()
    const owner = await services.devices.create({ name: 'kitchen' })
    const { ticket } = await services.tickets.create(
      {
        kind: 'device',
        id: owner.id,
        scheme: 'device-token',
        credentialId: owner.id,
        scopes: [],
        roles: [],
        attributes: {},
      } as never,
      { path: '/ws', origin: undefined },
    )
    const bySubprotocol = kept(
      connect(other, { credential: ticket, handshake: subprotocolHandshake(), protocols: ['chat.v1'] }),
    )
    expect((await bySubprotocol.accepted).roles).toEqual([])
  })

  test('a ticket from its endpoint, and the verdict if the endpoint refuses', async () => {
    const { url, services } = await startGate()
    const owner = await services.devices.create({ name: 'kitchen' })
    const asked: unknown[] = []
    const handshake = ticketHandshake({
      async fetch(input, init) {
        asked.push([
          String(input),
          init?.redirect,
          (init?.headers as Record<string, string> | undefined)?.authorization,
        ])
        const { ticket } = await services.tickets.create(
          {
            kind: 'device',
            id: owner.id,
            scheme: 'device-token',
            credentialId: owner.id,
            scopes: [],
            roles: [],
            attributes: {},
          } as never,
          { path: '/ws', origin: undefined },
        )
        return Response.json({ ticket }, { status: 201 })
      },
    })
    const connection = kept(connect(url, { credential: owner.token, handshake, protocols: ['chat.v1'] }))
    await connection.accepted
    expect(asked).toEqual([
      [url.replace('ws:', 'http:').replace('/ws', '/api/tickets'), 'manual', `Bearer ${owner.token}`],
    ])
    // The gate answers the path with its own refusal.
    const refused = await failureOf(
      connect(url, { credential: 'ugd_wrongwrongwrong', handshake: ticketHandshake() }),
    )
    expect(refused.code).toBe('host_refused')
  })
})

describe('through Cloudflare’s edge, simulated', () => {
  async function behindEdge() {
    const gate = await startGate()
    const sim = createEdgeSim({
      upstream: `http://127.0.0.1:${gate.port}`,
      teams: ['acme'],
      applications: [
        { name: 'app', host: '127.0.0.1', policies: [{ action: 'service_auth' }, { action: 'allow' }] },
      ],
    })
    await sim.start()
    later(() => sim.stop())
    const service = sim.addServiceToken({ name: 'node' })
    const { token } = await gate.services.devices.create({ name: 'kitchen' })
    const url = `${sim.url.replace('http', 'ws')}/ws`
    const edge = {
      clientId: service.headers['CF-Access-Client-Id'] as string,
      clientSecret: service.headers['CF-Access-Client-Secret'] as string,
    }
    return { ...gate, sim, edge, token, url }
  }

  test('no credentials, Bearer only, cookie, wrong and right service token', async () => {
    const { url, edge, token, sim } = await behindEdge()
    const code = async (options: Parameters<typeof connect>[1]) =>
      (await failureOf(connect(url, options))).code
    expect(await code({})).toBe('access_login_required')
    expect(await code({ credential: token, handshake: headerHandshake() })).toBe('access_login_required')
    expect(await code({ credential: token, headers: { Cookie: 'session=abcdefgh' } })).toBe(
      'access_login_required',
    )
    expect(await code({ credential: token, edge: { ...edge, clientSecret: '0'.repeat(64) } })).toBe(
      'access_token_unknown',
    )
    const connection = kept(connect(url, { credential: token, edge }))
    expect((await connection.accepted).principal?.kind).toBe('device')
    expect(sim.secretReachedRedirectedHost).toBe(false)
  })

  test('strict mode, a policy that does not admit the token, single-header mode', async () => {
    const { url, edge, token, sim } = await behindEdge()
    const code = async (options: Parameters<typeof connect>[1]) =>
      (await failureOf(connect(url, options))).code
    sim.configureApplication('app', { policies: [{ action: 'allow' }] })
    expect(await code({ credential: token, edge })).toBe('access_not_admitted')
    sim.configureTeam('acme', { strict: true })
    expect(await code({ credential: token, edge: { ...edge, clientSecret: '0'.repeat(64) } })).toBe(
      'access_rejected',
    )
    expect(await code({ credential: token, edge })).toBe('access_forbidden')
    sim.configureTeam('acme', { strict: false })
    sim.configureApplication('app', { policies: [{ action: 'service_auth' }], singleHeader: true })
    const connection = kept(connect(url, { credential: token, edge: { ...edge, form: 'single-header' } }))
    await connection.accepted
  })

  test('faults of the edge, for an upgrade with a valid service token', async () => {
    const { url, edge, token, sim } = await behindEdge()
    for (const [fault, expected] of [
      [{ kind: 'challenge' }, 'bot_challenge'],
      [{ kind: 'browser-signature' }, 'edge_user_agent_banned'],
      [{ kind: 'waf' }, 'edge_waf'],
      [{ kind: 'rate-limit' }, 'edge_rate_limited'],
      [{ kind: 'tunnel-down' }, 'tunnel_down'],
      [{ kind: 'bad-gateway' }, 'edge_bad_gateway'],
      [{ kind: 'drop-upgrade' }, 'upgrade_lost'],
      [{ kind: 'bad-gateway', when: { upgrade: true } }, 'upgrade_lost'],
      [{ kind: 'origin-error', status: 525 }, 'edge_origin_handshake'],
    ] as const) {
      const off = sim.inject(fault)
      const error = await failureOf(connect(url, { credential: token, edge, reconnect: false }))
      expect(error.code, fault.kind).toBe(expected)
      off()
    }
  })
})

test('secrets of the edge are not sent over plain connections to other computers, nor to names that look like loopback', async () => {
  const edge = { clientId: 'id.access', clientSecret: 'f'.repeat(64) }
  for (const url of [
    'ws://gateway.example.com/',
    'ws://127.evil.example/',
    'http://10.0.0.1/',
    'ws://127.0.0.1.evil.example/',
    'ws://[::2]/',
    'ws://localhost.evil.example',
  ]) {
    const error = await failureOf(
      connect(url, {
        edge,
        transport: {
          sendsHeaders: true,
          open: () => {
            throw new Error('opened')
          },
        },
      }),
    )
    expect(error.code, url).toBe('edge_secret_over_plain')
  }
})

test('a mistake in a URL is a verdict, and a secret in it is shown nowhere', async () => {
  expect((await failureOf(connect('ftp://h/'))).code).toBe('url_scheme')
  expect((await failureOf(connect('ws://h/#x'))).code).toBe('url_fragment')
  expect((await failureOf(connect('not a url'))).code).toBe('url_invalid')
  const error = await failureOf(connect('wss://user:hunter22@h/?token=abc12345'))
  expect(error.code).toBe('url_invalid')
  expect(JSON.stringify(error)).not.toMatch(/hunter22|abc12345/)
})

test('a connection that is closed before its first turn leaves no listener at the signal', async () => {
  const { signal } = new AbortController()
  connect('wss://h/', { signal }).close()
  await Promise.resolve()
  await Promise.resolve()
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('a signal ends it, before and during the attempt', async () => {
  const { url } = await startGate()
  const before = await failureOf(connect(url, { signal: AbortSignal.abort() }))
  expect(before.code).toBe('aborted')
  const abort = new AbortController()
  const connection = connect(url, { signal: abort.signal, credential: () => new Promise(() => {}) })
  await Promise.resolve()
  abort.abort()
  expect((await failureOf(connection)).code).toBe('aborted')
})

test('a wrong option is a TypeError that names it and quotes no value', () => {
  const url = 'wss://h/'
  for (const [options, message] of [
    [{ token: 's3cret' }, 'connect: unknown option `token`'],
    [{ timeout: 0 }, 'connect: `timeout` must be a number of milliseconds, at least 1.'],
    [{ keepAlive: -1 }, 'connect: `keepAlive` must'],
    [{ credential: {} }, 'connect: `credential` must be a token'],
    [{ credential: '' }, 'connect: `credential` must be a token'],
    [{ edge: { clientId: 'a', clientSecret: 's3cret\r\nx: y' } }, 'connect: `edge.clientSecret` must be'],
    [{ edge: { clientId: 'a' } }, 'connect: `edge.clientSecret` must be'],
    [
      { headers: { 'x-a': 's3cret\n' } },
      'connect: the value of `headers` for x-a must be text without line breaks.',
    ],
    [{ headers: { 'sec-websocket-key': 's3cret' } }, 'connect: `headers` must not contain sec-websocket-key'],
    [{ protocols: ['a b'] }, 'connect: `protocols` must be a list of names'],
    [{ reconnect: 'yes' }, 'connect: `reconnect` must be true, false, or'],
    [{ reconnect: { min: 10, max: 5 } }, 'connect: `reconnect.max` must not be smaller'],
    [{ handshake: {} }, 'connect: `handshake` must be what a function'],
    [{ signal: {} }, 'connect: `signal` must be an AbortSignal.'],
  ] as const) {
    expect(() => connect(url, options as never)).toThrow(TypeError)
    try {
      connect(url, options as never)
    } catch (error) {
      expect((error as Error).message).toContain(message)
      expect((error as Error).message).not.toContain('s3cret')
    }
  }
})
