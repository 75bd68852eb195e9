import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { AuditEvent, GateOptions, Scheme } from 'upgate'
import { manualClock } from 'upgate/testing'
import { type GuardServerOptions, guardServer, type UpgradeHandler } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { handshake, type RawClient, raw } from '../adapters/raw.ts'
import { makeGate } from '../core/fixtures.ts'
import { eventually, ours } from '../pitfalls/guard-stage.ts'
import { deferredPromise } from './harness.ts'

/* Raw sockets that functions own: limited, reported and counted like those of a WebSocketServer. */

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

const rules: NonNullable<GateOptions['rules']> = [
  { path: '/hmr', access: 'required' },
  { path: '/open', access: 'public', upgrade: true },
]

async function staged(options: GuardServerOptions = {}, schemes?: readonly Scheme[]) {
  const clock = manualClock()
  const gate = makeGate({ clock, rules, trustedProxies: ['loopback'], ...(schemes && { schemes }) })
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  const taken: Duplex[] = []
  const take: UpgradeHandler = (_request, socket) => {
    taken.push(socket)
    // As every real owner does: Node leaves the end of an upgraded socket to it.
    socket.resume()
    socket.on('end', () => socket.end())
    socket.write(`${switching}taken`)
  }
  const server = createServer()
  const guard = guardServer(server, gate, { handlers: { '/hmr': take, '/open': take }, ...options })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const clients: RawClient[] = []
  ends.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => server.closeAllConnections(),
    () => guard.close(),
    () => clients.map(({ socket }) => socket.destroy()),
  )
  const open = (path: string, headers: readonly string[] = []): RawClient => {
    const client = raw(port, handshake(path, headers))
    clients.push(client)
    return client
  }
  return { clock, gate, events, taken, guard, server, open }
}

const from = (address: string): readonly string[] => [`X-Forwarded-For: ${address}`]
const unproven = { handled: 1, unprovenHandled: 1, accepted: 0, anonymous: 0 }

describe('raw sockets without a principal', () => {
  it('are limited for each address, and the others still get in', async () => {
    const { open, taken, events, guard } = await staged({ maxSocketsPerAddress: 2 })
    const one = from('203.0.113.9')
    const first = open('/open', one)
    await first.until(/taken$/)
    await open('/open', one).until(/taken$/)
    expect(await open('/open', one).ended()).toMatch(
      /^HTTP\/1\.1 503 [\s\S]*too_many_sockets[\s\S]*\r\nRetry-After: /,
    )
    expect(events.at(-1)).toMatchObject({
      type: 'refused',
      code: 'too_many_sockets',
      rule: '/open',
      place: { clientAddress: '203.0.113.9', path: '/open' },
    })
    await open('/open', from('203.0.113.10')).until(/taken$/)
    // A principal is known by more than its address.
    await open('/hmr', [...ours, ...one]).until(/taken$/)
    expect(guard.counts).toMatchObject({ handled: 4, unprovenHandled: 3 })
    first.socket.destroy()
    await eventually(() => taken[0]?.closed === true)
    await open('/open', one).until(/taken$/)
  })

  it('share the limit of an IPv6 network', async () => {
    const { open } = await staged({ maxSocketsPerAddress: 1 })
    await open('/open', from('2001:db8::1')).until(/taken$/)
    expect(await open('/open', from('2001:db8::2')).ended()).toMatch(/too_many_sockets/)
    await open('/open', from('2001:db8:1::2')).until(/taken$/)
  })

  it('are counted, and in no event but the decision', async () => {
    const { open, guard, events } = await staged()
    const client = open('/open')
    await client.until(/taken$/)
    expect(guard.counts).toMatchObject(unproven)
    client.socket.destroy()
    await eventually(() => guard.counts.handled === 0)
    expect(guard.counts.unprovenHandled).toBe(0)
    expect(events.map(({ type }) => type)).toEqual(['allowed'])
  })
})

describe('raw sockets with a principal', () => {
  it('are counted, and events tell of their acceptance and end', async () => {
    const { open, guard, events, gate, clock } = await staged()
    await open('/hmr', [...ours, ...from('203.0.113.9')]).until(/taken$/)
    expect(guard.counts).toMatchObject({ handled: 1, unprovenHandled: 0 })
    const accepted = events.at(-1)
    expect(accepted).toMatchObject({
      at: clock.now(),
      type: 'socket_accepted',
      principal: { id: 'u' },
      place: { method: 'GET', path: '/hmr', clientAddress: '203.0.113.9' },
    })
    const id = [...gate.connections.list()][0]?.id
    expect(accepted).toMatchObject({ connectionId: id })
    gate.connections.close({ principalId: 'u' }, 'revoked')
    await eventually(() => guard.counts.handled === 0)
    const closed = { type: 'socket_closed', connectionId: id, reason: 'revoked', principal: { id: 'u' } }
    expect(events.at(-1)).toMatchObject(closed)
  })

  it.each<[string, (stage: Awaited<ReturnType<typeof staged>>, client: RawClient) => unknown, unknown]>([
    ['the client', (_, client) => client.socket.destroy(), undefined],
    ['the guard', ({ guard }) => guard.close(), 'shutdown'],
  ])('are closed by %s, as the event says', async (_, end, reason) => {
    const stage = await staged()
    const client = stage.open('/hmr', ours)
    await client.until(/taken$/)
    await end(stage, client)
    await eventually(() => stage.events.at(-1)?.type === 'socket_closed')
    expect(stage.events.at(-1)).toMatchObject({ reason })
  })

  it('end with the failure of their function', async () => {
    const { open, events } = await staged({
      handlers: { '/hmr': () => Promise.reject(new Error('no upstream')) },
    })
    await open('/hmr', ours).ended()
    await eventually(() => events.at(-1)?.type === 'socket_closed')
    expect(events.at(-1)).toMatchObject({ reason: 'internal_error' })
  })
})

it('is cut, and not handed over, if its client ended during the decision', async () => {
  const asked = deferredPromise<void>()
  const decided = deferredPromise<void>()
  const slow: Scheme = {
    name: 'slow',
    ambient: false,
    extract: () => ({ location: 'x', credential: { type: 'token', source: 'header', value: 'x' } }),
    async verify() {
      asked.resolve()
      await decided.promise
      const principal = {
        kind: 'user',
        id: 'ada',
        scheme: 'slow',
        scopes: [],
        roles: [],
        attributes: {},
      } as const
      return { outcome: 'authenticated', principal }
    },
  }
  const { open, server, taken, guard } = await staged({}, [slow])
  const ended = new Promise<void>((resolve) => {
    server.once('connection', (socket) => socket.once('end', resolve))
  })
  const client = open('/hmr', ours)
  await asked.promise
  client.socket.end()
  await ended
  decided.resolve()
  expect(await client.ended()).toBe('')
  expect(taken).toEqual([])
  expect(guard.counts.handled).toBe(0)
})

it('are closed when `close` of the guard resolves', async () => {
  const { open, guard, taken } = await staged()
  await open('/hmr', ours).until(/taken$/)
  await open('/open').until(/taken$/)
  expect(taken.map(({ closed }) => closed)).toEqual([false, false])
  await guard.close()
  expect(taken.map(({ closed }) => closed)).toEqual([true, true])
  expect(guard.counts).toMatchObject({ handled: 0, unprovenHandled: 0 })
})

describe('a principal that stops counting between the decision and the hand-over', () => {
  /* The event of the decision comes before the hand-over. */
  for (const [path, whose] of [
    ['/hmr', 'a function'],
    ['/elsewhere', 'the upgrade listeners of the server'],
  ] as const) {
    it(`is answered, with an event, on a path of ${whose}`, async () => {
      const { open, events, gate, guard, server, taken } = await staged()
      server.on('upgrade', (_request, socket: Duplex) => taken.push(socket))
      gate.events.subscribe(({ type }) => {
        if (type === 'allowed') gate.connections.close({ principalId: 'u' }, 'revoked')
      })
      expect(await open(path, ours).ended()).toMatch(
        /^HTTP\/1\.1 401 [\s\S]*\r\nUpgate-Refusal: revoked_credential; /,
      )
      expect(events.map(({ type }) => type)).toEqual(['allowed', 'refused'])
      expect(events[1]).toMatchObject({ code: 'revoked_credential', place: { path } })
      expect([taken, guard.counts.handled, gate.connections.size]).toEqual([[], 0, 0])
    })
  }
})
