import { once } from 'node:events'
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGate } from 'upgate'
import { clientAddressOf } from 'upgate/node'
import { asPrincipal } from 'upgate/testing'
import { expect, it } from 'vitest'

it('names the client behind a configured proxy, and none where any client could be behind the address', async () => {
  const schemes = [asPrincipal({ id: 'a' }).scheme]
  const logger = { warn() {}, error() {} }
  const behind = createGate({ schemes, logger, trustedProxies: ['loopback'] })
  const alone = createGate({ schemes, logger })
  const seen: (string | undefined)[] = []
  const server = createServer((request, response) => {
    seen.push(clientAddressOf(behind, request), clientAddressOf(alone, request))
    response.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const headers = { 'x-forwarded-for': '192.0.2.1, ::ffff:198.51.100.7' }
  const [response] = (await once(get({ port, headers }), 'response')) as [IncomingMessage]
  response.resume()
  server.close()
  expect(seen).toEqual(['198.51.100.7', undefined])
})
