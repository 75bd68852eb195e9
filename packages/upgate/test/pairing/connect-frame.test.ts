// Devices that speak `connect` of OpenClaw and moltis: the texts that their clients sign, and the answers
// they get.
import { randomBytes } from 'node:crypto'
import { connectFrame } from 'upgate/ws'
import { afterEach, describe, expect, test } from 'vitest'
import { client, type Signed, say } from './connect-request.ts'
import { admin, closeAll, DeviceIdentity, dial, type Gateway, nonceOf, startGateway } from './stage.ts'

afterEach(closeAll)

const start = (options = {}) => startGateway({ handshake: connectFrame({ deviceKeys: true, ...options }) })

async function paired(gateway: Gateway, device: DeviceIdentity, scopes = ['node.run']) {
  const made = await gateway.pairing.bootstrap.create({ actor: admin(), scopes })
  if (made.outcome !== 'done') throw new Error(made.reason)
  const asked = await say(gateway, device, { auth: { bootstrapToken: made.code }, scopes })
  const [pending] = await gateway.pairing.pending()
  await gateway.pairing.approve(pending?.id as string, { actor: admin() })
  return { asked, pending }
}

describe('OpenClaw', () => {
  test.each(['v3', 'v2'] as const)('pairs and connects with a %s signature', async (version) => {
    const gateway = await start()
    const device = new DeviceIdentity()
    const { asked, pending } = await paired(gateway, device)
    expect(asked.connection.challenge).toMatchObject({ type: 'event', event: 'connect.challenge' })
    expect(asked.answer).toMatchObject({
      type: 'res',
      id: 'c1',
      ok: false,
      error: {
        code: 'NOT_PAIRED',
        retryable: true,
        details: {
          code: 'PAIRING_REQUIRED',
          reason: 'pairing_required',
          recommendedNextStep: 'wait_then_retry',
          requestId: pending?.id,
          comparisonCode: pending?.comparisonCode,
        },
      },
    })
    expect(await asked.connection.closed()).toEqual({ code: 1008, reason: 'pairing_required' })
    expect(pending).toMatchObject({ keyId: device.id, name: 'node-host' })

    const first = await say(gateway, device, { version, scopes: ['node.run', 'operator.admin'] })
    const auth = (first.answer as { payload?: { auth?: { deviceToken?: string } } }).payload?.auth
    expect(first.answer).toMatchObject({
      ok: true,
      payload: {
        type: 'hello-ok',
        protocol: 4,
        auth: { role: 'node', scopes: ['node.run'], deviceToken: expect.stringMatching(/^ugd_/) },
        warnings: ['scope not granted: operator.admin'],
      },
    })
    // Like its clients afterwards: the token in two fields, together with the proof.
    const token = auth?.deviceToken as string
    const again = await say(gateway, device, { version, auth: { token, deviceToken: token } })
    expect(again.answer).toMatchObject({ ok: true, payload: { auth: { role: 'node' } } })
    expect(JSON.stringify(again.answer)).not.toContain('deviceToken')
  })

  test.each([
    ['a nonce of its own', { nonce: randomBytes(32).toString('base64url') }, 'invalid_credential'],
    ['the id of another, signed', { id: 'f'.repeat(64) }, 'invalid_credential'],
    ['another id', { change: { id: 'f'.repeat(64) } }, 'invalid_credential'],
    ['a time beyond the skew', { at: 1 }, 'expired_credential'],
    ['no signature', { change: { signature: undefined } }, 'bad_handshake'],
    ['a time that is none', { change: { signedAt: '1' } }, 'bad_handshake'],
    ['a separator in a field', { scopes: ['a|b'] }, 'bad_handshake'],
    ['a wrong code', { auth: { bootstrapToken: 'AAAA-BBBB-CCCC' } }, 'invalid_credential'],
    ['an unexpected password', { auth: { password: 'secret' } }, 'invalid_credential'],
  ] as const)('%s is refused', async (_, options, reason) => {
    const gateway = await start()
    const { answer } = await say(gateway, new DeviceIdentity(), options as Signed)
    expect(answer).toMatchObject({ ok: false, error: { details: { reason } } })
    expect(await gateway.pairing.pending()).toEqual([])
  })

  test('the application answers by itself, and the device learns its token all the same', async () => {
    const gateway = await start({ replay: true })
    const device = new DeviceIdentity()
    await paired(gateway, device)
    const { answer, connection } = await say(gateway, device)
    expect(answer).toMatchObject({
      type: 'event',
      event: 'pairing.token',
      payload: { deviceToken: expect.any(String) },
    })
    expect(String((await connection.next()).text)).toMatch(/^echo \{"type":"req"/)
  })

  test('a device without a key claims by `auth.claimSecret`', async () => {
    const gateway = await start()
    const claimSecret = randomBytes(32).toString('base64url')
    const made = await gateway.pairing.bootstrap.create({ actor: admin() })
    const bootstrapToken = made.outcome === 'done' ? made.code : ''
    const ask = async () => {
      const connection = await dial(gateway.port)
      const params = { client, role: 'node', auth: { claimSecret, bootstrapToken } }
      connection.ws.send(JSON.stringify({ type: 'req', id: '1', method: 'connect', params }))
      return connection.next()
    }
    expect(await ask()).toMatchObject({ error: { code: 'NOT_PAIRED' } })
    const [pending] = await gateway.pairing.pending()
    await gateway.pairing.approve(pending?.id as string, { actor: admin() })
    expect(await ask()).toMatchObject({ ok: true, payload: { auth: { deviceToken: expect.any(String) } } })
    expect(await ask()).toMatchObject({ error: { details: { pairing: 'already_collected' } } })
  })
})

describe('moltis', () => {
  const params = (device: DeviceIdentity, extra: object = {}) => ({
    protocol: { min: 3, max: 4 },
    client,
    role: 'node',
    auth: { publicKey: device.raw.toString('base64'), ...extra },
  })

  async function sayMoltis(gateway: Gateway, device: DeviceIdentity, extra: object = {}) {
    const connection = await dial(gateway.port)
    const send = (id: string, method: string, body: object) =>
      connection.ws.send(JSON.stringify({ type: 'req', id, method, params: body }))
    send('1', 'connect', params(device, extra))
    const challenge = (await connection.next()) as { event?: string; payload?: { nonce: string } }
    if (challenge.event !== 'node.auth.challenge') return challenge
    const nonce = Buffer.from(challenge.payload?.nonce as string, 'base64')
    expect(nonce).toHaveLength(32)
    const signature = Buffer.from(device.sign(nonce), 'base64url').toString('base64')
    send('2', 'node.auth.challenge-response', { signature })
    return connection.next()
  }

  test('proves its key over the nonce alone, where that is allowed', async () => {
    const gateway = await start({ dangerouslyAllowNonceOnly: true })
    const device = new DeviceIdentity()
    const made = await gateway.pairing.bootstrap.create({ actor: admin(), scopes: ['node.run'] })
    const token = made.outcome === 'done' ? made.code : ''
    expect(await sayMoltis(gateway, device, { token })).toMatchObject({
      id: '1',
      error: { code: 'NOT_PAIRED' },
    })
    const [pending] = await gateway.pairing.pending()
    expect(pending?.keyId).toBe(device.id)
    await gateway.pairing.approve(pending?.id as string, { actor: admin() })
    expect(await sayMoltis(gateway, device)).toMatchObject({
      id: '1',
      ok: true,
      payload: { type: 'hello-ok', auth: { deviceToken: expect.any(String) } },
    })
  })

  test('gets no challenge otherwise, and cannot answer a challenge that it did not get', async () => {
    const strict = await start()
    expect(await sayMoltis(strict, new DeviceIdentity())).toMatchObject({
      error: { details: { reason: 'auth_required' } },
    })
    const gateway = await start({ dangerouslyAllowNonceOnly: true })
    const connection = await dial(gateway.port)
    const nonce = nonceOf(connection)
    const signature = new DeviceIdentity().sign(Buffer.from(nonce, 'base64url'))
    const response = { type: 'req', id: '2', method: 'node.auth.challenge-response', params: { signature } }
    connection.ws.send(JSON.stringify(response))
    expect(await connection.closed()).toMatchObject({ reason: 'bad_handshake' })
  })
})
