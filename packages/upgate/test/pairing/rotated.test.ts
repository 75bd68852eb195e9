// The token of a device was rotated while the device was away. Its client sends the old token with every proof, and was refused
// with each, until an operator deleted its state by hand.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore, type Store } from 'upgate'
import { sqliteStore } from 'upgate/sql'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type Answer,
  closeAll,
  connect,
  DeviceIdentity,
  dial,
  type Gateway,
  pairDevice,
  signedAuth,
  startGateway,
} from './stage.ts'

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
      const folder = await mkdtemp(join(tmpdir(), 'upgate-rotated-'))
      folders.push(folder)
      return sqliteStore({ file: join(folder, 'gateway.db') })
    },
  ],
]

async function rotate(gateway: Gateway, id: string, overlap = 0): Promise<string> {
  const rotated = await gateway.services.devices.rotate(id, { overlap })
  if (rotated.outcome !== 'done') throw new Error(rotated.reason)
  return rotated.token
}

async function paired(gateway: Gateway) {
  const device = new DeviceIdentity()
  const { token, answer } = await pairDevice(gateway, device)
  const { id } = answer.principal as { readonly id: string }
  return { device, token, id }
}

const accepted = (id: string) => ({ type: 'auth_ok', principal: { kind: 'device', id } })
const wrong = { type: 'auth_error', code: 'invalid_credential' }
const replaced = { type: 'auth_error', code: 'revoked_credential' }

/** Sends a token alone. */
async function byToken(gateway: Gateway, token: string): Promise<Answer> {
  const connection = await dial(gateway.port)
  connection.ws.send(JSON.stringify({ type: 'auth', token }))
  return connection.next()
}

describe.each(stores)('with records in %s', (_, makeStore) => {
  const start = async () => startGateway({ store: await makeStore() })

  test('the last rotated token with the key counts as the key alone, and is exchanged once', async () => {
    const gateway = await start()
    const { device, token, id } = await paired(gateway)
    const installed = await rotate(gateway, id)

    const back = await connect(gateway, device, { token })
    expect(back.answer).toMatchObject(accepted(id))
    const handed = back.answer.deviceToken as string
    expect(handed).toMatch(/^ugd_/)
    expect(gateway.steps().at(-1)).toBe('renewed')
    expect(gateway.events.at(-2)).toMatchObject({
      type: 'pairing',
      deviceId: id,
      role: 'node',
      scopes: ['node.run'],
    })

    // A client that lost the answer comes with the old token again: let in, and nothing more.
    const again = await connect(gateway, device, { token })
    expect(again.answer).toMatchObject(accepted(id))
    expect(again.answer.deviceToken).toBeUndefined()

    // The new token and the one that an administrator installed by hand count, alone and with the key.
    for (const each of [handed, installed]) {
      expect(await byToken(gateway, each)).toMatchObject(accepted(id))
      const both = await connect(gateway, device, { token: each })
      expect(both.answer).toMatchObject(accepted(id))
      expect(both.answer.deviceToken).toBeUndefined()
    }
    expect(await byToken(gateway, token)).toMatchObject(replaced)
    expect(gateway.steps().filter((step) => step === 'renewed')).toHaveLength(1)
  })

  test('both tokens of the rotation before are exchanged after the next one; older ones are refused', async () => {
    const gateway = await start()
    const { device, token, id } = await paired(gateway)
    const installed = await rotate(gateway, id)
    const handed = (await connect(gateway, device, { token })).answer.deviceToken as string
    await rotate(gateway, id)

    expect((await connect(gateway, device, { token })).answer).toMatchObject(wrong)
    for (const each of [installed, handed]) expect(await byToken(gateway, each)).toMatchObject(replaced)
    const first = await connect(gateway, device, { token: handed })
    expect(first.answer).toMatchObject({ ...accepted(id), deviceToken: expect.stringMatching(/^ugd_/) })
    const second = await connect(gateway, device, { token: installed })
    expect(second.answer).toMatchObject(accepted(id))
    expect(second.answer.deviceToken).toBeUndefined()

    await rotate(gateway, id)
    await rotate(gateway, id)
    for (const each of [token, installed, handed, first.answer.deviceToken as string]) {
      expect((await connect(gateway, device, { token: each })).answer).toMatchObject(wrong)
    }
    // The key alone still proves the device.
    expect((await connect(gateway, device)).answer).toMatchObject(accepted(id))
  })

  test('of sockets that are verified at once, one gets the new token, and all are let in', async () => {
    const store = await makeStore()
    const gateway = await startGateway({ store })
    const { device, token, id } = await paired(gateway)
    await rotate(gateway, id)
    const { replace } = store.devices
    const sockets = 4
    let waiting = 0
    let go = (): void => {}
    const together = new Promise<void>((resolve) => {
      go = resolve
    })
    Object.assign(store.devices, {
      async replace(...args: Parameters<typeof replace>) {
        if (++waiting === sockets) go()
        await together
        return replace(...args)
      },
    })
    const answers = await Promise.all(
      Array.from({ length: sockets }, async () => (await connect(gateway, device, { token })).answer),
    )
    for (const answer of answers) expect(answer).toMatchObject(accepted(id))
    expect(answers.filter((answer) => answer.deviceToken !== undefined)).toHaveLength(1)
    expect(waiting).toBe(sockets)
  })

  test('in the overlap the old token counts alone, and with the key it is exchanged already', async () => {
    const gateway = await start()
    const { device, token, id } = await paired(gateway)
    await rotate(gateway, id, 60_000)
    expect(await byToken(gateway, token)).toMatchObject(accepted(id))
    const { answer } = await connect(gateway, device, { token })
    expect(answer).toMatchObject({ ...accepted(id), deviceToken: expect.stringMatching(/^ugd_/) })
    // The proof counts by itself: the socket does not end with the overlap.
    expect(answer.expiresAt).toBeUndefined()
    gateway.clock.advance(60_000)
    expect(await byToken(gateway, token)).toMatchObject(replaced)
    expect(await byToken(gateway, answer.deviceToken as string)).toMatchObject(accepted(id))
  })

  test('not without the key, and not with another key', async () => {
    const gateway = await start()
    const { token, id } = await paired(gateway)
    const other = await paired(gateway)
    await rotate(gateway, id)
    expect(await byToken(gateway, token)).toMatchObject(replaced)
    const thief = new DeviceIdentity()
    expect((await connect(gateway, thief, { token })).answer).toMatchObject(replaced)
    expect((await connect(gateway, other.device, { token })).answer).toMatchObject(replaced)
    // A claim secret is no key.
    const connection = await dial(gateway.port)
    const claim = randomBytes(32).toString('base64url')
    connection.ws.send(JSON.stringify({ type: 'auth', token, claim }))
    expect(await connection.next()).toMatchObject(replaced)
    // Nor is a key whose proof is for another challenge.
    const { device } = other
    const late = await dial(gateway.port)
    late.ws.send(JSON.stringify(signedAuth(device, 'another-nonce', gateway.clock.now(), { token })))
    expect(await late.next()).toMatchObject({ type: 'auth_error' })
    expect(await gateway.pairing.pending()).toEqual([])
    expect(gateway.steps()).not.toContain('renewed')
  })

  test('never where the record is revoked, expired or narrowed away', async () => {
    const gateway = await startGateway({ store: await makeStore(), demands: { scopes: ['node.run'] } })
    const ended = [
      ['revoked_credential', (id: string) => gateway.services.devices.revoke(id)],
      ['insufficient_scope', (id: string) => gateway.services.devices.setScopes(id, [])],
      ['expired_credential', (id: string) => gateway.services.devices.setExpiry(id, gateway.clock.now() + 1)],
    ] as const
    for (const [code, end] of ended) {
      const { device, token, id } = await paired(gateway)
      await rotate(gateway, id)
      await end(id)
      gateway.clock.advance(2)
      const { answer } = await connect(gateway, device, { token })
      expect(answer).toMatchObject({ type: 'auth_error', code })
      expect(JSON.stringify(answer)).not.toContain('ugd_')
    }
    expect(gateway.steps()).not.toContain('renewed')
  })

  test('a revocation between the proof and the exchange wins', async () => {
    const store = await makeStore()
    const gateway = await startGateway({ store })
    const { device, token, id } = await paired(gateway)
    await rotate(gateway, id)
    const { replace } = store.devices
    let revoked = false
    Object.assign(store.devices, {
      async replace(...args: Parameters<typeof replace>) {
        if (!revoked && args[0].handedDigest !== undefined) {
          revoked = true
          await gateway.services.devices.revoke(id)
        }
        return replace(...args)
      },
    })
    const { answer } = await connect(gateway, device, { token })
    expect(answer).toMatchObject({ type: 'auth_error', code: 'revoked_credential' })
    expect(answer.deviceToken).toBeUndefined()
    expect(gateway.steps()).not.toContain('renewed')
  })

  test('the old token of a device that was paired again under the same key is refused', async () => {
    const gateway = await start()
    const { device, token, id } = await paired(gateway)
    await rotate(gateway, id)
    await gateway.services.devices.revoke(id)
    const { answer } = await pairDevice(gateway, device)
    const newer = answer.principal as { readonly id: string }
    expect(newer.id).not.toBe(id)
    expect((await connect(gateway, device, { token })).answer).toMatchObject(replaced)
    expect((await connect(gateway, device)).answer).toMatchObject(accepted(newer.id))
  })
})

test('a store that fails at the exchange costs the device nothing', async () => {
  const gateway = await startGateway()
  const { device, token, id } = await paired(gateway)
  await rotate(gateway, id)
  const { replace } = gateway.store.devices
  Object.assign(gateway.store.devices, {
    replace: () => Promise.reject(new Error('the disk is full')),
  })
  expect((await connect(gateway, device, { token })).answer).toMatchObject({ code: 'unavailable' })
  Object.assign(gateway.store.devices, { replace })
  const { answer } = await connect(gateway, device, { token })
  expect(answer).toMatchObject({ ...accepted(id), deviceToken: expect.stringMatching(/^ugd_/) })
})
