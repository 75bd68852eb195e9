/* Handshakes could only send text: nats.ws waits for a binary INFO until it times out, mqtt.js for a binary CONNACK. */
import { type Handshake, type OutgoingFrame, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { type Client, closeAll, device, eventually, goodToken, start, table, wrongToken } from './harness.ts'

afterEach(closeAll)

const good = upgateHandshake({ refresh: true })
const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value))

/** Frames as they arrive: `b:` for binary ones, `t:` for text. */
function record(client: Client): string[] {
  const frames: string[] = []
  client.ws.on('message', (data, isBinary) => frames.push(`${isBinary ? 'b' : 't'}:${String(data)}`))
  return frames
}

const speaking: Handshake = {
  name: 'speaking',
  open: () => [bytes('INFO'), 'text', Buffer.from('xINFOx').subarray(1, 5), new Uint8Array(0)],
  receive(frame, context) {
    if (frame.binary) return { step: 'send', frames: [bytes('pong'), 'pong'] }
    return good.receive(frame, context)
  },
  accept: () => [bytes('yes'), 'yes'],
  reject: () => ({ frames: [bytes('no'), 'no'], closeCode: 4401, closeReason: 'no' }),
  refresh: {
    marker: 'auth_refresh',
    receive: (frame, context) => good.refresh?.receive(frame, context),
    accept: () => [bytes('renewed')],
    reject: () => [bytes('not renewed')],
    expiring: () => [bytes('expiring')],
  },
}

describe('frames of a handshake', () => {
  it('go out as text or binary, as it says, in order: opening, answers, acceptance', async () => {
    const t = await start({ handshake: speaking })
    const client = t.connect()
    const frames = record(client)
    await client.send(Buffer.from('ping') as never, { type: 'auth', token: goodToken })
    await eventually(() => frames.length === 8)
    expect(frames).toEqual(['b:INFO', 't:text', 'b:INFO', 'b:', 'b:pong', 't:pong', 'b:yes', 't:yes'])
    expect(t.errors.filter((line) => line.startsWith('error'))).toEqual([])
  })

  it('of a refusal, in the quarantine and after a cookie or header', async () => {
    const t = await start({ handshake: { ...speaking, claims: () => true } })
    for (const headers of [{}, { authorization: `Bearer ${goodToken}` }]) {
      const client = t.connect(headers)
      const frames = record(client)
      await client.send({ type: 'auth', token: wrongToken })
      await eventually(() => frames.includes('t:no'))
      expect(frames.slice(-2)).toEqual(['b:no', 't:no'])
      t.clock.advance(2000)
      expect(await client.closed()).toEqual({ code: 4401, reason: 'no' })
    }
  })

  it('of a renewal: accepted, refused, and the notice before the end', async () => {
    let now = (): number => 0
    const t = await start({
      handshake: { ...speaking, open: () => [] },
      verify: (value) => table({ [goodToken]: device('node-1', { expiresAt: now() + 90_000 }) })(value),
    })
    now = () => t.clock.now()
    const client = t.connect()
    const frames = record(client)
    await client.send({ type: 'auth', token: goodToken })
    await eventually(() => frames.length === 2)
    t.clock.advance(31_000)
    await eventually(() => frames.length === 3)
    await client.send({ type: 'auth_refresh', token: wrongToken }, { type: 'auth_refresh', token: goodToken })
    await eventually(() => frames.length === 5)
    expect(frames.slice(2)).toEqual(['b:expiring', 'b:not renewed', 'b:renewed'])
  })

  it.each<[string, unknown, string]>([
    ['an ArrayBuffer', new ArrayBuffer(2), 'a ArrayBuffer'],
    ['other typed arrays', new Uint16Array(2), 'a Uint16Array'],
    ['a DataView', new DataView(new ArrayBuffer(2)), 'a DataView'],
    ['an object that claims to be bytes', { [Symbol.toStringTag]: 'Uint8Array', length: 2 }, 'an object'],
    ['a number', 5, 'a number'],
  ])('are neither %s: named in the log, and the socket refused', async (_, frame, name) => {
    const t = await start({ handshake: { ...speaking, accept: () => [frame as OutgoingFrame] } })
    const client = t.connect()
    await client.send({ type: 'auth', token: goodToken })
    await eventually(() => t.logged.length === 1)
    expect(t.errors.at(-1)).toContain(
      `\`accept\` must return frames as strings (JSON.stringify() them) or bytes (Uint8Array), not ${name}`,
    )
    t.clock.advance(2000)
    await client.closed()
    expect(t.connections).toEqual([])
  })

  it('reach a browser-like client as `ArrayBuffer`', async () => {
    const t = await start({ handshake: speaking })
    const { ws } = t.connect()
    ws.binaryType = 'arraybuffer'
    const first = await new Promise((resolve) => ws.once('message', resolve))
    expect(first).toBeInstanceOf(ArrayBuffer)
  })
})
