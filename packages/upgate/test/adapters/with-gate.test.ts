import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { createGate, sharedToken } from '../../src/index.ts'
import { clientAddressOf, decide, explain, refuse, requestOf, respond } from '../../src/node.ts'

const gate = createGate({
  origins: ['https://gateway.example.com'],
  schemes: [
    sharedToken({
      verify: (token) => token === 'right-token',
      principal: { kind: 'user', id: 'ada' },
    }),
  ],
  rules: [{ path: '/health', access: 'public' }],
})
const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

type Seen = (request: IncomingMessage, to: Duplex) => unknown

/** Sends one request text to a server that hands requests and upgrades to `seen`; returns all it answered. */
async function exchange(text: string, seen: Seen): Promise<string> {
  const server = createServer((request, response) => void seen(request, response as unknown as Duplex))
  server.on('upgrade', (request, socket) => void seen(request, socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  closers.push(() => {
    socket.destroy()
    server.close()
  })
  socket.write(text)
  let answer = ''
  for await (const chunk of socket) answer += String(chunk)
  return answer
}

const lines = (...all: string[]): string => [...all, '', ''].join('\r\n')
const get = (path: string, ...headers: string[]): string =>
  lines(`GET ${path} HTTP/1.1`, 'Host: gateway.example.com', 'Connection: close', ...headers)
const upgradeTo = (path: string): string =>
  lines(
    `GET ${path} HTTP/1.1`,
    'Host: gateway.example.com',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
  )

describe("a gate and Node's request", () => {
  it('decides, explains and names the client of the only request that a user has', async () => {
    const answer = await exchange(get('/api', 'Authorization: Bearer right-token'), async (request, to) => {
      const decision = await decide(gate, request)
      const { steps } = await explain(gate, request)
      const found = {
        outcome: decision.outcome,
        principal: decision.outcome === 'allow' ? decision.principal?.id : undefined,
        steps: steps.map(({ step }) => step),
        kind: requestOf(request).kind,
        address: clientAddressOf(gate, request) ?? 'unknown',
      }
      to.end(JSON.stringify(found))
    })
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))).toMatchObject({
      outcome: 'allow',
      principal: 'ada',
      kind: 'http',
      address: 'unknown',
      steps: expect.arrayContaining(['request', 'decision']),
    })
  })

  it('answers a refusal as the adapters do, on a response and on the socket of an upgrade', async () => {
    for (const text of [get('/api'), upgradeTo('/api')]) {
      const answer = await exchange(text, async (request, to) => {
        const decision = await decide(gate, request)
        if (decision.outcome === 'allow' || decision.outcome === 'defer') throw new Error(decision.outcome)
        respond(gate, request, to, decision)
      })
      expect(answer).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/)
      expect(answer).toMatch(/^Upgate-Refusal: auth_required; gate="upgate"\r$/m)
      expect(answer).toMatch(/^Connection: close\r$/m)
    }
  })

  it("refuses for the application's own reasons with code, sentence and Retry-After", async () => {
    const answer = await exchange(get('/health'), (request, to) =>
      refuse(gate, request, to, 'over_capacity', { detail: 'The queue is full.', retryAfter: 7 }),
    )
    expect(answer).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/)
    expect(answer).toMatch(/^Retry-After: 7\r$/m)
    expect(answer).toContain('"code":"over_capacity"')
    expect(answer).toContain('The queue is full.')
  })

  it('decides the form that the client sent and the one behind a mount, the stricter of both', () => {
    const request = {
      method: 'GET',
      url: '/health',
      originalUrl: '/api/../health',
      headers: {},
      rawHeaders: [],
    }
    const made = requestOf(request as unknown as IncomingMessage)
    expect([made.target, made.rewrittenTarget]).toEqual(['/api/../health', '/health'])
  })

  // Handed to the core, Node's request has no kind and no raw form that the engine knows: it was answered 503.
  it("says what to pass where the core is given Node's request", async () => {
    const request = { method: 'GET', url: '/', headers: {}, rawHeaders: [] } as unknown as never
    const sentence = /the request must be an AuthRequest.*from upgate\/node, or pass requestOf\(request\)/
    expect(() => gate.decide(request)).toThrow(sentence)
    expect(() => gate.require().decide(request)).toThrow(sentence)
    expect(() => gate.clientAddressOf(request)).toThrow(sentence)
    await expect(gate.explain(request)).rejects.toThrow(sentence)
    expect(() => gate.decide(undefined as never)).toThrow(sentence)
  })

  it('names the argument that is wrong', () => {
    const request = { method: 'GET', url: '/', headers: {}, rawHeaders: [] } as unknown as IncomingMessage
    expect(() => requestOf({} as never)).toThrow(/^requestOf: the request must be Node's own/)
    expect(() => decide({} as never, request)).toThrow(/^decide: the first argument must be a gate/)
    expect(() => explain(gate.require() as never, request)).toThrow(
      /gate\.require\(\.\.\.\) explains nothing/,
    )
    expect(() => refuse(gate, request, {} as never, 'nonsense' as never)).toThrow(
      '"nonsense" is no refusal code',
    )
    expect(() => refuse(gate, request, {} as never, 'auth_required')).toThrow(/the third argument must be/)
    expect(() => refuse(gate, request, {} as never, 'auth_required', { why: 1 } as never)).toThrow('`why`')
    expect(() => respond(gate, request, {} as never, { outcome: 'allow' } as never)).toThrow(
      /the fourth argument/,
    )
  })
})
