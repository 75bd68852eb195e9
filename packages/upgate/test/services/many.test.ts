import { describe, expect, test } from 'vitest'
import { createServices } from '../../src/services/create-services.ts'
import type { ImportedToken } from '../../src/services/tokens/import-tokens.ts'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'

const at = Date.UTC(2026, 0, 1)
const limits = { logInterval: 0 }

function setUp(store = memoryStore()) {
  const clock = manualClock(at)
  return { store, clock, services: createServices({ store, clock, limits }) }
}

/** The id of a record, as tokens have it. */
const idOf = (n: number): string => `${n}`.padStart(12, '0')
const record = (n: number, changes: Partial<ImportedToken> = {}): ImportedToken => ({
  id: idOf(n),
  digest: 'd'.repeat(43),
  name: `key ${n}`,
  scopes: ['read'],
  roles: [],
  createdAt: at,
  ...changes,
})
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('lists by pages', () => {
  test('keys, without their secrets; revoked ones where they are asked for', async () => {
    const { services } = setUp()
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.push((await services.keys.create({ name: `${n}`, scopes: ['read'] })).id)
    await services.keys.revoke(ids[1] as string)
    const first = await services.keys.page({ limit: 2 })
    expect(first.items.map(({ name }) => name)).toEqual(['0', '2'])
    expect(first.items[0]).not.toHaveProperty('digest')
    const second = await services.keys.page({ limit: 2, after: first.next })
    expect(second.items.map(({ name }) => name)).toEqual(['3', '4'])
    expect(second.next).toBeUndefined()
    expect((await services.keys.page({ revoked: true })).items).toHaveLength(5)
    const device = await services.devices.create({ name: 'kitchen' })
    expect((await services.devices.page()).items).toEqual([device.record])
  })

  test('accounts, sessions and pending pairings', async () => {
    const { services, clock } = setUp()
    for (const name of ['ada', 'bob', 'cleo'])
      await services.accounts.create({ email: `${name}@example.com` })
    const first = await services.accounts.page({ limit: 2 })
    expect(first.items.map(({ email }) => email)).toEqual(['ada@example.com', 'bob@example.com'])
    expect(first.items[0]).not.toHaveProperty('passwordHash')
    const rest = await services.accounts.page({ limit: 2, after: first.next })
    expect(rest).toMatchObject({ items: [{ email: 'cleo@example.com' }], next: undefined })
    const { id } = first.items[0] as { id: string }
    const made: string[] = []
    for (let n = 0; n < 3; n++) made.unshift((await services.sessions.create(id))?.session.id ?? '')
    const sessions = await services.sessions.page(id, { limit: 2 })
    const older = await services.sessions.page(id, { limit: 2, after: sessions.next })
    expect([...sessions.items, ...older.items].map((session) => session.id)).toEqual(made)
    clock.advance(8 * 86_400_000)
    expect(await services.sessions.page(id)).toEqual({ items: [], next: undefined })
    expect(await services.pairing.pendingPage()).toEqual({ items: [], next: undefined })
  })

  test.each([
    [{ limit: 0 }, /keys\.page: `limit`/],
    [{ limit: 1001 }, /keys\.page: `limit`/],
    [{ limit: 'all' as never }, /keys\.page: `limit`/],
    [{ after: 7 as never }, /keys\.page: `after`/],
    [{ after: 'x'.repeat(101) }, /keys\.page: `after`/],
    [{ size: 7 } as never, /keys\.page: unknown option `size`/],
  ])('misuse is named: %j', async (options, message) => {
    await expect(setUp().services.keys.page(options)).rejects.toThrow(message)
  })

  test('a cursor from a link may be any text, and then finds nothing', async () => {
    const { services } = setUp()
    await services.keys.create({ name: 'one' })
    expect(await services.keys.page({ after: '../../etc' })).toEqual({ items: [], next: undefined })
  })
})

describe('importing', () => {
  test('keys of another store count as before, with what they grant', async () => {
    const { services: old, store } = setUp()
    const { token } = await old.keys.create({ name: 'backup', scopes: ['read'] })
    const { id: gone, token: revoked } = await old.keys.create({ name: 'gone' })
    await old.keys.revoke(gone)
    const { services } = setUp()
    const { records } = await store.keys.page({ limit: 100, revoked: true })
    expect(await services.keys.import(records.map(({ version: _, ...rest }) => rest))).toEqual({
      ...{ read: 2, added: 2, present: 0 },
    })
    expect(await services.keys.verify(token)).toMatchObject({
      outcome: 'authenticated',
      principal: { kind: 'service', scopes: ['read'] },
    })
    expect(await services.keys.verify(revoked)).toMatchObject({ code: 'revoked_credential' })
  })

  test('goes in slices, tells how far it is, and lets other work run in between', async () => {
    const { services, store } = setUp()
    const slices: number[] = []
    const written: number[] = []
    let turns = 0
    const count = (): void => {
      turns++
      if (written.length < 5) setImmediate(count)
    }
    setImmediate(count)
    const watched = {
      ...store.keys,
      async addAll(records: Parameters<NonNullable<typeof store.keys.addAll>>[0]) {
        slices.push(records.length)
        return store.keys.addAll?.(records) ?? 0
      },
    }
    const importing = createServices({ store: { ...store, keys: watched }, limits })
    const result = await importing.keys.import(
      Array.from({ length: 1100 }, (_, n) => record(n)),
      { slice: 250, onProgress: ({ read, added }) => written.push(read, added) },
    )
    expect(slices).toEqual([250, 250, 250, 250, 100])
    expect(written).toEqual([250, 250, 500, 500, 750, 750, 1000, 1000, 1100, 1100])
    expect(result).toEqual({ read: 1100, added: 1100, present: 0 })
    expect(turns).toBeGreaterThan(1)
    expect((await services.keys.list()).length).toBe(1100)
  })

  test('reads an asynchronous iterable no further than it writes', async () => {
    const { services } = setUp()
    let ahead = 0
    let most = 0
    async function* source() {
      for (let n = 0; n < 50; n++) {
        most = Math.max(most, ++ahead)
        yield record(n)
      }
    }
    await services.keys.import(source(), { slice: 10, onProgress: () => (ahead = 0) })
    expect(most).toBe(10)
  })

  test('is stopped between two slices, keeps those that were reported, and is simply repeated', async () => {
    const { services } = setUp()
    const stop = new AbortController()
    let closed = false
    function* source() {
      try {
        for (let n = 0; n < 100; n++) yield record(n)
      } finally {
        closed = true
      }
    }
    const reports: number[] = []
    const stopping = services.keys.import(source(), {
      slice: 20,
      signal: stop.signal,
      onProgress({ read }) {
        reports.push(read)
        if (read === 40) stop.abort(new Error('enough'))
      },
    })
    await expect(stopping).rejects.toThrow('enough')
    expect(closed, 'the source is told that nothing more is read').toBe(true)
    expect(reports).toEqual([20, 40])
    expect(await services.keys.list()).toHaveLength(40)
    expect(await services.keys.import(source())).toEqual({ read: 100, added: 60, present: 40 })
    await expect(
      services.keys.import(source(), { signal: AbortSignal.abort(new Error('no')) }),
    ).rejects.toThrow('no')
  })

  test('a record that is there stays as it is', async () => {
    const { services } = setUp()
    const { id, token } = await services.keys.create({ name: 'mine', scopes: ['read'] })
    await services.keys.import([{ ...record(1), id, scopes: ['everything'] }])
    expect(await services.keys.get(id)).toMatchObject({ name: 'mine', scopes: ['read'] })
    expect(await services.keys.verify(token)).toMatchObject({ outcome: 'authenticated' })
  })

  test('works with a store that adds one by one', async () => {
    const store = memoryStore()
    const { addAll: _, ...keys } = store.keys
    const { services } = setUp({ ...store, keys })
    expect(await services.keys.import([record(1), record(2), record(1)])).toEqual({
      ...{ read: 3, added: 2, present: 1 },
    })
  })

  const wrong: [string, unknown, RegExp][] = [
    ['no object', 7, /keys\.import: record 3 must be an object/],
    ['null', null, /record 3 must be an object/],
    ['another id', record(2, { id: '../../../etc' }), /record 3: `id` must be 12 letters and digits/],
    [
      'a token for a digest',
      record(2, { digest: 'ugk_secret' }),
      /record 3 \(000000000002\): `digest` must be/,
    ],
    ['hexadecimal', record(2, { digest: 'a'.repeat(64) }), /`digest` must be a SHA-256 in base64url/],
    ['no digest', { ...record(2), digest: undefined }, /`digest` must be/],
    ['a wrong former digest', record(2, { previousDigest: 'x' }), /`previousDigest` must be/],
    ['no name', record(2, { name: ' ' }), /record 3 \(000000000002\): `name` must have 1 to 100/],
    ['a scope with a blank', record(2, { scopes: ['a b'] }), /`scopes` must be names/],
    ['scopes that are no list', record(2, { scopes: 'read' as never }), /`scopes` must be a list/],
    ['a time that is text', record(2, { createdAt: '2026' as never }), /`createdAt` must be milliseconds/],
    ['a time that is no number', record(2, { expiresAt: Number.NaN }), /`expiresAt` must be milliseconds/],
    ['an unknown account', record(2, { accountId: 'nobody' }), /`accountId` must be the id of an account/],
  ]
  test.each(wrong)('a record that cannot be one stops it, and is named: %s', async (_, bad, message) => {
    const { services } = setUp()
    const importing = services.keys.import([record(0), record(1), bad as ImportedToken, record(3)], {
      slice: 2,
    })
    const error = await importing.catch((error: unknown) => error)
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toMatch(message)
    expect(String(error)).not.toContain('ugk_secret')
    expect(await services.keys.list()).toHaveLength(2)
  })

  test('a device has exactly one role', async () => {
    const { services } = setUp()
    for (const roles of [[], ['a', 'b']]) {
      await expect(services.devices.import([record(0, { roles })])).rejects.toThrow(/exactly one role/)
    }
    await services.devices.import([record(0, { roles: ['node'] })])
    expect(await services.devices.get(idOf(0))).toMatchObject({ role: 'node' })
  })

  test.each([
    [{ slice: 0 }, /keys\.import: `slice`/],
    [{ onProgress: 'log' as never }, /keys\.import: `onProgress`/],
    [{ size: 1 } as never, /unknown option `size`/],
  ])('misuse is named: %j', async (options, message) => {
    await expect(setUp().services.keys.import([], options)).rejects.toThrow(message)
    await expect(setUp().services.keys.import({} as never)).rejects.toThrow(/keys\.import: `records`/)
    await expect(setUp().services.keys.import('keys' as never)).rejects.toThrow(/keys\.import: `records`/)
  })
})

describe('records that are over', () => {
  test('are forgotten in slices, and a login waits for the first one alone', async () => {
    const store = memoryStore()
    const purged: number[] = []
    const sessions = {
      ...store.sessions,
      async purge(expiredBy: number, lastSeenBefore: number, atMost: number) {
        const count = await store.sessions.purge(expiredBy, lastSeenBefore, atMost)
        purged.push(count)
        return count
      },
    }
    const { services, clock } = setUp({ ...store, sessions })
    const made = await services.accounts.create({ email: 'ada@example.com' })
    if (made.outcome !== 'done') throw new Error(made.reason)
    const { id } = made.account
    const times = { createdAt: at, lastSeenAt: at, expiresAt: at + 1 }
    for (let n = 0; n < 1700; n++) {
      await store.sessions.add({ id: `${n}`, digest: 'd', accountId: `${n}`, generation: 1, ...times }, 9)
    }
    clock.advance(1)
    await services.sessions.create(id)
    expect(purged).toEqual([500])
    // While the rest is forgotten, another login starts no second round.
    clock.advance(60_000)
    await services.sessions.create(id)
    while (purged.at(-1) === 500) await turn()
    expect(purged).toEqual([500, 500, 500, 200])
    expect(await services.sessions.list(id)).toHaveLength(2)
  })

  test('a store that fails in between stops it, and a later login goes on', async () => {
    const store = memoryStore()
    let calls = 0
    const sessions = {
      ...store.sessions,
      async purge(_: number, __: number, atMost: number) {
        if (++calls === 2) throw new Error('gone')
        return calls < 4 ? atMost : 0
      },
    }
    const { services, clock } = setUp({ ...store, sessions })
    const made = await services.accounts.create({ email: 'ada@example.com' })
    if (made.outcome !== 'done') throw new Error(made.reason)
    await services.sessions.create(made.account.id)
    await turn()
    await turn()
    expect(calls).toBe(2)
    clock.advance(60_000)
    await services.sessions.create(made.account.id)
    for (let n = 0; n < 5; n++) await turn()
    expect(calls).toBe(4)
  })
})
