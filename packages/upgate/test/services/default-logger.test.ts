import { createServices, memoryStore, sessionCookie } from 'upgate'
import { StoreUnavailable } from 'upgate/store'
import { manualClock } from 'upgate/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'

const heard: Error[] = []
const hear = (warning: Error): void => {
  if (warning.name === 'UpgateWarning') heard.push(warning)
}
const spoken = () => new Promise<void>((resolve) => setImmediate(resolve))

beforeEach(() => {
  heard.length = 0
  process.on('warning', hear)
})
afterEach(() => {
  process.off('warning', hear)
})

test('services without a logger tell of an outage as Node tells of its warnings', async () => {
  const memory = memoryStore()
  const clock = manualClock()
  let broken = false
  const store = {
    ...memory,
    revocations: {
      ...memory.revocations,
      async head() {
        if (broken) throw new StoreUnavailable('store_unavailable', 'The disk is gone.')
        return memory.revocations.head()
      },
      async since(sequence: number, limit: number) {
        if (broken) throw new StoreUnavailable('store_unavailable', 'The disk is gone.')
        return memory.revocations.since(sequence, limit)
      },
    },
  }
  const services = createServices({ store, clock })
  await services.revocations.sync()
  expect(heard).toEqual([])
  broken = true
  for (let passed = 0; passed < 10_000; passed += 500) {
    clock.advance(500)
    await spoken()
  }
  expect(heard.map(({ message }) => message)).toContain('The log of revocations cannot be read.')
  await services.close()
})

test('a session cookie without TLS is warned about without a logger, and not with one that is silent', async () => {
  const { sessions } = createServices({ store: memoryStore() })
  sessionCookie({ sessions, secure: false, logger: { warn() {}, error() {} } })
  await spoken()
  expect(heard).toEqual([])
  sessionCookie({ sessions, secure: false })
  await spoken()
  expect(heard.map(({ message }) => message)).toEqual([
    'The session cookie is sent without TLS: an attacker on the network can read and replace it.',
  ])
})
