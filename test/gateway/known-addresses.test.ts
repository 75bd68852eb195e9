import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sqliteStore } from 'upgate/sql'
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest'
import { type DataDir, endAll, spawnProgram, startProgram, temporaryDataDir } from './program.ts'
import { connectRequest, TestSocket } from './socket.ts'
import { loggedIn } from './visitor.ts'

let data: DataDir
beforeEach(() => {
  data = temporaryDataDir()
})
afterEach(async () => {
  await endAll()
  data.remove()
})
afterAll(endAll)

/** The records of accepted addresses in the database. */
async function kept(): Promise<readonly { readonly digest: string }[]> {
  const store = await sqliteStore({ file: join(data.path, 'gateway.db') })
  try {
    return (await store.acquaintances?.list(Date.now(), 10)) ?? []
  } finally {
    await store.close()
  }
}

// After a restart every node was a stranger, and a flood keeps strangers out.
it('remembers the addresses of accepted nodes beyond a restart, and stores none in plain text', async () => {
  const env = { TRUST_PROXY: 'loopback' }
  const first = await startProgram({ dataDir: data.path, env })
  const visitor = await loggedIn(first.origin)
  const { token } = await visitor.device()
  const connect = async (origin: string, address: string) => {
    const socket = new TestSocket(`${origin}/ws`, { 'x-forwarded-for': address })
    await socket.upgraded
    socket.send(connectRequest(token))
    expect(await socket.message()).toMatchObject({ ok: true })
  }
  await connect(first.origin, '198.51.100.77')
  await first.stop('SIGTERM')
  const [record, ...others] = await kept()
  expect(others).toEqual([])
  for (const name of readdirSync(data.path)) {
    expect(readFileSync(join(data.path, name), 'latin1')).not.toContain('198.51.100.77')
  }
  expect(statSync(join(data.path, 'installation.key')).mode & 0o777).toBe(0o600)

  const second = await startProgram({ dataDir: data.path, env })
  await connect(second.origin, '198.51.100.77')
  await connect(second.origin, '198.51.100.78')
  await second.stop('SIGTERM')
  // The same key after the restart: the same address has the same digest.
  const digests = (await kept()).map(({ digest }) => digest)
  expect(digests).toHaveLength(2)
  expect(digests).toContain(record?.digest)
})

it('refuses to start with a truncated key', async () => {
  const first = await startProgram({ dataDir: data.path })
  await first.stop('SIGTERM')
  writeFileSync(join(data.path, 'installation.key'), 'short')
  const program = spawnProgram({ dataDir: data.path })
  expect((await program.exited).code).toBe(1)
  expect(program.errors()).toMatch(
    /installation\.key" cannot be used \(shorter than 32 characters\): remove it, and the next start makes another\./,
  )
})
