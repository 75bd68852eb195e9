// Needs PostgreSQL; the tests with a pooler need Debian's pgbouncer.
import pg from 'pg'
import { createServices, type Store } from 'upgate'
import { postgresStore } from 'upgate/sql'
import { storeContract } from 'upgate/store'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { canPool, type PrivateService, privatePgBouncer } from './private-services.ts'
import {
  administer,
  dropSchema,
  patience,
  postgresAnswers,
  postgresUrl,
  sharedSchema,
  uniqueName,
} from './services.ts'

const key = { id: 'k', version: 1, digest: 'd', name: 'k', scopes: ['read'], roles: [], createdAt: 1 }
const withPostgres = await postgresAnswers()

let schema: string
const opened: { close(): Promise<void> }[] = []
beforeEach(() => {
  schema = uniqueName()
})
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close()
  await dropSchema(schema)
})
async function open(options: Partial<Parameters<typeof postgresStore>[0]>): Promise<Store> {
  const store = await postgresStore({ schema, timeout: patience, ...options })
  opened.push(store)
  return store
}
function createPool(options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString: postgresUrl, max: 1, ...options })
  opened.push({ close: () => pool.end() })
  return pool
}
const kept = async (pool: pg.Pool): Promise<string[]> =>
  (await pool.query('select statement from pg_prepared_statements')).rows.map((row) => row.statement)

describe.skipIf(!withPostgres)('prepared statements in PostgreSQL', () => {
  test('a session and its account are one statement, which a connection prepares once', async () => {
    const pool = createPool()
    const store = await open({ pool })
    const services = createServices({ store, limits: { cacheAge: 0 } })
    opened.push(services)
    const created = await services.accounts.create({ email: 'ada@example.com', scopes: ['read'] })
    if (created.outcome !== 'done') throw new Error(created.reason)
    const { token } = (await services.sessions.create(created.account.id)) ?? { token: '' }
    let queries = 0
    const { query } = pg.Client.prototype
    pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
      queries++
      return Reflect.apply(query, this, args)
    } as typeof query
    try {
      for (let n = 0; n < 3; n++) {
        expect(await services.sessions.verify(token)).toMatchObject({
          outcome: 'authenticated',
          principal: { id: created.account.id, scopes: ['read'] },
        })
      }
    } finally {
      pg.Client.prototype.query = query
    }
    expect(queries).toBe(3)
    expect((await kept(pool)).filter((text) => text.includes('join'))).toHaveLength(1)
  })

  // As a pooler in transaction mode does it: the next statement is another connection's.
  test('a statement that the connection does not know any more is asked without a name, from then on', async () => {
    const pool = createPool()
    const store = await open({ pool })
    await store.keys.add(key)
    expect((await store.keys.get('k'))?.name).toBe('k')
    expect(await kept(pool)).toHaveLength(1)
    for (let n = 0; n < 3; n++) {
      await pool.query('deallocate all')
      expect((await store.keys.get('k'))?.name).toBe('k')
      expect(await kept(pool)).toEqual([])
    }
  })

  test('kept statements are named by their text, so that two stores may share a pool', async () => {
    const pool = createPool()
    const other = uniqueName()
    try {
      const stores = [await open({ pool }), await open({ pool, schema: other })]
      for (const [n, store] of stores.entries()) await store.keys.add({ ...key, name: `${n}` })
      for (const [n, store] of stores.entries()) expect((await store.keys.get('k'))?.name).toBe(`${n}`)
      const statements = await kept(pool)
      expect(statements).toHaveLength(2)
      expect(new Set(statements).size).toBe(2)
    } finally {
      await dropSchema(other)
    }
  })

  test('`preparedStatements: false` prepares none', async () => {
    const pool = createPool()
    const store = await open({ pool, preparedStatements: false })
    await store.keys.add(key)
    expect((await store.keys.get('k'))?.name).toBe('k')
    expect(await kept(pool)).toEqual([])
    await expect(postgresStore({ pool, preparedStatements: 'no' as never })).rejects.toThrow(
      /`preparedStatements`/,
    )
  })

  test('a migration that changes the tables of a kept statement does not disturb it', async () => {
    const store = await open({ pool: createPool() })
    await store.keys.add(key)
    const before = await store.keys.get('k')
    await administer(`alter table ${schema}.upgate_keys add column later text default 'later'`)
    expect(await store.keys.get('k')).toEqual(before)
    await administer(`alter table ${schema}.upgate_keys alter column version type bigint`)
    await administer(`alter table ${schema}.upgate_keys alter column name type varchar(100)`)
    expect(await store.keys.get('k')).toEqual(before)
  })

  test('a server that restarts a connection loses its statements, and the next connection has them', async () => {
    const pool = createPool()
    const store = await open({ pool })
    await store.keys.add(key)
    await store.keys.get('k')
    const [{ pid }] = (await pool.query('select pg_backend_pid() as pid')).rows as [{ pid: number }]
    await administer('select pg_terminate_backend($1)', [pid])
    await expect.poll(async () => (await store.keys.get('k').catch(() => undefined))?.name).toBe('k')
    expect(await kept(pool)).toHaveLength(1)
  })
})

describe.skipIf(!withPostgres || !canPool())('behind PgBouncer in transaction mode', () => {
  let pooler: PrivateService
  beforeAll(async () => {
    pooler = await privatePgBouncer(postgresUrl)
  })
  afterAll(() => pooler.dispose())

  test.each([true, false])(
    'with `preparedStatements: %s`, every look-up is answered',
    async (preparedStatements) => {
      const stores = await Promise.all(
        [1, 2, 3].map(() => open({ connectionString: pooler.url, preparedStatements, maxConnections: 4 })),
      )
      for (let n = 0; n < 20; n++) await stores[n % 3]?.keys.add({ ...key, id: `${n}`, name: `${n}` })
      const read = async (n: number) => {
        const record = await stores[n % 3]?.keys.get(`${n % 20}`)
        expect(record?.name).toBe(`${n % 20}`)
        expect(await stores[(n + 1) % 3]?.keys.get('unknown')).toBeUndefined()
      }
      for (let n = 0; n < 200; n += 20) await Promise.all(Array.from({ length: 20 }, (_, i) => read(n + i)))
    },
  )

  const shared = sharedSchema()
  afterAll(() => shared.drop())
  storeContract(
    'PostgreSQL behind PgBouncer',
    async () => {
      const stores: Store[] = []
      return {
        async connect() {
          const store = await postgresStore({
            connectionString: pooler.url,
            schema: shared.name,
            maxConnections: 4,
            timeout: patience,
          })
          stores.push(store)
          return store
        },
        async dispose() {
          await Promise.all(stores.map((store) => store.close()))
          await shared.empty()
        },
      }
    },
    test,
  )
})
