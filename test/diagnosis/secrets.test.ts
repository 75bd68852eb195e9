import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { run } from '@upgate/cli'
import { headerHandshake } from '@upgate/client'
import { describe, expect, test } from 'vitest'
import { askClient } from './run.ts'
import { frame } from './situations/websocket.ts'
import { at, Stage } from './stage.ts'

/* A server that repeats every secret it was sent, in every place in which it can say something. */

const token = 'Kt7q-token-of-the-gate-P4vX-9z'
const cookie = 'session=Wm3c.cookie/of+the=gate.R8yB'
const clientId = 'Hn5x-client-id.access'
const clientSecret = 'Yd2j_client_secret_Lq6s_0vTg'
const secrets = [token, cookie, cookie.slice(8), clientId, clientSecret]

/** What the server says: all of them, plain, encoded, and in JSON. */
const echo = [...secrets, ...secrets.map(encodeURIComponent), JSON.stringify(secrets)].join(' ')
const line = echo.replace(/[\r\n]/g, '')

/** A 101 for upgrades, and this answer for the rest. */
function echoing(
  stage: Stage,
  onUpgrade: (socket: Socket, request: string) => void,
  plain: string,
  heard: string[],
) {
  return stage.tcp((socket) =>
    socket.once('data', (data) => {
      const request = String(data)
      heard.push(request)
      if (/^upgrade:/im.test(request)) onUpgrade(socket, request)
      else socket.end(plain)
    }),
  )
}
const opens = (after: (socket: Socket) => void) => (socket: Socket, request: string) => {
  const key = /sec-websocket-key: (\S+)/i.exec(request)?.[1]
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  socket.write(
    `HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nServer: ${line}\r\n\r\n`,
  )
  after(socket)
}
const http = (status: string, headers = '', body = echo): string =>
  `HTTP/1.1 ${status} ${token}\r\nServer: ${line}\r\nX-Powered-By: ${line}\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
const always = (answer: string) => [(socket: Socket) => socket.end(answer), answer] as const
/** A close frame whose reason is as long as one can be: 123 bytes. */
const close = (code: number, reason: string): Buffer => {
  const text = Buffer.from(reason).subarray(0, 123)
  return Buffer.concat([Buffer.from([0x88, 2 + text.length, code >> 8, code & 255]), text])
}
const json = 'Content-Type: application/problem+json\r\n'
const problem = JSON.stringify({
  type: 'urn:problem-type:upgate:auth_required',
  code: token,
  detail: echo,
  action: echo,
  requestId: token,
  comparisonCode: token,
})
const plain = http('404')

const servers: Readonly<Record<string, readonly [(socket: Socket, request: string) => void, string]>> = {
  'a 401': always(http('401', `WWW-Authenticate: Bearer realm="${line}", error="${token}"\r\n`)),
  'a 403 in HTML': always(
    http('403', 'Content-Type: text/html\r\nServer: cloudflare\r\n', `<title>${echo}</title>`),
  ),
  'a problem document': always(http('403', `Upgate-Refusal: ${token}; gate="${line}"\r\n${json}`, problem)),
  'a redirect': always(
    http('302', `Location: https://${clientId}.example/${token}?rd=${encodeURIComponent(echo)}\r\n`),
  ),
  'a redirect to the login of Access': always(
    http(
      '302',
      `Location: https://acme.cloudflareaccess.com/cdn-cgi/access/login/${clientSecret}?meta=${token}\r\n`,
    ),
  ),
  'an error of ngrok': always(http('404', `ngrok-error-code: ${token}\r\n`)),
  'no HTTP': always(`${echo}\r\n`),
  'half a secret and no HTTP': always(`${clientSecret.slice(0, 14)} ${token.slice(0, 12)}\r\n`),
  'a close reason': [opens((socket) => socket.end(close(4403, `${token} ${clientSecret}`))), plain],
  'a close reason that cuts a secret': [
    opens((socket) => socket.end(close(1008, `${'x'.repeat(110)} ${token}`))),
    plain,
  ],
  'an error frame': [
    opens((socket) => {
      socket.write(
        frame({
          type: 'auth_error',
          code: token,
          message: echo,
          action: echo,
          facts: { requestId: token, comparisonCode: 'Kt7q-token-of' },
        }),
      )
      socket.end(close(4401, token))
    }),
    plain,
  ],
  'a frame of a connect gateway': [
    opens((socket) => {
      socket.write(frame({ type: 'event', event: token, payload: { nonce: clientSecret } }))
      socket.write(
        frame({
          type: 'res',
          id: '1',
          ok: false,
          error: { code: token, message: echo, details: { code: echo } },
        }),
      )
      socket.end(close(1008, echo))
    }),
    plain,
  ],
  'its first words': [
    opens((socket) => {
      socket.write(frame({ type: 'event', event: token, payload: { nonce: clientSecret } }))
      socket.once('data', () => socket.end(close(4401, token)))
    }),
    plain,
  ],
  'an acceptance': [
    opens((socket) =>
      socket.write(
        frame({
          type: 'auth_ok',
          principal: { kind: 'device', id: token },
          roles: [clientSecret],
          scopes: [cookie.slice(8)],
        }),
      ),
    ),
    plain,
  ],
}

/** Everything that the command prints, in color on a terminal, and as JSON. */
async function doctor(url: string, argv: readonly string[]): Promise<string> {
  const parts: string[] = []
  const output = { isTTY: true, columns: 200, write: (part: string) => void parts.push(part) }
  const stdin = new PassThrough()
  stdin.end()
  await run({
    argv: ['doctor', url, '--timeout', '8', ...argv],
    env: {
      UPGATE_TOKEN: token,
      UPGATE_COOKIE: cookie,
      CF_ACCESS_CLIENT_ID: clientId,
      CF_ACCESS_CLIENT_SECRET: clientSecret,
    },
    stdin,
    stdout: output,
    stderr: output,
    signal: new AbortController().signal,
  })
  return parts.join('')
}

/** Forms of a secret that would give it away; half of one counts. */
const forms = secrets.flatMap((secret) => [
  secret,
  encodeURIComponent(secret),
  secret.slice(0, 12),
  Buffer.from(secret).toString('base64').slice(0, 16),
])

describe('a server that repeats what it was sent', () => {
  test.concurrent.each(Object.entries(servers))('in %s', async (_name, [onUpgrade, answer]) => {
    // A stage for each: they run at the same time.
    const stage = new Stage()
    const heard: string[] = []
    try {
      const url = at(await echoing(stage, onUpgrade, answer, heard))
      const client = { credential: token, headers: { cookie }, edge: { clientId, clientSecret } }
      const said = await Promise.all([
        askClient({ url, client }),
        askClient({ url, client: { ...client, handshake: headerHandshake() } }),
        doctor(url, []),
        doctor(url, ['--json']),
        doctor(url, ['--json', '--handshake', 'header']),
      ])
      // An acceptance is the server's word to the application, which gets it as it is.
      const printed = said
        .map((each) => (typeof each === 'string' ? each : each.code === 'connected' ? '' : each.said))
        .join('\n')
      // The secrets arrived, and each of the five got an answer: otherwise the silence would show nothing.
      for (const secret of [token, cookie, clientSecret]) expect(heard.join()).toContain(secret)
      expect(printed).not.toMatch(/tcp_reset|tcp_refused|http_closed/)
      for (const form of forms) expect(printed).not.toContain(form)
    } finally {
      await stage.end()
    }
  })
})
