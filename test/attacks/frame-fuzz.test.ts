/*
 * Random frames to a socket of each handshake, cut at random places: no exception, exactly one end or acceptance, no data for the
 * application before it, no answer without bound, and no credential in an event. `UPGATE_FUZZ=100` sends a hundred times as many
 * (about ten minutes), `UPGATE_SEED=7` others.
 */
import { centrifuge, connectFrame, graphqlWs, type Handshake, jsonFrame, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import {
  closeAll,
  device,
  frame,
  goodToken,
  type Harness,
  start,
} from '../../packages/upgate/test/ws/harness.ts'
import { admitInMemory, MemorySocket, turn } from '../../packages/upgate/test/ws/memory-socket.ts'
import { readFrames } from '../../packages/upgate/test/ws/server-frames.ts'
import { cases, createRandom, type Random, seed, timeFor } from './random.ts'
import { writeMessage } from './random-frames.ts'

afterEach(closeAll)

const streams = cases(100)
/** The most that a waiting socket may be answered with, in bytes: two refusals, and pongs. */
const mostAnswered = 8_192

const connect = {
  type: 'req',
  id: '1',
  method: 'connect',
  params: { minProtocol: 3, maxProtocol: 4, auth: { token: goodToken } },
}
const auth = { type: 'auth', token: goodToken }
/** Each handshake, and a message of its own that proves a principal. */
const subjects: Record<string, readonly [Handshake, object]> = {
  jsonFrame: [
    jsonFrame({ credential: (m) => m.auth?.token, declared: (m) => m.declared as never }),
    { auth: { token: goodToken } },
  ],
  'jsonFrame that ignores and answers': [
    jsonFrame({
      credential: (m) => m.payload?.token,
      ignore: (m) => m.type === ('ping' as never),
      open: () => ({ type: 'hello' }),
      accept: () => ({ ok: true }),
      reject: ({ code }) => ({ frame: { code }, closeCode: 4001, closeReason: code }),
    }),
    { id: 7, payload: { token: goodToken } },
  ],
  'jsonFrame of lists': [
    jsonFrame<readonly { token?: string }[]>({
      credential: (list) => list[4]?.token ?? null,
      replay: true,
    }),
    ['1', '2', 'room', 'phx_join', { token: goodToken }],
  ],
  graphqlWs: [
    graphqlWs({ credential: (payload) => payload.token }),
    { type: 'connection_init', payload: { token: goodToken } },
  ],
  centrifuge: [centrifuge(), { id: 1, connect: { token: goodToken } }],
  upgateHandshake: [upgateHandshake({ refresh: true }), auth],
  'upgateHandshake with keys': [upgateHandshake({ deviceKeys: true }), auth],
  connectFrame: [connectFrame(), connect],
  'connectFrame with keys': [
    connectFrame({ deviceKeys: true, dangerouslyAllowNonceOnly: true, replay: true }),
    connect,
  ],
}

/** What a client sends: frames, of which `good` is the place of the first with the good token, and their bytes in pieces. */
function writeStream(random: Random, message: object): { texts: string[]; good: number; chunks: Buffer[] } {
  const texts: string[] = []
  const parts: Buffer[] = []
  const sendsGood = random.oneIn(2)
  const count = 1 + random.below(5)
  const goodAt = sendsGood ? random.below(count) : -1
  for (let i = 0; i < count; i++) {
    const text = i === goodAt ? JSON.stringify(message) : writeMessage(random, goodToken)
    const bytes = Buffer.from(text)
    if (i !== goodAt && random.oneIn(8)) bytes[random.below(bytes.length || 1)] = random.below(256)
    // As the application would hear it.
    texts.push(String(bytes))
    const opcode = i !== goodAt && random.oneIn(10) ? 2 : 1
    const cut = random.below(bytes.length)
    const pieces = random.oneIn(4)
      ? [
          frame(opcode, bytes.subarray(0, cut), false),
          ...(random.oneIn(2) ? [frame(9, 'ping')] : []),
          frame(0, bytes.subarray(cut)),
        ]
      : [frame(opcode, bytes)]
    parts.push(...pieces, ...(random.oneIn(6) ? [frame(9, 'x'.repeat(random.below(126)))] : []))
  }
  const chunks: Buffer[] = []
  if (random.oneIn(2)) chunks.push(...parts)
  else {
    let rest = Buffer.concat(parts)
    while (rest.length > 0) {
      const cut = chunks.length > 40 ? rest.length : 1 + random.below(random.oneIn(3) ? 4 : rest.length)
      chunks.push(rest.subarray(0, cut))
      rest = rest.subarray(cut)
    }
  }
  const good = texts.findIndex((text) => text.includes(goodToken))
  return { texts, good, chunks }
}

async function play(t: Harness, chunks: readonly Buffer[]): Promise<Buffer> {
  const socket = new MemorySocket()
  const refused = await admitInMemory(t, socket)
  if (refused !== undefined) throw new Error(`refused: ${refused.code}`)
  await turn()
  for (const chunk of chunks) {
    if (socket.destroyed) break
    socket.push(Buffer.from(chunk))
    await turn()
  }
  for (const duration of [1_600, 10_000, 1_600, 10_000]) {
    t.clock.advance(duration)
    await turn()
  }
  const { answered } = socket
  socket.destroy()
  await turn()
  return answered
}

describe.each(Object.entries(subjects))('%s', (name, [handshake, message]) => {
  it(`gives the application nothing before a good credential, in ${streams} random streams`, {
    timeout: timeFor(100),
  }, async () => {
    const random = createRandom(seed * 1_000 + name.length)
    const t = await start({
      handshake,
      limits: { maxRefusals: 1e6, maxAttempts: 2 },
      verify: async (value) =>
        value === goodToken
          ? { outcome: 'authenticated', principal: device('node-1') }
          : { outcome: 'rejected', code: 'invalid_credential', reason: 'unknown' },
    })
    let heard: string[] = []
    t.wss.on('connection', (ws) => {
      ws.on('message', (data) => heard.push(String(data)))
      ws.on('error', () => {})
    })
    const tally = { accepted: 0, refused: 0 }
    for (let i = 0; i < streams; i++) {
      heard = []
      const before = t.connections.length
      const { texts, good, chunks } = writeStream(random, message)
      const about = `stream ${i} of seed ${seed}: ${JSON.stringify(texts).slice(0, 1_000)}`
      const answered = await play(t, chunks)
      const accepted = t.connections.length - before
      expect(accepted, about).toBeLessThanOrEqual(good === -1 ? 0 : 1)
      tally[accepted === 1 ? 'accepted' : 'refused']++
      // Nothing from before the good credential; it comes first where it is replayed.
      const possible = accepted === 0 ? [] : texts.slice(good)
      for (const text of heard) {
        const at = possible.indexOf(text)
        expect(at, `${JSON.stringify(text).slice(0, 200)} was heard; ${about}`).not.toBe(-1)
        possible.splice(0, at + 1)
      }
      const frames = readFrames(answered)
      const closes = frames.filter(({ opcode }) => opcode === 8)
      expect(closes.length, about).toBeLessThanOrEqual(1)
      if (accepted === 0) {
        expect(frames.at(-1)?.opcode, about).toBe(8)
        expect(answered.length, about).toBeLessThan(mostAnswered)
        const [close] = closes
        expect(close?.payload.readUInt16BE(0), about).toSatisfy(
          (code: number) => (code >= 1002 && code <= 1013) || (code >= 3000 && code <= 4999),
        )
      }
      // The id of a request is repeated in its answer, whatever the client chose.
      const said = String(answered).replaceAll(`"id":"${goodToken}"`, '')
      expect(said.includes(goodToken), about).toBe(false)
      expect(JSON.stringify(t.events.splice(0)).includes(goodToken), about).toBe(false)
      expect(
        t.errors.filter((line) => line.startsWith('error')),
        about,
      ).toEqual([])
      expect(t.quarantine.counts, about).toMatchObject({ quarantined: 0, verifying: 0, anonymous: 0 })
    }
    if (process.env.UPGATE_FUZZ !== undefined) console.log(name, tally)
    expect(tally.accepted).toBeGreaterThan(streams / 20)
    expect(tally.refused).toBeGreaterThan(streams / 20)
  })
})
