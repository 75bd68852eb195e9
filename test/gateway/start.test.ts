import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { admin, type DataDir, endAll, spawnProgram, startProgram, temporaryDataDir } from './program.ts'
import { connectNode, TestSocket } from './socket.ts'
import { loggedIn, Visitor } from './visitor.ts'

let data: DataDir
beforeEach(() => {
  data = temporaryDataDir()
})
afterEach(async () => {
  await endAll()
  data.remove()
})
afterAll(endAll)

const noAdmin = { ADMIN_EMAIL: undefined, ADMIN_PASSWORD: undefined }

describe('settings that cannot be used', () => {
  it.each([
    ['PORT', { PORT: '80a' }, /PORT must be a whole number from 0 to 65535; it is "80a"/],
    ['PORT', { PORT: '70000' }, /PORT must be a whole number/],
    ['HOST', { HOST: 'http://127.0.0.1' }, /HOST must be the address to listen on/],
    ['PUBLIC_URL', { PUBLIC_URL: 'gateway.example.com' }, /PUBLIC_URL must be the address that browsers use/],
    ['PUBLIC_URL', { PUBLIC_URL: 'https://gateway.example.com/app' }, /PUBLIC_URL .* without a path/],
    ['TRUST_PROXY', { TRUST_PROXY: 'true' }, /TRUST_PROXY must list the proxies .* forge/],
    ['TRUST_PROXY', { TRUST_PROXY: '10.0.0.0/99' }, /TRUST_PROXY/],
    ['ADMIN_EMAIL', { ADMIN_EMAIL: 'ada' }, /ADMIN_EMAIL must be an email address/],
    ['ADMIN_EMAIL', { ADMIN_EMAIL: undefined }, /ADMIN_EMAIL is missing/],
    [
      'ADMIN_PASSWORD',
      { ADMIN_PASSWORD: 'short' },
      /ADMIN_PASSWORD must have 12 to 1024 characters; it has 5/,
    ],
    ['ADMIN_PASSWORD', { ADMIN_PASSWORD: undefined }, /ADMIN_PASSWORD is missing/],
    ['HANDSHAKE_TIMEOUT_MS', { HANDSHAKE_TIMEOUT_MS: '0' }, /HANDSHAKE_TIMEOUT_MS must be a whole number/],
    ['DATABASE_URL', { DATABASE_URL: 'mysql://u:hunter2@127.0.0.1/x' }, /DATABASE_URL must be the address/],
    [
      'DATABASE_URL',
      { DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:9/x' },
      /database in DATABASE_URL cannot be used \(store_unavailable\)/,
    ],
    [
      'REDIS_URL',
      { DATABASE_URL: 'postgres://127.0.0.1/x', REDIS_URL: 'hunter2' },
      /REDIS_URL must be the address/,
    ],
    ['REDIS_URL', { REDIS_URL: 'redis://127.0.0.1' }, /REDIS_URL is of no use without DATABASE_URL/],
    [
      'ACQUAINTANCE_KEY',
      { ACQUAINTANCE_KEY: 'hunter2' },
      /ACQUAINTANCE_KEY must have at least 32 characters/,
    ],
    ['DATA_DIR', { DATA_DIR: '/dev/null/data' }, /DATA_DIR "\/dev\/null\/data" cannot be used/],
  ])('refuses to start: %s', async (_name, env, sentence) => {
    const program = spawnProgram({ dataDir: data.path, env })
    expect((await program.exited).code).toBe(1)
    expect(program.errors()).toMatch(sentence)
    expect(program.errors().trim().split('\n')).toHaveLength(1)
    expect(program.errors()).not.toContain('hunter2')
    expect(program.output()).not.toContain('ready')
  })

  it.skipIf(process.platform === 'win32')('refuses a data folder that every user may write', async () => {
    mkdirSync(data.path)
    chmodSync(data.path, 0o1777)
    const program = spawnProgram({ dataDir: data.path })
    expect((await program.exited).code).toBe(1)
    expect(program.errors()).toBe(
      `Cannot start: DATA_DIR "${data.path}" can be written by every user of this machine, who can exchange the database. Run: chmod o-w "${data.path}", or give another folder.\n`,
    )
  })

  it('refuses a database that is a symbolic link, and does not change its target', async () => {
    mkdirSync(data.path)
    const target = `${data.path}-elsewhere`
    writeFileSync(target, 'not for the gateway', { mode: 0o640 })
    symlinkSync(target, `${data.path}/gateway.db`)
    const program = spawnProgram({ dataDir: data.path })
    expect((await program.exited).code).toBe(1)
    expect(program.errors()).toBe(
      `Cannot start: "${data.path}/gateway.db" is a symbolic link: set DATA_DIR to the folder that holds the database itself.\n`,
    )
    expect(statSync(target).mode & 0o777).toBe(0o640)
  })

  it.skipIf(process.platform === 'win32')('warns of a data folder that its group may write', async () => {
    mkdirSync(data.path)
    chmodSync(data.path, 0o770)
    const program = await startProgram({ dataDir: data.path })
    expect(program.output()).toContain(
      'can be written by its group, and each member can exchange the database.',
    )
    await program.stop('SIGTERM')
  })

  it('says which port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    const { port } = other.address() as { port: number }
    const program = spawnProgram({ dataDir: data.path, env: { PORT: String(port) } })
    const { code } = await program.exited
    other.close()
    expect(code).toBe(1)
    expect(program.errors()).toBe(
      `Cannot start: port ${port} of 127.0.0.1 is in use. Stop what uses it, or set PORT to another number.\n`,
    )
  })
})

describe('set-up', () => {
  it('creates the first account with the printed code, once', async () => {
    const program = await startProgram({ dataDir: data.path, env: noAdmin, realHashes: true })
    const [, code = ''] = await program.printed(/^Setup code: ([A-Z2-9]{8}) /m)
    const visitor = new Visitor(program.origin)

    const page = await visitor.get('/', { headers: { 'sec-fetch-mode': 'navigate' } })
    expect([page.status, page.header('location')]).toEqual([303, '/setup'])
    expect((await visitor.get('/login')).header('location')).toBe('/setup')
    const api = await visitor.get('/api/nodes')
    expect([api.status, api.json().code]).toEqual([401, 'setup_required'])
    expect((await visitor.logIn()).json().code).toBe('setup_required')
    expect((await visitor.get('/api/auth/config')).json().setupRequired).toBe(true)

    const wrong = await visitor.post('/api/auth/setup', { ...admin, code: 'AAAAAAAA' })
    expect([wrong.status, wrong.json().code]).toEqual([403, 'wrong_setup_code'])
    const weak = await visitor.post('/api/auth/setup', { email: admin.email, password: 'short', code })
    expect([weak.status, weak.json().code]).toEqual([400, 'password_too_short'])

    // Two people with the code at the same time: one account.
    const both = await Promise.all([
      visitor.post('/api/auth/setup', { ...admin, code: code.toLowerCase() }),
      visitor.post('/api/auth/setup', { email: 'eve@example.com', password: 'another long password', code }),
    ])
    expect(both.map((answer) => answer.status).sort()).toEqual([204, 409])

    const again = await visitor.post('/api/auth/setup', { ...admin, code })
    expect([again.status, again.json().code]).toEqual([409, 'already_set_up'])
    expect((await visitor.get('/setup')).header('location')).toBe('/login')
    expect((await visitor.get('/api/auth/config')).json().setupRequired).toBe(false)
    await program.stop('SIGTERM')

    const restarted = await startProgram({ dataDir: data.path, env: noAdmin, realHashes: true })
    await restarted.printed(/^Next step: log in at /m)
    expect(restarted.output()).not.toContain('Setup code')
  })

  it('prints a new code after ten wrong ones, and goes on', async () => {
    const program = await startProgram({ dataDir: data.path, env: noAdmin })
    const [, code = ''] = await program.printed(/^Setup code: (\S+)\s/m)
    const visitor = new Visitor(program.origin)
    for (let count = 0; count < 10; count++) {
      const answer = await visitor.post('/api/auth/setup', { ...admin, code: `WRONG${count}` })
      expect([answer.status, answer.json().action]).toEqual([
        403,
        'Type the last code that the gateway printed. After ten wrong ones it prints another.',
      ])
    }
    const [, next = ''] = await program.printed(/^Setup code: ([A-Z2-9]{12}) \(valid for 30 minutes, once; /m)
    const late = await visitor.post('/api/auth/setup', { ...admin, code })
    expect([late.status, late.json().code]).toEqual([403, 'wrong_setup_code'])
    // Ten more within the minute: the code stays, because otherwise it could not be typed in time.
    for (let count = 0; count < 20; count++)
      await visitor.post('/api/auth/setup', { ...admin, code: 'WRONG' })
    expect(program.output().match(/^Setup code: /gm)).toHaveLength(2)
    expect((await visitor.post('/api/auth/setup', { ...admin, code: next })).status).toBe(204)
    // On the console, and not among the events.
    const events = program
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'))
    expect(events.filter((line) => line.includes('"setup_code_replaced"'))).toHaveLength(1)
    expect(events.join('\n')).not.toContain(next)
  })

  it('does not change the password of an existing admin', async () => {
    const first = await startProgram({ dataDir: data.path })
    await first.stop('SIGTERM')
    const second = await startProgram({
      dataDir: data.path,
      env: { ADMIN_PASSWORD: 'something else entirely' },
    })
    expect((await new Visitor(second.origin).logIn()).status).toBe(204)
  })
})

describe('the end', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'closes every socket with 1001 and exits 0 soon: %s',
    async (signal) => {
      const program = await startProgram({ dataDir: data.path, asBuilt: true })
      const visitor = await loggedIn(program.origin)
      const { token } = await visitor.device()
      const node = await connectNode(program.origin, token)
      const waiting = new TestSocket(`${program.origin}/ws`)
      await waiting.upgraded
      const chat = new TestSocket(`${program.origin}/ws/chat`, {
        cookie: visitor.cookie ?? '',
        origin: program.origin,
      })
      await chat.messageOf('welcome')

      const exit = await program.stop(signal)
      expect(exit).toMatchObject({ code: 0, signal: null })
      // At most five seconds, of which a busy machine may make some more.
      expect(exit.took).toBeLessThan(15_000)
      for (const socket of [node, waiting, chat]) expect((await socket.closed).code).toBe(1001)
    },
  )

  it('keeps accounts, sessions and devices through kill -9', async () => {
    const first = await startProgram({ dataDir: data.path, realHashes: true, asBuilt: true })
    const visitor = await loggedIn(first.origin)
    const kept = await visitor.device('kept')
    const revoked = await visitor.device('revoked')
    await visitor.delete(`/api/devices/${revoked.id}`)
    expect((await first.stop('SIGKILL')).signal).toBe('SIGKILL')

    const second = await startProgram({ dataDir: data.path, realHashes: true, asBuilt: true })
    const again = new Visitor(second.origin, visitor.cookie)
    expect((await again.get('/api/me')).json().name).toBe(admin.email)
    expect((await again.get('/api/devices')).json().devices).toMatchObject([{ id: kept.id, name: 'kept' }])
    await connectNode(second.origin, kept.token)
    await expect(connectNode(second.origin, revoked.token)).rejects.toThrow('revoked_credential')
    expect((await new Visitor(second.origin).logIn()).status).toBe(204)
  })
})

it('keeps its files to itself and its secrets out of its output', async () => {
  const program = await startProgram({ dataDir: data.path })
  expect(statSync(data.path).mode & 0o777).toBe(0o700)
  expect(statSync(`${data.path}/gateway.db`).mode & 0o077).toBe(0)

  const visitor = await loggedIn(program.origin)
  await new Visitor(program.origin).logIn({
    email: 'typed-password@example.com',
    password: 'never to be logged',
  })
  const device = await visitor.device()
  const key = await visitor.key(['operator.read'])
  await connectNode(program.origin, device.token)
  const wrong = `${device.token.slice(0, -12)}AAAAAAAAAAAA`
  await connectNode(program.origin, wrong).catch(() => {})
  await visitor.get('/api/nodes?token=query-secret', { headers: { authorization: `Bearer ${key.token}x` } })
  await program.stop('SIGTERM')

  const printed = program.output() + program.errors()
  expect(printed).toContain('device_created')
  const secrets = [admin.password, 'never to be logged', 'query-secret', wrong, device.token, key.token]
  for (const secret of [...secrets, visitor.cookie?.split('=')[1] ?? 'no cookie']) {
    expect(printed).not.toContain(secret)
    // The random part alone must not be there either.
    expect(printed).not.toContain(secret.split('_')[2] ?? secret)
  }
  for (const line of program
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{')))
    JSON.parse(line)
})
