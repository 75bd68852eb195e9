import { describe, expect, test } from 'vitest'
import type { Verification } from '../../src/core/contract/credential.ts'
import { apiKey } from '../../src/schemes/api-key.ts'
import { deviceToken } from '../../src/schemes/device-token.ts'
import { sharedToken } from '../../src/schemes/shared-token.ts'
import { outcomeOf, setUp } from '../services/setup.ts'
import { context, decide, inBand, request } from './requests.ts'

const secret = '0123456789abcdef0123456789abcdef'
const principal = { kind: 'service', id: 'ci', scopes: ['read'] } as const

describe('an API key', () => {
  test('counts in its header and as bearer, by its form', async () => {
    const { keys, devices } = setUp()
    const scheme = apiKey({ keys })
    const { token } = await keys.create({ name: 'ci' })
    const device = await devices.create({ name: 'd' })
    expect(scheme).toMatchObject({
      name: 'api-key',
      ambient: false,
      headers: ['x-api-key'],
      challenge: 'Bearer',
    })
    expect(await decide(scheme, { 'x-api-key': token })).toBe('authenticated')
    for (const spelling of ['Bearer', 'bearer', 'BEARER', 'Bearer  ']) {
      expect(await decide(scheme, { authorization: `${spelling} ${token}` }), spelling).toBe('authenticated')
    }
    // Any value of its own header is meant to be a key; a bearer token may belong to another scheme.
    expect(await decide(scheme, { 'x-api-key': 'nonsense' })).toBe('invalid_credential')
    expect(await decide(scheme, { 'x-api-key': device.token })).toBe('invalid_credential')
    for (const authorization of [
      'Bearer nonsense',
      `Bearer ${device.token}`,
      'Bearer ',
      'Bearer',
      `Basic ${token}`,
      `Bearer${token}`,
    ]) {
      expect(await decide(scheme, { authorization }), authorization).toBe('absent')
    }
    expect(await decide(scheme, { authorization: `Bearer ${token} ${token}` })).toBe('invalid_credential')
    expect(await decide(scheme, { authorization: `Bearer ${token.slice(0, 30)}` })).toBe('invalid_credential')
    expect(await decide(scheme, {})).toBe('absent')
    expect(await decide(scheme, { cookie: `x-api-key=${token}` })).toBe('absent')
  })

  test('reports where it was found, so that two explicit credentials can be refused', async () => {
    const { keys } = setUp()
    const scheme = apiKey({ keys })
    const { token } = await keys.create({ name: 'ci' })
    expect(scheme.extract?.(request({ 'x-api-key': token }))?.location).toBe('x-api-key')
    expect(scheme.extract?.(request({ authorization: `Bearer ${token}` }))?.location).toBe('authorization')
  })

  test('narrows by the hint in band, and never widens', async () => {
    const { keys } = setUp()
    const scheme = apiKey({ keys })
    const { token } = await keys.create({ name: 'ci' })
    expect(scheme.claims?.(inBand(token))).toBe(true)
    expect(scheme.claims?.(inBand(token, 'api-key'))).toBe(true)
    expect(scheme.claims?.(inBand(token, 'device'))).toBe(false)
    expect(scheme.claims?.(inBand('nonsense', 'api-key'))).toBe(false)
    expect(scheme.claims?.({ type: 'password', source: 'frame', value: token })).toBe(false)
  })

  test('of another system is verified by a function, chosen by prefix', async () => {
    const { keys } = setUp()
    const seen: string[] = []
    const scheme = apiKey({
      keys,
      foreign: {
        mk_: (token): Verification => {
          seen.push(token)
          return { outcome: 'rejected', code: 'revoked_credential', reason: 'gone' }
        },
      },
    })
    expect(await decide(scheme, { authorization: 'Bearer mk_abc' })).toBe('revoked_credential')
    expect(await decide(scheme, { 'x-api-key': 'mk_def' })).toBe('revoked_credential')
    expect(await decide(scheme, { authorization: 'Bearer other_abc' })).toBe('absent')
    expect(seen).toEqual(['mk_abc', 'mk_def'])
  })

  test('misconfiguration throws and names the option', () => {
    const { keys } = setUp()
    const foreign = { ugk_: () => ({ outcome: 'unavailable', reason: '' }) as const }
    expect(() => apiKey({} as never)).toThrow(/`keys`/)
    expect(() => apiKey({ keys, header: false, bearer: false })).toThrow(/no request can carry/)
    expect(() => apiKey({ keys, header: 'Authorization' })).toThrow(/`header`/)
    expect(() => apiKey({ keys, header: 'a b' })).toThrow(/`header`/)
    expect(() => apiKey({ keys, foreign })).toThrow(/`foreign`/)
    expect(() => apiKey({ keys, foreign: { '': foreign.ugk_ } })).toThrow(/`foreign`/)
    expect(() => apiKey({ keys, store: 1 } as never)).toThrow(/unknown option `store`/)
  })
})

describe('a device token', () => {
  test('counts in band and as bearer, and nowhere else', async () => {
    const { keys, devices } = setUp()
    const scheme = deviceToken({ devices })
    const { token, id } = await devices.create({ name: 'd', role: 'node' })
    const key = await keys.create({ name: 'k' })
    expect(scheme.claims?.(inBand(token, 'device'))).toBe(true)
    expect(scheme.claims?.(inBand(token))).toBe(true)
    expect(scheme.claims?.(inBand(key.token))).toBe(false)
    expect(scheme.claims?.(inBand(token, 'api-key'))).toBe(false)
    expect(await scheme.verify(inBand(token, 'device'), context)).toMatchObject({
      principal: { kind: 'device', id, roles: ['node'], scheme: 'device-token' },
    })
    expect(await decide(scheme, { authorization: `Bearer ${token}` })).toBe('authenticated')
    expect(await decide(scheme, { 'x-api-key': token })).toBe('absent')
    expect(
      await decide(deviceToken({ devices, header: 'X-Device-Token' }), { 'x-device-token': token }),
    ).toBe('authenticated')
    expect(await outcomeOf(scheme.verify(inBand(key.token), context))).toBe('invalid_credential')
  })
})

describe('a shared token', () => {
  test('stands for the given principal, and nothing else', async () => {
    const scheme = sharedToken({ token: secret, principal })
    expect(await scheme.verify(inBand(secret), context)).toEqual({
      outcome: 'authenticated',
      principal: { ...principal, scheme: 'shared-token', roles: [], attributes: {} },
    })
    expect(await decide(scheme, { authorization: `Bearer ${secret}` })).toBe('authenticated')
    for (const wrong of [secret.slice(1), `${secret}0`, secret.toUpperCase(), ` ${secret}x`, '\u0000']) {
      expect(await outcomeOf(scheme.verify(inBand(wrong), context)), wrong).toBe('invalid_credential')
    }
  })

  test('claims tokens without the form of another scheme', () => {
    const scheme = sharedToken({ token: secret, principal })
    expect(scheme.claims?.(inBand(secret))).toBe(true)
    expect(scheme.claims?.(inBand(secret, 'shared'))).toBe(true)
    expect(scheme.claims?.(inBand(secret, 'device'))).toBe(false)
    for (const prefix of ['ugk_', 'ugd_', 'ugt_', 'ugs_'])
      expect(scheme.claims?.(inBand(`${prefix}x`))).toBe(false)
    expect(sharedToken({ token: secret, principal, prefix: 'gw-' }).claims?.(inBand(secret))).toBe(false)
  })

  test('is rotated without a restart, and the old secret stops counting at once', async () => {
    let current: string | readonly string[] = secret
    const scheme = sharedToken({ token: async () => current, principal })
    const next = 'fedcba9876543210fedcba9876543210'
    expect(await outcomeOf(scheme.verify(inBand(next), context))).toBe('invalid_credential')
    current = [secret, next]
    expect(await outcomeOf(scheme.verify(inBand(secret), context))).toBe('authenticated')
    expect(await outcomeOf(scheme.verify(inBand(next), context))).toBe('authenticated')
    current = next
    expect(await outcomeOf(scheme.verify(inBand(secret), context))).toBe('invalid_credential')
  })

  test('that is unset, empty or short is refused: at construction, or when a function returns it', async () => {
    const bad: unknown[] = [undefined, '', 'short', ' '.repeat(40), [], [secret, ''], null]
    for (const token of bad) {
      expect(() => sharedToken({ token, principal } as never), JSON.stringify(token)).toThrow(TypeError)
      const scheme = sharedToken({ token: () => token as string, principal })
      expect(await outcomeOf(scheme.verify(inBand(''), context)), JSON.stringify(token)).toBe('unavailable')
    }
    expect(() => sharedToken({ token: secret, verify: () => true, principal })).toThrow(/exactly one/)
    expect(() => sharedToken({ token: secret } as never)).toThrow(/`principal.kind` is missing/)
    expect(() => sharedToken({ token: secret, principal: { ...principal, id: '' } })).toThrow(
      /`principal.id`/,
    )
    expect(() => sharedToken({ token: secret, principal, prefix: '' })).toThrow(/`prefix`/)
  })

  test('can be checked by a function if only a hash is known', async () => {
    const scheme = sharedToken({ verify: async (token) => token === secret, principal, name: 'gateway' })
    expect(await scheme.verify(inBand(secret), context)).toMatchObject({ principal: { scheme: 'gateway' } })
    expect(await outcomeOf(scheme.verify(inBand('x'), context))).toBe('invalid_credential')
    // Only `true` is a yes: other values of a careless function are not.
    const careless = sharedToken({ verify: () => 'yes' as never, principal })
    expect(await outcomeOf(careless.verify(inBand('x'), context))).toBe('invalid_credential')
  })
})
