import { expect, test } from 'vitest'
import { composeStores } from '../../src/stores/compose.ts'
import { memoryStore } from '../../src/stores/memory/memory.ts'

test('closes every part and the store, even if one of them cannot be closed', async () => {
  const closed: string[] = []
  const part = (name: string, fails: boolean) => ({
    close: async () => {
      closed.push(name)
      if (fails) throw new Error(`${name} is stuck`)
    },
  })
  const base = { ...memoryStore(), ...part('base', false) }
  const tickets = { ...base.tickets, ...part('tickets', true) }
  const failures = { begin: () => ({ allowed: true, end() {} }) as const, ...part('failures', false) }
  const store = composeStores(base, { tickets, failures })
  await expect(store.close()).rejects.toThrow('tickets is stuck')
  expect(closed).toEqual(['tickets', 'failures', 'base'])
})
