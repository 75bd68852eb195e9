import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import { connect, headerHandshake, isConnectError, wsTransport } from '@upgate/client'
import { expect, test } from 'vitest'
import { certificate } from './certificates.ts'

/* A server whose certificate does not count gets no byte of the request, and no secret with it. */

test.each([
  ['for another name', { name: 'other.example.com' }, true, 'tls_name_mismatch'],
  ['expired', { from: -10, to: -1 }, true, 'tls_expired'],
  ['self-signed', {}, false, 'tls_self_signed'],
] as const)('a certificate that is %s', async (_name, options, trusted, code) => {
  const made = await certificate(options)
  const got: Buffer[] = []
  const server = createServer({ key: made.key, cert: made.cert }, (socket) => {
    socket.on('data', (data) => got.push(data))
    socket.on('error', () => {})
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const error = await connect(`wss://127.0.0.1:${port}/ws`, {
    credential: 'a-token-of-the-test',
    handshake: headerHandshake({ header: 'x-token' }),
    edge: { clientId: 'id.access', clientSecret: 'f'.repeat(64) },
    transport: wsTransport(trusted ? { ca: made.cert } : {}),
    reconnect: false,
  }).accepted.catch((reason: unknown) => reason)
  // What was under way has arrived when the server is gone.
  await new Promise((resolve) => server.close(resolve))
  expect(isConnectError(error) && error.code).toBe(code)
  expect(got).toEqual([])
})
