import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type Clock, type ConnectError, type Connection, isConnectError } from '@upgate/client'
import {
  createGate,
  createServices,
  deviceKey as deviceKeyScheme,
  deviceToken,
  type Gate,
  type GateOptions,
  memoryStore,
  sharedToken,
  ticket,
} from 'upgate'
import { type GuardServerOptions, guardServer, upgateHandshake } from 'upgate/ws'
import { afterEach } from 'vitest'
import { WebSocketServer } from 'ws'

const cleanups: (() => unknown)[] = []

/** Ends, after each test, what the helpers started, the newest first. */
export function cleanUp(): void {
  afterEach(async () => {
    for (const close of cleanups.splice(0).reverse()) await close()
  })
}

/** Something to end after the test. */
export function later(close: () => unknown): void {
  cleanups.push(close)
}

/** A connection that is closed after the test. */
export function kept(connection: Connection): Connection {
  cleanups.push(() => connection.close())
  return connection
}

/** The error with which a connection ends before its acceptance. */
export async function failureOf(connection: Connection): Promise<ConnectError> {
  kept(connection)
  try {
    await connection.accepted
  } catch (error) {
    if (isConnectError(error)) return error
    throw error
  }
  throw new Error('The connection was accepted.')
}

/** A clock on which a minute takes two seconds: for pauses that a real server asks for. */
export const hurried: Clock = {
  now: () => Date.now(),
  setTimer(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds / 30)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** A TCP server that does this with every connection; answers its port. */
export async function tcpServer(
  onSocket: (socket: Socket) => void,
  create: (listener: (socket: Socket) => void) => Server = createServer,
): Promise<number> {
  const sockets = new Set<Socket>()
  const server = create((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

/** An HTTP server that answers every request, upgrades included, with this text; answers its port. */
export function answering(text: string): Promise<number> {
  return tcpServer((socket) => {
    socket.once('data', () => socket.end(text))
  })
}

/** A gate with devices on `/ws` behind a real server. */
export interface TestGate {
  readonly url: string
  readonly port: number
  readonly server: HttpServer
  readonly gate: Gate
  readonly services: ReturnType<typeof createServices>
  readonly guard: ReturnType<typeof guardServer>
  readonly sockets: WebSocketServer
}

/** Starts a gate; sockets on `/ws` echo what they get. */
export async function startGate(
  rule: Partial<NonNullable<GateOptions['rules']>[number]> = {},
  more: Partial<GateOptions> = {},
  guarding: Partial<GuardServerOptions> = {},
  at = 0,
): Promise<TestGate> {
  const services = createServices({ store: memoryStore() })
  const gate = createGate({
    origins: ['https://gateway.example.com'],
    schemes: [
      deviceToken({ devices: services.devices }),
      deviceKeyScheme({ devices: services.devices, pairing: services.pairing } as never),
      ticket({ tickets: services.tickets }),
      sharedToken({
        verify: (token) => token === 'a-shared-token-of-this-gate',
        principal: { kind: 'device', id: 'shared' },
      }),
    ],
    rules: [
      {
        path: '/ws',
        access: 'deferred',
        kinds: ['device'],
        handshake: upgateHandshake({ deviceKeys: true, refresh: true }),
        ...rule,
      } as never,
    ],
    ...more,
  })
  const server = createHttpServer((_request, response) => response.end('application'))
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on('connection', (socket) =>
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
  )
  const guard = guardServer(server, gate, { sockets: { '/ws': sockets }, hold: 0, ...guarding } as never)
  await new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve))
  cleanups.push(async () => {
    server.close()
    server.closeAllConnections()
    await guard.close()
    await services.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `ws://127.0.0.1:${port}/ws`,
    port,
    server,
    gate: gate as unknown as Gate,
    services,
    guard: guard as never,
    sockets,
  }
}
