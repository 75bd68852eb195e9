import { type AccessIdentity, byEmail } from 'upgate/cloudflare-access'
import { describe, expect, it } from 'vitest'
import { team, wordOf } from './team.ts'

const clientId = 'e367826f93b8d71185e03fe518aff3b4.access'

describe('8. identity', () => {
  it.each([
    ['sub "" without common_name, with email', { sub: '' }],
    ['sub "" without anything', { sub: '', email: undefined }],
    ['sub missing', { sub: undefined }],
    ['no email', { email: undefined }],
    ['empty email', { email: '' }],
    ['email of another type', { email: ['ada@example.com'] }],
    ['sub of another type', { sub: 7 }],
    ['both email and common_name', { common_name: clientId }],
    ['both, with an empty sub', { common_name: clientId, sub: '' }],
    ['common_name of another type', { email: undefined, sub: '', common_name: [clientId] }],
  ])('refuses %s', async (_, claims) => {
    const acme = team({ services: { [clientId]: { scopes: ['all'] } } })
    expect(wordOf(await acme.verify(acme.user(claims)))).toBe('invalid_credential')
  })

  it('refuses a service token without a mapping', async () => {
    const acme = team()
    expect(await acme.verify(acme.service())).toEqual({
      outcome: 'rejected',
      code: 'unknown_identity',
      reason: 'no account here belongs to this service',
    })
    expect(wordOf(await acme.verify(acme.service({ common_name: '__proto__' })))).toBe('unknown_identity')
    expect(wordOf(await acme.verify(acme.service({ common_name: 'constructor' })))).toBe('unknown_identity')
  })

  it('an empty set of scopes grants nothing, a missing one is refused at the start', async () => {
    const acme = team({ services: { [clientId]: { scopes: [] } } })
    expect(await acme.verify(acme.service())).toMatchObject({
      principal: { id: clientId, scopes: [], roles: [] },
    })
  })

  it('passes the claims of Access to identify, frozen', async () => {
    const seen: AccessIdentity[] = []
    const acme = team({
      identify: (identity) => {
        seen.push(identity)
        return { id: 'x' }
      },
    })
    await acme.verify(acme.user({ custom: { groups: ['a'] } }))
    await acme.verify(acme.service())
    expect(seen).toMatchObject([
      { kind: 'user', email: 'ada@example.com', subject: '7335d417-61da-459d-899c-0a01c76a2f94' },
      { kind: 'service', commonName: clientId, subject: '' },
    ])
    expect(Object.isFrozen(seen[0]?.claims.custom)).toBe(true)
    const [first] = seen as [AccessIdentity]
    const { groups } = first.claims.custom as { groups: string[] }
    expect(() => groups.push('admins')).toThrow(TypeError)
  })

  it('unknown people are 403 and no account is created', async () => {
    const asked: unknown[] = []
    const acme = team({
      identify: (identity) => {
        asked.push(identity.email)
        return null
      },
    })
    expect(wordOf(await acme.verify(acme.user()))).toBe('unknown_identity')
    expect(wordOf(await acme.verify(acme.user())), 'a refusal is not remembered').toBe('unknown_identity')
    expect(asked).toEqual(['ada@example.com', 'ada@example.com'])
  })

  it.each([
    ['a kind that is not its own', { kind: 'user', id: 'root' } as const],
    ['scopes as a string', { scopes: 'admin' } as never],
    ['scopes with a number', { scopes: [7] } as never],
    ['roles as an object', { roles: {} } as never],
    ['an empty id', { id: '' }],
    ['an expiry that is no number', { expiresAt: Number.NaN }],
  ])('an identify that answers %s grants nothing', async (_, answer) => {
    const acme = team({ identify: () => answer })
    expect(await acme.verify(acme.service())).toMatchObject({
      outcome: 'unavailable',
      reason: 'the identity could not be looked up',
      cause: expect.any(TypeError),
    })
  })

  it('an identify that throws or rejects is unavailable, never open and never "unknown"', async () => {
    for (const identify of [
      () => {
        throw new Error('database is locked')
      },
      () => Promise.reject(new Error('database is locked')),
    ]) {
      const acme = team({ identify })
      expect(await acme.verify(acme.user())).toMatchObject({
        outcome: 'unavailable',
        cause: { message: 'database is locked' },
      })
    }
  })

  it('identify can shorten the life of the token, never extend it', async () => {
    const acme = team({
      identify: ({ email }) => ({ expiresAt: email === 'ada@example.com' ? acme.clock.now() + 1_000 : 8e15 }),
    })
    const short = acme.user()
    expect(await acme.verify(short)).toMatchObject({ principal: { expiresAt: acme.clock.now() + 1_000 } })
    const long = acme.user({ email: 'bob@example.com', exp: acme.now() + 60 })
    expect(await acme.verify(long)).toMatchObject({ principal: { expiresAt: (acme.now() + 60) * 1_000 } })
  })

  it('attributes of the application cannot replace those of Access', async () => {
    const acme = team({ identify: () => ({ attributes: { email: 'root@example.com', team: 'blue' } }) })
    expect(await acme.verify(acme.user())).toMatchObject({
      principal: { attributes: { email: 'ada@example.com', team: 'blue' } },
    })
  })
})

describe('byEmail', () => {
  const accounts = new Map([
    ['ada@example.com', { id: 'acc_1', email: 'ada@example.com', scopes: ['read'], roles: ['admin'] }],
    ['kim@example.com', { id: 'acc_2', email: 'kim@example.com', scopes: [], roles: ['admin'] }],
    ['off@example.com', { id: 'acc_3', email: 'off@example.com', scopes: [], roles: [], disabledAt: 1 }],
    ['out@example.com', { id: 'acc_4', scopes: [], roles: [], disabled: true }],
  ])
  const asked: string[] = []
  const directory = {
    byEmail(email: string) {
      asked.push(email)
      // Folds more characters than ASCII, as directories do.
      return accounts.get(email.normalize('NFKC').toLowerCase())
    },
  }

  it('finds the account, its scopes and roles, in any case of letters', async () => {
    const acme = team({ identify: byEmail(directory) })
    expect(await acme.verify(acme.user({ email: 'Ada@Example.COM' }))).toMatchObject({
      outcome: 'authenticated',
      principal: {
        id: 'acc_1',
        kind: 'user',
        scopes: ['read'],
        roles: ['admin'],
        displayName: 'ada@example.com',
      },
    })
    expect(asked.at(-1)).toBe('ada@example.com')
  })

  it('works with an asynchronous directory, and concurrent requests ask once', async () => {
    let calls = 0
    const acme = team({
      identify: byEmail({
        byEmail: async (email) => {
          calls++
          return accounts.get(email)
        },
      }),
    })
    const token = acme.user()
    const answers = await Promise.all(Array.from({ length: 50 }, () => acme.verify(token)))
    expect(new Set(answers.map(wordOf))).toEqual(new Set(['authenticated']))
    expect(calls).toBe(1)
  })

  it('unknown email -> unknown_identity, disabled -> account_disabled, services have no account', async () => {
    const acme = team({ identify: byEmail(directory) })
    expect(wordOf(await acme.verify(acme.user({ email: 'eve@example.com' })))).toBe('unknown_identity')
    expect(wordOf(await acme.verify(acme.user({ email: 'off@example.com' })))).toBe('account_disabled')
    expect(wordOf(await acme.verify(acme.user({ email: 'out@example.com' })))).toBe('account_disabled')
    expect(wordOf(await acme.verify(acme.service()))).toBe('unknown_identity')
  })

  it('does not take a look-alike that folds to ASCII for another person', async () => {
    // U+212A, the Kelvin sign, is "k" after toLowerCase and after NFKC: kim's account would match another
    // address.
    const acme = team({ identify: byEmail(directory) })
    expect(wordOf(await acme.verify(acme.user({ email: '\u212aim@example.com' })))).toBe('unknown_identity')
    expect(wordOf(await acme.verify(acme.user({ email: 'kim@example.com' })))).toBe('authenticated')
  })

  it('throws for a directory without its method', () => {
    expect(() => byEmail({} as never)).toThrow(
      'byEmail: `accounts` must be `services.accounts`, or an object with the method `byEmail`',
    )
  })
})
