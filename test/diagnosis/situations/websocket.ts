import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import type { ConnectOptions } from '@upgate/client'
import type { DiagnosisCode } from '@upgate/diagnosis'
import type { Situation } from '../situation.ts'
import { at, type Stage, strangersToken } from '../stage.ts'

const acceptOf = (request: string): string =>
  createHash('sha1')
    .update(`${/sec-websocket-key: (\S+)/i.exec(request)?.[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64')

/** Answers upgrades with a 101 and does this afterwards; plain requests get 426, as from the library `ws`. */
export function upgraded(
  stage: Stage,
  after: (socket: Socket) => void,
  headers = '',
  accept = acceptOf,
): Promise<number> {
  return stage.tcp((socket) =>
    socket.once('data', (data) => {
      const request = String(data)
      if (!/^upgrade: websocket/im.test(request)) {
        socket.end('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
        return
      }
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(request)}\r\n${headers}\r\n`,
      )
      after(socket)
    }),
  )
}

const bytes =
  (...values: number[]) =>
  (socket: Socket): void =>
    void socket.write(Buffer.from(values))

/** A text frame. */
export function frame(value: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(value))
  const length = text.length < 126 ? [text.length] : [126, text.length >> 8, text.length & 255]
  return Buffer.concat([Buffer.from([0x81, ...length]), text])
}

/** Sends these frames, and a close frame. */
const closing =
  (code: number, reason = '', ...frames: unknown[]) =>
  (socket: Socket): void => {
    const text = Buffer.from(reason)
    for (const each of frames) socket.write(frame(each))
    socket.end(Buffer.concat([Buffer.from([0x88, 2 + text.length, code >> 8, code & 255]), text]))
  }

const afterwards = (
  number: number,
  name: string,
  code: DiagnosisCode,
  after: (socket: Socket) => void,
  headers = '',
  more: Pick<Situation, 'without' | 'simulated'> & { readonly client?: ConnectOptions } = {},
): Situation => {
  const { client, ...rest } = more
  return {
    number,
    name,
    code,
    ...rest,
    start: async (stage) => ({
      url: at(await upgraded(stage, after, headers)),
      client: { credential: strangersToken, ...client },
      doctor: { token: strangersToken },
    }),
  }
}
const refusing = (code: string, details?: object): unknown => ({
  type: 'res',
  id: '1',
  ok: false,
  error: { code, message: code, ...(details !== undefined && { details }) },
})

export const websocket: readonly Situation[] = [
  {
    number: 55,
    name: 'the accept of another request',
    code: 'ws_bad_accept',
    start: async (stage) => ({
      url: at(
        await upgraded(
          stage,
          () => {},
          '',
          () => 'x',
        ),
      ),
    }),
  },
  {
    number: 56,
    name: '101 without Upgrade',
    code: 'ws_bad_101',
    start: async (stage) => ({
      url: at(
        await stage.tcp((socket) =>
          socket.once('data', (data) =>
            socket.end(
              /^upgrade:/im.test(String(data))
                ? 'HTTP/1.1 101 Switching Protocols\r\n\r\n'
                : 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n',
            ),
          ),
        ),
      ),
    }),
  },
  afterwards(57, 'none of the offered subprotocols', 'ws_no_subprotocol', () => {}, '', {
    client: { protocols: ['chat'] },
    without: { doctor: 'It offers no subprotocol.' },
  }),
  afterwards(
    57,
    'a subprotocol that was not offered',
    'ws_foreign_subprotocol',
    () => {},
    'Sec-WebSocket-Protocol: x\r\n',
  ),
  afterwards(
    57,
    'an extension that was not offered',
    'ws_foreign_extension',
    () => {},
    'Sec-WebSocket-Extensions: permessage-deflate\r\n',
  ),
  afterwards(58, 'HTML after the 101', 'ws_html_after_101', (socket) => socket.write('<html>502</html>')),
  afterwards(59, 'masked frames', 'ws_masked', bytes(0x81, 0x81, 1, 2, 3, 4, 5)),
  afterwards(59, 'text that is no UTF-8', 'ws_bad_utf8', bytes(0x81, 1, 0xff)),
  afterwards(59, 'compressed frames', 'ws_compressed_unasked', bytes(0xc1, 1, 0x61)),
  afterwards(59, 'a close code that does not exist', 'ws_bad_close_code', bytes(0x88, 2, 0, 0)),
  afterwards(59, 'a message that is too big', 'ws_message_too_big', bytes(0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0)),
  afterwards(59, 'an opcode that does not exist', 'ws_protocol_error', bytes(0x83, 0)),
  afterwards(60, 'an end without a close frame', 'connection_lost', (socket) => socket.end()),
  afterwards(60, 'a reset of the open socket', 'connection_lost', (socket) => socket.resetAndDestroy()),
  afterwards(61, '1000 without a reason', 'ended_without_reason', closing(1000)),
  afterwards(62, '1001', 'server_shutdown', closing(1001)),
  afterwards(62, '1012', 'server_restarting', closing(1012, 'service restart')),
  afterwards(63, '1008 and its reason: pairing', 'pairing_required', closing(1008, 'pairing required')),
  afterwards(
    63,
    '1008 and a frame: pairing',
    'pairing_required',
    closing(1008, '', refusing('NOT_PAIRED', { code: 'PAIRING_REQUIRED' })),
    '',
    { simulated: 'OpenClaw: its frame, as documented' },
  ),
  afterwards(
    63,
    '1008 and a frame: another token',
    'invalid_credential',
    closing(1008, '', refusing('INVALID_REQUEST', { code: 'AUTH_TOKEN_MISMATCH' })),
    '',
    { simulated: 'OpenClaw: its frame, as documented' },
  ),
  afterwards(63, '1008 and other words', 'close_policy', closing(1008, 'because')),
  afterwards(64, '1013', 'close_try_later', closing(1013, 'starting')),
  afterwards(65, '1014', 'close_bad_gateway', closing(1014)),
  afterwards(66, '3000', 'close_unauthorized', closing(3000)),
  afterwards(66, '3003', 'close_forbidden', closing(3003)),
  afterwards(67, '4401 without known words', 'close_unauthorized', closing(4401, 'No way')),
  afterwards(67, '4403 without known words', 'close_forbidden', closing(4403, 'Forbidden')),
  afterwards(67, '4408 without known words', 'close_timeout', closing(4408, 'x y')),
  afterwards(67, '4429 without known words', 'close_too_many', closing(4429, 'Too many')),
  afterwards(67, '4400 without known words', 'close_bad_handshake', closing(4400, 'x y')),
  afterwards(69, '3501', 'centrifuge_no_credentials', closing(3501, 'bad request'), '', {
    simulated: 'centrifuge: its close code, as documented',
  }),
  afterwards(69, '3502', 'close_terminal', closing(3502, 'stale'), '', {
    simulated: 'centrifuge: its close code, as documented',
  }),
  afterwards(70, '4001', 'credentials_changed', closing(4001), '', {
    simulated: 'Liveblocks: its close code, as documented',
  }),
  afterwards(70, '4999', 'close_without_retry', closing(4999), '', {
    simulated: 'Liveblocks: its close code, as documented',
  }),
  afterwards(
    72,
    'a proof that is too old for the server',
    'clock_skew',
    closing(1008, '', refusing('INVALID_REQUEST', { code: 'DEVICE_AUTH_SIGNATURE_EXPIRED' })),
    '',
    { simulated: 'OpenClaw: its frame, as documented' },
  ),
  afterwards(73, '1011', 'close_internal_error', closing(1011)),
  afterwards(73, '4242', 'close_application', closing(4242)),
  afterwards(
    73,
    'versions of the protocol without overlap',
    'protocol_mismatch',
    closing(1002, '', refusing('INVALID_REQUEST', { code: 'PROTOCOL_MISMATCH' })),
    '',
    { simulated: 'OpenClaw: its frame, as documented' },
  ),
  {
    number: 73,
    name: 'a credential without an answer',
    code: 'acknowledgement_missing',
    start: async (stage) => ({
      url: at(await upgraded(stage, () => {})),
      client: { credential: strangersToken, timeout: 6000 },
      doctor: { token: strangersToken, timeout: 8000 },
    }),
  },
  {
    number: 68,
    name: 'a peer that no longer answers pings',
    code: 'silent_peer',
    without: { doctor: 'It sends no pings: with --idle, it waits for the end that others choose.' },
    async start(stage) {
      const timers = { fast: 1 / 1000 }
      return {
        url: at(await upgraded(stage, () => {})),
        client: {
          keepAlive: 45_000,
          clock: {
            now: () => Date.now(),
            setTimer(milliseconds, callback) {
              // The deadline of the attempt stays; pings and their grace pass a thousand times as fast.
              const timer = setTimeout(
                callback,
                milliseconds >= 20_000 ? milliseconds * timers.fast : milliseconds,
              )
              return { cancel: () => clearTimeout(timer) }
            },
          },
        },
      }
    },
  },
  {
    number: 41,
    name: 'an end after 100 seconds of silence',
    code: 'idle_cut',
    without: { doctor: 'It measures real time: with --idle 120 it takes as long.' },
    async start(stage) {
      let late = 0
      const port = await upgraded(stage, (socket) => {
        // The client has to have seen its acceptance by then.
        setTimeout(() => {
          late = 100_000
          socket.destroy()
        }, 1500)
      })
      return {
        url: at(port),
        client: {
          keepAlive: 0,
          clock: {
            now: () => Date.now() + late,
            setTimer(milliseconds, callback) {
              const timer = setTimeout(callback, milliseconds)
              return { cancel: () => clearTimeout(timer) }
            },
          },
        },
      }
    },
  },
]
