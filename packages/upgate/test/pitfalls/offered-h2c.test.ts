/*
 * The JDK's HttpClient and `curl --http2` offer HTTP/2 with every first request. A guard that refuses the offer locks
 * them out; one that reads the request a second time must not read another request than the client sent.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { raw, request } from '../adapters/raw.ts'
import { closeStages, eventually, type Stage, stage } from './guard-stage.ts'

afterEach(closeStages)

const offer = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk']

/** Says all that the application got to see of a request. */
function echo(incoming: IncomingMessage, response: ServerResponse): void {
  let body = ''
  incoming.setEncoding('latin1')
  incoming.on('data', (text: string) => {
    body += text
  })
  incoming.on('end', () => {
    const { method, url, rawHeaders, trailers } = incoming
    response.end(JSON.stringify({ method, url, rawHeaders, body, trailers }), 'latin1')
  })
}

async function guarded(): Promise<Stage & { reached: string[] }> {
  const reached: string[] = []
  const made = await stage({
    listener: (incoming, response) => {
      reached.push(`${incoming.method} ${incoming.url}`)
      echo(incoming, response)
    },
    rules: [{ path: '/open/*', access: 'public' }],
    options: {},
  })
  return { ...made, reached }
}

describe('an offer of HTTP/2 (`Upgrade: h2c`)', () => {
  it('is answered as the HTTP request that it is, without the offer', async () => {
    const { port } = await guarded()
    for (const lines of [
      offer,
      [...offer].reverse(),
      ['upgrade: H2C', 'connection: http2-settings ,upgrade', 'http2-settings: '],
      ['Connection: Upgrade', 'Connection: HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'],
    ]) {
      const bytes = request('POST /open/x HTTP/1.1', [...lines, 'X-Other: \xe9', 'Content-Length: 3'], 'abc')
      const answer = await raw(port, Buffer.from(bytes, 'latin1')).ended()
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\nConnection: close\r\n/)
      expect(JSON.parse(answer.split('\r\n\r\n')[1] as string)).toEqual({
        method: 'POST',
        url: '/open/x',
        rawHeaders: ['Host', 'gateway.example.com', 'X-Other', '\xe9', 'Content-Length', '3'],
        body: 'abc',
        trailers: {},
      })
    }
  })

  it('keeps what else `Connection` names', async () => {
    const { port } = await guarded()
    const lines = ['Connection: X-Hop, Upgrade, HTTP2-Settings', ...offer.slice(1), 'X-Hop: 1']
    const answer = await raw(port, request('GET /open/x HTTP/1.1', lines)).ended()
    expect(answer).toContain('["Host","gateway.example.com","Connection","X-Hop","X-Hop","1"]')
  })

  it('is refused once its body was read, so that no reset overtakes the answer, or after a second', async () => {
    const { port, clock } = await guarded()
    const head = request('POST /closed HTTP/1.1', [...offer, 'Content-Length: 6'])
    const slow = raw(port, `${head}abc`)
    const stuck = raw(port, `${head}abc`)
    // Another request is answered: these two wait for the rest of their bodies.
    expect(await raw(port, request('GET /closed HTTP/1.1', ['Connection: close'])).ended()).toMatch(/ 401 /)
    expect([slow.text(), stuck.text()]).toEqual(['', ''])
    slow.socket.write('def')
    expect(await slow.ended()).toMatch(/^HTTP\/1\.1 401 /)
    expect(stuck.text()).toBe('')
    clock.advance(1_000)
    expect(await stuck.ended()).toMatch(/^HTTP\/1\.1 401 /)
  })

  it('needs the proof that its path demands', async () => {
    const { port, reached } = await guarded()
    expect(await raw(port, request('GET /closed HTTP/1.1', offer)).ended()).toMatch(
      /^HTTP\/1\.1 401 [\s\S]*\r\nUpgate-Refusal: auth_required; /,
    )
    const known = await raw(
      port,
      request('GET /closed HTTP/1.1', [...offer, 'Authorization: Bearer k_u']),
    ).ended()
    expect(known).toMatch(/^HTTP\/1\.1 200 /)
    expect(reached).toEqual(['GET /closed'])
  })

  it('is 426 on a deferred path, as every HTTP request there', async () => {
    const { port } = await stage()
    const answer = await raw(port, request('GET /ws HTTP/1.1', offer)).ended()
    expect(answer).toMatch(/^HTTP\/1\.1 426 .*\r\nUpgate-Refusal: upgrade_required; /s)
  })

  it('arrives byte by byte, with a chunked body', async () => {
    const { port, reached } = await guarded()
    const bytes = request(
      'PUT /open/x HTTP/1.1',
      [...offer, 'Transfer-Encoding: chunked'],
      '3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nX-T: 1\r\n\r\n',
    )
    const client = raw(port, '')
    client.socket.setNoDelay(true)
    for (const byte of bytes) {
      client.socket.write(byte)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const answer = await client.ended()
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).toContain('"body":"abcde","trailers":{"x-t":"1"}')
    expect(reached).toHaveLength(1)
  })

  it('comes behind other requests, whose answers are awaited, and ends the connection', async () => {
    const waiting: ServerResponse[] = []
    const reached: (string | undefined)[] = []
    const { port } = await stage({
      listener: (incoming, response) => {
        reached.push(incoming.url)
        if (incoming.url?.startsWith('/open/slow')) waiting.push(response)
        else response.end('quick')
      },
      rules: [{ path: '/open/*', access: 'public' }],
      options: {},
    })
    const client = raw(
      port,
      request('GET /open/slow1 HTTP/1.1') +
        request('GET /open/slow2 HTTP/1.1') +
        request('GET /open/h2c HTTP/1.1', offer) +
        request('GET /open/behind HTTP/1.1'),
    )
    await eventually(() => waiting.length === 2)
    expect(reached).toEqual(['/open/slow1', '/open/slow2'])
    waiting[1]?.end('second')
    waiting[0]?.end('first')
    const answers = await client.ended()
    expect(answers.match(/first|second|quick/g)).toEqual(['first', 'second', 'quick'])
    expect(reached).toEqual(['/open/slow1', '/open/slow2', '/open/h2c'])
  })

  it('lets no request behind it reach a listener, and does not cut its own answer off for one', async () => {
    for (const behind of [
      request('GET /open/behind HTTP/1.1'),
      request('GET /open/behind HTTP/1.1', offer),
      request('GET /ws HTTP/1.1', [
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version: 13',
      ]),
    ]) {
      const reached: (string | undefined)[] = []
      let answer: ServerResponse | undefined
      const { port } = await stage({
        listener: (incoming, response) => {
          reached.push(incoming.url)
          answer = response
        },
        rules: [{ path: '/open/*', access: 'public' }],
        options: {},
      })
      const client = raw(port, request('GET /open/h2c HTTP/1.1', offer) + behind)
      client.socket.write(behind)
      await eventually(() => answer !== undefined)
      await new Promise((resolve) => setImmediate(resolve))
      answer?.end('whole')
      expect([behind, await client.ended()]).toEqual([
        behind,
        expect.stringMatching(/^HTTP\/1\.1 200 OK\r\n[\s\S]*whole$/),
      ])
      expect(reached).toEqual(['/open/h2c'])
    }
  })

  it('is no second connection, and leaves as many listeners on the socket as any request', async () => {
    const counts: Record<string, number>[] = []
    let connections = 0
    const { port } = await stage({
      listener: (incoming, response) => {
        const { socket } = incoming
        counts.push(
          Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)])),
        )
        response.end('fine')
      },
      before: (server) => server.on('connection', () => connections++),
      rules: [{ path: '/open/*', access: 'public' }],
      options: {},
    })
    await raw(port, request('GET /open/x HTTP/1.1', ['Connection: close'])).ended()
    await raw(port, request('GET /open/x HTTP/1.1', offer)).ended()
    expect(connections).toBe(2)
    const [plain, offered] = counts
    // One more: the deadline goes with the socket.
    expect(offered).toEqual({ ...plain, close: (plain?.close ?? 0) + 1 })
  })

  it('gives a slow body no more time than Node does', async () => {
    let opened = 0
    const { port, clock, server } = await stage({
      before: (made) => {
        made.requestTimeout = 300_000
        made.headersTimeout = 60_000
        made.on('connection', () => opened++)
      },
      listener: echo,
      rules: [{ path: '/open/*', access: 'public' }],
      options: {},
    })
    const requests: string[] = []
    server.on('request', (incoming: IncomingMessage) => requests.push(incoming.url ?? ''))
    const client = raw(port, '')
    await eventually(() => opened === 1)
    clock.advance(20_000)
    client.socket.write(request('POST /open/x HTTP/1.1', [...offer, 'Content-Length: 3'], 'a'))
    await eventually(() => requests.length === 1)
    clock.advance(279_999)
    await new Promise((resolve) => setImmediate(resolve))
    expect(client.socket.destroyed).toBe(false)
    clock.advance(1)
    expect(await client.ended()).toBe('')
    const whole = raw(port, request('POST /open/x HTTP/1.1', [...offer, 'Content-Length: 3'], 'abc'))
    expect(await whole.ended()).toMatch(/"body":"abc"/)
  })

  it('is refused where two readers could frame it differently', async () => {
    const { port, reached } = await guarded()
    const smuggled = request('GET /open/smuggled HTTP/1.1')
    const many = Array.from({ length: 1_000 }, (_, i) => `a:${i}`)
    for (const lines of [
      [...offer, 'Content-Length: 3', 'Transfer-Encoding: chunked'],
      [...offer, 'Transfer-Encoding: chunked', 'Content-Length: 3'],
      [...offer, 'Content-Length: 3', 'Content-Length: 3'],
      [...offer, 'Content-Length: 3', 'Content-Length: 4'],
      [...offer, 'Content-Length: 3, 3'],
      [...offer, 'Content-Length: +3'],
      [...offer, 'Transfer-Encoding: gzip, chunked'],
      [...offer, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
      [...offer, 'Transfer-Encoding: \x0bchunked'],
      [...offer, 'Transfer-Encoding: chunked, identity'],
      [...offer, 'Upgrade: h2c'],
      [...offer, 'HTTP2-Settings: AAMAAABk'],
      [...offer, 'Host: other.example.com'],
      [...offer, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='],
      ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: websocket, h2c'],
      ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c, websocket'],
      ['Connection: Upgrade', 'Upgrade: h2'],
      [...many, ...offer],
      [...offer, ...many, 'Content-Length: 99'],
      [...offer, 'X: a\r\n folded'],
      [...offer, 'X : a'],
      [...offer, 'Transfer-Encoding:\r\n chunked'],
      [...offer, 'Content-Length:\r\n 3'],
    ]) {
      const answer = await raw(port, request('POST /open/x HTTP/1.1', lines, smuggled)).ended()
      expect([lines.slice(-2), answer]).toEqual([
        lines.slice(-2),
        expect.stringMatching(/^HTTP\/1\.1 (400|426|431) /),
      ])
      expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    }
    expect(reached).toEqual([])
  })
})
