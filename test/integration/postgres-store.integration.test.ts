// Needs PostgreSQL.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import pg from 'pg'
import type { Store } from 'upgate'
import { postgresStore } from 'upgate/sql'
import { storeContract } from 'upgate/store'
import { manualClock } from 'upgate/testing'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { compile } from '../../packages/upgate/test/stores/compiled.ts'
import {
  administer,
  dropSchema,
  patience,
  postgresAnswers,
  postgresUrl,
  sharedSchema,
  uniqueName,
} from './services.ts'

const account = {
  id: 'a',
  version: 1,
  email: 'ada@example.com',
  scopes: [],
  roles: [],
  createdAt: 1,
  sessionGeneration: 1,
}
const key = { id: 'k', version: 1, digest: 'd', name: 'k', scopes: ['read'], roles: [], createdAt: 1 }
const draft = { at: 1, selector: { credentialId: 'k' }, reason: 'revoked' } as const

describe.skipIf(!(await postgresAnswers()))('PostgreSQL', () => {
  const shared = sharedSchema()
  afterAll(() => shared.drop())
  storeContract(
    'PostgreSQL',
    async () => {
      const stores: Store[] = []
      return {
        async connect() {
          const store = await postgresStore({
            connectionString: postgresUrl,
            schema: shared.name,
            maxConnections: 4,
            timeout: patience,
          })
          stores.push(store)
          return store
        },
        async dispose() {
          await Promise.all(stores.map((store) => store.close()))
          await shared.empty()
        },
      }
    },
    test,
  )

  describe('in detail', () => {
    let schema: string
    const stores: Store[] = []
    beforeEach(() => {
      schema = uniqueName()
    })
    afterEach(async () => {
      await Promise.all(stores.splice(0).map((store) => store.close()))
      await dropSchema(schema)
    })
    async function open(options: Partial<Parameters<typeof postgresStore>[0]> = {}): Promise<Store> {
      const where = options.pool === undefined ? { connectionString: postgresUrl } : {}
      const store = await postgresStore({
        ...where,
        schema,
        maxConnections: 4,
        timeout: patience,
        ...options,
      })
      stores.push(store)
      return store
    }
    const backends = (): Promise<Record<string, unknown>[]> =>
      // Backends that last used this test's tables: others use the server at the same time.
      administer(
        `select pid from pg_stat_activity
         where pid <> pg_backend_pid() and (query like $1 or application_name = $2)`,
        [`%${schema}%`, schema],
      )

    test('instances that start at once migrate once, and agree', async () => {
      const started = await Promise.all(Array.from({ length: 6 }, () => open({ maxConnections: 1 })))
      await started[0]?.keys.add(key)
      for (const store of started) expect((await store.keys.get('k'))?.name).toBe('k')
      expect(await administer(`select version from ${schema}.upgate_schema`)).toEqual([
        { version: expect.any(Number) },
      ])
    })

    test('a database of a newer version is refused, and not changed', async () => {
      await open()
      await administer(`update ${schema}.upgate_schema set version = 999`)
      await expect(open()).rejects.toMatchObject({ code: 'store_too_new' })
      expect(await administer(`select version from ${schema}.upgate_schema`)).toEqual([{ version: 999 }])
    })

    test('an instance may run as a database user that cannot create tables', async () => {
      await open()
      const role = `${schema}_app`
      await administer(`create role ${role} login`)
      try {
        await administer(`grant usage on schema ${schema} to ${role}`)
        await administer(`grant select, insert, update, delete on all tables in schema ${schema} to ${role}`)
        const url = new URL(postgresUrl)
        url.username = role
        const store = await open({ connectionString: url.href })
        await store.keys.add(key)
        expect(await store.keys.replace({ ...key, version: 2 }, [draft])).toHaveLength(1)
        await store.close()
      } finally {
        await administer(`drop owned by ${role}`)
        await administer(`drop role ${role}`)
      }
    })

    test('without a `schema` it uses the search path', async () => {
      await administer(`create schema ${schema}`)
      const pool = new pg.Pool({ connectionString: postgresUrl, options: `-c search_path=${schema}` })
      const store = await postgresStore({ pool })
      await store.keys.add(key)
      expect(await administer(`select id from ${schema}.upgate_keys`)).toEqual([{ id: 'k' }])
      await store.close()
      // The pool belongs to the test, and is still usable.
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      await pool.end()
    })

    test('numbers of the log become visible in order, whichever transaction commits first', async () => {
      const store = await open()
      const other = await open()
      await store.accounts.add(account)
      for (let n = 0; n < 60; n++) {
        const record = { ...key, accountId: 'a', generation: 1, lastSeenAt: 1, expiresAt: 9, id: `${n}` }
        await store.sessions.add(record, 100)
      }
      let done = false
      const removing = Promise.all(
        Array.from({ length: 60 }, (_, n) => (n % 2 ? store : other).sessions.remove(`${n}`, draft)),
      ).finally(() => {
        done = true
      })
      let known = 0
      while (!done || known < 60) {
        for (const { sequence } of await other.revocations.since(known, 500)) {
          // A reader that continues from its last number misses no entry.
          expect(sequence).toBe(known + 1)
          known = sequence
        }
      }
      expect((await removing).map((entry) => entry?.sequence).sort((a, b) => Number(a) - Number(b))).toEqual(
        Array.from({ length: 60 }, (_, n) => n + 1),
      )
    })

    test('a transaction that fails leaves no gap in the log', async () => {
      const store = await open()
      await store.keys.add(key)
      await store.keys.replace({ ...key, version: 2 }, [draft])
      await administer(`alter table ${schema}.upgate_revocations add constraint no check (sequence <> 2)`)
      await expect(store.keys.replace({ ...key, version: 3 }, [draft])).rejects.toMatchObject({
        name: 'StoreUnavailable',
      })
      expect((await store.keys.get('k'))?.version).toBe(2)
      await administer(`alter table ${schema}.upgate_revocations drop constraint no`)
      expect(await store.keys.replace({ ...key, version: 3 }, [draft])).toMatchObject([{ sequence: 2 }])
    })

    test('a strict default isolation of the database is overruled', async () => {
      const strict = new pg.Pool({
        connectionString: postgresUrl,
        options: '-c default_transaction_isolation=serializable',
      })
      const store = await open({ pool: strict })
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          store.accounts.addFirst({ ...account, id: `${n}`, email: `${n}@example.com` }),
        ),
      )
      expect(answers.filter(Boolean)).toHaveLength(1)
      await store.close()
      await strict.end()
    })

    test('a database that answers slowly is unavailable within the bound, and usable afterwards', async () => {
      const clock = manualClock()
      const store = await open({ timeout: 20_000, clock })
      await store.keys.add(key)
      const blocker = new pg.Client({ connectionString: postgresUrl })
      await blocker.connect()
      await blocker.query(`begin; lock table ${schema}.upgate_keys in access exclusive mode`)
      let settled = false
      const answer = store.keys.get('k').finally(() => {
        settled = true
      })
      clock.advance(19_999)
      await administer('select 1')
      expect(settled).toBe(false)
      clock.advance(1)
      await expect(answer).rejects.toMatchObject({
        code: 'store_unavailable',
        message: 'The database did not answer in time.',
      })
      await blocker.query('rollback')
      await blocker.end()
      expect((await store.keys.get('k'))?.name).toBe('k')
    })

    test('more callers than connections wait no longer than the bound', async () => {
      const clock = manualClock()
      const store = await open({ timeout: 20_000, maxConnections: 1, clock })
      await store.keys.add(key)
      const blocker = new pg.Client({ connectionString: postgresUrl })
      await blocker.connect()
      await blocker.query(`begin; lock table ${schema}.upgate_keys in access exclusive mode`)
      const asked = Promise.allSettled([1, 2, 3, 4].map(() => store.keys.get('k')))
      clock.advance(20_000)
      const answers = await asked
      expect(answers.map(({ status }) => status)).toEqual(Array(4).fill('rejected'))
      await blocker.query('rollback')
      await blocker.end()
      await expect.poll(() => store.keys.get('k')).toBeDefined()
    })

    test('connections that the server ends are replaced, idle ones and used ones', async () => {
      const pool = new pg.Pool({ connectionString: postgresUrl, max: 2, application_name: schema })
      const store = await open({ pool })
      await store.keys.add(key)
      for (const { pid } of await backends()) await administer('select pg_terminate_backend($1)', [pid])
      // The first query may still get a connection that is about to end; it must reject with
      // StoreUnavailable.
      const answer = await store.keys.get('k').catch((error: unknown) => error)
      if (answer instanceof Error) expect(answer).toMatchObject({ name: 'StoreUnavailable' })
      await expect.poll(async () => (await store.keys.get('k'))?.name).toBe('k')

      const blocker = new pg.Client({ connectionString: postgresUrl })
      await blocker.connect()
      await blocker.query(`begin; lock table ${schema}.upgate_keys in access exclusive mode`)
      const waiting = store.keys.replace({ ...key, version: 2 }, [draft]).catch((error: unknown) => error)
      await expect
        .poll(async () => {
          const stuck = await administer(
            `select pg_terminate_backend(pid) from pg_stat_activity
             where application_name = $1 and wait_event_type = 'Lock'`,
            [schema],
          )
          return stuck.length
        })
        .toBe(1)
      expect(await waiting).toMatchObject({ name: 'StoreUnavailable', code: 'store_unavailable' })
      await blocker.query('rollback')
      await blocker.end()
      expect((await store.keys.get('k'))?.version).toBe(1)
      expect(await store.revocations.head()).toBe(0)
      await store.close()
      await pool.end()
    })

    test('a full disk causes `store_full`, and no partial write stays', async () => {
      const store = await open()
      await store.keys.add(key)
      // The server's own error (disk_full), in the second statement of the transaction.
      await administer(
        `create function ${schema}.no_room() returns trigger language plpgsql as
         $$ begin raise exception 'could not extend file' using errcode = '53100'; end $$`,
      )
      await administer(
        `create trigger no_room before insert on ${schema}.upgate_revocations execute function ${schema}.no_room()`,
      )
      await expect(store.keys.replace({ ...key, version: 2, revokedAt: 2 }, [draft])).rejects.toMatchObject({
        code: 'store_full',
        message: 'The database cannot be written: the disk is full.',
      })
      expect((await store.keys.get('k'))?.revokedAt).toBeUndefined()
      await administer(`drop trigger no_room on ${schema}.upgate_revocations`)
      expect(await store.keys.replace({ ...key, version: 2, revokedAt: 2 }, [draft])).toHaveLength(1)
    })

    test('a transaction that the database rolled back because of others is repeated', async () => {
      const store = await open()
      await store.keys.add(key)
      await administer(`create sequence ${schema}.tries`)
      await administer(
        `create function ${schema}.deadlock() returns trigger language plpgsql as
         $$ begin
           if nextval('${schema}.tries') < 3 then raise exception 'deadlock' using errcode = '40P01'; end if;
           return null;
         end $$`,
      )
      await administer(
        `create trigger deadlock after update on ${schema}.upgate_keys execute function ${schema}.deadlock()`,
      )
      expect(await store.keys.replace({ ...key, version: 2 }, [draft])).toMatchObject([{ sequence: 1 }])
    })

    test('kill -9 in the middle of writes loses nothing that was acknowledged, and leaves nothing half-written', async () => {
      const compiled = await compile('sql.ts')
      try {
        const script = await compiled.script(
          'write.mjs',
          `import { writeSync } from 'node:fs'
           import { postgresStore } from './sql.js'
           const [connectionString, schema, round] = process.argv.slice(2)
           const store = await postgresStore({ connectionString, schema, timeout: 60_000 })
           await Promise.all([0, 1, 2].map(async (worker) => {
             for (let n = 0; ; n++) {
               const id = round + '-' + worker + '-' + n
               const record = { id, version: 1, digest: id, name: id, scopes: ['a'], roles: [], createdAt: 1 }
               await store.keys.add(record)
               await store.keys.replace({ ...record, version: 2, revokedAt: 2 },
                 [{ at: 2, selector: { credentialId: id }, reason: 'revoked' }])
               writeSync(1, id + '\\n')
             }
           }))`,
        )
        const acknowledged: string[] = []
        for (let round = 0; round < 4; round++) {
          const child = spawn(process.execPath, [script, postgresUrl, schema, `${round}`], {
            stdio: ['ignore', 'pipe', 'inherit'],
          })
          let output = ''
          child.stdout.setEncoding('utf8').on('data', (text: string) => {
            output += text
          })
          await once(child.stdout, 'data')
          // A little later in the writes each time.
          await new Promise((resolve) => setTimeout(resolve, 10 + 17 * round))
          child.kill('SIGKILL')
          await once(child, 'close')
          acknowledged.push(...output.split('\n').slice(0, -1))
        }
        expect(acknowledged.length).toBeGreaterThanOrEqual(4)
        const store = await open()
        const records = new Map((await store.keys.list()).map((record) => [record.id, record]))
        const log = await store.revocations.since(0, 1_000_000)
        const logged = new Set(log.map((entry) => entry.selector.credentialId))
        for (const id of acknowledged) {
          expect(records.get(id)?.revokedAt, id).toBe(2)
          expect(logged.has(id), id).toBe(true)
        }
        for (const record of records.values()) {
          expect(logged.has(record.id), record.id).toBe(record.revokedAt !== undefined)
        }
        expect(log.map((entry) => entry.sequence)).toEqual(log.map((_, n) => n + 1))
      } finally {
        await compiled.remove()
      }
    })

    test('text that the database cannot hold matches no record, and is no failure', async () => {
      const store = await open()
      expect(await store.keys.get('k\0')).toBeUndefined()
      expect(await store.accounts.byEmail('\0')).toBeUndefined()
    })

    test('an unreachable server is unavailable', async () => {
      const connectionString = 'postgres://postgres@127.0.0.1:1/test'
      await expect(postgresStore({ connectionString, timeout: 1000 })).rejects.toMatchObject({
        name: 'StoreUnavailable',
        code: 'store_unavailable',
      })
    })

    test('the message of an error holds no value and no password', async () => {
      const url = new URL(postgresUrl)
      url.username = 'nobody_of_that_name'
      url.password = 'hunter2-hunter2'
      url.pathname = '/no_such_database'
      const error: unknown = await postgresStore({ connectionString: url.href }).catch((error) => error)
      expect(error).toMatchObject({ name: 'StoreUnavailable' })
      expect(String(error)).not.toContain('hunter2')
    })
  })
})

test('misconfiguration throws and names the option', async () => {
  await expect(postgresStore({})).rejects.toThrow(/`connectionString` or `pool`/)
  await expect(postgresStore({ connectionString: 'mysql://x' })).rejects.toThrow(/`connectionString`/)
  const connectionString = postgresUrl
  await expect(postgresStore({ connectionString, schema: 'a"b' })).rejects.toThrow(/`schema`/)
  await expect(postgresStore({ connectionString, timeout: 1 })).rejects.toThrow(/`timeout`/)
  await expect(postgresStore({ connectionString, maxConnections: 0 })).rejects.toThrow(/`maxConnections`/)
  await expect(postgresStore({ url: '' } as never)).rejects.toThrow(/unknown option `url`/)
})
