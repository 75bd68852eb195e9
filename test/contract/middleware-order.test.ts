/* The order of middleware in docs/guide-neighbours.md: a body of a client that is refused is not parsed. */
import { createServer, request as httpRequest, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { createGate, type Gate } from 'upgate'
import { expressGate } from 'upgate/express'
import { asPrincipal } from 'upgate/testing'
import { guardServer } from 'upgate/ws'
import { afterEach, describe, expect, it } from 'vitest'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const ada = asPrincipal({ id: 'ada' })

/** Applications by where the gate stands, and whether their parser gets the body of a client that is refused. */
const orders: Readonly<
  Record<
    string,
    { parses: boolean; guarded?: boolean; build: (gate: Gate, parser: RequestListener) => unknown[] }
  >
> = {
  'the gate before the parser': { parses: false, build: (gate, parser) => [expressGate(gate), parser] },
  'the parser before the gate': { parses: true, build: (gate, parser) => [parser, expressGate(gate)] },
  'guardServer in front of both': { parses: false, guarded: true, build: (_gate, parser) => [parser] },
}

describe.each(Object.entries(orders))('%s', (_name, { parses, guarded, build }) => {
  it(`${parses ? 'has' : 'has no'} bodies of refused clients parsed`, async () => {
    const gate = createGate({ schemes: [ada.scheme], logger: { warn() {}, error() {} } }) as unknown as Gate
    const parsed: string[] = []
    const parser = express.json({
      limit: '5mb',
      verify: (_request, _response, body) => parsed.push(`${body.length}`),
    })
    const app = express()
    for (const handler of build(gate, parser as never)) app.use(handler as express.RequestHandler)
    app.post('/items', (request, response) => void response.json({ got: request.body.text.length }))
    const server = createServer(app)
    if (guarded === true) guardServer(server, gate)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ends.push(() => {
      server.closeAllConnections()
      server.close()
    })
    const body = JSON.stringify({ text: 'x'.repeat(1_000_000) })
    const post = (headers: Readonly<Record<string, string>>): Promise<number> =>
      new Promise((resolve) => {
        const { port } = server.address() as AddressInfo
        const sent = httpRequest({
          host: '127.0.0.1',
          port,
          method: 'POST',
          path: '/items',
          agent: false,
          headers: { 'content-type': 'application/json', ...headers },
        })
        sent.on('response', (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        })
        // The rest of a refused body may meet a closed connection.
        sent.on('error', () => {})
        sent.end(body)
      })
    expect(await post({})).toBe(401)
    expect(parsed).toEqual(parses ? [`${body.length}`] : [])
    expect(await post(ada.headers)).toBe(200)
    expect(parsed.at(-1)).toBe(`${body.length}`)
  })
})
