import { createHash } from 'node:crypto'
import { Agent } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { createServer as createSecureHttpServer } from 'node:https'
import { type AddressInfo, Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { type ConnectOptions, connect, wsTransport } from '@upgate/client'
import { generate } from 'selfsigned'
import { beforeAll, describe, expect, test } from 'vitest'
import { answering, cleanUp, failureOf, later, startGate, tcpServer } from './helpers.ts'

cleanUp()

/* Failures that are produced for real on loopback, each classified as exactly itself. */

const once: ConnectOptions = { reconnect: false, timeout: 1500 }
const at = (port: number, scheme = 'ws'): string => `${scheme}://127.0.0.1:${port}/ws`
const codeAt = async (url: string, options: ConnectOptions = {}): Promise<string> =>
  (await failureOf(connect(url, { ...once, ...options }))).code

describe('before HTTP', () => {
  test('a name that does not exist', async () => {
    const lookup = ((host: string, _options: unknown, done: (error: Error) => void) => {
      done(
        Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), {
          code: 'ENOTFOUND',
          syscall: 'getaddrinfo',
        }),
      )
    }) as never
    expect(await codeAt('ws://nowhere.invalid/', { transport: wsTransport({ lookup }) })).toBe(
      'dns_not_found',
    )
  })

  test('a resolver that does not answer', async () => {
    expect(
      await codeAt('ws://nowhere.invalid/', {
        timeout: 100,
        transport: wsTransport({ lookup: (() => {}) as never }),
      }),
    ).toBe('dns_temporary')
  })

  test('a port on which nothing listens, and a tailnet name that leads to one', async () => {
    const port = await tcpServer(() => {})
    const { createServer } = await import('node:net')
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const free = (server.address() as AddressInfo).port
    await new Promise((resolve) => server.close(resolve))
    expect(free).not.toBe(port)
    expect(await codeAt(at(free))).toBe('tcp_refused')
    const lookup = ((
      _host: string,
      options: { all?: boolean },
      done: (error: null, ...found: unknown[]) => void,
    ) => {
      options.all === true ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
    }) as never
    expect(await codeAt(`ws://box.tail1234.ts.net:${free}/`, { transport: wsTransport({ lookup }) })).toBe(
      'tailscale_down',
    )
  })

  test('a connection that is never established', async () => {
    // A firewall that drops packets: the name is known, and the system's connect never comes back.
    class Dropping extends Agent {
      override createConnection(): Socket {
        const socket = Object.assign(new Socket(), { connecting: true })
        setImmediate(() => socket.emit('lookup', null, '192.0.2.1', 4, 'far.example'))
        return socket
      }
    }
    expect(
      await codeAt('ws://far.example/', { timeout: 100, transport: wsTransport({ agent: new Dropping() }) }),
    ).toBe('tcp_timeout')
  })

  test('RST at once, and FIN before any answer', async () => {
    expect(await codeAt(at(await tcpServer((socket) => socket.resetAndDestroy())))).toBe('tcp_reset')
    expect(await codeAt(at(await tcpServer((socket) => socket.once('data', () => socket.end()))))).toBe(
      'http_closed',
    )
  })

  test('a server that says nothing, and one that stops in the middle of its headers', async () => {
    expect(await codeAt(at(await tcpServer(() => {})), { timeout: 200 })).toBe('http_silent')
    const half = await tcpServer((socket) => socket.write('HTTP/1.1 101 Switching Proto'))
    expect(await codeAt(at(half), { timeout: 200 })).toBe('http_stalled')
  })

  test('an SSH server, and an HTTP/2 server', async () => {
    expect(await codeAt(at(await tcpServer((socket) => socket.write('SSH-2.0-OpenSSH_9.9\r\n'))))).toBe(
      'not_http',
    )
    expect(
      await codeAt(
        at(
          await tcpServer(
            () => {},
            (listener) => createHttp2Server().on('connection', listener) as never,
          ),
        ),
      ),
    ).toBe('http2_only')
  })
})

describe('TLS', () => {
  const made: Record<string, { key: string; cert: string }> = {}
  const make = async (
    name: string,
    subject: Record<string, string>,
    dns: string,
    from: Date,
    to: Date,
  ): Promise<void> => {
    const altNames = [
      { type: 2 as const, value: dns },
      ...(dns === 'localhost' ? [{ type: 7 as const, ip: '127.0.0.1' }] : []),
    ]
    const { private: key, cert } = await generate(
      Object.entries(subject).map(([shortName, value]) => ({ shortName, value })),
      {
        keyType: 'ec',
        curve: 'P-256',
        notBeforeDate: from,
        notAfterDate: to,
        extensions: [{ name: 'subjectAltName', altNames }],
      },
    )
    made[name] = { key, cert }
  }
  beforeAll(async () => {
    const [day, now] = [86_400_000, Date.now()]
    const today = [new Date(now - day), new Date(now + day)] as const
    await make('good', { CN: 'localhost' }, 'localhost', ...today)
    await make('other', { CN: 'other.example' }, 'other.example', ...today)
    await make('inspected', { O: 'Zscaler Inc.', CN: 'Zscaler Root CA' }, 'localhost', ...today)
    await make('expired', { CN: 'localhost' }, 'localhost', new Date(now - 3 * day), new Date(now - day))
    await make('early', { CN: 'localhost' }, 'localhost', new Date(now + day), new Date(now + 3 * day))
  })

  const tls = (options: TlsOptions, onSocket: (socket: Socket) => void = () => {}): Promise<number> =>
    tcpServer(
      onSocket,
      (listener) => createTlsServer(options, listener as never).on('tlsClientError', () => {}) as never,
    )
  const trusting = (name: string, more: object = {}): ConnectOptions => ({
    transport: wsTransport({ ca: made[name]?.cert, ...more }),
  })

  test('a plain port, and a TLS port without TLS in the URL', async () => {
    const { port } = await startGate()
    expect(await codeAt(at(port, 'wss'))).toBe('tls_plain_port')
    expect(await codeAt(at(await tls({ ...made.good })))).toBe('tls_expected')
  })

  test('self-signed, another name, expired, inspected', async () => {
    expect(await codeAt(at(await tls({ ...made.good }), 'wss'))).toBe('tls_self_signed')
    const wrong = await failureOf(
      connect(at(await tls({ ...made.other }), 'wss'), { ...once, ...trusting('other') }),
    )
    expect(wrong.code).toBe('tls_name_mismatch')
    expect(wrong.diagnosis.evidence.map(({ value }) => value).join()).toContain('DNS:other.example')
    expect(await codeAt(at(await tls({ ...made.expired }), 'wss'), trusting('expired'))).toBe('tls_expired')
    expect(await codeAt(at(await tls({ ...made.early }), 'wss'), trusting('early'))).toBe('tls_not_yet_valid')
    expect(await codeAt(at(await tls({ ...made.inspected }), 'wss'))).toBe('tls_inspected')
  })

  test('a client certificate is demanded', async () => {
    const port = await tls({
      ...made.good,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    })
    expect(await codeAt(at(port, 'wss'), trusting('good'))).toBe('tls_client_certificate')
  })

  test('no version and no application protocol in common', async () => {
    const old = await tls({
      ...made.good,
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    expect(await codeAt(at(old, 'wss'), trusting('good'))).toBe('tls_version')
    const alert = (code: number) =>
      tcpServer((socket) => socket.once('data', () => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, code]))))
    expect(await codeAt(at(await alert(120), 'wss'))).toBe('tls_alpn')
    expect(await codeAt(at(await alert(112), 'wss'))).toBe('tls_sni')
    expect(await codeAt(at(await alert(40), 'wss'))).toBe('tls_failed')
  })

  test('the handshake ends, or is never answered', async () => {
    expect(
      await codeAt(at(await tcpServer((socket) => socket.once('data', () => socket.end())), 'wss')),
    ).toBe('tls_sni')
    expect(await codeAt(at(await tcpServer(() => {}), 'wss'), { timeout: 200 })).toBe('tls_silent')
  })

  test('a gate behind TLS is reached', async () => {
    const server = createSecureHttpServer({ ...made.good }, (_request, response) =>
      response.writeHead(401, { 'upgate-refusal': 'auth_required; gate="x"' }).end(),
    )
    server.on('upgrade', (_request, socket) =>
      socket.end(
        'HTTP/1.1 401 Unauthorized\r\nUpgate-Refusal: auth_required; gate="x"\r\nContent-Length: 0\r\n\r\n',
      ),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    later(() => server.close())
    expect(await codeAt(at((server.address() as AddressInfo).port, 'wss'), trusting('good'))).toBe(
      'auth_required',
    )
  })
})

describe('HTTP answers', () => {
  const answer = (status: string, headers = '', body = ''): Promise<number> =>
    answering(
      `HTTP/1.1 ${status}\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    )

  test.each([
    [
      '407 Proxy Authentication Required',
      'Proxy-Authenticate: Basic realm="corp"\r\n',
      '',
      'proxy_auth_required',
    ],
    ['301 Moved Permanently', 'Location: https://127.0.0.1/ws\r\n', '', 'redirect_to_https'],
    ['307 Temporary Redirect', 'Location: /ui/\r\n', '', 'redirected'],
    [
      '302 Found',
      'Location: https://auth.example.com/start?rd=https%3A%2F%2Fx%2Fws\r\n',
      '',
      'identity_proxy_login',
    ],
    ['200 OK', 'Content-Type: text/html\r\n', '<h1>hi</h1>', 'other_server'],
    ['404 Not Found', '', '', 'other_server'],
    ['401 Unauthorized', 'WWW-Authenticate: Bearer realm="browser"\r\n', '', 'other_server_auth'],
    ['404 Not Found', 'Server: nginx\r\n', '', 'proxy_no_route'],
    ['431 Request Header Fields Too Large', '', '', 'headers_too_big'],
    ['503 Service Unavailable', '', '', 'proxy_over_capacity'],
    ['502 Bad Gateway', '', '', 'proxy_bad_gateway'],
    [
      '403 Forbidden',
      'Content-Type: application/json\r\n',
      '{"error":{"type":"proxy_attribution_required"}}',
      'proxy_attribution',
    ],
    ['404 Not Found', 'ngrok-error-code: ERR_NGROK_3200\r\n', '', 'ngrok_offline'],
    ['500 Internal Server Error', '', '', 'server_error'],
  ])('%s %s', async (status, headers, body, code) => {
    expect(await codeAt(at(await answer(status, headers, body)))).toBe(code)
  })

  test('headers that are too large for Node’s own server', async () => {
    const { url } = await startGate()
    expect(await codeAt(url, { headers: { 'x-large': 'x'.repeat(20_000) } })).toBe('headers_too_big')
  })
})

describe('101 and after', () => {
  const accept = (request: string): string =>
    createHash('sha1')
      .update(`${/sec-websocket-key: (\S+)/i.exec(request)?.[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64')
  const upgraded = (after: (socket: Socket) => void, headers = '', key = accept): Promise<number> =>
    tcpServer((socket) => {
      socket.once('data', (data) => {
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key(String(data))}\r\n${headers}\r\n`,
        )
        after(socket)
      })
    })
  const bytes =
    (...values: number[]) =>
    (socket: Socket): void =>
      void socket.write(Buffer.from(values))
  const closing =
    (code: number, reason = '') =>
    (socket: Socket): void => {
      const text = Buffer.from(reason)
      socket.end(Buffer.concat([Buffer.from([0x88, 2 + text.length, code >> 8, code & 255]), text]))
    }

  test.each<[string, (socket: Socket) => void, string, string]>([
    ['HTML', (socket) => socket.write('<html>502</html>'), '', 'ws_html_after_101'],
    ['masked', bytes(0x81, 0x81, 1, 2, 3, 4, 5), '', 'ws_masked'],
    ['bad UTF-8', bytes(0x81, 1, 0xff), '', 'ws_bad_utf8'],
    ['RSV1', bytes(0xc1, 1, 0x61), '', 'ws_compressed_unasked'],
    ['a bad close code', bytes(0x88, 2, 0, 0), '', 'ws_bad_close_code'],
    ['too big', bytes(0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0), '', 'ws_message_too_big'],
    ['a bad opcode', bytes(0x83, 0), '', 'ws_protocol_error'],
    [
      'a subprotocol that was not offered',
      () => {},
      'Sec-WebSocket-Protocol: x\r\n',
      'ws_foreign_subprotocol',
    ],
    [
      'an extension that was not offered',
      () => {},
      'Sec-WebSocket-Extensions: permessage-deflate\r\n',
      'ws_foreign_extension',
    ],
    ['FIN', (socket) => socket.end(), '', 'connection_lost'],
    ['RST', (socket) => socket.resetAndDestroy(), '', 'connection_lost'],
    ['1000', closing(1000), '', 'ended_without_reason'],
    ['1001', closing(1001), '', 'server_shutdown'],
    ['1012', closing(1012, 'service restart'), '', 'server_restarting'],
    ['1008', closing(1008, 'pairing required'), '', 'pairing_required'],
    ['1008, unknown', closing(1008, 'because'), '', 'close_policy'],
    ['1011', closing(1011), '', 'close_internal_error'],
    ['1013', closing(1013, 'starting'), '', 'close_try_later'],
    ['1014', closing(1014), '', 'close_bad_gateway'],
    ['3000', closing(3000), '', 'close_unauthorized'],
    ['3501', closing(3501, 'bad request'), '', 'centrifuge_no_credentials'],
    ['4001', closing(4001), '', 'credentials_changed'],
    ['4403', closing(4403, 'Forbidden'), '', 'close_forbidden'],
    ['4408', closing(4408, 'x y'), '', 'close_timeout'],
    ['4999', closing(4999), '', 'close_without_retry'],
  ])('%s', async (_name, after, headers, code) => {
    expect(await codeAt(at(await upgraded(after, headers)), { credential: 'some-token' })).toBe(code)
  })

  test('an accept of another request, a 101 without Upgrade, no subprotocol, no acknowledgement', async () => {
    expect(
      await codeAt(
        at(
          await upgraded(
            () => {},
            '',
            () => 'x',
          ),
        ),
      ),
    ).toBe('ws_bad_accept')
    expect(await codeAt(at(await answering('HTTP/1.1 101 Switching Protocols\r\n\r\n')))).toBe('ws_bad_101')
    expect(await codeAt(at(await upgraded(() => {})), { protocols: ['chat'] })).toBe('ws_no_subprotocol')
    expect(await codeAt(at(await upgraded(() => {})), { credential: 'some-token', timeout: 200 })).toBe(
      'acknowledgement_missing',
    )
  })
})

describe('each refusal of a real gate', () => {
  test('before the 101 and in band', async () => {
    const { url, guard, gate } = await startGate()
    expect(await codeAt(url.replace('/ws', '/other'))).toBe('auth_required')
    expect(await codeAt(url, { headers: { Origin: 'https://evil.example' } })).toBe('origin_refused')
    expect(await codeAt(url, { credential: 'ugd_wrongwrongwrong' })).toBe('invalid_credential')
    expect(await codeAt(url, { credential: { password: 'x' } })).toMatch(
      /^(?:invalid_credential|auth_required)$/,
    )
    expect([typeof guard, typeof gate]).toEqual(['object', 'object'])
  })

  test('disabled, expired and revoked devices, and a wrong kind', async () => {
    const { url, services } = await startGate()
    const revoked = await services.devices.create({ name: 'a' })
    await services.devices.revoke(revoked.id)
    expect(await codeAt(url, { credential: revoked.token })).toBe('revoked_credential')
    const users = await startGate({ kinds: ['user'] as never })
    const { token } = await users.services.devices.create({ name: 'b' })
    expect(await codeAt(users.url, { credential: token })).toBe('kind_not_allowed')
    const scoped = await startGate({ scopes: ['x'] as never })
    const poor = await scoped.services.devices.create({ name: 'c' })
    expect(await codeAt(scoped.url, { credential: poor.token })).toBe('insufficient_scope')
  })

  test('a gate that is full', async () => {
    const { url } = await startGate({}, {}, { maxSockets: 1 } as never)
    const { WebSocket } = await import('ws')
    const silent = [new WebSocket(url), new WebSocket(url)]
    for (const socket of silent) socket.on('error', () => {})
    await new Promise((resolve) => silent[0]?.on('open', resolve))
    const error = await failureOf(connect(url, { ...once, credential: 'ugd_wrongwrong' }))
    expect(['over_capacity', 'too_many_sockets', 'invalid_credential']).toContain(error.code)
    for (const socket of silent) socket.terminate()
  })
})

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
    expect(
      await codeAt(at(await hostile(pour('HTTP/1.1 401 X\r\n', `X-A: ${'a'.repeat(1000)}\r\n`)))),
    ).toMatch(/^(?:not_http|http_closed)$/)
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
})
