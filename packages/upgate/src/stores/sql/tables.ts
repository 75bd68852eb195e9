import type { AliasedExpression, ColumnType, Compilable, Generated, Kysely, Transaction } from 'kysely'

/** 64 bits wide. PostgreSQL's driver returns such numbers as text. */
type Wide = ColumnType<number | string, number, number>
type WideOrNull = ColumnType<number | string | null, number | null, number | null>

/** Lists are JSON text; times are milliseconds since the epoch; `seq` is the order of creation. */
interface AccountTable {
  seq: Generated<number | string>
  id: string
  version: number
  email: string
  password_hash: string | null
  scopes: string
  roles: string
  created_at: Wide
  disabled_at: WideOrNull
  session_generation: number
  not_before: WideOrNull
  device_cookies: string | null
}

interface SessionTable {
  seq: Generated<number | string>
  id: string
  digest: string
  previous_digest: string | null
  previous_until: WideOrNull
  account_id: string
  generation: number
  created_at: Wide
  last_seen_at: Wide
  expires_at: Wide
  label: string | null
  client_address: string | null
}

interface TokenTable {
  seq: Generated<number | string>
  id: string
  version: number
  digest: string
  handed_digest: string | null
  previous_digest: string | null
  previous_handed_digest: string | null
  previous_until: WideOrNull
  key_id: string | null
  key_token: string | null
  stated: string | null
  name: string
  scopes: string
  roles: string
  account_id: string | null
  created_by: string | null
  created_at: Wide
  expires_at: WideOrNull
  last_used_at: WideOrNull
  revoked_at: WideOrNull
}

interface RevocationTable {
  sequence: Wide
  at: Wide
  selector: string
  reason: string
}

interface PairingTable {
  seq: Generated<number | string>
  id: string
  version: number
  subject: string
  state: string
  quota: string
  client_address: string | null
  expires_at: Wide
  body: string
}

interface InvitationTable {
  seq: Generated<number | string>
  id: string
  kind: string
  digest: string
  role: string
  scopes: string
  created_by: string
  created_at: Wide
  expires_at: Wide
}

interface DeviceKeyTable {
  key_id: string
  device_id: string
}

interface TicketTable {
  seq: Generated<number | string>
  id: string
  owner: string
  expires_at: Wide
  body: string
}

interface AcquaintanceTable {
  digest: string
  expires_at: Wide
}

interface SecretTable {
  name: string
  value: string
}

interface SchemaTable {
  version: number
}

/** Prefixed, so that the tables can share a database with others. */
export interface Tables {
  upgate_schema: SchemaTable
  upgate_accounts: AccountTable
  upgate_sessions: SessionTable
  upgate_keys: TokenTable
  upgate_devices: TokenTable
  upgate_revocations: RevocationTable
  upgate_pairings: PairingTable
  upgate_invitations: InvitationTable
  upgate_device_keys: DeviceKeyTable
  upgate_tickets: TicketTable
  upgate_acquaintances: AcquaintanceTable
  upgate_secrets: SecretTable
}

/** All columns of a record as one value. */
type Columns = AliasedExpression<string, 'record'>

/** The look-up of one record by a text. */
export interface LookUp<Row, T> {
  /** Columns of the record, such as `s.id` or `a.id as a_id`. None is added by a newer version of the schema. */
  readonly columns: readonly string[]
  /** Builds the query; the text must be its only parameter. */
  query(db: Kysely<Tables>, columns: Columns, text: string): Compilable<{ record: string }>
  /** Reads the record. */
  recordOf(row: Row): T
}

/**
 * Access to the database for the SQL stores. Every operation runs through `read` or `transact`, and rejects
 * with `StoreUnavailable`.
 */
export interface Database {
  /** Runs a single statement that changes nothing. */
  read<T>(operation: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /**
   * Prepares the look-up of one record by a text, for verifications: compiled once, and kept prepared by the database
   * where it may. Building the query each time would cost more than running it.
   */
  lookUp<Row, T>(lookUp: LookUp<Row, T>): (text: string) => Promise<T | undefined>
  /** Runs statements that take effect together, or not at all. */
  transact<T>(operation: (db: Transaction<Tables>) => Promise<T>): Promise<T>
  /**
   * Within a transaction: waits for all running transactions that asked for the same name, and makes later
   * ones wait for the end of this one. Reads after it see the results of the earlier transactions.
   */
  exclusively(db: Transaction<Tables>, name: string): Promise<void>
  /** Dialect that decides the column types of the tables. */
  readonly dialect: 'sqlite' | 'postgres'
}
