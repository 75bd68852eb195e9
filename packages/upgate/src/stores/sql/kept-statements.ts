import type { SqliteDatabase } from 'kysely'

/** A prepared statement of the driver: better-sqlite3's interface. */
export interface Statement {
  readonly reader: boolean
  all(parameters: readonly unknown[]): unknown[]
  get(parameters: readonly unknown[]): unknown
  run(parameters: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  iterate(parameters: readonly unknown[]): IterableIterator<unknown>
}

/** The part of the driver in use. */
export interface Driver extends SqliteDatabase {
  prepare(sql: string): Statement
  exec(sql: string): unknown
  readonly inTransaction: boolean
}

/** Statements kept. The store has about a hundred; lists of different lengths make more. */
const atMost = 200

/** The driver, and statements that it has prepared before. */
export interface KeptStatements extends SqliteDatabase {
  prepare(sql: string): Statement
}

/**
 * Keeps prepared statements: preparing one costs twice as much as running it. The database prepares a kept statement
 * again by itself after a change of the schema.
 *
 * Statements that write must run in a transaction that has the lock already. One that finds the database locked stays
 * in the middle until it is collected, and no commit on the connection succeeds until then.
 */
export function keepStatements(driver: Driver): KeptStatements {
  const kept = new Map<string, Statement>()

  /** Forgets a statement that failed: the driver may have left it in the middle, and cannot reset it. */
  function guarded<T>(sql: string, step: () => T): T {
    try {
      return step()
    } catch (error) {
      kept.delete(sql)
      throw error
    }
  }

  function keep(sql: string): Statement {
    const prepared = driver.prepare(sql)
    // Whether a statement returns rows does not change.
    const { reader } = prepared
    const statement: Statement = {
      reader,
      all: (parameters) => guarded(sql, () => prepared.all(parameters)),
      get: (parameters) => guarded(sql, () => prepared.get(parameters)),
      run: (parameters) => guarded(sql, () => prepared.run(parameters)),
      // A reader may stop in the middle, and another may start: such a statement must not be shared.
      iterate: (parameters) => driver.prepare(sql).iterate(parameters),
    }
    // Statements that define tables run once.
    if (/^(select|insert|update|delete) /.test(sql)) {
      kept.set(sql, statement)
      if (kept.size > atMost) kept.delete(kept.keys().next().value as string)
    }
    return statement
  }

  return {
    prepare(sql) {
      const found = kept.get(sql)
      if (found === undefined) return keep(sql)
      // The last one used is the last one to go.
      kept.delete(sql)
      kept.set(sql, found)
      return found
    },
    close() {
      // The driver closes the file when its last statement is collected.
      kept.clear()
      driver.close()
    },
  }
}
