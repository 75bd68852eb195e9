import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createGate, createServices, deviceToken, memoryStore } from 'upgate'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocketServer } from 'ws'
import { freePort } from '../free-port.ts'

/** A URL to connect to, with the verdict that is right for it. */
export interface Attempt {
  readonly name: string
  readonly url: string
  readonly token?: string
  readonly timeout: number
}

/** A gate and servers that refuse in other ways, on loopback. */
export interface RefusingServers {
  readonly attempts: readonly Attempt[]
  /** Ends the accepted sockets without a close frame. */
  cut(): void
  close(): Promise<void>
}

/** Starts them. The gate allows this origin. */
export async function startRefusingServers(origin = 'https://gateway.example.com'): Promise<RefusingServers> {
  const closing: (() => unknown)[] = []
  const services = createServices({ store: memoryStore() })
  const gate = createGate({
    origins: [origin],
    hosts: ['127.0.0.1'],
    schemes: [deviceToken({ devices: services.devices })],
    rules: [
      { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake({ refresh: true }) },
    ],
  })
  const server = createHttpServer()
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })))
  const guard = guardServer(server, gate, { sockets: { '/ws': sockets }, hold: 0 })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(async () => {
    server.close()
    server.closeAllConnections()
    await guard.close()
    await services.close()
  })
  const good = await services.devices.create({ name: 'good' })
  const revoked = await services.devices.create({ name: 'revoked' })
  await services.devices.revoke(revoked.id)

  const listen = async (onSocket: (socket: Socket) => void): Promise<string> => {
    const open = new Set<Socket>()
    const tcp = createServer((socket) => {
      open.add(socket)
      socket.on('error', () => {})
      onSocket(socket)
    })
    tcp.listen(0, '127.0.0.1')
    await once(tcp, 'listening')
    closing.push(() => {
      for (const socket of open) socket.destroy()
      tcp.close()
    })
    return `ws://127.0.0.1:${(tcp.address() as AddressInfo).port}/ws`
  }
  const answering = (text: string): Promise<string> =>
    listen((socket) => socket.once('data', () => socket.end(`HTTP/1.1 ${text}`)))
  const login = 'https://acme.cloudflareaccess.com/cdn-cgi/access/login/x?meta=a.b.c'
  const nowhere = `ws://127.0.0.1:${await freePort()}/ws`

  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`
  const attempts: Omit<Attempt, 'timeout'>[] = [
    { name: 'accepted, hello', url, token: good.token },
    { name: 'invalid_credential', url, token: 'ugd_wrongwrongwrong' },
    { name: 'revoked_credential', url, token: revoked.token },
    { name: 'tcp_refused', url: nowhere },
    {
      name: 'access_login_required',
      url: await answering(`302 Found\r\nLocation: ${login}\r\nContent-Length: 0\r\n\r\n`),
    },
    {
      name: 'tunnel_down',
      url: await answering('530 X\r\nServer: cloudflare\r\nContent-Length: 16\r\n\r\nerror code: 1033'),
    },
    { name: 'other_server_auth', url: await answering('401 X\r\nContent-Length: 0\r\n\r\n') },
    { name: 'other_server', url: await answering('200 OK\r\nContent-Length: 2\r\n\r\nhi') },
    { name: 'http_closed', url: await listen((socket) => socket.once('data', () => socket.end())) },
    { name: 'http_silent', url: await listen(() => {}) },
  ]
  return {
    // Only silence lasts until the time-out.
    attempts: attempts.map((attempt) => ({
      ...attempt,
      timeout: attempt.name === 'http_silent' ? 5000 : 30_000,
    })),
    cut() {
      for (const socket of sockets.clients) socket.terminate()
    },
    async close() {
      for (const end of closing.reverse()) await end()
    },
  }
}
