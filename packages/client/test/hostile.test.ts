import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { type ConnectOptions, connect } from '@upgate/client'
import { describe, expect, test } from 'vitest'
import { answering, cleanUp, failureOf, tcpServer } from './helpers.ts'
import { memoryTransport, turns } from './memory.ts'

cleanUp()

/* Servers that mean harm; test/diagnosis has the failures of all others, for the client and the doctor. */

const once: ConnectOptions = { reconnect: false, timeout: 1500 }
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
    const start = performance.now()
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
    expect(['not_http', 'http_stalled']).toContain(await codeAt(at(drip), { timeout: 300 }))
    expect(performance.now() - start).toBeLessThan(5000)
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
    const error = await failureOf(connect(at(port), { ...once, timeout: 10_000, credential: 'some-token' }))
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
})
