/* A client that waits for 100 before it sends a large body got it from a server that then refused the request. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createGate } from 'upgate'
import { asPrincipal } from 'upgate/testing'
import { guardServer } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'
import { raw, request } from '../adapters/raw.ts'
import { closeStages, stage } from './guard-stage.ts'

afterEach(closeStages)

const lines = ['Expect: 100-continue', 'Content-Length: 3', 'Connection: close']
const echo = (incoming: IncomingMessage, response: ServerResponse): void => {
  incoming.on('data', (data) => response.write(`got ${data}`)).on('end', () => response.end())
}

describe('`Expect: 100-continue`', () => {
  it('is decided before the 100', async () => {
    const { port } = await stage({ listener: echo })
    const answer = await raw(port, request('POST /closed HTTP/1.1', lines)).ended()
    expect(answer).toMatch(/^HTTP\/1\.1 401 /)
  })

  it('gets the 100 after the decision, also with two guards and after all listeners were removed', async () => {
    const { port, server } = await stage({ listener: echo })
    guardServer(
      server,
      createGate({ schemes: [asPrincipal({ id: 'a' }).scheme], rules: [{ path: '/*', access: 'public' }] }),
    )
    server.removeAllListeners('checkContinue')
    for (const proof of ['k_u', 'k_u']) {
      const client = raw(port, request('POST /closed HTTP/1.1', [...lines, `Authorization: Bearer ${proof}`]))
      expect(await client.until(/\r\n\r\n/)).toBe('HTTP/1.1 100 Continue\r\n\r\n')
      client.socket.write('abc')
      const answer = await client.ended()
      expect(answer).toMatch(/HTTP\/1\.1 200 OK[\s\S]*got abc/)
      expect(answer.match(/100 Continue/g)).toHaveLength(1)
    }
    expect(await raw(port, request('POST /closed HTTP/1.1', lines)).ended()).toMatch(/^HTTP\/1\.1 401 /)
  })

  it("is left to the application's own listener", async () => {
    const { port } = await stage({
      listener: echo,
      before: (server) =>
        server.on('checkContinue', (_incoming, response) => {
          response.statusCode = 417
          response.end('own')
        }),
    })
    const headers = [...lines, 'Authorization: Bearer k_u']
    expect(await raw(port, request('POST /closed HTTP/1.1', headers)).ended()).toMatch(
      /^HTTP\/1\.1 417 [\s\S]*own$/,
    )
  })
})
