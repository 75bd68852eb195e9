import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { sqliteStore } from '../../src/stores/sql/sqlite.ts'
import { goodPassword, login, outcomeOf, person, settle, setUp } from './setup.ts'

const email = 'ada@example.com'
const wrong = 'not the right password'

describe('accounts', () => {
  test('are found by address in any spelling, and never show a hash', async () => {
    const setup = setUp()
    const account = await person(setup, '  Ada@Example.COM ')
    expect(account).toEqual({
      id: account.id,
      email,
      scopes: ['read', 'write'],
      roles: ['admin'],
      createdAt: setup.clock.now(),
      disabledAt: undefined,
      notBefore: undefined,
      hasPassword: true,
    })
    expect(await setup.accounts.byEmail('ADA@example.com')).toEqual(account)
    expect(await setup.accounts.byEmail('\uff21da@example.com')).toEqual(account)
    expect(await setup.accounts.get(account.id)).toEqual(account)
    expect(await setup.accounts.list()).toEqual([account])
    expect(await setup.accounts.create({ email: 'ADA@EXAMPLE.com' })).toMatchObject({ code: 'email_taken' })
    for (const bad of [
      '',
      'ada',
      'a b@example.com',
      'a@b@c',
      `${'x'.repeat(250)}@e.com`,
      'a\u0000@example.com',
    ]) {
      expect(await setup.accounts.create({ email: bad }), bad).toMatchObject({ code: 'invalid_email' })
    }
  })

  test('take passwords of 12 characters to 1,024 bytes', async () => {
    const setup = setUp()
    const attempt = (password: string) =>
      setup.accounts.create({ email: `${Math.random()}@example.com`, password })
    expect(await attempt('elevenchars')).toMatchObject({ code: 'password_too_short' })
    expect(await attempt('\u{1f510}'.repeat(11))).toMatchObject({ code: 'password_too_short' })
    expect(await attempt('\u{1f510}'.repeat(12))).toMatchObject({ outcome: 'done' })
    expect(await attempt('x'.repeat(1024))).toMatchObject({ outcome: 'done' })
    expect(await attempt('\u00e9'.repeat(513))).toMatchObject({ code: 'password_too_long' })
    expect(await attempt('x'.repeat(1_000_000))).toMatchObject({ code: 'password_too_long' })
    const { id } = await person(setup)
    expect(await setup.accounts.setPassword(id, 'short')).toMatchObject({ code: 'password_too_short' })
    expect(await setup.accounts.setPassword('nobody', goodPassword)).toMatchObject({
      code: 'unknown_account',
    })
  })

  test('the first is created once, even by two connections to one file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-first-'))
    const stores = await Promise.all([1, 2].map(() => sqliteStore({ file: join(folder, 'a.db') })))
    const services = stores.map((store) => setUp({ store, limits: { hashQueue: 100 } }))
    expect(await services[0]?.accounts.any()).toBe(false)
    const results = await Promise.all(
      services.flatMap(({ accounts }, i) =>
        [1, 2, 3].map((n) =>
          accounts.createFirst({ email: `a${i}${n}@example.com`, password: goodPassword }),
        ),
      ),
    )
    expect(results.filter(({ outcome }) => outcome === 'done')).toHaveLength(1)
    expect(results.filter((result) => 'code' in result && result.code === 'accounts_exist')).toHaveLength(5)
    expect(await services[1]?.accounts.list()).toHaveLength(1)
    await Promise.all(services.map((service) => service.close()))
    await Promise.all(stores.map((store) => store.close()))
    await rm(folder, { recursive: true })
  })

  test('narrowing one ends the live sockets of that user alone; widening ends nothing', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const seen: unknown[] = []
    setup.revocations.subscribe(({ selector, reason }) => seen.push([selector, reason]))
    await setup.accounts.setScopes(id, ['write', 'read', 'more'])
    expect(seen).toEqual([])
    await setup.accounts.setScopes(id, ['read'])
    await setup.accounts.setScopes(id, ['read'], [])
    await setup.accounts.disable(id)
    const selector = { principalId: id, kind: 'user' }
    expect(seen).toEqual([
      [selector, 'narrowed'],
      [selector, 'narrowed'],
      [selector, 'disabled'],
    ])
  })

  test('a new password ends sessions, and the old one stops working', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const { token } = await login(setup, id)
    await setup.sessions.verify(token)
    await setup.accounts.setPassword(id, 'a completely new password')
    expect((await setup.sessions.verify(token)).outcome).toBe('rejected')
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('invalid_credential')
    expect(await outcomeOf(setup.accounts.login(email, 'a completely new password'))).toBe('authenticated')
  })
})

describe('a login', () => {
  test('answers with the principal of the account', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    expect(await setup.accounts.login(' ADA@example.com', goodPassword)).toEqual({
      outcome: 'authenticated',
      principal: {
        kind: 'user',
        id,
        scheme: 'password',
        scopes: ['read', 'write'],
        roles: ['admin'],
        displayName: email,
        attributes: {},
      },
      known: false,
      deviceCookie: 'none',
    })
  })

  test('accepts a password in any Unicode form that a keyboard sends', async () => {
    const setup = setUp()
    await setup.accounts.create({ email, password: 'cr\u00e8me br\u00fbl\u00e9e please' })
    expect(
      await outcomeOf(setup.accounts.login(email, 'cr\u00e8me br\u00fbl\u00e9e please'.normalize('NFD'))),
    ).toBe('authenticated')
  })

  test('costs one hash alike for unknown accounts, wrong passwords and accounts without a password', async () => {
    const setup = setUp()
    await person(setup)
    await setup.accounts.create({ email: 'edge@example.com' })
    const answers: unknown[] = []
    for (const who of [email, 'nobody@example.com', 'edge@example.com', 'no address']) {
      setup.hasher.verified.length = 0
      answers.push(JSON.stringify(await setup.accounts.login(who, wrong)))
      expect(setup.hasher.verified, who).toHaveLength(1)
    }
    expect(new Set(answers).size).toBe(1)
  })

  test('ending access ends sessions and sockets, records the time, and leaves account and keys', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const { token } = await login(setup, id)
    const key = await setup.keys.create({ name: 'key', accountId: id })
    setup.clock.advance(5_000)
    const at = setup.clock.now()
    expect(await setup.accounts.endAccess(id)).toMatchObject({ outcome: 'done', account: { notBefore: at } })
    expect(await outcomeOf(setup.sessions.verify(token))).toBe('invalid_credential')
    expect(await outcomeOf(setup.keys.verify(key.token))).toBe('authenticated')
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('authenticated')
    expect((await setup.store.revocations.since(0, 10)).at(-1)).toMatchObject({
      selector: { principalId: id, kind: 'user' },
      reason: 'revoked',
    })
    setup.clock.advance(1)
    await setup.accounts.disable(id)
    expect((await setup.accounts.enable(id)) as object).toMatchObject({ account: { notBefore: at + 1 } })
    expect(await setup.accounts.endAccess('nobody')).toMatchObject({ code: 'unknown_account' })
  })

  test('reveals a disabled account only to a client with its password', async () => {
    const setup = setUp()
    await setup.accounts.disable((await person(setup)).id)
    expect(await outcomeOf(setup.accounts.login(email, wrong))).toBe('invalid_credential')
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('account_disabled')
  })

  test('is locked per account and address after 10 failures in a minute, for twice as long each time', async () => {
    const setup = setUp()
    await person(setup)
    const attempt = (password: string, clientAddress: string) =>
      setup.accounts.login(email, password, { clientAddress })
    let wait = 60
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 10; i++)
        expect(await outcomeOf(attempt(wrong, '192.0.2.1'))).toBe('invalid_credential')
      setup.hasher.verified.length = 0
      // A lock refuses the right password too: otherwise guessing could continue behind it.
      expect(await attempt(goodPassword, '192.0.2.1')).toEqual({
        outcome: 'throttled',
        reason: 'too many failed logins',
        retryAfter: wait,
        locked: 'pair',
        known: false,
        deviceCookie: 'none',
      })
      expect(setup.hasher.verified).toEqual([])
      expect(await outcomeOf(attempt(goodPassword, '192.0.2.2'))).toBe('authenticated')
      setup.clock.advance(wait * 1000)
      wait *= 2
    }
    expect(await outcomeOf(attempt(goodPassword, '192.0.2.1'))).toBe('authenticated')
    for (let i = 0; i < 9; i++) await attempt(wrong, '192.0.2.1')
    expect(await outcomeOf(attempt(goodPassword, '192.0.2.1'))).toBe('authenticated')
  })

  test('failures a minute apart do not lock', async () => {
    const setup = setUp()
    await person(setup)
    for (let i = 0; i < 40; i++) {
      expect(await outcomeOf(setup.accounts.login(email, wrong, { clientAddress: '192.0.2.1' }))).toBe(
        'invalid_credential',
      )
      setup.clock.advance(7000)
    }
  })

  test('concurrent guesses count like guesses one by one', async () => {
    const setup = setUp()
    await person(setup)
    const answers = await Promise.all(
      Array.from({ length: 15 }, () =>
        outcomeOf(setup.accounts.login(email, wrong, { clientAddress: '192.0.2.1' })),
      ),
    )
    expect(answers.filter((answer) => answer === 'invalid_credential')).toHaveLength(10)
    expect(answers.filter((answer) => answer === 'throttled')).toHaveLength(5)
  })

  test('an address in IPv4-mapped form or of the same /64 is the same address', async () => {
    const setup = setUp()
    await person(setup)
    const from = (clientAddress: string) => setup.accounts.login(email, wrong, { clientAddress })
    for (let i = 0; i < 10; i++) await from(i % 2 ? '192.0.2.1' : '::ffff:192.0.2.1')
    expect(await outcomeOf(from('::ffff:c000:201'))).toBe('throttled')
    for (let i = 0; i < 10; i++) await from(`2001:db8::${i}`)
    expect(await outcomeOf(from('2001:db8:0:0:ffff::1'))).toBe('throttled')
    expect(await outcomeOf(from('2001:db8:0:1::1'))).toBe('invalid_credential')
  })

  test('many accounts tried from one address lock that address', async () => {
    const setup = setUp()
    await person(setup)
    for (let i = 0; i < 50; i++) {
      await setup.accounts.login(`user${i}@example.com`, wrong, { clientAddress: '192.0.2.1' })
    }
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, { clientAddress: '192.0.2.1' }))).toBe(
      'throttled',
    )
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, { clientAddress: '192.0.2.2' }))).toBe(
      'authenticated',
    )
  })

  test('an account guessed at from many addresses is locked for strangers, not for its owner', async () => {
    const setup = setUp()
    await person(setup)
    const home = { clientAddress: '198.51.100.1' }
    await setup.accounts.login(email, goodPassword, home)
    for (let i = 0; i < 100; i++) {
      await setup.accounts.login(email, wrong, { clientAddress: `192.0.2.${i}` })
    }
    expect(await outcomeOf(setup.accounts.login(email, wrong, { clientAddress: '192.0.2.200' }))).toBe(
      'throttled',
    )
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, home))).toBe('authenticated')
  })

  test('from unknown addresses shares one count per account', async () => {
    const setup = setUp()
    await person(setup)
    await person(setup, 'bob@example.com')
    for (let i = 0; i < 10; i++) await setup.accounts.login(email, wrong)
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('throttled')
    expect(await outcomeOf(setup.accounts.login('bob@example.com', goodPassword))).toBe('authenticated')
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, { clientAddress: '192.0.2.1' }))).toBe(
      'authenticated',
    )
  })

  test('the table of failures is bounded, and flooding it does not unlock', async () => {
    const setup = setUp({ limits: { failureEntries: 100 } })
    await person(setup)
    const target = { clientAddress: '192.0.2.1' }
    for (let i = 0; i < 10; i++) await setup.accounts.login(email, wrong, target)
    for (let i = 0; i < 2000; i++) {
      const clientAddress = `2001:db8:${(i >> 8).toString(16)}:${(i & 255).toString(16)}::1`
      await setup.accounts.login(`user${i}@example.com`, wrong, { clientAddress })
    }
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, target))).toBe('throttled')
  })

  test('a clock that is set back locks no account for days', async () => {
    let now = 1_700_000_000_000
    const setup = setUp({ clock: { now: () => now, setTimer: () => ({ cancel() {} }) } })
    await person(setup)
    for (let i = 0; i < 10; i++) await setup.accounts.login(email, wrong)
    now -= 30 * 86_400_000
    const answer = await setup.accounts.login(email, goodPassword)
    expect(answer).toMatchObject({ outcome: 'throttled', retryAfter: 3600 })
    now += 3_600_000
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('authenticated')
  })

  test('a store that fails counts nothing', async () => {
    const setup = setUp()
    await person(setup)
    setup.broken.add('accounts.byEmail')
    for (let i = 0; i < 20; i++)
      expect(await outcomeOf(setup.accounts.login(email, wrong))).toBe('unavailable')
    setup.broken.clear()
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('authenticated')
  })

  test('of strangers is hashed one at a time, 16 wait, and the others get unavailable', async () => {
    const setup = setUp()
    for (let i = 0; i < 30; i++) await person(setup, `user${i}@example.com`)
    await setup.accounts.login('user0@example.com', goodPassword)
    let open = (): void => {}
    setup.hasher.gate = new Promise((resolve) => {
      open = resolve
    })
    const answers = Array.from({ length: 30 }, (_, i) =>
      setup.accounts.login(`user${i}@example.com`, goodPassword, { clientAddress: '192.0.2.1' }),
    )
    await settle()
    expect(setup.hasher.running).toBe(1)
    // The caller that creates an account counts as known: strangers cannot take its place.
    expect(await setup.accounts.create({ email: 'new@example.com', password: goodPassword })).toMatchObject({
      outcome: 'done',
    })
    open()
    const outcomes = await Promise.all(answers.map(outcomeOf))
    expect(outcomes.filter((outcome) => outcome === 'authenticated')).toHaveLength(17)
    expect(outcomes.filter((outcome) => outcome === 'unavailable')).toHaveLength(13)
    expect(setup.hasher.mostRunning).toBe(1)
  })

  test('a password that was changed during its hashing no longer counts', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    let open = (): void => {}
    setup.hasher.gate = new Promise((resolve) => {
      open = resolve
    })
    const attempt = setup.accounts.login(email, goodPassword)
    await settle()
    await setup.accounts.setPassword(id, 'a completely new password')
    open()
    expect(await outcomeOf(attempt)).toBe('invalid_credential')
  })

  test('renews a weak hash, and keeps a password that was changed in between', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    setup.hasher.strength = 2
    await setup.accounts.login(email, goodPassword, { dryRun: true })
    await settle()
    expect((await setup.store.accounts.get(id))?.passwordHash).toMatch(/^fake:1:/)
    await setup.accounts.login(email, goodPassword)
    await settle()
    expect((await setup.store.accounts.get(id))?.passwordHash).toMatch(/^fake:2:/)
    expect(await setup.store.revocations.head()).toBe(0)
  })

  test('a stored hash that cannot be read is unavailable, not a wrong password', async () => {
    const setup = setUp()
    await person(setup)
    setup.hasher.verify = async () => {
      throw new Error('unknown format')
    }
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('unavailable')
  })

  test('as a dry run counts nothing', async () => {
    const setup = setUp()
    await person(setup)
    for (let i = 0; i < 20; i++) await setup.accounts.login(email, wrong, { dryRun: true })
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('authenticated')
  })
})
