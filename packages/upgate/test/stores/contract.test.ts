import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import type { Store } from '../../src/core/ports/stores.ts'
import { createFailureTable } from '../../src/services/accounts/failures.ts'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { sqliteStore } from '../../src/stores/sql/sqlite.ts'
import { failureContract } from '../../src/testing/contracts/failure-contract.ts'
import { storeContract } from '../../src/testing/contracts/store-contract.ts'

storeContract(
  'memory',
  async () => {
    const store = memoryStore()
    return { connect: async () => store, dispose: () => store.close() }
  },
  test,
)

storeContract(
  'SQLite',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-contract-'))
    const stores: Store[] = []
    return {
      async connect() {
        const store = await sqliteStore({ file: join(folder, 'a.db') })
        stores.push(store)
        return store
      },
      async dispose() {
        await Promise.all(stores.map((store) => store.close()))
        await rm(folder, { recursive: true })
      },
    }
  },
  test,
)

failureContract(
  'memory',
  async (clock) => {
    const failures = createFailureTable({ clock, maxEntries: 100 })
    return { connect: async () => failures, dispose: async () => {} }
  },
  test,
)
