import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Libsql from 'libsql'
import { memoryStore, type Store } from 'upgate'
import { sqliteStore } from 'upgate/sql'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createServices } from '../../src/services/create-services.ts'
import { type Driver, keepStatements } from '../../src/stores/sql/kept-statements.ts'

let folder: string
let file: string
const opened: { close(): unknown }[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upgate-kept-'))
  file = join(folder, 'a.db')
})
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close()
  await rm(folder, { recursive: true })
})

function connect(): Libsql.Database {
  const database = new Libsql(file)
  database.exec('PRAGMA busy_timeout = 0')
  opened.push(database)
  return database
}
async function open(): Promise<Store> {
  const store = await sqliteStore({ file })
  opened.push(store)
  return store
}
const key = (id: string, changes = {}) => ({
  ...{ id, version: 1, digest: 'first', name: id, scopes: ['read'], roles: [], createdAt: 1 },
  ...changes,
})
const account = {
  ...{ id: 'a', version: 1, email: 'a@example.com', scopes: ['read'], roles: [] },
  ...{ createdAt: 1, sessionGeneration: 1 },
}
const session = {
  ...{ id: 's', digest: 'first', accountId: 'a', generation: 1 },
  ...{ createdAt: 1, lastSeenAt: 1, expiresAt: 9 },
}

describe('kept statements', () => {
  test('a statement that found the database locked is prepared again, and stops no commit', () => {
    const mine = connect()
    // With a journal, unlike with WAL, a writer locks readers out.
    mine.exec('PRAGMA journal_mode = DELETE')
    mine.exec('create table notes (text text)')
    const kept = keepStatements(mine as unknown as Driver)
    const select = 'select text from notes where text = ?'
    const before = kept.prepare(select)
    expect(before.get(['one'])).toBeUndefined()
    const other = connect()
    other.exec('begin exclusive')
    const busy = expect.objectContaining({ code: 'SQLITE_BUSY' })
    expect(() => kept.prepare(select).get(['one'])).toThrow(busy)
    expect(() => kept.prepare(select).all(['one'])).toThrow(busy)
    other.exec("insert into notes values ('one')")
    other.exec('commit')
    expect(kept.prepare(select)).not.toBe(before)
    expect(kept.prepare(select).get(['one'])).toMatchObject({ text: 'one' })
    mine.exec('begin immediate')
    kept.prepare('insert into notes values (?)').run(['two'])
    mine.exec('commit')
    expect(other.prepare('select text from notes').raw().all()).toEqual([['one'], ['two']])
  })

  test('a statement that a constraint refused stops no statement after it', () => {
    const mine = connect()
    mine.exec('PRAGMA journal_mode = WAL')
    mine.exec('create table notes (text text unique)')
    const kept = keepStatements(mine as unknown as Driver)
    const insert = 'insert into notes values (?)'
    kept.prepare(insert).run(['one'])
    expect(() => kept.prepare(insert).run(['one'])).toThrow(/UNIQUE/)
    kept.prepare(insert).run(['two'])
    expect(kept.prepare('select count(*) as n from notes').all([])).toMatchObject([{ n: 2 }])
  })

  test('the same statement is prepared once, and at most 200 are kept: those that were used last', () => {
    const prepared: string[] = []
    const driver = {
      prepare(sql: string) {
        prepared.push(sql)
        return { reader: true, all: () => [], get: () => undefined, run: () => ({}), iterate: () => [] }
      },
    } as unknown as Driver
    const kept = keepStatements(driver)
    const sql = (n: number): string => `select ${n}`
    for (let n = 0; n < 200; n++) for (const _ of [1, 2]) kept.prepare(sql(n))
    expect(prepared).toHaveLength(200)
    kept.prepare(sql(0))
    kept.prepare(sql(200))
    kept.prepare(sql(0))
    expect(prepared).toHaveLength(201)
    kept.prepare(sql(1))
    expect(prepared).toHaveLength(202)
    kept.prepare('create table a (b)')
    kept.prepare('create table a (b)')
    expect(prepared).toHaveLength(204)
  })
})

describe('look-ups with kept statements', () => {
  test('another process migrates the tables while statements are kept', async () => {
    const store = await open()
    await store.accounts.add(account)
    await store.sessions.add(session, 9)
    await store.keys.add(key('k'))
    const read = async () => ({
      account: await store.accounts.get('a'),
      session: await store.sessions.get('s'),
      both: await store.sessionsWithAccounts?.get('s'),
      key: await store.keys.get('k'),
      keys: await store.keys.list(),
    })
    const before = await read()
    const other = connect()
    for (const table of ['upgate_accounts', 'upgate_sessions', 'upgate_keys']) {
      other.exec(`alter table ${table} add column first_of_later text default 'later'`)
      other.exec(`create index later_${table} on ${table} (first_of_later)`)
    }
    expect(await read()).toEqual(before)
    // A table that was built again, as SQLite needs it for other changes.
    other.exec('create table copy as select * from upgate_keys')
    other.exec('alter table upgate_keys rename to old_keys')
    other.exec('alter table copy rename to upgate_keys')
    expect(await read()).toEqual(before)
    expect(await store.keys.replace(key('k', { version: 2 }), [])).toEqual([])
    expect((await store.keys.get('k'))?.version).toBe(2)
  })

  test('while a second process writes, they go on, and see the writes of the second process at once', async () => {
    const store = await open()
    const second = await open()
    const writing = connect()
    for (let version = 1; version < 20; version++) {
      if (version === 1) await second.keys.add(key('k'))
      else await second.keys.replace(key('k', { version, digest: `${version}` }), [])
      writing.exec('begin immediate')
      expect((await store.keys.get('k'))?.version).toBe(version)
      writing.exec('rollback')
    }
  })

  test('a rotated token counts at once, and the former one no longer, on both instances', async () => {
    const [store, other] = [await open(), await open()]
    const services = createServices({ store })
    const elsewhere = createServices({ store: other, limits: { cacheEntries: 2 } })
    opened.push(services, elsewhere)
    const { id, token } = await services.keys.create({ name: 'kitchen', scopes: ['read'] })
    expect(await elsewhere.keys.verify(token)).toMatchObject({ outcome: 'authenticated' })
    const rotated = await services.keys.rotate(id)
    if (rotated.outcome !== 'done') throw new Error(rotated.reason)
    expect(await services.keys.verify(token)).toMatchObject({ code: 'revoked_credential' })
    // Not in the cache of this instance: its kept statement answers.
    expect(await elsewhere.keys.verify(rotated.token)).toMatchObject({ outcome: 'authenticated' })
  })

  // They run between any two statements of a transaction, on the same connection.
  test('they never see a change that is rolled back afterwards', async () => {
    const store = await open()
    await store.keys.add(key('k'))
    await store.accounts.add(account)
    await store.sessions.add(session, 9)
    connect().exec(
      "create trigger no before insert on upgate_revocations begin select raise(abort, 'no'); end",
    )
    const draft = { at: 1, selector: { credentialId: 'k' }, reason: 'revoked' } as const
    let over = false
    const changing = Promise.allSettled([
      store.keys.replace(key('k', { version: 2, digest: 'second' }), [draft]),
      store.sessions.rotate('s', 'first', { digest: 'second', previousDigest: '', previousUntil: 1 }, draft),
      store.accounts.replace({ ...account, version: 2, scopes: ['all'] }, [draft]),
    ]).finally(() => {
      over = true
    })
    const seen: Promise<readonly unknown[]>[] = []
    while (!over) {
      const both = store.sessionsWithAccounts?.get('s')
      const read = [store.keys.get('k'), store.sessions.get('s'), both, store.accounts.get('a')] as const
      seen.push(
        Promise.all(read).then(([key, session, both, account]) => [
          ...[key?.digest, session?.digest, both?.digest],
          ...[account?.version, both?.account?.version],
        ]),
      )
      await Promise.resolve()
    }
    expect((await changing).map(({ status }) => status)).toEqual(Array(3).fill('rejected'))
    expect(seen.length).toBeGreaterThan(20)
    for (const each of await Promise.all(seen)) expect(each).toEqual(['first', 'first', 'first', 1, 1])
  })

  test('after closing, every look-up says so', async () => {
    const store = await open()
    await store.keys.add(key('k'))
    await store.keys.get('k')
    await store.close()
    for (const answer of [
      store.keys.get('k'),
      store.sessions.get('s'),
      store.accounts.byEmail('a@example.com'),
      store.tickets.get('t'),
      store.sessionsWithAccounts?.get('s'),
    ]) {
      await expect(answer).rejects.toMatchObject({ code: 'store_closed' })
    }
  })

  test('text comes back as it was, whatever its characters', async () => {
    const store = await open()
    for (const name of ['a\0b', '"\\/\b\f\n\r\t\u001f\u2028', '\u{1f510}é', '[null]', '{"a":1}']) {
      await store.devices.add(key(name, { name }))
      expect((await store.devices.get(name))?.name).toBe(name)
    }
  })

  test('a record with a damaged number or list is an error, never a record', async () => {
    const store = await open()
    await store.accounts.add(account)
    await store.sessions.add(session, 9)
    const other = connect()
    other.exec("update upgate_accounts set scopes = '{}'")
    await expect(store.sessionsWithAccounts?.get('s')).rejects.toMatchObject({ name: 'StoreUnavailable' })
    other.exec("update upgate_accounts set scopes = '[]'")
    other.exec("update upgate_sessions set expires_at = 'never'")
    await expect(store.sessionsWithAccounts?.get('s')).rejects.toMatchObject({ name: 'StoreUnavailable' })
  })
})

describe('sessions with their accounts', () => {
  const read = async (change: (store: Store) => Store): Promise<string[]> => {
    const asked: string[] = []
    const base = await open()
    const both = base.sessionsWithAccounts
    if (both === undefined) throw new Error('SQLite reads both at once')
    const get = (id: string) => {
      asked.push('both')
      return both.get(id)
    }
    const store = change({ ...base, sessionsWithAccounts: { ...both, get } })
    const services = createServices({ store, limits: { cacheEntries: 2, cacheAge: 0 } })
    opened.push(services)
    const created = await services.accounts.create({ email: 'ada@example.com' })
    if (created.outcome !== 'done') throw new Error(created.reason)
    const { token } = (await services.sessions.create(created.account.id)) ?? { token: '' }
    expect(await services.sessions.verify(token)).toMatchObject({ outcome: 'authenticated' })
    return asked
  }

  test('are read at once', async () => {
    expect(await read((store) => store)).toEqual(['both'])
  })

  // A store of other records must be asked, and never be passed over.
  test.each(['sessions', 'accounts'] as const)(
    'are read one by one where other %s are used',
    async (part) => {
      expect(await read((store) => ({ ...store, [part]: { ...store[part] } }))).toEqual([])
    },
  )

  test('a store without them is complete', () => {
    expect(memoryStore().sessionsWithAccounts).toBeUndefined()
  })
})
