import type { Insertable, Kysely, Selectable } from 'kysely'
import type { TokenStore } from '../../core/ports/stores.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'
import { append } from './log.ts'
import { before, beyond, pageOf, positionAfter } from './pages.ts'
import { inOrder, list, orNull, orUndefined, wide, wideOrUndefined } from './rows.ts'
import type { Database, Tables } from './tables.ts'

type Tokens = Tables['upgate_keys']

/** The columns of a record. */
const columns: readonly (keyof Row)[] = [
  'id',
  'version',
  'digest',
  'handed_digest',
  'previous_digest',
  'previous_handed_digest',
  'previous_until',
  'key_id',
  'key_token',
  'stated',
  'name',
  'scopes',
  'roles',
  'account_id',
  'created_by',
  'created_at',
  'expires_at',
  'last_used_at',
  'revoked_at',
]

/** Creates the store of API keys or of devices: their tables are alike. */
export function sqlTokens(database: Database, table: 'upgate_keys' | 'upgate_devices'): TokenStore {
  const { read, transact } = database
  return {
    get: database.lookUp({
      columns,
      query: (db, all, id) => db.selectFrom(table).select(all).where('id', '=', id),
      recordOf,
    }),
    list: () =>
      read(async (db) => (await db.selectFrom(table).selectAll().orderBy('seq').execute()).map(recordOf)),
    page: (request) =>
      read(async (db) => {
        let query = db
          .selectFrom(table)
          .selectAll()
          .orderBy('seq')
          .limit(request.limit + 1)
        query = query.where('seq', '>', positionAfter(request, before, beyond))
        if (!request.revoked) query = query.where('revoked_at', 'is', null)
        return pageOf(await query.execute(), request, recordOf)
      }),
    addAll: (records) =>
      transact(async (db) => {
        let added = 0
        // In parts: a statement takes a limited number of parameters.
        for (let from = 0; from < records.length; from += 100) {
          const rows = records.slice(from, from + 100).map(rowOfNew)
          const query = db
            .insertInto(table)
            .values(rows)
            .onConflict((conflict) => conflict.doNothing())
          added += Number((await query.executeTakeFirst()).numInsertedOrUpdatedRows)
        }
        return added
      }),
    add: (record) =>
      transact(async (db) => {
        const { numInsertedOrUpdatedRows } = await db
          .insertInto(table)
          .values(rowOfNew(record))
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst()
        return numInsertedOrUpdatedRows === 1n
      }),
    replace: (record, drafts) =>
      transact(async (db) => {
        return (await replaceToken(db, table, record)) ? append(database, db, drafts) : undefined
      }),
    touch: (touches) =>
      transact(async (db) => {
        for (const { id, at } of inOrder(touches)) {
          await db
            .updateTable(table)
            .set({ last_used_at: at })
            .where('id', '=', id)
            .where((where) => where.or([where('last_used_at', 'is', null), where('last_used_at', '<', at)]))
            .execute()
        }
      }),
  }
}

/** Compare and set within a caller's transaction. */
export async function replaceToken(
  db: Kysely<Tables>,
  table: 'upgate_keys' | 'upgate_devices',
  record: TokenRecord,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable(table)
    .set(rowOf(record))
    .where('id', '=', record.id)
    .where('version', '=', record.version - 1)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Inserts within a caller's transaction; fails if the id is taken. */
export async function insertToken(
  db: Kysely<Tables>,
  table: 'upgate_keys' | 'upgate_devices',
  record: TokenRecord,
): Promise<void> {
  await db.insertInto(table).values(rowOfNew(record)).execute()
}

function rowOfNew(record: TokenRecord): Insertable<Tokens> {
  return { ...rowOf(record), last_used_at: orNull(record.lastUsedAt) }
}

function rowOf(record: TokenRecord): Omit<Insertable<Tokens>, 'last_used_at'> {
  return {
    id: record.id,
    version: record.version,
    digest: record.digest,
    handed_digest: orNull(record.handedDigest),
    previous_digest: orNull(record.previousDigest),
    previous_handed_digest: orNull(record.previousHandedDigest),
    previous_until: orNull(record.previousUntil),
    key_id: orNull(record.keyId),
    key_token: orNull(record.keyToken),
    stated: orNull(record.stated),
    name: record.name,
    scopes: JSON.stringify(record.scopes),
    roles: JSON.stringify(record.roles),
    account_id: orNull(record.accountId),
    created_by: orNull(record.createdBy),
    created_at: record.createdAt,
    expires_at: orNull(record.expiresAt),
    revoked_at: orNull(record.revokedAt),
  }
}

type Row = Omit<Selectable<Tokens>, 'seq'>

function recordOf(row: Row): TokenRecord {
  return {
    id: row.id,
    version: row.version,
    digest: row.digest,
    handedDigest: orUndefined(row.handed_digest),
    previousDigest: orUndefined(row.previous_digest),
    previousHandedDigest: orUndefined(row.previous_handed_digest),
    previousUntil: wideOrUndefined(row.previous_until),
    keyId: orUndefined(row.key_id),
    keyToken: orUndefined(row.key_token),
    stated: orUndefined(row.stated),
    name: row.name,
    scopes: list(row.scopes),
    roles: list(row.roles),
    accountId: orUndefined(row.account_id),
    createdBy: orUndefined(row.created_by),
    createdAt: wide(row.created_at),
    expiresAt: wideOrUndefined(row.expires_at),
    lastUsedAt: wideOrUndefined(row.last_used_at),
    revokedAt: wideOrUndefined(row.revoked_at),
  }
}
