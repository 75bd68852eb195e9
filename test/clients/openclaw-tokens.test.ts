// Where each way in ends for the published client of OpenClaw (@openclaw/gateway-client 2026.9.1), with attempts in 12 s of
// its own clock. It signs all that it sends: so a pasted device token came with a key that no record knew.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { GatewayClient, type GatewayClientOptions } from '@openclaw/gateway-client'
import {
  createServices,
  deviceKey,
  deviceToken,
  memoryStore,
  type PairingOptions,
  type Services,
  sharedToken,
} from 'upgate'
import { manualClock } from 'upgate/testing'
import { type ConnectFrameOptions, connectFrame } from 'upgate/ws'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { pass, type Stage, startStage, takeTimers } from './refusals-stage.ts'

const gatewayToken = 'gateway-token-0123456789abcdefghij'
const operator = { unbounded: 'the test' }

function newIdentity() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
  return {
    deviceId: createHash('sha256').update(raw).digest('hex'),
    publicKeyPem: raw.toString('base64url'),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
}

/** The file in which a node keeps its token. */
interface Kept {
  token: string | undefined
}

interface Place {
  readonly stage: Stage
  readonly services: Services
  /** Starts a client, lets 12 s pass, and tells how it fared. */
  run(options?: Partial<GatewayClientOptions>, seconds?: number): Promise<Fared>
  node(kept?: Kept, identity?: ReturnType<typeof newIdentity>): Partial<GatewayClientOptions>
}

interface Fared {
  readonly attempts: number
  readonly accepted: number
  /** The code with which the client gave up, if it did. */
  readonly stoppedBy: string | undefined
  readonly hello: { readonly role?: string; readonly scopes?: readonly string[] } | undefined
}

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closing.splice(0).reverse()) await close()
})

async function open(pairing: PairingOptions = {}, options: ConnectFrameOptions = {}): Promise<Place> {
  const clock = manualClock()
  const services = createServices({ store: memoryStore(), clock, pairing })
  const introducers = [
    sharedToken({
      token: gatewayToken,
      principal: { kind: 'service', id: 'gateway', scopes: [], roles: [] },
    }),
  ]
  const stage = await startStage({
    clock,
    schemes: [
      deviceToken({ devices: services.devices }),
      deviceKey({ pairing: services.pairing, devices: services.devices, introducers }),
    ],
    rules: [
      {
        path: '/',
        access: 'deferred',
        kinds: ['device'],
        handshake: connectFrame({ deviceKeys: true, ...options }),
      },
    ],
  })
  closing.push(async () => {
    await stage.close()
    await services.close()
  })
  takeTimers()
  return {
    stage,
    services,
    node: (kept = { token: undefined }, identity = newIdentity()) => ({
      deviceIdentity: identity,
      hostDeps: {
        signDevicePayload: (pem, payload) => sign(null, Buffer.from(payload), pem).toString('base64url'),
        publicKeyRawBase64UrlFromPem: (raw) => raw,
        loadDeviceAuthToken: () => (kept.token === undefined ? null : { token: kept.token, scopes: [] }),
        storeDeviceAuthToken: ({ token }) => {
          kept.token = token
        },
        clearDeviceAuthToken: () => {
          kept.token = undefined
        },
      },
    }),
    async run(given = {}, seconds = 12) {
      const before = { attempts: stage.attempts('/'), accepted: stage.accepted.length }
      let stoppedBy: string | undefined
      let hello: Fared['hello']
      const client = new GatewayClient({
        url: `ws://127.0.0.1:${stage.port}/`,
        role: 'node',
        mode: 'node',
        clientName: 'node-host',
        scopes: [],
        onReconnectPaused: ({ detailCode }) => {
          stoppedBy = String(detailCode)
        },
        onHelloOk: (ok) => {
          hello = ok.auth
        },
        ...given,
      })
      client.start()
      await pass(stage, seconds)
      client.stop()
      await pass(stage, 2)
      return {
        attempts: stage.attempts('/') - before.attempts,
        accepted: stage.accepted.length - before.accepted,
        stoppedBy,
        hello,
      }
    },
  }
}

const inAtOnce = { attempts: 1, accepted: 1, stoppedBy: undefined }
const refusedOnce = (stoppedBy: string) => ({ attempts: 1, accepted: 0, stoppedBy })

async function paired(place: Place, kept: Kept, identity: ReturnType<typeof newIdentity>) {
  const made = await place.services.pairing.bootstrap.create({ actor: operator })
  const bootstrapToken = made.outcome === 'done' ? made.code : ''
  const node = place.node(kept, identity)
  const running = place.run({ ...node, bootstrapToken })
  await vi.waitUntil(async () => {
    const [request] = await place.services.pairing.pending()
    return request && place.services.pairing.approve(request.id, { actor: operator })
  }, 20_000)
  const fared = await running
  const [device] = (await place.services.devices.list()).slice(-1)
  return { fared, id: device?.id as string }
}

describe('a pasted token', () => {
  test('is accepted with the key of the client, again after a restart, and its second key, too', async () => {
    const place = await open()
    const { token } = await place.services.devices.create({ name: 'kitchen' })
    const node = place.node()
    expect(await place.run({ ...node, token })).toMatchObject(inAtOnce)
    expect(await place.run({ ...node, deviceToken: token })).toMatchObject(inAtOnce)
    expect(await place.run({ ...place.node(), token })).toMatchObject(inAtOnce)
  })

  test('that is bound: a thief with another key stops after one attempt, the owner goes on', async () => {
    const place = await open({ bindKeys: true })
    const { token, id } = await place.services.devices.create({ name: 'kitchen' })
    const node = place.node()
    expect(await place.run({ ...node, token })).toMatchObject(inAtOnce)
    expect(await place.services.devices.get(id)).toMatchObject({ keyId: node.deviceIdentity?.deviceId })
    expect(await place.run({ ...place.node(), token })).toMatchObject(refusedOnce('AUTH_TOKEN_MISMATCH'))
    expect(await place.run({ ...node, token })).toMatchObject(inAtOnce)
  })

  test('that was revoked or is wrong stops it after one attempt', async () => {
    const place = await open()
    const { token, id } = await place.services.devices.create({ name: 'kitchen' })
    await place.services.devices.revoke(id)
    const node = place.node()
    expect(await place.run({ ...node, token })).toMatchObject(refusedOnce('AUTH_TOKEN_MISMATCH'))
    expect(await place.run({ ...node, token: 'wrong' })).toMatchObject(refusedOnce('AUTH_TOKEN_MISMATCH'))
    expect(await place.run(node)).toMatchObject(refusedOnce('AUTH_TOKEN_MISSING'))
  })
})

describe('a paired node', () => {
  test('waits for the approval, then comes with its stored token', async () => {
    const place = await open()
    const kept: Kept = { token: undefined }
    const identity = newIdentity()
    const { fared } = await paired(place, kept, identity)
    expect(fared).toMatchObject({ accepted: 1, stoppedBy: undefined })
    expect(kept.token).toMatch(/^ugd_/)
    expect(await place.run(place.node(kept, identity))).toMatchObject(inAtOnce)
  })

  test('rotated once while away: back at once with a new token; twice: the token is dropped, the key enters', async () => {
    const place = await open()
    const kept: Kept = { token: undefined }
    const identity = newIdentity()
    const { id } = await paired(place, kept, identity)
    const first = kept.token
    await place.services.devices.rotate(id)
    expect(await place.run(place.node(kept, identity))).toMatchObject(inAtOnce)
    expect(kept.token).not.toBe(first)
    await place.services.devices.rotate(id)
    await place.services.devices.rotate(id)
    expect(await place.run(place.node(kept, identity))).toMatchObject(
      refusedOnce('AUTH_DEVICE_TOKEN_MISMATCH'),
    )
    expect(kept.token).toBeUndefined()
    expect(await place.run(place.node(kept, identity))).toMatchObject(inAtOnce)
  })

  test('revoked, its key is good for nothing; paired again it is another device', async () => {
    const place = await open()
    const kept: Kept = { token: undefined }
    const identity = newIdentity()
    const { id } = await paired(place, kept, identity)
    await place.services.devices.revoke(id)
    expect(await place.run(place.node(kept, identity))).toMatchObject(
      refusedOnce('AUTH_DEVICE_TOKEN_MISMATCH'),
    )
    expect(kept.token).toBeUndefined()
    expect(await place.run(place.node(kept, identity))).toMatchObject(refusedOnce('AUTH_TOKEN_MISMATCH'))
    const again = await paired(place, kept, identity)
    expect(again.fared).toMatchObject({ accepted: 1, stoppedBy: undefined })
    expect(again.id).not.toBe(id)
    expect(await place.run(place.node(kept, identity))).toMatchObject(inAtOnce)
  })

  test('a stolen token with another key stops the thief after one attempt, and drops the copy', async () => {
    const place = await open()
    const kept: Kept = { token: undefined }
    const identity = newIdentity()
    await paired(place, kept, identity)
    const copy: Kept = { token: kept.token }
    expect(await place.run(place.node(copy))).toMatchObject(refusedOnce('AUTH_DEVICE_TOKEN_MISMATCH'))
    expect(copy.token).toBeUndefined()
    expect(await place.run(place.node(kept, identity))).toMatchObject(inAtOnce)
  })

  test('asking for more is let in with its old rights; after the approval it has more', async () => {
    const place = await open({ roles: { node: [] } })
    const kept: Kept = { token: undefined }
    const identity = newIdentity()
    await paired(place, kept, identity)
    const scopes = ['node.run']
    const node = { ...place.node(kept, identity), scopes }
    const before = await place.run(node)
    expect(before).toMatchObject(inAtOnce)
    expect(before.hello?.scopes).toEqual([])
    const [request, ...more] = await place.services.pairing.pending()
    expect(more).toEqual([])
    expect(request).toMatchObject({ upgrade: { asks: ['scopes'] } })
    await place.services.pairing.approve(request?.id as string, { actor: operator })
    const after = await place.run(node)
    expect(after).toMatchObject(inAtOnce)
    expect(after.hello?.scopes).toEqual(scopes)
  })

  test('with a gateway token that was replaced: it retries once with both, and enters by its own', async () => {
    const place = await open()
    const kept: Kept = { token: undefined }
    const identity = newIdentity()
    await paired(place, kept, identity)
    // A known key needs no introducer: the stale gateway token costs it nothing.
    const stale = { ...place.node(kept, identity), token: 'gateway-token-of-last-year' }
    expect(await place.run(stale)).toMatchObject(inAtOnce)
    // A pasted token that was revoked does count against it: then the client adds the one that it stored.
    const other = await place.services.devices.create({ name: 'other' })
    await place.services.devices.revoke(other.id)
    expect(await place.run({ ...place.node(kept, identity), token: other.token })).toMatchObject({
      attempts: 2,
      accepted: 1,
      stoppedBy: undefined,
    })
  })
})

describe('the version of the protocol', () => {
  test('a node host comes back with the older one; another client stops after one attempt', async () => {
    const place = await open({}, { protocol: { min: 3, max: 3 } })
    const { token } = await place.services.devices.create({ name: 'kitchen' })
    expect(await place.run({ ...place.node(), token })).toMatchObject({ attempts: 2, accepted: 1 })
    expect(await place.run({ ...place.node(), token, mode: 'backend' })).toMatchObject(
      refusedOnce('PROTOCOL_MISMATCH'),
    )
  })
})
