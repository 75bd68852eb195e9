import { join } from 'node:path'
import type { Logger, RevocationBus, Store } from 'upgate'
import { redisBus } from 'upgate/redis'
import { postgresBus, postgresStore, sqliteStore } from 'upgate/sql'
import type { Config } from './config.ts'
import { prepareDataDir } from './data-dir.ts'

/** Where records live, and how instances tell each other what was revoked. */
export interface Storage {
  readonly store: Store
  /** Absent on one machine: the log in the database is read every second. */
  readonly bus: RevocationBus | undefined
  close(): Promise<void>
}

/** Opens what the settings name: a file in the data folder, or PostgreSQL with its own bus or that of Redis. */
export async function openStorage(config: Config, logger: Logger): Promise<Storage> {
  const { database } = config
  if (database === undefined) {
    prepareDataDir(config.dataDir)
    const store = await sqliteStore({ file: join(config.dataDir, 'gateway.db') })
    return { store, bus: undefined, close: () => store.close() }
  }
  const { url: connectionString, redis } = database
  const store = await postgresStore({ connectionString })
  // Neither fails where the server is away: it is tried again, and meanwhile the log is read.
  const bus = await (redis === undefined
    ? postgresBus({ connectionString, logger })
    : redisBus({ url: redis, logger }))
  return {
    store,
    bus,
    async close() {
      await bus.close()
      await store.close()
    },
  }
}
