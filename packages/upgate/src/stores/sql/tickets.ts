import type { Selectable } from 'kysely'
import type { TicketRecord, TicketStore } from '../../core/ports/tickets.ts'
import { wide } from './rows.ts'
import type { Database, Tables } from './tables.ts'

export function sqlTickets({ lookUp, transact, exclusively }: Database): TicketStore {
  return {
    add: (record, atMost) =>
      transact(async (db) => {
        const owner = ownerOf(record)
        await exclusively(db, `tickets of ${owner}`)
        const { numInsertedOrUpdatedRows } = await db
          .insertInto('upgate_tickets')
          .values({ id: record.id, owner, expires_at: record.expiresAt, body: JSON.stringify(record) })
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst()
        if (numInsertedOrUpdatedRows !== 1n) return false
        const own = db.selectFrom('upgate_tickets').select('id').where('owner', '=', owner)
        const surplus = (await own.orderBy('seq', 'desc').execute()).slice(atMost).map(({ id }) => id)
        if (surplus.length > 0) await db.deleteFrom('upgate_tickets').where('id', 'in', surplus).execute()
        return true
      }),
    get: lookUp({
      columns: ['id', 'expires_at', 'body'],
      query: (db, all, id) => db.selectFrom('upgate_tickets').select(all).where('id', '=', id),
      recordOf,
    }),
    take: (id) =>
      transact(async (db) => {
        // One statement: of two that delete the same row, only one gets its contents.
        const query = db.deleteFrom('upgate_tickets').where('id', '=', id).returningAll()
        const row = await query.executeTakeFirst()
        return row && recordOf(row)
      }),
    purge: (expiredBy, atMost) =>
      transact(async (db) => {
        const expired = db.selectFrom('upgate_tickets').select('id').where('expires_at', '<=', expiredBy)
        const query = db.deleteFrom('upgate_tickets').where('id', 'in', expired.limit(atMost))
        return Number((await query.executeTakeFirst()).numDeletedRows)
      }),
  }
}

function ownerOf({ principal }: TicketRecord): string {
  return `${principal.kind}:${principal.id}`
}

function recordOf(
  row: Pick<Selectable<Tables['upgate_tickets']>, 'id' | 'expires_at' | 'body'>,
): TicketRecord {
  return { ...(JSON.parse(row.body) as TicketRecord), id: row.id, expiresAt: wide(row.expires_at) }
}
