/*
 * A proxy with `proxy_set_header Upgrade websocket;` adds the header to every request: a guard that takes each of them
 * for a broken handshake refuses the whole site.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { raw, request } from '../adapters/raw.ts'
import { closeStages, eventually, ours, type Stage, stage } from './guard-stage.ts'

afterEach(closeStages)

const added = ['Connection: upgrade', 'Upgrade: websocket']
const title = 'A proxy seems to add Upgrade to ordinary requests.'

/** Says all that the application got to see of a request. */
function echo(incoming: IncomingMessage, response: ServerResponse): void {
  let body = ''
  incoming.on('data', (bytes: Buffer) => {
    body += bytes.toString('latin1')
  })
  incoming.on('end', () => response.end(JSON.stringify([incoming.method, incoming.rawHeaders, body])))
}

async function guarded(): Promise<Stage & { reached: string[]; upgrades: string[] }> {
  const reached: string[] = []
  const upgrades: string[] = []
  const made = await stage({
    listener: (incoming, response) => {
      reached.push(`${incoming.method} ${incoming.url}`)
      echo(incoming, response)
    },
    before: (server) => server.on('upgrade', (incoming) => upgrades.push(incoming.url ?? '')),
    rules: [
      { path: '/open/*', access: 'public' },
      { path: '/sockets/*', access: 'public', upgrade: true },
    ],
    options: {},
  })
  return { ...made, reached, upgrades }
}

describe('`Upgrade: websocket` without a handshake', () => {
  it('is answered as the HTTP request that it is, body included', async () => {
    const { port, upgrades } = await guarded()
    for (const path of ['/open/x', '/sockets/x']) {
      const bytes = request(`POST ${path} HTTP/1.1`, [...added, 'Content-Length: 3'], 'abc')
      const answer = await raw(port, bytes).ended()
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\nConnection: close\r\n/)
      expect(JSON.parse(answer.split('\r\n\r\n')[1] as string)).toEqual([
        'POST',
        ['Host', 'gateway.example.com', 'Content-Length', '3'],
        'abc',
      ])
    }
    expect(upgrades).toEqual([])
  })

  it('is answered in HTTP/1.0, which nginx speaks unless told otherwise', async () => {
    const { port, reached } = await guarded()
    const answer = await raw(port, request('GET /open/x HTTP/1.0', added)).ended()
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    const body = request('POST /open/x HTTP/1.0', [...added, 'Content-Length: 3'], 'abc')
    expect(await raw(port, body).ended()).toContain('"abc"')
    const coded = request('POST /open/x HTTP/1.0', [...added, 'Transfer-Encoding: chunked'], '0\r\n\r\n')
    expect(await raw(port, coded).ended()).toMatch(/^HTTP\/1\.1 400 /)
    expect(reached).toEqual(['GET /open/x', 'POST /open/x'])
  })

  it('needs what every HTTP request needs: the proof, an Origin of ours, the Host', async () => {
    const { port, reached } = await guarded()
    for (const [bytes, refusal] of [
      [request('GET /closed HTTP/1.1', added), '401 .*auth_required'],
      [
        request('POST /closed HTTP/1.1', [...added, 'Cookie: sid=u', 'Origin: https://e.example']),
        '403 .*origin_refused',
      ],
      [`GET /closed HTTP/1.1\r\nHost: e.example\r\n${added.join('\r\n')}\r\n\r\n`, '403 .*host_refused'],
      [request('GET /open/../closed HTTP/1.1', added), '40[01] .*'],
    ] as const) {
      expect(await raw(port, bytes).ended()).toMatch(new RegExp(`^HTTP/1.1 ${refusal}`, 's'))
    }
    expect(reached).toEqual([])
    const known = await raw(port, request('GET /closed HTTP/1.1', [...added, ...ours])).ended()
    expect(known).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('is 426 on a deferred path, as every HTTP request there', async () => {
    const { port } = await stage()
    const answer = await raw(port, request('GET /ws HTTP/1.1', added)).ended()
    expect(answer).toMatch(/^HTTP\/1\.1 426 .*\r\nUpgate-Refusal: upgrade_required; /s)
  })

  it('is no second connection, and lets nothing pipelined behind it reach a listener', async () => {
    let connections = 0
    const made = await guarded()
    made.server.on('connection', () => connections++)
    const handshake = request('GET /sockets/x HTTP/1.1', [
      ...added,
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
    ])
    for (const behind of [
      request('GET /open/behind HTTP/1.1'),
      request('GET /open/b HTTP/1.1', added),
      handshake,
    ]) {
      const answer = await raw(made.port, request('GET /open/first HTTP/1.1', added) + behind).ended()
      expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200'])
    }
    expect(connections).toBe(3)
    expect(new Set(made.reached)).toEqual(new Set(['GET /open/first']))
    expect(made.upgrades).toEqual([])
  })

  it('is refused where two readers could frame it differently, or it has a part of a handshake', async () => {
    const { port, reached, upgrades } = await guarded()
    const smuggled = request('GET /open/smuggled HTTP/1.1')
    for (const lines of [
      ['Content-Length: 3', 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: chunked', 'Content-Length: 3'],
      ['Content-Length: 3', 'Content-Length: 4'],
      ['Content-Length: +3'],
      ['Transfer-Encoding: gzip, chunked'],
      ['Transfer-Encoding: \x0bchunked'],
      ['Transfer-Encoding:\r\n chunked'],
      ['Upgrade: websocket'],
      ['Upgrade: h2c'],
      ['Host: other.example.com'],
      ['Sec-WebSocket-Version: 13'],
      ['Sec-WebSocket-Protocol: a'],
      ['X: a\r\n folded'],
    ]) {
      const bytes = request('POST /open/x HTTP/1.1', [...added, ...lines], smuggled)
      const answer = await raw(port, bytes).ended()
      expect([lines, answer]).toEqual([lines, expect.stringMatching(/^HTTP\/1\.1 (400|426) /)])
      expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    }
    for (const offer of ['websocket, h2c', 'websocket/13', 'h2c, websocket', 'websocket,']) {
      const lines = ['Connection: upgrade', `Upgrade: ${offer}`]
      expect(await raw(port, request('GET /open/x HTTP/1.1', lines)).ended()).toMatch(/^HTTP\/1\.1 4(00|26) /)
    }
    expect([reached, upgrades]).toEqual([[], []])
  })

  it('is said to the operator once an hour, however many arrive, and to no client', async () => {
    const { port, clock, warnings } = await guarded()
    const told = (): number => warnings.filter((line) => line === title).length
    for (let i = 0; i < 20; i++) {
      const answer = await raw(port, request(`GET /${i % 2 ? 'open/x' : 'closed'} HTTP/1.1`, added)).ended()
      expect(answer).not.toContain('proxy_set_header')
    }
    expect(told()).toBe(1)
    clock.advance(3_600_000)
    await raw(port, request('GET /open/x HTTP/1.1', added)).ended()
    expect(told()).toBe(2)
  })

  it('ends the process in no case where the client resets the connection', async () => {
    const waiting: ServerResponse[] = []
    const { port } = await stage({
      listener: (_incoming, response) => void waiting.push(response),
      rules: [{ path: '/open/*', access: 'public' }],
      options: {},
    })
    for (const bytes of [
      request('GET /open/slow HTTP/1.1', added),
      request('GET /open/slow HTTP/1.1') + request('GET /open/x HTTP/1.1', added),
      request('GET /open/slow HTTP/1.1') +
        request('GET /open/x HTTP/1.1', ['Connection: Upgrade', 'Upgrade: h2c']),
    ]) {
      const before = waiting.length
      const client = raw(port, bytes)
      await eventually(() => waiting.length > before)
      client.socket.resetAndDestroy()
    }
    for (const response of waiting) response.end('late')
    const still = await raw(port, request('GET /none HTTP/1.1', added)).ended()
    expect(still).toMatch(/^HTTP\/1\.1 401 /)
  })
})
