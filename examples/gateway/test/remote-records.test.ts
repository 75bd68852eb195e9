import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Transport } from '@upgate/client'
import Libsql from 'libsql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keyInFolder } from '../src/remote/key.ts'
import { createRemote, type Remote } from '../src/remote/remote.ts'
import { sqliteRecords } from '../src/remote/sqlite-records.ts'

/* The stored connection, and a database that another program has written. */

const none = { token: undefined, sessionKey: undefined, cfClientId: undefined, cfClientSecret: undefined }
let folder: string
let file: string
let opened: string[]
let logged: string[]
let running: Remote[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'upgate-remote-'))
  file = join(folder, 'gateway.db')
  opened = []
  logged = []
  running = []
})
afterEach(async () => {
  for (const remote of running) await remote.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Notes where a connection would go, and stays silent. */
const transport: Transport = {
  sendsHeaders: true,
  open(request) {
    opened.push(request.url)
    return { send() {}, close() {}, terminate() {} }
  },
}

async function open(): Promise<Remote> {
  const remote = createRemote({
    records: await sqliteRecords(file),
    key: keyInFolder(folder),
    transport,
    clock: undefined,
    now: Date.now,
    name: 'here',
    log: (message) => logged.push(message),
    changed() {},
    stepped() {},
  })
  running.push(remote)
  await remote.start()
  return remote
}

async function end(): Promise<void> {
  for (const remote of running.splice(0)) await remote.close()
}

const set = (remote: Remote) =>
  remote.set(
    { url: 'wss://gateway.example.com/ws', given: { ...none, token: 'ugd_a-token-of-a-device' } },
    'ada',
  )

/** Changes the record as a program with access to the database would. */
function meddle(change: (record: Record<string, unknown>) => unknown): void {
  const db = new Libsql(file)
  const row = db.prepare('select record from gateway_remote').get() as { record: string }
  db.prepare('update gateway_remote set record = ?').run(JSON.stringify(change(JSON.parse(row.record))))
  db.close()
}

describe('a record that was changed in the database', () => {
  it('sends nothing to another URL', async () => {
    await set(await open())
    await end()
    meddle((record) => ({ ...record, url: 'wss://evil.example/ws' }))
    opened = []
    const remote = await open()
    expect(remote.view()).toMatchObject({ state: 'locked', failure: { code: 'remote_key_lost' } })
    await expect(remote.set({ url: 'wss://evil.example/ws', given: none }, 'eve')).rejects.toMatchObject({
      problem: { code: 'remote_key_lost' },
    })
    expect(opened).toEqual([])
  })

  it('does not take one secret for another', async () => {
    await set(await open())
    await end()
    meddle((record) => {
      const sealed = record.sealed as Record<string, string>
      return { ...record, sealed: { ...sealed, sessionKey: sealed.token } }
    })
    expect((await open()).view().state).toBe('locked')
  })

  it('that cannot be read stops no start, and can be removed', async () => {
    await set(await open())
    await end()
    meddle(() => 'no record')
    const remote = await open()
    expect(remote.view()).toMatchObject({ state: 'locked', url: null })
    expect(logged).toEqual([
      'The connection to the other gateway cannot be opened: RecordError: The stored connection to the other gateway cannot be read.',
    ])
    await remote.remove()
    expect(remote.view().state).toBe('off')
    await end()
    expect((await open()).view().state).toBe('off')
  })
})

it('a removal leaves no sealed text in the file, and no key', async () => {
  const remote = await open()
  await set(remote)
  await expect.poll(() => opened).toEqual(['wss://gateway.example.com/ws'])
  const files = (): string =>
    readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'latin1'))
      .join('')
  const sealed = /v1\.[\w-]{40,}/
  expect(files()).toMatch(sealed)
  await remote.remove()
  await end()
  expect(files()).not.toMatch(sealed)
  expect(readdirSync(folder)).toEqual(['gateway.db'])
})

it('waits for a writer of the same database, which may be in the same process', async () => {
  const remote = await open()
  const db = new Libsql(file)
  db.exec('begin immediate')
  let stored = false
  const setting = set(remote).then(() => {
    stored = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  expect(stored).toBe(false)
  db.exec('commit')
  db.close()
  await setting
  expect(remote.view()).toMatchObject({ url: 'wss://gateway.example.com/ws', secrets: { token: true } })
})
