/*
 * Sockets under random interleavings of frames, time, verifications, openings, revocations, evictions and ends.
 * UPGATE_SEED=7 generates others; UPGATE_RUNS=500 takes about two minutes.
 */
import type { Principal, Verification } from 'upgate'
import { type Handshake, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import {
  closeAll,
  deferredPromise,
  device,
  eventually,
  frame,
  type RawPeer,
  seededRandom,
  settled,
  start,
  text,
} from './harness.ts'

afterEach(closeAll)

const runs = Number(process.env.UPGATE_RUNS ?? 12)
const seed = Number(process.env.UPGATE_SEED ?? 1)
const good = upgateHandshake({ refresh: true })
const hello = { type: 'auth', token: 'node-token-0123456789abcdef' }
const empty = { quarantined: 0, verifying: 0, refused: 0, accepted: 0, anonymous: 0 }

/** Numbers of sockets that were opened, accepted, and refused in a run. */
type Tally = readonly [opened: number, accepted: number, refused: number]

async function run(seed: number): Promise<Tally> {
  const random = seededRandom(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T

  const openings = new Set<ReturnType<typeof deferredPromise<readonly string[]>>>()
  const verifications = new Set<ReturnType<typeof deferredPromise<Verification>>>()
  const opened: number[] = []
  const gone: number[] = []
  const accepted = new Set<number>()
  let revoked = 0
  const handshake: Handshake = {
    ...good,
    open(context) {
      const id = opened.length
      context.state = id
      opened.push(id)
      switch (below(4)) {
        case 0:
          return []
        case 1:
          if (random() < 0.1) throw new Error('a bug')
          return ['{"hello":true}']
        default: {
          const opening = deferredPromise<readonly string[]>()
          openings.add(opening)
          return opening.promise
        }
      }
    },
    accept(acceptance, context) {
      if (random() < 0.05) throw new Error('a bug')
      accepted.add(context.state as number)
      return good.accept(acceptance, context)
    },
    reject(refusal, context) {
      if (random() < 0.05) throw new Error('a bug')
      return good.reject(refusal, context)
    },
    closed(context) {
      gone.push(context.state as number)
      if (random() < 0.1) throw new Error('a bug')
    },
  }
  const principal = (): Principal => device(pick(['node-1', 'node-2']))
  const t = await start({
    handshake,
    limits: { maxSockets: 8, maxHeld: 3, maxAttempts: 2, maxVerifying: 3, maxSocketsPerAddress: 8 },
    verify: (): Verification | Promise<Verification> => {
      if (random() < 0.3) return { outcome: 'authenticated', principal: principal() }
      if (random() < 0.3) return { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
      const verification = deferredPromise<Verification>()
      verifications.add(verification)
      return verification.promise
    },
  })
  const received: string[] = []
  t.wss.on('connection', (ws) => {
    const listen = (): unknown => ws.on('message', (data) => received.push(String(data)))
    if (random() < 0.5) listen()
    else setImmediate(listen)
    if (random() < 0.05) throw new Error('a bug of the application')
  })

  const peers: RawPeer[] = []
  const settle = <T>(set: Set<ReturnType<typeof deferredPromise<T>>>, value: () => T): void => {
    const [next] = set
    if (next === undefined) return
    set.delete(next)
    if (random() < 0.2) next.reject(new Error('failed'))
    else next.resolve(value())
  }
  const actions: readonly (() => unknown)[] = [
    async () => {
      const peer = await t.raw([`X-Forwarded-For: 192.0.2.${below(5)}`])
      peers.push(peer)
    },
    () => peers.length > 0 && pick(peers.slice(-5)).write(text(hello)),
    () => peers.length > 0 && pick(peers.slice(-5)).write(text(hello), text({ type: 'data' }), text(hello)),
    () => peers.length > 0 && pick(peers.slice(-5)).write(frame(2, Buffer.alloc(below(200)))),
    () => peers.length > 0 && pick(peers.slice(-5)).write(frame(9, '')),
    () => peers.length > 0 && pick(peers.slice(-5)).write(frame(1, 'part', false)),
    () => peers.length > 0 && pick(peers.slice(-5)).write(frame(8, Buffer.from([3, 232]))),
    () => peers.length > 0 && pick(peers.slice(-5)).write(Buffer.from([0xff, 0, 0])),
    () => peers.length > 0 && pick(peers.slice(-5)).write(text({ ...hello, type: 'auth_refresh' })),
    () => peers.length > 0 && pick(peers.slice(-5)).reset(),
    () => peers.length > 0 && pick(peers.slice(-5)).socket.end(),
    () => settle(openings, () => ['{"hello":"late"}']),
    () => settle<Verification>(verifications, () => ({ outcome: 'authenticated', principal: principal() })),
    () =>
      settle<Verification>(verifications, () => ({
        outcome: 'rejected',
        code: 'invalid_credential',
        reason: 'unknown',
      })),
    () => t.clock.advance(pick([1, 200, 1000, 3000])),
    () => {
      if (++revoked % 4 === 0) t.revoke({ credentialId: pick(['node-1-credential', 'node-2-credential']) })
    },
    () => new Promise((resolve) => setImmediate(resolve)),
  ]
  for (let i = 0; i < 250; i++) {
    // The first ones, which lead to acceptance, are half of all.
    await (random() < 0.5 ? pick(actions.slice(0, 3)) : pick(actions))()
    for (let turn = below(4); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve))
  }

  for (const peer of peers) peer.destroy()
  await settled()
  for (let i = 0; i < 8; i++) {
    t.clock.advance(5000)
    await settled()
  }
  await eventually(() => t.quarantine.counts.accepted === 0 && t.quarantine.counts.quarantined === 0)
  for (const opening of openings) opening.resolve(['{"late":true}'])
  for (const verification of verifications)
    verification.resolve({ outcome: 'authenticated', principal: principal() })
  await eventually(() => gone.length >= opened.length)
  await settled()

  expect(t.quarantine.counts, `seed ${seed}`).toEqual(empty)
  expect(t.gate.connections.size, `seed ${seed}`).toBe(0)
  expect(
    [...gone].sort((a, b) => a - b),
    `seed ${seed}: each socket ends once`,
  ).toEqual(opened)
  // Every accepted socket acknowledged first: the application got no more sockets than acknowledgements.
  expect(t.connections.length, `seed ${seed}`).toBeLessThanOrEqual(accepted.size)
  const bugs = t.errors.filter((line) => line.startsWith('error:') && !/threw/.test(line))
  expect(bugs, `seed ${seed}`).toEqual([])
  // No slot is leaked: as many new sockets as ever find room.
  const after = await Promise.all(Array.from({ length: 6 }, () => t.raw(['X-Forwarded-For: 198.51.100.7'])))
  await Promise.all(after.map((peer) => peer.upgraded()))
  expect(
    after.map((peer) => /^HTTP\/1.1 (\d+)/.exec(peer.text)?.[1]),
    `seed ${seed}`,
  ).toEqual(Array(6).fill('101'))
  await eventually(() => t.quarantine.counts.quarantined + t.quarantine.counts.refused === 6)
  for (const peer of after) peer.destroy()
  await eventually(() => gone.length === opened.length)
  await t.quarantine.close()
  const refused = t.events.filter(({ type }) => type === 'socket_refused').length
  return [opened.length, t.connections.length, refused]
}

describe('under random interleavings', () => {
  it(`no slot is leaked, each socket ends once, and no socket reaches the application unacknowledged`, async () => {
    const tallies: Tally[] = []
    for (let i = 0; i < runs; i++) {
      tallies.push(await run(seed * 1000 + i))
      await closeAll()
    }
    // Each way was taken.
    for (const column of [0, 1, 2]) {
      const sum = tallies.reduce((total, tally) => total + (tally[column] ?? 0), 0)
      expect(sum / runs).toBeGreaterThan(1)
    }
  }, 300_000)
})
