import type { CompiledQuery, Kysely, RawBuilder } from 'kysely'
import type { Database, LookUp, Tables } from './tables.ts'

/** A look-up that is ready to be asked. */
export interface CompiledLookUp<T> {
  readonly query: CompiledQuery
  /** Reads the first row of the answer, if there is one. */
  read(row: unknown): T | undefined
}

const functions = { sqlite: 'json_array', postgres: 'json_build_array' } as const

/**
 * Compiles a look-up. The columns of the record come in one value, an array in JSON: for a driver, twenty columns are
 * as much work as the rest of a query.
 */
export function compileLookUp<Row, T>(
  { columns, query, recordOf }: LookUp<Row, T>,
  db: Kysely<Tables>,
  dialect: Database['dialect'],
  sql: typeof import('kysely').sql,
): CompiledLookUp<T> {
  const named = columns.map((column) => column.split(' as '))
  const names = named.map(([ref = '', alias]) => alias ?? ref.slice(ref.indexOf('.') + 1))
  const refs = named.map(([ref = '']) => sql.ref(ref))
  const all: RawBuilder<string> = sql`${sql.raw(functions[dialect])}(${sql.join(refs)})`
  const text = dialect === 'postgres' ? sql<string>`${all}::text` : all
  return {
    query: query(db, text.as('record'), '').compile(),
    read(row) {
      if (row === undefined) return undefined
      const values = JSON.parse((row as { record: string }).record) as unknown[]
      const record: Record<string, unknown> = {}
      for (let i = 0; i < names.length; i++) record[names[i] as string] = values[i]
      return recordOf(record as Row)
    },
  }
}
