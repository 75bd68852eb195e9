/**
 * @typedef {'memory' | 'sqlite' | 'postgres' | 'redis' | 'redis-postgres'} StoreName
 * @typedef {'key' | 'session'} Kind
 */

/**
 * The stores, in the order of the page, and which credentials they keep.
 *
 * @type {Readonly<Record<StoreName, { name: string, kinds: readonly Kind[] }>>}
 */
export const names = {
  memory: { name: 'memory', kinds: ['key', 'session'] },
  sqlite: { name: 'SQLite file', kinds: ['key', 'session'] },
  postgres: { name: 'PostgreSQL', kinds: ['key', 'session'] },
  redis: { name: 'Redis, accounts in memory', kinds: ['session'] },
  'redis-postgres': { name: 'Redis, accounts in PostgreSQL', kinds: ['session'] },
}

/**
 * Stores that can be measured with the servers at hand.
 *
 * @param {{ postgres: boolean, redis: boolean }} servers
 */
export function available({ postgres, redis }) {
  const ids = /** @type {StoreName[]} */ (Object.keys(names))
  return ids.filter((id) => (postgres || !id.includes('postgres')) && (redis || !id.includes('redis')))
}
