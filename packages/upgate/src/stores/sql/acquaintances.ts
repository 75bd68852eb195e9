import type { AcquaintanceStore } from '../../core/ports/acquaintances.ts'
import { wide } from './rows.ts'
import type { Database } from './tables.ts'

export function sqlAcquaintances({ read, transact, exclusively }: Database): AcquaintanceStore {
  return {
    list: (now, limit) =>
      read(async (db) => {
        const query = db.selectFrom('upgate_acquaintances').selectAll().where('expires_at', '>', now)
        const rows = await query.orderBy('expires_at', 'desc').limit(limit).execute()
        return rows.map((row) => ({ digest: row.digest, until: wide(row.expires_at) }))
      }),
    note: (records, now, atMost) =>
      transact(async (db) => {
        await exclusively(db, 'acquaintances')
        const ends = new Map<string, number>()
        for (const { digest, until } of records) ends.set(digest, Math.max(until, ends.get(digest) ?? 0))
        if (ends.size > 0) {
          await db
            .insertInto('upgate_acquaintances')
            .values([...ends].map(([digest, until]) => ({ digest, expires_at: until })))
            .onConflict((conflict) =>
              conflict
                .column('digest')
                .doUpdateSet((row) => ({ expires_at: row.ref('excluded.expires_at') }))
                .whereRef('excluded.expires_at', '>', 'upgate_acquaintances.expires_at'),
            )
            .execute()
        }
        await db.deleteFrom('upgate_acquaintances').where('expires_at', '<=', now).execute()
        const inOrder = db.selectFrom('upgate_acquaintances').select('digest').orderBy('expires_at', 'desc')
        const surplus = await inOrder.offset(atMost).limit(1000).execute()
        if (surplus.length === 0) return
        const digests = surplus.map(({ digest }) => digest)
        await db.deleteFrom('upgate_acquaintances').where('digest', 'in', digests).execute()
      }),
  }
}
