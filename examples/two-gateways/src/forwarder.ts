import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A forwarded port, as `ssh -L` makes it: bytes in both directions, and no word about who sent them. */
export interface Forwarder {
  readonly port: number
  /** Where the bytes go; a new connection goes to the new target. */
  target: number
  /** Ends all connections and stops listening. */
  cut(): Promise<void>
  /** Listens again, on the same port. */
  restore(): Promise<void>
}

/** Forwards a port of loopback to another one. */
export async function startForwarder(port: number, target: number): Promise<Forwarder> {
  const open = new Set<Socket>()
  const server = createServer((inner) => {
    const outer = connect(forwarder.target, '127.0.0.1')
    const ends: readonly (readonly [Socket, Socket])[] = [
      [inner, outer],
      [outer, inner],
    ]
    for (const [one, other] of ends) {
      open.add(one)
      one.on('error', () => other.destroy())
      one.once('close', () => {
        open.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  const listen = async (at: number): Promise<number> => {
    server.listen(at, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const forwarder = {
    port: await listen(port),
    target,
    async cut() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of open) socket.destroy()
      await closed
    },
    async restore() {
      await listen(forwarder.port)
    },
  }
  return forwarder
}
