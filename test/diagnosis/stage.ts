import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer, type LookupFunction, type Server, type Socket } from 'node:net'

/** Where a situation is built: its servers, which end with it. */
export class Stage {
  readonly #cleanups: (() => unknown)[] = []

  later(close: () => unknown): void {
    this.#cleanups.push(close)
  }

  async end(): Promise<void> {
    for (const close of this.#cleanups.splice(0).reverse()) await close()
  }

  /** A server that does this with every connection; answers its port. */
  async tcp(
    onSocket: (socket: Socket) => void,
    create: (listener: (socket: Socket) => void) => Server = createServer,
  ): Promise<number> {
    const sockets = new Set<Socket>()
    const follow = (socket: Socket): void => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
    const server = create((socket) => {
      follow(socket)
      onSocket(socket)
    })
    server.on('connection', follow)
    this.later(async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    })
    return listen(server)
  }

  /** An HTTP server; answers its port. */
  async http(listener: RequestListener): Promise<number> {
    const server = createHttpServer(listener)
    this.later(async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    })
    return listen(server)
  }

  /** Answers this text to every request, upgrades included. */
  answering(text: string): Promise<number> {
    return this.tcp((socket) => socket.once('data', () => socket.end(text)))
  }
}

/** Binds a server to a free port of 127.0.0.1. */
export async function listen(server: Pick<Server, 'listen' | 'address'>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** A resolver that knows one address for every name. */
export const loopbackLookup: LookupFunction = (_host, options, done) =>
  options.all === true ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)

/** A resolver that fails with this code. */
export function failingLookup(code: string): LookupFunction {
  return (host, _options, done) =>
    done(
      Object.assign(new Error(`getaddrinfo ${code} ${host}`), { code, syscall: 'getaddrinfo' }),
      '',
      undefined as never,
    )
}

/** The URL of a socket on loopback. */
export const at = (port: number, scheme = 'ws'): string => `${scheme}://127.0.0.1:${port}/ws`

/** A token that no server of the situations knows, long enough for the doctor to send it. */
export const strangersToken = 'a-token-of-another-gateway-7f3a'
