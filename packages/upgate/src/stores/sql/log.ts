import type { Kysely, Selectable, Transaction } from 'kysely'
import type { Revocation, RevocationReason, RevocationSelector } from '../../core/ports/revocations.ts'
import type { RevocationDraft, RevocationLog } from '../../core/ports/stores.ts'
import { wide } from './rows.ts'
import type { Database, Tables } from './tables.ts'

/** Entries kept. A reader further behind has missed some, and has to start from the end of the log. */
const logLength = 100_000

/**
 * Appends entries to the log, within the transaction of the change that they announce.
 *
 * Numbers become visible in order and without gaps. A sequence of the database guarantees neither. Of two
 * transactions the one with the higher number may commit first; a reader would continue from there, and never
 * see the revocation with the lower number. And a transaction that is rolled back would leave a gap that
 * looks like a loss. So appending transactions take turns, from here to their commit, and each continues from
 * the last number committed.
 */
export async function append(
  { exclusively }: Database,
  db: Transaction<Tables>,
  drafts: readonly RevocationDraft[],
): Promise<readonly Revocation[]> {
  if (drafts.length === 0) return []
  await exclusively(db, 'log')
  const head = await newest(db)
  const entries = drafts.map(
    ({ at, selector, reason }, i): Revocation => ({ sequence: head + 1 + i, at, selector, reason }),
  )
  // In parts: a statement takes a limited number of parameters.
  for (let from = 0; from < entries.length; from += 1000) {
    const rows = entries.slice(from, from + 1000).map((entry) => ({
      sequence: entry.sequence,
      at: entry.at,
      selector: JSON.stringify(entry.selector),
      reason: entry.reason,
    }))
    await db.insertInto('upgate_revocations').values(rows).execute()
  }
  const last = head + entries.length
  if (Math.floor(last / 1000) > Math.floor(head / 1000)) {
    await db
      .deleteFrom('upgate_revocations')
      .where('sequence', '<=', last - logLength)
      .execute()
  }
  return entries
}

async function newest(db: Kysely<Tables>): Promise<number> {
  const row = await db
    .selectFrom('upgate_revocations')
    .select('sequence')
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst()
  return wide(row?.sequence ?? 0)
}

export function sqlLog(database: Database): RevocationLog {
  const { read, transact } = database
  return {
    append: (drafts) => transact((db) => append(database, db, drafts)),
    head: () => read(newest),
    since: (sequence, limit) =>
      read(async (db) => {
        const rows = await db
          .selectFrom('upgate_revocations')
          .selectAll()
          .where('sequence', '>', sequence)
          .orderBy('sequence')
          .limit(limit)
          .execute()
        return rows.map(entryOf)
      }),
  }
}

function entryOf(row: Selectable<Tables['upgate_revocations']>): Revocation {
  return {
    sequence: wide(row.sequence),
    at: wide(row.at),
    selector: JSON.parse(row.selector) as RevocationSelector,
    reason: row.reason as RevocationReason,
  }
}
