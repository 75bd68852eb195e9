import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { parseRecord, type RemoteRecords } from './records.ts'

/** Seconds, by the database's clock, after which another instance takes over. */
export const lifetime = 15

/** Longest query, in milliseconds. */
const timeout = 5000

/** Advisory lock of all gateways on one database: of those that start together, one creates the table. */
const lock = 0x67770002

interface Row {
  readonly record: string
  readonly mine: boolean
  readonly report: string | null
}

/** Keeps the record in PostgreSQL. Of several instances, one claims it, and another one once it is silent. */
export async function postgresRecords(connectionString: string): Promise<RemoteRecords> {
  const pool = new pg.Pool({
    connectionString,
    max: 1,
    connectionTimeoutMillis: timeout,
    statement_timeout: timeout,
    query_timeout: timeout + 1000,
  })
  // Errors of idle connections; the next query opens a new connection.
  pool.on('error', () => {})
  const instance = randomUUID()
  try {
    await prepare(pool)
  } catch (error) {
    await pool.end()
    throw error
  }
  return {
    shared: true,
    async claim(report) {
      await pool.query(
        `update gateway_remote
         set instance = $1, until = now() + make_interval(secs => $2), report = case when id = $3 then $4 else report end
         where instance is null or instance = $1 or until < now()`,
        [instance, lifetime, report?.record ?? '', report?.text ?? null],
      )
      const { rows } = await pool.query<Row>(
        'select record, instance = $1 as mine, report from gateway_remote where slot = 1',
        [instance],
      )
      const [row] = rows
      return row && { record: parseRecord(row.record), mine: row.mine, report: row.report ?? undefined }
    },
    async write(record) {
      await pool.query(
        `insert into gateway_remote (slot, id, record) values (1, $1, $2)
         on conflict (slot) do update set id = $1, record = $2, instance = null, until = null, report = null`,
        [record.id, JSON.stringify(record)],
      )
    },
    async update(record) {
      await pool.query('update gateway_remote set record = $2 where id = $1', [
        record.id,
        JSON.stringify(record),
      ])
    },
    async remove() {
      await pool.query('delete from gateway_remote')
    },
    async close() {
      await pool
        .query('update gateway_remote set instance = null, until = null where instance = $1', [instance])
        .catch(() => {})
      await pool.end()
    },
  }
}

async function prepare(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock($1)', [lock])
    await client.query(
      `create table if not exists gateway_remote (
         slot integer primary key, id text not null, record text not null,
         instance text, until timestamptz, report text)`,
    )
    await client.query('commit')
  } finally {
    // Also ends the transaction of a connection after an error.
    client.release(true)
  }
}
