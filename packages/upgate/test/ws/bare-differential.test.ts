/*
 * Random byte streams, cut at random offsets, against two quarantines: one answers by hand, the other lets `ws` answer
 * and read from the first byte on. What the client gets and what the application hears must be the same, plain and
 * through TLS with a record for each byte.
 * UPGATE_SEED=7 generates others; UPGATE_STREAMS=1000000 takes about twenty minutes, UPGATE_TLS_STREAMS more than ten
 * times as long for as many.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { auth, closeAll, frame, goodToken, type Harness, seededRandom, start, wrongToken } from './harness.ts'
import { admitInMemory } from './memory-socket.ts'
import { plainWire, tlsWire, type Wire } from './memory-wires.ts'

afterEach(closeAll)

const streams = Number(process.env.UPGATE_STREAMS ?? 2_000)
const tlsStreams = Number(process.env.UPGATE_TLS_STREAMS ?? 50)
const seed = Number(process.env.UPGATE_SEED ?? 1)

/** What a stream led to. */
interface Outcome {
  readonly answered: string
  readonly heard: readonly string[]
  readonly accepted: boolean
  readonly ended: boolean
}

async function play(
  t: Harness,
  makeWire: () => Promise<Wire>,
  chunks: readonly Buffer[],
  finish: boolean,
  heard: string[],
): Promise<Outcome> {
  const wire = await makeWire()
  heard.length = 0
  const before = t.connections.length
  const refused = await admitInMemory(t, wire.socket)
  if (refused !== undefined) throw new Error(`refused: ${refused.code}`)
  await wire.arrived()
  for (const chunk of chunks) await wire.send(chunk)
  if (finish) wire.finish()
  await wire.arrived()
  // The hold, then the grace; the deadline for those that wait still.
  for (const duration of [1_600, 10_000, 1_600]) {
    t.clock.advance(duration)
    await wire.arrived()
  }
  const result = {
    answered: wire.answered().toString('latin1'),
    heard: [...heard],
    accepted: t.connections.length > before,
    ended: wire.isEnded(),
  }
  wire.socket.destroy()
  await wire.arrived()
  return result
}

/** A stream of frames: credentials, good and bad, in between what clients send, may send and must not send. */
function stream(random: () => number): { chunks: Buffer[]; finish: boolean } {
  const below = (n: number): number => Math.floor(random() * n)
  const word = (): string => 'x'.repeat(below(4) === 0 ? below(300) : below(20))
  const whole = (text: string): Buffer => frame(1, text)
  const makers: (() => Buffer)[] = [
    () => whole(JSON.stringify(auth(goodToken))),
    () => whole(JSON.stringify(auth(goodToken))),
    () => whole(JSON.stringify(auth(wrongToken))),
    () => whole(word()),
    () =>
      whole(JSON.stringify({ auth: { token: goodToken }, pad: 'x'.repeat(below(3) === 0 ? 66_000 : 200) })),
    () => frame(2, word()),
    () => Buffer.concat([frame(1, '{"auth":{"tok', false), frame(0, `en":"${goodToken}"}}`)]),
    () => frame(1, word(), false),
    () => frame(0, word(), below(2) === 0),
    () => frame(9, word().slice(0, 125)),
    () => frame(10, word().slice(0, 125)),
    () => frame(8, Buffer.from([3, 232 + below(4)])),
    () => frame(8, ''),
    () => frame(3 + below(5), word()),
    () => frame(1, Buffer.from([0x61, 0xc3, 0x28])),
    () => Buffer.from(Array.from({ length: 1 + below(30) }, () => below(256))),
  ]
  const parts: Buffer[] = []
  const count = 1 + below(4)
  for (let i = 0; i < count; i++) {
    const made = (makers[below(makers.length)] as () => Buffer)()
    // A byte turned: a mask bit, a reserved bit, a length, a character.
    if (below(10) === 0) made[below(Math.min(made.length, 12))] = below(256)
    parts.push(made)
  }
  const chunks: Buffer[] = []
  // Mostly as clients write: a frame at a time.
  if (below(2) === 0) chunks.push(...parts)
  else {
    let rest = Buffer.concat(parts)
    while (rest.length > 0) {
      const cut = 1 + below(below(3) === 0 ? 3 : rest.length)
      chunks.push(rest.subarray(0, cut))
      rest = rest.subarray(cut)
    }
  }
  return { chunks: chunks.slice(0, 60), finish: below(8) === 0 }
}

describe('a socket without an object of ws answers as one with it', () => {
  it.each([
    ['plain', streams, plainWire],
    ['through TLS, a record for each byte', tlsStreams, tlsWire],
  ] as const)(
    '%s, in %i random streams',
    async (_, count, makeWire) => {
      const limits = { maxRefusals: 1e9, maxAttempts: 2 }
      const pair = await Promise.all([start({ limits }), start({ limits, eager: true })])
      const heard: string[][] = [[], []]
      pair.forEach((t, i) => {
        t.wss.on('connection', (ws) => {
          ws.on('message', (data, isBinary) => heard[i]?.push(`${isBinary} ${String(data)}`))
          ws.on('error', () => {})
        })
      })
      const random = seededRandom(seed)
      const tally = { accepted: 0, refused: 0 }
      for (let i = 0; i < count; i++) {
        const { chunks, finish } = stream(random)
        const outcomes: Outcome[] = []
        for (const [n, t] of pair.entries())
          outcomes.push(await play(t, makeWire, chunks, finish, heard[n] as string[]))
        const shown = chunks.map((chunk) => chunk.toString('hex').slice(0, 400)).join(' | ')
        expect(outcomes[0], `stream ${i}: ${shown}`).toEqual(outcomes[1])
        if (outcomes[0]?.accepted) tally.accepted++
        else tally.refused++
      }
      expect(tally.accepted).toBeGreaterThan(count / 20)
      expect(tally.refused).toBeGreaterThan(count / 20)
      const empty = { quarantined: 0, verifying: 0, refused: 0, anonymous: 0 }
      for (const t of pair) expect(t.quarantine.counts).toMatchObject(empty)
    },
    3_600_000,
  )
})
