import type { ColumnDefinitionBuilder, Kysely, Transaction } from 'kysely'
import { StoreUnavailable } from '../../core/ports/stores.ts'
import type { Database, Tables } from './tables.ts'

type Column = (column: ColumnDefinitionBuilder) => ColumnDefinitionBuilder

/** Column types that have different names in the two databases. */
interface Types {
  /** Type and declaration of a primary key that counts up by itself. */
  readonly ordinal: readonly ['integer' | 'bigint', Column]
  /** Type of the log's number, and of other counters that never restart. */
  readonly counter: 'integer' | 'bigint'
}

const types: { readonly [D in Database['dialect']]: Types } = {
  sqlite: { ordinal: ['integer', (column) => column.primaryKey().autoIncrement()], counter: 'integer' },
  postgres: {
    ordinal: ['bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity()],
    counter: 'bigint',
  },
}

type Migration = (db: Kysely<Tables>, types: Types) => Promise<void>

/** Tables of pairing requests, invitations, device keys and tickets. */
const pairingTables: Migration = async (db, { ordinal }) => {
  await db.schema
    .createTable('upgate_pairings')
    .addColumn('seq', ...ordinal)
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull().unique())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('quota', 'text', (column) => column.notNull())
    .addColumn('client_address', 'text')
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('body', 'text', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('upgate_invitations')
    .addColumn('seq', ...ordinal)
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull().unique())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('created_by', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('upgate_device_keys')
    .addColumn('key_id', 'text', (column) => column.primaryKey())
    .addColumn('device_id', 'text', (column) => column.notNull().references('upgate_devices.id'))
    .execute()
  await db.schema
    .createTable('upgate_tickets')
    .addColumn('seq', ...ordinal)
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('owner', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('body', 'text', (column) => column.notNull())
    .execute()
  const indexes = [
    ['upgate_pairings_end', 'upgate_pairings', 'expires_at'],
    ['upgate_tickets_owner', 'upgate_tickets', 'owner'],
    ['upgate_tickets_end', 'upgate_tickets', 'expires_at'],
  ] as const
  for (const [index, table, column] of indexes) {
    await db.schema.createIndex(index).on(table).column(column).execute()
  }
}

/** Addresses from which sockets were accepted, by keyed digest. */
const acquaintanceTable: Migration = async (db) => {
  await db.schema
    .createTable('upgate_acquaintances')
    .addColumn('digest', 'text', (column) => column.primaryKey())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema
    .createIndex('upgate_acquaintances_end')
    .on('upgate_acquaintances')
    .column('expires_at')
    .execute()
}

/** Forward only: a released migration is never edited, only followed by another one. */
const migrations: readonly Migration[] = [
  async (db, { ordinal, counter }) => {
    await db.schema
      .createTable('upgate_accounts')
      .addColumn('seq', ...ordinal)
      .addColumn('id', 'text', (column) => column.notNull().unique())
      .addColumn('version', 'integer', (column) => column.notNull())
      .addColumn('email', 'text', (column) => column.notNull().unique())
      .addColumn('password_hash', 'text')
      .addColumn('scopes', 'text', (column) => column.notNull())
      .addColumn('roles', 'text', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('disabled_at', 'bigint')
      .addColumn('session_generation', 'integer', (column) => column.notNull())
      .execute()
    await db.schema
      .createTable('upgate_sessions')
      .addColumn('seq', ...ordinal)
      .addColumn('id', 'text', (column) => column.notNull().unique())
      .addColumn('digest', 'text', (column) => column.notNull())
      .addColumn('account_id', 'text', (column) => column.notNull().references('upgate_accounts.id'))
      .addColumn('generation', 'integer', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('last_seen_at', 'bigint', (column) => column.notNull())
      .addColumn('expires_at', 'bigint', (column) => column.notNull())
      .addColumn('label', 'text')
      .addColumn('client_address', 'text')
      .execute()
    const indexes: readonly [string, string[]][] = [
      ['upgate_sessions_account', ['account_id', 'seq']],
      ['upgate_sessions_end', ['expires_at']],
      ['upgate_sessions_seen', ['last_seen_at']],
    ]
    for (const [index, columns] of indexes) {
      await db.schema.createIndex(index).on('upgate_sessions').columns(columns).execute()
    }
    for (const table of ['upgate_keys', 'upgate_devices'] as const) {
      await db.schema
        .createTable(table)
        .addColumn('seq', ...ordinal)
        .addColumn('id', 'text', (column) => column.notNull().unique())
        .addColumn('version', 'integer', (column) => column.notNull())
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('scopes', 'text', (column) => column.notNull())
        .addColumn('roles', 'text', (column) => column.notNull())
        .addColumn('account_id', 'text', (column) => column.references('upgate_accounts.id'))
        .addColumn('created_by', 'text')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('expires_at', 'bigint')
        .addColumn('last_used_at', 'bigint')
        .addColumn('revoked_at', 'bigint')
        .execute()
    }
    await db.schema
      .createTable('upgate_revocations')
      .addColumn('sequence', counter, (column) => column.primaryKey())
      .addColumn('at', 'bigint', (column) => column.notNull())
      .addColumn('selector', 'text', (column) => column.notNull())
      .addColumn('reason', 'text', (column) => column.notNull())
      .execute()
  },
  async (db) => {
    await db.schema.alterTable('upgate_accounts').addColumn('not_before', 'bigint').execute()
  },
  async (db) => {
    for (const table of ['upgate_sessions', 'upgate_keys', 'upgate_devices'] as const) {
      await db.schema.alterTable(table).addColumn('previous_digest', 'text').execute()
      await db.schema.alterTable(table).addColumn('previous_until', 'bigint').execute()
    }
  },
  pairingTables,
  acquaintanceTable,
  async (db) => {
    await db.schema.alterTable('upgate_accounts').addColumn('device_cookies', 'text').execute()
    await db.schema
      .createTable('upgate_secrets')
      .addColumn('name', 'text', (column) => column.primaryKey())
      .addColumn('value', 'text', (column) => column.notNull())
      .execute()
  },
  async (db) => {
    for (const table of ['upgate_keys', 'upgate_devices'] as const) {
      await db.schema.alterTable(table).addColumn('handed_digest', 'text').execute()
      await db.schema.alterTable(table).addColumn('previous_handed_digest', 'text').execute()
    }
  },
  async (db) => {
    for (const table of ['upgate_keys', 'upgate_devices'] as const) {
      for (const column of ['key_id', 'key_token', 'stated']) {
        await db.schema.alterTable(table).addColumn(column, 'text').execute()
      }
    }
    // Devices that were paired before: each has one key.
    await db
      .updateTable('upgate_devices')
      .set({
        key_id: (of) =>
          of
            .selectFrom('upgate_device_keys')
            .select('upgate_device_keys.key_id')
            .whereRef('upgate_device_keys.device_id', '=', 'upgate_devices.id')
            .limit(1),
      })
      .execute()
  },
]

/**
 * Whether the schema is up to date. Asked before migrating, so that an instance may run as a database user
 * that cannot create tables, once another user has migrated the store.
 */
export async function isMigrated({ read }: Database): Promise<boolean> {
  try {
    const row = await read((db) => db.selectFrom('upgate_schema').select('version').executeTakeFirst())
    return row?.version === migrations.length
  } catch {
    // The table or the server is missing: migrating reports which.
    return false
  }
}

/**
 * Brings the schema up to date, in one transaction: of processes that start together one migrates, the others
 * wait.
 *
 * @throws StoreUnavailable `store_too_new` if a newer version wrote the database
 */
export async function migrate({ transact, exclusively, dialect }: Database): Promise<void> {
  await transact(async (db: Transaction<Tables>) => {
    // PostgreSQL's `if not exists` fails if two transactions create the table at once.
    await exclusively(db, 'schema')
    await db.schema
      .createTable('upgate_schema')
      .ifNotExists()
      .addColumn('version', 'integer', (column) => column.notNull())
      .execute()
    const row = await db.selectFrom('upgate_schema').select('version').executeTakeFirst()
    const found = row?.version ?? 0
    if (found > migrations.length) {
      throw new StoreUnavailable(
        'store_too_new',
        `The database has schema version ${found}; this version of upgate knows ${migrations.length}. Install the newer upgate, or restore an older database.`,
      )
    }
    for (const migration of migrations.slice(found)) await migration(db, types[dialect])
    const version = migrations.length
    if (row === undefined) await db.insertInto('upgate_schema').values({ version }).execute()
    else if (found < version) await db.updateTable('upgate_schema').set({ version }).execute()
  })
}
