import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGate, createServices, deviceToken } from 'upgate'
import { failureContract, storeContract } from 'upgate/store'
import { expect, test } from 'vitest'
import { memoryCounts } from './counts.ts'
import { jsonFileStore } from './json-file.ts'

storeContract(
  'a JSON file',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'upgate-json-'))
    const file = join(folder, 'records.json')
    return {
      connect: async () => jsonFileStore(file),
      dispose: async () => rmSync(folder, { recursive: true }),
    }
  },
  test,
)

failureContract(
  'counts of a third party',
  async (clock) => {
    const counts = memoryCounts(clock)
    return { connect: async () => counts, dispose: async () => {} }
  },
  test,
)

test('a JSON file serves a gate, and keeps a revocation for the next process', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-json-'))
  const file = join(folder, 'records.json')
  const open = () => {
    const store = jsonFileStore(file)
    const services = createServices({ store })
    const gate = createGate({
      schemes: [deviceToken({ devices: services.devices })],
      rules: [{ path: '/nodes/*', access: 'required', kinds: ['device'] }],
    })
    const outcome = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` }
      const decision = await gate.decide({
        kind: 'http',
        method: 'GET',
        target: '/nodes/self',
        headers,
        rawHeaders: ['Authorization', headers.authorization],
        encrypted: true,
      })
      return 'code' in decision ? decision.code : decision.outcome
    }
    const close = async () => {
      gate.close()
      await services.close()
      await store.close()
    }
    return { services, outcome, close }
  }
  try {
    const first = open()
    const { id, token } = await first.services.devices.create({ name: 'kitchen' })
    const other = await first.services.devices.create({ name: 'garage' })
    expect(await first.outcome(token)).toBe('allow')
    await first.services.devices.revoke(id)
    expect(await first.outcome(token)).toBe('revoked_credential')
    await first.close()
    const second = open()
    expect(await second.outcome(token)).toBe('revoked_credential')
    expect(await second.outcome(other.token)).toBe('allow')
    await second.close()
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the store of a third party uses names of upgate/store alone', () => {
  const sources = readdirSync(import.meta.dirname).filter((name) => !name.endsWith('.test.ts'))
  const imported = sources.flatMap((name) =>
    [...readFileSync(join(import.meta.dirname, name), 'utf8').matchAll(/ from '([^']+)'/g)].map(
      ([, from]) => from,
    ),
  )
  expect([...new Set(imported)].toSorted()).toEqual(['node:fs', 'upgate/store'])
})
