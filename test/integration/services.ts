import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { createClient } from 'redis'

export const postgresUrl: string =
  process.env.UPGATE_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test'
/** A time-out that a busy machine does not reach, for tests about anything else, in milliseconds. */
export const patience = 60_000
export const redisUrl: string = process.env.UPGATE_REDIS_URL ?? 'redis://127.0.0.1:6379'

/** The address of a database of the server, by default that of the variable. */
export function databaseUrl(name?: string): string {
  const url = new URL(postgresUrl)
  if (name !== undefined) url.pathname = `/${name}`
  return url.href
}

/**
 * Whether a service answers, for `describe.skipIf`; prints a note if not.
 *
 * @throws Error if it does not answer although its variable is set, as in CI: no test is skipped there
 */
async function answers(what: string, variable: string, ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch (error) {
    const required = process.env[variable] ?? ''
    if (required !== '' && required !== '0') {
      throw new Error(`${what} does not answer, and ${variable} is set.`, { cause: error })
    }
    console.warn(`Left out: ${what} does not answer (${error instanceof Error ? error.message : error}).`)
    return false
  }
}

export function postgresAnswers(): Promise<boolean> {
  return answers('PostgreSQL', 'UPGATE_REQUIRE_POSTGRES', () => administer('select 1'))
}

export function redisAnswers(): Promise<boolean> {
  return answers('Redis', 'UPGATE_REQUIRE_REDIS', async () => {
    const client = createClient({
      url: redisUrl,
      socket: { connectTimeout: 10_000, reconnectStrategy: false },
    })
    client.on('error', () => {})
    await client.connect()
    await client.ping()
    client.destroy()
  })
}

/** Runs one statement on a separate connection, in the database of the variable unless another one is named. */
export async function administer(
  sql: string,
  parameters: unknown[] = [],
  database?: string,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: databaseUrl(database), connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql, parameters)).rows
  } finally {
    await client.end()
  }
}

/** A unique name for the objects of one test in a service that others use too. */
export function uniqueName(): string {
  return `upgate_test_${randomBytes(6).toString('hex')}`
}

export async function dropSchema(schema: string): Promise<void> {
  await administer(`drop schema if exists ${schema} cascade`)
}

/** A schema that tests use one after the other: to make the tables takes longer than most tests of a store. */
export interface SharedSchema {
  readonly name: string
  /** Removes every record. */
  empty(): Promise<void>
  drop(): Promise<void>
}

export function sharedSchema(): SharedSchema {
  const name = uniqueName()
  let connected: Promise<pg.Client> | undefined
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: postgresUrl, connectionTimeoutMillis: 10_000 })
    client.on('error', () => {})
    await client.connect()
    // References between the tables do not matter where all are emptied.
    await client.query('set session_replication_role = replica')
    return client
  }
  return {
    name,
    async empty() {
      connected ??= connect()
      const client = await connected
      const { rows } = await client.query(
        "select tablename from pg_tables where schemaname = $1 and tablename <> 'upgate_schema'",
        [name],
      )
      await client.query(rows.map(({ tablename }) => `delete from ${name}.${tablename}`).join(';'))
    },
    async drop() {
      await (await connected)?.end()
      await dropSchema(name)
    },
  }
}
