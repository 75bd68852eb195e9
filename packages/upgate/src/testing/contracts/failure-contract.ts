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
      assert.equal(
        await waitOf(other),
        seconds,
        'each lock is twice as long as the one before, an hour at most',
      )
      clock.advance(seconds * 1000 - 1)
      assert.equal(await waitOf(one), 1, 'the lock lasts to its end')
      clock.advance(1)
    }
    // A day without a lock, and it begins again.
    clock.advance(24 * 60 * minute + 1)
    for (const store of [one, other, one]) await fail(store, [pair])
    assert.equal(await waitOf(one), 60, 'a day without a lock begins with a minute again')
  })

  check('forgets what failed more than a minute ago', async (one, other, clock) => {
    for (const store of [one, other]) await fail(store, [pair])
    clock.advance(minute)
    for (const store of [one, other]) await fail(store, [pair])
    assert.equal(
      (await one.begin([pair])).allowed,
      true,
      'two failures now and two a minute ago lock nothing',
    )
  })

  check('of attempts made at once no more than the limit are allowed', async (one, other) => {
    const counts = [{ key: 'pair', limit: 7 }, address, { ...account, limit: 100 }]
    const attempts = await Promise.all(range(40).map((n) => (n % 2 ? one : other).begin(counts)))
    assert.equal(attempts.filter(({ allowed }) => allowed).length, 5, 'the smallest limit decides')
    // A refused attempt was reserved nowhere.
    for (const attempt of attempts) if (attempt.allowed) await attempt.end('void')
    await fail(one, counts)
    assert.equal(
      (await other.begin([{ key: 'pair', limit: 7 }])).allowed,
      true,
      'a refused attempt has taken no place',
    )
  })

  check('counts what is not decided yet, and tells who comes meanwhile to come again', async (one, other) => {
    const [first, ...rest] = [await begin(one), await begin(other), await begin(one)]
    assert.equal(await waitOf(other), 1, 'attempts under way that fill a count: come again in a second')
    await first?.end('void')
    const another = await begin(other)
    for (const attempt of [...rest, another]) await attempt.end('failed')
    assert.equal(await waitOf(one), 60, 'three failures lock it')
  })

  check('what says nothing lifts the lock that came of it', async (one, other, clock) => {
    const attempts = [await begin(one), await begin(other), await begin(one)]
    await attempts[2]?.end('failed')
    await attempts[0]?.end('void')
    assert.equal(
      (await one.begin([pair], true)).allowed,
      true,
      'the lock of a failure that was none is lifted',
    )
    await attempts[1]?.end('failed')
    await fail(other, [pair])
    assert.equal(await waitOf(one), 60, 'three failures that stand lock it')
    clock.advance(minute)
    for (const store of [one, other, one]) await fail(store, [pair])
    // The lock that was lifted is not among those that make the next one longer.
    assert.equal(await waitOf(one), 120, 'the lifted lock does not make the next one longer')
  })

  check('an attempt of which nothing more was heard is a failure', async (one, other, clock) => {
    for (const store of [one, other, one]) await begin(store)
    clock.advance(minute - 1)
    assert.equal(
      (await other.begin([pair])).allowed,
      false,
      'an attempt that never ended takes a place for a minute',
    )
    clock.advance(1)
    assert.equal((await other.begin([pair])).allowed, true, 'after a minute it has lapsed')
  })

  check('what comes late changes nothing of what began since', async (one, other, clock) => {
    const late = [await begin(one), await begin(other)]
    clock.advance(minute)
    await fail(one, [pair])
    await fail(other, [pair])
    for (const attempt of late) await attempt.end('void')
    await fail(one, [pair])
    assert.equal(
      (await one.begin([pair])).allowed,
      false,
      'three failures since are three, whatever came late',
    )
  })

  check('an attempt ends once', async (one, other) => {
    await fail(one, [pair])
    const attempt = await begin(other)
    await attempt.end('failed')
    await attempt.end('void')
    await attempt.end('succeeded')
    await fail(one, [pair])
    assert.equal((await other.begin([pair])).allowed, false, 'an attempt that failed stays failed')
  })

  check('success clears the first count and no other, and adds to none', async (one, other) => {
    const counts = [pair, address]
    for (const store of [one, other]) await fail(store, counts)
    await (await begin(other, counts)).end('succeeded')
    for (const store of [one, other]) await fail(store, counts)
    assert.equal((await one.begin([pair], true)).allowed, true, 'success has cleared the first count')
    const elsewhere = { key: 'another pair', limit: 3 }
    await fail(one, [elsewhere, address])
    assert.equal(
      (await other.begin([elsewhere, address])).allowed,
      false,
      'success has not cleared the second count',
    )
    assert.equal(
      (await other.begin([pair, address])).allowed,
      false,
      'the second count is locked for the first pair, too',
    )
    assert.equal((await other.begin([pair])).allowed, true, 'the first pair itself is not locked')
  })

  check('whoever succeeded before is no stranger, anywhere', async (one, other) => {
    const strange: FailureCount = { key: 'strange pair', limit: 100 }
    await (await begin(one, [pair, account])).end('succeeded')
    for (const store of [one, other, one, other]) await fail(store, [strange, account])
    assert.equal((await one.begin([strange, account])).allowed, false, 'strangers are locked out')
    for (const store of [one, other]) {
      assert.equal(
        (await store.begin([pair, account], true)).allowed,
        true,
        'a client that succeeded before is not',
      )
      assert.equal(
        (await store.begin([{ ...pair, key: 'third' }, account], true)).allowed,
        false,
        'another pair is that of a stranger',
      )
    }
    // Counts that apply to all clients still bind it.
    for (const store of [one, other, one]) await fail(store, [pair, account])
    assert.equal((await other.begin([pair, account])).allowed, false, 'its own count locks it out')
  })

  check('a dry run changes nothing, whatever comes of it', async (one, other) => {
    for (const n of range(9)) {
      const attempt = await (n % 2 ? one : other).begin([pair, account], true)
      assert.equal(attempt.allowed, true, 'a dry run is allowed as often as it is asked')
      if (attempt.allowed) await attempt.end(n % 3 === 0 ? 'succeeded' : 'failed')
    }
    for (const store of [one, other, one]) await fail(store, [pair])
    assert.equal(
      (await other.begin([pair], true)).allowed,
      false,
      'a dry run says no where an attempt would be refused',
    )
    for (const store of [one, other, one, other]) await fail(store, [{ key: 'x', limit: 99 }, account])
    assert.equal(
      (await other.begin([{ key: 'pair of old', limit: 3 }, account])).allowed,
      false,
      'a dry run made no client known',
    )
  })

  check(
    'says which count keeps it out, and who succeeded before, or nothing of either',
    async (one, other) => {
      const strange: FailureCount = { key: 'strange pair', limit: 100 }
      const first = await begin(one, [pair, account])
      assert.equal(first.known ?? false, false, 'no attempt succeeded before: it is not known')
      await first.end('succeeded')
      const second = await begin(other, [pair, account])
      assert.equal(second.known ?? true, true, 'an attempt succeeded before: it is known, or nothing is said')
      await second.end('void')
      for (const store of [one, other, one, other]) await fail(store, [strange, account])
      const refused = await one.begin([strange, account])
      assert.equal(
        refused.allowed === false && (refused.count ?? 1),
        1,
        'the second count keeps a stranger out, or nothing is said',
      )
      for (const store of [one, other, one]) await fail(store, [pair, account])
      const own = await other.begin([pair, account])
      assert.equal(
        own.allowed === false && (own.count ?? 0),
        0,
        'the first count keeps a known client out, or nothing is said',
      )
    },
  )

  check('takes any key, of any length', async (one, other) => {
    const odd = `"]] return redis.call('FLUSHALL') --\u0000\u{1f510}\r\n${'x'.repeat(5000)}`
    const counts = [{ key: odd, limit: 2 }]
    for (const store of [one, other]) await fail(store, counts)
    assert.equal((await one.begin(counts)).allowed, false, 'an odd key is counted')
    assert.equal(
      (await one.begin([{ key: `${odd}y`, limit: 2 }])).allowed,
      true,
      'a longer key is another one',
    )
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
