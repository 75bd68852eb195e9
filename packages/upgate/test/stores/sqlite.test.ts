import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import Libsql from 'libsql'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { sqliteStore } from '../../src/stores/sql/sqlite.ts'
import { type Compiled, compile } from './compiled.ts'
import { firstSchema } from './first-schema.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upgate-sqlite-'))
  file = join(folder, 'data', 'a.db')
})
afterEach(() => rm(folder, { recursive: true }))

describe('opening', () => {
  test.skipIf(process.platform === 'win32')('the files are readable for their owner alone', async () => {
    const store = await sqliteStore({ file })
    await store.accounts.any()
    for (const suffix of ['', '-wal', '-shm']) {
      expect((await stat(file + suffix)).mode & 0o777, suffix).toBe(0o600)
    }
    expect((await stat(join(folder, 'data'))).mode & 0o777).toBe(0o700)
    await store.close()
    await chmod(file, 0o644)
    await (await sqliteStore({ file })).close()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  test.skipIf(process.platform === 'win32')(
    'existing SQLite files become readable for their owner alone',
    async () => {
      const first = await sqliteStore({ file })
      for (const suffix of ['', '-wal', '-shm']) await chmod(file + suffix, 0o666)
      const second = await sqliteStore({ file })
      for (const suffix of ['', '-wal', '-shm']) {
        expect((await stat(file + suffix)).mode & 0o777, suffix).toBe(0o600)
      }
      await second.close()
      await first.close()
    },
  )

  test.each(['', '-wal', '-shm', '-journal'])(
    'a symbolic link is refused, and its target is not changed: %j',
    async (suffix) => {
      await (await sqliteStore({ file })).close()
      const elsewhere = join(folder, 'elsewhere')
      if (suffix === '') await rename(file, elsewhere)
      else await writeFile(elsewhere, '')
      await chmod(elsewhere, 0o640)
      await rm(file + suffix, { force: true })
      await symlink(elsewhere, file + suffix)
      await expect(sqliteStore({ file })).rejects.toThrow(
        new TypeError(
          `sqliteStore: \`file\`${suffix && ` with ${suffix}`} is a symbolic link; give the path of the database itself`,
        ),
      )
      if (process.platform !== 'win32') expect((await stat(elsewhere)).mode & 0o777).toBe(0o640)
    },
  )

  test('a dangling symbolic link is refused, and no file is created', async () => {
    await (await sqliteStore({ file: join(folder, 'data', 'b.db') })).close()
    await symlink(join(folder, 'planted'), file)
    await expect(sqliteStore({ file })).rejects.toThrow('`file` is a symbolic link')
    await expect(stat(join(folder, 'planted'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('records survive closing and reopening', async () => {
    const first = await sqliteStore({ file })
    await first.keys.add(key('k'))
    await first.close()
    const second = await sqliteStore({ file })
    expect((await second.keys.get('k'))?.name).toBe('k')
    await second.close()
  })

  test('a closed store leaves one file, which may be copied at once', async () => {
    const store = await sqliteStore({ file })
    await store.accounts.any()
    await store.close()
    expect(await readdir(dirname(file))).toEqual(['a.db'])
  })

  test('a store that closes leaves the log to another that is open', async () => {
    const first = await sqliteStore({ file })
    const second = await sqliteStore({ file })
    const log = async () => await second.revocations.head()
    await first.revocations.append([{ at: 1, selector: { credentialId: 'a' }, reason: 'revoked' }])
    await first.close()
    expect(await log()).toBe(1)
    await second.revocations.append([{ at: 1, selector: { credentialId: 'b' }, reason: 'revoked' }])
    expect(await log()).toBe(2)
    await second.close()
  })

  test('a database of a newer version is refused, and not changed', async () => {
    await (await sqliteStore({ file })).close()
    edit((db) => db.exec('update upgate_schema set version = 999'))
    await expect(sqliteStore({ file })).rejects.toMatchObject({
      name: 'StoreUnavailable',
      code: 'store_too_new',
      message: expect.stringContaining('schema version 999'),
    })
    edit((db) =>
      expect(db.prepare('select version from upgate_schema').get()).toMatchObject({ version: 999 }),
    )
  })

  test('a database of the first version is migrated with its records', async () => {
    const account = {
      id: 'a',
      version: 1,
      email: 'a@example.com',
      scopes: ['read'],
      roles: [],
      createdAt: 1,
      sessionGeneration: 1,
    }
    await mkdir(dirname(file))
    edit((db) => db.exec(firstSchema))
    const again = await sqliteStore({ file })
    expect(await again.accounts.get('a')).toMatchObject(account)
    expect(await again.accounts.replace({ ...account, version: 2, notBefore: 7 }, [])).toEqual([])
    expect((await again.accounts.get('a'))?.notBefore).toBe(7)
    await again.close()
  })

  test('a file that is no database is refused', async () => {
    const other = join(folder, 'notes.txt')
    await writeFile(other, 'not a database, but long enough to look like one '.repeat(100))
    await expect(sqliteStore({ file: other })).rejects.toMatchObject({ code: 'store_corrupt' })
  })

  test('a folder that cannot be created is a store that cannot answer', async () => {
    await writeFile(join(folder, 'data'), '')
    await expect(sqliteStore({ file })).rejects.toMatchObject({ code: 'store_unavailable' })
  })

  test('misconfiguration throws and names the option', async () => {
    await expect(sqliteStore({ file: '' })).rejects.toThrow(/`file`/)
    await expect(sqliteStore({ file: ':memory:' })).rejects.toThrow(/memoryStore/)
    await expect(sqliteStore({ file, busyTimeout: -1 })).rejects.toThrow(/`busyTimeout`/)
    await expect(sqliteStore({ file, path: '' } as never)).rejects.toThrow(/unknown option `path`/)
  })

  test('writes are durable: WAL, and every commit is synchronised', async () => {
    const store = await sqliteStore({ file })
    edit((db) => expect(db.prepare('pragma journal_mode').get()).toMatchObject({ journal_mode: 'wal' }))
    await store.close()
  })
})

describe('a missing package', () => {
  afterEach(() => {
    vi.doUnmock('libsql')
    vi.resetModules()
  })

  test('is named, with the command that installs it', async () => {
    vi.resetModules()
    vi.doMock('libsql', () => {
      throw new Error('Cannot find package')
    })
    const { sqliteStore: withoutDriver } = await import('../../src/stores/sql/sqlite.ts')
    await expect(withoutDriver({ file })).rejects.toThrow(
      /needs the package `libsql`.*npm install kysely libsql/,
    )
  })
})

describe('trouble', () => {
  test('a writer that does not finish causes `store_busy` after the time-out, and reads go on', async () => {
    const store = await sqliteStore({ file, busyTimeout: 100 })
    const other = new Libsql(file)
    other.exec('begin immediate')
    await expect(store.keys.add(key('k'))).rejects.toMatchObject({ code: 'store_busy' })
    expect(await store.keys.get('k')).toBeUndefined()
    other.exec('rollback')
    expect(await store.keys.add(key('k'))).toBe(true)
    other.close()
    await store.close()
  })

  // The driver leaves a prepared statement that found the lock taken half-run until it is collected. Every
  // commit after it failed with "SQL statements in progress", for seconds.
  test('a store that found the database locked writes as soon as it is free', async () => {
    const store = await sqliteStore({ file, busyTimeout: 0 })
    const other = new Libsql(file)
    await store.keys.add(key('k'))
    for (let version = 2; version < 12; version++) {
      other.exec('begin immediate')
      await expect(store.keys.add(key('x'))).rejects.toMatchObject({ code: 'store_busy' })
      await expect(store.keys.replace({ ...key('k'), version }, [])).rejects.toMatchObject({
        code: 'store_busy',
      })
      other.exec('commit')
      expect(await store.keys.replace({ ...key('k'), version }, [])).toEqual([])
    }
    other.close()
    await store.close()
  })

  test('waiting for a slow writer does not block this process', async () => {
    const store = await sqliteStore({ file })
    const other = new Libsql(file)
    other.exec('begin immediate')
    let ticks = 0
    const timer = setInterval(() => {
      ticks++
      if (ticks === 5) other.exec('rollback')
    }, 10)
    expect(await store.keys.add(key('k'))).toBe(true)
    clearInterval(timer)
    expect(ticks).toBeGreaterThanOrEqual(5)
    other.close()
    await store.close()
  })

  test('a damaged list of scopes is an error, not an empty list', async () => {
    const store = await sqliteStore({ file })
    await store.keys.add(key('k'))
    edit((db) => db.exec(`update upgate_keys set scopes = '"read write"'`))
    await expect(store.keys.get('k')).rejects.toMatchObject({ name: 'StoreUnavailable' })
    await store.close()
  })

  test('operations that began before closing finish', async () => {
    const store = await sqliteStore({ file })
    const adding = store.keys.add(key('k'))
    await store.close()
    expect(await adding).toBe(true)
    const again = await sqliteStore({ file })
    expect(await again.keys.get('k')).toBeDefined()
    await again.close()
  })
})

describe('several processes', () => {
  let compiled: Compiled
  beforeAll(async () => {
    compiled = await compile('sql.ts')
  })
  afterAll(() => compiled.remove())

  test('migrations are safe when processes start at once', async () => {
    const script = await compiled.script(
      'start.mjs',
      `import { sqliteStore } from './sql.js'
       const store = await sqliteStore({ file: process.argv[2] })
       const first = await store.accounts.addFirst({ id: 'p' + process.pid, version: 1,
         email: process.pid + '@example.com', scopes: [], roles: [], createdAt: 1, sessionGeneration: 1 })
       console.log(first)
       await store.close()`,
    )
    const outputs = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] })
        const [output, [code]] = await Promise.all([textOf(child), once(child, 'close')])
        expect(code).toBe(0)
        return output.trim()
      }),
    )
    expect(outputs.filter((output) => output === 'true')).toHaveLength(1)
    edit((db) => expect(db.prepare('select count(*) as n from upgate_schema').get()).toMatchObject({ n: 1 }))
  })

  // A clock's timers do not keep a process alive, and neither does a file.
  test('a process that only waits for the file does not end before the answer', async () => {
    const script = await compiled.script(
      'wait.mjs',
      `import { sqliteStore } from './sql.js'
       await sqliteStore({ file: process.argv[2], busyTimeout: 100 }).catch((error) => console.log(error.code))`,
    )
    await (await sqliteStore({ file })).close()
    const other = new Libsql(file)
    other.exec('begin immediate')
    const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [output, [code]] = await Promise.all([textOf(child), once(child, 'close')])
    expect(output).toBe('store_busy\n')
    expect(code).toBe(0)
    other.close()
  })

  test('kill -9 in the middle of writes loses nothing that was acknowledged, and leaves nothing half-written', async () => {
    const script = await compiled.script(
      'write.mjs',
      `import { writeSync } from 'node:fs'
       import { sqliteStore } from './sql.js'
       const [file, round] = process.argv.slice(2)
       const store = await sqliteStore({ file })
       for (let n = 0; ; n++) {
         const id = round + '-' + n
         const record = { id, version: 1, digest: id, name: id, scopes: ['a'], roles: [], createdAt: 1 }
         await store.keys.add(record)
         await store.keys.replace({ ...record, version: 2, revokedAt: 2 },
           [{ at: 2, selector: { credentialId: id }, reason: 'revoked' }])
         writeSync(1, id + '\\n')
       }`,
    )
    const acknowledged: string[] = []
    for (let round = 0; round < 5; round++) {
      const child = spawn(process.execPath, [script, file, `${round}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const output = textOf(child)
      await once(child.stdout as NonNullable<typeof child.stdout>, 'data')
      // A little later in the writes each time.
      await new Promise((resolve) => setTimeout(resolve, 10 + 17 * round))
      child.kill('SIGKILL')
      await once(child, 'close')
      // The kill may have cut the last line.
      acknowledged.push(...(await output).split('\n').slice(0, -1))
    }
    expect(acknowledged.length).toBeGreaterThan(5)
    const store = await sqliteStore({ file })
    const records = new Map((await store.keys.list()).map((record) => [record.id, record]))
    const log = await store.revocations.since(0, 1_000_000)
    const logged = new Set(log.map((entry) => entry.selector.credentialId))
    for (const id of acknowledged) {
      expect(records.get(id)?.revokedAt, id).toBe(2)
      expect(logged.has(id), id).toBe(true)
    }
    // A change and its announcement are one: every revoked record is in the log, and every entry has its
    // record.
    for (const record of records.values()) {
      expect(logged.has(record.id), record.id).toBe(record.revokedAt !== undefined)
    }
    expect(log.map((entry) => entry.sequence)).toEqual(log.map((_, n) => n + 1))
    edit((db) => expect(db.prepare('pragma integrity_check').get()).toMatchObject({ integrity_check: 'ok' }))
    await store.close()
  })

  test.skipIf(process.platform === 'win32')(
    'a full disk causes `store_full`, and acknowledged writes stay',
    async () => {
      await (await sqliteStore({ file })).close()
      const script = await compiled.script(
        'fill.mjs',
        `import { sqliteStore } from './sql.js'
         const store = await sqliteStore({ file: process.argv[2] })
         let n = 0
         try {
           for (; n < 10000; n++) {
             await store.keys.add({ id: 'k' + n, version: 1, digest: 'x'.repeat(500), name: 'k', scopes: [], roles: [], createdAt: 1 })
           }
         } catch (error) {
           const later = await store.keys.get('k0').then((record) => record?.id, (error) => error.code)
           console.log(JSON.stringify({ name: error.name, code: error.code, added: n, later }))
         }`,
      )
      // An ordinary user can simulate a full disk by a limit on the size of files.
      const child = spawn(
        'bash',
        ['-c', 'trap "" XFSZ; ulimit -f 600; exec "$0" "$@"', process.execPath, script, file],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      const output = await textOf(child)
      const result = JSON.parse(output) as { code: string; added: number }
      expect(result).toMatchObject({ name: 'StoreUnavailable', code: 'store_full', later: 'k0' })
      const store = await sqliteStore({ file })
      expect(await store.keys.list()).toHaveLength(result.added)
      await store.close()
    },
    60_000,
  )
})

function key(id: string) {
  return { id, version: 1, digest: id, name: id, scopes: ['read'], roles: [], createdAt: 1 }
}

function edit(change: (db: InstanceType<typeof Libsql>) => void): void {
  const db = new Libsql(file)
  try {
    change(db)
  } finally {
    db.close()
  }
}

async function textOf(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout?.setEncoding('utf8')
  for await (const chunk of child.stdout ?? []) text += chunk
  return text
}
