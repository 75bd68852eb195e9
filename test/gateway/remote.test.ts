import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../free-port.ts'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { loggedIn, type Visitor } from './visitor.ts'

/* One gateway as a node of another: `here` connects, `there` takes nodes. Both are programs of their own. */

let folders: DataDir[]
let there: Program
let here: Program
let ada: Visitor
beforeEach(async () => {
  folders = [temporaryDataDir(), temporaryDataDir()]
  // A port that nothing else gets while it restarts.
  const env = { PORT: `${await freePort()}` }
  ;[there, here] = await Promise.all([start(1, env), startHere()])
  ada = await loggedIn(here.origin)
})
afterEach(async () => {
  await endAll()
  for (const folder of folders) folder.remove()
})

const folder = (index: number): string => folders[index]?.path ?? ''
const start = (index: number, env: Record<string, string> = {}): Promise<Program> =>
  startProgram({ dataDir: folder(index), env })
const startHere = (env: Record<string, string> = {}): Promise<Program> =>
  start(0, { REMOTE_ALLOW: 'loopback', ...env })

type View = Record<string, unknown> & { state: string; failure?: Record<string, string> }
const view = async (who = ada): Promise<View> => (await who.get('/api/remote')).json() as View
const until = (state: string, who = ada): Promise<void> =>
  expect.poll(async () => (await view(who)).state).toBe(state)
const urlOf = (program: Program): string => `${program.origin.replace('http', 'ws')}/ws`
const events = async (who = ada): Promise<Record<string, unknown>[]> =>
  ((await who.get('/api/audit')).json().lines as Record<string, unknown>[]).filter(({ event }) =>
    String(event).startsWith('remote_'),
  )
/** Every file of a data folder, as text. */
const stored = (index: number): string =>
  readdirSync(folder(index))
    .map((name) => readFileSync(join(folder(index), name), 'latin1'))
    .join('\n')

describe('POST /api/remote', () => {
  it('connects with a device token, survives kill -9, and DELETE ends it and wipes the secrets', async () => {
    const boss = await loggedIn(there.origin)
    const device = await boss.device('the other gateway')
    const set = await ada.post('/api/remote', {
      url: urlOf(there),
      token: device.token,
      sessionKey: 'agent:main:a-secret-session',
    })
    expect([set.status, set.json()]).toMatchObject([
      202,
      {
        url: urlOf(there),
        setBy: 'ada@example.com',
        secrets: { token: true, sessionKey: true, cfClientId: false },
      },
    ])
    await until('connected')
    expect(await view()).toMatchObject({ granted: { role: 'node', scopes: [] }, plain: false, paired: false })
    expect(await boss.nodes()).toMatchObject([{ id: device.id, name: 'the other gateway' }])

    await here.stop('SIGKILL')
    await expect.poll(() => boss.nodes()).toEqual([])
    here = await startHere()
    ada = await loggedIn(here.origin)
    await until('connected')
    expect(await boss.nodes()).toHaveLength(1)

    // The other gateway restarts: this one comes back by itself.
    const port = new URL(there.origin).port
    await there.stop('SIGTERM')
    await expect.poll(async () => (await view()).state).not.toBe('connected')
    there = await start(1, { PORT: port })
    await until('connected')

    expect((await ada.delete('/api/remote')).status).toBe(204)
    expect(await view()).toMatchObject({
      state: 'off',
      url: null,
      secrets: { token: false, sessionKey: false },
    })
    const again = await loggedIn(there.origin)
    await expect.poll(() => again.nodes()).toEqual([])
    expect((await events()).map(({ event, by, setBy }) => [event, by ?? setBy])).toEqual(
      expect.arrayContaining([
        ['remote_removed', 'ada@example.com'],
        ['remote_lost', 'ada@example.com'],
        ['remote_connected', 'ada@example.com'],
      ]),
    )
    // Neither the secrets nor their sealed texts are left, and the key of backups is gone.
    expect(readdirSync(folder(0))).not.toContain('remote.key')
    for (const text of [stored(0), here.output(), here.errors()]) {
      expect(text).not.toContain(device.token)
      expect(text).not.toContain('a-secret-session')
    }
    // A second one is no error.
    expect((await ada.delete('/api/remote')).status).toBe(204)
  })

  it('stores secrets encrypted, with a key outside the database, and answers none of them', async () => {
    const secrets = {
      token: 'a-token-that-nobody-may-see',
      sessionKey: 'agent:main:hidden',
      cfClientId: '0123456789abcdef.access',
      cfClientSecret: 'f'.repeat(64),
    }
    const set = await ada.post('/api/remote', { url: 'wss://127.0.0.1:9/ws', ...secrets })
    expect(set.status).toBe(202)
    await until('waiting')
    const audit = (await ada.get('/api/audit')).text
    const page = (await ada.get('/remote')).text
    expect(page).toContain('wss://127.0.0.1:9/ws')
    for (const text of [set.text, JSON.stringify(await view()), audit, page, here.output(), stored(0)])
      for (const secret of Object.values(secrets)) expect(text).not.toContain(secret)
    expect(await events()).toContainEqual(
      expect.objectContaining({ event: 'remote_set', by: 'ada@example.com', secrets: Object.keys(secrets) }),
    )
    expect(statSync(join(folder(0), 'remote.key')).mode & 0o777).toBe(0o600)
    expect((await view()).failure).toMatchObject({ code: 'tcp_refused', layer: 'tcp' })
  })

  it('says that the key was lost, instead of a crash, and takes the secrets anew', async () => {
    const boss = await loggedIn(there.origin)
    const { token } = await boss.device()
    await ada.post('/api/remote', { url: urlOf(there), token })
    await until('connected')
    await here.stop('SIGTERM')
    const file = join(folder(0), 'remote.key')
    const key = readFileSync(file, 'utf8')
    for (const spoil of [
      () => rmSync(file),
      () => writeFileSync(file, 'another key of more than 32 characters'),
    ]) {
      spoil()
      here = await startHere()
      ada = await loggedIn(here.origin)
      expect(await view()).toMatchObject({
        state: 'locked',
        url: urlOf(there),
        failure: { code: 'remote_key_lost', title: 'The stored secrets cannot be read' },
      })
      expect((await ada.get('/remote')).text).toContain('The stored secrets cannot be read')
      const keep = await ada.post('/api/remote', { url: urlOf(there) })
      expect([keep.status, keep.json().code]).toEqual([409, 'remote_key_lost'])
      await here.stop('SIGTERM')
    }
    writeFileSync(file, 'too short')
    here = await startHere()
    ada = await loggedIn(here.origin)
    const unusable = await ada.post('/api/remote', { url: urlOf(there), token })
    expect([unusable.status, unusable.json().code]).toEqual([503, 'remote_key_unusable'])
    expect(await view()).toMatchObject({ state: 'locked', url: urlOf(there) })
    await here.stop('SIGTERM')
    // The former key still opens them.
    writeFileSync(file, key)
    here = await startHere()
    ada = await loggedIn(here.origin)
    await until('connected')
    rmSync(file)
    const anew = await ada.post('/api/remote', {
      url: urlOf(there),
      token,
      sessionKey: null,
      cfClientId: null,
      cfClientSecret: null,
    })
    expect(anew.status).toBe(202)
    await until('connected')
  })

  it('waits for the approval of its request, and needs no code afterwards', async () => {
    const boss = await loggedIn(there.origin)
    const { code } = (await boss.post('/api/pairings/codes', {})).json() as { code: string }
    await ada.post('/api/remote', { url: urlOf(there), token: code })
    await until('pairing')
    const pending = (await view()).pairing as { comparisonCode: string; requestId: string }
    const [request] = (await boss.get('/api/pairings')).json().requests as Record<string, string>[]
    expect(request).toMatchObject({ id: pending.requestId, comparisonCode: pending.comparisonCode })
    // A restart asks with the same key: it is the same request.
    await here.stop('SIGKILL')
    here = await startHere()
    ada = await loggedIn(here.origin)
    await until('pairing')
    expect((await view()).pairing).toEqual(pending)
    const approved = await boss.post(`/api/pairings/${pending.requestId}/approve`, {
      comparisonCode: pending.comparisonCode,
    })
    expect(approved.status).toBe(200)
    await until('connected')
    expect(await view()).toMatchObject({ paired: true, secrets: { token: false } })
    expect((await events()).map(({ event }) => event)).toContain('remote_pairing')

    await here.stop('SIGKILL')
    here = await startHere()
    ada = await loggedIn(here.origin)
    await until('connected')
    // Revoked there: no attempt would get another answer, and the page says what to do.
    const [node] = await boss.nodes()
    expect((await boss.delete(`/api/devices/${node?.id}`)).status).toBe(204)
    await until('stopped')
    expect((await view()).failure).toMatchObject({ layer: 'origin-auth', action: expect.stringMatching(/./) })
  })

  it('pairs both ways: each of two gateways is a node of the other', async () => {
    await there.stop('SIGTERM')
    there = await start(1, { REMOTE_ALLOW: 'loopback' })
    const boss = await loggedIn(there.origin)
    for (const [from, to, target] of [
      [ada, boss, there],
      [boss, ada, here],
    ] as const) {
      const { code } = (await to.post('/api/pairings/codes', {})).json() as { code: string }
      expect((await from.post('/api/remote', { url: urlOf(target), token: code })).status).toBe(202)
      await until('pairing', from)
      const { requestId, comparisonCode } = (await view(from)).pairing as Record<string, string>
      expect((await to.post(`/api/pairings/${requestId}/approve`, { comparisonCode })).status).toBe(200)
    }
    for (const each of [ada, boss]) {
      await until('connected', each)
      await expect.poll(() => each.nodes()).toHaveLength(1)
    }
  })

  it('keeps stored secrets for the same URL only', async () => {
    const boss = await loggedIn(there.origin)
    const { token } = await boss.device()
    await ada.post('/api/remote', { url: urlOf(there), token })
    await until('connected')
    expect((await ada.post('/api/remote', { url: urlOf(there) })).json()).toMatchObject({
      secrets: { token: true },
    })
    await until('connected')
    const elsewhere = await ada.post('/api/remote', { url: urlOf(there).replace('127.0.0.1', 'localhost') })
    expect(elsewhere.json()).toMatchObject({ secrets: { token: false } })
    const gone = await ada.post('/api/remote', { url: urlOf(there), token: null })
    expect(gone.json()).toMatchObject({ secrets: { token: false } })
  })

  it('a name that leads inside: nothing is connected to, at the start of a new process as well', async () => {
    const url = urlOf(there).replace('127.0.0.1', 'localhost')
    const boss = await loggedIn(there.origin)
    const { token } = await boss.device()
    await ada.post('/api/remote', { url, token })
    await until('connected')
    await here.stop('SIGTERM')
    // The operator no longer allows it.
    here = await start(0)
    ada = await loggedIn(here.origin)
    await until('stopped')
    expect((await view()).failure).toMatchObject({ code: 'address_not_allowed', layer: 'client' })
    expect(await boss.nodes()).toEqual([])
    const literal = await ada.post('/api/remote', { url: urlOf(there), token })
    expect([literal.status, literal.json().code]).toEqual([400, 'address_not_allowed'])
  })
})
