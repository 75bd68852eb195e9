import { Readable, type Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import * as ws from 'ws'
import { closeFrame, serverFrame } from '../../src/ws/socket/server-frame.ts'
import { textMessage } from '../../src/ws/socket/text-message.ts'
import { frame, seededRandom } from './harness.ts'

/** Exported, and not typed. */
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable }

interface Read {
  readonly messages: { readonly text: string; readonly isBinary: boolean }[]
  close?: { readonly code: number; readonly reason: string }
  error?: string
}

/** What `ws` reads in the bytes. */
async function readByWs(bytes: Buffer, isServer: boolean): Promise<Read> {
  const receiver = new Receiver({ isServer, maxPayload: 1_000_000 })
  const read: Read = { messages: [] }
  receiver.on('message', (data: Buffer, isBinary: boolean) =>
    read.messages.push({ text: data.toString('latin1'), isBinary }),
  )
  receiver.on('conclude', (code: number, reason: Buffer) =>
    Object.assign(read, { close: { code, reason: String(reason) } }),
  )
  receiver.on('error', (error: Error) => Object.assign(read, { error: error.message }))
  await new Promise((resolve) => {
    Readable.from([bytes]).pipe(receiver).on('close', resolve).on('finish', resolve).on('conclude', resolve)
  })
  return read
}

describe('textMessage', () => {
  it('reads every length that a chunk of one message can have', () => {
    for (const length of [0, 1, 125, 126, 127, 4096, 65_535]) {
      const payload = 'x'.repeat(length)
      expect(textMessage(frame(1, payload), 100_000)?.toString()).toBe(payload)
    }
    expect(textMessage(frame(1, 'é€😀'), 100)?.toString()).toBe('é€😀')
  })

  it('leaves every other chunk as it was', () => {
    const whole = frame(1, 'a message')
    const wrong: Record<string, Buffer> = {
      nothing: Buffer.alloc(0),
      'half a frame': whole.subarray(0, 9),
      'a byte more': Buffer.concat([whole, Buffer.from([0x81])]),
      'two messages': Buffer.concat([whole, whole]),
      binary: frame(2, 'a message'),
      'the first fragment': frame(1, 'a message', false),
      'a continuation': frame(0, 'a message'),
      ping: frame(9, 'ping'),
      close: frame(8, Buffer.from([3, 232])),
      'a reserved bit': Buffer.concat([Buffer.from([0xc1]), whole.subarray(1)]),
      'no mask': serverFrame('text', Buffer.from('a message')),
      'a length of 64 bits': frame(1, 'x'.repeat(65_536)),
      'a longer length than needed': Buffer.concat([Buffer.from([0x81, 0xfe, 0, 9]), whole.subarray(2)]),
      'bad UTF-8': frame(1, Buffer.from([0x61, 0xff])),
      'half a character': frame(1, Buffer.from([0xe2, 0x82])),
      'more than the server takes': frame(1, 'x'.repeat(101)),
    }
    for (const [what, chunk] of Object.entries(wrong)) {
      const before = Buffer.from(chunk)
      expect(textMessage(chunk, 100), what).toBeUndefined()
      expect(chunk.equals(before), what).toBe(true)
    }
  })

  it('reads in 20,000 random chunks what ws reads in them, or nothing', async () => {
    const random = seededRandom(11)
    const below = (n: number): number => Math.floor(random() * n)
    let readings = 0
    for (let i = 0; i < 20_000; i++) {
      const payload = Buffer.from(
        Array.from({ length: below(140) }, () => (random() < 0.98 ? 32 + below(90) : below(256))),
      )
      let chunk = frame(random() < 0.9 ? 1 : below(16), payload, random() < 0.9)
      if (random() < 0.2) chunk[below(chunk.length)] = below(256)
      if (random() < 0.1) chunk = chunk.subarray(0, below(chunk.length))
      if (random() < 0.1) chunk = Buffer.concat([chunk, frame(1, 'x')])
      const read = textMessage(Buffer.from(chunk), 1_000_000)
      if (read === undefined) continue
      readings++
      expect(await readByWs(chunk, true)).toEqual({
        messages: [{ text: read.toString('latin1'), isBinary: false }],
      })
    }
    expect(readings).toBeGreaterThan(5_000)
  })
})

describe('frames written by hand', () => {
  it('are read by ws, at each length that changes the header', async () => {
    for (const length of [0, 1, 125, 126, 65_535, 65_536, 70_000]) {
      const text = 'x'.repeat(length)
      for (const kind of ['text', 'binary'] as const) {
        const read = await readByWs(serverFrame(kind, Buffer.from(text)), false)
        expect(read).toEqual({ messages: [{ text, isBinary: kind === 'binary' }] })
      }
    }
  })

  it('close with a code and a reason', async () => {
    for (const reason of ['', 'handshake_timeout', 'ü'.repeat(61)]) {
      const read = await readByWs(closeFrame(4401, reason), false)
      expect(read).toEqual({ messages: [], close: { code: 4401, reason } })
    }
  })
})
