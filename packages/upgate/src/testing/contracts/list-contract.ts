import assert from 'node:assert/strict'
import type { Page } from '../../core/ports/pages.ts'
import type { PairingRecord } from '../../core/ports/pairings.ts'
import type { SessionRecord, Store } from '../../core/ports/stores.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'
import type { Check } from './check.ts'
import { account, at, defined, session as ofAccount, token as withoutRole } from './records.ts'

const minute = 60_000

/** A list of a store, as its pages are tested. */
interface List {
  add(store: Store, id: string): Promise<unknown>
  page(store: Store, limit: number, after?: string): Promise<Page<{ readonly id: string }>>
  readonly newestFirst?: boolean
}

const lists: Readonly<Record<string, List>> = {
  accounts: {
    add: ({ accounts }, id) => accounts.add(account(id)),
    page: ({ accounts }, limit, after) => accounts.page({ after, limit }),
  },
  keys: {
    add: ({ keys }, id) => keys.add(token(id)),
    page: ({ keys }, limit, after) => keys.page({ after, limit, revoked: true }),
  },
  devices: {
    add: ({ devices }, id) => devices.add(token(id)),
    page: ({ devices }, limit, after) => devices.page({ after, limit, revoked: false }),
  },
  sessions: {
    async add({ accounts, sessions }, id) {
      await accounts.add(account('owner'))
      await accounts.add(account('another'))
      await sessions.add(session(`of another ${id}`, { accountId: 'another' }), 100)
      await sessions.add(session(id), 100)
    },
    page: ({ sessions }, limit, after) => sessions.page('owner', { after, limit }),
    newestFirst: true,
  },
  'pending pairings': {
    add: ({ pairings }, id) => pairings.request(pairing(id), { now: at, atMost: 100, perAddress: 100 }),
    page: ({ pairings }, limit, after) => pairings.page('pending', { after, limit }),
  },
}

/** Registers what the pages of every list must pass, the removal in slices, and the import of many. */
export function listContract(check: Check): void {
  for (const [name, { add, page, newestFirst = false }] of Object.entries(lists)) {
    check(`gives ${name} by pages, each record on one of them`, async (store, fixture) => {
      assert.deepEqual(await readAll(store, page, 5), [[]], 'an empty list is one page, without `next`')
      const ids = ['f', 'a', 'e', 'b', 'd', 'c', 'g']
      for (const id of ids) await add(store, id)
      const expected = newestFirst ? [...ids].reverse() : ids
      for (const limit of [1, 2, 3, 6, 7, 8, 1000]) {
        const pages = await readAll(store, page, limit)
        assert.deepEqual(pages.flat(), expected, `pages of ${limit} hold the list, in its order`)
        assert.equal(pages.length, Math.ceil(ids.length / limit), `no page of ${limit} is empty or too long`)
      }
      const other = await fixture.connect()
      const first = await page(store, 3)
      const second = await page(other, 3, first.next)
      assert.deepEqual(
        idsOf(second),
        expected.slice(3, 6),
        'another connection continues where this one ended',
      )
      assert.ok(first.next !== undefined && first.next.length <= 100, 'a cursor has at most 100 characters')
    })

    check(`keeps to the pages of ${name} while others add`, async (store) => {
      for (const id of ['a', 'b', 'c', 'd']) await add(store, id)
      const first = await page(store, 2)
      await add(store, 'e')
      const others = (await readAll(store, page, 2, first.next)).flat()
      const seen = [...idsOf(first), ...others]
      assert.equal(new Set(seen).size, seen.length, 'no record is on two pages')
      for (const id of ['a', 'b', 'c', 'd']) assert.ok(seen.includes(id), `${id} is on a page`)
    })

    check(`finds no ${name} after a place that the list never gave`, async (store) => {
      for (const id of ['a', 'b']) await add(store, id)
      for (const after of [
        '',
        'nonsense',
        "1' or '1'='1",
        '-1x',
        'NaN',
        '9'.repeat(100),
        '\u0000',
        '{"a":1}',
      ]) {
        const { records } = await page(store, 5, after)
        assert.ok(Array.isArray(records), `${JSON.stringify(after)} is answered, and no failure`)
        assert.ok(records.length <= 2, `${JSON.stringify(after)} finds nothing that is not there`)
      }
    })
  }

  check('continues after a record that is gone since', async ({ accounts, sessions }) => {
    await accounts.add(account('owner'))
    for (const id of ['a', 'b', 'c', 'd', 'e']) await sessions.add(session(id), 100)
    const first = await sessions.page('owner', { limit: 2 })
    assert.deepEqual(idsOf(first), ['e', 'd'], 'the first page holds the newest')
    const draft = { at, selector: { sessionId: 'd' }, reason: 'revoked' } as const
    for (const id of ['d', 'c']) await sessions.remove(id, draft)
    const second = await sessions.page('owner', { after: first.next, limit: 2 })
    assert.deepEqual(idsOf(second), ['b', 'a'], 'the second page begins after the place of the removed one')
  })

  check('leaves revoked tokens out, and fills the page with others', async ({ keys }) => {
    for (let n = 0; n < 9; n++) {
      await keys.add(token(`${n}`))
      if (n % 3 > 0) await keys.replace(token(`${n}`, { version: 2, revokedAt: at }), [])
    }
    const first = await keys.page({ limit: 2, revoked: false })
    assert.deepEqual(idsOf(first), ['0', '3'], 'a page is filled')
    const second = await keys.page({ limit: 2, revoked: false, after: first.next })
    assert.equal(second.next, undefined, 'the last page has no `next`')
    assert.deepEqual(idsOf(second), ['6'], 'the second page holds the rest')
  })

  check('gives pairings by their state, and as they were put in', async ({ pairings }) => {
    const terms = { now: at, atMost: 100, perAddress: 100 }
    for (const id of ['a', 'b', 'c']) await pairings.request(pairing(id), terms)
    await pairings.replace(pairing('b', { version: 2, state: 'rejected' }))
    assert.deepEqual(idsOf(await pairings.page('pending', { limit: 9 })), ['a', 'c'], 'the pending ones')
    assert.deepEqual(idsOf(await pairings.page('rejected', { limit: 9 })), ['b'], 'the rejected one')
    const [record] = (await pairings.page('pending', { limit: 1 })).records
    assert.deepEqual(defined(record), defined(pairing('a')), 'the record on the page is whole')
  })

  check('forgets sessions that ended in slices, and no other', async (store, fixture) => {
    const other = await fixture.connect()
    await store.accounts.add(account('owner'))
    for (let n = 0; n < 7; n++) await store.sessions.add(session(`ended ${n}`, { expiresAt: at }), 100)
    for (let n = 0; n < 5; n++) await store.sessions.add(session(`idle ${n}`, { lastSeenAt: at - 1 }), 100)
    await store.sessions.add(session('both', { expiresAt: at, lastSeenAt: at - 1 }), 100)
    await store.sessions.add(session('live'), 100)
    const counts: number[] = []
    do counts.push(await store.sessions.purge(at, at, 4))
    while ((counts.at(-1) ?? 0) >= 4)
    assert.ok(
      counts.every((count) => count <= 4),
      `no slice is larger than asked for: ${counts}`,
    )
    assert.equal(
      counts.reduce((a, b) => a + b),
      13,
      'each ended session is counted once',
    )
    assert.deepEqual(idsOf({ records: await other.sessions.list('owner') }), ['live'], 'the live one stays')
  })

  check('forgets tickets that expired in slices, and no other', async ({ tickets }) => {
    const principal = { kind: 'user', id: 'ada', scheme: 'session', scopes: [], roles: [] } as const
    const times = { path: '/ws', sequence: 0, createdAt: at, expiresAt: at + minute }
    for (let n = 0; n < 9; n++) await tickets.add({ ...times, id: `${n}`, digest: 'd', principal }, 100)
    await tickets.add({ ...times, id: 'live', digest: 'd', principal, expiresAt: at + 2 * minute }, 100)
    const counts: number[] = []
    do counts.push(await tickets.purge(at + minute, 4))
    while ((counts.at(-1) ?? 0) >= 4)
    assert.deepEqual(counts, [4, 4, 1], 'no slice is larger than asked for')
    assert.equal((await tickets.get('live'))?.id, 'live', 'the one that counts stays')
  })

  check('adds many tokens at once, except those whose id is taken', async (store, fixture, skip) => {
    const other = await fixture.connect()
    const many = store.keys.addAll
    const elsewhere = other.keys.addAll
    if (many === undefined || elsewhere === undefined) {
      return skip('The store has no `addAll`: many records are added one by one.')
    }
    assert.equal(await many([]), 0, 'none')
    await store.keys.add(token('7', { name: 'before' }))
    const records = Array.from({ length: 1000 }, (_, n) => token(`${n}`))
    const added = await Promise.all([many(records), elsewhere(records)])
    assert.equal(added[0] + added[1], 999, 'each record is added once, whoever adds it')
    assert.equal(await many(records), 0, 'a repetition adds none')
    assert.equal((await other.keys.get('7'))?.name, 'before', 'a record that is there stays as it is')
    assert.deepEqual(defined(await other.keys.get('999')), defined(token('999')), 'records are whole')
    assert.equal((await other.keys.list()).length, 1000, 'all are there')
    assert.equal(await many([token('twice'), token('twice')]), 1, 'two of one id are one')
  })
}

async function readAll(
  store: Store,
  page: List['page'],
  limit: number,
  after?: string | undefined,
): Promise<string[][]> {
  const pages: string[][] = []
  let next = after
  do {
    const one = await page(store, limit, next)
    pages.push(idsOf(one))
    next = one.next
    assert.ok(pages.length < 100, 'the pages come to an end')
  } while (next !== undefined)
  return pages
}

function idsOf({ records }: { readonly records: readonly { readonly id: string }[] }): string[] {
  return records.map(({ id }) => id)
}

function session(id: string, changes: Partial<SessionRecord> = {}): SessionRecord {
  return ofAccount(id, { accountId: 'owner', ...changes })
}

function token(id: string, changes: Partial<TokenRecord> = {}): TokenRecord {
  return withoutRole(id, { roles: ['node'], ...changes })
}

function pairing(id: string, changes: Partial<PairingRecord> = {}): PairingRecord {
  return {
    ...{ id, version: 1, subject: `key:${id}`, state: 'pending', quota: 'invited', introduction: 'code' },
    ...{ name: 'kitchen', role: 'node', scopes: ['node.run'], createdAt: at, expiresAt: at + minute },
    ...changes,
  }
}
