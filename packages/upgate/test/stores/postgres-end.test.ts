import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { postgresStore } from 'upgate/sql'
import { expect, test } from 'vitest'

/** A message of PostgreSQL's protocol: its type, its length with the length itself, its body. */
function message(type: string, body: Buffer): Buffer {
  const head = Buffer.from(`${type}0000`)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

// Seen when a postmaster was killed under load: the connection was opened and ended in one packet, before anything
// listened for the end, and the exception of that event ended the gateway.
test('a PostgreSQL that ends in the packet that opened the connection makes the store unavailable, and no more', async () => {
  const opened = message('R', Buffer.alloc(4))
  const ready = message('Z', Buffer.from('I'))
  const fields = [
    'SFATAL',
    'VFATAL',
    'C57P01',
    'Mterminating connection due to unexpected postmaster exit',
    '',
  ]
  const ended = message('E', Buffer.from(fields.map((field) => `${field}\0`).join('')))
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.on('error', () => {})
    socket.once('data', () => socket.end(Buffer.concat([opened, ready, ended])))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const opening = postgresStore({ connectionString: `postgres://gateway@127.0.0.1:${port}/gateway` })
  await expect(opening).rejects.toMatchObject({ name: 'StoreUnavailable', code: 'store_unavailable' })
  expect(connections).toBeGreaterThan(0)
  server.close()
})
