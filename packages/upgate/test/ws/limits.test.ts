import type { Verification } from 'upgate'
import { createQuarantine, jsonFrame, type QuarantineOptions } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import {
  auth,
  type Client,
  closeAll,
  deferredPromise,
  device,
  eventually,
  goodToken,
  type Harness,
  settled,
  start,
  table,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

const from = (t: Harness, address: string): Client => t.connect({ 'x-forwarded-for': address })

/** Connects from an address and waits until the quarantine has it. */
async function silent(t: Harness, address: string): Promise<Client> {
  const { quarantined } = t.quarantine.counts
  const client = from(t, address)
  await client.opened()
  await eventually(() => t.quarantine.counts.quarantined > quarantined)
  return client
}

describe('caps', () => {
  it('holds an address to its sockets, and answers further ones with 503 and Retry-After', async () => {
    const t = await start({ limits: { maxSocketsPerAddress: 3 } })
    const clients = [await silent(t, '192.0.2.1'), await silent(t, '192.0.2.1'), await silent(t, '192.0.2.1')]
    const over = from(t, '192.0.2.1')
    expect(await over.refused()).toBe(503)
    expect(Number(over.refusal?.headers['retry-after'])).toBeGreaterThan(0)
    await silent(t, '192.0.2.2')
    // The place is free again once the socket is gone, and only once.
    clients[0]?.ws.terminate()
    await eventually(() => t.quarantine.counts.quarantined === 3)
    await silent(t, '192.0.2.1')
    expect(await from(t, '192.0.2.1').refused()).toBe(503)
  })

  it('counts an accepted socket no more', async () => {
    const t = await start({ limits: { maxSocketsPerAddress: 1 } })
    for (let i = 0; i < 4; i++) {
      const client = from(t, '192.0.2.1')
      await client.send(auth())
      await client.message()
    }
    expect(t.quarantine.counts).toMatchObject({ accepted: 4, quarantined: 0 })
  })

  it('treats an IPv6 /64 as one address, with room for more in the /56 and /48', async () => {
    const t = await start({ limits: { maxSocketsPerAddress: 2 } })
    await silent(t, '2001:db8:1:100::1')
    await silent(t, '2001:db8:1:100:ffff::2')
    expect(await from(t, '2001:db8:1:100::3').refused()).toBe(503)
    await silent(t, '2001:db8:1:101::1')
    await silent(t, '2001:db8:1:102::1')
    expect(await from(t, '2001:db8:1:103::1').refused()).toBe(503)
    for (const net of ['200', '201', '300', '301']) await silent(t, `2001:db8:1:${net}::1`)
    expect(await from(t, '2001:db8:1:400::1').refused()).toBe(503)
    await silent(t, '2001:db8:2::1')
  })

  it('holds clients of unknown address to the limits over all sockets only', async () => {
    const t = await start({ limits: { maxSocketsPerAddress: 1 } })
    const clients = [t.connect(), t.connect(), t.connect()]
    await Promise.all(clients.map((client) => client.opened()))
    await eventually(() => t.quarantine.counts.quarantined === 3)
  })
})

describe('under pressure', () => {
  it('shortens the deadline from half full on, for addresses without a recent success', async () => {
    const t = await start({ limits: { maxSockets: 4, reservedShare: 0 } })
    const known = from(t, '198.51.100.1')
    await known.send(auth())
    await known.message()
    const friend = await silent(t, '198.51.100.1')
    const stranger = await silent(t, '192.0.2.1')
    t.clock.advance(2999)
    await settled()
    expect(stranger.ws.readyState).toBe(1)
    t.clock.advance(1)
    expect(await stranger.closed()).toMatchObject({ code: 4408 })
    await settled()
    expect(friend.ws.readyState).toBe(1)
    t.clock.advance(7000)
    expect(await friend.closed()).toMatchObject({ code: 4408 })
  })

  it('evicts the oldest silent socket of the largest address, not the newcomer', async () => {
    const t = await start({ limits: { maxSockets: 4, reservedShare: 0 } })
    const lonely = await silent(t, '192.0.2.1')
    const attackers = [
      await silent(t, '203.0.113.9'),
      await silent(t, '203.0.113.9'),
      await silent(t, '203.0.113.9'),
    ]
    const newcomer = from(t, '192.0.2.2')
    await newcomer.opened()
    expect(await attackers[0]?.closed()).toEqual({ code: 1013, reason: 'over_capacity' })
    await newcomer.send(auth())
    expect(await newcomer.message()).toMatchObject({ type: 'auth_ok' })
    expect(lonely.ws.readyState).toBe(1)
    expect(attackers[1]?.ws.readyState).toBe(1)
    // The place of the evicted one was given back once, not again when its socket had gone.
    await settled()
    expect(t.quarantine.counts).toMatchObject({ quarantined: 3, refused: 0 })
  })

  it('takes an IPv6 /48 for one when it looks for the largest', async () => {
    const t = await start({ limits: { maxSockets: 4, reservedShare: 0 } })
    const lonely = [await silent(t, '192.0.2.1'), await silent(t, '192.0.2.1')]
    const first = await silent(t, '2001:db8:1:100::1')
    await silent(t, '2001:db8:1:200::1')
    // Both have two: the older one goes.
    await from(t, '192.0.2.2').opened()
    expect(await lonely[0]?.closed()).toMatchObject({ code: 1013 })
    await from(t, '192.0.2.3').opened()
    expect(await first.closed()).toMatchObject({ code: 1013 })
  })

  it('keeps a quarter of the places for addresses that succeeded recently', async () => {
    const t = await start({ limits: { maxSockets: 4 } })
    const known = from(t, '198.51.100.1')
    await known.send(auth())
    await known.message()
    const strangers = [
      await silent(t, '192.0.2.1'),
      await silent(t, '192.0.2.2'),
      await silent(t, '192.0.2.3'),
    ]
    // Strangers evict strangers, however free the fourth place is.
    await from(t, '192.0.2.4').opened()
    expect(await strangers[0]?.closed()).toMatchObject({ code: 1013 })
    expect(t.quarantine.counts.quarantined).toBe(3)
    const friend = await silent(t, '198.51.100.1')
    expect(t.quarantine.counts.quarantined).toBe(4)
    expect(strangers[1]?.ws.readyState).toBe(1)
    expect(friend.ws.readyState).toBe(1)
  })

  it('refuses with 503 when every place has a verification under way', async () => {
    const t = await start({
      verify: () => new Promise(() => {}),
      limits: { maxSockets: 1, reservedShare: 0 },
    })
    const busy = await silent(t, '192.0.2.1')
    await busy.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 1)
    const over = from(t, '192.0.2.2')
    expect(await over.refused()).toBe(503)
    expect(over.refusal?.headers['retry-after']).toBeDefined()
  })
})

describe('verifications in flight', () => {
  it('lets further ones wait for their turn, and one address not take all of it', async () => {
    const answers: { value: string; resolve: (answer: Verification) => void }[] = []
    const t = await start({
      limits: { maxVerifying: 3, maxVerifyingPerAddress: 2 },
      verify: (value) => {
        const { promise, resolve } = deferredPromise<Verification>()
        answers.push({ value, resolve })
        return promise
      },
    })
    const clients: Client[] = []
    for (let i = 0; i < 4; i++) {
      const client = from(t, '203.0.113.9')
      clients.push(client)
      await client.send(auth(`attacker-token-000000000${i}`))
      await eventually(() => t.quarantine.counts.verifying === i + 1)
    }
    expect(answers).toHaveLength(2)
    const honest = from(t, '192.0.2.1')
    await honest.send(auth())
    await eventually(() => answers.length === 3)
    expect(answers[2]?.value).toBe(goodToken)
    const other = from(t, '192.0.2.2')
    await other.send(auth())
    await settled()
    expect(answers).toHaveLength(3)
    answers[2]?.resolve({ outcome: 'authenticated', principal: device('node-1') })
    expect(await honest.message()).toMatchObject({ type: 'auth_ok' })
    await eventually(() => answers.length === 4)
    expect(answers[3]?.value).toBe(goodToken)
  })

  it('counts a verification of a closed socket until it ends, and starts none for a socket that left the queue', async () => {
    const answers: ((answer: Verification) => void)[] = []
    const t = await start({
      limits: { maxVerifying: 1 },
      verify: () => {
        const { promise, resolve } = deferredPromise<Verification>()
        answers.push(resolve)
        return promise
      },
    })
    const first = from(t, '192.0.2.1')
    await first.send(auth())
    await eventually(() => answers.length === 1)
    const second = from(t, '192.0.2.2')
    await second.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 2)
    const third = from(t, '192.0.2.3')
    await third.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 3)
    first.ws.terminate()
    second.ws.terminate()
    await settled()
    expect(answers).toHaveLength(1)
    t.clock.advance(5000)
    await eventually(() => answers.length === 2)
    await settled()
    expect(answers).toHaveLength(2)
  })

  it('refuses with 1013 what does not get its turn before the deadline', async () => {
    const t = await start({
      verify: () => new Promise(() => {}),
      limits: { maxVerifying: 1, verifyTimeout: 60_000 },
    })
    const first = t.connect()
    await first.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 1)
    const second = t.connect()
    await second.send(auth())
    await eventually(() => t.quarantine.counts.verifying === 2)
    t.clock.advance(10_000)
    expect(await second.closed()).toEqual({ code: 1013, reason: 'unavailable' })
  })
})

describe('repeated refusals', () => {
  async function fail(t: Harness, address: string, token: string): Promise<void> {
    const client = from(t, address)
    await client.send(auth(token))
    await client.message()
    client.ws.terminate()
    await eventually(() => t.quarantine.counts.refused === 0)
  }

  it('answers 429 before 101 after ten guesses in a minute, to that address alone', async () => {
    const t = await start()
    for (let i = 0; i < 10; i++) await fail(t, '203.0.113.9', `guess${i}`)
    const over = from(t, '203.0.113.9')
    expect(await over.refused()).toBe(429)
    expect(Number(over.refusal?.headers['retry-after'])).toBe(60)
    await silent(t, '192.0.2.1')
    t.clock.advance(60_000)
    await from(t, '203.0.113.9').opened()
  })

  it('counts passwords as guesses, whatever their length', async () => {
    const password = 'a very long password that is wrong'
    const t = await start({
      handshake: jsonFrame({ credential: () => ({ type: 'password', source: 'frame', value: password }) }),
      limits: { maxRefusals: 2 },
    })
    await fail(t, '203.0.113.9', 'x')
    await fail(t, '203.0.113.9', 'x')
    expect(await from(t, '203.0.113.9').refused()).toBe(429)
  })

  it('slows an address with stale tokens, but never locks its neighbours out', async () => {
    const t = await start()
    for (let i = 0; i < 30; i++) await fail(t, '203.0.113.9', wrongToken)
    const two = [await silent(t, '203.0.113.9'), await silent(t, '203.0.113.9')]
    expect(await from(t, '203.0.113.9').refused()).toBe(503)
    await two[0]?.send(auth())
    expect(await two[0]?.message()).toMatchObject({ type: 'auth_ok' })
  })

  // An attacker with one good credential mixes it with guesses: a success in between must not clear the count.
  it('does not forget guesses after another client at the same address succeeded', async () => {
    const t = await start()
    for (let i = 0; i < 10; i++) {
      await fail(t, '203.0.113.9', `guess${i}`)
      if (i === 8) {
        const good = from(t, '203.0.113.9')
        await good.send(auth())
        await good.message()
      }
    }
    expect(await from(t, '203.0.113.9').refused()).toBe(429)
  })

  it('does not count refusals that are no fault of the client', async () => {
    const t = await start({
      verify: () => ({ outcome: 'unavailable', reason: 'down' }),
      limits: { maxRefusals: 1 },
    })
    for (let i = 0; i < 3; i++) await fail(t, '192.0.2.1', 'short')
    await silent(t, '192.0.2.1')
  })

  it('does not count missing credentials', async () => {
    const t = await start({ limits: { maxRefusals: 1, slowedSockets: 1 } })
    for (let i = 0; i < 3; i++) {
      const client = from(t, '192.0.2.1')
      await client.send(JSON.stringify({ type: 'auth' }))
      expect(await client.message()).toMatchObject({ type: 'auth_error', code: 'auth_required' })
      client.ws.terminate()
      await eventually(() => t.quarantine.counts.refused === 0)
    }
    await silent(t, '192.0.2.1')
    await silent(t, '192.0.2.1')
  })
})

describe('hold', () => {
  it('closes at once beyond the number it may hold', async () => {
    const t = await start({ limits: { maxHeld: 1 } })
    const held = t.connect()
    await held.send(auth(wrongToken))
    await held.message()
    const second = t.connect()
    await second.send(auth(wrongToken))
    expect(await second.closed()).toMatchObject({ code: 4401 })
    expect(held.ws.readyState).toBe(1)
  })

  it('keeps the place of the address while it holds', async () => {
    const t = await start({ limits: { maxSocketsPerAddress: 1 } })
    const client = from(t, '192.0.2.1')
    await client.send(auth(wrongToken))
    await client.message()
    expect(await from(t, '192.0.2.1').refused()).toBe(503)
  })

  it('can be switched off', async () => {
    const t = await start({ limits: { hold: 0 } })
    const client = t.connect()
    await client.send(auth(wrongToken))
    expect(await client.closed()).toMatchObject({ code: 4401 })
  })
})

describe('options', () => {
  it('refuses unknown options and impossible values', async () => {
    const { gate } = await start({ verify: table({}) })
    for (const [options, message] of [
      [{ handshakeTimeout: 5 }, /unknown option `handshakeTimeout`/],
      [{ deadline: 0 }, /`deadline` must be a whole number/],
      [{ deadline: 2 ** 31 }, /`deadline`/],
      [{ maxSockets: 0 }, /`maxSockets`/],
      [{ maxBytes: Number.NaN }, /`maxBytes`/],
      [{ reservedShare: 2 }, /`reservedShare` must be a number from 0 to 1/],
      [{ revokedCode: 1006 }, /`revokedCode` must be a close code/],
    ] as const) {
      expect(() => createQuarantine(gate, options as QuarantineOptions)).toThrow(TypeError)
      expect(() => createQuarantine(gate, options as QuarantineOptions)).toThrow(message)
    }
  })
})
