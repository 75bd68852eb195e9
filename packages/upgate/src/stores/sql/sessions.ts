import type { Selectable } from 'kysely'
import type { SessionRecord, SessionStore } from '../../core/ports/stores.ts'
import { append } from './log.ts'
import { inOrder, orNull, orUndefined, wide, wideOrUndefined } from './rows.ts'
import type { Database, Tables } from './tables.ts'

/** Largest number of sessions that one login ends: statements take a limited number of parameters. */
const mostEvicted = 10_000

export function sqlSessions(database: Database): SessionStore {
  const { read, transact, exclusively } = database
  return {
    get: (id) =>
      read(async (db) => {
        const query = db.selectFrom('upgate_sessions').selectAll().where('id', '=', id)
        const row = await query.executeTakeFirst()
        return row && recordOf(row)
      }),
    list: (accountId) =>
      read(async (db) => {
        const rows = await db
          .selectFrom('upgate_sessions')
          .selectAll()
          .where('account_id', '=', accountId)
          .orderBy('seq', 'desc')
          .execute()
        return rows.map(recordOf)
      }),
    add: (record, atMost) =>
      transact(async (db) => {
        // Logins of one account run one by one: each must see the others, or the account would exceed its
        // limit.
        await exclusively(db, `sessions of ${record.accountId}`)
        const { numInsertedOrUpdatedRows } = await db
          .insertInto('upgate_sessions')
          .values({
            id: record.id,
            digest: record.digest,
            previous_digest: orNull(record.previousDigest),
            previous_until: orNull(record.previousUntil),
            account_id: record.accountId,
            generation: record.generation,
            created_at: record.createdAt,
            last_seen_at: record.lastSeenAt,
            expires_at: record.expiresAt,
            label: orNull(record.label),
            client_address: orNull(record.clientAddress),
          })
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst()
        if (numInsertedOrUpdatedRows !== 1n) return undefined
        const beyond = await db
          .selectFrom('upgate_sessions')
          .select('id')
          .where('account_id', '=', record.accountId)
          .orderBy('seq', 'desc')
          // SQLite accepts no offset without a limit.
          .limit(mostEvicted)
          .offset(atMost)
          .execute()
        const evicted = beyond.map(({ id }) => id)
        if (evicted.length === 0) return []
        await db.deleteFrom('upgate_sessions').where('id', 'in', evicted).execute()
        return append(
          database,
          db,
          evicted.map((id) => ({ at: record.createdAt, selector: { sessionId: id }, reason: 'revoked' })),
        )
      }),
    rotate: (id, from, to, draft) =>
      transact(async (db) => {
        const { numUpdatedRows } = await db
          .updateTable('upgate_sessions')
          .set({
            digest: to.digest,
            previous_digest: orNull(to.previousDigest),
            previous_until: orNull(to.previousUntil),
          })
          .where('id', '=', id)
          .where('digest', '=', from)
          .executeTakeFirst()
        return numUpdatedRows === 1n ? (await append(database, db, [draft]))[0] : undefined
      }),
    remove: (id, draft) =>
      transact(async (db) => {
        const { numDeletedRows } = await db
          .deleteFrom('upgate_sessions')
          .where('id', '=', id)
          .executeTakeFirst()
        return numDeletedRows === 1n ? (await append(database, db, [draft]))[0] : undefined
      }),
    removeOf: (accountId, generation) =>
      transact(async (db) => {
        const { numDeletedRows } = await db
          .deleteFrom('upgate_sessions')
          .where('account_id', '=', accountId)
          .where('generation', '<', generation)
          .executeTakeFirst()
        return Number(numDeletedRows)
      }),
    purge: (expiredAt, lastSeenBefore) =>
      transact(async (db) => {
        const { numDeletedRows } = await db
          .deleteFrom('upgate_sessions')
          .where((where) =>
            where.or([where('expires_at', '<=', expiredAt), where('last_seen_at', '<', lastSeenBefore)]),
          )
          .executeTakeFirst()
        return Number(numDeletedRows)
      }),
    touch: (touches) =>
      transact(async (db) => {
        for (const { id, at } of inOrder(touches)) {
          await db
            .updateTable('upgate_sessions')
            .set({ last_seen_at: at })
            .where('id', '=', id)
            .where('last_seen_at', '<', at)
            .execute()
        }
      }),
  }
}

function recordOf(row: Selectable<Tables['upgate_sessions']>): SessionRecord {
  return {
    id: row.id,
    digest: row.digest,
    previousDigest: orUndefined(row.previous_digest),
    previousUntil: wideOrUndefined(row.previous_until),
    accountId: row.account_id,
    generation: row.generation,
    createdAt: wide(row.created_at),
    lastSeenAt: wide(row.last_seen_at),
    expiresAt: wide(row.expires_at),
    label: orUndefined(row.label),
    clientAddress: orUndefined(row.client_address),
  }
}
