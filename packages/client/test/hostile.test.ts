import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import {
  type ConnectOptions,
  connect,
  connectHandshake,
  deviceKey,
  upgateHandshake,
  wsTransport,
} from '@upgate/client'
import { describe, expect, test } from 'vitest'
import { answering, cleanUp, failureOf, tcpServer } from './helpers.ts'
import { memoryTransport, turns } from './memory.ts'

cleanUp()

/* Servers that mean harm; test/diagnosis has the failures of all others, for the client and the doctor. */

/** The limit is for tests that hang: a busy machine must not reach it before the answer. */
const once: ConnectOptions = { reconnect: false, timeout: 60_000 }
const at = (port: number): string => `ws://127.0.0.1:${port}/ws`
const codeAt = async (url: string, options: ConnectOptions = {}): Promise<string> =>
  (await failureOf(connect(url, { ...once, ...options }))).code

describe('hostile servers', () => {
  const hostile = (write: (socket: Socket) => void): Promise<number> =>
    tcpServer((socket) => socket.once('data', () => write(socket)))

  test('endless headers, an endless body, and a slow drip end within the time limit', async () => {
    const pour =
      (head: string, part: string) =>
      (socket: Socket): void => {
        socket.write(head)
        const more = (): void => {
          while (!socket.destroyed && socket.write(part));
        }
        socket.on('drain', more)
        more()
      }
    expect(await codeAt(at(await hostile(pour('HTTP/1.1 401 X\r\n', `X-A: ${'a'.repeat(1000)}\r\n`))))).toBe(
      'answer_headers_too_big',
    )
    expect(await codeAt(at(await hostile(pour('HTTP/1.1 401 X\r\n\r\n', 'a'.repeat(10_000)))))).toBe(
      'other_server_auth',
    )
    const drip = await hostile((socket) => {
      const timer = setInterval(() => socket.write('H'), 10)
      socket.on('close', () => clearInterval(timer))
    })
    expect(['not_http', 'http_stalled']).toContain(await codeAt(at(drip), { timeout: 2000 }))
  })

  test('a redirect is not followed, and no secret of the edge is sent to its target', async () => {
    let asked = ''
    const target = await tcpServer((socket) => {
      socket.on('data', (data) => {
        asked += String(data)
      })
    })
    const port = await answering(
      `HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:${target}/\r\nContent-Length: 0\r\n\r\n`,
    )
    const error = await failureOf(
      connect(at(port), {
        ...once,
        edge: { clientId: 'id.access', clientSecret: 'secretsecretsecret' },
        credential: 'token-token-token',
      }),
    )
    expect([error.code, asked]).toEqual(['redirected', ''])
  })

  test('secrets that a server echoes in every place are in no error, event or diagnosis', async () => {
    const clientSecret = 'Zq8v-plain words!'.replace(/[ !]/g, '_')
    const token = 'my-own-token-value-42'
    const header = 'another header secret'
    const port = await hostile((socket) => {
      const text = [clientSecret, token, header, encodeURIComponent(header)].join(' ')
      socket.end(
        `HTTP/1.1 401 ${token}\r\nServer: ${text}\r\nWWW-Authenticate: Bearer realm="${text}"\r\nLocation: /x?${token}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{"code":"${token}","detail":"${text}","action":"${text}"}`,
      )
    })
    const seen: unknown[] = []
    const connection = connect(at(port), {
      ...once,
      credential: token,
      edge: { clientId: 'my-client-id.access', clientSecret },
      headers: { 'X-Mine': header },
    })
    for (const name of ['state', 'failed', 'closed'] as const)
      connection.on(name, (value: unknown) => seen.push(value, String(value)))
    const error = await failureOf(connection)
    const printed = JSON.stringify([seen, error, error.message, error.stack, error.diagnosis])
    for (const secret of [clientSecret, token, header, 'my-client-id', encodeURIComponent(header)])
      expect(printed).not.toContain(secret)
    expect(error.code).toBe('other_server_auth')
  })

  test('a refused client that is never closed, and a gigantic reason', async () => {
    const accept = (request: string): string =>
      createHash('sha1')
        .update(`${/sec-websocket-key: (\S+)/i.exec(request)?.[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64')
    const port = await tcpServer((socket) => {
      socket.once('data', (data) => {
        const said = {
          type: 'auth_error',
          code: 'invalid_credential',
          message: '\u001b[2J<script>',
          action: 'x',
        }
        const frame = Buffer.from(JSON.stringify(said))
        socket.write(
          `HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(String(data))}\r\n\r\n`,
        )
        socket.write(Buffer.concat([Buffer.from([0x81, frame.length]), frame]))
      })
    })
    const error = await failureOf(connect(at(port), { ...once, credential: 'some-token' }))
    expect(error.code).toBe('invalid_credential')
    expect(JSON.stringify(error.diagnosis)).not.toMatch(/\\u001b|<script/)
  })

  test('of a frame only the first 16 Ki characters are kept, and of the frames the last 16', async () => {
    const pairing = '"code":"pairing_required","requestId":"pr-1","comparisonCode":"AB12CD"}'
    const facts = async (...frames: readonly string[]): Promise<unknown> => {
      const transport = memoryTransport()
      const connection = connect('wss://gateway.example.com/ws', {
        credential: 'token',
        reconnect: {},
        transport,
      })
      const shown: unknown[] = []
      connection.on('pairing', (each) => shown.push(each.comparisonCode))
      const failed = new Promise((resolve) => connection.on('failed', resolve))
      await turns()
      const [socket] = transport.sockets
      socket?.events.opened('')
      await turns()
      for (const frame of frames) socket?.events.message(frame)
      await turns(frames.length * 4)
      socket?.close(4403, 'pairing_required')
      await failed
      connection.close()
      return shown[0]
    }
    const start = '{"type":"auth_error",'
    expect(await facts(`${start}${pairing}`)).toBe('AB12CD')
    expect(await facts(`${start}"pad":"${'a'.repeat(16_384)}",${pairing}`)).toBeUndefined()
    expect(await facts(`${start}${pairing}`, ...Array<string>(15).fill('{}'))).toBe('AB12CD')
    expect(await facts(`${start}${pairing}`, ...Array<string>(16).fill('{}'))).toBeUndefined()
  })

  /** A server that answers the upgrade and then sends these bytes. */
  const opened = (after: readonly Buffer[]): Promise<number> =>
    tcpServer((socket) => {
      socket.once('data', (data) => {
        const key = /sec-websocket-key: (\S+)/i.exec(String(data))?.[1]
        const accept = createHash('sha1')
          .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest('base64')
        socket.write(
          `HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        )
        for (const bytes of after) socket.write(bytes)
      })
    })
  const frame = (opcode: number, payload: Buffer): Buffer => {
    const long = Buffer.alloc(4, 0)
    long[0] = 0x80 | opcode
    long[1] = Math.min(payload.length, 126)
    if (payload.length >= 126) long.writeUInt16BE(payload.length, 2)
    return Buffer.concat([payload.length < 126 ? long.subarray(0, 2) : long, payload])
  }

  test('a close reason of 60 KiB, and one with escapes, markup and the token', async () => {
    const token = 'my-own-token-value-42'
    const code = Buffer.from([0x0f, 0xa1])
    const huge = await opened([frame(8, Buffer.concat([code, Buffer.alloc(60_000, 'a')]))])
    const start = performance.now()
    const first = await failureOf(connect(at(huge), { ...once, credential: token }))
    expect(first.diagnosis.layer).toBe('protocol')
    // Not only at the time-out.
    expect(performance.now() - start).toBeLessThan(50_000)
    const reason = Buffer.from(`\u001b[2J\u202e<img src=x> ${token}`)
    const dirty = await opened([frame(8, Buffer.concat([code, reason]))])
    const second = await failureOf(connect(at(dirty), { ...once, credential: token }))
    for (const error of [first, second]) {
      const printed = JSON.stringify([error, error.message, error.diagnosis])
      expect(printed).not.toMatch(/\\u001b|\u202e|<img|my-own/)
      expect(printed.length).toBeLessThan(4000)
    }
  })

  test('JSON that is nested 20,000 times, as a frame, as an acceptance and as a body', async () => {
    const deep = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
    const nested = deep(10_000)
    for (const handshake of [upgateHandshake(), connectHandshake()]) {
      const noise = await opened([frame(1, Buffer.from(nested)), frame(8, Buffer.from([0x03, 0xe8]))])
      expect(
        (await failureOf(connect(at(noise), { ...once, credential: 'token', handshake }))).code,
      ).not.toBe('unknown')
    }
    const ok = `{"type":"auth_ok","principal":{"kind":"device","id":"d"},"roles":${'['.repeat(20_000)}${']'.repeat(20_000)},"scopes":[]}`
    const accepting = await opened([frame(1, Buffer.from(ok))])
    const connection = connect(at(accepting), { ...once, credential: 'token' })
    expect((await connection.accepted).roles).toEqual([])
    connection.close()
    const body = await answering(
      `HTTP/1.1 401 X\r\nContent-Type: application/json\r\nContent-Length: ${nested.length}\r\n\r\n${nested}`,
    )
    expect(await codeAt(at(body))).toBe('other_server_auth')
  })

  test.each([
    'http://169.254.169.254/latest/meta-data/?token=my-state',
    'https://evil.example/?token=my-state',
    '//evil.example/x',
    'http://[fe80::1]/',
    'javascript:alert(1)',
    'file:///etc/passwd',
  ])('a redirect to %s is a verdict, and no second connection', async (location) => {
    const looked: string[] = []
    const port = await answering(`HTTP/1.1 307 X\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`)
    const transport = wsTransport({
      lookup(host, _options, callback) {
        looked.push(host)
        callback(null, [{ address: '127.0.0.1', family: 4 }])
      },
    })
    const error = await failureOf(
      connect(`ws://localhost:${port}/ws`, { ...once, credential: 'some-token', transport }),
    )
    expect(error.code).toMatch(/^redirect/)
    expect(new Set(looked)).toEqual(new Set(['localhost']))
    expect(JSON.stringify(error.diagnosis)).not.toContain('my-state')
  })

  test('frames without end while a handshake signs are bounded', async () => {
    const transport = memoryTransport()
    const device = { ...deviceKey(), sign: () => new Promise<string>(() => {}) }
    const connection = connect('wss://gateway.example.com/ws', {
      credential: { device },
      reconnect: false,
      transport,
    })
    await turns()
    const [socket] = transport.sockets
    socket?.events.opened('')
    await turns()
    socket?.events.message('{"type":"auth_challenge","nonce":"n","time":1}')
    await turns()
    let sent = 0
    while (socket?.ended === false && sent < 100) {
      socket.events.message('a'.repeat(1024 * 1024))
      sent++
    }
    expect(sent).toBe(5)
    expect((await failureOf(connection)).code).toBe('ws_message_too_big')
  })
})
