// Needs Debian's postgresql, as a program: it starts a private server, and kills it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { postgresStore } from 'upgate/sql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canStart, type PrivateService, privatePostgres } from './private-services.ts'
import { patience, uniqueName } from './services.ts'

const program = fileURLToPath(new URL('crash-writer.mjs', import.meta.url))

describe.skipIf(!canStart('postgres'))('kill -9 in the middle of writes', () => {
  let postgres: PrivateService
  beforeAll(async () => {
    postgres = await privatePostgres()
  })
  afterAll(() => postgres?.dispose())

  /** Backends that serve the writers. */
  async function serving(): Promise<number[]> {
    const client = new pg.Client({ connectionString: postgres.url, connectionTimeoutMillis: patience })
    client.on('error', () => {})
    await client.connect()
    const sql = `select pid from pg_stat_activity where application_name = 'upgate'`
    const { rows } = await client.query<{ pid: number }>(sql)
    await client.end()
    const ours = postgres.processes()
    return rows.map(({ pid }) => pid).filter((pid) => ours.includes(pid))
  }

  const kills: Record<string, () => Promise<void>> = {
    async 'a process of the database'() {
      const [one] = await serving()
      if (one === undefined) throw new Error('No process of the database serves a writer.')
      // The server ends all backends with it, because their shared memory may be damaged.
      process.kill(one, 'SIGKILL')
    },
    async 'the whole database'() {
      // Stopped first, so that the server cannot notice the end of its children and clean up.
      const [first] = postgres.processes()
      if (first === undefined) throw new Error('The database does not run.')
      process.kill(first, 'SIGSTOP')
      for (const pid of postgres.processes().slice(1)) process.kill(pid, 'SIGKILL')
      await postgres.stop('kill')
      await postgres.start()
    },
  }

  for (const [what, kill] of Object.entries(kills)) {
    test(`of ${what}: acknowledged writes are there, and no partial ones`, async () => {
      const schema = uniqueName()
      const said: string[] = []
      const writers: ChildProcess[] = []
      try {
        for (const round of ['a', 'b']) {
          const writer = spawn(process.execPath, [program, postgres.url, schema, round], {
            stdio: ['ignore', 'pipe', 'inherit'],
          })
          writers.push(writer)
          let text = ''
          writer.stdout.setEncoding('utf8').on('data', (more: string) => {
            text += more
            const lines = text.split('\n')
            text = lines.pop() ?? ''
            said.push(...lines)
          })
        }
        const done = () => said.filter((line) => line.startsWith('done'))
        for (let round = 0; round < 3; round++) {
          const before = done().length
          await expect.poll(() => done().length, { timeout: patience }).toBeGreaterThan(before + 20)
          await kill()
        }
        // The writers continue by themselves.
        const before = done().length
        await expect.poll(() => done().length, { timeout: patience }).toBeGreaterThan(before + 20)
      } finally {
        for (const writer of writers) {
          const exit = once(writer, 'close')
          writer.kill('SIGKILL')
          await exit
        }
      }
      const failures = new Set(said.filter((line) => line.startsWith('failed')))
      expect([...failures].filter((line) => !/^failed store_(unavailable|busy)$/.test(line))).toEqual([])
      expect(failures.size).toBeGreaterThan(0)

      const store = await postgresStore({ connectionString: postgres.url, schema })
      const records = new Map((await store.devices.list()).map((record) => [record.id, record]))
      const log = await store.revocations.since(0, 1_000_000)
      await store.close()
      const logged = new Map(log.map((entry) => [entry.selector.credentialId, entry.sequence]))
      for (const line of said.filter((line) => line.startsWith('done'))) {
        const [, id = '', sequence] = line.split(' ')
        expect(records.get(id)?.revokedAt, id).toBe(2)
        expect(logged.get(id), id).toBe(Number(sequence))
      }
      for (const { id, revokedAt } of records.values()) {
        expect(logged.has(id), id).toBe(revokedAt !== undefined)
      }
      // Without gaps: a reader would take a gap for a loss, and all clients would have to prove themselves
      // again.
      expect(log.map(({ sequence }) => sequence)).toEqual(log.map((_, n) => n + 1))
    })
  }
})
