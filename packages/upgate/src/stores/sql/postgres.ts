import type { Kysely, Transaction } from 'kysely'
import { inTime } from '../../core/async/in-time.ts'
import {
  clock as clockKind,
  count,
  flag,
  methods,
  milliseconds,
  optional,
  text,
  withDefault,
} from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import type { Clock } from '../../core/ports/clock.ts'
import { type RememberingStore, StoreUnavailable } from '../../core/ports/stores.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { peer } from '../../platform/optional-peer.ts'
import { systemClock } from '../../platform/system-clock.ts'
import { boundedPool, storable } from './bounded-pool.ts'
import { isBusy, isStatementLost, toStoreUnavailable } from './errors.ts'
import { compileLookUp } from './look-up.ts'
import { isMigrated, migrate } from './migrations.ts'
import type { PgClient, PgPool } from './pg-pool.ts'
import { sqlStore } from './sql-store.ts'
import type { Database, Tables } from './tables.ts'

/** Options of {@link postgresStore}. Unknown options throw. */
export interface PostgresStoreOptions {
  /** `postgres://user:password@host:5432/database`. Give either this or `pool`. */
  readonly connectionString?: string
  /**
   * A pool of the package `pg` that you create, and end after the store was closed. Give either this or
   * `connectionString`.
   */
  readonly pool?: PgPool
  /**
   * Schema that holds the tables; created if missing. Default: the first one of the connection's search path.
   */
  readonly schema?: string
  /**
   * Milliseconds within which the database has to answer, the wait for a connection included. 10 to 60,000.
   * Default: 5,000.
   */
  readonly timeout?: number
  /** Connections of the store's own pool, 1 to 1,000; ignored with `pool`. Default: 10. */
  readonly maxConnections?: number
  /**
   * Whether connections keep the statements of frequent look-ups prepared, by name. Set it to false if the
   * connections lead through a pooler in transaction mode that does not know prepared statements, such as PgBouncer
   * before 1.21. Default: true.
   */
  readonly preparedStatements?: boolean
  /** Clock behind the time-outs. Default: the clock of the machine. */
  readonly clock?: Clock
}

const install = 'kysely pg'
/** Number of attempts at a transaction that the database rolled back because of others. */
const attempts = 5

const postgresStoreOptions = optionTable<PostgresStoreOptions>()({
  connectionString: optional(text('an address that begins with postgres://', /^postgres(ql)?:\/\//)),
  pool: optional(methods<PgPool>(['connect', 'on', 'off'], 'a pool of the package `pg`: new Pool(...)')),
  schema: optional(
    text('a name of at most 63 letters, digits and underscores', /^[A-Za-z_][A-Za-z0-9_]{0,62}$/),
  ),
  timeout: milliseconds(5_000, 10, 60_000),
  maxConnections: count(10, 1, 1_000),
  preparedStatements: flag(true),
  clock: withDefault(clockKind(), systemClock),
})

/**
 * Opens a store in PostgreSQL (12 or newer): records and the log of revocations, for any number of instances.
 *
 * Tables are prefixed `upgate_`. The store migrates its schema by itself, forward only; of instances that
 * start together one migrates and the others wait. A database that does not answer within `timeout` rejects
 * with `StoreUnavailable`, and the store reconnects when the database is back. Needs the packages `kysely`
 * and `pg`.
 *
 * The creator of a `pool` chooses its settings: give it a `statement_timeout` and an
 * `idle_in_transaction_session_timeout`, so that an instance that hangs does not block the others.
 *
 * @param options - either `connectionString` or `pool` is required
 * @returns the store; close it when the process ends
 * @throws TypeError for a bad option or a missing package
 * @throws StoreUnavailable when the database cannot be reached; `store_too_new` if a newer version wrote it
 * @example
 * import { postgresStore } from 'upgate/sql'
 * const store = await postgresStore({ connectionString: 'postgres://gateway@127.0.0.1:5432/gateway' })
 */
export async function postgresStore(options: PostgresStoreOptions): Promise<RememberingStore> {
  const {
    connectionString,
    pool: given,
    schema,
    timeout,
    maxConnections,
    preparedStatements,
    clock,
  } = postgresStoreOptions.read('postgresStore', options)
  if ((given === undefined) === (connectionString === undefined)) {
    throw new TypeError('postgresStore: give either `connectionString` or `pool`')
  }
  const { Kysely, PostgresDialect, sql } = await peer(
    'postgresStore',
    'kysely',
    install,
    () => import('kysely'),
  )

  let pool: PgPool | undefined = given
  if (pool === undefined) {
    const { default: pg } = await peer('postgresStore', 'pg', install, () => import('pg'))
    pool = new pg.Pool({
      connectionString,
      max: maxConnections,
      connectionTimeoutMillis: timeout,
      // The database ends statements that we stopped waiting for, and releases the locks of an instance that
      // hangs.
      statement_timeout: timeout,
      idle_in_transaction_session_timeout: timeout,
      keepAlive: true,
      allowExitOnIdle: true,
      application_name: 'upgate',
    })
  }
  const own = pool
  // An idle connection that breaks emits an event, which would end the process without a listener.
  const ignore = (): void => {}
  own.on('error', ignore)
  // So does one whose server ends while it is handed over: its last word may be in the packet that opened it.
  const handOver = (client: Pick<PgClient, 'on'>): void => void client.on('error', ignore)
  own.on('connect', handOver)
  const bounded = boundedPool(own, timeout, clock)
  const root = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: bounded }) })
  const db: Kysely<Tables> = schema === undefined ? root : root.withSchema(schema)
  const running = new Set<Promise<unknown>>()
  let closed = false
  let named = preparedStatements

  const database: Database = {
    read: (operation) => perform(() => operation(db)),
    lookUp(lookUp) {
      const { query, read } = compileLookUp(lookUp, db, 'postgres', sql)
      const { sql: text } = query
      // The same text has the same name on every connection, whatever shares it.
      const name = `upgate_${sha256(text)}`
      const ask = async (value: string) => {
        const values = [storable(value)]
        return read((await bounded.rows(named ? { name, text, values } : { text, values }))[0])
      }
      return (value) =>
        perform(() =>
          ask(value).catch((error: unknown) => {
            if (!isStatementLost(error)) throw error
            // A pooler gave the connection that keeps the statement to another client: use no names through it.
            named = false
            return ask(value)
          }),
        )
    },
    transact: (operation) =>
      perform(() =>
        // The statement after the lock must see the commits of others, under any default isolation of the
        // database.
        db.transaction().setIsolationLevel('read committed').execute(operation),
      ),
    async exclusively(db: Transaction<Tables>, name) {
      const key = `upgate ${schema ?? ''} ${name}`
      await sql`select pg_advisory_xact_lock(hashtextextended(${key}, 0))`.execute(db)
    },
    dialect: 'postgres',
  }

  async function attempt<T>(operation: () => Promise<T>): Promise<T> {
    const started = clock.now()
    for (let i = 1; ; i++) {
      try {
        return await operation()
      } catch (error) {
        // A deadlock or conflict rolls the whole transaction back: repeating it is safe.
        const late = clock.now() - started >= timeout
        if (!isBusy(error) || i === attempts || late) throw toStoreUnavailable(error)
      }
    }
  }

  function perform<T>(operation: () => Promise<T>): Promise<T> {
    if (closed) return Promise.reject(new StoreUnavailable('store_closed', 'The store was closed.'))
    const result = attempt(operation).finally(() => running.delete(result))
    running.add(result)
    return result
  }

  async function close(): Promise<void> {
    if (closed) return
    closed = true
    // Let running operations finish: their callers are about to get an acknowledgement.
    await Promise.allSettled(running)
    await root.destroy()
    // A server that stopped answering does not answer the end of a connection either.
    if (given === undefined) await inTime(own.end(), timeout, clock, () => {})
    own.off('error', ignore)
    own.off('connect', handOver)
  }

  try {
    if (!(await isMigrated(database))) {
      if (schema !== undefined) {
        await database.transact(async (db) => {
          await database.exclusively(db, 'schema')
          // `if not exists` may trust a cache from before the lock, and then fail.
          const found = await sql`select from pg_catalog.pg_namespace where nspname = ${schema}`.execute(db)
          if (found.rows.length === 0) await db.schema.createSchema(schema).execute()
        })
      }
      await migrate(database)
    }
  } catch (error) {
    await close()
    throw error
  }
  return sqlStore(database, close)
}
