import { describe, expect, it } from 'vitest'
import { isPromiseLike } from '../../src/core/async/maybe-promise.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { keyScheme, makeGate, person, request } from './fixtures.ts'

const address = { peerAddress: '203.0.113.7' }

function start() {
  const clock = manualClock()
  const gate = makeGate({ clock, schemes: [keyScheme({ k_good: person('alice') })] })
  const ask = (authorization: string | undefined, from: object = address) =>
    gate.decide(request('/api/x', { ...from, headers: authorization === undefined ? {} : { authorization } }))
  return { clock, gate, ask }
}

describe('wrong credentials over HTTP', () => {
  it('are answered at once at first, then after a second, and at once again a minute later', async () => {
    const { clock, ask } = start()
    for (let i = 0; i < 10; i++)
      expect(ask('Bearer k_wrong')).toMatchObject({ outcome: 'challenge', status: 401 })
    const held = ask('Bearer k_wrong')
    expect(isPromiseLike(held)).toBe(true)
    let answered = false
    void Promise.resolve(held).then(() => (answered = true))
    clock.advance(999)
    await Promise.resolve()
    expect(answered).toBe(false)
    clock.advance(1)
    expect(await held).toMatchObject({ outcome: 'challenge', code: 'invalid_credential' })
    clock.advance(60_000)
    expect(isPromiseLike(ask('Bearer k_wrong'))).toBe(false)
  })

  it('slow no other request down: good credentials, none at all, other addresses', async () => {
    const { ask } = start()
    for (let i = 0; i < 20; i++) void ask('Bearer k_wrong')
    expect(ask('Bearer k_good')).toMatchObject({ outcome: 'allow' })
    expect(ask(undefined)).toMatchObject({ code: 'auth_required' })
    expect(ask('Bearer k_wrong', { peerAddress: '203.0.113.8' })).toMatchObject({ outcome: 'challenge' })
  })

  it('count for an IPv6 network, whichever address of it is used', () => {
    const { ask } = start()
    for (let i = 0; i < 10; i++) void ask('Bearer k_wrong', { peerAddress: `2001:db8::${i + 1}` })
    expect(isPromiseLike(ask('Bearer k_wrong', { peerAddress: '2001:db8::ffff' }))).toBe(true)
    expect(isPromiseLike(ask('Bearer k_wrong', { peerAddress: '2001:db8:0:1::1' }))).toBe(false)
    for (let i = 0; i < 20; i++) void ask('Bearer k_wrong', { peerAddress: `2001:db8:0:${i}::1` })
    expect(isPromiseLike(ask('Bearer k_wrong', { peerAddress: '2001:db8:0:99::1' }))).toBe(true)
  })

  it('count together, and generously, where the address is unknown', () => {
    const { ask } = start()
    const unknown = { peerAddress: '127.0.0.1' }
    for (let i = 0; i < 1_000; i++) expect(isPromiseLike(ask('Bearer k_wrong', unknown))).toBe(false)
    expect(isPromiseLike(ask('Bearer k_wrong', unknown))).toBe(true)
  })

  it('are held only so many at a time', async () => {
    const { clock, ask } = start()
    for (let i = 0; i < 10; i++) void ask('Bearer k_wrong')
    const held = Array.from({ length: 256 }, () => ask('Bearer k_wrong'))
    expect(held.every(isPromiseLike)).toBe(true)
    expect(isPromiseLike(ask('Bearer k_wrong'))).toBe(false)
    expect(clock.pending).toBe(256)
    clock.advance(1_000)
    await Promise.all(held)
    expect(isPromiseLike(ask('Bearer k_wrong'))).toBe(true)
  })

  it('are counted for so many networks only', () => {
    const { ask } = start()
    for (let i = 0; i < 10_000; i++) void ask('Bearer k_wrong', { peerAddress: `10.1.${i >> 8}.${i & 255}` })
    for (let i = 0; i < 20; i++) expect(isPromiseLike(ask('Bearer k_wrong'))).toBe(false)
  })

  it('are held for single routes as well', () => {
    const { gate } = start()
    const route = gate.require({ scopes: ['x'] })
    const wrong = request('/y', { ...address, headers: { authorization: 'Bearer k_wrong' } })
    for (let i = 0; i < 10; i++) expect(isPromiseLike(route.decide(wrong))).toBe(false)
    expect(isPromiseLike(route.decide(wrong))).toBe(true)
  })
})
