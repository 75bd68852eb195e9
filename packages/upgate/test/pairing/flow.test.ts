// The whole life of a device, over real sockets: unknown, waiting, approved, at work, revoked.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { type Principal, type Scheme, sharedToken } from 'upgate'
import { connectFrame, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, test } from 'vitest'
import {
  admin,
  closeAll,
  connect,
  DeviceIdentity,
  dial,
  origin,
  pairDevice,
  signedAuth,
  startGateway,
} from './stage.ts'

afterEach(closeAll)

/** Requests over HTTP with `http.request`: fetch cannot set the Host header. */
async function http(
  port: number,
  token: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const headers = { authorization: `Bearer ${token}`, host: 'gateway.example.com' }
  const asked = request({ port, host: '127.0.0.1', path: '/api/me', headers }).end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }
}

async function codeFor(
  gateway: Awaited<ReturnType<typeof startGateway>>,
  scopes = ['node.run'],
): Promise<string> {
  const made = await gateway.pairing.bootstrap.create({ actor: admin(), scopes })
  if (made.outcome !== 'done') throw new Error(made.reason)
  return made.code
}

describe('a device with a key', () => {
  test('asks, is approved, collects its token once, works over HTTP too, and is closed when revoked (section 4 items 12 and 18)', async () => {
    const gateway = await startGateway()
    const device = new DeviceIdentity()

    const stranger = await connect(gateway, device, { name: 'kitchen' })
    expect(stranger.answer).toMatchObject({
      type: 'auth_error',
      code: 'unknown_identity',
      facts: { pairing: 'introduction_required' },
    })
    expect(await stranger.connection.closed()).toEqual({ code: 4403, reason: 'unknown_identity' })
    expect(await gateway.pairing.pending()).toEqual([])

    const code = await codeFor(gateway)
    expect(code).toMatch(/^[2-9A-HJKMNP-TV-Z]{4}(-[2-9A-HJKMNP-TV-Z]{4}){2}$/)
    const wish = { name: 'kitchen', role: 'node', scopes: ['node.run', 'operator.admin'], token: code }
    const asked = await connect(gateway, device, wish)
    const [pending] = await gateway.pairing.pending()
    expect(asked.answer).toMatchObject({
      type: 'auth_error',
      code: 'pairing_required',
      message: 'This device is not paired yet; its request waits for approval.',
      facts: { requestId: pending?.id, comparisonCode: pending?.comparisonCode },
    })
    expect(asked.answer.facts?.comparisonCode).toMatch(/^[2-9A-HJKMNP-TV-Z]{6}$/)
    expect(await asked.connection.closed()).toEqual({ code: 4403, reason: 'pairing_required' })
    expect(pending).toMatchObject({
      name: 'kitchen',
      keyId: device.id,
      introduction: 'code',
      state: 'pending',
      // No header names the client, and a loopback peer may speak for any.
      clientAddress: undefined,
      peerAddress: expect.stringMatching(/127\.0\.0\.1$/),
    })

    // The wish exceeds the code, so approving it unchanged is refused.
    const id = pending?.id as string
    expect(await gateway.pairing.approve(id, { actor: admin() })).toMatchObject({ code: 'beyond_invitation' })
    const approved = await gateway.pairing.approve(id, { actor: admin(), scopes: ['node.run'] })
    expect(approved).toMatchObject({ outcome: 'done', request: { state: 'approved', decidedBy: 'ada' } })

    const collected = await connect(gateway, device, wish)
    expect(collected.answer).toMatchObject({
      type: 'auth_ok',
      principal: { kind: 'device' },
      scopes: ['node.run'],
      roles: ['node'],
      dropped: { scopes: ['operator.admin'] },
      deviceToken: expect.stringMatching(/^ugd_/),
    })
    collected.connection.ws.send('hello')
    expect(await collected.connection.next()).toEqual({ text: 'echo hello' })

    const again = await connect(gateway, device)
    expect(again.answer).toMatchObject({ type: 'auth_ok', principal: collected.answer.principal })
    expect(again.answer.deviceToken).toBeUndefined()

    const { id: deviceId } = collected.answer.principal as Principal
    const token = collected.answer.deviceToken as string
    expect((await http(gateway.port, token)).text).toBe(deviceId)
    const record = await gateway.services.devices.get(deviceId)
    expect(record).toMatchObject({ name: 'kitchen', role: 'node', scopes: ['node.run'], createdBy: 'ada' })

    await gateway.services.devices.revoke(deviceId)
    expect(await collected.connection.closed()).toEqual({ code: 4403, reason: 'revoked' })
    expect(await again.connection.closed()).toEqual({ code: 4403, reason: 'revoked' })
    expect((await http(gateway.port, token)).status).toBe(401)
    expect((await connect(gateway, device)).answer.code).toBe('revoked_credential')
    expect(gateway.steps()).toEqual(['invited', 'requested', 'approved', 'collected'])
    expect(JSON.stringify(gateway.events)).not.toContain(token)
    expect(JSON.stringify(gateway.events)).not.toContain(code)
    expect(gateway.errors).toEqual([])
  })

  test('that was revoked can ask again only with a new code, and gets a new identity', async () => {
    const gateway = await startGateway()
    const device = new DeviceIdentity()
    const first = await pairDevice(gateway, device)
    await gateway.services.devices.revoke((first.answer.principal as Principal).id)
    await gateway.pairing.openWindow({ actor: admin() })
    expect((await connect(gateway, device)).answer.code).toBe('revoked_credential')
    const second = await pairDevice(gateway, device)
    expect(second.answer).toMatchObject({ type: 'auth_ok' })
    expect((second.answer.principal as Principal).id).not.toBe((first.answer.principal as Principal).id)
    expect((await http(gateway.port, first.token)).status).toBe(401)
    expect((await http(gateway.port, second.token)).status).toBe(200)
  })

  test('that waits is not counted as a failure', async () => {
    const gateway = await startGateway()
    const device = new DeviceIdentity()
    const headers = { 'x-forwarded-for': '203.0.113.9' }
    const token = await codeFor(gateway)
    for (let i = 0; i < 12; i++) {
      const { answer, connection } = await connect(gateway, device, { token }, headers)
      expect(answer).toMatchObject({ code: 'pairing_required', retryAfter: 5 })
      await connection.closed()
    }
    const others = await Promise.all(Array.from({ length: 5 }, () => dial(gateway.port, { headers })))
    expect(others).toHaveLength(5)
    for (const { ws } of others) ws.terminate()
  })

  test('has one request, however often it connects, and learns of its rejection', async () => {
    const gateway = await startGateway()
    const device = new DeviceIdentity()
    const token = await codeFor(gateway)
    const first = await connect(gateway, device, { token })
    const second = await connect(gateway, device, { token })
    const third = await connect(gateway, device)
    for (const { answer } of [second, third]) expect(answer.facts).toEqual(first.answer.facts)
    const id = first.answer.facts?.requestId as string
    await gateway.pairing.reject(id, { actor: admin() })
    const rejected = await connect(gateway, device)
    expect(rejected.answer).toMatchObject({ code: 'pairing_rejected', facts: { requestId: id } })
    expect(await rejected.connection.closed()).toEqual({ code: 4403, reason: 'pairing_rejected' })
    gateway.clock.advance(300_000)
    expect((await connect(gateway, device)).answer.code).toBe('unknown_identity')
  })

  test('keeps its approval if the rule refuses it: no token is made that no client receives', async () => {
    const gateway = await startGateway({ demands: { scopes: ['operator.admin'] } })
    const device = new DeviceIdentity()
    const { answer } = await pairDevice(gateway, device)
    expect(answer).toMatchObject({ type: 'auth_error', code: 'insufficient_scope' })
    expect(await gateway.services.devices.list()).toEqual([])
    expect(gateway.steps()).not.toContain('collected')
  })

  test('may send its token along: token and key must belong to one device', async () => {
    const gateway = await startGateway()
    const [one, two] = [new DeviceIdentity(), new DeviceIdentity()]
    const first = await pairDevice(gateway, one)
    const second = await pairDevice(gateway, two)
    expect((await connect(gateway, one, { token: first.token })).answer.type).toBe('auth_ok')
    expect((await connect(gateway, one, { token: second.token })).answer.code).toBe('invalid_credential')
    await gateway.pairing.openWindow({ actor: admin() })
    expect((await connect(gateway, new DeviceIdentity(), { token: first.token })).answer.code).toBe(
      'invalid_credential',
    )
    expect(await gateway.pairing.pending()).toEqual([])
  })
})

describe('a device without a key', () => {
  const secret = createHash('sha256').update('the secret of a device').digest('base64url')

  test('is identified by its claim secret until it has its token, and by the token alone afterwards', async () => {
    const gateway = await startGateway()
    const frame = { type: 'auth', claim: secret, name: 'sensor', token: await codeFor(gateway) }
    const ask = async () => {
      const connection = await dial(gateway.port)
      connection.ws.send(JSON.stringify(frame))
      return connection.next()
    }
    const asked = await ask()
    expect(asked.code).toBe('pairing_required')
    await gateway.pairing.approve(asked.facts?.requestId as string, { actor: admin() })
    const collected = await ask()
    expect(collected).toMatchObject({ type: 'auth_ok', deviceToken: expect.stringMatching(/^ugd_/) })
    expect(await ask()).toMatchObject({
      code: 'expired_credential',
      facts: { pairing: 'already_collected', requestId: asked.facts?.requestId },
    })
    const connection = await dial(gateway.port)
    connection.ws.send(JSON.stringify({ type: 'auth', token: collected.deviceToken }))
    expect(await connection.next()).toMatchObject({ type: 'auth_ok', principal: collected.principal })
  })

  test('cannot use a short secret', async () => {
    const gateway = await startGateway({ services: { pairing: { dangerouslyAllowAnonymous: true } } })
    const connection = await dial(gateway.port)
    connection.ws.send(JSON.stringify({ type: 'auth', claim: 'secret' }))
    expect((await connection.next()).code).toBe('invalid_credential')
    expect(await gateway.pairing.pending()).toEqual([])
  })
})

describe('permission to ask', () => {
  const shared = 'the-shared-token-of-the-gateway'
  const introducers: readonly Scheme[] = [
    sharedToken({ token: shared, principal: { kind: 'service', id: 'shared', scopes: ['operator.admin'] } }),
  ]

  test('a shared token introduces a device, and adds nothing to its rights', async () => {
    const gateway = await startGateway({ introducers })
    const device = new DeviceIdentity()
    expect((await connect(gateway, device, { token: 'a-wrong-token-of-the-gateway' })).answer.code).toBe(
      'invalid_credential',
    )
    const { answer } = await connect(gateway, device, { token: shared })
    expect(answer.code).toBe('pairing_required')
    const [pending] = await gateway.pairing.pending()
    expect(pending).toMatchObject({
      introduction: 'credential',
      introducer: 'shared',
      scopes: [],
      limit: undefined,
    })
    await gateway.pairing.approve(pending?.id as string, { actor: admin() })
    const collected = await connect(gateway, device, { token: shared })
    expect(collected.answer).toMatchObject({ type: 'auth_ok', scopes: [], roles: ['node'] })
    // After a rotation of the shared token: a paired device does not need it any more.
    expect((await connect(gateway, device, { token: 'another-token-of-the-gateway' })).answer.type).toBe(
      'auth_ok',
    )
  })

  test('a user proved by HTTP introduces a device, but the device collects alone', async () => {
    const user: Scheme = {
      name: 'login',
      ambient: false,
      extract: (request) =>
        request.headers.authorization === 'Login ada'
          ? {
              location: 'authorization',
              credential: { type: 'opaque', source: 'header', name: 'login', value: 1 },
            }
          : undefined,
      verify: () => ({ outcome: 'authenticated', principal: admin() }),
    }
    const gateway = await startGateway({ schemes: [user] })
    const device = new DeviceIdentity()
    const headers = { authorization: 'Login ada' }
    const { answer } = await connect(gateway, device, {}, headers)
    expect(answer.code).toBe('pairing_required')
    expect((await gateway.pairing.pending())[0]).toMatchObject({
      introduction: 'credential',
      introducer: 'ada',
    })
    await gateway.pairing.approve(answer.facts?.requestId as string, { actor: admin() })
    expect((await connect(gateway, device, {}, headers)).answer.code).toBe('principal_mismatch')
    expect((await connect(gateway, device)).answer.deviceToken).toMatch(/^ugd_/)
  })

  test('any device may ask while a window is open, within its bounds', async () => {
    const gateway = await startGateway()
    const opened = await gateway.pairing.openWindow({ actor: admin(), scopes: ['node.run'], for: 60_000 })
    expect(opened.outcome).toBe('done')
    const device = new DeviceIdentity()
    const { answer } = await connect(gateway, device, { scopes: ['operator.admin'] })
    const id = answer.facts?.requestId as string
    expect(await gateway.pairing.get(id)).toMatchObject({
      introduction: 'window',
      limit: { scopes: ['node.run'] },
    })
    expect(await gateway.pairing.approve(id, { actor: admin() })).toMatchObject({ code: 'beyond_invitation' })
    gateway.clock.advance(60_000)
    expect((await connect(gateway, new DeviceIdentity())).answer.code).toBe('unknown_identity')
  })

  test('a web page of a foreign origin is refused before it can ask (section 4 item 2)', async () => {
    const gateway = await startGateway({ services: { pairing: { dangerouslyAllowAnonymous: true } } })
    await expect(dial(gateway.port, { headers: { origin: 'https://evil.example' } })).rejects.toThrow('403')
    const page = await dial(gateway.port, { headers: { origin } })
    expect(page.challenge).toMatchObject({ type: 'auth_challenge' })
    page.ws.close()
    expect(await gateway.pairing.pending()).toEqual([])
  })

  test('wrong codes are counted as guesses: 429 before the upgrade, for the address that guesses', async () => {
    const gateway = await startGateway({ services: { pairing: { dangerouslyAllowAnonymous: true } } })
    const headers = { 'x-forwarded-for': '203.0.113.9' }
    const wrong = { token: 'AAAA-BBBB-CCCC' }
    for (let i = 0; i < 10; i++) {
      const { answer } = await connect(gateway, new DeviceIdentity(), wrong, headers)
      expect(answer.code).toBe('invalid_credential')
    }
    await expect(connect(gateway, new DeviceIdentity(), wrong, headers)).rejects.toThrow('429')
    const other = { 'x-forwarded-for': '203.0.113.10' }
    const code = await codeFor(gateway)
    expect((await connect(gateway, new DeviceIdentity(), { token: code }, other)).answer.code).toBe(
      'pairing_required',
    )
    expect((await gateway.pairing.pending()).map(({ clientAddress }) => clientAddress)).toEqual([
      '203.0.113.10',
    ])
  })
})

/** Hex, of the point (0, 1). */
const neutral = `01${'0'.repeat(62)}`
const inBase64 = (fields: object): object =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]: [string, string]) => [
      name,
      /^01[0-9a-f]{62,}$/.test(value) ? Buffer.from(value, 'hex').toString('base64url') : value,
    ]),
  )

describe('a proof', () => {
  test('a signature for another connection or nonce, or with a wrong clock, does not count', async () => {
    const gateway = await startGateway()
    const device = new DeviceIdentity()
    await pairDevice(gateway, device)
    const [one, two] = [await dial(gateway.port), await dial(gateway.port)]
    const frame = JSON.stringify(signedAuth(device, String(one.challenge?.nonce), gateway.clock.now()))
    two.ws.send(frame)
    expect((await two.next()).code).toBe('invalid_credential')
    one.ws.send(frame)
    expect((await one.next()).type).toBe('auth_ok')

    for (const [offset, code] of [
      [120_000, undefined],
      [-120_000, undefined],
      [120_001, 'expired_credential'],
      [-120_001, 'expired_credential'],
    ] as const) {
      const connection = await dial(gateway.port)
      const at = gateway.clock.now() + offset
      connection.ws.send(JSON.stringify(signedAuth(device, String(connection.challenge?.nonce), at)))
      expect((await connection.next()).code, String(offset)).toBe(code)
    }
  })

  test('values that a client nests in its frame are no proof', async () => {
    const gateway = await startGateway()
    const device = new DeviceIdentity()
    await pairDevice(gateway, device)
    const { deviceKey } = await import('upgate')
    const scheme = deviceKey({ pairing: gateway.pairing, devices: gateway.services.devices })
    const text = 'chosen by the client'
    const proof = {
      by: 'key',
      publicKey: device.publicKey,
      signature: device.sign(text),
      signedTexts: [text],
      wish: {},
    }
    const context = { clientAddress: undefined, dryRun: false, path: '/ws', origin: undefined }
    for (const value of [proof, { proof }, { 'Symbol(upgate.device-proof)': true, proof }]) {
      const credential = { type: 'opaque', source: 'frame', name: 'device-key', value } as const
      expect(await scheme.verify(credential, context)).toMatchObject({ code: 'invalid_credential' })
    }
  })

  test.each([
    ['a key that is none', { publicKey: 'AAAA' }],
    ['a key of small order', { publicKey: Buffer.alloc(32).toString('base64url') }],
    // The neutral element: as key and as R, with S = 0, it satisfies the equation of RFC 8032 for every text.
    [
      'a key for which one signature fits every text',
      { publicKey: neutral, signature: neutral + '0'.repeat(64) },
    ],
    ['a signature that is too short', { signature: 'AAAA' }],
    ['a signature that is too long', { signature: 'A'.repeat(5000) }],
    ['another key', { publicKey: new DeviceIdentity().publicKey }],
  ])('%s is refused', async (_, change) => {
    const gateway = await startGateway({ services: { pairing: { dangerouslyAllowAnonymous: true } } })
    const connection = await dial(gateway.port)
    const frame = signedAuth(
      new DeviceIdentity(),
      String(connection.challenge?.nonce),
      gateway.clock.now(),
    ) as {
      device: object
    }
    connection.ws.send(JSON.stringify({ ...frame, device: { ...frame.device, ...inBase64(change) } }))
    expect((await connection.next()).code).toBe('invalid_credential')
    expect(await gateway.pairing.pending()).toEqual([])
  })

  test('the signature covers the wish: role, scopes, name and code cannot be exchanged', async () => {
    const gateway = await startGateway({ services: { pairing: { dangerouslyAllowAnonymous: true } } })
    for (const change of [
      { role: 'operator' },
      { scopes: ['x'] },
      { name: 'other' },
      { token: 'AAAA-BBBB-CCCC' },
    ]) {
      const connection = await dial(gateway.port)
      const nonce = String(connection.challenge?.nonce)
      const frame = signedAuth(new DeviceIdentity(), nonce, gateway.clock.now(), { role: 'node' })
      connection.ws.send(JSON.stringify({ ...frame, ...change }))
      expect((await connection.next()).code, JSON.stringify(change)).toBe('invalid_credential')
    }
    expect(await gateway.pairing.pending()).toEqual([])
  })

  test('a challenge counts for one proof, even if a socket may try again', () => {
    const device = new DeviceIdentity()
    const context = {
      state: undefined as unknown,
      now: () => 0,
      randomId: () => 'nonce',
      httpPrincipal: undefined,
      value: undefined,
      path: '/ws',
      clientAddress: undefined,
      gone: false,
    }
    const own = upgateHandshake({ deviceKeys: true })
    own.open?.(context)
    const text = JSON.stringify(signedAuth(device, 'nonce', 0))
    expect(own.receive({ binary: false, text }, context).step).toBe('credential')
    expect(own.receive({ binary: false, text }, context)).toMatchObject({
      step: 'reject',
      code: 'bad_handshake',
    })

    const other = connectFrame({ deviceKeys: true })
    const state = { ...context, state: undefined as unknown }
    other.open?.(state)
    const { id, publicKey } = device
    const params = { device: { id, publicKey, signature: 'x', signedAt: 0, nonce: 'nonce' } }
    const frame = {
      binary: false,
      text: JSON.stringify({ type: 'req', id: '1', method: 'connect', params }),
    } as const
    expect(other.receive(frame, state).step).toBe('credential')
    expect(other.receive(frame, state)).toMatchObject({ step: 'reject', code: 'invalid_credential' })
  })

  test('a handshake without deviceKeys ignores proofs, and reports the missing credential', async () => {
    const gateway = await startGateway({ handshake: upgateHandshake() })
    const connection = await dial(gateway.port, { challenge: false })
    connection.ws.send(JSON.stringify(signedAuth(new DeviceIdentity(), 'none', gateway.clock.now())))
    expect((await connection.next()).code).toBe('auth_required')
    expect(() => connectFrame({ deviceKeys: true, challenge: false })).toThrow(
      '`deviceKeys` needs the challenge',
    )
    expect(() => connectFrame({ dangerouslyAllowNonceOnly: true })).toThrow('belongs to `deviceKeys: true`')
  })
})
