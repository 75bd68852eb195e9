import { describe, expect, test } from 'vitest'
import type { Principal } from '../../src/core/contract/principal.ts'
import { createVerifiedCache } from '../../src/core/live/verified-cache.ts'
import type { RevocationSelector } from '../../src/core/ports/revocations.ts'

/** Four credentials, the last one in the younger generation. */
function filled() {
  const cache = createVerifiedCache(6)
  const add = (digest: string, principal: Partial<Principal>): void => {
    const whole: Principal = {
      kind: 'user',
      id: 'ada',
      scheme: 'session',
      scopes: [],
      roles: [],
      attributes: {},
      ...principal,
    }
    cache.set({ digest, principal: whole, since: 0, until: 1 })
  }
  add('one', { sessionId: 's1', credentialId: 'c1' })
  add('two', { sessionId: 's2', credentialId: 'c2' })
  add('three', { id: 'bob', sessionId: 's3', credentialId: 'c2' })
  add('four', { scheme: 'api-key', kind: 'service', credentialId: 'k' })
  const left = () => ['one', 'two', 'three', 'four'].filter((digest) => cache.get(digest) !== undefined)
  return { cache, add, left }
}

describe('what a revocation drops', () => {
  test.each<[RevocationSelector, string[]]>([
    [{ principalId: 'ada' }, ['three']],
    [{ principalId: 'ada', scheme: 'session' }, ['three', 'four']],
    [{ sessionId: 's1' }, ['two', 'three', 'four']],
    [{ credentialId: 'c2' }, ['one', 'four']],
    [{ credentialId: 'c2', principalId: 'bob' }, ['one', 'two', 'four']],
    [{ kind: 'user' }, ['four']],
    [{ scheme: 'api-key' }, ['one', 'two', 'three']],
    [{ principalId: 'nobody' }, ['one', 'two', 'three', 'four']],
  ])('%j, in both generations', (selector, kept) => {
    const { cache, left } = filled()
    cache.drop(selector)
    expect(cache.size).toBe(kept.length)
    expect(left()).toEqual(kept)
  })

  test('is the newest entry of a digest, not an earlier one', () => {
    const { cache, add, left } = filled()
    add('one', { id: 'eve', credentialId: 'c9' })
    cache.drop({ credentialId: 'c1' })
    expect(left()).toContain('one')
    cache.drop({ credentialId: 'c9' })
    expect(left()).not.toContain('one')
  })

  // Each of a thousand revocations looked through everything: with full caches the process stood still for half a second.
  test('is found without looking at the rest', () => {
    const cache = createVerifiedCache(10_000)
    let looks = 0
    for (let n = 0; n < 1000; n++) {
      const principal: Principal = {
        ...{
          kind: 'device' as const,
          id: `d${n}`,
          scheme: 'device-token',
          scopes: [],
          roles: [],
          attributes: {},
        },
        get credentialId() {
          looks++
          return `c${n}`
        },
      }
      cache.set({ digest: `digest ${n}`, principal, since: 0, until: 1 })
    }
    looks = 0
    cache.drop({ credentialId: 'c500' })
    expect(cache.size).toBe(999)
    expect(looks).toBeLessThan(10)
  })
})
