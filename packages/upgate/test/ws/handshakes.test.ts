import type { Principal } from 'upgate'
import {
  adviceFor,
  authFrame,
  closeCodeFor,
  closeCodes,
  parseServerFrame,
  refusalCodes,
} from 'upgate/protocol'
import type { HandshakeContext, Refusal } from 'upgate/ws'
import { connectFrame, jsonFrame, upgateHandshake } from 'upgate/ws'
import { describe, expect, it } from 'vitest'

const context = (): HandshakeContext => ({
  state: undefined,
  now: () => 1_700_000_000_000,
  randomId: (bytes) => 'r'.repeat(Math.ceil((bytes * 4) / 3)),
  httpPrincipal: undefined,
  value: undefined,
  path: '/ws',
  clientAddress: undefined,
  gone: false,
})
const text = (value: unknown) =>
  ({ binary: false, text: typeof value === 'string' ? value : JSON.stringify(value) }) as const
const principal: Principal = {
  kind: 'device',
  id: 'node-1',
  scheme: 'device-token',
  scopes: ['a'],
  roles: ['node'],
  attributes: {},
}
const refusal = (code: Refusal['code']): Refusal => ({
  code,
  detail: 'No.',
  action: 'Do better.',
  retryAfter: 7,
})

const notObjects: [string, ReturnType<typeof text> | { binary: true; bytes: Uint8Array }, RegExp][] = [
  ['binary', { binary: true, bytes: Buffer.from('{}') }, /binary/],
  ['no JSON', text('secret-value{'), /not valid JSON/],
  ['empty', text(''), /not valid JSON/],
  ['an array', text([]), /not an object/],
  ['a string', text('"x"'), /not an object/],
  ['null', text('null'), /not an object/],
  ['very deep', text('['.repeat(30_000)), /JSON/],
]

describe.each([
  ['jsonFrame', jsonFrame({ credential: (m) => m.params?.auth?.token })],
  ['connectFrame', connectFrame()],
  ['upgateHandshake', upgateHandshake()],
])('%s', (_, handshake) => {
  it.each(notObjects)('names the defect of a frame that is %s, never its content', (_, frame, detail) => {
    const step = handshake.receive(frame, context())
    expect(step).toMatchObject({
      step: 'reject',
      code: 'bad_handshake',
      detail: expect.stringMatching(detail),
    })
    expect(JSON.stringify(step)).not.toContain('secret-value')
  })
})

describe('jsonFrame', () => {
  const handshake = jsonFrame<{ params: { auth: { device_token: string } } }>({
    credential: (m) => m.params.auth.device_token,
  })

  it('finds the token where it was told to look', () => {
    expect(handshake.receive(text({ params: { auth: { device_token: 't' } } }), context())).toMatchObject({
      step: 'credential',
      credential: { type: 'token', source: 'frame', value: 't' },
      replay: false,
    })
  })

  it.each([
    [{}, 'bad_handshake'],
    [{ params: null }, 'bad_handshake'],
    [{ params: { auth: {} } }, 'auth_required'],
    [{ params: { auth: { device_token: '' } } }, 'auth_required'],
    [{ params: { auth: { device_token: null } } }, 'auth_required'],
    [{ params: { auth: { device_token: 5 } } }, 'bad_handshake'],
    [{ params: { auth: { device_token: true } } }, 'bad_handshake'],
    [{ params: { auth: { device_token: ['t'] } } }, 'bad_handshake'],
    [{ params: { auth: { device_token: { value: 't' } } } }, 'bad_handshake'],
  ])('refuses %j as %s', (message, code) => {
    expect(handshake.receive(text(message), context())).toMatchObject({ step: 'reject', code })
  })

  it('does not let a message reach for a prototype', () => {
    const find = jsonFrame({ credential: (m) => m.constructor as never })
    expect(find.receive(text('{}'), context())).toMatchObject({ step: 'reject', code: 'bad_handshake' })
    handshake.receive(
      text('{"__proto__":{"polluted":"yes"},"params":{"auth":{"device_token":"t"}}}'),
      context(),
    )
    expect(({} as { polluted?: string }).polluted).toBeUndefined()
  })

  it('takes whole credentials, field by field', () => {
    const find = jsonFrame({ credential: (m) => m.c })
    expect(
      find.receive(
        text({ c: { type: 'token', source: 'cookie', value: 'v', hint: 'nonsense', x: 1 } }),
        context(),
      ),
    ).toMatchObject({ credential: { type: 'token', source: 'frame', value: 'v', hint: undefined } })
    expect(find.receive(text({ c: { type: 'password', value: 7 } }), context())).toMatchObject({
      code: 'bad_handshake',
    })
  })

  it('answers in the words of the protocol', () => {
    const own = jsonFrame({
      credential: (m) => m.token,
      accept: ({ principal: { id } }) => ({ welcome: id }),
      reject: ({ code }) => ({ frame: { no: code }, closeCode: 4999, closeReason: 'bye' }),
    })
    expect(own.accept({ principal, dropped: undefined }, context())).toEqual(['{"welcome":"node-1"}'])
    expect(own.reject(refusal('auth_required'), context())).toEqual({
      frames: ['{"no":"auth_required"}'],
      closeCode: 4999,
      closeReason: 'bye',
    })
    const silent = jsonFrame({
      credential: (m) => m.token,
      accept: () => undefined,
      reject: () => ({ frame: null }),
    })
    expect(silent.accept({ principal, dropped: undefined }, context())).toEqual([])
    expect(silent.reject(refusal('auth_required'), context())).toMatchObject({ frames: [], closeCode: 4401 })
  })

  it('refuses a declaration of the wrong type', () => {
    const declaring = jsonFrame({
      credential: (m) => m.token,
      declared: (m) => ({ role: m.role as never, scopes: m.scopes as never }),
    })
    expect(declaring.receive(text({ token: 't', role: 'node', scopes: ['a'] }), context())).toMatchObject({
      declared: { role: 'node', scopes: ['a'] },
    })
    expect(declaring.receive(text({ token: 't', role: 5 }), context())).toMatchObject({
      code: 'bad_handshake',
    })
    expect(declaring.receive(text({ token: 't', scopes: 'a' }), context())).toMatchObject({
      code: 'bad_handshake',
    })
  })

  it('throws for options it does not know or needs', () => {
    expect(() => jsonFrame({} as never)).toThrow(/`credential` is missing; give it a function/)
    expect(() => jsonFrame({ credential: () => 'x', token: 1 } as never)).toThrow(/unknown option `token`/)
  })
})

describe('connectFrame', () => {
  const connect = (params: object, id: unknown = '1'): ReturnType<typeof text> =>
    text({ type: 'req', id, method: 'connect', params })
  const v3 = {
    minProtocol: 3,
    maxProtocol: 3,
    client: { id: 'node-host', version: '1', platform: 'linux', mode: 'node' },
  }
  const v4 = { protocol: { min: 3, max: 4 }, client: v3.client, role: 'node', scopes: [] as string[] }
  const handshake = connectFrame()

  it.each([
    ['moltis v3', { ...v3, auth: { device_token: 'mdt_x' } }, 'device', 3],
    ['moltis v4', { ...v4, auth: { deviceToken: 'mdt_x' } }, 'device', 4],
    ['moltis API key', { ...v4, auth: { api_key: 'mdt_x' } }, 'api-key', 4],
    ['OpenClaw token', { ...v3, minProtocol: 3, maxProtocol: 4, auth: { token: 'mdt_x' } }, undefined, 4],
    ['OpenClaw node, twice the same', { ...v3, auth: { token: 'mdt_x', deviceToken: 'mdt_x' } }, 'device', 3],
    ['no versions', { auth: { token: 'mdt_x' } }, undefined, 3],
  ])('reads the request of %s', (_, params, hint, protocol) => {
    const c = context()
    expect(handshake.receive(connect(params), c)).toMatchObject({
      step: 'credential',
      credential: { type: 'token', value: 'mdt_x', hint },
    })
    const [answer] = handshake.accept({ principal, dropped: undefined }, c)
    expect(JSON.parse(answer as string)).toEqual({
      type: 'res',
      id: '1',
      ok: true,
      payload: { type: 'hello-ok', protocol, auth: { role: 'node', scopes: ['a'] } },
    })
  })

  it('reads a password', () => {
    expect(handshake.receive(connect({ ...v4, auth: { password: 'p' } }), context())).toMatchObject({
      credential: { type: 'password', value: 'p' },
    })
  })

  it('refuses two different credentials', () => {
    for (const auth of [
      { token: 'a', deviceToken: 'b' },
      { token: 'a', password: 'b' },
      { token: 'a', password: 'a' },
      { device_token: 'a', deviceToken: 'b' },
    ]) {
      expect(handshake.receive(connect({ ...v4, auth }), context())).toMatchObject({
        code: 'multiple_credentials',
      })
    }
  })

  it.each([
    ['another method', text({ type: 'req', id: '1', method: 'health' }), 'bad_handshake'],
    ['no id', text({ type: 'req', method: 'connect', params: {} }), 'bad_handshake'],
    ['an object as id', connect({}, {}), 'bad_handshake'],
    ['no params', text({ type: 'req', id: '1', method: 'connect' }), 'bad_handshake'],
    ['auth as a string', connect({ auth: 'x' }), 'bad_handshake'],
    ['a number as token', connect({ auth: { token: 5 } }), 'bad_handshake'],
    ['scopes as a string', connect({ scopes: 'admin', auth: { token: 't' } }), 'bad_handshake'],
    ['no credential', connect({ auth: {} }), 'auth_required'],
    ['no auth', connect({}), 'auth_required'],
    ['fractional versions', connect({ minProtocol: 3.5, auth: { token: 't' } }), 'bad_handshake'],
  ])('refuses %s', (_, frame, code) => {
    expect(handshake.receive(frame, context())).toMatchObject({ step: 'reject', code })
  })

  it('refuses a client without a common version with 1002, saying which versions there are', () => {
    for (const params of [
      { minProtocol: 5, maxProtocol: 6 },
      { protocol: { min: 1, max: 2 } },
      { maxProtocol: 2 },
    ]) {
      const c = context()
      const step = handshake.receive(connect({ ...params, auth: { token: 't' } }), c)
      expect(step).toMatchObject({ step: 'reject', detail: expect.stringContaining('3 to 4') })
      const { frames, closeCode } = handshake.reject(refusal('bad_handshake'), c)
      expect(closeCode).toBe(1002)
      expect(JSON.parse(frames[0] as string)).toMatchObject({
        error: {
          details: { code: 'PROTOCOL_MISMATCH', expectedProtocol: 4, supportedProtocol: { min: 3, max: 4 } },
        },
      })
    }
  })

  it('answers a refusal with the id of the request, and 1008', () => {
    const c = context()
    handshake.receive(connect({ ...v4, auth: { token: 't' } }, 'abc'), c)
    const { frames, closeCode, closeReason } = handshake.reject(refusal('invalid_credential'), c)
    expect({ closeCode, closeReason }).toEqual({ closeCode: 1008, closeReason: 'invalid_credential' })
    expect(JSON.parse(frames[0] as string)).toMatchObject({
      type: 'res',
      id: 'abc',
      ok: false,
      error: {
        code: 'INVALID_REQUEST',
        message: 'No.',
        details: {
          code: 'AUTH_TOKEN_MISMATCH',
          reason: 'invalid_credential',
          recommendedNextStep: 'update_auth_credentials',
          canRetryWithDeviceToken: false,
          retryAfterMs: 7000,
        },
        retryAfterMs: 7000,
      },
    })
    expect(handshake.reject(refusal('unavailable'), c).closeCode).toBe(1013)
    expect(handshake.reject(refusal('too_big'), c).closeCode).toBe(1009)
  })

  it('says nothing where there was no request, but closes with the reason', () => {
    expect(handshake.reject(refusal('handshake_timeout'), context())).toEqual({
      frames: [],
      closeCode: 1013,
      closeReason: 'handshake_timeout',
    })
  })

  it('warns of declared values that were not granted', () => {
    const c = context()
    handshake.receive(connect({ ...v4, auth: { token: 't' } }), c)
    const dropped = { role: 'operator', scopes: ['operator.admin'], id: 'node-9' }
    const [answer] = handshake.accept({ principal, dropped }, c)
    expect(JSON.parse(answer as string)).toMatchObject({
      payload: {
        warnings: [
          'role not granted: operator',
          'scope not granted: operator.admin',
          'id not granted: node-9',
        ],
      },
    })
  })

  it('opens with a challenge by option, and leaves the answer to the application by another', () => {
    const challenging = connectFrame({ challenge: true, replay: true, hello: () => ({ policy: {} }) })
    const c = context()
    const [opening] = (challenging.open?.(c) ?? []) as readonly string[]
    expect(JSON.parse(opening as string)).toMatchObject({
      type: 'event',
      event: 'connect.challenge',
      payload: { nonce: expect.stringMatching(/^.{43}$/), ts: 1_700_000_000_000 },
    })
    expect(challenging.receive(connect({ ...v4, auth: { token: 't' } }), c)).toMatchObject({ replay: true })
    expect(challenging.accept({ principal, dropped: undefined }, c)).toEqual([])
    expect(handshake.open).toBeUndefined()
  })

  it('throws for an impossible range', () => {
    expect(() => connectFrame({ protocol: { min: 4, max: 3 } })).toThrow(TypeError)
    expect(() => connectFrame({ versions: 3 } as never)).toThrow(/unknown option/)
  })
})

describe('upgateHandshake', () => {
  const handshake = upgateHandshake()

  it('reads tokens and passwords', () => {
    expect(
      handshake.receive(text({ type: 'auth', token: 't', role: 'node', scopes: ['a'] }), context()),
    ).toMatchObject({
      credential: { type: 'token', value: 't' },
      declared: { role: 'node', scopes: ['a'] },
    })
    expect(handshake.receive(text({ type: 'auth', password: 'p', account: 'me' }), context())).toMatchObject({
      credential: { type: 'password', value: 'p', account: 'me' },
    })
  })

  it.each([
    [{ type: 'hello' }, 'bad_handshake'],
    [{ token: 't' }, 'bad_handshake'],
    [{ type: 'auth' }, 'auth_required'],
    [{ type: 'auth', token: 5 }, 'bad_handshake'],
    [{ type: 'auth', token: 't', password: 'p' }, 'multiple_credentials'],
    [{ type: 'auth', token: 't', scopes: [1] }, 'bad_handshake'],
  ])('refuses %j as %s', (message, code) => {
    expect(handshake.receive(text(message), context())).toMatchObject({ step: 'reject', code })
  })

  it('speaks frames that a client can parse', () => {
    const [ok] = handshake.accept(
      { principal: { ...principal, expiresAt: 5 }, dropped: { role: 'x' } },
      context(),
    )
    expect(parseServerFrame(ok as string)).toEqual({
      type: 'auth_ok',
      principal: { kind: 'device', id: 'node-1' },
      scopes: ['a'],
      roles: ['node'],
      expiresAt: 5,
      dropped: { role: 'x' },
    })
    for (const code of refusalCodes) {
      const { frames, closeCode, closeReason } = handshake.reject(refusal(code), context())
      expect(parseServerFrame(frames[0] as string)).toMatchObject({ type: 'auth_error', code, retryAfter: 7 })
      expect(closeCode).toBe(closeCodeFor(code))
      expect(closeReason).toBe(code)
    }
    for (const other of ['', '[]', 'null', '{"type":"auth_ok"}', '{"type":"message"}']) {
      expect(parseServerFrame(other)).toBeUndefined()
    }
  })
})

describe('the codes of the protocol', () => {
  it('tell a client what to do', () => {
    expect(Object.fromEntries(Object.values(closeCodes).map((code) => [code, adviceFor(code)]))).toEqual({
      1001: 'reconnect',
      1009: 'stop',
      1011: 'back_off',
      1012: 'reconnect',
      1013: 'back_off',
      4400: 'stop',
      4401: 'renew',
      4403: 'stop',
      4408: 'back_off',
      4429: 'back_off_long',
    })
    expect([adviceFor(1006), adviceFor(1000), adviceFor(1008)]).toEqual(['reconnect', 'reconnect', 'stop'])
  })

  it('keep a store that is down apart from a credential that is wrong', () => {
    expect(closeCodeFor('unavailable')).toBe(1013)
    expect(closeCodeFor('invalid_credential')).toBe(4401)
    expect(closeCodeFor('insufficient_scope')).toBe(4403)
    expect(closeCodeFor('handshake_timeout')).toBe(4408)
    expect(closeCodeFor('too_many_frames')).toBe(4429)
    expect(closeCodeFor('too_big')).toBe(1009)
  })

  it('build the frame that the server reads', () => {
    expect(upgateHandshake().receive(text(authFrame({ token: 't' })), context())).toMatchObject({
      credential: { value: 't' },
    })
  })
})
