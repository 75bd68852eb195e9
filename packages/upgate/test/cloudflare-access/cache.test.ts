import type { Principal, Revocation, RevocationFeed, RevocationSelector } from 'upgate'
import { describe, expect, it } from 'vitest'
import { team, until, wordOf } from './team.ts'

function feed(): RevocationFeed & { revoke(selector: RevocationSelector): void; listeners: number } {
  const listeners = new Set<(revocation: Revocation) => void>()
  let sequence = 0
  return {
    sequence: () => sequence,
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    revoke(selector) {
      sequence++
      for (const listener of listeners) listener({ sequence, at: 0, selector, reason: 'revoked' })
    },
    get listeners() {
      return listeners.size
    },
  }
}

describe('remembered tokens', () => {
  it('answers synchronously, with no hop through a promise, from the second time on', async () => {
    const acme = team()
    const token = acme.user()
    const first = await acme.verify(token)
    expect(first.outcome).toBe('authenticated')
    expect(acme.verifyNow(token), 'the same frozen value').toBe(first)
  })

  it('asks identify again after the ttl, so that a change of the account is seen within a minute', async () => {
    let scopes = ['read', 'write']
    let calls = 0
    const acme = team({
      identify: () => {
        calls++
        return { scopes }
      },
    })
    await acme.scheme.prefetch()
    const token = acme.user()
    await acme.verify(token)
    scopes = ['read']
    acme.clock.advance(59_999)
    acme.verifyNow(token)
    expect(calls).toBe(1)
    acme.clock.advance(1)
    expect(await acme.verify(token)).toMatchObject({ principal: { scopes: ['read'] } })
    expect(calls).toBe(2)
  })

  it('gives out frozen values only: one request cannot change another', async () => {
    const acme = team({ identify: () => ({ scopes: ['read'], attributes: { a: 1 } }) })
    await acme.scheme.prefetch()
    const answer = (await acme.verify(acme.user())) as { principal: Principal }
    for (const value of [answer, answer.principal, answer.principal.scopes, answer.principal.roles]) {
      expect(Object.isFrozen(value)).toBe(true)
    }
    expect(() => (answer.principal.scopes as string[]).push('admin')).toThrow(TypeError)
    expect(() => Object.assign(answer.principal.attributes, { email: 'root@example.com' })).toThrow(TypeError)
  })

  it('refuses a known signature under another payload', async () => {
    // The digest covers the signature only: the rest of the token must be compared every time.
    const acme = team()
    await acme.scheme.prefetch()
    const token = acme.user()
    expect(wordOf(await acme.verify(token))).toBe('authenticated')
    const [header = '', , signature = ''] = token.split('.')
    const [, root = ''] = acme.user({ email: 'root@example.com', sub: 'root' }).split('.')
    expect(await acme.verify(`${header}.${root}.${signature}`)).toMatchObject({
      outcome: 'rejected',
      reason: 'the signature does not match',
    })
    expect(acme.verifyNow(`.${signature}`).outcome).toBe('rejected')
    expect(acme.verifyNow(signature).outcome).toBe('rejected')
  })

  it('is bounded, and forgets unused entries', async () => {
    const asked: string[] = []
    const acme = team({
      cache: { entries: 10 },
      identify: ({ subject }) => {
        asked.push(subject)
        return {}
      },
    })
    await acme.scheme.prefetch()
    const tokens = Array.from({ length: 30 }, (_, i) => acme.user({ sub: `u${i}` }))
    const [favourite = ''] = tokens
    for (const token of tokens) {
      await acme.verify(token)
      acme.verifyNow(favourite)
    }
    expect(asked.filter((subject) => subject === 'u0').length, 'used all the time').toBe(1)
    await acme.verify(tokens[1] ?? '')
    expect(asked.filter((subject) => subject === 'u1').length, 'forgotten').toBe(2)
  })

  it('can be switched off', async () => {
    let calls = 0
    const acme = team({
      cache: { ttl: 0 },
      identify: () => {
        calls++
        return {}
      },
    })
    await acme.scheme.prefetch()
    const token = acme.user()
    for (let i = 0; i < 3; i++) await acme.verify(token)
    expect(calls).toBe(3)
  })
})

describe('revocation', () => {
  it('drops the remembered tokens that it selects, at once, and no others', async () => {
    const revocations = feed()
    const disabled = new Set<string>()
    const asked: string[] = []
    const acme = team({
      revocations,
      identify: ({ subject }) => {
        asked.push(subject)
        return { id: subject, disabled: disabled.has(subject) }
      },
    })
    expect(acme.scheme.revocations).toBe(revocations)
    await acme.scheme.prefetch()
    const ada = acme.user({ sub: 'ada' })
    const bob = acme.user({ sub: 'bob' })
    await acme.verify(ada)
    await acme.verify(bob)
    disabled.add('ada')
    revocations.revoke({ principalId: 'ada' })
    expect(wordOf(await acme.verify(ada))).toBe('account_disabled')
    expect(wordOf(acme.verifyNow(bob))).toBe('authenticated')
    expect(asked).toEqual(['ada', 'bob', 'ada'])
  })

  it('a revocation during the look-up of the account keeps the answer out of the cache', async () => {
    const revocations = feed()
    const releases: (() => void)[] = []
    let disabled = false
    const acme = team({
      revocations,
      identify: () => {
        const answer = { disabled }
        return new Promise((resolve) => releases.push(() => resolve(answer)))
      },
    })
    await acme.scheme.prefetch()
    const token = acme.user()
    const early = acme.verify(token)
    await until(() => releases.length === 1)
    disabled = true
    revocations.revoke({ principalId: '7335d417-61da-459d-899c-0a01c76a2f94' })
    releases[0]?.()
    await early // the gate discards it, by the number of the log
    const late = acme.verify(token)
    await until(() => releases.length === 2)
    releases[1]?.()
    expect(wordOf(await late)).toBe('account_disabled')
  })

  it('unsubscribes when it is closed', () => {
    const revocations = feed()
    const acme = team({ revocations })
    expect(revocations.listeners).toBe(1)
    acme.scheme.close()
    expect(revocations.listeners).toBe(0)
  })

  it('notBefore refuses tokens issued earlier, so that a revoked person cannot return', async () => {
    let limit: number | undefined
    const seen: string[] = []
    const revocations = feed()
    const acme = team({
      revocations,
      notBefore: (principal) => {
        seen.push(principal.id)
        return limit
      },
    })
    await acme.scheme.prefetch()
    const before = acme.user({ sub: 'ada' })
    expect(wordOf(await acme.verify(before))).toBe('authenticated')
    acme.clock.advance(10_500)
    limit = acme.clock.now()
    revocations.revoke({ principalId: 'ada' })
    expect(wordOf(await acme.verify(before))).toBe('revoked_credential')
    expect(wordOf(await acme.verify(acme.user({ sub: 'ada' }))), 'the doubtful second').toBe(
      'revoked_credential',
    )
    expect(wordOf(await acme.verify(acme.user({ sub: 'ada', iat: undefined }))), 'says not when').toBe(
      'revoked_credential',
    )
    acme.clock.advance(500)
    expect(wordOf(await acme.verify(acme.user({ sub: 'ada' })))).toBe('authenticated')
    expect(new Set(seen)).toEqual(new Set(['ada']))
  })

  it('notBefore may be asynchronous, and its failure is unavailable', async () => {
    const acme = team({ notBefore: async () => Date.UTC(2030, 0) })
    expect(wordOf(await acme.verify(acme.user()))).toBe('revoked_credential')
    for (const notBefore of [
      () => Promise.reject(new Error('store is gone')),
      () => {
        throw new Error('store is gone')
      },
      () => Number.NaN,
      () => '2026' as never,
    ]) {
      const broken = team({ notBefore })
      expect(wordOf(await broken.verify(broken.user()))).toBe('unavailable')
    }
  })

  it('explain remembers nothing', async () => {
    let calls = 0
    const acme = team({
      identify: () => {
        calls++
        return {}
      },
    })
    await acme.scheme.prefetch()
    const credential = { type: 'token', source: 'edge', value: acme.user() } as const
    const dry = { clientAddress: undefined, dryRun: true, path: '/', origin: undefined }
    for (let i = 0; i < 2; i++)
      expect(wordOf(await acme.scheme.verify(credential, dry))).toBe('authenticated')
    expect(calls).toBe(2)
  })
})
