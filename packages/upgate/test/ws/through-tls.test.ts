/*
 * The bounds of the quarantine, raw and through TLS, for sockets with and without an object of `ws`: the same everywhere.
 * UPGATE_SOCKETS=tls runs the other tests of sockets through TLS.
 */
import type { Verification } from 'upgate'
import { afterEach, describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import {
  auth,
  closeAll,
  deferredPromise,
  device,
  eventually,
  frame,
  type Harness,
  type Options,
  type RawPeer,
  settled,
  start,
  text,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

const closeCodeAt = (code: number): Buffer => Buffer.from([code >> 8, code & 255])
const closedWith = (peer: RawPeer, code: number): Promise<void> =>
  peer.until(({ received }) => received.includes(closeCodeAt(code)))
const isEmpty = ({ quarantine: { counts } }: Harness): boolean =>
  Object.values(counts).every((count) => count === 0)

async function waiting(t: Harness, address = '192.0.2.1'): Promise<RawPeer> {
  const peer = await t.raw([`X-Forwarded-For: ${address}`])
  await peer.upgraded()
  return peer
}

describe.each([
  { tls: false, eager: false },
  { tls: false, eager: true },
  { tls: true, eager: false },
  { tls: true, eager: true },
])('with %o', (how) => {
  const begin = (options: Options = {}): Promise<Harness> => start({ ...how, ...options })

  it('a refusal is told at once and closed after the hold, and nothing is heard in between', async () => {
    const t = await begin()
    const peer = await waiting(t)
    peer.write(text(auth(wrongToken)))
    await peer.until((p) => p.text.includes('invalid_credential'))
    await eventually(() => t.quarantine.counts.refused === 1)
    peer.write(text(auth()), text('evil'))
    t.clock.advance(499)
    await settled()
    expect(peer.received.includes(closeCodeAt(4401))).toBe(false)
    t.clock.advance(1_001)
    await closedWith(peer, 4401)
    t.clock.advance(1_000)
    await peer.gone()
    peer.destroy()
    await eventually(() => isEmpty(t))
    expect(t.connections).toEqual([])
  })

  it('more bytes than the limit are not read', async () => {
    const t = await begin({ limits: { maxBytes: 4_096, hold: 0 } })
    const peer = await waiting(t)
    // A part of a frame never ends the message.
    peer.write(frame(1, 'x', false))
    for (let i = 0; i < 512; i++) peer.write(frame(0, 'x'.repeat(8_192), false))
    await closedWith(peer, 1009)
    t.clock.advance(1_000)
    await eventually(() => isEmpty(t))
    // What the kernel holds for a peer that is not read, and not the rest of the four megabytes.
    expect(peer.socket.writableLength + peer.socket.bytesWritten).toBeGreaterThan(4_000_000)
    expect(t.connections).toEqual([])
  })

  it('a silent socket ends at its deadline', async () => {
    const t = await begin()
    const peer = await waiting(t)
    t.clock.advance(9_999)
    await settled()
    expect(t.quarantine.counts.quarantined).toBe(1)
    t.clock.advance(1)
    await closedWith(peer, 4408)
    t.clock.advance(1_000)
    await eventually(() => isEmpty(t))
  })

  it('a newcomer displaces the oldest socket of the largest address, which is told', async () => {
    const t = await begin({ limits: { maxSockets: 4 } })
    const crowd: RawPeer[] = []
    for (let i = 0; i < 3; i++) crowd.push(await waiting(t, i === 0 ? '192.0.2.9' : '192.0.2.1'))
    const newcomer = await waiting(t, '192.0.2.2')
    await closedWith(crowd[1] as RawPeer, 1013)
    expect(t.quarantine.counts.quarantined).toBe(3)
    newcomer.write(text(auth()))
    await eventually(() => t.quarantine.counts.accepted === 1)
    for (const place of [0, 2]) expect(crowd[place]?.ended).toBe(false)
  })

  it('a drain closes sockets in every state with 1001, and resolves', async () => {
    const answer = deferredPromise<Verification>()
    const t = await begin({
      verify: (value) =>
        value === wrongToken
          ? { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
          : value.startsWith('slow')
            ? answer.promise
            : { outcome: 'authenticated', principal: device('node-1') },
    })
    const peers = await Promise.all([1, 2, 3, 4].map((n) => waiting(t, `192.0.2.${n}`)))
    const [silent, verifying, held, accepted] = peers as [RawPeer, RawPeer, RawPeer, RawPeer]
    verifying.write(text(auth('slow-token-0123456789abcdef')))
    held.write(text(auth(wrongToken)))
    accepted.write(text(auth()))
    await eventually(() => {
      const { counts } = t.quarantine
      return counts.verifying + counts.refused + counts.accepted === 3
    })
    let drained = false
    const draining = t.quarantine.close().then(() => (drained = true))
    for (const peer of [silent, verifying, held, accepted]) await closedWith(peer, 1001)
    await settled()
    expect(drained).toBe(false)
    t.clock.advance(1_000)
    await draining
    answer.resolve({ outcome: 'authenticated', principal: device('node-1') })
    await settled()
    expect(t.connections).toHaveLength(1)
    expect(isEmpty(t)).toBe(true)
  })

  it('a client is not read while it is verified, and no message of it is lost', async () => {
    const answer = deferredPromise<Verification>()
    const t = await begin({ verify: () => answer.promise })
    const heard: number[] = []
    t.wss.on('connection', (ws: WebSocket) => {
      ws.on('message', (data) => heard.push((data as Buffer).length))
    })
    const peer = await waiting(t)
    peer.write(text(auth()))
    await eventually(() => t.quarantine.counts.verifying === 1)
    for (let i = 0; i < 256; i++) peer.write(frame(2, Buffer.alloc(65_000)))
    await settled()
    // The kernel takes a part, the rest stays with the client.
    expect(peer.socket.writableLength).toBeGreaterThan(1_000_000)
    answer.resolve({ outcome: 'authenticated', principal: device('node-1') })
    await eventually(() => heard.length === 256)
    expect(new Set(heard)).toEqual(new Set([65_000]))
  })

  it('a reset in any state leaves nothing', async () => {
    const answer = deferredPromise<Verification>()
    const says: Record<string, (peer: RawPeer) => unknown> = {
      silent: () => {},
      'in the middle of a frame': (peer) => peer.write(text(auth()).subarray(0, 9)),
      held: (peer) => peer.write(text(auth(wrongToken))),
      verifying: (peer) => peer.write(text(auth('slow-token-0123456789abcdef'))),
      accepted: (peer) => peer.write(text(auth())),
    }
    for (const [state, say] of Object.entries(says)) {
      const t = await begin({
        verify: (value) =>
          value === wrongToken
            ? { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
            : value.startsWith('slow')
              ? answer.promise
              : { outcome: 'authenticated', principal: device('node-1') },
      })
      const peer = await waiting(t)
      say(peer)
      await settled()
      expect(isEmpty(t), state).toBe(false)
      peer.reset()
      await settled()
      // A socket that is not read does not see the reset: its deadline ends it.
      t.clock.advance(11_000)
      await settled()
      t.clock.advance(2_000)
      await eventually(() => isEmpty(t))
      expect(t.gate.connections.size, state).toBe(0)
      expect(t.wss.clients.size, state).toBe(0)
      expect(
        t.errors.filter((line) => line.startsWith('error')),
        state,
      ).toEqual([])
    }
  })
})
