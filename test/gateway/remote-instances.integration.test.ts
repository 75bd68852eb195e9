// Needs PostgreSQL.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { administer, databaseUrl, postgresAnswers, uniqueName } from '../integration/services.ts'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { loggedIn, Visitor } from './visitor.ts'

const available = await postgresAnswers()
const key = 'a key of the settings, for every instance'

describe.skipIf(!available)('two instances that are one node of another gateway', () => {
  let data: DataDir
  let name: string
  let there: Program
  let boss: Visitor

  function start(env: Record<string, string> = { REMOTE_KEY: key }): Promise<Program> {
    return startProgram({
      dataDir: data.path,
      env: { DATABASE_URL: databaseUrl(name), REMOTE_ALLOW: 'loopback', ...env },
    })
  }

  beforeEach(async () => {
    data = temporaryDataDir()
    name = uniqueName()
    await administer(`create database ${name}`)
    there = await startProgram({ dataDir: data.path })
    boss = await loggedIn(there.origin)
  })
  afterEach(async () => {
    await endAll()
    await administer(`drop database ${name} with (force)`)
    data.remove()
  })

  const view = async (who: Visitor) => (await who.get('/api/remote')).json()
  const url = (): string => `${there.origin.replace('http', 'ws')}/ws`

  it('connect once, show the same at both, and take over from each other', async () => {
    const [one, other] = await Promise.all([start(), start()])
    const visitor = await loggedIn(one.origin)
    const elsewhere = new Visitor(other.origin, visitor.cookie)
    const { token } = await boss.device('the pair')
    expect((await visitor.post('/api/remote', { url: url(), token })).status).toBe(202)
    for (const who of [visitor, elsewhere]) {
      await expect
        .poll(() => view(who))
        .toMatchObject({ state: 'connected', granted: { role: 'node' }, secrets: { token: true } })
    }
    expect(await boss.nodes()).toHaveLength(1)
    expect(JSON.stringify(await view(elsewhere))).not.toContain(token)

    // Its end hands the connection over at once; kill -9 does after fifteen seconds, by the clock of the database.
    await one.stop('SIGTERM')
    await expect.poll(() => boss.nodes()).toHaveLength(1)
    const third = await start()
    const later = new Visitor(third.origin, visitor.cookie)
    await expect.poll(() => view(later)).toMatchObject({ state: 'connected' })
    await other.stop('SIGKILL')
    await expect.poll(() => boss.nodes()).toEqual([])
    await administer(`update gateway_remote set until = until - interval '13 s'`, [], name)
    await expect.poll(() => boss.nodes()).toHaveLength(1)
    // The other gateway lists a node before that node has heard that it is accepted.
    await expect.poll(() => view(later)).toMatchObject({ state: 'connected' })

    const fourth = await start()
    const last = new Visitor(fourth.origin, visitor.cookie)
    expect((await last.delete('/api/remote')).status).toBe(204)
    await expect.poll(() => boss.nodes()).toEqual([])
    await expect.poll(() => view(later)).toMatchObject({ state: 'off', url: null })
  })

  it('without a common key, none can be set, and the page says which variable is missing', async () => {
    const visitor = await loggedIn((await start({})).origin)
    const set = await visitor.post('/api/remote', { url: url(), token: 'ugd_x' })
    expect([set.status, set.json().code]).toEqual([409, 'remote_key_missing'])
    expect((await visitor.get('/remote')).text).toContain('Set REMOTE_KEY')
  })

  it('with another key, says that it does not fit', async () => {
    const one = await start()
    const visitor = await loggedIn(one.origin)
    const { token } = await boss.device('the pair')
    await visitor.post('/api/remote', { url: url(), token })
    await expect.poll(() => view(visitor)).toMatchObject({ state: 'connected' })
    await one.stop('SIGTERM')
    const other = await start({ REMOTE_KEY: 'another key than that of the first instance' })
    const elsewhere = new Visitor(other.origin, visitor.cookie)
    await expect
      .poll(() => view(elsewhere))
      .toMatchObject({ state: 'locked', failure: { code: 'remote_key_lost' } })
  })
})
