import { afterEach, describe, expect, it } from 'vitest'
import { handshake, raw, request } from '../adapters/raw.ts'
import { closeStages, ours, stage } from './guard-stage.ts'

afterEach(closeStages)

/*
 * A client sends the signs of a proxy itself, and there is none: each answer is the one that the request has without the
 * sign, a flood of them leaves few lines in the log, and the operator's sentence stands in no answer.
 */

const close = 'Connection: close'
const cookie = 'Cookie: sid=u'
const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
const withoutOrigin = handshake('/chat', [cookie])

interface Sign {
  readonly sign: string
  readonly bytes: string
  /** The same request without the sign, where it is another one. */
  readonly plain?: string
  readonly status: number
  /** What the operator reads. Absent where the request is let in without a word. */
  readonly sentence?: RegExp
  /** Lines in the log after a flood. */
  readonly lines: number
}

const signs: readonly Sign[] = [
  {
    sign: 'another Host, with the right one as the forwarded name',
    bytes: `GET /any HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: gateway.example.com\r\n${cookie}\r\n${close}\r\n\r\n`,
    plain: `GET /any HTTP/1.1\r\nHost: evil.example\r\n${cookie}\r\n${close}\r\n\r\n`,
    status: 403,
    sentence: /^Host arrived as "evil\.example"/,
    lines: 5,
  },
  {
    sign: 'HTTP/1.0 without Host',
    bytes: `GET /any HTTP/1.0\r\n${cookie}\r\n\r\n`,
    status: 403,
    sentence: /^No Host arrived/,
    lines: 5,
  },
  {
    sign: 'a cookie without Origin',
    bytes: withoutOrigin,
    plain: handshake('/chat'),
    status: 401,
    sentence: /which did not count, because it has no Origin/,
    lines: 5,
  },
  {
    sign: 'an Origin that contradicts Sec-Fetch-Site',
    bytes: request('POST /any HTTP/1.1', [...ours, 'Sec-Fetch-Site: cross-site', 'Content-Length: 0', close]),
    status: 403,
    sentence: /a proxy writes Origin/,
    lines: 5,
  },
  {
    sign: 'a navigation with an Origin',
    bytes: request('GET /any HTTP/1.1', [...ours, 'Sec-Fetch-Mode: navigate', close]),
    plain: request('GET /any HTTP/1.1', [...ours, close]),
    status: 200,
    lines: 1,
  },
  {
    sign: 'a key of a WebSocket without Upgrade',
    bytes: request('GET /any HTTP/1.1', [cookie, key, close]),
    plain: request('GET /any HTTP/1.1', [cookie, close]),
    status: 200,
    lines: 0,
  },
  {
    sign: 'the same on a path that owns sockets',
    bytes: request('GET /ws HTTP/1.1', [key, close]),
    plain: request('GET /ws HTTP/1.1', [close]),
    status: 426,
    sentence: /a proxy dropped it/,
    lines: 5,
  },
  {
    sign: 'Upgrade on an ordinary request',
    bytes: request('GET /any HTTP/1.1', [cookie, 'Upgrade: websocket', 'Connection: upgrade']),
    plain: request('GET /any HTTP/1.1', [cookie, close]),
    status: 200,
    lines: 1,
  },
  {
    sign: 'an address of Cloudflare',
    bytes: request('GET /any HTTP/1.1', ['CF-Connecting-IP: 198.51.100.1', 'CF-Ray: 1-AMS', close]),
    plain: request('GET /any HTTP/1.1', [close]),
    status: 401,
    lines: 5,
  },
  {
    sign: 'a chain of addresses',
    bytes: request('GET /any HTTP/1.1', ['X-Forwarded-For: 10.0.0.1, 127.0.0.1', close]),
    plain: request('GET /any HTTP/1.1', [close]),
    status: 401,
    lines: 5,
  },
]

/** An answer without the lines that differ by time or by the end of the connection. */
async function answerTo(port: number, bytes: string): Promise<string> {
  const text = await raw(port, bytes).ended()
  return text.replace(/^(?:Date|Connection|Keep-Alive): .*\r\n/gm, '')
}

describe.each(signs)('$sign', ({ bytes, plain, status, sentence, lines }) => {
  it('changes no answer, fills no log, and tells its sender nothing', async () => {
    const { port, events, warnings } = await stage()
    const first = await answerTo(port, bytes)
    expect(first).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    if (plain !== undefined) expect(first).toBe(await answerTo(port, plain))
    const refused = events.find((event) => event.type === 'refused')
    if (sentence !== undefined) {
      expect(refused).toMatchObject({ reason: expect.stringMatching(sentence) })
      expect(first).not.toContain(String(refused?.reason).slice(0, 30))
    }
    expect(first).not.toMatch(/nginx|haproxy|Caddy|proxy_set_header|trustedProxies|ignoreAuthorization/i)
    await Promise.all(Array.from({ length: 40 }, () => answerTo(port, bytes)))
    const once = /^Requests arrive from loopback with /
    expect(warnings.filter((line) => once.test(line)).length).toBeLessThanOrEqual(1)
    const said = warnings.filter((line) => !once.test(line))
    expect(said.length, said.join('\n')).toBe(lines)
  })
})

it('names no scheme word of a login in front to the client that sent it', async () => {
  const { port, events } = await stage()
  const answer = await answerTo(
    port,
    request('GET /any HTTP/1.1', [cookie, 'Authorization: Basic YTpi', close]),
  )
  expect(answer).toMatch(/^HTTP\/1\.1 401 [\s\S]*invalid_credential/)
  expect(answer).not.toMatch(/Basic|ignoreAuthorization|YTpi/)
  expect(events[0]).toMatchObject({ reason: expect.stringContaining("`ignoreAuthorization: ['Basic']`") })
})
