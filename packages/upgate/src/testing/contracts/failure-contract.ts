import assert from 'node:assert/strict'
import type { FailureAttempt, FailureCount, FailureStore } from '../../core/ports/failures.ts'
import { type ManualClock, manualClock } from '../manual-clock.ts'
import { assertContract, type TestFunction } from './store-contract.ts'

/** One place where failures are counted, for one test. */
export interface FailureFixture {
  /** Another connection to the same counts; for memory the same store again. */
  connect(): Promise<FailureStore>
  /** Closes and removes everything. */
  dispose(): Promise<void>
}

const minute = 60_000
const pair: FailureCount = { key: 'pair', limit: 3 }
const address: FailureCount = { key: 'address', limit: 5 }
const account: FailureCount = { key: 'account', limit: 4, strangersOnly: true }

/**
 * Registers the tests that every store of failure counts must pass, races included.
 *
 * @param name - what the tests are called
 * @param make - makes an empty place that goes by the clock given; called once a test
 * @param test - the test runner's function
 * @throws TypeError for an argument of another kind
 * @example
 * failureContract('mine', async (clock) => {
 *   const failures = await myFailures({ clock })
 *   return { connect: async () => failures, dispose: () => failures.close() }
 * }, test)
 */
export function failureContract(
  name: string,
  make: (clock: ManualClock) => Promise<FailureFixture>,
  test: TestFunction,
): void {
  assertContract('failureContract', name, make, test)
  const check = (
    what: string,
    run: (one: FailureStore, other: FailureStore, clock: ManualClock) => Promise<void>,
  ): void => {
    test(`${name}: ${what}`, async () => {
      const clock = manualClock()
      const fixture = await make(clock)
      try {
        await run(await fixture.connect(), await fixture.connect(), clock)
      } finally {
        await fixture.dispose()
      }
    })
  }

  check('locks at the limit: a minute, then twice as long, an hour at most', async (one, other, clock) => {
    for (const seconds of [60, 120, 240, 480, 960, 1920, 3600, 3600]) {
      for (const store of [one, other, one]) await fail(store, [pair])
      assert.equal(await waitOf(other), seconds)
      clock.advance(seconds * 1000 - 1)
      assert.equal(await waitOf(one), 1)
      clock.advance(1)
    }
    // A day without a lock, and it begins again.
    clock.advance(24 * 60 * minute + 1)
    for (const store of [one, other, one]) await fail(store, [pair])
    assert.equal(await waitOf(one), 60)
  })

  check('forgets what failed more than a minute ago', async (one, other, clock) => {
    for (const store of [one, other]) await fail(store, [pair])
    clock.advance(minute)
    for (const store of [one, other]) await fail(store, [pair])
    assert.equal((await one.begin([pair])).allowed, true)
  })

  check('of attempts made at once no more than the limit are allowed', async (one, other) => {
    const counts = [{ key: 'pair', limit: 7 }, address, { ...account, limit: 100 }]
    const attempts = await Promise.all(range(40).map((n) => (n % 2 ? one : other).begin(counts)))
    assert.equal(attempts.filter(({ allowed }) => allowed).length, 5)
    // A refused attempt was reserved nowhere.
    for (const attempt of attempts) if (attempt.allowed) await attempt.end('void')
    await fail(one, counts)
    assert.equal((await other.begin([{ key: 'pair', limit: 7 }])).allowed, true)
  })

  check('counts what is not decided yet, and tells who comes meanwhile to come again', async (one, other) => {
    const [first, ...rest] = [await begin(one), await begin(other), await begin(one)]
    assert.equal(await waitOf(other), 1)
    await first?.end('void')
    const another = await begin(other)
    for (const attempt of [...rest, another]) await attempt.end('failed')
    assert.equal(await waitOf(one), 60)
  })

  check('what says nothing lifts the lock that came of it', async (one, other, clock) => {
    const attempts = [await begin(one), await begin(other), await begin(one)]
    await attempts[2]?.end('failed')
    await attempts[0]?.end('void')
    assert.equal((await one.begin([pair], true)).allowed, true)
    await attempts[1]?.end('failed')
    await fail(other, [pair])
    assert.equal(await waitOf(one), 60)
    clock.advance(minute)
    for (const store of [one, other, one]) await fail(store, [pair])
    // The lock that was lifted is not among those that make the next one longer.
    assert.equal(await waitOf(one), 120)
  })

  check('an attempt of which nothing more was heard is a failure', async (one, other, clock) => {
    for (const store of [one, other, one]) await begin(store)
    clock.advance(minute - 1)
    assert.equal((await other.begin([pair])).allowed, false)
    clock.advance(1)
    assert.equal((await other.begin([pair])).allowed, true)
  })

  check('what comes late changes nothing of what began since', async (one, other, clock) => {
    const late = [await begin(one), await begin(other)]
    clock.advance(minute)
    await fail(one, [pair])
    await fail(other, [pair])
    for (const attempt of late) await attempt.end('void')
    await fail(one, [pair])
    assert.equal((await one.begin([pair])).allowed, false)
  })

  check('an attempt ends once', async (one, other) => {
    await fail(one, [pair])
    const attempt = await begin(other)
    await attempt.end('failed')
    await attempt.end('void')
    await attempt.end('succeeded')
    await fail(one, [pair])
    assert.equal((await other.begin([pair])).allowed, false)
  })

  check('success clears the first count and no other, and adds to none', async (one, other) => {
    const counts = [pair, address]
    for (const store of [one, other]) await fail(store, counts)
    await (await begin(other, counts)).end('succeeded')
    for (const store of [one, other]) await fail(store, counts)
    assert.equal((await one.begin([pair], true)).allowed, true)
    const elsewhere = { key: 'another pair', limit: 3 }
    await fail(one, [elsewhere, address])
    assert.equal((await other.begin([elsewhere, address])).allowed, false)
    assert.equal((await other.begin([pair, address])).allowed, false)
    assert.equal((await other.begin([pair])).allowed, true)
  })

  check('whoever succeeded before is no stranger, anywhere', async (one, other) => {
    const strange: FailureCount = { key: 'strange pair', limit: 100 }
    await (await begin(one, [pair, account])).end('succeeded')
    for (const store of [one, other, one, other]) await fail(store, [strange, account])
    assert.equal((await one.begin([strange, account])).allowed, false)
    for (const store of [one, other]) {
      assert.equal((await store.begin([pair, account], true)).allowed, true)
      assert.equal((await store.begin([{ ...pair, key: 'third' }, account], true)).allowed, false)
    }
    // Counts that apply to all clients still bind it.
    for (const store of [one, other, one]) await fail(store, [pair, account])
    assert.equal((await other.begin([pair, account])).allowed, false)
  })

  check('a dry run changes nothing, whatever comes of it', async (one, other) => {
    for (const n of range(9)) {
      const attempt = await (n % 2 ? one : other).begin([pair, account], true)
      assert.equal(attempt.allowed, true)
      if (attempt.allowed) await attempt.end(n % 3 === 0 ? 'succeeded' : 'failed')
    }
    for (const store of [one, other, one]) await fail(store, [pair])
    assert.equal((await other.begin([pair], true)).allowed, false)
    for (const store of [one, other, one, other]) await fail(store, [{ key: 'x', limit: 99 }, account])
    assert.equal((await other.begin([{ key: 'pair of old', limit: 3 }, account])).allowed, false)
  })

  check(
    'says which count keeps it out, and who succeeded before, or nothing of either',
    async (one, other) => {
      const strange: FailureCount = { key: 'strange pair', limit: 100 }
      const first = await begin(one, [pair, account])
      assert.equal(first.known ?? false, false)
      await first.end('succeeded')
      const second = await begin(other, [pair, account])
      assert.equal(second.known ?? true, true)
      await second.end('void')
      for (const store of [one, other, one, other]) await fail(store, [strange, account])
      const refused = await one.begin([strange, account])
      assert.equal(refused.allowed === false && (refused.count ?? 1), 1)
      for (const store of [one, other, one]) await fail(store, [pair, account])
      const own = await other.begin([pair, account])
      assert.equal(own.allowed === false && (own.count ?? 0), 0)
    },
  )

  check('takes any key, of any length', async (one, other) => {
    const odd = `"]] return redis.call('FLUSHALL') --\u0000\u{1f510}\r\n${'x'.repeat(5000)}`
    const counts = [{ key: odd, limit: 2 }]
    for (const store of [one, other]) await fail(store, counts)
    assert.equal((await one.begin(counts)).allowed, false)
    assert.equal((await one.begin([{ key: `${odd}y`, limit: 2 }])).allowed, true)
  })
}

type Allowed = Extract<FailureAttempt, { allowed: true }>

async function begin(store: FailureStore, counts: readonly FailureCount[] = [pair]): Promise<Allowed> {
  const attempt = await store.begin(counts)
  assert.ok(attempt.allowed, 'the attempt is allowed')
  return attempt
}

/** Seconds to wait; 0 = the attempt is allowed. */
async function waitOf(store: FailureStore): Promise<number> {
  const attempt = await store.begin([pair])
  return attempt.allowed ? 0 : attempt.retryAfter
}

async function fail(store: FailureStore, counts: readonly FailureCount[]): Promise<void> {
  await (await begin(store, counts)).end('failed')
}

function range(length: number): number[] {
  return Array.from({ length }, (_, n) => n)
}
