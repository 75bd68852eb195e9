import { setTimeout as pause } from 'node:timers/promises'
import Libsql from 'libsql'
import { parseRecord, type RemoteRecords } from './records.ts'

/** Milliseconds that a call may block while another connection writes, and between two tries. */
const blocking = 5
const retryDelay = 20
/** Tries: five seconds and more. */
const tries = 200

/** Keeps the record in the database file of the gateway, on a connection of its own. The store has made the file. */
export async function sqliteRecords(file: string): Promise<RemoteRecords> {
  const db = new Libsql(file)
  // The store of the same process may hold the lock in a transaction that waits for this thread.
  const patiently = async <T>(operation: () => T): Promise<T> => {
    for (let rest = tries; ; rest--) {
      try {
        return operation()
      } catch (error) {
        const { code } = error as { readonly code?: string }
        if (rest === 0 || code?.startsWith('SQLITE_BUSY') !== true) throw error
        await pause(retryDelay)
      }
    }
  }
  try {
    db.exec(`PRAGMA busy_timeout = ${blocking}`)
    db.exec('PRAGMA synchronous = FULL')
    // What was deleted must not stay in free pages.
    db.exec('PRAGMA secure_delete = ON')
    await patiently(() =>
      db.exec(
        'create table if not exists gateway_remote (slot integer primary key, id text not null, record text not null)',
      ),
    )
  } catch (error) {
    db.close()
    throw error
  }
  return {
    shared: false,
    claim: () =>
      patiently(() => {
        const row = db.prepare('select record from gateway_remote where slot = 1').get() as
          | { readonly record: string }
          | undefined
        return row && { record: parseRecord(row.record), mine: true, report: undefined }
      }),
    write: (record) =>
      patiently(() => {
        db.prepare(
          'insert into gateway_remote (slot, id, record) values (1, ?, ?) on conflict (slot) do update set id = excluded.id, record = excluded.record',
        ).run(record.id, JSON.stringify(record))
      }),
    update: (record) =>
      patiently(() => {
        db.prepare('update gateway_remote set record = ? where id = ?').run(JSON.stringify(record), record.id)
      }),
    remove: () =>
      patiently(() => {
        db.prepare('delete from gateway_remote').run()
      }),
    async close() {
      db.close()
    },
  }
}
