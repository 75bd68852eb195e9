export { type PostgresBusOptions, postgresBus } from './bus/postgres.ts'
export type { RememberingStore } from './core/ports/stores.ts'
export { type PostgresStoreOptions, postgresStore } from './stores/postgres.ts'
export { type SqliteStoreOptions, sqliteStore } from './stores/sqlite.ts'
