/**
 * Stores and a bus in SQLite and PostgreSQL, by `kysely` with `libsql` or `pg`.
 *
 * @module
 */
export { type PostgresBusOptions, postgresBus } from './bus/postgres.ts'
export type { RememberingStore } from './core/ports/stores.ts'
export { type PostgresStoreOptions, postgresStore } from './stores/sql/postgres.ts'
export { type SqliteStoreOptions, sqliteStore } from './stores/sql/sqlite.ts'
