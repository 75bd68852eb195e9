import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, it } from 'vitest'
import { HeaderShapes, packHeaders, unpackRequest } from '../../src/ws/socket/request-snapshot.ts'

it('rebuilds a request with the headers Node made of it, duplicates and odd names included', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' })
  const lines = [
    'Host: a',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Authorization: Bearer one',
    'Authorization: Bearer two',
    'Cookie: a=1',
    'Cookie: b=2',
    'Origin: https://a.example',
    'Origin: https://b.example',
    'X-Forwarded-For: 1.1.1.1',
    'X-Forwarded-For: 2.2.2.2',
    'Set-Cookie: x',
    'Set-Cookie: y',
    'User-Agent: first',
    'User-Agent: second',
    'X-Empty:',
    'X-Empty: later',
    '__proto__: polluted',
    'X-Latin: \xe9',
  ]
  socket.write(Buffer.from(`GET /ws?x=1 HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
  const [request] = (await once(server, 'upgrade')) as [IncomingMessage]
  const rebuilt = unpackRequest(
    request.url as string,
    packHeaders(request, new HeaderShapes()),
    request.socket,
  )
  expect(rebuilt.rawHeaders).toEqual(request.rawHeaders)
  expect(Object.entries(rebuilt.headers)).toEqual(Object.entries(request.headers))
  for (const field of [
    'method',
    'url',
    'httpVersion',
    'httpVersionMajor',
    'httpVersionMinor',
    'socket',
  ] as const) {
    expect(rebuilt[field]).toBe(request[field])
  }
  expect(({} as { polluted?: string }).polluted).toBeUndefined()
  socket.destroy()
  server.close()
})

// A parser that is told to be lenient lets it through.
it('takes no header for another where a value holds NUL', async () => {
  const server = createServer({ insecureHTTPParser: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' })
  const lines = [
    'Host: a',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'X-A: a\0forged',
    'X-Forwarded-For: 1.1.1.1',
  ]
  socket.write(`GET /ws HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  const [request] = (await once(server, 'upgrade')) as [IncomingMessage]
  const rebuilt = unpackRequest('/ws', packHeaders(request, new HeaderShapes()), request.socket)
  expect(rebuilt.headers).toMatchObject({ 'x-a': 'a forged', 'x-forwarded-for': '1.1.1.1' })
  expect(rebuilt.rawHeaders).toHaveLength(request.rawHeaders.length)
  request.socket.destroy()
  socket.destroy()
  server.close()
})

it('keeps the names of headers once for clients that are alike, and few lists of them', () => {
  const shapes = new HeaderShapes()
  const pack = (...names: string[]) =>
    packHeaders({ rawHeaders: names.flatMap((name) => [name, 'x']) } as IncomingMessage, shapes).names
  expect(pack('Host', 'Origin')).toBe(pack('Host', 'Origin'))
  expect(pack('Host', 'Origin')).not.toBe(pack('Host', 'origin'))
  for (let i = 0; i < 1000; i++) expect(pack('Host', `X-${i}`)).toEqual(['Host', `X-${i}`])
  // `Host, Origin` is one of the few; a name that came too late, or is too long, has a list of its own each time.
  const [late, long] = ['X-1000', 'X'.repeat(1025)]
  for (const [name, shared] of [
    ['Origin', true],
    ['X-100', true],
    [late, false],
    [long, false],
  ] as const) {
    const first = pack('Host', name)
    pack('Host')
    expect(pack('Host', name) === first).toBe(shared)
  }
})
