import { join } from 'node:path'
import { composeStores, type Logger, type RevocationBus, type Store } from 'upgate'
import { redisBus, redisFailures } from 'upgate/redis'
import { postgresBus, postgresStore, sqliteStore } from 'upgate/sql'
import type { AcquaintanceOptions } from 'upgate/ws'
import type { Config } from './config.ts'
import { prepareDataDir } from './data-dir.ts'
import { installationKey } from './installation-key.ts'

/** Where records live, and how instances tell each other what was revoked. */
export interface Storage {
  readonly store: Store
  /** Absent on one machine: the log in the database is read every second. */
  readonly bus: RevocationBus | undefined
  /** Absent without a key: addresses are known until the end of this process. */
  readonly acquaintances: AcquaintanceOptions | undefined
  close(): Promise<void>
}

/**
 * Opens what the settings name: a file in the data folder, or PostgreSQL. Redis, where there is one, tells of
 * revocations and counts failed logins and wrong pairing codes for all instances.
 */
export async function openStorage(config: Config, logger: Logger): Promise<Storage> {
  const { database } = config
  if (database === undefined) {
    prepareDataDir(config.dataDir, { user: process.getuid?.(), warn: (sentence) => logger.warn(sentence) })
    const store = await sqliteStore({ file: join(config.dataDir, 'gateway.db') })
    const key = config.acquaintanceKey ?? installationKey(config.dataDir)
    const acquaintances = acquaintancesOf(store, key)
    return { store, bus: undefined, acquaintances, close: () => store.close() }
  }
  const { url: connectionString, redis } = database
  const records = await postgresStore({ connectionString })
  // None of these fails where the server is away: it is tried again. Meanwhile the log is read, and each instance
  // counts for itself.
  const store =
    redis === undefined ? records : composeStores(records, { failures: await redisFailures({ url: redis }) })
  const bus = await (redis === undefined
    ? postgresBus({ connectionString, logger })
    : redisBus({ url: redis, logger }))
  return {
    store,
    bus,
    acquaintances: acquaintancesOf(store, config.acquaintanceKey),
    async close() {
      await bus.close()
      await store.close()
    },
  }
}

/** Nodes that were accepted before a restart must not be strangers after it: those a flood may keep out. */
function acquaintancesOf(
  { acquaintances: store }: Store,
  key: string | undefined,
): AcquaintanceOptions | undefined {
  return store === undefined || key === undefined ? undefined : { store, key }
}
