import type { Generated, Kysely, Transaction } from 'kysely'

/** Lists are JSON text; times are milliseconds since the epoch; `seq` is the order of creation. */
interface AccountTable {
  seq: Generated<number>
  id: string
  version: number
  email: string
  password_hash: string | null
  scopes: string
  roles: string
  created_at: number
  disabled_at: number | null
  session_generation: number
}

interface SessionTable {
  seq: Generated<number>
  id: string
  digest: string
  account_id: string
  generation: number
  created_at: number
  last_seen_at: number
  expires_at: number
  label: string | null
  client_address: string | null
}

interface TokenTable {
  seq: Generated<number>
  id: string
  version: number
  digest: string
  name: string
  scopes: string
  roles: string
  account_id: string | null
  created_by: string | null
  created_at: number
  expires_at: number | null
  last_used_at: number | null
  revoked_at: number | null
}

interface RevocationTable {
  sequence: Generated<number>
  at: number
  selector: string
  reason: string
}

interface SchemaTable {
  version: number
}

/** Prefixed, so that they can live in a database with others. */
export interface Tables {
  upgate_schema: SchemaTable
  upgate_accounts: AccountTable
  upgate_sessions: SessionTable
  upgate_keys: TokenTable
  upgate_devices: TokenTable
  upgate_revocations: RevocationTable
}

/** What the SQL stores need: every operation runs through one of these two, and rejects with `StoreUnavailable`. */
export interface Database {
  /** A single statement that changes nothing. */
  read<T>(operation: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /** One or more statements that take effect together; nobody writes in between. */
  transact<T>(operation: (db: Transaction<Tables>) => Promise<T>): Promise<T>
}
