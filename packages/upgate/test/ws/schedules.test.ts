/*
 * The states of the quarantine under random schedules: frames, FIN, RST, time, revocations, drains, answers of the verifier
 * that come at once, late, never or throw, and renewals, in every order that the scheduler of fast-check finds. A failure is
 * shrunk. UPGATE_SEED=7 makes others; UPGATE_SCHEDULES=20000 takes about five minutes.
 */
import type { IncomingMessage } from 'node:http'
import fc from 'fast-check'
import type { Principal, Verification } from 'upgate'
import { type Handshake, type HandshakeContext, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { closeAll, device, frame, start, text } from './harness.ts'
import { admitInMemory, MemorySocket, turn } from './memory-socket.ts'
import { readFrames } from './server-frames.ts'

afterEach(closeAll)

const runs = Number(process.env.UPGATE_SCHEDULES ?? 250)
const seed = Number(process.env.UPGATE_SEED ?? 1)
const good = upgateHandshake({ refresh: true })

const answers = ['allow', 'refuse', 'other', 'revoked', 'throw'] as const
const whens = ['now', 'late', 'never'] as const
/** A token says how it is to be verified. */
const tokens = fc.record({ answer: fc.constantFrom(...answers), when: fc.constantFrom(...whens) })
const likely = fc.record({ answer: fc.constant('allow' as const), when: fc.constantFrom('now', 'late') })
const token = fc.oneof({ weight: 3, arbitrary: likely }, { weight: 1, arbitrary: tokens })

const steps = fc.oneof(
  fc.record({ do: fc.constantFrom('auth', 'auth and data', 'renew' as const), token }),
  fc.record({
    do: fc.constantFrom('data', 'part', 'ping', 'close', 'FIN', 'RST', 'nonsense', 'drip' as const),
  }),
)
const scripts = fc.array(
  fc.record({
    address: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'),
    steps: fc.array(steps, { minLength: 1, maxLength: 5 }),
  }),
  { minLength: 1, maxLength: 6 },
)
/** What happens besides; a number is a time that passes. */
const happenings = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(1, 400, 1_500, 6_000, 11_000) },
    { weight: 2, arbitrary: fc.record({ revoke: fc.nat({ max: 5 }) }) },
    { weight: 2, arbitrary: fc.constant('broadcast' as const) },
    { weight: 1, arbitrary: fc.constantFrom('drain' as const, 'close the server' as const) },
  ),
  { maxLength: 5 },
)
const openings = fc.array(fc.constantFrom('at once', 'late', 'never', 'throws'), {
  minLength: 6,
  maxLength: 6,
})

type ValueOf<A> = A extends fc.Arbitrary<infer V> ? V : never
type Script = ValueOf<typeof scripts>[number]

/** One client, and what became of it. */
class Peer {
  readonly socket = new MemorySocket()
  readonly id: number
  readonly script: Script
  /** The number of its last message, and of the first one behind a good credential. */
  sent = 0
  provedFrom = Number.POSITIVE_INFINITY
  /** How often its handshake acknowledged, and was told that the socket is gone. */
  acknowledged = 0
  ends = 0
  readonly heard: number[] = []
  revoked = false

  constructor(id: number, script: Script) {
    this.id = id
    this.script = script
  }

  get principal(): Principal {
    return device(`node-${this.id}`)
  }

  bytesOf(step: Script['steps'][number]): Buffer {
    const data = (): Buffer => text({ type: 'data', peer: this.id, n: ++this.sent })
    switch (step.do) {
      case 'auth':
      case 'auth and data': {
        const { answer, when } = step.token
        const auth = text({
          type: 'auth',
          token: `${this.id} ${answer} ${when} 0123456789abcdef`,
          peer: this.id,
          n: ++this.sent,
        })
        if (answer === 'allow' || answer === 'other')
          this.provedFrom = Math.min(this.provedFrom, this.sent + 1)
        return step.do === 'auth' ? auth : Buffer.concat([auth, data(), data()])
      }
      case 'renew': {
        const { answer, when } = step.token
        return text({ type: 'auth_refresh', token: `${this.id} ${answer} ${when} 0123456789abcdef` })
      }
      case 'part':
        return frame(1, '{"type":', false)
      case 'ping':
        return Buffer.concat([frame(9, 'x'), frame(10, '')])
      case 'close':
        return frame(8, Buffer.from([3, 232]))
      case 'nonsense':
        return Buffer.from([0xff, 0x80, 0, 0, 0, 0])
      case 'drip':
        return Buffer.from([0x81])
      default:
        return data()
    }
  }

  take(step: Script['steps'][number]): void {
    const { socket } = this
    if (socket.destroyed || socket.readableEnded) return
    if (step.do === 'RST') socket.destroy(new Error('read ECONNRESET'))
    else if (step.do === 'FIN') socket.push(null)
    else socket.push(this.bytesOf(step))
  }
}

async function play(
  s: fc.Scheduler,
  plan: readonly Script[],
  events: ValueOf<typeof happenings>,
  opening: readonly string[],
  eager: boolean,
): Promise<Peer[]> {
  const peers = plan.map((script, id) => new Peer(id, script))
  const late = <T>(value: T, label: string): Promise<T> => s.schedule(Promise.resolve(value), label)
  const never = new Promise<never>(() => {})
  const opened: Peer[] = []
  const peerOf = (context: HandshakeContext): Peer => context.state as Peer
  const handshake: Handshake = {
    ...good,
    open(context) {
      // Sockets are opened in the order of their upgrades.
      const peer = admitting as Peer
      context.state = peer
      opened.push(peer)
      const how = opening[peer.id]
      if (how === 'throws') throw new Error('a bug')
      if (how === 'never') return never
      return how === 'late' ? late(['{"hello":true}'], `opening of ${peer.id}`) : []
    },
    accept(acceptance, context) {
      peerOf(context).acknowledged++
      return good.accept(acceptance, context)
    },
    closed(context) {
      peerOf(context).ends++
    },
  }
  let admitting: Peer | undefined
  const revokeNow = (id: number): void => {
    const peer = peers[id]
    if (peer !== undefined) peer.revoked = true
    t.revoke({ credentialId: `node-${id}-credential` })
  }
  const t = await start({
    handshake,
    eager,
    limits: {
      maxSockets: 4,
      maxHeld: 2,
      maxAttempts: 2,
      maxVerifying: 2,
      maxVerifyingPerAddress: 1,
      maxBytes: 600,
    },
    verify(value) {
      const [id, answer, when] = value.split(' ')
      const peer = peers[Number(id)] as Peer
      if (when === 'never') return never
      if (answer === 'throw') {
        if (when === 'now') throw new Error('a bug of the store')
        return late(undefined, `failure for ${peer.id}`).then(() => Promise.reject(new Error('gone')))
      }
      const principal = answer === 'other' ? device('other') : peer.principal
      const refused = answer === 'refuse' || (answer !== 'other' && peer.revoked)
      const verification: Verification = refused
        ? { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' }
        : { outcome: 'authenticated', principal }
      // The revocation comes while the answer is on its way.
      if (answer === 'revoked') revokeNow(peer.id)
      return when === 'late' ? late(verification, `answer for ${peer.id}`) : verification
    },
  })
  const unexpected: string[] = []
  t.wss.on('connection', (ws: WebSocket, request: IncomingMessage, principal: Principal | undefined) => {
    const peer = peers.find(({ socket }) => socket === (request.socket as unknown)) as Peer
    if (peer.acknowledged !== 1)
      unexpected.push(`${peer.id} connected, acknowledged ${peer.acknowledged} times`)
    const isOwn = principal?.id === peer.principal.id
    if (!isOwn && principal?.id !== 'other') unexpected.push(`${peer.id} connected as ${principal?.id}`)
    if (isOwn && peer.revoked) unexpected.push(`${peer.id} connected after its revocation`)
    ws.on('message', (data) => {
      const message = JSON.parse(String(data)) as { type: string; peer: number; n: number }
      if (message.type === 'auth_refresh' || message.peer !== peer.id)
        unexpected.push(`${peer.id} heard ${data}`)
      if (isOwn && peer.revoked) unexpected.push(`${peer.id} was heard after its revocation`)
      peer.heard.push(message.n)
    })
  })
  let drained: Promise<void> | undefined

  for (const peer of peers) {
    const label = (step: string): string => `${peer.id}: ${step}`
    void s.scheduleSequence([
      {
        label: label('upgrade'),
        async builder() {
          admitting = peer
          const refused = await admitInMemory(t, peer.socket, peer.script.address)
          if (refused !== undefined) peer.socket.destroy()
        },
      },
      ...peer.script.steps.map((step) => ({
        label: label(step.do),
        builder: async () => peer.take(step),
      })),
    ])
  }
  void s.scheduleSequence(
    events.map((event) => ({
      label: JSON.stringify(event),
      async builder() {
        if (typeof event === 'number') t.clock.advance(event)
        else if (event === 'broadcast') for (const client of t.wss.clients) client.send('"for all"')
        else if (event === 'drain') drained ??= t.quarantine.close()
        else if (event === 'close the server') t.wss.close()
        else revokeNow(event.revoke)
      },
    })),
  )
  await s.waitIdle()

  // Whatever is still there ends by itself: accepted sockets by their clients, all others by their deadlines.
  for (const peer of peers) if (peer.acknowledged > 0) peer.socket.destroy()
  for (let i = 0; i < 6; i++) {
    await turn()
    await turn()
    t.clock.advance(11_000)
  }
  await turn()
  await s.waitIdle()
  if (drained !== undefined) await drained

  expect(unexpected).toEqual([])
  const empty = { quarantined: 0, verifying: 0, refused: 0, accepted: 0, anonymous: 0 }
  expect(t.quarantine.counts).toEqual(empty)
  expect(t.gate.connections.size).toBe(0)
  expect(t.wss.clients.size).toBe(0)
  for (const peer of peers) {
    expect(peer.ends, `ends of ${peer.id}`).toBe(opened.includes(peer) ? 1 : 0)
    expect(peer.acknowledged).toBeLessThanOrEqual(1)
    expect(peer.heard).toEqual([...new Set(peer.heard)].sort((a, b) => a - b))
    if (peer.heard.length > 0) expect(peer.heard[0]).toBeGreaterThanOrEqual(peer.provedFrom)
    // A server that was closed answers 503.
    const frames = opened.includes(peer) ? readFrames(peer.socket.answered) : []
    const closes = frames.filter(({ opcode }) => opcode === 8)
    expect(closes.length, `close frames to ${peer.id}`).toBeLessThanOrEqual(1)
    if (closes.length === 1) expect(frames.at(-1)?.opcode, 'the close frame is the last').toBe(8)
    const texts = frames.filter(({ opcode }) => opcode === 1).map(({ payload }) => String(payload))
    const broadcast = texts.indexOf('"for all"')
    const acknowledged = texts.findIndex((said) => said.includes('"auth_ok"'))
    if (broadcast >= 0) expect(acknowledged, `${peer.id} got a broadcast`).toBeGreaterThanOrEqual(0)
    if (broadcast >= 0) expect(acknowledged).toBeLessThan(broadcast)
  }
  const refusals = t.events.flatMap((event) => (event.type === 'socket_refused' ? [event] : []))
  const closed = t.events.filter(({ type }) => type === 'socket_closed').length
  const accepted = t.events.filter(({ type }) => type === 'socket_accepted').length
  expect(closed).toBe(accepted)
  expect(refusals.length + accepted).toBeLessThanOrEqual(opened.length)
  expect(t.errors.filter((line) => /^error:/.test(line) && !/threw/.test(line))).toEqual([])
  // Every place is free again.
  if (drained === undefined && !events.includes('close the server')) {
    const after = Array.from({ length: 3 }, () => new MemorySocket())
    for (const socket of after) {
      admitting = new Peer(peers.length, { address: '192.0.2.1', steps: [] })
      expect(await admitInMemory(t, socket, undefined)).toBeUndefined()
    }
    await turn()
    expect(t.quarantine.counts.quarantined + t.quarantine.counts.refused).toBe(3)
    for (const socket of after) socket.destroy()
    await turn()
  }
  await closeAll()
  return peers
}

describe('under random schedules', () => {
  it(`nothing unauthenticated is heard, no place is lost, each socket ends once: ${runs} schedules`, async () => {
    let [connected, heard] = [0, 0]
    const act = async (step: () => Promise<void>): Promise<void> => {
      await step()
      await turn()
    }
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler({ act }),
        scripts,
        happenings,
        openings,
        fc.boolean(),
        async (s, plan, events, opening, eager) => {
          const peers = await play(s, plan, events, opening, eager)
          connected += peers.filter(({ acknowledged }) => acknowledged > 0).length
          heard += peers.reduce((sum, peer) => sum + peer.heard.length, 0)
        },
      ),
      { seed, numRuns: runs },
    )
    // Enough of them get far.
    expect(connected).toBeGreaterThan(runs / 4)
    expect(heard).toBeGreaterThan(runs / 10)
  }, 3_600_000)
})
