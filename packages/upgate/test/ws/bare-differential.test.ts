/*
 * Random byte streams, cut at random offsets, against two quarantines: one answers by hand, the other lets `ws` answer
 * and read from the first byte on. What the client gets and what the application hears must be the same.
 * UPGATE_SEED=7 generates others; UPGATE_STREAMS=1000000 takes about twenty minutes.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { auth, closeAll, frame, goodToken, type Harness, seededRandom, start, wrongToken } from './harness.ts'
import { admitInMemory, MemorySocket, turn } from './memory-socket.ts'

afterEach(closeAll)

const streams = Number(process.env.UPGATE_STREAMS ?? 2_000)
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
  chunks: readonly Buffer[],
  finish: boolean,
  heard: string[],
): Promise<Outcome> {
  const socket = new MemorySocket()
  heard.length = 0
  const before = t.connections.length
  const refused = await admitInMemory(t, socket)
  if (refused !== undefined) throw new Error(`refused: ${refused.code}`)
  await turn()
  for (const chunk of chunks) {
    socket.push(Buffer.from(chunk))
    await turn()
  }
  if (finish) socket.push(null)
  await turn()
  // The hold, then the grace; the deadline for those that wait still.
  t.clock.advance(1_600)
  await turn()
  t.clock.advance(10_000)
  await turn()
  t.clock.advance(1_600)
  await turn()
  const result = {
    answered: socket.answered.toString('latin1'),
    heard: [...heard],
    accepted: t.connections.length > before,
    ended: socket.writableEnded || socket.destroyed,
  }
  socket.destroy()
  await turn()
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
  it(`in ${streams} random streams`, async () => {
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
    for (let i = 0; i < streams; i++) {
      const { chunks, finish } = stream(random)
      const outcomes: Outcome[] = []
      for (const [n, t] of pair.entries()) outcomes.push(await play(t, chunks, finish, heard[n] as string[]))
      const shown = chunks.map((chunk) => chunk.toString('hex').slice(0, 400)).join(' | ')
      expect(outcomes[0], `stream ${i}: ${shown}`).toEqual(outcomes[1])
      if (outcomes[0]?.accepted) tally.accepted++
      else tally.refused++
    }
    expect(tally.accepted).toBeGreaterThan(streams / 20)
    expect(tally.refused).toBeGreaterThan(streams / 20)
    const empty = { quarantined: 0, verifying: 0, refused: 0, anonymous: 0 }
    for (const t of pair) expect(t.quarantine.counts).toMatchObject(empty)
  }, 3_600_000)
})
