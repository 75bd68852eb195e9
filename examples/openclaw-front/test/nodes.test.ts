// Nodes prove themselves to the front, and reach a server that behaves like an OpenClaw gateway.
import { sign } from 'node:crypto'
import { GatewayClient } from '@openclaw/gateway-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../../test/free-port.ts'
import { api, logIn, newDevice, type StageFront, startStageFront } from './stage/front.ts'
import { type StageGateway, startGateway } from './stage/gateway.ts'
import { newKey, StageNode } from './stage/node.ts'

/** Pairs a key at the front by a code; the node then connects without a token. */
async function pair({ front }: StageFront, cookie: string, key = newKey(), auth?: Record<string, string>) {
  const made = auth === undefined ? await api(front, cookie, 'POST', 'pairings/codes') : undefined
  const asking = new StageNode(front.port, key, { auth: auth ?? { bootstrapToken: made?.json.code } })
  const refused = await asking.connect()
  expect(refused).toMatchObject({ ok: false, error: { details: { code: 'PAIRING_REQUIRED' } } })
  const details = (refused.error as { details: { requestId: string; comparisonCode: string } }).details
  const { status } = await api(front, cookie, 'POST', `pairings/${details.requestId}/approve`, {
    comparisonCode: details.comparisonCode,
  })
  expect(status).toBe(200)
  return key
}

describe('under keys of the front', () => {
  let gateway: StageGateway
  let stage: StageFront
  let cookie: string
  beforeAll(async () => {
    gateway = await startGateway()
    stage = await startStageFront(gateway.port)
    cookie = await logIn(stage.front)
  })
  afterAll(async () => {
    await stage.close()
    await gateway.close()
  })

  it('a paired node is accepted by both, as a node of its own, and never learns the tokens of the gateway', async () => {
    const key = await pair(stage, cookie)
    const node = new StageNode(stage.front.port, key)
    const hello = await node.connect()
    expect(hello).toMatchObject({
      type: 'res',
      id: 'c1',
      ok: true,
      payload: { type: 'hello-ok', server: { version: 'stage' }, auth: { role: 'node', scopes: [] } },
    })
    expect(JSON.stringify(hello)).not.toMatch(/upstream-token|the-gateways-own-token/)
    expect(JSON.stringify(hello)).toMatch(/"deviceToken":"ugd_/)
    const entry = gateway.accepted.at(-1)
    // Its own statements arrive; its key does not.
    expect(entry?.params).toMatchObject({
      client: { displayName: 'kitchen', mode: 'node' },
      caps: ['system'],
      commands: ['system.run'],
      role: 'node',
      auth: { token: 'the-gateways-own-token' },
    })
    expect(entry?.device).toMatch(/^[0-9a-f]{64}$/)
    expect(entry?.device).not.toBe(key.id)
    // The front comes as a client, without any word about a proxy.
    expect(Object.keys(gateway.upgrades.at(-1)?.headers ?? {})).not.toContain('x-forwarded-for')
    expect((await api(stage.front, cookie, 'GET', 'nodes')).json.nodes).toMatchObject([
      { name: 'kitchen', accepted: true },
    ])

    node.socket.send('{"type":"req","id":"2","method":"x"}')
    expect(await node.message()).toEqual({ type: 'req', id: '2', method: 'x' })
    node.socket.send(Buffer.from([1, 2, 3]))
    expect(await node.message()).toEqual(Buffer.from([1, 2, 3]))
    node.socket.close(4001, 'bye')
    await expect.poll(() => entry?.socket.readyState).toBe(3)

    // The same node at the gateway after a reconnect, another one for another device.
    const again = new StageNode(stage.front.port, key)
    await again.connect()
    expect(gateway.accepted.at(-1)?.device).toBe(entry?.device)
    const { token } = await newDevice(stage.front, 'cellar')
    const other = new StageNode(stage.front.port, newKey(), { auth: { deviceToken: token }, name: 'cellar' })
    // A token beside an unknown key counts as the token.
    const frame = await other.request()
    const { device: _, ...params } = frame.params as Record<string, unknown>
    other.socket.send(JSON.stringify({ ...frame, params }))
    expect(await other.message()).toMatchObject({ ok: true })
    expect(gateway.accepted.at(-1)?.device).not.toBe(entry?.device)
    for (const one of [again, other]) one.socket.terminate()
  })

  it('the published client pairs with a code, is approved, connects, and keeps its token of the front', async () => {
    const { json } = await api(stage.front, cookie, 'POST', 'pairings/codes')
    const key = newKey()
    const stored: string[] = []
    const hello = new Promise<unknown>((resolve) => {
      client = new GatewayClient({
        url: stage.front.origin.replace('http', 'ws'),
        role: 'node',
        mode: 'node',
        clientName: 'node-host',
        scopes: [],
        bootstrapToken: json.code,
        deviceIdentity: {
          deviceId: key.id,
          publicKeyPem: key.publicKey,
          privateKeyPem: key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
        },
        hostDeps: {
          signDevicePayload: (_pem, payload) => signWith(key, payload),
          publicKeyRawBase64UrlFromPem: (raw) => raw,
          loadDeviceAuthToken: () => null,
          storeDeviceAuthToken: ({ token }) => void stored.push(token),
        },
        onHelloOk: resolve,
      })
    })
    client.start()
    const pending = async () => (await api(stage.front, cookie, 'GET', 'pairings')).json.requests
    await expect.poll(async () => (await pending()).length).toBe(1)
    const [request] = await pending()
    // An approver who did not compare sends nothing, or the wrong characters.
    expect((await api(stage.front, cookie, 'POST', `pairings/${request.id}/approve`, {})).status).toBe(409)
    const { comparisonCode } = request
    await api(stage.front, cookie, 'POST', `pairings/${request.id}/approve`, { comparisonCode })
    expect(await hello).toMatchObject({ auth: { role: 'node', deviceToken: expect.stringMatching(/^ugd_/) } })
    expect(stored).toEqual([expect.stringMatching(/^ugd_/)])
    client.stop()
  })
  let client: GatewayClient

  it('wrong, absent and revoked credentials never open a socket at the gateway', async () => {
    const { id, token } = await newDevice(stage.front)
    await stage.front.services.devices.revoke(id)
    const before = gateway.upgrades.length
    for (const [auth, code] of [
      [{ token: 'wrong' }, 'AUTH_TOKEN_MISMATCH'],
      [{}, 'AUTH_TOKEN_MISSING'],
      [{ deviceToken: token }, 'AUTH_DEVICE_TOKEN_MISMATCH'],
    ] as const) {
      const node = new StageNode(stage.front.port, newKey(), { auth })
      const answer = await node.connect()
      expect(answer).toMatchObject({ ok: false, error: { details: { code } } })
      expect((await node.closed).code).toBe(1008)
    }
    expect(gateway.upgrades.length).toBe(before)
  })

  it('a node that proved itself in a header is asked for its request, and then brought', async () => {
    const { id, token } = await newDevice(stage.front, 'cellar')
    const headers = { authorization: `Bearer ${token}` }
    const node = new StageNode(stage.front.port, newKey(), { headers, name: 'cellar' })
    expect(await node.connect()).toMatchObject({ ok: true, payload: { auth: { role: 'node' } } })
    expect(gateway.accepted.at(-1)?.params).toMatchObject({ client: { displayName: 'cellar' } })
    const wrong = new StageNode(stage.front.port, newKey(), { headers })
    await wrong.challenge
    wrong.socket.send('{"type":"req","id":"1","method":"whoami"}')
    expect(await wrong.closed).toMatchObject({ code: 1008, reason: 'bad_handshake' })

    // Four of its sockets stay; with one more, the oldest goes, at the gateway too.
    const oldest = gateway.accepted.at(-1)
    const more = Array.from({ length: 4 }, () => new StageNode(stage.front.port, newKey(), { headers }))
    for (const each of more) expect(await each.connect()).toMatchObject({ ok: true })
    expect(await node.closed).toMatchObject({ code: 4429, reason: 'too_many_sockets' })
    await expect.poll(() => oldest?.socket.readyState).toBe(3)
    await stage.front.services.devices.revoke(id)
    for (const each of more) expect((await each.closed).code).toBe(4403)
  })

  it('a node cannot claim to be a program that the gateway trusts on its own machine', async () => {
    const { token } = await newDevice(stage.front, 'sly')
    const node = new StageNode(stage.front.port, newKey())
    await node.challenge
    const params = {
      protocol: { min: 3, max: 4 },
      client: { id: 'gateway-client', mode: 'backend' },
      role: 'operator',
      scopes: ['operator.admin'],
      device: { id: 'of-another-device' },
      auth: { deviceToken: token },
      extra: true,
    }
    node.socket.send(JSON.stringify({ type: 'req', id: 'c1', method: 'connect', params }))
    expect(await node.message()).toMatchObject({ ok: true })
    const arrived = gateway.accepted.at(-1)?.params
    expect(arrived).toMatchObject({
      minProtocol: 3,
      maxProtocol: 4,
      client: { id: 'node-host', mode: 'node' },
      role: 'node',
      scopes: [],
    })
    expect(Object.keys(arrived ?? {}).sort()).toEqual(
      ['auth', 'client', 'device', 'maxProtocol', 'minProtocol', 'role', 'scopes'].sort(),
    )
    node.socket.terminate()
  })

  it('a revocation closes both sockets at once, also of a node that does not answer', async () => {
    const key = await pair(stage, cookie)
    const node = new StageNode(stage.front.port, key)
    await node.connect()
    const entry = gateway.accepted.at(-1)
    const gone = new Promise<number>((resolve) =>
      entry?.socket.once('close', () => resolve(performance.now())),
    )
    const { nodes } = (await api(stage.front, cookie, 'GET', 'nodes')).json
    node.socket.pause()
    const since = performance.now()
    await api(stage.front, cookie, 'DELETE', `devices/${nodes.at(-1).id}`)
    // Far above the goal of a second, because the machine may be busy.
    expect((await gone) - since).toBeLessThan(20_000)
    node.socket.resume()
    expect(await node.closed).toMatchObject({ code: 4403, reason: 'revoked' })
  })

  it('a gateway that ends its socket ends the node with the same words', async () => {
    const key = await pair(stage, cookie)
    const node = new StageNode(stage.front.port, key)
    await node.connect()
    gateway.accepted.at(-1)?.socket.close(1012, 'service restart')
    expect(await node.closed).toMatchObject({ code: 1012, reason: 'service restart' })
    const other = new StageNode(stage.front.port, key)
    await other.connect()
    gateway.accepted.at(-1)?.socket.terminate()
    expect(await other.closed).toMatchObject({ code: 1001, reason: 'other_side_gone' })
  })

  it('an approval that the gateway wants is said to the operator, and the node comes back', async () => {
    const key = await pair(stage, cookie)
    gateway.autoPair = false
    const node = new StageNode(stage.front.port, key)
    const answer = await node.connect()
    expect(answer).toMatchObject({
      ok: false,
      error: { code: 'NOT_PAIRED', details: { code: 'PAIRING_REQUIRED', pauseReconnect: false } },
    })
    expect(stage.log.join('\n')).toMatch(/approve the node "kitchen": openclaw devices approve request-/)
    gateway.autoPair = true
    const again = new StageNode(stage.front.port, key)
    expect(await again.connect()).toMatchObject({ ok: true })
    again.socket.terminate()
  })

  it('a node that the gateway refuses because of the front keeps its token', async () => {
    const wrong = await startStageFront(gateway.port, { UPSTREAM_TOKEN: 'a-token-of-another-gateway' })
    const key = await pair(wrong, await logIn(wrong.front))
    const node = new StageNode(wrong.front.port, key)
    const answer = await node.connect()
    expect(answer).toMatchObject({
      ok: false,
      error: { code: 'UNAVAILABLE', details: { code: 'UNAVAILABLE' } },
    })
    expect(JSON.stringify(answer)).not.toContain('MISMATCH')
    expect(wrong.log.join('\n')).toContain('AUTH_TOKEN_MISMATCH')
    expect(wrong.log.join('\n')).not.toContain('a-token-of-another-gateway')
    await wrong.close()
  })

  it('a gateway that is gone is said in the words of the protocol, and the node comes back', async () => {
    const gone = await startGateway(undefined, await freePort())
    const lonely = await startStageFront(gone.port)
    const key = await pair(lonely, await logIn(lonely.front))
    await gone.close()
    const node = new StageNode(lonely.front.port, key)
    expect(await node.connect()).toMatchObject({
      id: 'c1',
      ok: false,
      error: { code: 'UNAVAILABLE', retryable: true },
    })
    expect(await node.closed).toMatchObject({ code: 1013, reason: 'upstream_unavailable' })
    expect(lonely.front.waiting).toBe(0)
    await lonely.close()
  })
})

describe("with the gateway's nonce", () => {
  let gateway: StageGateway
  let stage: StageFront
  let cookie: string
  beforeAll(async () => {
    // A port that nothing else gets while it is gone.
    gateway = await startGateway(undefined, await freePort())
    stage = await startStageFront(gateway.port, { NODES: 'handed-nonce' })
    cookie = await logIn(stage.front)
  })
  afterAll(async () => {
    await stage.close()
    await gateway.close()
  })

  it('a node reaches the gateway under its own key, by one proof that both verify', async () => {
    const auth = { token: 'the-gateways-own-token' }
    const key = await pair(stage, cookie, newKey(), auth)
    const node = new StageNode(stage.front.port, key, { auth })
    const hello = await node.connect()
    expect(hello).toMatchObject({
      ok: true,
      payload: { auth: { deviceToken: `upstream-token-of-${key.id}` } },
    })
    expect(gateway.accepted.at(-1)?.device).toBe(key.id)
    // This time it is the node's socket: the gateway hears that it came through a proxy.
    expect(gateway.upgrades.at(-1)?.headers).toMatchObject({ 'x-forwarded-host': expect.any(String) })
    expect(stage.front.waiting).toBe(0)
    node.socket.send('{"type":"event","event":"x"}')
    expect(await node.message()).toEqual({ type: 'event', event: 'x' })
    node.socket.terminate()

    // Next time it sends the token that the gateway gave it, which the front does not know.
    const own = `upstream-token-of-${key.id}`
    const again = new StageNode(stage.front.port, key, { auth: { token: own, deviceToken: own } })
    expect(await again.connect()).toMatchObject({ ok: true })
    again.socket.terminate()
  })

  it('another key, a stolen nonce and a second request do not count', async () => {
    const auth = { token: 'the-gateways-own-token' }
    const key = await pair(stage, cookie, newKey(), auth)
    const before = gateway.accepted.length
    const victim = new StageNode(stage.front.port, key, { auth })
    const request = await victim.request()
    const thief = new StageNode(stage.front.port, newKey(), { auth })
    await thief.challenge
    thief.socket.send(JSON.stringify(request))
    expect(await thief.message()).toMatchObject({
      ok: false,
      error: { details: { code: 'DEVICE_IDENTITY_REQUIRED' } },
    })
    expect(gateway.accepted.length).toBe(before)
    victim.socket.terminate()
    await expect.poll(() => gateway.unaccepted).toBe(0)
    expect(stage.front.waiting).toBe(0)
  })

  it('a gateway that closes during the handshake costs the node nothing but a retry', async () => {
    const node = new StageNode(stage.front.port, newKey(), { auth: { token: 'the-gateways-own-token' } })
    await node.challenge
    const { port } = gateway
    await gateway.close()
    node.socket.send(JSON.stringify(await node.request()))
    expect(await node.message()).toMatchObject({ ok: false, error: { code: 'UNAVAILABLE' } })
    expect((await node.closed).code).toBe(1013)
    // Gone before the opening, too.
    const late = new StageNode(stage.front.port, newKey())
    expect(await late.closed).toMatchObject({ code: 1013 })
    expect(stage.front.waiting).toBe(0)
    gateway = await startGateway(undefined, port)
  })
})

function signWith(key: ReturnType<typeof newKey>, text: string): string {
  return sign(null, Buffer.from(text), key.privateKey).toString('base64url')
}
