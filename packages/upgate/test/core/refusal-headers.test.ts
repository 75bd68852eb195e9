import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { apiKey, createGate, createServices, type GateOptions, memoryStore } from 'upgate'
import { guardServer } from 'upgate/ws'
import { describe, expect, it } from 'vitest'
import { handshake, raw, request } from '../adapters/raw.ts'

/* Headers of the application on refusals of the gate. */

const services = createServices({ store: memoryStore() })
const make = (refusalHeaders: GateOptions['refusalHeaders']) =>
  createGate({
    schemes: [apiKey({ keys: services.keys })],
    rules: [{ path: '/health', access: 'public' }],
    ...(refusalHeaders && { refusalHeaders }),
  })

describe('refusalHeaders', () => {
  it('are on every refusal, over HTTP and for upgrades, and on no other answer', async () => {
    const gate = make({ 'Strict-Transport-Security': 'max-age=31536000', 'Referrer-Policy': 'no-referrer' })
    const server = createServer((_request, response) => response.end('reached'))
    guardServer(server, gate)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = server.address() as AddressInfo
      for (const bytes of [request('GET /secret HTTP/1.1', ['Connection: close']), handshake('/secret')]) {
        const answer = await raw(port, bytes).ended()
        expect(answer).toMatch(/^HTTP\/1\.1 401 /)
        expect(answer).toContain('Strict-Transport-Security: max-age=31536000\r\n')
        expect(answer).toContain('Referrer-Policy: no-referrer\r\n')
        expect(answer.match(/Upgate-Refusal/g)).toHaveLength(1)
      }
      const fine = await raw(port, request('GET /health HTTP/1.1', ['Connection: close'])).ended()
      expect(fine).toMatch(/^HTTP\/1\.1 200 /)
      expect(fine).not.toContain('Strict-Transport-Security')
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })

  it("never replace the gate's own", async () => {
    const gate = make({ 'x-content-type-options': 'something', 'Cache-Control': 'public' })
    const asked = {
      kind: 'http' as const,
      method: 'GET',
      target: '/secret',
      headers: { host: 'gateway.example.com' },
      headerValues: () => [],
      peerAddress: undefined,
      encrypted: true,
    }
    const decision = await gate.decide(asked as never)
    const { headers } = gate.render(decision as never, asked as never)
    expect(headers.filter(([name]) => /cache-control|x-content/i.test(name))).toEqual([
      ['Cache-Control', 'no-store'],
      ['X-Content-Type-Options', 'nosniff'],
    ])
  })

  it.each([
    [
      { 'Set-Cookie': 'a=b' },
      /`refusalHeaders\["Set-Cookie"\]` is decided by the gate or the protocol; leave it out/,
    ],
    [{ 'transfer-encoding': 'chunked' }, /is decided by the gate or the protocol/],
    [{ 'WWW-Authenticate': 'Basic' }, /is decided by the gate or the protocol/],
    [{ 'X Y': 'z' }, /`refusalHeaders\["X Y"\]` is no header name/],
    [{ 'X-Y': 'a\r\nb: c' }, /must be a line of printable ASCII without line breaks, not that/],
    [{ 'X-Y': 1 }, /must be a line of printable ASCII without line breaks, not a number/],
    ['x', /`refusalHeaders` must be an object such as/],
  ])('a mistake throws at construction: %o', (headers, message) => {
    expect(() => make(headers as never)).toThrow(message)
  })
})
