import type { Insertable, Kysely, Selectable } from 'kysely'
import type { AccountRecord, AccountStore } from '../../core/ports/stores.ts'
import { append } from './log.ts'
import { before, beyond, pageOf, positionAfter } from './pages.ts'
import { list, orNull, orUndefined, wide, wideOrUndefined } from './rows.ts'
import type { Database, Tables } from './tables.ts'

type Accounts = Tables['upgate_accounts']

/** The columns of a record. */
const columns: readonly (keyof AccountRow)[] = [
  'id',
  'version',
  'email',
  'password_hash',
  'scopes',
  'roles',
  'created_at',
  'disabled_at',
  'session_generation',
  'not_before',
  'device_cookies',
]

export function sqlAccounts(database: Database): AccountStore {
  const { read, transact, exclusively } = database
  return {
    any: () => read(any),
    get: database.lookUp({
      columns,
      query: (db, all, id) => db.selectFrom('upgate_accounts').select(all).where('id', '=', id),
      recordOf: accountOf,
    }),
    byEmail: database.lookUp({
      columns,
      query: (db, all, email) => db.selectFrom('upgate_accounts').select(all).where('email', '=', email),
      recordOf: accountOf,
    }),
    list: () =>
      read(async (db) => {
        const rows = await db.selectFrom('upgate_accounts').selectAll().orderBy('seq').execute()
        return rows.map(accountOf)
      }),
    page: (request) =>
      read(async (db) => {
        const query = db
          .selectFrom('upgate_accounts')
          .selectAll()
          .orderBy('seq')
          .limit(request.limit + 1)
        const rows = await query.where('seq', '>', positionAfter(request, before, beyond)).execute()
        return pageOf(rows, request, accountOf)
      }),
    add: (record) => transact((db) => insert(db, record)),
    addFirst: (record) =>
      transact(async (db) => {
        await exclusively(db, 'first account')
        return !(await any(db)) && insert(db, record)
      }),
    replace: (record, drafts) =>
      transact(async (db) => {
        const { numUpdatedRows } = await db
          .updateTable('upgate_accounts')
          .set(rowOf(record))
          .where('id', '=', record.id)
          .where('version', '=', record.version - 1)
          .where(({ not, exists, selectFrom }) => {
            const others = selectFrom('upgate_accounts as other').select('other.id')
            const same = others.where('other.email', '=', record.email).where('other.id', '<>', record.id)
            return not(exists(same))
          })
          .executeTakeFirst()
        return numUpdatedRows === 1n ? append(database, db, drafts) : undefined
      }),
  }
}

async function any(db: Kysely<Tables>): Promise<boolean> {
  return (await db.selectFrom('upgate_accounts').select('id').limit(1).executeTakeFirst()) !== undefined
}

async function insert(db: Kysely<Tables>, record: AccountRecord): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('upgate_accounts')
    .values(rowOf(record))
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

function rowOf(record: AccountRecord): Insertable<Accounts> {
  return {
    id: record.id,
    version: record.version,
    email: record.email,
    password_hash: orNull(record.passwordHash),
    scopes: JSON.stringify(record.scopes),
    roles: JSON.stringify(record.roles),
    created_at: record.createdAt,
    disabled_at: orNull(record.disabledAt),
    session_generation: record.sessionGeneration,
    not_before: orNull(record.notBefore),
    device_cookies: record.deviceCookies === undefined ? null : JSON.stringify(record.deviceCookies),
  }
}

/** An account's columns. */
export type AccountRow = Omit<Selectable<Accounts>, 'seq'>

export function accountOf(row: AccountRow): AccountRecord {
  return {
    id: row.id,
    version: row.version,
    email: row.email,
    passwordHash: orUndefined(row.password_hash),
    scopes: list(row.scopes),
    roles: list(row.roles),
    createdAt: wide(row.created_at),
    disabledAt: wideOrUndefined(row.disabled_at),
    sessionGeneration: row.session_generation,
    notBefore: wideOrUndefined(row.not_before),
    deviceCookies: row.device_cookies === null ? undefined : list(row.device_cookies),
  }
}
