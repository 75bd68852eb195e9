import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { createClient } from 'redis'
import { composeStores, memoryStore } from 'upgate'
import { redisSessions } from 'upgate/redis'
import { postgresStore, sqliteStore } from 'upgate/sql'
import { postgresUrl, redisUrl } from '../machine.mjs'

/**
 * Where one run puts its records: a folder, a schema of its own, and keys of its own.
 *
 * @typedef {{ folder: string, schema: string, prefix: string }} Place
 */

/** @returns {Place} */
export function createPlace() {
  const name = `upgate_bench_${randomBytes(6).toString('hex')}`
  return { folder: mkdtempSync(join(tmpdir(), 'upgate-bench-')), schema: name, prefix: name }
}

/**
 * @param {import('./names.mjs').StoreName} id
 * @param {Place} place
 * @returns {Promise<import('upgate').Store>}
 */
export async function openStore(id, { folder, schema, prefix }) {
  const postgres = () =>
    postgresStore({ connectionString: postgresUrl, schema: `${schema}_${id.replace('-', '_')}` })
  const redis = () => redisSessions({ url: redisUrl, prefix: `${prefix}_${id}` })
  switch (id) {
    case 'memory':
      return memoryStore()
    case 'sqlite':
      return sqliteStore({ file: join(folder, 'gateway.db') })
    case 'postgres':
      return postgres()
    case 'redis':
      return composeStores(memoryStore(), { sessions: await redis() })
    case 'redis-postgres':
      return composeStores(await postgres(), { sessions: await redis() })
  }
}

/**
 * Removes all that was put there.
 *
 * @param {Place} place
 * @param {{ postgres: boolean, redis: boolean }} servers
 */
export async function clear({ folder, schema, prefix }, servers) {
  rmSync(folder, { recursive: true, force: true })
  if (servers.postgres) {
    const client = new pg.Client({ connectionString: postgresUrl })
    await client.connect()
    const { rows } = await client.query('select nspname from pg_namespace where nspname like $1', [
      `${schema}%`,
    ])
    for (const { nspname } of rows) await client.query(`drop schema "${nspname}" cascade`)
    await client.end()
  }
  if (servers.redis) {
    const client = createClient({ url: redisUrl })
    await client.connect()
    for await (const keys of client.scanIterator({ MATCH: `*${prefix}*`, COUNT: 1000 })) {
      if (keys.length > 0) await client.del(keys)
    }
    client.destroy()
  }
}
