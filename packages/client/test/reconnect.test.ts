import { type ConnectOptions, connect, deviceKey, type State } from '@upgate/client'
import { manualClock } from 'upgate/testing'
import { describe, expect, test } from 'vitest'
import { cleanUp, kept } from './helpers.ts'
import { type MemorySocket, memoryTransport, turns } from './memory.ts'

cleanUp()

/* How a connection is kept, by a clock that only moves when it is told to. */

const refused = { error: { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:1' } }
const answer = (status: number, code: string, headers: Record<string, string> = {}) => ({
  response: { status, headers: { 'upgate-refusal': `${code}; gate="g"`, ...headers } },
})

function scene(options: ConnectOptions = {}, more: Parameters<typeof memoryTransport>[0] = {}) {
  const clock = manualClock()
  const transport = memoryTransport(more)
  const connection = kept(
    connect('wss://gateway.example.com/ws', {
      credential: 'ugd_token-of-the-test',
      clock,
      transport,
      random: () => 0.5,
      ...options,
    }),
  )
  const states: State[] = []
  connection.on('state', (state) => states.push(state))
  connection.accepted.catch(() => {})
  const last = (): MemorySocket => transport.sockets.at(-1) as MemorySocket
  const waited = (): number =>
    connection.state.name === 'waiting' ? connection.state.until - clock.now() : -1
  return { clock, transport, connection, states, last, waited }
}

test('pauses have full jitter between 1 s and a bound that doubles up to 30 s', async () => {
  for (const [random, expected] of [
    [0, [1000, 1000, 1000, 1000, 1000, 1000, 1000]],
    [0.5, [1500, 2500, 4500, 8500, 15_500, 15_500, 15_500]],
    [0.999999, [2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]],
  ] as const) {
    const { clock, last, waited } = scene({ random: () => random })
    await turns()
    const pauses: number[] = []
    for (let n = 0; n < 7; n++) {
      last().fail(refused)
      await turns()
      pauses.push(waited())
      clock.advance(waited())
      await turns()
    }
    expect(pauses).toEqual(expected)
  }
})

test('the pauses start again after 30 s of acceptance, and not before', async () => {
  const { clock, last, waited } = scene({ random: () => 0.999999 })
  await turns()
  for (const [stays, expected] of [
    [1000, 5000],
    [29_999, 4000],
    [29_000, 8000],
    [30_000, 5000],
  ] as const) {
    await last().accept()
    clock.advance(stays)
    last().close(1006)
    await turns()
    expect(waited()).toBe(expected)
    clock.advance(expected)
    await turns()
  }
})

test('Retry-After is the shortest pause, spread, whatever the failures so far', async () => {
  const { clock, last, waited } = scene({ random: () => 0.5 })
  await turns()
  last().fail(answer(503, 'over_capacity', { 'retry-after': '120' }))
  await turns()
  expect(waited()).toBe(120_000 + 0.5 * (5000 + 12_000))
  clock.advance(waited())
  await turns()
  last().fail(answer(503, 'over_capacity', { 'retry-after': '0' }))
  await turns()
  expect(waited()).toBe(3500)
})

test('codes of a rate limit wait half a minute or more, and a restart waits 0 to 5 s at first', async () => {
  const { clock, last, waited } = scene({ random: () => 0.2 })
  await turns()
  last().fail(answer(429, 'too_many_failures'))
  await turns()
  expect(waited()).toBe(36_000)
  clock.advance(waited())
  await turns()
  await last().accept()
  clock.advance(60_000)
  last().close(1012, 'restart')
  await turns()
  expect(waited()).toBe(1000)
})

test.each([
  ['origin_refused', 403, 'never'],
  ['kind_not_allowed', 403, 'never'],
  ['invalid_credential', 401, 'after_new_credential'],
] as const)(
  '%s stops a connection with a fixed credential, after one attempt',
  async (code, status, retry) => {
    const { clock, transport, connection, last } = scene()
    await turns()
    last().fail(answer(status, code))
    await turns()
    clock.advance(3_600_000)
    await turns()
    expect(transport.sockets.length).toBe(1)
    expect(connection.state).toMatchObject({ name: 'closed', error: { code, diagnosis: { retry } } })
    expect(clock.pending).toBe(0)
  },
)

test('the edge’s refusal asks the edge’s function, and only once', async () => {
  let asked = 0
  const { clock, transport, connection, last } = scene({
    random: () => 0,
    edge: () => ({ clientId: 'id.access', clientSecret: `secret-number-${++asked}` }),
  })
  await turns()
  const login = {
    response: {
      status: 302,
      headers: { location: 'https://acme.cloudflareaccess.com/cdn-cgi/access/login/x' },
    },
  }
  last().fail(login)
  await turns()
  clock.advance(0)
  await turns()
  expect([asked, transport.sockets.length]).toEqual([2, 2])
  expect(last().request.headers['cf-access-client-secret']).toBe('secret-number-2')
  last().fail(login)
  await turns()
  expect(connection.state).toMatchObject({ name: 'closed', error: { code: 'access_token_unknown' } })
})

test('another key or another account is another credential, and the same one is not', async () => {
  const device = deviceKey()
  for (const [first, second, attempts] of [
    [{ device }, { device: deviceKey() }, 2],
    [{ device }, { device }, 1],
    [{ password: 'pass word', account: 'ann' }, { password: 'pass word', account: 'bob' }, 2],
    ['ugd_token', { token: 'ugd_token' }, 1],
  ] as const) {
    const { clock, transport, last } = scene({
      credential: ({ reason }) => (reason === 'refused' ? second : first),
    })
    await turns()
    last().fail(answer(401, 'invalid_credential'))
    await turns()
    clock.advance(1000)
    await turns()
    expect(transport.sockets.length).toBe(attempts)
  }
})

test('without reconnect, every end is the end', async () => {
  const { connection, last } = scene({ reconnect: false })
  await turns()
  last().fail(refused)
  await turns()
  expect(connection.state).toMatchObject({ name: 'closed', error: { code: 'tcp_refused' } })
})

describe('time', () => {
  test('an attempt that is not accepted within 15 s is given up, whatever arrives', async () => {
    const { clock, connection, last, states } = scene({ reconnect: false })
    await turns()
    last().events.opened('')
    for (let second = 0; second < 15; second++) {
      last().events.message('{"type":"noise"}')
      clock.advance(1000)
      await turns()
    }
    expect(connection.state).toMatchObject({ name: 'closed', error: { code: 'acknowledgement_missing' } })
    expect(states.map(({ name }) => name)).toEqual(
      ['connecting', 'authenticating', 'closed'].slice(1 - states.length + 2),
    )
  })

  test('a ping goes out every 45 s, and a peer that does not answer one is given up', async () => {
    const { clock, connection, last, waited } = scene()
    await turns()
    await last().accept()
    for (let n = 1; n <= 3; n++) {
      clock.advance(45_000)
      expect(last().pings).toBe(n)
      last().events.pong()
    }
    clock.advance(45_000)
    clock.advance(20_000)
    await turns()
    expect(waited()).toBeGreaterThan(0)
    expect(connection.state).toMatchObject({ name: 'waiting', error: { code: 'silent_peer' } })
  })

  test('keepAlive: 0 sends none', async () => {
    const { clock, last } = scene({ keepAlive: 0 })
    await turns()
    await last().accept()
    clock.advance(3_600_000)
    expect(last().pings).toBe(0)
  })
})

test('while the network is away nothing is tried; as soon as it is back, at once', async () => {
  let online = true
  let changed = (): void => {}
  const network = {
    isOnline: () => online,
    onChange(callback: () => void) {
      changed = callback
      return () => {}
    },
  }
  const { clock, transport, connection, last } = scene({ random: () => 0.5 }, { network })
  await turns()
  await last().accept()
  online = false
  last().close(1006)
  await turns()
  expect(connection.state.name).toBe('offline')
  clock.advance(3_600_000)
  await turns()
  expect(transport.sockets.length).toBe(1)
  online = true
  changed()
  clock.advance(500)
  await turns()
  expect(transport.sockets.length).toBe(2)
})

describe('renewal', () => {
  test('a newer credential is fetched and sent when the server says that the old one expires', async () => {
    const asked: string[] = []
    const { connection, last } = scene({
      credential({ reason }) {
        asked.push(reason)
        return `ugd_token-for-${reason}`
      },
    })
    const events: unknown[] = []
    connection.on('renewed', ({ expiresAt }) => events.push(expiresAt))
    connection.on('message', (data) => events.push(data))
    await turns()
    await last().accept({ expiresAt: 1 })
    last().events.message('{"type":"auth_expiring","expiresAt":1,"time":0}')
    await turns()
    expect(asked).toEqual(['connect', 'renewal'])
    expect(JSON.parse(String(last().sent.at(-1)))).toEqual({
      type: 'auth_refresh',
      token: 'ugd_token-for-renewal',
    })
    last().events.message(
      '{"type":"auth_refreshed","principal":{"kind":"device","id":"d"},"scopes":[],"roles":[],"expiresAt":2}',
    )
    last().events.message('{"type":"auth_other"}')
    await turns()
    expect(events).toEqual([2, '{"type":"auth_other"}'])
  })

  test('a failed one is an event, and the expiry then leads to a new socket with a new credential', async () => {
    let made = 0
    const { clock, connection, last, transport } = scene({
      random: () => 0,
      credential: () => `ugd_token-number-${++made}`,
    })
    const failures: unknown[] = []
    connection.on('renewal_failed', (failure) => failures.push(failure))
    await turns()
    await last().accept()
    last().events.message(
      '{"type":"auth_refresh_failed","code":"insufficient_scope","message":"\\u001b[31mno","action":"x"}',
    )
    await turns()
    expect(failures).toEqual([{ code: 'insufficient_scope', message: '[31mno' }])
    last().close(4401, 'auth_expired')
    await turns()
    clock.advance(0)
    await turns()
    expect(transport.sockets.length).toBe(2)
  })
})

test('close() during a pause, during the fetch of a credential and before the first turn leaves no timer', async () => {
  const pause = scene()
  await turns()
  pause.last().fail(refused)
  await turns()
  pause.connection.close()
  expect([pause.connection.state.name, pause.clock.pending]).toEqual(['closed', 0])
  const fetching = scene({ credential: () => new Promise(() => {}) })
  await turns()
  fetching.connection.close()
  await turns()
  expect([fetching.transport.sockets.length, fetching.clock.pending]).toEqual([0, 0])
  const early = scene()
  early.connection.close()
  await turns()
  expect([early.connection.state.name, early.transport.sockets.length, early.clock.pending]).toEqual([
    'closed',
    0,
    0,
  ])
})

test('a function that fails is a verdict without its message, and is asked again later', async () => {
  let asked = 0
  const { clock, connection, transport, waited } = scene({
    credential() {
      if (asked++ === 0) throw new Error('cannot read my-secret-file')
      return 'ugd_token-of-the-test'
    },
  })
  const failures: string[] = []
  connection.on('failed', (error) => failures.push(JSON.stringify(error) + error.message))
  await turns()
  expect(failures[0]).toContain('credential_unavailable')
  expect(failures[0]).not.toContain('my-secret-file')
  clock.advance(waited())
  await turns()
  expect(transport.sockets.length).toBe(1)
})

test('1,000 clients of a server that restarts come back over half a minute, not together', async () => {
  const clock = manualClock()
  let seed = 1
  const random = (): number => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }
  const perSecond = new Map<number, number>()
  let up = true
  const start = clock.now()
  const connections = Array.from({ length: 1000 }, () => {
    const transport = memoryTransport()
    const open = transport.open
    let current: MemorySocket | undefined
    return {
      current: () => current as MemorySocket,
      connection: kept(
        connect('wss://gateway.example.com/ws', {
          credential: 'ugd_token-of-the-test',
          clock,
          random,
          transport: {
            ...transport,
            open(request, events) {
              const second = Math.floor((clock.now() - start - 60_000) / 1000)
              perSecond.set(second, (perSecond.get(second) ?? 0) + 1)
              const handle = open(request, events)
              current = transport.sockets.at(-1)
              if (!up) queueMicrotask(() => current?.fail(refused))
              return handle
            },
          },
        }),
      ),
    }
  })
  await turns()
  for (const { current } of connections) await current().accept()
  clock.advance(60_000)
  perSecond.clear()
  up = false
  for (const { current } of connections) current().close(1012, 'restart')
  for (let second = 0; second < 60; second++) {
    if (second === 20) up = true
    for (let tenth = 0; tenth < 10; tenth++) {
      clock.advance(100)
      await turns(30)
    }
    if (up)
      for (const { current, connection } of connections)
        if (connection.state.name !== 'accepted' && current().ended === false) await current().accept()
  }
  expect(connections.every(({ connection }) => connection.state.name === 'accepted')).toBe(true)
  expect(Math.max(...perSecond.values())).toBeLessThan(500)
  for (const [second, count] of perSecond)
    if (second >= 20) expect(count, `second ${second}`).toBeLessThan(150)
})
