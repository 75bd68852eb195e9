import { chmodSync, closeSync, existsSync, lstatSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Dialect, Kysely, SqliteDatabase } from 'kysely'
import { checkPorts, readOptions } from '../../core/options/check-options.ts'
import type { Clock, Timer } from '../../core/ports/clock.ts'
import { type RememberingStore, StoreUnavailable } from '../../core/ports/stores.ts'
import { peer } from '../../platform/optional-peer.ts'
import { systemClock } from '../../platform/system-clock.ts'
import { isBusy, toStoreUnavailable } from './errors.ts'
import { migrate } from './migrations.ts'
import { sqlStore } from './sql-store.ts'
import type { Database, Tables } from './tables.ts'

export interface SqliteStoreOptions {
  /** Path of the database file. It and its folder are made when missing, for their owner alone. */
  readonly file: string
  /** Milliseconds to wait for another process that is writing. Default: 5,000. */
  readonly busyTimeout?: number
  /** What `busyTimeout` goes by. Default: the clock of the machine. */
  readonly clock?: Clock
}

/** The driver, as far as it is used: better-sqlite3's interface. */
interface Driver extends SqliteDatabase {
  exec(sql: string): unknown
  readonly inTransaction: boolean
}

/** Milliseconds that one call may block this process while another writes; after that it waits without blocking. */
const blocking = 5
const retryDelay = 20
/** As long as Node's timers can be. */
const longestInterval = 2 ** 31 - 1

/**
 * Opens a store in one SQLite file: records survive the end of the process, and are shared with others on this machine.
 *
 * An acknowledged write is on disk (WAL, `synchronous=FULL`): it survives `kill -9` and a loss of power, as far as the
 * disk itself keeps what it acknowledged. The schema is migrated by itself, forward only. Needs the packages `kysely`
 * and `libsql`.
 *
 * @throws TypeError for a bad option, a missing package, or a file that is a symbolic link
 * @throws StoreUnavailable `store_too_new` where a newer version wrote the file, `store_corrupt` where it is no database
 * @example
 * import { sqliteStore } from 'upgate/sql'
 * const store = await sqliteStore({ file: './data/gateway.db' })
 */
export async function sqliteStore(options: SqliteStoreOptions): Promise<RememberingStore> {
  const names = ['file', 'busyTimeout', 'clock'] as const
  const { file, busyTimeout = 5000, clock = systemClock } = readOptions('sqliteStore', options, names)
  checkPorts('sqliteStore', { clock })
  if (typeof file !== 'string' || file === '' || file === ':memory:') {
    throw new TypeError(
      'sqliteStore: `file` must be the path of a file; memoryStore() keeps records in memory',
    )
  }
  if (!Number.isInteger(busyTimeout) || busyTimeout < 0 || busyTimeout > 60_000) {
    throw new TypeError('sqliteStore: `busyTimeout` must be 0 to 60,000 milliseconds')
  }
  const kysely = await peer('sqliteStore', 'kysely', 'kysely libsql', () => import('kysely'))
  const { default: Libsql } = await peer('sqliteStore', 'libsql', 'kysely libsql', () => import('libsql'))

  refuseLinks(file)
  const driver = await patiently(busyTimeout, clock, async () => {
    createPrivately(file)
    const opened = new Libsql(file) as unknown as Driver
    try {
      opened.exec(`PRAGMA busy_timeout = ${blocking}`)
      opened.exec('PRAGMA journal_mode = WAL')
      opened.exec('PRAGMA synchronous = FULL')
      opened.exec('PRAGMA foreign_keys = ON')
      return opened
    } catch (error) {
      opened.close()
      throw error
    }
  })
  const db = new kysely.Kysely<Tables>({ dialect: dialectOf(kysely, driver) })
  const running = new Set<Promise<unknown>>()
  let closed = false

  const database: Database = {
    read: (operation) => perform(() => operation(db)),
    transact: (operation) => perform(() => db.transaction().execute(operation)),
    // A transaction has the database for itself from its beginning.
    exclusively: async () => {},
    dialect: 'sqlite',
  }

  function perform<T>(operation: () => Promise<T>): Promise<T> {
    if (closed) return Promise.reject(new StoreUnavailable('store_closed', 'The store was closed.'))
    const result = patiently(busyTimeout, clock, operation).finally(() => running.delete(result))
    running.add(result)
    return result
  }

  async function close(): Promise<void> {
    if (closed) return
    closed = true
    // What was begun is finished: its caller may have been promised nothing yet, but soon would be.
    await Promise.allSettled(running)
    await db.destroy()
  }

  try {
    await migrate(database)
  } catch (error) {
    await close()
    throw error
  }
  return sqlStore(database, close)
}

/** SQLite makes these with the mode of the database, and leaves those alone that are there. */
const companions = ['-wal', '-shm', '-journal']

/** Digests and password hashes are in there: nobody else on the machine needs to read them. */
function createPrivately(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    // By its path: to open and close it would give up the locks that another store of this process holds on it.
    chmodSync(file, 0o600)
  }
  for (const suffix of companions) {
    if (existsSync(file + suffix)) chmodSync(file + suffix, 0o600)
  }
}

/**
 * A link leads to a file whose folder was not looked at, and whose mode would be changed.
 *
 * @throws TypeError
 */
function refuseLinks(file: string): void {
  for (const suffix of ['', ...companions]) {
    if (!isLink(file + suffix)) continue
    throw new TypeError(
      `sqliteStore: \`file\`${suffix === '' ? '' : ` with ${suffix}`} is a symbolic link; give the path of the database itself`,
    )
  }
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink()
  } catch {
    // Not there, or out of reach: opening it says which.
    return false
  }
}

/** Tries again while another connection is writing, without blocking this process for long at a time. */
async function patiently<T>(timeout: number, clock: Clock, operation: () => Promise<T>): Promise<T> {
  let late = timeout === 0
  let timer: Timer | undefined
  try {
    for (;;) {
      try {
        return await operation()
      } catch (error) {
        if (!isBusy(error) || late) throw toStoreUnavailable(error)
        timer ??= clock.setTimer(timeout, () => {
          late = true
        })
        await pause(clock)
      }
    }
  } finally {
    timer?.cancel()
  }
}

async function pause(clock: Clock): Promise<void> {
  // Timers of a clock do not keep the process alive, nor does anything else here: it would end before the answer.
  const alive = setInterval(() => {}, longestInterval)
  await new Promise<void>((resolve) => clock.setTimer(retryDelay, resolve))
  clearInterval(alive)
}

/** Kysely's SQLite dialect, with transactions that take the lock for writing at their beginning. */
function dialectOf(kysely: typeof import('kysely'), database: Driver): Dialect {
  const { SqliteAdapter, SqliteDriver, SqliteIntrospector, SqliteQueryCompiler } = kysely
  class ImmediateDriver extends SqliteDriver {
    override async beginTransaction(): Promise<void> {
      // What reads first and asks for the lock later fails when another process wrote in between. And by `exec`:
      // a prepared statement that finds the lock taken stays half-run until it is collected, and blocks commits.
      database.exec('begin immediate')
    }

    override async commitTransaction(): Promise<void> {
      database.exec('commit')
    }

    override async rollbackTransaction(): Promise<void> {
      // After a full disk SQLite has rolled back by itself; a second time would hide the cause.
      if (database.inTransaction) database.exec('rollback')
    }
  }
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new ImmediateDriver({ database }),
    createIntrospector: (db: Kysely<unknown>) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}
