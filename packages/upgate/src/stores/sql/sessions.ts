import type { Kysely, Selectable, SelectQueryBuilder } from 'kysely'
import type {
  AccountRecord,
  AccountStore,
  SessionRecord,
  SessionStore,
  SessionsWithAccounts,
} from '../../core/ports/stores.ts'
import { type AccountRow, accountOf } from './accounts.ts'
import { append } from './log.ts'
import { before, beyond, pageOf, positionAfter } from './pages.ts'
import { inOrder, orNull, orUndefined, wide, wideOrUndefined } from './rows.ts'
import type { Database, Tables } from './tables.ts'

/** The columns of a record. */
const columns = [
  's.id',
  's.digest',
  's.previous_digest',
  's.previous_until',
  's.account_id',
  's.generation',
  's.created_at',
  's.last_seen_at',
  's.expires_at',
  's.label',
  's.client_address',
]
/** The account's columns in a join with its sessions. */
const joined = [
  'a.id as a_id',
  'a.version as a_version',
  'a.email as a_email',
  'a.password_hash as a_password_hash',
  'a.scopes as a_scopes',
  'a.roles as a_roles',
  'a.created_at as a_created_at',
  'a.disabled_at as a_disabled_at',
  'a.session_generation as a_session_generation',
  'a.not_before as a_not_before',
  'a.device_cookies as a_device_cookies',
]
/** Largest number of sessions that one login ends: statements take a limited number of parameters. */
const mostEvicted = 10_000

export function sqlSessions(database: Database): SessionStore {
  const { read, transact, exclusively } = database
  return {
    get: database.lookUp({
      columns,
      query: (db, all, id) => db.selectFrom('upgate_sessions as s').select(all).where('s.id', '=', id),
      recordOf: sessionOf,
    }),
    list: (accountId) =>
      read(async (db) => {
        const rows = await db
          .selectFrom('upgate_sessions')
          .selectAll()
          .where('account_id', '=', accountId)
          .orderBy('seq', 'desc')
          .execute()
        return rows.map(sessionOf)
      }),
    page: (accountId, request) =>
      read(async (db) => {
        const query = db.selectFrom('upgate_sessions').selectAll().where('account_id', '=', accountId)
        const rows = await query
          .where('seq', '<', positionAfter(request, beyond, before))
          .orderBy('seq', 'desc')
          .limit(request.limit + 1)
          .execute()
        return pageOf(rows, request, sessionOf)
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
    purge: (expiredBy, lastSeenBefore, atMost) =>
      transact(async (db) => {
        // One by one, each by its own index.
        const sessions = db.selectFrom('upgate_sessions').select('seq')
        const expired = sessions.where('expires_at', '<=', expiredBy)
        const removed = await removeSome(db, expired.limit(atMost))
        const idle = sessions.where('last_seen_at', '<', lastSeenBefore)
        return removed === atMost ? removed : removed + (await removeSome(db, idle.limit(atMost - removed)))
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

async function removeSome(
  db: Kysely<Tables>,
  some: SelectQueryBuilder<Tables, 'upgate_sessions', { seq: number | string }>,
): Promise<number> {
  const query = db.deleteFrom('upgate_sessions').where('seq', 'in', some as never)
  return Number((await query.executeTakeFirst()).numDeletedRows)
}

/**
 * Reads a session together with its account, in one statement: a verification needs both, and each statement to a
 * server costs a round trip.
 */
export function sqlSessionsWithAccounts(
  database: Database,
  sessions: SessionStore,
  accounts: AccountStore,
): SessionsWithAccounts {
  return {
    sessions,
    accounts,
    get: database.lookUp({
      columns: [...columns, ...joined],
      query: (db, all, id) =>
        db
          .selectFrom('upgate_sessions as s')
          .leftJoin('upgate_accounts as a', 'a.id', 's.account_id')
          .select(all)
          .where('s.id', '=', id),
      recordOf: (row: Row & JoinedAccount) => ({ ...sessionOf(row), account: joinedAccountOf(row) }),
    }),
  }
}

/** The account's columns in the join: all of them are null if there is no account. */
type JoinedAccount = { readonly [C in keyof AccountRow as `a_${C}`]: AccountRow[C] | null }

function joinedAccountOf(row: JoinedAccount): AccountRecord | undefined {
  if (row.a_id === null) return undefined
  return accountOf({
    id: row.a_id,
    version: row.a_version,
    email: row.a_email,
    password_hash: row.a_password_hash,
    scopes: row.a_scopes,
    roles: row.a_roles,
    created_at: row.a_created_at,
    disabled_at: row.a_disabled_at,
    session_generation: row.a_session_generation,
    not_before: row.a_not_before,
    device_cookies: row.a_device_cookies,
  } as AccountRow)
}

type Row = Omit<Selectable<Tables['upgate_sessions']>, 'seq'>

function sessionOf(row: Row): SessionRecord {
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
