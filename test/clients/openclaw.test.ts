// What the published client of OpenClaw does after each refusal: by its own decision function, and by its own
// sockets. Of 13 final refusals, 12 once made it connect again without end, and a temporary one stopped it for good.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GatewayClient, type GatewayClientOptions } from '@openclaw/gateway-client'
import { shouldPauseGatewayReconnect } from '@openclaw/gateway-client/browser'
import { createServices, deviceKey, deviceToken, type RefusalCode, type Scheme } from 'upgate'
import { adviceFor, type CloseAdvice, refusalCodes } from 'upgate/protocol'
import { sqliteStore } from 'upgate/sql'
import { manualClock } from 'upgate/testing'
import { connectFrame, type HandshakeContext } from 'upgate/ws'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { inBand, isFinal, pass, refusing, type Stage, startStage, takeTimers } from './refusals-stage.ts'

const context = (): HandshakeContext => ({
  state: undefined,
  now: () => 0,
  randomId: () => 'nonce',
  httpPrincipal: undefined,
  value: undefined,
  path: '/ws',
  clientAddress: undefined,
  gone: false,
})

const proofs = {
  nothing: {},
  token: { token: 't' },
  'device token': { token: 't', deviceToken: 't' },
  'bootstrap token': { bootstrapToken: 't' },
  password: { password: 'p' },
} as const

/** The words for a refusal of a request that carried a proof. */
function worded(code: RefusalCode, auth: object, facts?: Record<string, string | number>) {
  const handshake = connectFrame({ challenge: true })
  const about = context()
  const params = { minProtocol: 4, maxProtocol: 4, client: { id: 'node-host' }, role: 'node', auth }
  const text = JSON.stringify({ type: 'req', id: 'c1', method: 'connect', params })
  handshake.receive({ binary: false, text }, about)
  const said = handshake.reject({ code, detail: 'No.', action: 'Stop.', facts }, about)
  return {
    ...said,
    error: JSON.parse(String(said.frames[0])).error as { code: string; details: Record<string, unknown> },
  }
}

/** Whether the client stops, asked as its own `GatewayClient` asks. */
function stops(details: unknown): boolean {
  return shouldPauseGatewayReconnect({
    details,
    deviceTokenRetryPending: false,
    tokenMismatchIsTerminal: true,
    protocolMismatchIsTerminal: true,
    clientVersionMismatchIsTerminal: true,
  } as Parameters<typeof shouldPauseGatewayReconnect>[0])
}

describe("the client's own decision function", () => {
  for (const [proof, auth] of Object.entries(proofs)) {
    test(`stops where our advice says stop, for a request with ${proof}`, () => {
      const answers = inBand.map((code) => [code, stops(worded(code, auth).error.details)])
      expect(Object.fromEntries(answers)).toEqual(
        Object.fromEntries(inBand.map((code) => [code, isFinal(code)])),
      )
    })
  }

  test('the close code gives the same advice, where the protocol has a code for it', () => {
    const wrong = inBand.filter((code) => {
      const advice: CloseAdvice = adviceFor(worded(code, proofs.token).closeCode)
      return code !== 'pairing_required' && (advice === 'stop') !== isFinal(code)
    })
    expect(wrong).toEqual([])
  })

  test('a device token that does not count is dropped by both lines of the client', () => {
    for (const code of ['invalid_credential', 'expired_credential', 'revoked_credential'] as const) {
      const { error, closeCode, closeReason } = worded(code, proofs['device token'])
      expect(error.details.code).toBe('AUTH_DEVICE_TOKEN_MISMATCH')
      expect({ closeCode, closeReason }).toEqual({
        closeCode: 1008,
        closeReason: `${code}: device token mismatch`,
      })
    }
    // Whatever has nothing to do with the token must not cost the device its token.
    const others = refusalCodes.filter((code) => !/^(invalid|expired|revoked)_credential$/.test(code))
    for (const code of others) {
      const { error, closeReason } = worded(code, proofs['device token'])
      expect(error.details.code).not.toBe('AUTH_DEVICE_TOKEN_MISMATCH')
      expect(closeReason).toBe(code)
    }
  })

  test('a clock that is wrong, and an approval that was not collected in time, are temporary', () => {
    const clock = worded('expired_credential', proofs['device token'], { serverTime: 1 })
    expect(clock.error.details.code).toBe('DEVICE_AUTH_SIGNATURE_EXPIRED')
    const late = worded('expired_credential', proofs.token, { pairing: 'request_expired' })
    expect(late.error.details.code).toBe('PAIRING_REQUIRED')
    expect([stops(clock.error.details), stops(late.error.details)]).toEqual([false, false])
  })

  test('an uninvited device is not told to wait for an approval', () => {
    const { error } = worded('unknown_identity', proofs.nothing, { pairing: 'introduction_required' })
    expect(error.details.code).toBe('AUTH_TOKEN_MISSING')
    expect(stops(error.details)).toBe(true)
  })
})

const identity = (() => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
  return {
    deviceId: createHash('sha256').update(raw).digest('hex'),
    publicKeyPem: raw.toString('base64url'),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
})()

const hostDeps: NonNullable<GatewayClientOptions['hostDeps']> = {
  signDevicePayload: (pem, payload) => sign(null, Buffer.from(payload), pem).toString('base64url'),
  publicKeyRawBase64UrlFromPem: (raw) => raw,
}

function connect(port: number, path: string, options: Partial<GatewayClientOptions> = {}) {
  const paused: string[] = []
  const client = new GatewayClient({
    url: `ws://127.0.0.1:${port}${path}`,
    role: 'node',
    mode: 'node',
    clientName: 'node-host',
    scopes: [],
    token: 'a-gateway-token',
    deviceIdentity: identity,
    hostDeps,
    onReconnectPaused: ({ detailCode }) => paused.push(String(detailCode)),
    ...options,
  })
  client.start()
  return { client, paused }
}

/** Verifies nothing: the handshakes of these tests refuse before. */
const scheme: Scheme = {
  name: 'none',
  ambient: false,
  claims: () => true,
  verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: 'none' }),
}

describe('its real sockets, for a minute and a half of its own clock', () => {
  let stage: Stage
  const clients = new Map<RefusalCode, ReturnType<typeof connect>>()

  beforeAll(async () => {
    const handshake = connectFrame({ deviceKeys: true })
    stage = await startStage({
      schemes: [scheme],
      rules: inBand.map((code) => ({
        path: `/${code}`,
        access: 'deferred',
        kinds: ['device'],
        handshake: refusing(handshake, code),
      })),
    })
    takeTimers()
    for (const code of inBand) clients.set(code, connect(stage.port, `/${code}`))
    await pass(stage, 90)
  })

  afterAll(async () => {
    for (const { client } of clients.values()) client.stop()
    vi.useRealTimers()
    await stage.close()
  })

  test.each(inBand.map((code) => [code, isFinal(code) ? 'stops it' : 'brings it back'] as const))(
    '%s %s',
    (code) => {
      const attempts = stage.attempts(`/${code}`)
      const paused = clients.get(code)?.paused
      if (isFinal(code)) {
        expect({ attempts, paused: paused?.length }).toEqual({ attempts: 1, paused: 1 })
      } else {
        // At 0, 1, 3, 7, 15, 31 and 61 s.
        expect(attempts).toBeGreaterThanOrEqual(5)
        expect(attempts).toBeLessThanOrEqual(8)
        expect(paused).toEqual([])
      }
    },
  )
})

describe('a node whose token was rotated while it was away', () => {
  afterEach(() => void vi.useRealTimers())

  test('comes back with its old token, gets a new one, and drops a token that is older', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-node-'))
    const store = await sqliteStore({ file: join(folder, 'gateway.db') })
    const clock = manualClock()
    const services = createServices({ store, clock })
    const { devices, pairing } = services
    const gateway = await startStage({
      clock,
      schemes: [deviceToken({ devices }), deviceKey({ pairing, devices })],
      rules: [
        { path: '/', access: 'deferred', kinds: ['device'], handshake: connectFrame({ deviceKeys: true }) },
      ],
    })
    takeTimers()
    /** The file in which the node keeps its token. */
    let kept: string | undefined
    const node = (options: Partial<GatewayClientOptions> = {}) => {
      const stored: string[] = []
      const started = connect(gateway.port, '/', {
        token: '',
        hostDeps: {
          ...hostDeps,
          loadDeviceAuthToken: () => (kept === undefined ? null : { token: kept, scopes: [] }),
          storeDeviceAuthToken: ({ token }) => {
            kept = token
            stored.push(token)
          },
          clearDeviceAuthToken: () => {
            kept = undefined
          },
        },
        ...options,
      })
      return { ...started, stored }
    }
    const accepted = () => gateway.accepted.length
    const rotate = async (id: string): Promise<void> => {
      expect((await devices.rotate(id)).outcome).toBe('done')
    }

    // It pairs with a code, and waits by itself for the approval.
    const operator = { unbounded: 'the test' }
    const made = await pairing.bootstrap.create({ actor: operator })
    const first = node({ bootstrapToken: made.outcome === 'done' ? made.code : '' })
    await pass(gateway, 3)
    const [request] = await pairing.pending()
    await pairing.approve(request?.id as string, { actor: operator })
    await pass(gateway, 10)
    expect({ accepted: accepted(), paused: first.paused, stored: first.stored.length }).toEqual({
      accepted: 1,
      paused: [],
      stored: 1,
    })
    const [device] = await devices.list()
    const id = device?.id as string
    first.client.stop()
    await pass(gateway, 2)

    await rotate(id)
    const rotated = kept
    const second = node()
    await pass(gateway, 3)
    expect({ accepted: accepted(), stored: second.stored }).toEqual({ accepted: 2, stored: [kept] })
    expect(kept).not.toBe(rotated)

    // Its live socket is closed by the next rotation: the client comes back by itself, and goes on with a newer token.
    const before = kept
    await rotate(id)
    await pass(gateway, 3)
    expect({ accepted: accepted(), paused: second.paused }).toEqual({ accepted: 3, paused: [] })
    expect(kept).not.toBe(before)
    second.client.stop()
    await pass(gateway, 2)

    // Two rotations: the token is older than the last one. It is dropped, and the next start needs none.
    await rotate(id)
    await rotate(id)
    const third = node()
    await pass(gateway, 30)
    expect({ accepted: accepted(), paused: third.paused, kept }).toEqual({
      accepted: 3,
      paused: ['AUTH_DEVICE_TOKEN_MISMATCH'],
      kept: undefined,
    })
    const fourth = node()
    await pass(gateway, 3)
    expect({ accepted: accepted(), paused: fourth.paused }).toEqual({ accepted: 4, paused: [] })

    // Revoked: the live socket ends, the client tries once more, and stops.
    await devices.revoke(id)
    await pass(gateway, 60)
    expect({ accepted: accepted(), paused: fourth.paused }).toEqual({
      accepted: 4,
      paused: ['AUTH_TOKEN_MISMATCH'],
    })
    vi.useRealTimers()
    await gateway.close()
    await services.close()
    await rm(folder, { recursive: true })
  })
})

describe('the version of the protocol', () => {
  afterEach(() => void vi.useRealTimers())

  test('a node host that speaks 4 comes back with 3, where we speak nothing newer', async () => {
    const handshake = connectFrame({ deviceKeys: true, protocol: { min: 3, max: 3 } })
    const rules = [{ path: '/', access: 'deferred', kinds: ['device'], handshake }] as const
    const stage = await startStage({ schemes: [scheme], rules })
    takeTimers()
    const { client, paused } = connect(stage.port, '/')
    await pass(stage, 5)
    // The second one spoke version 3, and was refused for its token.
    expect({ attempts: stage.attempts('/'), paused }).toEqual({
      attempts: 2,
      paused: ['AUTH_TOKEN_MISMATCH'],
    })
    client.stop()
    vi.useRealTimers()
    await stage.close()
  })
})

test('it reads our code in the answer to a refused upgrade', async () => {
  const handshake = connectFrame()
  const rules = [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake }] as const
  const stage = await startStage({ schemes: [scheme], rules })
  const error = await new Promise<Error>((resolve) => {
    const { client } = connect(stage.port, '/other', {
      onConnectError(refused) {
        client.stop()
        resolve(refused)
      },
    })
  })
  expect(error).toMatchObject({
    details: {
      httpStatus: 401,
      gatewayErrorType: 'auth_required',
      gatewayErrorMessage: 'No credential was sent, or none that counts here.',
    },
  })
  await stage.close()
})
