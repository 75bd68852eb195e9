import { memoryStore, type Store } from 'upgate'
import { StoreUnavailable } from 'upgate/store'
import { type AcquaintanceOptions, createQuarantine, type QuarantineOptions } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { Acquaintances, acquaintanceOptions } from '../../src/ws/limits/acquaintances.ts'
import {
  auth,
  type Client,
  closeAll,
  eventually,
  type Harness,
  settled,
  start,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

const key = 'the secret of this installation, 1'
const from = (t: Harness, address: string): Client => t.connect({ 'x-forwarded-for': address })

function storeOf(store: Store = memoryStore()) {
  const { acquaintances } = store
  if (acquaintances === undefined) throw new Error('this store has none')
  const writes: number[] = []
  return {
    writes,
    list: acquaintances.list,
    note(...[records, now, atMost]: Parameters<typeof acquaintances.note>) {
      writes.push(records.length)
      return acquaintances.note(records, now, atMost)
    },
  }
}

async function restarted(acquaintances: AcquaintanceOptions): Promise<Harness> {
  // One place for strangers, one kept.
  const t = await start({ limits: { maxSockets: 2, reservedShare: 0.5, acquaintances } })
  await settled()
  return t
}

/** Whether an address has one of the kept places, while strangers have all of theirs. */
async function isKnown(t: Harness, address: string): Promise<boolean> {
  const stranger = from(t, '203.0.113.1')
  await stranger.opened()
  await eventually(() => t.quarantine.counts.quarantined === 1)
  const client = from(t, address)
  await client.opened()
  await settled()
  const kept = stranger.ws.readyState === 1
  for (const { ws } of [stranger, client]) ws.terminate()
  await eventually(() => t.quarantine.counts.quarantined === 0)
  return kept
}

async function letIn(t: Harness, address: string): Promise<Client> {
  const client = from(t, address)
  await client.send(auth())
  expect(await client.message()).toMatchObject({ type: 'auth_ok' })
  return client
}

// A restart made a stranger of every node, and strangers are what a flood keeps out.
describe('addresses that are known beyond a restart', () => {
  it('keep their places in a flood right after it', async () => {
    const store = storeOf()
    const before = await restarted({ store, key })
    await letIn(before, '198.51.100.1')
    await letIn(before, '2001:db8:1:2::3')
    await before.close()
    const t = await restarted({ store, key })
    for (const n of [1, 2, 3]) await from(t, `203.0.113.${n}`).opened()
    await eventually(() => t.quarantine.counts.quarantined === 1)
    const node = await letIn(t, '198.51.100.1')
    for (const n of [4, 5, 6]) await from(t, `203.0.113.${n}`).opened()
    expect(node.ws.readyState).toBe(1)
    expect(await isKnown(t, '198.51.100.1')).toBe(true)
    // The same /64, and another one.
    expect(await isKnown(t, '2001:db8:1:2:ffff::9')).toBe(true)
    expect(await isKnown(t, '2001:db8:1:3::3')).toBe(false)
    expect(await isKnown(t, '198.51.100.2')).toBe(false)
  })

  it('are strangers again where nothing was to remember them, or another key', async () => {
    const store = storeOf()
    const before = await restarted({ store, key })
    await letIn(before, '198.51.100.1')
    await before.close()
    expect(await isKnown(await restarted({ store, key: `another ${key}` }), '198.51.100.1')).toBe(false)
    const forgetful = await start({ limits: { maxSockets: 2, reservedShare: 0.5 } })
    expect(await isKnown(forgetful, '198.51.100.1')).toBe(false)
  })

  it('stay known when the key is replaced, and are written under the new one', async () => {
    const store = storeOf()
    const before = await restarted({ store, key })
    await letIn(before, '198.51.100.1')
    await before.close()
    const newer = `newer ${key}`
    const between = await restarted({ store, key: [newer, key] })
    expect(await isKnown(between, '198.51.100.1')).toBe(true)
    await letIn(between, '198.51.100.1')
    await between.close()
    expect(await isKnown(await restarted({ store, key: newer }), '198.51.100.1')).toBe(true)
  })

  it('cannot be read from the stored records', async () => {
    const store = memoryStore()
    const t = await restarted({ store: storeOf(store), key })
    await letIn(t, '198.51.100.1')
    await letIn(t, '2001:db8:1:2::3')
    await t.close()
    const records = await store.acquaintances?.list(0, 10)
    expect(records).toHaveLength(2)
    for (const { digest } of records ?? []) expect(digest).toMatch(/^[\w-]{22}$/)
  })

  it('are written once, whatever the sockets say and however often they come back', async () => {
    const store = storeOf()
    const t = await restarted({ store, key })
    t.wss.on('connection', (ws) => ws.on('message', () => {}))
    for (let n = 0; n < 5; n++) {
      const client = await letIn(t, '198.51.100.1')
      for (let m = 0; m < 20; m++) await client.send('data')
      client.ws.terminate()
      await eventually(() => t.quarantine.counts.accepted === 0)
      t.clock.advance(2_000)
      await settled()
    }
    await letIn(t, '198.51.100.2')
    await letIn(t, '198.51.100.3')
    t.clock.advance(1_000)
    await settled()
    expect(store.writes).toEqual([1, 2])
  })

  it('are written before the server is closed', async () => {
    const store = storeOf()
    const t = await restarted({ store, key })
    await letIn(t, '198.51.100.1')
    await t.quarantine.close()
    expect(store.writes).toEqual([1])
  })

  it('are only those that were accepted, and never a client of unknown address', async () => {
    const store = storeOf()
    const t = await restarted({ store, key })
    const client = from(t, '198.51.100.1')
    await client.send(auth(wrongToken))
    await client.message()
    const unknown = t.connect()
    await unknown.send(auth())
    await unknown.message()
    await t.close()
    expect(store.writes).toEqual([])
  })

  it('count for their lifetime, in this process as well', async () => {
    const store = storeOf()
    const t = await restarted({ store, key, lifetime: 7_200_000 })
    ;(await letIn(t, '198.51.100.1')).ws.terminate()
    await eventually(() => t.quarantine.counts.accepted === 0)
    t.clock.advance(7_100_000)
    expect(await isKnown(t, '198.51.100.1')).toBe(true)
    t.clock.advance(100_000)
    expect(await isKnown(t, '198.51.100.1')).toBe(false)
  })
})

describe('the memory', () => {
  const make = (store: AcquaintanceOptions['store'], extra: Partial<AcquaintanceOptions> = {}) => {
    const clock = manualClock()
    const warnings: string[] = []
    const logger = { warn: (message: string) => void warnings.push(message), error() {} }
    return {
      clock,
      warnings,
      known: new Acquaintances(acquaintanceOptions.read('', { store, key, ...extra }), clock, logger),
    }
  }

  it('is bounded, and forgets the address noted longest ago', async () => {
    const { known, clock } = make(storeOf(), { atMost: 3 })
    for (let n = 0; n < 5; n++) {
      clock.advance(1)
      known.note(`192.0.2.${n}`)
    }
    expect([0, 1, 2, 3, 4].map((n) => known.knows(`192.0.2.${n}`))).toEqual([false, false, true, true, true])
    await known.close()
  })

  it('forgets the record that ends first, also among those read from the store', async () => {
    const store = storeOf()
    const before = make(store)
    for (let n = 0; n < 3; n++) {
      before.clock.advance(60_000)
      before.known.note(`192.0.2.${n}`)
    }
    await before.known.close()
    const { known } = make(store, { atMost: 3 })
    await settled()
    known.note('192.0.2.3')
    expect([0, 1, 2, 3].map((n) => known.knows(`192.0.2.${n}`))).toEqual([false, true, true, true])
    await known.close()
  })

  it('writes in portions, so that others get their turn', async () => {
    const store = storeOf()
    const { known } = make(store)
    for (let n = 0; n < 250; n++) known.note(`10.0.0.${n}`)
    await known.close()
    expect(store.writes).toEqual([100, 100, 50])
    expect(await store.list(0, 1000)).toHaveLength(250)
  })

  it('goes on without a store that cannot answer, and asks it again', async () => {
    const store = storeOf()
    let down = true
    const failing = {
      list: (...args: Parameters<typeof store.list>) => (down ? refuse() : store.list(...args)),
      note: (...args: Parameters<typeof store.note>) => (down ? refuse() : store.note(...args)),
    }
    const refuse = () => Promise.reject(new StoreUnavailable('store_unavailable', 'It is away.'))
    const digests = make(store)
    digests.known.note('192.0.2.7')
    await digests.known.close()

    const { known, clock, warnings } = make(failing)
    known.note('192.0.2.1')
    clock.advance(1_000)
    await settled()
    expect(known.knows('192.0.2.1')).toBe(true)
    expect(known.knows('192.0.2.7')).toBe(false)
    expect(warnings).toEqual([
      expect.stringContaining('could not be read'),
      expect.stringContaining('could not be written'),
    ])
    down = false
    clock.advance(30_000)
    await settled()
    expect(known.knows('192.0.2.7')).toBe(true)
    expect(known.knows('192.0.2.1')).toBe(true)
    expect(await store.list(0, 10)).toHaveLength(2)
  })

  it('does not believe a clock that ran ahead', async () => {
    const store = storeOf()
    const ahead = make(store)
    ahead.clock.advance(365 * 86_400_000)
    ahead.known.note('192.0.2.1')
    await ahead.known.close()
    const { known, clock } = make(store)
    await settled()
    expect(known.knows('192.0.2.1')).toBe(true)
    clock.advance(30 * 86_400_000)
    expect(known.knows('192.0.2.1')).toBe(false)
  })

  it('refuses invalid options', async () => {
    const { gate } = await start()
    const store = storeOf()
    for (const [acquaintances, message] of [
      ['yes', /`acquaintances` must be an object of options: store, key/],
      [{ store, key, keys: [] }, /createQuarantine: `acquaintances`: unknown option `keys`/],
      [{ key }, /`acquaintances.store` is missing; give it `store.acquaintances`/],
      [{ store: memoryStore, key }, /`acquaintances.store`/],
      [{ store }, /`acquaintances.key` is missing; give it a secret of at least 32 characters/],
      [{ store, key: 'short' }, /`acquaintances.key`/],
      [{ store, key: [] }, /`acquaintances.key`/],
      [{ store, key: [key, 'short'] }, /`acquaintances.key`/],
      [
        { store, key, lifetime: 1 },
        /`acquaintances.lifetime` must be a whole number of milliseconds from 60,000/,
      ],
      [{ store, key, atMost: 0 }, /`acquaintances.atMost` must be a whole number from 1 to 1,000,000/],
    ] as const) {
      const make = () => createQuarantine(gate, { acquaintances } as unknown as QuarantineOptions)
      expect(make).toThrow(TypeError)
      expect(make).toThrow(message)
    }
  })
})
