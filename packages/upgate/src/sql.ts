/**
 * Stores in SQLite and PostgreSQL, and a bus over PostgreSQL. Needs the package `kysely`, with `libsql` or `pg`.
 *
 * @example
 * import { createServices } from 'upgate'
 * import { sqliteStore } from 'upgate/sql'
 *
 * const services = createServices({ store: await sqliteStore({ file: './data/gateway.db' }) })
 *
 * @module
 */
export { type PostgresBusOptions, postgresBus } from './bus/postgres.ts'
export type { RememberingStore } from './core/ports/stores.ts'
export { type PostgresStoreOptions, postgresStore } from './stores/sql/postgres.ts'
export { type SqliteStoreOptions, sqliteStore } from './stores/sql/sqlite.ts'
