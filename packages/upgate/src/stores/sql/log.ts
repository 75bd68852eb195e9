import type { Kysely, Selectable, Transaction } from 'kysely'
import type { Revocation, RevocationReason, RevocationSelector } from '../../core/ports/revocations.ts'
import type { RevocationDraft, RevocationLog } from '../../core/ports/stores.ts'
import type { Database, Tables } from './tables.ts'

/** Entries kept. Whoever is further behind than that has to begin anew. */
const logLength = 100_000

/** Appends entries to the log, within the transaction of the change that they announce. */
export async function append(
  db: Transaction<Tables>,
  drafts: readonly RevocationDraft[],
): Promise<readonly Revocation[]> {
  const entries: Revocation[] = []
  for (const draft of drafts) {
    const { at, reason } = draft
    const { sequence } = await db
      .insertInto('upgate_revocations')
      .values({ at, reason, selector: JSON.stringify(draft.selector) })
      .returning('sequence')
      .executeTakeFirstOrThrow()
    entries.push({ sequence: Number(sequence), at, selector: draft.selector, reason })
  }
  const last = entries.at(-1)
  if (last !== undefined && last.sequence % 1000 === 0) {
    await db
      .deleteFrom('upgate_revocations')
      .where('sequence', '<=', last.sequence - logLength)
      .execute()
  }
  return entries
}

export function sqlLog({ read }: Database): RevocationLog {
  return {
    head: () =>
      read(async (db: Kysely<Tables>) => {
        const row = await db
          .selectFrom('upgate_revocations')
          .select('sequence')
          .orderBy('sequence', 'desc')
          .limit(1)
          .executeTakeFirst()
        return Number(row?.sequence ?? 0)
      }),
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
    sequence: Number(row.sequence),
    at: Number(row.at),
    selector: JSON.parse(row.selector) as RevocationSelector,
    reason: row.reason as RevocationReason,
  }
}
