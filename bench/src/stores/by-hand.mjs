import { join } from 'node:path'
import Libsql from 'libsql'
import pg from 'pg'
import { createClient } from 'redis'
import { digest } from '../fixture.mjs'
import { postgresUrl, redisUrl } from '../machine.mjs'

/**
 * The same look-up by hand: one bare query by digest through the same driver, prepared once, and a look at the expiry.
 *
 * @typedef {object} ByHand
 * @property {(filled: import('./fill.mjs').Filled) => Promise<void>} put
 * @property {Record<import('./names.mjs').Kind, (token: string) => unknown>} find Returns the principal, or `undefined`
 * @property {() => Promise<void>} close
 */

/** A day from now: nothing expires during the measurement. */
const expiresAt = Date.now() + 86_400_000

const tables = [
  'create table hand_accounts (id text primary key, scopes text not null, disabled_at bigint)',
  'create table hand_keys (digest text primary key, id text not null, scopes text not null, expires_at bigint not null)',
  'create table hand_sessions (digest text primary key, account_id text not null references hand_accounts, expires_at bigint not null)',
]
const inserts = {
  account: ['insert into hand_accounts values (', ', ', ', null) on conflict do nothing'],
  key: ['insert into hand_keys values (', ', ', ', ', ', ', ')'],
  session: ['insert into hand_sessions values (', ', ', ', ', ')'],
}
const queries = {
  key: ['select id, scopes, expires_at from hand_keys where digest = ', ''],
  session: [
    'select a.id, a.scopes, s.expires_at from hand_sessions s join hand_accounts a on a.id = s.account_id where s.digest = ',
    ' and a.disabled_at is null',
  ],
}

/** A statement with the placeholders of its database. @param {readonly string[]} parts @param {boolean} numbered */
const statement = (parts, numbered) =>
  parts.reduce((text, part, i) => `${text}${numbered ? `$${i}` : '?'}${part}`)

/** @param {{ id: string, scopes: string, expires_at: number | string } | undefined} row */
const valid = (row) =>
  row !== undefined && Number(row.expires_at) > Date.now()
    ? { id: row.id, scopes: JSON.parse(row.scopes) }
    : undefined

/**
 * @param {import('./fill.mjs').Filled} filled
 * @param {(insert: keyof typeof inserts, values: unknown[]) => unknown} run
 */
async function insertAll({ keys, sessions }, run) {
  for (const { token, id, scopes } of keys) {
    await run('key', [digest(token), id, JSON.stringify(scopes), expiresAt])
  }
  for (const { token, id, scopes } of sessions) {
    await run('account', [id, JSON.stringify(scopes)])
    await run('session', [digest(token), id, expiresAt])
  }
}

/** @returns {ByHand} */
function inMemory() {
  /** @type {Map<string, { id: string, scopes: readonly string[], expiresAt: number }>} */
  const known = new Map()
  const find = (/** @type {string} */ token) => {
    const found = known.get(digest(token))
    return found !== undefined && found.expiresAt > Date.now() ? found : undefined
  }
  return {
    async put({ keys, sessions }) {
      for (const { token, id, scopes } of [...keys, ...sessions]) {
        known.set(digest(token), { id, scopes, expiresAt })
      }
    },
    find: { key: find, session: find },
    close: async () => {},
  }
}

/**
 * @param {string} file
 * @returns {ByHand}
 */
function inSqlite(file) {
  const database = new Libsql(file)
  database.exec('PRAGMA journal_mode = WAL')
  /** @param {readonly string[]} query */
  const finder = (query) => {
    /** @type {ReturnType<typeof database.prepare> | undefined} */
    let prepared
    return (/** @type {string} */ token) => {
      prepared ??= database.prepare(statement(query, false))
      return valid(/** @type {any} */ (prepared.get(digest(token))))
    }
  }
  return {
    async put(filled) {
      for (const table of tables) database.exec(table)
      database.exec('begin')
      await insertAll(filled, (insert, values) =>
        database.prepare(statement(inserts[insert], false)).run(...values),
      )
      database.exec('commit')
    },
    find: { key: finder(queries.key), session: finder(queries.session) },
    close: async () => {
      database.close()
    },
  }
}

/**
 * @param {string} schema
 * @returns {ByHand}
 */
function inPostgres(schema) {
  const pool = new pg.Pool({ connectionString: postgresUrl, max: 10, options: `-c search_path=${schema}` })
  const finder = (/** @type {'key' | 'session'} */ kind) => {
    const text = statement(queries[kind], true)
    return async (/** @type {string} */ token) => {
      const { rows } = await pool.query({ name: kind, text, values: [digest(token)] })
      return valid(rows[0])
    }
  }
  return {
    async put(filled) {
      await pool.query(`create schema ${schema}`)
      for (const table of tables) await pool.query(table)
      await insertAll(filled, (insert, values) => pool.query(statement(inserts[insert], true), values))
    },
    find: { key: finder('key'), session: finder('session') },
    close: () => pool.end(),
  }
}

/**
 * As session middleware keeps them: one string for each, which ends by itself.
 *
 * @param {string} prefix
 * @returns {Promise<ByHand>}
 */
async function inRedis(prefix) {
  const client = createClient({ url: redisUrl })
  await client.connect()
  const nobody = async () => undefined
  return {
    async put({ sessions }) {
      for (const { token, id, scopes } of sessions) {
        await client.set(`${prefix}:${digest(token)}`, JSON.stringify({ id, scopes, expiresAt }), {
          expiration: { type: 'EX', value: 86_400 },
        })
      }
    },
    find: {
      key: nobody,
      async session(token) {
        const text = await client.get(`${prefix}:${digest(token)}`)
        const session = text === null ? undefined : JSON.parse(text)
        return session !== undefined && session.expiresAt > Date.now() ? session : undefined
      },
    },
    close: async () => client.destroy(),
  }
}

/**
 * @param {import('./names.mjs').StoreName} id
 * @param {import('./place.mjs').Place} place
 * @returns {Promise<ByHand>}
 */
export async function openByHand(id, { folder, schema, prefix }) {
  switch (id) {
    case 'memory':
      return inMemory()
    case 'sqlite':
      return inSqlite(join(folder, 'hand.db'))
    case 'postgres':
      return inPostgres(`${schema}_hand`)
    case 'redis':
    case 'redis-postgres':
      return inRedis(`${prefix}_hand_${id}`)
  }
}
