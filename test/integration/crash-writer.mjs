// Revokes one device after another, and prints the acknowledged ones.
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isStoreUnavailable } from 'upgate'
import { postgresStore } from 'upgate/sql'

const [connectionString = '', schema = '', round = ''] = process.argv.slice(2)
const store = await postgresStore({ connectionString, schema, timeout: 60_000 })

/** @param {number} worker */
async function work(worker) {
  for (let n = 0; ; n++) {
    const id = `${round}-${worker}-${n}`
    const record = { id, version: 1, digest: id, name: id, scopes: ['a'], roles: [], createdAt: 1 }
    try {
      await store.devices.add(record)
      const draft = /** @type {const} */ ({ at: 2, selector: { credentialId: id }, reason: 'revoked' })
      const entries = await store.devices.replace({ ...record, version: 2, revokedAt: 2 }, [draft])
      writeSync(1, `done ${id} ${entries?.[0]?.sequence}\n`)
    } catch (error) {
      writeSync(1, `failed ${isStoreUnavailable(error) ? error.code : error}\n`)
      await sleep(20)
    }
  }
}
await Promise.all([0, 1, 2, 3].map(work))
