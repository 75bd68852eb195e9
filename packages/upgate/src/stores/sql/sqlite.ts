import { chmodSync, closeSync, existsSync, lstatSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Dialect, Kysely } from 'kysely'
import { clock as clockKind, milliseconds, text, withDefault } from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import type { Clock, Timer } from '../../core/ports/clock.ts'
import { type RememberingStore, StoreUnavailable } from '../../core/ports/stores.ts'
import { peer } from '../../platform/optional-peer.ts'
import { systemClock } from '../../platform/system-clock.ts'
import { isBusy, toStoreUnavailable } from './errors.ts'
import { type Driver, type KeptStatements, keepStatements } from './kept-statements.ts'
import { compileLookUp } from './look-up.ts'
import { migrate } from './migrations.ts'
import { sqlStore } from './sql-store.ts'
import type { Database, Tables } from './tables.ts'

/** Options of {@link sqliteStore}. Unknown options throw. */
export interface SqliteStoreOptions {
  /** Path of the database file. A missing file or folder is created with access for its owner alone. */
  readonly file: string
  /** Milliseconds to wait for another process that is writing. 0 to 60,000. Default: 5,000. */
  readonly busyTimeout?: number
  /** Clock behind `busyTimeout`. Default: the clock of the machine. */
  readonly clock?: Clock
}

/**
 * Milliseconds that one call may block this process while another one writes; after that it waits without
 * blocking.
 */
const blocking = 5
const retryDelay = 20
/** Longest delay that Node's timers accept. */
const longestInterval = 2 ** 31 - 1

const sqliteStoreOptions = optionTable<SqliteStoreOptions>()({
  file: text('the path of a file', /^(?!:memory:$)/, 'memoryStore() keeps records in memory.'),
  busyTimeout: milliseconds(5_000, 0, 60_000),
  clock: withDefault(clockKind(), systemClock),
})

/**
 * Opens a store in one SQLite file: records survive the end of the process, and other processes on this
 * machine can share them.
 *
 * An acknowledged write is on disk (WAL, `synchronous=FULL`). It survives `kill -9` and a loss of power,
 * provided that the disk keeps the writes it acknowledged. The store migrates its schema by itself, forward
 * only. Needs the packages `kysely` and `libsql`.
 *
 * @param options - `file` is required
 * @returns the store; close it when the process ends
 * @throws TypeError for a bad option, a missing package, or a file that is a symbolic link
 * @throws StoreUnavailable `store_too_new` if a newer version wrote the file, `store_corrupt` if it is no
 * database
 * @example
 * import { sqliteStore } from 'upgate/sql'
 * const store = await sqliteStore({ file: './data/gateway.db' })
 */
export async function sqliteStore(options: SqliteStoreOptions): Promise<RememberingStore> {
  const { file, busyTimeout, clock } = sqliteStoreOptions.read('sqliteStore', options)
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
  const kept = keepStatements(driver)
  const db = new kysely.Kysely<Tables>({ dialect: dialectOf(kysely, driver, kept) })
  const running = new Set<Promise<unknown>>()
  let closed = false

  const database: Database = {
    read: (operation) => perform(() => operation(db)),
    lookUp(lookUp) {
      const { query, read } = compileLookUp(lookUp, db, 'sqlite', kysely.sql)
      return async (text) => {
        // Between two statements of a transaction it would see changes that may be rolled back: it takes its turn.
        if (!closed && !driver.inTransaction) {
          try {
            return read(kept.prepare(query.sql).get([text]))
          } catch (error) {
            if (!isBusy(error)) throw toStoreUnavailable(error)
          }
        }
        return perform(async () => read((await db.executeQuery({ ...query, parameters: [text] })).rows[0]))
      }
    },
    transact: (operation) => perform(() => db.transaction().execute(operation)),
    // A transaction holds the whole database from its beginning.
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
    // Let running operations finish: their callers are about to get an acknowledgement.
    await Promise.allSettled(running)
    foldIn(driver)
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

/**
 * Writes what the write-ahead log holds into the database, and removes the log. Without it the driver does that when
 * the last statement is collected, perhaps seconds later: a copy made after `close()` would be made of moving files.
 */
function foldIn(driver: Driver): void {
  try {
    driver.exec('PRAGMA journal_mode = DELETE')
  } catch {
    // Another process has the file open: its log stays.
  }
}

/** SQLite creates these files with the mode of the database, and does not change existing ones. */
const companions = ['-wal', '-shm', '-journal']

/** The file holds digests and password hashes: no other user of the machine may read it. */
function createPrivately(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    // By path: opening and closing the file would release the locks that another store of this process holds
    // on it.
    chmodSync(file, 0o600)
  }
  for (const suffix of companions) {
    if (existsSync(file + suffix)) chmodSync(file + suffix, 0o600)
  }
}

/**
 * Refuses a symbolic link. It leads to a file in a folder that was not checked, and the store would change
 * that file's mode.
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
    // Missing or unreachable: opening the file reports which.
    return false
  }
}

/**
 * Repeats an operation while another connection is writing, without blocking this process for long at a time.
 */
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
  // Neither a clock's timers nor other handles here keep the process alive: it would end before the answer.
  const alive = setInterval(() => {}, longestInterval)
  await new Promise<void>((resolve) => clock.setTimer(retryDelay, resolve))
  clearInterval(alive)
}

/** Kysely's SQLite dialect, with transactions that take the write lock at their beginning. */
function dialectOf(kysely: typeof import('kysely'), database: Driver, kept: KeptStatements): Dialect {
  const { SqliteAdapter, SqliteDriver, SqliteIntrospector, SqliteQueryCompiler } = kysely
  class ImmediateDriver extends SqliteDriver {
    override async beginTransaction(): Promise<void> {
      // A transaction that reads first and takes the lock later fails if another process wrote in between.
      // Use `exec`: a prepared statement that finds the lock taken stays half-run until it is collected, and
      // blocks commits.
      database.exec('begin immediate')
    }

    override async commitTransaction(): Promise<void> {
      database.exec('commit')
    }

    override async rollbackTransaction(): Promise<void> {
      // After a full disk SQLite has rolled back by itself; rolling back again would hide the cause.
      if (database.inTransaction) database.exec('rollback')
    }
  }
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new ImmediateDriver({ database: kept }),
    createIntrospector: (db: Kysely<unknown>) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}
