import { join } from 'node:path'
import { composeStores, type Logger, type Store } from 'upgate'
import { redisBus, redisFailures } from 'upgate/redis'
import { postgresBus, postgresStore, sqliteStore } from 'upgate/sql'
import type { RevocationBus } from 'upgate/store'
import type { AcquaintanceOptions } from 'upgate/ws'
import type { Config } from './config.ts'
import { prepareDataDir } from './data-dir.ts'
import { installationKey } from './installation-key.ts'
import { keyFromSettings, keyInFolder, type RemoteKey } from './remote/key.ts'
import { postgresRecords } from './remote/postgres-records.ts'
import type { RemoteRecords } from './remote/records.ts'
import { sqliteRecords } from './remote/sqlite-records.ts'

/** The store of the records, and the bus that announces revocations to other instances. */
export interface Storage {
  readonly store: Store
  /** Absent with a database file: the log in it is read every second. */
  readonly bus: RevocationBus | undefined
  /** Absent without a key: known addresses are then forgotten at the end of the process. */
  readonly acquaintances: AcquaintanceOptions | undefined
  /** The connection to another gateway, and the key of its secrets. */
  readonly remote: { readonly records: RemoteRecords; readonly key: RemoteKey }
  close(): Promise<void>
}

/**
 * Opens the store of the settings: a file in the data folder, or PostgreSQL. Redis, if it is set, announces
 * revocations and counts failed logins and wrong pairing codes for all instances.
 */
export async function openStorage(config: Config, logger: Logger): Promise<Storage> {
  const { database } = config
  if (database === undefined) {
    prepareDataDir(config.dataDir, { user: process.getuid?.(), warn: (sentence) => logger.warn(sentence) })
    const file = join(config.dataDir, 'gateway.db')
    const store = await sqliteStore({ file })
    const key = config.acquaintanceKey ?? installationKey(config.dataDir)
    const acquaintances = acquaintancesOf(store, key)
    const remote = {
      records: await sqliteRecords(file),
      key: config.remote.key === undefined ? keyInFolder(config.dataDir) : keyFromSettings(config.remote.key),
    }
    return { store, bus: undefined, acquaintances, remote, close: () => store.close() }
  }
  const { url: connectionString, redis } = database
  const records = await postgresStore({ connectionString })
  // None of these fails while the server is unreachable: they retry. Until then, instances read the log every second,
  // and each counts alone.
  const store =
    redis === undefined ? records : composeStores(records, { failures: await redisFailures({ url: redis }) })
  const bus = await (redis === undefined
    ? postgresBus({ connectionString, logger })
    : redisBus({ url: redis, logger }))
  const remote = {
    records: await postgresRecords(connectionString),
    key: keyFromSettings(config.remote.key),
  }
  return {
    store,
    bus,
    acquaintances: acquaintancesOf(store, config.acquaintanceKey),
    remote,
    async close() {
      await bus.close()
      await store.close()
    },
  }
}

/** Nodes that were accepted before a restart must stay known after it: a flood may keep unknown nodes out. */
function acquaintancesOf(
  { acquaintances: store }: Store,
  key: string | undefined,
): AcquaintanceOptions | undefined {
  return store === undefined || key === undefined ? undefined : { store, key }
}
