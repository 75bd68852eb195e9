import type { RememberingStore } from '../../core/ports/stores.ts'
import { sqlAccounts } from './accounts.ts'
import { sqlAcquaintances } from './acquaintances.ts'
import { sqlLog } from './log.ts'
import { sqlPairings } from './pairings.ts'
import { sqlSecrets } from './secrets.ts'
import { sqlSessions, sqlSessionsWithAccounts } from './sessions.ts'
import type { Database } from './tables.ts'
import { sqlTickets } from './tickets.ts'
import { sqlTokens } from './tokens.ts'

/** Creates the store over one database, SQLite or PostgreSQL. */
export function sqlStore(database: Database, close: () => Promise<void>): RememberingStore {
  const accounts = sqlAccounts(database)
  const sessions = sqlSessions(database)
  return {
    accounts,
    sessions,
    sessionsWithAccounts: sqlSessionsWithAccounts(database, sessions, accounts),
    keys: sqlTokens(database, 'upgate_keys'),
    devices: sqlTokens(database, 'upgate_devices'),
    revocations: sqlLog(database),
    pairings: sqlPairings(database),
    tickets: sqlTickets(database),
    acquaintances: sqlAcquaintances(database),
    secrets: sqlSecrets(database),
    close,
  }
}
