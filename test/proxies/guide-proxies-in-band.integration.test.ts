// Needs Debian's nginx, haproxy and caddy.
/* A device token in the first frame, after the 101, through the configurations that the guide prints. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AuditEvent, createGate, createServices, deviceToken, memoryStore } from 'upgate'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { TestSocket } from '../gateway/socket.ts'
import { printed } from './guide.ts'
import { hasProxy, type ProxyName, startProxy } from './programs.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function stage(name: ProxyName) {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const upstream = (server.address() as AddressInfo).port
  const proxy = await startProxy(name, (port) => printed(name, port, upstream))
  const services = createServices({ store: memoryStore() })
  const gate = createGate({
    origins: [proxy.origin],
    trustedProxies: ['loopback'],
    logger: { warn() {}, error() {} },
    schemes: [deviceToken({ devices: services.devices })],
    rules: [
      {
        path: '/nodes',
        access: 'deferred',
        kinds: ['device'],
        handshake: upgateHandshake({ refresh: true }),
      },
    ],
  })
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  const guard = guardServer(server, gate, {
    sockets: { '/nodes': new WebSocketServer({ noServer: true }) },
    hold: 0,
  })
  guard.on('/nodes', (socket, _request, principal) =>
    socket.on('message', (data) => socket.send(JSON.stringify({ from: principal.id, said: String(data) }))),
  )
  ends.push(
    () => services.close(),
    () => new Promise((resolve) => server.close(resolve)),
    () => guard.close(),
    () => proxy.stop(),
  )
  const open = async (): Promise<TestSocket> => {
    const socket = new TestSocket(`${proxy.origin}/nodes`)
    expect((await socket.upgraded).status).toBe(101)
    return socket
  }
  return { services, gate, guard, events, open }
}

describe.each(['nginx', 'caddy', 'haproxy'] as const)(
  'a device behind %s, as the guide prints it',
  (name) => {
    describe.skipIf(!hasProxy(name))('whose token comes in the first frame', () => {
      it('is accepted, speaks, has its token verified again, and is closed when it is revoked', async () => {
        const { services, guard, events, open } = await stage(name)
        const { id, token } = await services.devices.create({ name: 'kitchen', scopes: ['node.read'] })
        const socket = await open()
        expect(guard.counts).toMatchObject({ quarantined: 1, accepted: 0 })
        socket.send({ type: 'auth', token })
        expect(await socket.message()).toMatchObject({
          type: 'auth_ok',
          principal: { kind: 'device', id },
          scopes: ['node.read'],
        })
        for (const text of ['hello', 'x'.repeat(300_000)]) {
          socket.send(text)
          expect(await socket.message()).toEqual({ from: id, said: text })
        }
        socket.send({ type: 'auth_refresh', token })
        expect(await socket.message()).toMatchObject({ type: 'auth_refreshed', principal: { id } })
        await services.devices.revoke(id)
        expect(await socket.closed).toMatchObject({ code: 4403, reason: 'revoked' })
        await expect.poll(() => events.at(-1)).toMatchObject({ type: 'socket_closed', reason: 'revoked' })
        const types = events.map(({ type }) => type)
        expect(types.slice(0, 4)).toEqual(['deferred', 'socket_accepted', 'socket_refreshed', 'revoked'])
      })

      it('is told why in band where the token is wrong, and with the close code', async () => {
        const { events, open } = await stage(name)
        const socket = await open()
        socket.send({ type: 'auth', token: 'not-a-token' })
        expect(await socket.message()).toMatchObject({ type: 'auth_error', code: 'invalid_credential' })
        expect((await socket.closed).code).toBe(4401)
        await expect
          .poll(() => events.at(-1))
          .toMatchObject({ type: 'socket_refused', code: 'invalid_credential' })
      })
    })
  },
)
