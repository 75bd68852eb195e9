// A paired device that asked for more than it had was let in with its old rights, and no admin learned that it asked.
import { connectFrame } from 'upgate/ws'
import { afterEach, describe, expect, test } from 'vitest'
import { type Signed, say } from './connect-request.ts'
import { admin, closeAll, DeviceIdentity, type Gateway, startGateway } from './stage.ts'

afterEach(closeAll)

const roles = { node: [], operator: ['operator.admin'] }
const start = (pairing = {}) =>
  startGateway({
    handshake: connectFrame({ deviceKeys: true }),
    services: { pairing: { roles, ...pairing } },
  })

async function paired(gateway: Gateway, device = new DeviceIdentity()) {
  const made = await gateway.pairing.bootstrap.create({ actor: admin(), scopes: ['node.run'] })
  const code = made.outcome === 'done' ? made.code : ''
  await say(gateway, device, { auth: { bootstrapToken: code }, scopes: ['node.run'] })
  const pending = (await gateway.pairing.pending()).find(({ keyId }) => keyId === device.id)
  await gateway.pairing.approve(pending?.id as string, { actor: admin() })
  const { answer } = await say(gateway, device)
  const { auth } = (answer as unknown as { payload: { auth: { deviceToken: string } } }).payload
  return { device, id: gateway.accepted.at(-1)?.id as string, token: auth.deviceToken }
}

const hello = (scopes: readonly string[], role = 'node') => ({
  ok: true,
  payload: { auth: { role, scopes } },
})

describe('a paired device that asks for more', () => {
  test.each<[string, Signed, object]>([
    [
      'scopes',
      { scopes: ['node.run', 'operator.read'] },
      { role: 'node', scopes: ['node.run', 'operator.read'], upgrade: { asks: ['scopes'] } },
    ],
    [
      'a role',
      { role: 'operator', scopes: ['node.run'] },
      { role: 'operator', scopes: ['node.run'], upgrade: { asks: ['role'] } },
    ],
    [
      'another platform',
      { platform: 'Windows', scopes: ['node.run'] },
      { stated: 'windows, pi', upgrade: { asks: ['metadata'] } },
    ],
    [
      'all of it',
      { role: 'operator', platform: 'Windows', scopes: ['operator.read'] },
      {
        role: 'operator',
        scopes: ['node.run', 'operator.read'],
        stated: 'windows, pi',
        upgrade: { asks: ['role', 'scopes', 'metadata'] },
      },
    ],
  ])('%s: is let in with its old rights, and one request waits', async (_, options, request) => {
    const gateway = await start()
    const { device, id, token } = await paired(gateway)
    const accepted = gateway.accepted.length
    for (const auth of [{}, { token }, {}]) {
      const { answer } = await say(gateway, device, { ...options, auth })
      expect(answer).toMatchObject({ ok: true, payload: { auth: { role: 'node' } } })
    }
    expect(gateway.accepted.length).toBe(accepted + 3)
    for (const principal of gateway.accepted) {
      expect(principal.roles).toEqual(['node'])
      expect(principal.scopes.filter((scope) => scope !== 'node.run')).toEqual([])
    }
    expect(await gateway.pairing.pending()).toMatchObject([
      { introduction: 'upgrade', introducer: id, keyId: device.id, name: 'node-host', ...request },
    ])
    expect((await gateway.pairing.pending())[0]?.upgrade?.deviceId).toBe(id)
    expect(gateway.steps().filter((step) => step === 'requested')).toHaveLength(2)
  })

  test('has more from its next socket on, once that is approved; with its token, too', async () => {
    const gateway = await start()
    const { device, id, token } = await paired(gateway)
    const scopes = ['node.run', 'operator.read']
    expect((await say(gateway, device, { scopes, auth: { token } })).answer).toMatchObject(
      hello(['node.run']),
    )
    const [request] = await gateway.pairing.pending()
    expect(request?.peerAddress).toMatch(/127\.0\.0\.1$/)
    const decision = await gateway.pairing.approve(request?.id as string, { actor: admin() })
    expect(decision).toMatchObject({ outcome: 'done', request: { state: 'collected' } })
    for (const auth of [{}, { token }]) {
      expect((await say(gateway, device, { scopes, auth })).answer).toMatchObject(hello(scopes))
    }
    expect(await gateway.services.devices.get(id)).toMatchObject({ scopes, role: 'node' })
    expect(await gateway.pairing.pending()).toEqual([])
    expect(gateway.steps().at(-1)).toBe('approved')
    expect(gateway.events.filter((event) => event.type === 'pairing').at(-1)).toMatchObject({ deviceId: id })
  })

  test('another role ends its live sockets, which hold the old one', async () => {
    const gateway = await start()
    const { device } = await paired(gateway)
    const options = { role: 'operator', scopes: ['node.run'] }
    const { connection } = await say(gateway, device, options)
    const [request] = await gateway.pairing.pending()
    await gateway.pairing.approve(request?.id as string, { actor: admin() })
    expect(await connection.closed()).toEqual({ code: 4403, reason: 'narrowed' })
    expect((await say(gateway, device, options)).answer).toMatchObject(hello(['node.run'], 'operator'))
  })

  test('no admin grants more than the admin holds, and a rejected device does not ask again for a while', async () => {
    const gateway = await start()
    const { device, id } = await paired(gateway)
    const scopes = ['node.run', 'operator.admin']
    await say(gateway, device, { scopes })
    const request = (await gateway.pairing.pending())[0]?.id as string
    expect(await gateway.pairing.approve(request, { actor: admin({ scopes: ['node.run'] }) })).toMatchObject({
      outcome: 'refused',
      code: 'scope_not_held',
    })
    await gateway.pairing.reject(request, { actor: admin() })
    expect((await say(gateway, device, { scopes })).answer).toMatchObject(hello(['node.run']))
    expect(await gateway.pairing.pending()).toEqual([])
    gateway.clock.advance(300_001)
    await say(gateway, device, { scopes })
    expect(await gateway.pairing.pending()).toHaveLength(1)
    expect((await gateway.services.devices.get(id))?.scopes).toEqual(['node.run'])
  })

  test('granted less than it asks for: it does not ask with every socket', async () => {
    const gateway = await start()
    const { device } = await paired(gateway)
    const scopes = ['node.run', 'operator.read', 'operator.admin']
    await say(gateway, device, { scopes })
    const [request] = await gateway.pairing.pending()
    const some = ['node.run', 'operator.read']
    await gateway.pairing.approve(request?.id as string, { actor: admin(), scopes: some })
    for (let i = 0; i < 3; i++) {
      expect((await say(gateway, device, { scopes })).answer).toMatchObject(hello(some))
    }
    expect(await gateway.pairing.pending()).toEqual([])
  })

  test('narrowed and renamed since it asked: an approval gives nothing back', async () => {
    const gateway = await start()
    const { device, id } = await paired(gateway)
    await say(gateway, device, { scopes: ['node.run', 'operator.read'] })
    const [request] = await gateway.pairing.pending()
    await gateway.services.devices.setScopes(id, [])
    await gateway.services.devices.rename(id, 'cellar')
    await gateway.pairing.approve(request?.id as string, { actor: admin() })
    expect(await gateway.services.devices.get(id)).toMatchObject({
      scopes: ['operator.read'],
      name: 'cellar',
    })
  })

  test('revoked before the approval: nothing is granted, and it is not let in', async () => {
    const gateway = await start()
    const { device, id } = await paired(gateway)
    await say(gateway, device, { scopes: ['node.run', 'operator.read'] })
    const [request] = await gateway.pairing.pending()
    await gateway.services.devices.revoke(id)
    expect((await say(gateway, device)).answer).toMatchObject({
      error: { details: { reason: 'revoked_credential' } },
    })
    expect(await gateway.pairing.approve(request?.id as string, { actor: admin() })).toMatchObject({
      outcome: 'refused',
    })
    expect((await gateway.services.devices.get(id))?.scopes).toEqual(['node.run'])
    // It may be paired again with a code, in spite of the request.
    await paired(gateway, device)
    expect((await say(gateway, device)).answer).toMatchObject({ ok: true })
  })

  test('has a quota of its own: devices that ask for more keep no new device out', async () => {
    const gateway = await start({ maxInvited: 2 })
    const headers = { 'x-forwarded-for': '192.0.2.1' }
    const devices = []
    for (let i = 0; i < 3; i++) devices.push((await paired(gateway)).device)
    for (const device of devices) {
      const { answer } = await say(gateway, device, { scopes: ['node.run', 'operator.read'], headers })
      expect(answer).toMatchObject(hello(['node.run']))
    }
    expect(await gateway.pairing.pending()).toHaveLength(2)
    const made = await gateway.pairing.bootstrap.create({ actor: admin() })
    const bootstrapToken = made.outcome === 'done' ? made.code : ''
    const { answer } = await say(gateway, new DeviceIdentity(), { auth: { bootstrapToken }, headers })
    expect(answer).toMatchObject({ error: { details: { reason: 'pairing_required' } } })
  })

  test('that the store cannot keep costs it nothing', async () => {
    const gateway = await start()
    const { device } = await paired(gateway)
    Object.assign(gateway.store.pairings, { request: () => Promise.reject(new Error('the disk is full')) })
    const { answer } = await say(gateway, device, { scopes: ['node.run', 'operator.read'] })
    expect(answer).toMatchObject(hello(['node.run']))
  })

  test('with names that no credential could hold asks for nothing', async () => {
    const gateway = await start()
    const { device } = await paired(gateway)
    const { answer } = await say(gateway, device, { scopes: ['node.run', 'a b'] })
    expect(answer).toMatchObject(hello(['node.run']))
    expect(await gateway.pairing.pending()).toEqual([])
  })
})

test('the id of a request begins with the comparison code: some clients show the id alone', async () => {
  const gateway = await start()
  const device = new DeviceIdentity()
  const made = await gateway.pairing.bootstrap.create({ actor: admin() })
  const { answer } = await say(gateway, device, {
    auth: { bootstrapToken: made.outcome === 'done' ? made.code : '' },
  })
  const { requestId, comparisonCode } = (answer as unknown as { error: { details: Record<string, string> } })
    .error.details
  expect(requestId).toMatch(/^[2-9A-HJKMNP-TV-Z]{6}-[A-Za-z0-9]+$/)
  expect(requestId?.slice(0, 6)).toBe(comparisonCode)
  expect(await gateway.pairing.get(requestId as string)).toMatchObject({ comparisonCode })
})

test('a frame with `traceparent` is read as any other, and handed on whole', async () => {
  const gateway = await startGateway({ handshake: connectFrame({ deviceKeys: true, replay: true }) })
  const { token } = await gateway.services.devices.create({ name: 'kitchen' })
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const { answer } = await say(gateway, new DeviceIdentity(), { auth: { token }, frame: { traceparent } })
  expect(String(answer.text)).toContain(`"traceparent":"${traceparent}"`)
})
