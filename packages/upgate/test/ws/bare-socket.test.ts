/*
 * Sockets that wait without an object of `ws`: when one is made, who answers 101 instead, and what a server that
 * makes none leaves behind.
 */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { guardServer, type Handshake, upgateHandshake } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { certificate } from '../pitfalls/tls-fixture.ts'
import {
  auth,
  closeAll,
  deferredPromise,
  eventually,
  frame,
  type Harness,
  type Options,
  type RawPeer,
  settled,
  start,
  text,
  upgradeRequest,
  wrongToken,
} from './harness.ts'

afterEach(closeAll)

/** A server that counts the objects that it makes. */
async function counted(options: Options = {}): Promise<Harness & { made(): number }> {
  let made = 0
  class Counted extends WebSocket {
    constructor(...args: unknown[]) {
      super(...(args as [null]))
      made++
    }
  }
  const server = { WebSocket: Counted as unknown as typeof WebSocket, ...options.server }
  return Object.assign(await start({ ...options, server }), { made: () => made })
}

const closeCodeAt = (code: number): Buffer => Buffer.from([code >> 8, code & 255])

describe('a socket without an object of ws', () => {
  it('waits, is greeted, times out and is closed', async () => {
    const t = await counted({
      handshake: { ...upgateHandshake(), open: () => ['{"hello":"ü"}', new Uint8Array([1, 2])] },
    })
    const client = t.connect()
    expect(await client.message()).toEqual({ hello: 'ü' })
    await eventually(() => client.messages.length === 2)
    expect(t.quarantine.counts.quarantined).toBe(1)
    t.clock.advance(10_000)
    expect(await client.closed()).toMatchObject({ code: 4408, reason: 'handshake_timeout' })
    await eventually(() => t.quarantine.counts.refused === 0)
    expect(t.made()).toBe(0)
  })

  it('is refused for a wrong credential, in the words of the handshake', async () => {
    const t = await counted()
    const client = t.connect()
    await client.send(auth(wrongToken))
    expect(await client.message()).toMatchObject({ code: 'invalid_credential' })
    await eventually(() => t.quarantine.counts.refused === 1)
    t.clock.advance(1500)
    expect(await client.closed()).toMatchObject({ code: 4401, reason: 'invalid_credential' })
    await eventually(() => t.quarantine.counts.refused === 0)
    expect(t.made()).toBe(0)
  })

  it('gets one on acceptance, with which it talks on', async () => {
    const t = await counted()
    const client = t.connect()
    await client.send(auth())
    await client.message()
    expect(t.made()).toBe(1)
    const [connection] = t.connections
    expect(t.wss.clients.has(connection?.ws as WebSocket)).toBe(true)
    const heard: string[] = []
    connection?.ws.on('message', (data) => heard.push(String(data)))
    connection?.ws.send('{"from":"server"}')
    await client.send('one', 'two')
    await eventually(() => heard.length === 2)
    expect(heard).toEqual(['one', 'two'])
    expect(await client.message(1)).toEqual({ from: 'server' })
    client.ws.close(1000, 'done')
    expect(await client.closed()).toEqual({ code: 1000, reason: 'done' })
    await eventually(() => t.wss.clients.size === 0)
  })

  it('gets one for whatever is not one whole text message, and is served alike', async () => {
    const whole = text(auth())
    const cases: Record<string, readonly Buffer[]> = {
      'a ping first': [frame(9, 'x'), whole],
      'byte by byte': Array.from(whole, (_, i) => whole.subarray(i, i + 1)),
      'two fragments': [
        frame(1, JSON.stringify(auth()).slice(0, 9), false),
        frame(0, JSON.stringify(auth()).slice(9)),
      ],
      'a message pipelined': [Buffer.concat([whole, text('next')])],
    }
    for (const [what, chunks] of Object.entries(cases)) {
      const t = await counted()
      const peer = await t.raw()
      await peer.upgraded()
      for (const chunk of chunks) {
        peer.write(chunk)
        await settled()
      }
      await eventually(() => t.connections.length === 1)
      expect(t.made(), what).toBe(1)
      await t.close()
    }
  })

  it('counts what it reads against the limit of bytes', async () => {
    const handshake: Handshake = { ...upgateHandshake(), receive: () => ({ step: 'ignore' }) }
    const t = await counted({ handshake, limits: { maxBytes: 1000 } })
    const client = t.connect()
    for (let i = 0; i < 4; i++) {
      await client.send('x'.repeat(300))
      await settled()
    }
    expect(t.quarantine.counts).toMatchObject({ quarantined: 1, refused: 0 })
    await client.send('x')
    expect(await client.message()).toMatchObject({ code: 'too_big' })
    expect(t.made()).toBe(0)
  })

  it('waits, talks and is accepted through TLS, in records of one byte as well', async () => {
    const t = await start()
    const server = createServer(certificate)
    const wss = new WebSocketServer({ noServer: true })
    const heard: string[] = []
    wss.on('connection', (ws: WebSocket) => ws.on('message', (data) => heard.push(String(data))))
    const guard = guardServer(server, t.gate, { sockets: { '/ws': wss } })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    for (const size of [1, 7, 10_000]) {
      const socket = connectTls({ port, host: '127.0.0.1', ca: certificate.cert, servername: 'localhost' })
      socket.setNoDelay()
      let received = ''
      socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')))
      socket.write(upgradeRequest('/ws', ['X-Forwarded-For: 203.0.113.9']))
      await eventually(() => received.includes('\r\n\r\n'))
      const bytes = Buffer.concat([text(auth()), text(`message ${size}`)])
      for (let i = 0; i < bytes.length; i += size) {
        socket.write(bytes.subarray(i, i + size))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await eventually(() => heard.includes(`message ${size}`))
      socket.destroy()
      await eventually(() => guard.counts.accepted === 0)
    }
    await guard.close()
    server.close()
  })

  it('keeps no place if its peer ended while its upgrade was decided', async () => {
    const asked = deferredPromise<void>()
    const decided = deferredPromise<void>()
    const slowDecision = (): Promise<void> => {
      asked.resolve()
      return decided.promise
    }
    const t = await start({ slowDecision, limits: { maxSocketsPerAddress: 1 } })
    const ended = new Promise<void>((resolve) => {
      t.onSocket((socket) => socket.once('end', resolve))
    })
    const peer = await t.raw()
    await asked.promise
    peer.socket.end()
    await ended
    decided.resolve()
    await peer.gone()
    expect(t.quarantine.counts).toMatchObject({ quarantined: 0, refused: 0 })
    await t.quarantine.close()
  })

  it('ends without an answer when its peer ends', async () => {
    const t = await counted()
    for (const end of [(p: RawPeer) => p.socket.end(), (p: RawPeer) => p.reset()]) {
      const peer = await t.raw()
      await peer.upgraded()
      expect(t.quarantine.counts.quarantined).toBe(1)
      end(peer)
      await eventually(() => t.quarantine.counts.quarantined === 0)
    }
    expect(t.made()).toBe(0)
    expect(t.errors.filter((line) => line.startsWith('error'))).toEqual([])
  })

  it('gets FIN behind its close frame as soon as it says anything, and nothing it says is heard', async () => {
    const t = await counted()
    const peer = await t.raw()
    await peer.upgraded()
    t.clock.advance(10_000)
    await peer.until((p) => p.received.includes(closeCodeAt(4408)))
    expect(peer.ended).toBe(false)
    peer.write(text(auth()))
    await peer.until((p) => p.ended)
    expect(t.connections).toEqual([])
    peer.socket.end()
    await eventually(() => t.quarantine.counts.refused === 0)
  })

  it('is cut when it does not answer the close frame', async () => {
    const t = await counted()
    const peer = await t.raw()
    await peer.upgraded()
    t.clock.advance(10_000)
    await peer.until((p) => p.received.includes(closeCodeAt(4408)))
    t.clock.advance(1000)
    await peer.until((p) => p.closed || p.ended)
    await eventually(() => t.quarantine.counts.refused === 0)
  })
})

describe('the 101', () => {
  const variants: readonly (readonly string[])[] = [
    [],
    ['Sec-WebSocket-Protocol: chat'],
    ['Sec-WebSocket-Protocol: chat, other'],
    ['Sec-WebSocket-Protocol: chat,other'],
    ['Sec-WebSocket-Protocol: chat', 'Sec-WebSocket-Protocol: other'],
    ['Sec-WebSocket-Protocol: chat ,other'],
    ['Sec-WebSocket-Protocol: bearer.secret-of-the-client, chat'],
    ['Sec-WebSocket-Protocol: bearer.secret-of-the-client'],
    ['Sec-WebSocket-Protocol: chat, chat'],
    ['Sec-WebSocket-Protocol: chat,, other'],
    ['Sec-WebSocket-Protocol:'],
    ['Sec-WebSocket-Protocol: ch(at'],
    ['Sec-WebSocket-Extensions: permessage-deflate'],
    ['Sec-WebSocket-Extensions: permessage-deflate; nonsense=1'],
    ['Sec-WebSocket-Extensions: ;;'],
  ]

  it('is what ws answers, whatever the client offers', async () => {
    for (const server of [{}, { perMessageDeflate: true }, { path: '/ws' }, { path: '/other' }]) {
      const byHand = await start({ server })
      const eager = await start({ server, eager: true })
      for (const headers of variants) {
        const answers = await Promise.all(
          [byHand, eager].map(async (t) => {
            const peer = await t.raw(headers)
            await peer.upgraded()
            await settled()
            const answer = peer.text
            peer.destroy()
            return answer
          }),
        )
        expect(answers[0], JSON.stringify({ server, headers })).toBe(answers[1])
        expect(answers[0]).not.toContain('secret-of')
      }
    }
  })

  it('is left to servers that look at the upgrade or change the answer', async () => {
    const patched = (method: 'handleUpgrade' | 'completeUpgrade' | 'shouldHandle') => (t: Harness) => {
      const wss = t.wss as unknown as Record<string, (...values: unknown[]) => unknown>
      const original = wss[method] as (...values: unknown[]) => unknown
      wss[method] = function (...values) {
        return original.apply(this, values)
      }
    }
    const cases: Record<
      string,
      {
        readonly options?: Options
        readonly prepare?: (t: Harness) => void
        readonly headers?: readonly string[]
      }
    > = {
      verifyClient: { options: { server: { verifyClient: () => true } } },
      handleProtocols: {
        options: { server: { handleProtocols: (names) => [...names].at(-1) ?? false } },
        headers: ['Sec-WebSocket-Protocol: one, two'],
      },
      headers: {
        prepare: (t) => void t.wss.on('headers', (headers: string[]) => headers.push('X-Added: yes')),
      },
      compression: {
        options: { server: { perMessageDeflate: true }, limits: { dangerouslyAllowCompression: true } },
        headers: ['Sec-WebSocket-Extensions: permessage-deflate'],
      },
      subclass: { options: { eager: true } },
      handleUpgrade: { prepare: patched('handleUpgrade') },
      completeUpgrade: { prepare: patched('completeUpgrade') },
      shouldHandle: { prepare: patched('shouldHandle') },
    }
    for (const [what, { options, prepare, headers }] of Object.entries(cases)) {
      const t = await counted(options)
      prepare?.(t)
      const peer = await t.raw(headers)
      await peer.upgraded()
      expect(t.made(), what).toBe(1)
      if (what === 'handleProtocols') expect(peer.text).toContain('Sec-WebSocket-Protocol: two')
      if (what === 'headers') expect(peer.text).toContain('X-Added: yes')
      if (what === 'compression') expect(peer.text).toContain('permessage-deflate')
      await t.close()
    }
  })

  it('is left to the server where bytes came with the upgrade', async () => {
    const t = await counted()
    await t.raw([], '/ws', text(auth()))
    await eventually(() => t.connections.length === 1)
    expect(t.made()).toBe(1)
  })

  it('comes in one packet with the greeting', async () => {
    const t = await start({ handshake: { ...upgateHandshake(), open: () => ['{"hello":true}'] } })
    const peer = await t.raw()
    let first: Buffer | undefined
    peer.socket.on('data', (chunk) => (first ??= chunk))
    await peer.until((p) => p.text.includes('hello'))
    expect(first?.toString('latin1')).toContain('hello')
  })
})

describe('a server that makes no object', () => {
  const broken: Record<string, (wss: WebSocketServer) => void> = {
    throws: (wss) => {
      wss.options.WebSocket = class {
        constructor() {
          throw new Error('no more memory')
        }
      } as unknown as typeof WebSocket
    },
    'answers an error': (wss) => {
      const server = wss as unknown as { completeUpgrade: unknown }
      server.completeUpgrade = (...values: unknown[]) => {
        ;(values[4] as Duplex).write('HTTP/1.1 503 Service Unavailable\r\n\r\n')
        ;(values[4] as Duplex).end('HTTP/1.1 503 Service Unavailable\r\n\r\n')
      }
    },
  }

  for (const [what, breakIt] of Object.entries(broken)) {
    for (const first of ['a credential', 'a ping'] as const) {
      it(`refuses ${first} in band if it ${what}, and leaves nothing open`, async () => {
        const t = await start()
        const peer = await t.raw()
        await peer.upgraded()
        breakIt(t.wss)
        peer.write(first === 'a ping' ? frame(9, 'x') : text(auth()))
        await peer.until((p) => p.text.includes('unavailable'))
        await eventually(() => t.quarantine.counts.refused === 1)
        t.clock.advance(1500)
        await peer.until((p) => p.received.includes(closeCodeAt(1013)))
        expect(peer.text).not.toContain('503')
        peer.write(frame(8, Buffer.from([3, 232])))
        await peer.until((p) => p.ended)
        peer.socket.end()
        await eventually(() => t.quarantine.counts.refused === 0)
        expect(t.connections).toEqual([])
        expect(t.wss.clients.size).toBe(0)
        expect(t.gate.connections.size).toBe(0)
        if (what === 'throws') expect(t.errors.join()).toContain('The WebSocket server threw')
      })
    }
  }
})

describe('requests of accepted sockets', () => {
  it('have their own key and headers, not those by which the object was made', async () => {
    const t = await start()
    const peer = await t.raw(['X-Mine: yes'])
    await peer.upgraded()
    peer.write(text(auth()))
    await eventually(() => t.connections.length === 1)
    const request = t.connections[0]?.request as IncomingMessage
    expect(request.headers).toMatchObject({
      'x-mine': 'yes',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    })
  })
})
