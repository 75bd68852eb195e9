import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import Libsql from 'libsql'
import { createServices, memoryStore } from 'upgate'
import { sqliteStore } from 'upgate/sql'

/**
 * Keys of which the tokens are known, and their records as the services make them.
 *
 * @param {number} count
 * @returns {Promise<{ tokens: string[], records: Awaited<ReturnType<import('upgate').Store['keys']['list']>> }>}
 */
export async function createKeys(count) {
  const store = memoryStore()
  const services = createServices({ store })
  /** @type {string[]} */
  const tokens = []
  for (let i = 0; i < count; i++) {
    const { token } = await services.keys.create({ name: `key ${i}`, scopes: ['items.read', 'items.write'] })
    tokens.push(token)
  }
  await services.close()
  return { tokens, records: await store.keys.list() }
}

/**
 * Fills a store in memory through its port: keys of which the tokens are known, spread among others.
 *
 * @param {number} size
 * @param {number} known
 */
export async function fillMemory(size, known) {
  const { tokens, records } = await createKeys(Math.min(size, known))
  const template = records[0]
  if (template === undefined) throw new Error('no keys')
  const store = memoryStore()
  const stride = Math.floor(size / records.length)
  for (let i = 0; i < size; i++) {
    const own = i % stride === 0 ? records[i / stride] : undefined
    // Records without a token: their id and digest look like the others.
    const id = i.toString(36).padStart(12, '0')
    await store.keys.add(own ?? { ...template, id, digest: id.padEnd(43, 'x') })
  }
  return { store, tokens }
}

/**
 * Fills a SQLite file: known keys through the port, the others as copies of the first within the database, since a
 * transaction each would take an hour. Writes the tokens into a second file.
 *
 * @param {string} file
 * @param {number} size
 * @param {number} known
 */
export async function fillSqlite(file, size, known) {
  mkdirSync(dirname(file), { recursive: true })
  const { tokens, records } = await createKeys(Math.min(size, known))
  const store = await sqliteStore({ file })
  for (const record of records) await store.keys.add(record)
  await store.close()
  writeFileSync(`${file}.json`, JSON.stringify(tokens))

  const database = new Libsql(file)
  database.exec('pragma synchronous = off; pragma cache_size = -262144')
  const stride = Math.floor(size / records.length)
  if (stride > 1) {
    const columns = /** @type {{ name: string }[]} */ (
      database.prepare('pragma table_info(upgate_keys)').all()
    )
    const values = { seq: 'numbers.n', id: 'lower(hex(randomblob(6)))', digest: 'hex(randomblob(22))' }
    const selected = columns.map(
      ({ name }) => /** @type {Record<string, string>} */ (values)[name] ?? `template.${name}`,
    )
    // Known keys are spread over the whole table: each look-up is far from the one before.
    database.exec(`
      begin;
      update upgate_keys set seq = -seq * ${stride};
      update upgate_keys set seq = -seq;
      create temp table template as select * from upgate_keys limit 1;
      insert into upgate_keys (${columns.map(({ name }) => name).join(', ')})
        with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ${records.length * stride})
        select ${selected.join(', ')} from numbers, template where numbers.n % ${stride} <> 0;
      commit`)
  }
  const { count } = /** @type {{ count: number }} */ (
    database.prepare('select count(*) as count from upgate_keys').get()
  )
  database.exec('pragma wal_checkpoint(truncate)')
  database.close()
  if (count !== size) throw new Error(`${file} holds ${count} keys instead of ${size}`)
}
