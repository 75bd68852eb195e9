// Needs Redis.
import { randomBytes } from 'node:crypto'
import { claimSecret, composeStores, createServices, memoryStore, type Services, type Store } from 'upgate'
import { redisFailures, redisTickets } from 'upgate/redis'
import { type FailureCount, type FailurePart, failureContract } from 'upgate/store'
import { manualClock } from 'upgate/testing'
import { deviceCredential } from 'upgate/ws'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outageClock } from './outage-clock.ts'
import { proxyTo, type Way } from './proxy.ts'
import { clear, command, keysOf, testRedisUrl } from './redis.ts'
import { patience, redisAnswers, uniqueName } from './services.ts'

const password = 'correct horse battery staple'
const email = 'ada@example.com'
/** These tests do not need the real cost of hashing. */
const plainHasher = {
  hash: async (text: string) => `plain:${text}`,
  verify: async (text: string, stored: string) => stored === `plain:${text}`,
  needsRehash: () => false,
}

describe.skipIf(!(await redisAnswers()))('failures counted in Redis', () => {
  failureContract(
    'Redis',
    async (clock) => {
      const prefix = uniqueName()
      const open: FailurePart[] = []
      return {
        async connect() {
          const failures = await redisFailures({ url: testRedisUrl, prefix, clock, timeout: patience })
          open.push(failures)
          return failures
        },
        async dispose() {
          await Promise.all(open.map((one) => one.close()))
          await clear(prefix)
        },
      }
    },
    test,
  )

  let prefix: string
  const closing: { close(): Promise<void> }[] = []
  beforeEach(() => {
    prefix = uniqueName()
  })
  afterEach(async () => {
    for (const one of closing.splice(0).reverse()) await one.close()
    await clear(prefix)
  })
  function kept<T extends { close(): Promise<void> }>(one: T): T {
    closing.push(one)
    return one
  }

  describe('alone', () => {
    async function open(options: Partial<Parameters<typeof redisFailures>[0]> = {}): Promise<FailurePart> {
      return kept(await redisFailures({ url: testRedisUrl, prefix, timeout: patience, ...options }))
    }
    async function fail(store: FailurePart, counts: readonly FailureCount[]): Promise<boolean> {
      const attempt = await store.begin(counts)
      if (attempt.allowed) await attempt.end('failed')
      return attempt.allowed
    }

    test('use the clock of the server, not those of the instances', async () => {
      const [one, other] = [await open(), await open()]
      for (const store of [one, other]) expect(await fail(store, [{ key: 'k', limit: 2 }])).toBe(true)
      expect(await one.begin([{ key: 'k', limit: 2 }])).toEqual({
        allowed: false,
        // A minute, and less on a machine that takes its time.
        retryAfter: expect.toSatisfy((seconds) => seconds > 40 && seconds <= 60),
        count: 0,
      })
    })

    test('expire by themselves, with every key, soon after they matter', async () => {
      const store = await open()
      await fail(store, [{ key: 'once', limit: 9 }])
      await fail(store, [{ key: 'locked', limit: 1 }])
      const good = await store.begin([{ key: 'good', limit: 9 }])
      if (good.allowed) await good.end('succeeded')
      const space = `{${prefix}}:`
      const keys = await keysOf(prefix)
      expect(keys).toEqual(
        ['failures', 'failures:locked', 'failures:once', 'known'].map((key) => space + key),
      )
      const times = await Promise.all(keys.map(async (key) => Number(await command('PTTL', key))))
      const [index = 0, locked = 0, once = 0, known = 0] = times
      expect(once).toBeGreaterThan(50_000)
      expect(once).toBeLessThanOrEqual(60_000)
      expect(locked).toBeGreaterThan(86_400_000)
      expect(locked).toBeLessThanOrEqual(86_460_000)
      expect(index).toBeGreaterThan(86_400_000)
      expect(index).toBeLessThanOrEqual(86_460_000)
      expect(known).toBeGreaterThan(29 * 86_400_000)
    })

    test('are bounded, and flooding them unlocks no key', async () => {
      const clock = manualClock()
      const store = await open({ maxEntries: 100, clock })
      for (let i = 0; i < 3; i++) await fail(store, [{ key: 'target', limit: 3 }])
      for (let i = 0; i < 300; i++) await fail(store, [{ key: `filler ${i}`, limit: 9 }])
      expect(await command('ZCARD', `{${prefix}}:failures`)).toBe(100)
      expect(await keysOf(prefix)).toHaveLength(101)
      expect((await store.begin([{ key: 'target', limit: 3 }])).allowed).toBe(false)
      // Expired counts leave the index too.
      clock.advance(61_000)
      for (let i = 0; i < 20; i++) await fail(store, [{ key: 'another', limit: 99 }])
      expect(Number(await command('ZCARD', `{${prefix}}:failures`))).toBeLessThanOrEqual(2)
      // Full of locks, the table still counts new keys.
      for (let i = 0; i < 150; i++) await fail(store, [{ key: `locked ${i}`, limit: 1 }])
      const late = { key: 'late', limit: 2 }
      expect(await fail(store, [late])).toBe(true)
      expect(await fail(store, [late])).toBe(true)
      expect(await fail(store, [late])).toBe(false)
    })

    test('remember a bounded number of successes, the latest', async () => {
      const clock = manualClock()
      const store = await open({ maxEntries: 100, clock })
      const strangers = { key: 'account', limit: 1, strangersOnly: true }
      for (let i = 0; i < 101; i++) {
        clock.advance(1)
        const attempt = await store.begin([{ key: `pair ${i}`, limit: 9 }])
        if (attempt.allowed) await attempt.end('succeeded')
      }
      await fail(store, [{ key: 'x', limit: 9 }, strangers])
      expect((await store.begin([{ key: 'pair 100', limit: 9 }, strangers], true)).allowed).toBe(true)
      expect((await store.begin([{ key: 'pair 0', limit: 9 }, strangers], true)).allowed).toBe(false)
      // After thirty days they are strangers again.
      clock.advance(29 * 86_400_000)
      expect((await store.begin([{ key: 'pair 100', limit: 9 }], true)).allowed).toBe(true)
      await fail(store, [{ key: 'x', limit: 9 }, strangers])
      expect((await store.begin([{ key: 'pair 100', limit: 9 }, strangers], true)).allowed).toBe(true)
      clock.advance(86_400_000 - 1000)
      await fail(store, [{ key: 'x', limit: 9 }, strangers])
      clock.advance(1000)
      expect((await store.begin([{ key: 'pair 100', limit: 9 }, strangers], true)).allowed).toBe(false)
    })

    test('misconfiguration throws; an unreachable server does not', async () => {
      await expect(open({ url: 'http://x' })).rejects.toThrow(/^redisFailures: `url`/)
      await expect(open({ maxEntries: 1 })).rejects.toThrow(/`maxEntries`/)
      await expect(open({ entries: 1 } as never)).rejects.toThrow(/unknown option `entries`/)
      const absent = await open({ url: 'redis://127.0.0.1:1', timeout: 200 })
      await expect(absent.begin([{ key: 'k', limit: 2 }])).rejects.toMatchObject({ name: 'StoreUnavailable' })
      await expect(redisTickets({ url: 'http://x' })).rejects.toThrow(/^redisTickets: `url`/)
      expect(() => composeStores(memoryStore(), { failures: {} as never })).toThrow(/`failures`/)
      expect(() => composeStores(memoryStore(), { tickets: {} as never })).toThrow(/`tickets`/)
      expect(() => composeStores(memoryStore(), {})).toThrow(/at least one/)
    })
  })

  describe('for two instances', () => {
    let base: Store
    beforeEach(() => {
      base = memoryStore()
    })
    /** Gateways on one database, which is the memory here. */
    async function instance(
      url = testRedisUrl,
      warnings: string[] = [],
      clock = outageClock(),
    ): Promise<Services> {
      const failures = kept(await redisFailures({ url, prefix, timeout: patience, clock }))
      return kept(
        createServices({
          store: composeStores(base, { failures }),
          passwordHasher: plainHasher,
          limits: { hashQueue: 1000, logInterval: 0 },
          logger: { warn: (message) => void warnings.push(message), error: expect.fail },
        }),
      )
    }
    async function person(services: Services): Promise<void> {
      expect(await services.accounts.create({ email, password })).toMatchObject({ outcome: 'done' })
    }
    const from = (clientAddress: string) => ({ clientAddress })

    test('wrong passwords in parallel, split over both: only the limit is verified, and both are locked', async () => {
      const both = [await instance(), await instance()] as const
      await person(both[0])
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, n) =>
          (both[n % 2] as Services).accounts.login(email, `wrong ${n} but long enough`, from('192.0.2.1')),
        ),
      )
      expect(answers.filter(({ outcome }) => outcome === 'rejected')).toHaveLength(10)
      expect(answers.filter(({ outcome }) => outcome === 'throttled')).toHaveLength(50)
      for (const { accounts } of both) {
        await expect
          .poll(() => accounts.login(email, password, from('192.0.2.1')))
          .toMatchObject({ outcome: 'throttled', retryAfter: expect.toSatisfy((s) => s > 50) })
        // Another address of the same person has another count.
        expect((await accounts.login(email, password, from('192.0.2.2'))).outcome).toBe('authenticated')
      }
    })

    test('an account guessed at from many addresses is locked for strangers, not for a client of the other instance', async () => {
      const [one, other] = [await instance(), await instance()]
      await person(one)
      expect(await one.accounts.login(email, password, from('198.51.100.1'))).toMatchObject({
        outcome: 'authenticated',
      })
      for (let n = 0; n < 100; n++) {
        const { accounts } = n % 2 ? one : other
        await accounts.login(email, 'wrong but long enough', from(`192.0.2.${n}`))
      }
      for (const { accounts } of [one, other]) {
        expect((await accounts.login(email, password, from('192.0.2.200'))).outcome).toBe('throttled')
        expect((await accounts.login(email, password, from('198.51.100.1'))).outcome).toBe('authenticated')
      }
    })

    test('wrong bootstrap codes from one network are counted, apart from passwords', async () => {
      const both = [await instance(), await instance()] as const
      await person(both[0])
      const secret = randomBytes(32).toString('base64url')
      const prove = (services: Services, code: string, clientAddress: string) => {
        const beside = { type: 'token', source: 'frame', value: code } as const
        const credential = deviceCredential({ by: 'claim', secret, wish: {}, beside })
        const context = { clientAddress, dryRun: false, path: '/ws', origin: undefined }
        return claimSecret({ pairing: services.pairing, devices: services.devices }).verify(
          credential,
          context,
        )
      }
      const guess = () =>
        Array.from(randomBytes(12), (byte) => '23456789ABCDEFGHJKMNPQRSTVWXYZ'[byte % 30]).join('')
      // One /64: its owner has all its addresses.
      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, n) =>
          prove(both[n % 2] as Services, guess(), `2001:db8:0:1::${(n + 1).toString(16)}`),
        ),
      )
      expect(answers.filter(({ outcome }) => outcome === 'rejected')).toHaveLength(10)
      expect(answers.filter(({ outcome }) => outcome === 'throttled')).toHaveLength(20)
      const made = await both[0].pairing.bootstrap.create({ actor: { unbounded: 'test' } })
      if (made.outcome !== 'done') throw new Error(made.reason)
      expect(await prove(both[1], made.code, '2001:db8:0:1::ffff')).toMatchObject({ outcome: 'throttled' })
      expect(await both[1].accounts.login(email, password, from('2001:db8:0:1::1'))).toMatchObject({
        outcome: 'authenticated',
      })
      expect(await prove(both[1], made.code, '2001:db8:0:2::1')).toMatchObject({ code: 'pairing_required' })
    })

    test('nothing that a user typed is in Redis', async () => {
      const { accounts } = await instance()
      const typed = `somebody-${'x'.repeat(5000)}@example.com`
      await accounts.login(typed, 'hunter2 and more of it', from('192.0.2.1'))
      await accounts.login('hunter2@example.com', 'hunter2 and more of it', from('192.0.2.1'))
      const keys = (await keysOf(prefix)).join('\n')
      expect(keys).toContain('192.0.2.1')
      expect(keys).not.toMatch(/somebody|example|hunter2/)
      expect(Math.max(...(await keysOf(prefix)).map((key) => key.length))).toBeLessThan(200)
    })

    test('a login waits for Redis once, and only before the password is verified', async () => {
      const failures = kept(await redisFailures({ url: testRedisUrl, prefix, timeout: patience }))
      let release = (): void => {}
      const ends: string[] = []
      const slow: FailurePart = {
        ...failures,
        async begin(counts, dryRun) {
          const attempt = await failures.begin(counts, dryRun)
          if (!attempt.allowed) return attempt
          return {
            allowed: true,
            async end(result) {
              ends.push(result)
              await new Promise<void>((resolve) => {
                release = resolve
              })
              await attempt.end(result)
            },
          }
        },
      }
      const services = kept(
        createServices({ store: composeStores(base, { failures: slow }), passwordHasher: plainHasher }),
      )
      await person(services)
      expect((await services.accounts.login(email, password)).outcome).toBe('authenticated')
      release()
      expect((await services.accounts.login(email, 'wrong but long enough')).outcome).toBe('rejected')
      release()
      expect(ends).toEqual(['succeeded', 'failed'])
    })

    describe('while Redis is away', () => {
      let way: Way
      beforeEach(async () => {
        way = await proxyTo(testRedisUrl)
      })
      afterEach(() => way.stop())

      for (const kind of ['stopped', 'frozen'] as const) {
        test(`${kind}: logins succeed, guessing stays bounded at each instance, and it is logged once`, async () => {
          const warnings: string[] = []
          const clock = outageClock()
          const [one, other] = [await instance(way.url(testRedisUrl), warnings, clock), await instance()]
          await person(one)
          expect((await one.accounts.login(email, password, from('198.51.100.1'))).outcome).toBe(
            'authenticated',
          )
          if (kind === 'stopped') await way.stop()
          else way.frozen = true
          clock.away = true
          // Bounded by the time-out, not by the return of the server: it comes back only afterwards.
          expect((await one.accounts.login(email, password, from('198.51.100.1'))).outcome).toBe(
            'authenticated',
          )
          const answers = await Promise.all(
            Array.from({ length: 40 }, (_, n) =>
              one.accounts.login(email, `wrong ${n} but long enough`, from('192.0.2.1')),
            ),
          )
          expect(answers.filter(({ outcome }) => outcome === 'rejected')).toHaveLength(10)
          expect(answers.filter(({ outcome }) => outcome === 'throttled')).toHaveLength(30)
          // A client that logged in here before the outage is no stranger during it.
          for (let n = 2; n < 110; n++) {
            await one.accounts.login(email, 'wrong but long enough', from(`192.0.2.${n}`))
          }
          expect((await one.accounts.login(email, password, from('203.0.113.1'))).outcome).toBe('throttled')
          expect((await one.accounts.login(email, password, from('198.51.100.1'))).outcome).toBe(
            'authenticated',
          )
          expect(warnings).toEqual([expect.stringMatching(/cannot be reached.*counts by itself/)])
          // The other instance is not affected.
          expect((await other.accounts.login(email, password, from('192.0.2.1'))).outcome).toBe(
            'authenticated',
          )

          if (kind === 'stopped') await way.start()
          else way.frozen = false
          clock.away = false
          await expect
            .poll(
              async () => {
                await one.accounts.login('nobody@example.com', 'wrong but long enough', from('192.0.2.250'))
                return warnings.length
              },
              { interval: 500 },
            )
            .toBe(2)
          expect(warnings[1]).toMatch(/are shared with other instances again/)
          for (let n = 0; n < 12; n++) {
            await other.accounts.login(email, `wrong ${n} but long enough`, from('203.0.113.9'))
          }
          expect((await one.accounts.login(email, password, from('203.0.113.9'))).outcome).toBe('throttled')
        })
      }

      test('from the start: the instance starts anyway, and uses the shared counts once they can be reached', async () => {
        await way.stop()
        const warnings: string[] = []
        const clock = outageClock()
        clock.away = true
        const one = await instance(way.url(testRedisUrl), warnings, clock)
        await person(one)
        expect((await one.accounts.login(email, password)).outcome).toBe('authenticated')
        expect(warnings).toHaveLength(1)
        await way.start()
        clock.away = false
        await expect
          .poll(
            async () => {
              await one.accounts.login(email, password)
              return warnings.length
            },
            { interval: 200 },
          )
          .toBe(2)
      })
    })
  })

  test('a ticket sent to two instances at once is accepted by one', async () => {
    const base = memoryStore()
    const instance = async (): Promise<Services> => {
      const tickets = kept(await redisTickets({ url: testRedisUrl, prefix, timeout: patience }))
      return kept(createServices({ store: composeStores(base, { tickets }), limits: { logInterval: 0 } }))
    }
    const both = [await instance(), await instance()] as const
    const account = await both[0].accounts.create({ email, password })
    if (account.outcome !== 'done') throw new Error(account.reason)
    const principal = {
      kind: 'user',
      id: account.account.id,
      scheme: 'password',
      scopes: [],
      roles: [],
      attributes: {},
    } as const
    const where = { path: '/ws', origin: 'https://gateway.example.com' }
    const context = { ...where, clientAddress: undefined, dryRun: false }
    for (let n = 0; n < 10; n++) {
      const { ticket } = await both[0].tickets.create(principal, where)
      const forged = await both[1].tickets.verify(
        ticket.replace(/.$/, (last) => (last === 'x' ? 'y' : 'x')),
        context,
      )
      expect(forged.outcome).toBe('rejected')
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) => (both[i % 2] as Services).tickets.verify(ticket, context)),
      )
      expect(answers.filter(({ outcome }) => outcome === 'authenticated')).toHaveLength(1)
      expect(answers.filter(({ outcome }) => outcome === 'rejected')).toHaveLength(7)
    }
    // Remaining keys expire by themselves, and a used ticket leaves no key.
    await both[0].tickets.create(principal, where)
    for (const key of await keysOf(prefix)) {
      if (String(await command('TYPE', key)) === 'zset') expect(await command('ZCARD', key), key).toBe(1)
    }
    for (const key of await keysOf(prefix)) {
      const left = Number(await command('PTTL', key))
      expect(left, key).toBeGreaterThan(30_000)
      expect(left, key).toBeLessThanOrEqual(90_000)
    }
  })

  test('expired tickets are removed, however many there are', async () => {
    const tickets = kept(await redisTickets({ url: testRedisUrl, prefix, timeout: patience }))
    const principal = { kind: 'user', scheme: 'session', scopes: [], roles: [] } as const
    for (let n = 0; n < 1100; n++) {
      const record = { path: '/ws', sequence: 0, createdAt: 1, expiresAt: 1000 + n, digest: 'd' }
      await tickets.add({ ...record, id: `${n}`, principal: { ...principal, id: `${n % 7}` } }, 999)
    }
    expect(await tickets.purge(1999, 5000)).toBe(1000)
    expect(await tickets.purge(1999, 5000)).toBe(0)
    expect(await tickets.get('1000')).toMatchObject({ expiresAt: 2000 })
  })
})
