import assert from 'node:assert/strict'
import type { AcquaintanceRecord, AcquaintanceStore } from '../../core/ports/acquaintances.ts'
import type { Store } from '../../core/ports/stores.ts'
import type { Check } from './check.ts'

const at = 1_767_225_600_000
const minute = 60_000

/** Registers what every store of acquaintances must pass. A store without them passes. */
export function acquaintanceContract(check: Check): void {
  const checkKept = (
    what: string,
    run: (kept: AcquaintanceStore, other: AcquaintanceStore) => Promise<void>,
  ): void =>
    check(what, async (store, fixture, skip) => {
      if (store.acquaintances === undefined) {
        return skip('The store has no `acquaintances`: addresses are known until a restart.')
      }
      await run(store.acquaintances, keptBy(await fixture.connect()))
    })

  checkKept('keeps acquaintances, those that count longest first', async (kept, other) => {
    assert.deepEqual(await kept.list(at, 10), [], 'there are none at first')
    await kept.note([], at, 10)
    await kept.note([record('a', 2), record('b', 3), record('c', 1)], at, 10)
    assert.deepEqual(
      await other.list(at, 10),
      [record('b', 3), record('a', 2), record('c', 1)],
      'those that count longest come first',
    )
    assert.deepEqual(await other.list(at, 2), [record('b', 3), record('a', 2)], 'the limit is kept to')
    assert.deepEqual(
      await other.list(at + minute, 10),
      [record('b', 3), record('a', 2)],
      'one that ended by now is left out',
    )
  })

  checkKept('prolongs acquaintances, and never shortens them', async (kept, other) => {
    await kept.note([record('a', 2), record('b', 3)], at, 10)
    await other.note([record('a', 5), record('b', 1), record('a', 4)], at, 10)
    assert.deepEqual(
      await kept.list(at, 10),
      [record('a', 5), record('b', 3)],
      'ends are prolonged, and never shortened',
    )
  })

  checkKept('forgets acquaintances that ended, and beyond the bound what ends first', async (kept, other) => {
    await kept.note([record('a', 1), record('b', 3), record('c', 2)], at, 10)
    await other.note([record('d', 4)], at + minute, 10)
    assert.deepEqual(names(await kept.list(0, 10)), ['d', 'b', 'c'], 'those that ended are forgotten')
    await other.note([record('e', 5)], at, 2)
    assert.deepEqual(
      names(await kept.list(0, 10)),
      ['e', 'd'],
      'beyond the bound, those that end first are forgotten',
    )
  })

  checkKept('keeps acquaintances that several write at once', async (kept, other) => {
    const each = Array.from({ length: 60 }, (_, n) => record(`${n}`, n + 1))
    await Promise.all(each.map((one, n) => (n % 2 ? kept : other).note([one, record('all', n + 1)], at, 50)))
    const found = await kept.list(at, 100)
    assert.equal(found.length, 50, 'as many are kept as the bound allows')
    assert.deepEqual(
      found.filter(({ digest }) => digest === 'all'),
      [record('all', 60)],
      'the one that all prolonged has the latest end, once',
    )
  })
}

function keptBy({ acquaintances }: Store): AcquaintanceStore {
  assert.ok(acquaintances, 'the other connection keeps acquaintances, too')
  return acquaintances
}

function record(digest: string, minutes: number): AcquaintanceRecord {
  return { digest, until: at + minutes * minute }
}

function names(records: readonly AcquaintanceRecord[]): string[] {
  return records.map(({ digest }) => digest)
}
