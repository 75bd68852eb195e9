/* mqtt.js sends its CONNECT in 13 frames: the first of them was refused as no credential. */
import { type Handshake, type HandshakeStep, jsonFrame, type OutgoingFrame } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type Client,
  closeAll,
  deferredPromise,
  device,
  eventually,
  frame,
  goodToken,
  type Harness,
  type Options,
  settled,
  start,
  table,
  text,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

const empty = { quarantined: 0, verifying: 0, refused: 0, accepted: 0, anonymous: 0 }

/** A line that ends with `\n` is the credential, in any number of frames; `?` is answered, `.` means nothing. */
function lines(
  replay: (line: string) => boolean | readonly OutgoingFrame[] = () => true,
): Handshake<{ line: string }> {
  return {
    name: 'lines',
    state: () => ({ line: '' }),
    claims: (frame) => frame.binary || frame.text.startsWith('node-'),
    receive(frame, { state }): HandshakeStep {
      const part = frame.binary ? Buffer.from(frame.bytes).toString() : frame.text
      if (part === '?') return { step: 'send', frames: ['!'] }
      if (part === '.') return { step: 'ignore' }
      if (part === '+') return { step: 'more', frames: ['go on'] }
      state.line += part
      if (!state.line.endsWith('\n')) return { step: 'more' }
      const value = state.line.slice(0, -1)
      state.line = ''
      return {
        step: 'credential',
        credential: { type: 'token', source: 'frame', value },
        replay: replay(value),
      }
    },
    accept: () => ['ok'],
    reject: ({ code }) => ({ frames: [code], closeCode: 4401, closeReason: code }),
  }
}

interface Stage extends Harness {
  /** What the application got, `b:` before binary messages. */
  readonly heard: string[]
}

async function stage(
  options: Options = {},
  handshake: Handshake<{ line: string }> = lines(),
): Promise<Stage> {
  const t = await start({ ...options, handshake: handshake as Handshake })
  const heard: string[] = []
  t.wss.on('connection', (ws) => {
    ws.on('message', (data, isBinary) => heard.push(`${isBinary ? 'b:' : ''}${String(data)}`))
  })
  return { ...t, heard }
}

const line = `${goodToken}\n`
const split = (value: string, size: number): string[] => value.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []

async function refusedAs(t: Harness, client: Client, code: string): Promise<void> {
  await eventually(() => client.messages.includes(code))
  t.clock.advance(2000)
  expect(await client.closed()).toEqual({ code: 4401, reason: code })
  expect(t.connections).toEqual([])
}

async function says(client: Client, expected: readonly string[]): Promise<void> {
  await eventually(() => client.messages.length >= expected.length)
  expect(client.messages).toEqual(expected)
}

describe('a credential in parts', () => {
  it.each([
    ['two frames', 20],
    ['a byte a frame', 1],
  ])('%s: every frame reaches the application, once, in order, before what follows', async (_, size) => {
    const t = await stage()
    const client = t.connect()
    const parts = split(line, size)
    await client.send(...parts, 'data', 'more data')
    await eventually(() => t.heard.length === parts.length + 2)
    expect(t.heard).toEqual([...parts, 'data', 'more data'])
    await says(client, ['ok'])
  })

  it('all in one chunk, text and binary mixed', async () => {
    const t = await stage()
    const peer = await t.raw()
    peer.write(
      ...split(line, 4).map((part, i) => (i % 2 === 0 ? text(part) : frame(2, part))),
      text('data'),
      frame(2, 'data'),
    )
    const expected = split(line, 4).map((part, i) => (i % 2 === 0 ? part : `b:${part}`))
    await eventually(() => t.heard.length === expected.length + 2)
    expect(t.heard).toEqual([...expected, 'data', 'b:data'])
  })

  it('one frame in 64 fragments, or its octets one by one, is one message', async () => {
    const t = await stage()
    const [fragments, octets] = [await t.raw(), await t.raw()]
    // Else the octets wait for the acknowledgement of the first.
    octets.socket.setNoDelay(true)
    const parts = split(line, 1)
    for (const [i, part] of parts.entries()) {
      fragments.write(frame(i === 0 ? 1 : 0, part, i === parts.length - 1))
    }
    for (const byte of text(line)) {
      octets.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await eventually(() => t.heard.length === 2)
    expect(t.heard).toEqual([line, line])
  })

  it('64 frames are served, 65 are refused', async () => {
    const t = await stage()
    const served = t.connect()
    const parts = [...split(line, 1), ...Array<string>(64)].slice(0, 64 - 1).map((part) => part ?? '')
    await served.send(...parts.slice(0, line.length - 1), ...Array(64 - line.length).fill('+'), '\n')
    await eventually(() => t.heard.length === 64)
    expect(t.heard.filter((part) => part !== '+').join('')).toBe(line)
    served.destroy()
    t.connections.length = 0
    const client = t.connect()
    await client.send(...split(goodToken, 1), ...Array(65 - line.length).fill('+'), '\n')
    await refusedAs(t, client, 'too_many_frames')
  })

  it('64 KiB are served, one byte more is refused', async () => {
    const verify = table({ ['a'.repeat(65_535)]: device('node-1') })
    const t = await stage({ verify, limits: { maxBytes: 100_000 } })
    const whole = t.connect()
    await whole.send(...split('a'.repeat(65_535), 32_768), '\n')
    await eventually(() => t.heard.length === 3)
    whole.destroy()
    t.connections.length = 0
    const more = t.connect()
    await more.send(...split('a'.repeat(65_536), 32_768), '\n')
    await refusedAs(t, more, 'too_many_frames')
  })

  it('its parts are none of the frames that are ignored or answered, which stay limited', async () => {
    const t = await stage({ limits: { maxDataFrames: 4 } })
    const client = t.connect()
    await client.send('.', '?', ...split(line, 2).flatMap((part, i) => (i === 3 ? ['?', part] : [part])))
    await eventually(() => t.heard.length > 0)
    await settled()
    expect(t.heard.join('')).toBe(line)
    await says(client, ['!', '!', 'ok'])
    t.connections.length = 0
    const other = t.connect()
    await other.send('node-', '.', '.', '?', '.', '.', line)
    await refusedAs(t, other, 'too_many_frames')
  })

  it('waits for an `open` that is late, as 13 frames of mqtt.js do', async () => {
    const opening = deferredPromise<readonly OutgoingFrame[]>()
    const t = await stage({}, { ...lines(), open: () => opening.promise })
    const peer = await t.raw()
    const parts = split(line, Math.ceil(line.length / 13))
    peer.write(...parts.map((part) => text(part)), text('data'))
    await settled()
    expect(t.heard).toEqual([])
    opening.resolve(['INFO'])
    await eventually(() => t.heard.length === parts.length + 1)
    expect(t.heard).toEqual([...parts, 'data'])
  })

  it('its parts are answered where the handshake says so', async () => {
    const t = await stage()
    const client = t.connect()
    await client.send('+')
    await client.send('+', line)
    await eventually(() => client.messages.length === 3)
    await says(client, ['go on', 'go on', 'ok'])
    expect(t.heard).toEqual(['+', '+', line])
  })

  it('moves no deadline, frees its slot, and nothing reaches the application', async () => {
    const t = await stage()
    const client = t.connect()
    await client.send('node-')
    await settled()
    t.clock.advance(9_000)
    await client.send('token')
    await settled()
    expect(t.quarantine.counts.quarantined).toBe(1)
    t.clock.advance(1_001)
    await eventually(() => client.messages.includes('handshake_timeout'))
    await client.closed()
    await eventually(() => t.quarantine.counts.refused === 0)
    expect(t.quarantine.counts).toEqual(empty)
    expect(t.heard).toEqual([])
  })

  it('begins again after a refused one, without the parts of the first', async () => {
    const t = await stage({ limits: { maxAttempts: 2 } })
    const client = t.connect()
    await client.send('wrong-', 'token-0123456789abcdef\n', 'node-', line.slice(5), 'data')
    await eventually(() => t.heard.length === 3)
    expect(t.heard).toEqual(['node-', line.slice(5), 'data'])
    await says(client, ['invalid_credential', 'ok'])
  })

  it('the handshake may hand on other frames in place of its own: the rest of a chunk, or one without secret', async () => {
    const t = await stage(
      {},
      lines((value) => [`hello ${value.length}`, Buffer.from('bytes')]),
    )
    const client = t.connect()
    await client.send('node-', line.slice(5), 'data')
    await eventually(() => t.heard.length === 3)
    expect(t.heard).toEqual([`hello ${goodToken.length}`, 'b:bytes', 'data'])
    const consumed = await stage(
      {},
      lines(() => false),
    )
    await consumed.connect().send('node-', line.slice(5), 'data')
    await eventually(() => consumed.heard.length === 1)
    expect(consumed.heard).toEqual(['data'])
  })

  it('waits for its verification, and no broadcast reaches the socket before', async () => {
    const verification = deferredPromise<ReturnType<ReturnType<typeof table>>>()
    const t = await stage({ verify: () => verification.promise as never })
    const client = t.connect()
    await client.send('node-', line.slice(5), 'early')
    await eventually(() => t.quarantine.counts.verifying === 1)
    expect(t.wss.clients.size).toBe(0)
    for (const ws of t.wss.clients) ws.send('a broadcast')
    expect(t.heard).toEqual([])
    verification.resolve(await table({ [goodToken]: device('node-1') })(goodToken))
    await eventually(() => t.heard.length === 3)
    expect(t.heard).toEqual(['node-', line.slice(5), 'early'])
    await says(client, ['ok'])
    expect(t.wss.clients.size).toBe(1)
  })
})

describe('a socket that HTTP let in', () => {
  const bearer = { authorization: `Bearer ${goodToken}` }

  it('may begin with a credential in parts, which is handed on with what follows', async () => {
    const t = await stage()
    const client = t.connect(bearer)
    await client.send('node-', '?', '.', line.slice(5), 'data')
    await eventually(() => t.heard.length === 3)
    expect(t.heard).toEqual(['node-', line.slice(5), 'data'])
    await says(client, ['!', 'ok'])
  })

  it('is refused for a wrong one, or too many parts, and the application gets none of them', async () => {
    const t = await stage()
    const wrong = t.connect(bearer)
    await wrong.send('node-', `${wrongToken}\n`)
    await eventually(() => wrong.messages.includes('invalid_credential'))
    const many = t.connect(bearer)
    await many.send('node-', ...Array<string>(64).fill('+'))
    await eventually(() => many.messages.includes('too_many_frames'))
    expect(t.heard).toEqual([])
  })
})

describe('a handshake that answers wrongly', () => {
  it.each<[string, HandshakeStep, string]>([
    ['a list in place of a frame', { step: 'more', frames: [['x'] as never] }, 'frames as strings'],
    ['a key that there is not', { step: 'more', replay: true } as never, 'unknown option `replay`'],
    [
      'a replay that is no frame',
      {
        step: 'credential',
        credential: { type: 'token', source: 'frame', value: 'x' },
        replay: [{}] as never,
      },
      '`replay` must return frames as strings',
    ],
    [
      'a replay that is late',
      {
        step: 'credential',
        credential: { type: 'token', source: 'frame', value: 'x' },
        replay: Promise.resolve([]) as never,
      },
      '`replay` must return a list of frames',
    ],
  ])('%s: its own socket is refused, the next one served', async (_, step, message) => {
    let isWrong = true
    const good = jsonFrame({ credential: (m) => m.token })
    const t = await start({
      handshake: { ...good, receive: (f, context) => (isWrong ? step : good.receive(f, context)) },
    })
    const [first, next] = [t.connect(), t.connect()]
    await next.opened()
    await first.send({ token: goodToken })
    await eventually(() => t.errors.some((error) => error.includes(message)))
    isWrong = false
    await next.send({ token: goodToken })
    expect(await next.message()).toMatchObject({ type: 'auth_ok' })
    expect(t.connections.length).toBe(1)
  })
})
