import type { Verification } from 'upgate'
import { jsonFrame } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { Addresses, type Bucket } from '../../src/ws/limits/addresses.ts'
import { type Candidate, Candidates } from '../../src/ws/limits/candidates.ts'
import {
  auth,
  type Client,
  closeAll,
  deferredPromise,
  device,
  eventually,
  frame,
  goodToken,
  type Harness,
  seededRandom,
  settled,
  start,
  text,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

const from = (t: Harness, address: string): Client => t.connect({ 'x-forwarded-for': address })

/** An address of the flood: each its own, as IPv4 or as a /48 of its own. */
const fresh = (n: number, v6 = false): string =>
  v6 ? `2001:db8:${(n + 1).toString(16)}::1` : `203.0.${n >> 8}.${n & 255}`

async function refusedFrom(t: Harness, address: string, count = 1): Promise<Client[]> {
  const clients: Client[] = []
  for (let i = 0; i < count; i++) {
    const client = from(t, address)
    clients.push(client)
    await client.send(auth(wrongToken))
    await client.message()
  }
  return clients
}

async function letIn(t: Harness, address: string): Promise<Client> {
  const client = from(t, address)
  await client.send(auth())
  expect(await client.message()).toMatchObject({ type: 'auth_ok' })
  return client
}

// An audit's 1,500 sockets with bad tokens, each from an address of its own: the refused ones kept their places while
// they were held and closed, and of 16 nodes that came for the first time none was let in (2 over IPv6).
describe('refused sockets make room', () => {
  it.each([
    ['IPv4', false],
    ['IPv6', true],
  ])('lets every first-time node in during a flood of bad tokens from new addresses, %s', async (_, v6) => {
    const t = await start({ limits: { maxSockets: 40 } })
    for (let n = 0; n < 160; n++) {
      await refusedFrom(t, fresh(n, v6))
      if (n % 10 === 9) await letIn(t, v6 ? `2001:db8:ffff:${n.toString(16)}::1` : `192.0.2.${n}`)
    }
    const { accepted, refused } = t.quarantine.counts
    expect(accepted).toBe(16)
    expect(refused).toBeLessThanOrEqual(30)
  })

  it('shortens the hold of the socket refused first, and closes it with the same code and reason', async () => {
    const t = await start({ limits: { maxSockets: 3, reservedShare: 0 } })
    const [first] = await refusedFrom(t, fresh(1))
    const [second] = await refusedFrom(t, fresh(2))
    const waiting = from(t, '192.0.2.1')
    await waiting.opened()
    await eventually(() => t.quarantine.counts.quarantined === 1)
    await letIn(t, '192.0.2.2')
    expect(await first?.closed()).toEqual({ code: 4401, reason: 'invalid_credential' })
    await settled()
    // Where there is room the hold stays: naive clients would be back thirty times a second.
    expect(second?.ws.readyState).toBe(1)
    expect(waiting.ws.readyState).toBe(1)
    expect(t.quarantine.counts).toMatchObject({ quarantined: 1, refused: 1 })
  })

  it('never has more sockets than places, also before those that made room are gone', async () => {
    const t = await start({ limits: { maxSockets: 3, reservedShare: 0 } })
    const most: number[] = []
    t.wss.on('headers', () => most.push(t.quarantine.counts.quarantined + t.quarantine.counts.refused))
    await Promise.all(Array.from({ length: 12 }, (_, n) => refusedFrom(t, fresh(n)).catch(() => [])))
    await letIn(t, '192.0.2.1')
    expect(most.length).toBeGreaterThan(3)
    expect(Math.max(...most)).toBe(3)
  })

  it('takes the place of a peer that ignores its close frame', async () => {
    const t = await start({ limits: { maxSockets: 2, reservedShare: 0, hold: 0 } })
    for (let n = 0; n < 2; n++) {
      const peer = await t.raw([`X-Forwarded-For: ${fresh(n)}`])
      await peer.upgraded()
      peer.write(text(auth(wrongToken)))
      await eventually(() => t.quarantine.counts.refused === n + 1)
    }
    await letIn(t, '192.0.2.1')
    await eventually(() => t.quarantine.counts.refused === 1)
  })

  it('takes a place of an acquaintance that was refused where strangers may have it', async () => {
    const t = await start({ limits: { maxSockets: 2, reservedShare: 0 } })
    await letIn(t, '198.51.100.1')
    const [known] = await refusedFrom(t, '198.51.100.1', 2)
    await letIn(t, '192.0.2.1')
    expect(await known?.closed()).toMatchObject({ code: 4401 })
  })

  it('keeps strangers to their share', async () => {
    const t = await start({ limits: { maxSockets: 4 } })
    await letIn(t, '198.51.100.1')
    const [known] = await refusedFrom(t, '198.51.100.1')
    const strangers = await Promise.all([1, 2, 3].map((n) => refusedFrom(t, fresh(n))))
    expect(t.quarantine.counts.refused).toBe(4)
    // A stranger takes a stranger's place.
    await letIn(t, '192.0.2.1')
    expect(await strangers[0]?.[0]?.closed()).toMatchObject({ code: 4401 })
    expect(known?.ws.readyState).toBe(1)
  })

  it('does not let an address that is refused all the time push others out', async () => {
    const t = await start({ limits: { maxSockets: 4, reservedShare: 0, maxRefusals: 4, maxHeld: 0 } })
    for (let n = 0; n < 4; n++) {
      const [client] = await refusedFrom(t, '203.0.113.9')
      client?.ws.terminate()
      await eventually(() => t.quarantine.counts.refused === 0)
    }
    const others = [1, 2, 3, 4].map((n) => from(t, `192.0.2.${n}`))
    for (const other of others) await other.opened()
    await eventually(() => t.quarantine.counts.quarantined === 4)
    // Before 101: that is what reconnecting clients take for a failure, and wait longer after.
    const back = from(t, '203.0.113.9')
    expect(await back.refused()).toBe(503)
    expect(back.refusal?.headers['retry-after']).toBeDefined()
    await from(t, '192.0.2.5').opened()
    expect(await others[0]?.closed()).toMatchObject({ code: 1013 })
  })
})

describe('what occupies places cheaply', () => {
  it('is evicted although it has said something', async () => {
    const handshake = jsonFrame({ credential: (m) => m.auth?.token })
    const t = await start({
      limits: { maxSockets: 4, reservedShare: 0 },
      handshake: {
        ...handshake,
        receive: (received, context) =>
          !received.binary && received.text === 'ping'
            ? { step: 'ignore' }
            : handshake.receive(received, context),
      },
    })
    const chatty = [1, 2, 3, 4].map((n) => from(t, fresh(n)))
    for (const client of chatty) await client.send('ping')
    await eventually(() => t.quarantine.counts.quarantined === 4)
    await settled()
    await letIn(t, '192.0.2.1')
    expect(await chatty[0]?.closed()).toEqual({ code: 1013, reason: 'over_capacity' })
    await letIn(t, '192.0.2.2')
  })

  it('is evicted while it drips one byte after another', async () => {
    const t = await start({ limits: { maxSockets: 1, reservedShare: 0 } })
    const peer = await t.raw(['X-Forwarded-For: 203.0.113.9'])
    await peer.upgraded()
    peer.write(frame(1, 'x'.repeat(100)).subarray(0, 7))
    await eventually(() => t.quarantine.counts.quarantined === 1)
    await letIn(t, '192.0.2.1')
    await peer.gone()
  })

  it('is evicted while it waits for its turn, but not while it is verified', async () => {
    const t = await start({
      verify: () => new Promise(() => {}),
      limits: { maxSockets: 3, reservedShare: 0, maxVerifying: 1 },
    })
    const clients = [1, 2, 3].map((n) => from(t, fresh(n)))
    for (const [n, client] of clients.entries()) {
      await client.send(auth())
      await eventually(() => t.quarantine.counts.verifying === n + 1)
    }
    await from(t, '192.0.2.1').opened()
    expect(await clients[1]?.closed()).toMatchObject({ code: 1013 })
    await settled()
    expect(clients[0]?.ws.readyState).toBe(1)
  })

  it('may lose its place again after a credential that was refused', async () => {
    const answers: ((answer: Verification) => void)[] = []
    const t = await start({
      limits: { maxSockets: 1, reservedShare: 0, maxAttempts: 2 },
      verify: () => {
        const { promise, resolve } = deferredPromise<Verification>()
        answers.push(resolve)
        return promise
      },
    })
    const client = from(t, fresh(1))
    await client.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 1)
    // Looked at and passed over while it is verified.
    expect(await from(t, fresh(2)).refused()).toBe(503)
    answers[0]?.({ outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' })
    await client.message()
    await from(t, fresh(3)).opened()
    expect(await client.closed()).toMatchObject({ code: 1013 })
  })
})

describe('verifications of strangers', () => {
  it('leave a share to addresses that succeeded before, which do not wait behind them', async () => {
    const answers: { value: string; resolve: (answer: Verification) => void }[] = []
    const t = await start({
      limits: { maxVerifying: 4 },
      verify: (value) => {
        if (value === goodToken) return { outcome: 'authenticated', principal: device('node-1') }
        const { promise, resolve } = deferredPromise<Verification>()
        answers.push({ value, resolve })
        return promise
      },
    })
    await letIn(t, '198.51.100.1')
    for (let n = 0; n < 6; n++) {
      await from(t, fresh(n)).send(auth(`${wrongToken}${n}`))
      await eventually(() => t.quarantine.counts.verifying === n + 1)
    }
    expect(answers).toHaveLength(3)
    for (const n of [0, 1]) {
      await from(t, '198.51.100.1').send(auth(`slow-${goodToken}-${n}`))
      await eventually(() => t.quarantine.counts.verifying === 7 + n)
    }
    expect(answers.map(({ value }) => value).slice(3)).toEqual([`slow-${goodToken}-0`])
    // The next turn is the other acquaintance's, though four strangers have waited longer.
    answers[0]?.resolve({ outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' })
    await eventually(() => answers.length === 5)
    expect(answers[4]?.value).toBe(`slow-${goodToken}-1`)
    // And the strangers have their turns once there is room for them.
    for (const { resolve } of answers) {
      resolve({ outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' })
    }
    await eventually(() => answers.length === 8)
    expect(answers.slice(5).map(({ value }) => value)).toEqual([3, 4, 5].map((n) => `${wrongToken}${n}`))
  })
})

describe('candidates', () => {
  it('finds the oldest of a largest network, as a look at all of them would', () => {
    const addresses = new Addresses(manualClock())
    const random = seededRandom(8)
    const candidates = new Candidates<Candidate>('strangers')
    const all: Candidate[] = []
    const networkOf = ({ bucket }: Candidate): Bucket => {
      let network = bucket
      while (network.wider !== undefined) network = network.wider
      return network
    }
    for (let step = 0; step < 20_000; step++) {
      if (all.length === 0 || random() < 0.5) {
        const item = { bucket: addresses.of(fresh(Math.floor(random() ** 3 * 40), random() < 0.5)), place: 0 }
        candidates.add(item)
        all.push(item)
      } else {
        const item = random() < 0.3 ? candidates.first : all[Math.floor(random() * all.length)]
        if (item === undefined) throw new Error('there is one')
        candidates.delete(item)
        candidates.delete(item)
        all.splice(all.indexOf(item), 1)
      }
      const sizes = new Map<Bucket, number>()
      for (const item of all) sizes.set(networkOf(item), (sizes.get(networkOf(item)) ?? 0) + 1)
      const { first } = candidates
      if (first === undefined) {
        expect(all).toEqual([])
        continue
      }
      const network = networkOf(first)
      expect(sizes.get(network)).toBe(Math.max(...sizes.values()))
      expect(all.find((item) => networkOf(item) === network)).toBe(first)
    }
  })
})
