import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ConnectOptions, connect, headerHandshake, ticketHandshake } from '@upgate/client'
import { describe, expect, test } from 'vitest'
import { cleanUp, failureOf, later } from './helpers.ts'

cleanUp()

/* The second look: one GET of the same path, after an answer that has several causes. */

const edge = {
  clientId: 'my-client-id-of-the-test.access',
  clientSecret: 'Zq8v-my-client-secret-of-the-test',
}
const token = 'my-token-of-the-gate'

/** A server that is not the gate: it answers upgrades with 404, and GETs with `answer`. */
async function otherServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; readonly port: number; readonly gets: readonly IncomingMessage[] }> {
  const gets: IncomingMessage[] = []
  const server = createServer((request, response) => {
    gets.push(request)
    answer(request, response)
  })
  server.on('upgrade', (_request, socket) => {
    socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  later(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { url: `ws://127.0.0.1:${port}/ws`, port, gets }
}

const verdictOf = async (url: string, options: ConnectOptions) =>
  await failureOf(connect(url, { reconnect: false, timeout: 60_000, ...options }))

describe('the headers of a second look', () => {
  test.each([['two-headers'], ['single-header']] as const)(
    '%s: the edge’s secrets go to the same origin, and not to where it is redirected',
    async (form) => {
      const target = await otherServer((_request, response) => response.end())
      const { url, gets } = await otherServer((_request, response) => {
        response.writeHead(302, { location: `http://127.0.0.1:${target.port}/ws` }).end()
      })
      const { code } = await verdictOf(url, { credential: token, edge: { ...edge, form } })
      expect(code).toBe('other_server')
      expect(gets.map(({ headers }) => headers)).toEqual([
        expect.objectContaining(
          form === 'two-headers'
            ? { 'cf-access-client-id': edge.clientId, 'cf-access-client-secret': edge.clientSecret }
            : {
                authorization: JSON.stringify({
                  'cf-access-client-id': edge.clientId,
                  'cf-access-client-secret': edge.clientSecret,
                }),
              },
        ),
      ])
      expect(target.gets).toEqual([])
    },
  )

  test('credentials of the gate are not in it', async () => {
    const { url, gets } = await otherServer((_request, response) => response.end())
    await verdictOf(url, {
      credential: token,
      handshake: headerHandshake(),
      headers: { Cookie: `session=${token}`, 'X-Api-Key': token },
    })
    expect(gets.length).toBe(1)
    expect(JSON.stringify(gets[0]?.headers)).not.toContain(token)
    await verdictOf(url, { headers: { Authorization: `Bearer ${token}` } })
    expect(gets.length).toBe(2)
    expect(JSON.stringify(gets[1]?.headers)).not.toContain(token)
  })
})

test('secrets that the answer to it echoes are removed, also those that were sent before', async () => {
  // Words without a form that gives a secret away, as the marker of the plain GET, which the evidence shows.
  const [token, ticket, secret] = ['kettle', 'saucer', 'teapot'].map((word) => word.repeat(3)) as [
    string,
    string,
    string,
  ]
  for (const [echoed, options] of [
    [token, { credential: token }],
    [secret, { edge: { clientId: 'id.access', clientSecret: secret } }],
    [ticket, { handshake: ticketHandshake({ fetch: async () => Response.json({ ticket }) }) }],
  ] as const) {
    const { url, gets } = await otherServer((_request, response) => {
      response.writeHead(404, { 'upgate-refusal': `${echoed}; gate="g"`, server: echoed }).end(echoed)
    })
    const error = await verdictOf(url, options)
    expect(gets.length).toBe(1)
    expect(JSON.stringify([error, error.diagnosis])).not.toMatch(/kettle|saucer|teapot/)
  }
})

test('a body without an end is read for 16 KiB', async () => {
  let written = 0
  const { url } = await otherServer((request, response) => {
    const more = (): void => {
      while (response.write('a'.repeat(16_384)));
    }
    response.on('drain', more)
    request.socket.on('close', () => {
      written = request.socket.bytesWritten
    })
    more()
  })
  await verdictOf(url, {})
  await expect.poll(() => written).toBeGreaterThan(0)
  // The rest is what the buffers of the kernel took.
  expect(written).toBeLessThan(16 * 1024 * 1024)
})
