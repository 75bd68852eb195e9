// Two gateways that are nodes of each other. One is reached through a forwarded port, as with `ssh -L`: the
// forwarder adds nothing, so its peer appears local (section 4 items 5, 6, 15 and 17).
import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { connectFrame } from 'upgate/ws'
import { afterEach, describe, expect, test } from 'vitest'
import {
  admin,
  closeAll,
  connect,
  DeviceIdentity,
  dial,
  type Gateway,
  nonceOf,
  startGateway,
} from './stage.ts'

const ends: (() => void)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) end()
  await closeAll()
})

/** Forwards a new port to another one, byte for byte. */
async function forward(to: number): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connectTcp({ port: to, host: '127.0.0.1' })
    for (const [a, b] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(a)
      a.pipe(b)
      a.on('error', () => b.destroy())
      a.on('close', () => b.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

async function codeOf(gateway: Gateway): Promise<string> {
  const made = await gateway.pairing.bootstrap.create({ actor: admin(), scopes: ['node.run'] })
  if (made.outcome !== 'done') throw new Error(made.reason)
  return made.code
}

async function approveOnly(gateway: Gateway): Promise<string> {
  const pending = await gateway.pairing.pending()
  expect(pending).toHaveLength(1)
  await gateway.pairing.approve(pending[0]?.id as string, { actor: admin() })
  return pending[0]?.comparisonCode as string
}

describe('two gateways, nodes of each other', () => {
  test('pair in both directions, one of them through a forwarded port, and end independently', async () => {
    const [east, west] = [await startGateway(), await startGateway()]
    const [eastKey, westKey] = [new DeviceIdentity(), new DeviceIdentity()]
    const tunnel = { port: await forward(west.port), clock: west.clock }

    // East connects through the tunnel, west directly.
    const eastAsks = await connect(tunnel, eastKey, { name: 'east', token: await codeOf(west) })
    const westAsks = await connect(east, westKey, { name: 'west', token: await codeOf(east) })
    expect(eastAsks.answer.code).toBe('pairing_required')
    expect(westAsks.answer.code).toBe('pairing_required')
    expect(await approveOnly(west)).toBe(eastAsks.answer.facts?.comparisonCode)
    expect(await approveOnly(east)).toBe(westAsks.answer.facts?.comparisonCode)

    const eastNode = await connect(tunnel, eastKey)
    const westNode = await connect(east, westKey)
    for (const { answer, connection } of [eastNode, westNode]) {
      expect(answer).toMatchObject({ type: 'auth_ok', roles: ['node'], deviceToken: expect.any(String) })
      connection.ws.send('ping')
      expect(await connection.next()).toEqual({ text: 'echo ping' })
    }
    // A token of one gateway is worthless at the other.
    expect((await connect(tunnel, eastKey, { token: String(westNode.answer.deviceToken) })).answer.code).toBe(
      'invalid_credential',
    )

    const { id } = eastNode.answer.principal as { id: string }
    await west.services.devices.revoke(id)
    expect(await eastNode.connection.closed()).toEqual({ code: 4403, reason: 'revoked' })
    westNode.connection.ws.send('still here')
    expect(await westNode.connection.next()).toEqual({ text: 'echo still here' })
  })

  test('a client through the tunnel is not local: no automatic approval, no address, no separate limit', async () => {
    const west = await startGateway()
    const tunnel = { port: await forward(west.port), clock: west.clock }
    for (const headers of [{}, { 'x-forwarded-for': '127.0.0.1' }, { 'x-forwarded-for': '::1' }]) {
      const { answer } = await connect(tunnel, new DeviceIdentity(), {}, headers)
      expect(answer.code, JSON.stringify(headers)).toBe('unknown_identity')
    }
    expect(await west.pairing.pending()).toEqual([])
    await connect(tunnel, new DeviceIdentity(), { token: await codeOf(west) })
    const [pending] = await west.pairing.pending()
    expect(pending).toMatchObject({ state: 'pending', clientAddress: undefined, introduction: 'code' })
    expect(await west.services.devices.list()).toEqual([])
    // A device without any credential is refused, not admitted.
    const bare = await dial(tunnel.port)
    bare.ws.send(JSON.stringify({ type: 'auth' }))
    expect((await bare.next()).code).toBe('auth_required')
  })

  test('also in the protocol of `connect`', async () => {
    const west = await startGateway({ handshake: connectFrame({ deviceKeys: true }) })
    const device = new DeviceIdentity()
    const tunnel = await forward(west.port)
    const say = async (token: string) => {
      const connection = await dial(tunnel)
      const nonce = nonceOf(connection)
      const at = west.clock.now()
      const text = ['v3', device.id, 'gw', 'node', 'node', '', String(at), token, nonce, 'linux', ''].join(
        '|',
      )
      const { id, publicKey } = device
      const params = {
        minProtocol: 3,
        maxProtocol: 4,
        client: { id: 'gw', mode: 'node', platform: 'linux' },
        role: 'node',
        auth: token === '' ? {} : { token },
        device: { id, publicKey, signature: device.sign(text), signedAt: at, nonce },
      }
      connection.ws.send(JSON.stringify({ type: 'req', id: '1', method: 'connect', params }))
      return connection.next()
    }
    expect(await say(await codeOf(west))).toMatchObject({ error: { code: 'NOT_PAIRED' } })
    await approveOnly(west)
    expect(await say('')).toMatchObject({
      ok: true,
      payload: { auth: { role: 'node', scopes: ['node.run'] } },
    })
  })
})
