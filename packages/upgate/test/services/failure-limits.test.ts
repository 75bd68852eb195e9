import { memoryStore, password, type Services, type Store } from 'upgate'
import { type FailureStore, StoreUnavailable } from 'upgate/store'
import { manualClock } from 'upgate/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createFailureTable, type FailureTable } from '../../src/services/accounts/failures.ts'
import { closeAll, connect, DeviceIdentity, dial, startGateway } from '../pairing/stage.ts'
import { fakeHasher, goodPassword, outcomeOf, person, type Setup, settle, setUp } from './setup.ts'

const email = 'ada@example.com'
const wrong = 'wrong but long enough'
const clock = manualClock()

describe('counts shared by several instances', () => {
  let shared: FailureTable
  let records: Store
  beforeEach(() => {
    shared = createFailureTable({ clock, maxEntries: 1000 })
    records = memoryStore()
  })
  const instance = (failures: FailureStore = shared, options = {}): Setup =>
    setUp({ clock, store: { ...records, failures }, ...options })

  test('wrong passwords in parallel at two instances reach one lockout', async () => {
    const both = [instance(), instance()] as const
    await person(both[0])
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        outcomeOf((both[n % 2] as Setup).accounts.login(email, wrong, { clientAddress: '192.0.2.1' })),
      ),
    )
    expect(answers.filter((answer) => answer === 'invalid_credential')).toHaveLength(10)
    expect(answers.filter((answer) => answer === 'throttled')).toHaveLength(20)
    expect(both[0].hasher.verified.length + both[1].hasher.verified.length).toBe(10)
    expect(
      await both[1].accounts.login(email, goodPassword, { clientAddress: '::ffff:192.0.2.1' }),
    ).toMatchObject({ outcome: 'throttled', retryAfter: 60 })
  })

  test('a login is answered before the shared counts know its result', async () => {
    const setup = instance({
      begin: () => ({ allowed: true, end: () => new Promise(() => {}) }),
    })
    await person(setup)
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('authenticated')
    expect(await outcomeOf(setup.accounts.login(email, wrong))).toBe('invalid_credential')
  })

  test('an attempt that is not a guess is not counted', async () => {
    const setup = instance(shared, { limits: { hashesInFlight: 1, hashQueue: 0 } })
    await person(setup)
    const release = setup.hold('accounts.byEmail')
    const first = setup.accounts.login(email, goodPassword)
    for (let n = 0; n < 30; n++) {
      expect((await setup.accounts.login(email, wrong)).outcome).toBe('unavailable')
    }
    release()
    expect((await first).outcome).toBe('authenticated')
    setup.broken.add('accounts.byEmail')
    for (let n = 0; n < 30; n++) {
      expect((await setup.accounts.login(email, wrong)).outcome).toBe('unavailable')
    }
    expect(shared.size).toBe(0)
  })

  describe('that cannot be reached', () => {
    let away: boolean
    const warnings: string[] = []
    const logger = {
      warn: (message: string) => void (message.includes('failed attempts') && warnings.push(message)),
      error: () => {},
    }
    beforeEach(() => {
      away = false
      warnings.length = 0
    })
    const fragile: FailureStore = {
      async begin(counts, dryRun) {
        if (away) throw new StoreUnavailable('store_unavailable', 'Redis cannot answer.')
        const attempt = await shared.begin(counts, dryRun)
        if (!attempt.allowed) return attempt
        return {
          allowed: true,
          async end(result) {
            if (away) throw new StoreUnavailable('store_unavailable', 'Redis cannot answer.')
            await attempt.end(result)
          },
        }
      },
    }

    test('each instance counts by itself, and logs it once', async () => {
      const both = [instance(fragile, { logger }), instance(fragile)] as const
      await person(both[0])
      const home = { clientAddress: '198.51.100.1' }
      expect(await outcomeOf(both[0].accounts.login(email, goodPassword, home))).toBe('authenticated')
      away = true
      for (const { accounts } of both) {
        const answers = await Promise.all(
          Array.from({ length: 25 }, () =>
            outcomeOf(accounts.login(email, wrong, { clientAddress: '192.0.2.1' })),
          ),
        )
        expect(answers.filter((answer) => answer === 'invalid_credential')).toHaveLength(10)
        expect(answers.filter((answer) => answer === 'throttled')).toHaveLength(15)
      }
      // Guesses of strangers do not lock out a client that logged in here before.
      for (let n = 2; n <= 100; n++) {
        await both[0].accounts.login(email, wrong, { clientAddress: `192.0.2.${n}` })
      }
      const stranger = { clientAddress: '203.0.113.1' }
      expect(await outcomeOf(both[0].accounts.login(email, goodPassword, stranger))).toBe('throttled')
      expect(await outcomeOf(both[0].accounts.login(email, goodPassword, home))).toBe('authenticated')
      expect(warnings).toEqual([expect.stringMatching(/counts by itself/)])

      away = false
      expect(await outcomeOf(both[0].accounts.login(email, goodPassword, home))).toBe('authenticated')
      expect(warnings).toEqual([
        expect.anything(),
        expect.stringMatching(/are shared with other instances again/),
      ])
      // A store that comes and goes all the time gets two log lines a minute.
      const flicker = async () => {
        for (let n = 0; n < 20; n++) {
          away = n % 2 === 0
          await both[0].accounts.login(email, goodPassword, home)
        }
      }
      await flicker()
      expect(warnings).toHaveLength(2)
      clock.advance(60_000)
      await flicker()
      expect(warnings).toHaveLength(4)
    })

    test('an outage between begin and end costs one attempt, and nothing else', async () => {
      const setup = instance(fragile)
      await person(setup)
      const release = setup.hold('accounts.byEmail')
      const login = setup.accounts.login(email, goodPassword)
      await settle()
      away = true
      release()
      expect(await outcomeOf(login)).toBe('authenticated')
      expect(shared.size).toBe(1)
    })
  })

  test('a bounded number of attempts waits for slow counts', async () => {
    const answers: (() => void)[] = []
    const slow: FailureStore = {
      begin: (counts) =>
        new Promise((resolve) => {
          answers.push(() => resolve(shared.begin(counts)))
        }),
    }
    const setup = instance(slow, { limits: { lookupsInFlight: 3 } })
    await person(setup)
    const logins = Array.from({ length: 5 }, () => outcomeOf(setup.accounts.login(email, goodPassword)))
    await settle()
    expect(answers).toHaveLength(3)
    expect(await Promise.all(logins.slice(3))).toEqual(['unavailable', 'unavailable'])
    for (const answer of answers) answer()
    expect(await Promise.all(logins.slice(0, 3))).toEqual(Array(3).fill('authenticated'))
    const again = setup.accounts.login(email, goodPassword)
    await settle()
    answers[3]?.()
    expect(await outcomeOf(again)).toBe('authenticated')
  })

  test('a missing password is no guess', async () => {
    const setup = instance()
    await person(setup)
    for (let n = 0; n < 30; n++) {
      expect(await outcomeOf(setup.accounts.login(email, ''))).toBe('invalid_credential')
      expect(await outcomeOf(setup.accounts.login(email, undefined as never))).toBe('invalid_credential')
    }
    expect(shared.size).toBe(0)
    expect(setup.hasher.verified).toEqual([])
    expect(await outcomeOf(setup.accounts.login(email, ' '))).toBe('invalid_credential')
    expect(shared.size).toBe(1)
  })

  test('explaining a login reserves nothing', async () => {
    const setup = instance()
    await person(setup)
    for (const text of [wrong, goodPassword]) await setup.accounts.login(email, text, { dryRun: true })
    expect(shared.size).toBe(0)
  })
})

describe('guesses in band', () => {
  const accounts: Pick<Services, 'accounts'>[] = []
  afterEach(async () => {
    accounts.length = 0
    await closeAll()
  })

  async function two() {
    const failures = createFailureTable({ clock, maxEntries: 1000 })
    const store = { ...memoryStore(), failures }
    const start = async () => {
      // The scheme needs separate services over the same counts.
      const setup = setUp({ clock, store, passwordHasher: fakeHasher() })
      accounts.push(setup)
      return startGateway({ clock, store, schemes: [password({ accounts: setup.accounts })] })
    }
    return [await start(), await start()] as const
  }

  test('passwords on the sockets of two instances are counted together', async () => {
    const both = await two()
    const codes: (string | undefined)[] = []
    const from = { 'x-forwarded-for': '192.0.2.1' }
    for (let n = 0; n < 16; n++) {
      const connection = await dial((both[n % 2] as (typeof both)[0]).port, { headers: from })
      connection.ws.send(JSON.stringify({ type: 'auth', password: wrong, account: email }))
      codes.push((await connection.next()).code)
    }
    // Each instance alone saw fewer than ten wrong passwords.
    expect(codes.slice(0, 10)).toEqual(Array(10).fill('invalid_credential'))
    expect(codes.slice(10)).toEqual(Array(6).fill('too_many_failures'))
  })

  test('bootstrap codes are counted together too, by IPv6 network instead of address', async () => {
    const both = await two()
    const device = new DeviceIdentity()
    const codes: (string | undefined)[] = []
    for (let n = 0; n < 16; n++) {
      const headers = { 'x-forwarded-for': `2001:db8::${n + 1}` }
      const token = `2345-6789-ABC${'DEFGHJKMNPQRSTVW'[n]}`
      const { answer } = await connect(both[n % 2] as (typeof both)[0], device, { token }, headers)
      codes.push(answer.code)
    }
    expect(codes.slice(0, 10)).toEqual(Array(10).fill('invalid_credential'))
    expect(codes.slice(10)).toEqual(Array(6).fill('too_many_failures'))
  })
})

describe('networks', () => {
  test('moving through the /64s of one /48 gives four times the guesses, not 65,536 times', async () => {
    const setup = setUp({ limits: { hashQueue: 1000 } })
    await person(setup)
    const from = (n: number, suffix: number) => ({
      clientAddress: `2001:db8:0:${((n % 256) * 256 + suffix).toString(16)}::1`,
    })
    await setup.accounts.login(email, goodPassword, from(300, 1))
    const outcomes: string[] = []
    for (let n = 0; n < 300; n++) {
      // Another account and another /56 each time.
      outcomes.push(await outcomeOf(setup.accounts.login(`user${n}@example.com`, wrong, from(n, n % 256))))
    }
    expect(outcomes.filter((outcome) => outcome === 'invalid_credential')).toHaveLength(200)
    expect(outcomes.slice(200)).toEqual(Array(100).fill('throttled'))
    // A client that logged in from there before is not locked out by its neighbours; the next /48 is not
    // affected.
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, from(300, 1)))).toBe('authenticated')
    expect(
      await outcomeOf(setup.accounts.login(email, goodPassword, { clientAddress: '2001:db8:1::1' })),
    ).toBe('authenticated')
  })
})

describe('the table', () => {
  test('evicts counts that were never locked first, and the counts of the current attempt last', async () => {
    const table = createFailureTable({ clock, maxEntries: 3 })
    const fail = (key: string, limit: number) => {
      const attempt = table.begin([{ key, limit }])
      if (attempt.allowed) void attempt.end('failed')
      return attempt.allowed
    }
    fail('first lock', 1)
    fail('second lock', 1)
    for (let n = 0; n < 50; n++) fail(`filler ${n}`, 9)
    expect(table.size).toBe(3)
    expect(fail('first lock', 1)).toBe(false)
    fail('third lock', 1)
    // Only locks are left: the oldest one makes room for the new count.
    expect(fail('late', 2)).toBe(true)
    expect(fail('late', 2)).toBe(true)
    expect(fail('late', 2)).toBe(false)
    expect(fail('third lock', 1)).toBe(false)
    expect(table.size).toBe(3)
  })

  test('keeps a count that is guessed at repeatedly, however fast others fill the table', () => {
    const table = createFailureTable({ clock, maxEntries: 100 })
    const target = { key: 'target', limit: 10 }
    let allowed = 0
    for (let n = 0; n < 50; n++) {
      if (table.begin([target]).allowed) allowed++
      for (let i = 0; i < 60; i++) table.begin([{ key: `filler ${n} ${i}`, limit: 99 }])
    }
    expect(allowed).toBe(10)
  })
})

test('many locked keys leave room to count other keys', () => {
  const failures = createFailureTable({ clock, maxEntries: 100 })
  const guess = (key: string): boolean => {
    const attempt = failures.begin([{ key, limit: 10 }])
    if (attempt.allowed) attempt.end('failed')
    return attempt.allowed
  }
  for (let n = 0; n < 300; n++) for (let i = 0; i < 10; i++) guess(`locked ${n}`)
  expect(failures.size).toBeLessThanOrEqual(100)
  let allowed = 0
  for (let i = 0; i < 100; i++) for (let n = 0; n < 5; n++) if (guess(`other ${n}`)) allowed++
  expect(allowed).toBe(50)
  // The latest locks still hold.
  expect(guess('locked 299')).toBe(false)
})
