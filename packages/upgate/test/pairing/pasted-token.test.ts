// A client that always signs was given a device token that an administrator made: its key is unknown, and it was refused
// for that. It is let in by the token; with `bindKeys` the first use binds the key.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore, type PairingOptions, type Scheme, type Store, sharedToken } from 'upgate'
import { sqliteStore } from 'upgate/sql'
import { connectFrame } from 'upgate/ws'
import { afterEach, describe, expect, test } from 'vitest'
import { type Signed, say } from './connect-request.ts'
import { admin, closeAll, connect, DeviceIdentity, type Gateway, pairDevice, startGateway } from './stage.ts'

const folders: string[] = []
afterEach(async () => {
  await closeAll()
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

const stores: readonly (readonly [string, () => Promise<Store>])[] = [
  ['memory', async () => memoryStore()],
  [
    'SQLite',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'upgate-pasted-'))
      folders.push(folder)
      return sqliteStore({ file: join(folder, 'gateway.db') })
    },
  ],
]

const gatewayToken = 'gateway-token-0123456789abcdefghij'
const shared: Scheme = sharedToken({
  token: gatewayToken,
  principal: { kind: 'service', id: 'gateway', scopes: [], roles: [] },
})

async function start(pairing: PairingOptions = {}, store?: Store, introducers: readonly Scheme[] = []) {
  return startGateway({
    handshake: connectFrame({ deviceKeys: true }),
    services: { pairing },
    introducers,
    ...(store && { store }),
  })
}

const pasted = (gateway: Gateway) =>
  gateway.services.devices.create({ name: 'kitchen', scopes: ['node.run'] })
const hello = { ok: true, payload: { type: 'hello-ok', auth: { role: 'node' } } }
const refused = (code: string, facts: object = {}) => ({
  ok: false,
  error: { details: { reason: 'invalid_credential', code, ...facts } },
})
const stolen = refused('AUTH_TOKEN_MISMATCH', { key: 'mismatch' })
const ofAnother = refused('AUTH_SCOPE_MISMATCH', { key: 'of_another_device' })

describe.each(stores)('a pasted token with an unknown key, records in %s', (_, makeStore) => {
  test.each<[string, (token: string) => Signed]>([
    ['in `token`', (token) => ({ auth: { token } })],
    ['in both fields', (token) => ({ auth: { token, deviceToken: token } })],
    ['in `deviceToken`', (token) => ({ auth: { deviceToken: token } })],
    ['in `token`, signed by version 2', (token) => ({ auth: { token }, version: 'v2' })],
  ])('counts as the token alone, %s, with any key, and binds nothing', async (_, options) => {
    const gateway = await start({}, await makeStore())
    const { token, id } = await pasted(gateway)
    for (const device of [new DeviceIdentity(), new DeviceIdentity()]) {
      const { answer } = await say(gateway, device, options(token))
      expect(answer).toMatchObject(hello)
    }
    expect(gateway.accepted.map((principal) => principal.id)).toEqual([id, id])
    expect(await gateway.services.devices.get(id)).toMatchObject({ keyId: undefined, keyFrom: undefined })
    expect(await gateway.pairing.pending()).toEqual([])
    expect(gateway.steps()).toEqual([])
  })

  test.each<[string, Signed, string]>([
    ['a broken signature', { change: { signature: 'A'.repeat(86) } }, 'invalid_credential'],
    ['a signature over another token', { signs: 'another' }, 'invalid_credential'],
    ['a signature over no token', { signs: '' }, 'invalid_credential'],
    ['the id of another key', { id: 'f'.repeat(64) }, 'invalid_credential'],
    ['a clock that is wrong', { at: 1 }, 'expired_credential'],
  ])('is refused with %s', async (_, options, reason) => {
    const gateway = await start({ bindKeys: true }, await makeStore())
    const { token, id } = await pasted(gateway)
    const { answer } = await say(gateway, new DeviceIdentity(), { auth: { token }, ...options })
    expect(answer).toMatchObject({ ok: false, error: { details: { reason } } })
    expect((await gateway.services.devices.get(id))?.keyId).toBeUndefined()
  })

  test('bound by its first use: no other key counts, the admin sees it, and rotating ends it', async () => {
    const gateway = await start({ bindKeys: true }, await makeStore())
    const { token, id } = await pasted(gateway)
    const [own, thief] = [new DeviceIdentity(), new DeviceIdentity()]
    expect((await say(gateway, own, { auth: { token } })).answer).toMatchObject(hello)
    expect(gateway.events.find((event) => event.type === 'pairing')).toMatchObject({
      step: 'key_bound',
      deviceId: id,
      keyId: own.id,
      name: 'kitchen',
      role: 'node',
    })
    expect(await gateway.services.devices.get(id)).toMatchObject({ keyId: own.id, keyFrom: 'first-use' })
    expect((await gateway.services.devices.list())[0]).toMatchObject({ keyId: own.id })

    // Twice is once; the key proves the device without the token, too.
    expect((await say(gateway, own, { auth: { token } })).answer).toMatchObject(hello)
    expect((await say(gateway, own)).answer).toMatchObject(hello)
    expect((await say(gateway, thief, { auth: { token } })).answer).toMatchObject(stolen)
    expect((await say(gateway, thief, { auth: { token, deviceToken: token } })).answer).toMatchObject(
      refused('AUTH_DEVICE_TOKEN_MISMATCH', { key: 'mismatch' }),
    )
    expect(gateway.steps()).toEqual(['key_bound'])

    const rotated = await gateway.services.devices.rotate(id)
    if (rotated.outcome !== 'done') throw new Error(rotated.reason)
    expect(rotated.record).toMatchObject({ keyId: undefined })
    // Neither the key alone nor the old token with it.
    expect((await say(gateway, own)).answer).toMatchObject({ ok: false })
    expect((await say(gateway, own, { auth: { token } })).answer).toMatchObject({ ok: false })
    // The new token is bound by its own first use.
    const other = new DeviceIdentity()
    expect((await say(gateway, other, { auth: { token: rotated.token } })).answer).toMatchObject(hello)
    expect((await say(gateway, own, { auth: { token: rotated.token } })).answer).toMatchObject(stolen)
    expect(await gateway.services.devices.get(id)).toMatchObject({ keyId: other.id })
  })

  test('revoked: the key ends with it, and may be bound by another token', async () => {
    const gateway = await start({ bindKeys: true }, await makeStore())
    const [first, second] = [await pasted(gateway), await pasted(gateway)]
    const own = new DeviceIdentity()
    expect((await say(gateway, own, { auth: { token: first.token } })).answer).toMatchObject(hello)
    // While the first device counts, its key is another device's for the second token.
    expect((await say(gateway, own, { auth: { token: second.token } })).answer).toMatchObject(ofAnother)
    await gateway.services.devices.revoke(first.id)
    for (const auth of [{}, { token: first.token }]) {
      expect((await say(gateway, own, { auth })).answer).toMatchObject({ ok: false })
    }
    expect((await say(gateway, own, { auth: { token: second.token } })).answer).toMatchObject(hello)
    expect(await gateway.services.devices.get(second.id)).toMatchObject({ keyId: own.id })
    expect(gateway.accepted.at(-1)?.id).toBe(second.id)
    expect((await say(gateway, own)).answer).toMatchObject(hello)
    expect(gateway.accepted.at(-1)?.id).toBe(second.id)
  })

  test.each<[string, Signed]>([
    ['version 2', { version: 'v2' }],
    // Signed is the gateway's token; the device token came along unsigned.
    ['another token', { auth: { token: gatewayToken } }],
  ])('is bound by no proof that signs %s', async (_, options) => {
    const gateway = await start({ bindKeys: true }, await makeStore(), [shared])
    const { token, id } = await pasted(gateway)
    const auth = { token, ...options.auth, deviceToken: token }
    const { answer } = await say(gateway, new DeviceIdentity(), { ...options, auth })
    expect(answer).toMatchObject(hello)
    expect(await gateway.services.devices.get(id)).toMatchObject({ keyId: undefined })
  })

  test('a device that was paired has its key: its token with another key is refused, bound or not', async () => {
    const store = await makeStore()
    const gateway = await startGateway({ store })
    const own = new DeviceIdentity()
    const { token, answer } = await pairDevice(gateway, own)
    const { id } = answer.principal as { readonly id: string }
    expect(await gateway.services.devices.get(id)).toMatchObject({ keyId: own.id, keyFrom: 'pairing' })
    for (const bindKeys of [false, true]) {
      const other = await startGateway({ store, services: { pairing: { bindKeys } } })
      const stolenToken = await connect(other, new DeviceIdentity(), { token })
      expect(stolenToken.answer).toMatchObject({ code: 'invalid_credential', facts: { key: 'mismatch' } })
      const created = await other.services.devices.create({ name: 'other' })
      const foreign = await connect(other, own, { token: created.token })
      expect(foreign.answer).toMatchObject({
        code: 'invalid_credential',
        facts: { key: 'of_another_device' },
      })
    }
    // Rotating its token leaves a paired key as it is.
    await gateway.services.devices.rotate(id)
    expect((await connect(gateway, own)).answer).toMatchObject({ type: 'auth_ok' })
  })

  test('of two sockets that race for the first bind one wins, and the other is told', async () => {
    const store = await makeStore()
    const gateway = await start({ bindKeys: true }, store)
    const { token, id } = await pasted(gateway)
    const { bindKey } = store.pairings
    let waiting = 0
    let go = (): void => {}
    const together = new Promise<void>((resolve) => {
      go = resolve
    })
    Object.assign(store.pairings, {
      async bindKey(...args: Parameters<typeof bindKey>) {
        if (++waiting === 2) go()
        await together
        return bindKey(...args)
      },
    })
    const devices = [new DeviceIdentity(), new DeviceIdentity()]
    const answers = await Promise.all(
      devices.map(async (device) => (await say(gateway, device, { auth: { token } })).answer),
    )
    const winner = answers.findIndex(({ ok }) => ok)
    expect(answers[winner]).toMatchObject(hello)
    expect(answers[1 - winner]).toMatchObject(stolen)
    expect(await gateway.services.devices.get(id)).toMatchObject({ keyId: devices[winner]?.id })
    expect(gateway.steps()).toEqual(['key_bound'])
  })

  test('of two tokens that race for one key, one binds it', async () => {
    const store = await makeStore()
    const gateway = await start({ bindKeys: true }, store)
    const tokens = [await pasted(gateway), await pasted(gateway)]
    const own = new DeviceIdentity()
    const answers = await Promise.all(
      tokens.map(async ({ token }) => (await say(gateway, own, { auth: { token } })).answer),
    )
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1)
    expect(answers.find(({ ok }) => !ok)).toMatchObject(ofAnother)
    expect(gateway.steps()).toEqual(['key_bound'])
  })
})

test('a rule that refuses the device binds nothing', async () => {
  const gateway = await startGateway({
    handshake: connectFrame({ deviceKeys: true }),
    services: { pairing: { bindKeys: true } },
    demands: { scopes: ['operator.admin'] },
  })
  const { token, id } = await pasted(gateway)
  const { answer } = await say(gateway, new DeviceIdentity(), { auth: { token } })
  expect(answer).toMatchObject({ error: { details: { reason: 'insufficient_scope' } } })
  expect((await gateway.services.devices.get(id))?.keyId).toBeUndefined()
})

test('a rule for keys alone does not take the token with a key that proves nothing', async () => {
  const gateway = await startGateway({
    handshake: connectFrame({ deviceKeys: true }),
    demands: { schemes: ['device-key'] },
  })
  const { token } = await pasted(gateway)
  const { answer } = await say(gateway, new DeviceIdentity(), { auth: { token } })
  expect(answer).toMatchObject({ error: { details: { reason: 'scheme_not_allowed' } } })
  expect(gateway.accepted).toEqual([])
})

test('a store that fails at the binding costs the device nothing', async () => {
  const gateway = await start({ bindKeys: true })
  const { token } = await pasted(gateway)
  const { bindKey } = gateway.store.pairings
  Object.assign(gateway.store.pairings, { bindKey: () => Promise.reject(new Error('the disk is full')) })
  const own = new DeviceIdentity()
  expect((await say(gateway, own, { auth: { token } })).answer).toMatchObject({
    error: { details: { reason: 'unavailable' } },
  })
  Object.assign(gateway.store.pairings, { bindKey })
  expect((await say(gateway, own, { auth: { token } })).answer).toMatchObject(hello)
})

describe('a device token and the token of the gateway in one request', () => {
  const wrongToken = 'wrong-token-0123456789abcdefghijkl'

  async function paired(introducers: readonly Scheme[] = [shared]) {
    const gateway = await start({}, undefined, introducers)
    const own = new DeviceIdentity()
    const made = await gateway.pairing.bootstrap.create({ actor: admin(), scopes: ['node.run'] })
    const code = made.outcome === 'done' ? made.code : ''
    await say(gateway, own, { auth: { bootstrapToken: code }, scopes: ['node.run'] })
    const [pending] = await gateway.pairing.pending()
    await gateway.pairing.approve(pending?.id as string, { actor: admin() })
    const { answer } = await say(gateway, own)
    const { auth } = (answer as unknown as { payload: { auth: { deviceToken: string } } }).payload
    return { gateway, own, deviceToken: auth.deviceToken }
  }

  test.each([
    ['the plain token', (token: string) => token],
    ['the device token', (_: string, deviceToken: string) => deviceToken],
  ])('the device token counts, whichever is signed: %s', async (_, signs) => {
    const { gateway, own, deviceToken } = await paired()
    const auth = { token: gatewayToken, deviceToken }
    const { answer } = await say(gateway, own, { auth, signs: signs(gatewayToken, deviceToken) })
    expect(answer).toMatchObject(hello)
    expect(gateway.accepted.at(-1)).toMatchObject({ kind: 'device' })
  })

  test('a stale device token: the gateway token introduces, and the known key is the device', async () => {
    const { gateway, own } = await paired()
    const { answer } = await say(gateway, own, { auth: { token: gatewayToken, deviceToken: 'ugd_stale' } })
    expect(answer).toMatchObject(hello)
    expect(gateway.accepted.at(-1)).toMatchObject({ kind: 'device', scheme: 'device-key' })
  })

  test('an unknown key with a stale token may ask, and is never the principal of the gateway token', async () => {
    const { gateway } = await paired()
    const { answer } = await say(gateway, new DeviceIdentity(), {
      auth: { token: gatewayToken, deviceToken: 'ugd_stale' },
    })
    expect(answer).toMatchObject({ error: { details: { reason: 'pairing_required' } } })
    expect(gateway.accepted.every(({ kind }) => kind === 'device')).toBe(true)
    expect(await gateway.pairing.pending()).toMatchObject([
      { introduction: 'credential', introducer: 'gateway' },
    ])
  })

  test.each<[string, (deviceToken: string) => Record<string, string>, string]>([
    ['both wrong', () => ({ token: wrongToken, deviceToken: 'ugd_stale' }), 'invalid_credential'],
    [
      'a password as well',
      (deviceToken) => ({ token: gatewayToken, deviceToken, password: 'p' }),
      'multiple_credentials',
    ],
    [
      'a password next to the device token',
      (deviceToken) => ({ deviceToken, password: 'p' }),
      'multiple_credentials',
    ],
    [
      'a third token',
      (deviceToken) => ({ token: gatewayToken, deviceToken, api_key: 'k' }),
      'multiple_credentials',
    ],
    [
      'a code next to it',
      (deviceToken) => ({ deviceToken, bootstrapToken: 'AAAA-BBBB-CCCC' }),
      'multiple_credentials',
    ],
    [
      'two device tokens and none plain',
      (deviceToken) => ({ deviceToken, device_token: 'ugd_other' }),
      'multiple_credentials',
    ],
  ])('%s is refused', async (_, auth, reason) => {
    const { gateway, own, deviceToken } = await paired()
    const accepted = gateway.accepted.length
    const { answer } = await say(gateway, own, { auth: auth(deviceToken) })
    expect(answer).toMatchObject({ ok: false, error: { details: { reason } } })
    expect(gateway.accepted).toHaveLength(accepted)
  })

  test('two without a proof stay refused', async () => {
    const { gateway, deviceToken } = await paired()
    const { answer } = await say(gateway, new DeviceIdentity(), {
      auth: { token: gatewayToken, deviceToken },
      change: { publicKey: undefined },
    })
    expect(answer).toMatchObject({ error: { details: { reason: 'multiple_credentials' } } })
  })

  test('a stolen device token with another key is refused, in spite of a right gateway token', async () => {
    const { gateway, deviceToken } = await paired()
    const { answer } = await say(gateway, new DeviceIdentity(), {
      auth: { token: gatewayToken, deviceToken },
    })
    expect(answer).toMatchObject(refused('AUTH_DEVICE_TOKEN_MISMATCH', { key: 'mismatch' }))
    expect(await gateway.pairing.pending()).toEqual([])
  })

  test('tokens of two devices are refused; of an old and a new one of one device the new one counts', async () => {
    const { gateway, own, deviceToken } = await paired()
    const other = await gateway.services.devices.create({ name: 'other' })
    const both = await say(gateway, own, { auth: { token: other.token, deviceToken } })
    expect(both.answer).toMatchObject({ ok: false, error: { details: { reason: 'invalid_credential' } } })
    const rotated = await gateway.services.devices.rotate(gateway.accepted[0]?.id as string)
    const { token } = rotated as { readonly token: string }
    const newer = await say(gateway, own, { auth: { token, deviceToken: 'ugd_stale' } })
    expect(newer.answer).toMatchObject(hello)
  })

  test('each wrong one is a failure: next to a good device token, guesses cost as much as alone', async () => {
    const guessable = sharedToken({
      token: 'short-token-of-20-ch',
      principal: { kind: 'service', id: 'gateway', scopes: [], roles: [] },
    })
    const { gateway, own, deviceToken } = await paired([guessable])
    const address = { 'x-forwarded-for': '192.0.2.7' }
    for (let i = 0; i < 10; i++) {
      const { answer, connection } = await say(gateway, own, {
        auth: { token: `guess-${i}`, deviceToken },
        headers: address,
      })
      expect(answer).toMatchObject(hello)
      connection.ws.terminate()
    }
    // Ten guesses in a minute: the address waits, as if it had sent them alone.
    await expect(say(gateway, own, { auth: { token: deviceToken }, headers: address })).rejects.toThrow('429')
  })
})
