import assert from 'node:assert/strict'
import type { Check } from './check.ts'
import { account, at, draft, ids, range, session } from './records.ts'

/** Registers what every log of revocations must pass, races included. */
export function logContract(check: Check): void {
  check('numbers the log without gaps, whoever writes', async (store, fixture) => {
    const other = await fixture.connect()
    await store.accounts.add(account('a'))
    for (const n of range(20)) await store.sessions.add(session(`${n}`), 50)
    await Promise.all(range(20).map((n) => (n % 2 ? store : other).sessions.remove(`${n}`, draft(`${n}`))))
    const log = await other.revocations.since(0, 100)
    assert.deepEqual(
      log.map((entry) => entry.sequence),
      range(20).map((n) => n + 1),
      'numbers have no gap, and are in order',
    )
    assert.equal(await store.revocations.head(), 20, 'the head is the newest number')
    assert.equal(log[0]?.at, at, 'the time of the draft is kept')
    assert.equal(log[0]?.reason, 'revoked', 'the reason of the draft is kept')
    assert.deepEqual(
      ids(await store.revocations.since(5, 3), 'sequence'),
      [6, 7, 8],
      'a part of the log begins after the number, and keeps to the limit',
    )
  })

  check('takes entries of the log by themselves', async (store, fixture) => {
    const other = await fixture.connect()
    assert.deepEqual(await store.revocations.append([]), [], 'no entries are none')
    const answers = await Promise.all(
      range(6).map((n) => (n % 2 ? store : other).revocations.append([draft(`${n}a`), draft(`${n}b`)])),
    )
    const log = await other.revocations.since(0, 100)
    assert.deepEqual(
      ids(log, 'sequence'),
      range(12).map((n) => n + 1),
      'numbers have no gap, and are in order',
    )
    for (const entries of answers) {
      // Those of one call stand together.
      assert.deepEqual(
        log.slice((entries[0]?.sequence ?? 0) - 1, entries[1]?.sequence),
        entries,
        'the entries of one call stand together',
      )
    }
  })
}
