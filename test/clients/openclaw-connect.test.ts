// The `connect` requests of our client, checked by the published validators of OpenClaw's gateway. With the versions in both
// spellings it once refused every one of them: it takes no parameter that it does not know.
import { validateConnectParams } from '@openclaw/gateway-protocol'
import { type ConnectHandshakeOptions, type Credential, connectHandshake, deviceKey } from '@upgate/client'
import { describe, expect, test } from 'vitest'

const challenge = JSON.stringify({
  type: 'event',
  event: 'connect.challenge',
  payload: { nonce: 'n'.repeat(36), ts: 1 },
})
const device = deviceKey()

async function paramsOf(credential: Credential, options: ConnectHandshakeOptions = {}): Promise<unknown> {
  const talk = {
    url: 'ws://127.0.0.1/',
    clock: { now: () => 0, setTimer: () => ({ cancel() {} }) },
    signal: new AbortController().signal,
    headers: {},
    fetch,
  }
  const conversation = connectHandshake(options).begin?.(credential, talk)
  const first = (await conversation?.opened()) ?? []
  const step =
    first.length > 0 ? { step: 'send' as const, frames: first } : await conversation?.receive(challenge)
  const frame = step?.step === 'send' ? step.frames[0] : undefined
  return (JSON.parse(frame ?? '{}') as { params?: unknown }).params
}

describe("OpenClaw's gateway takes the request", () => {
  const credentials: readonly (readonly [string, Credential])[] = [
    ['a token', 'a-token'],
    ['a password', { password: 'a-password' }],
    ['a device key', { device, name: 'kitchen' }],
    ['a device key with a pairing code', { device, code: 'a-code', name: 'kitchen' }],
    ['a device key with a token', { device, token: 'a-token', name: 'kitchen' }],
  ]
  test.each(credentials)('with %s', async (_, credential) => {
    for (const options of [
      {},
      { tokenAs: 'token' as const },
      { scopes: ['operator.read'], protocol: { min: 3, max: 3 } },
    ]) {
      const fits = validateConnectParams(await paramsOf(credential, options))
      expect(fits ? [] : validateConnectParams.errors).toEqual([])
    }
  })

  test('and not one with a parameter that it does not know', async () => {
    expect(
      validateConnectParams(await paramsOf('a-token', { params: { protocol: { min: 3, max: 4 } } })),
    ).toBe(false)
  })
})
