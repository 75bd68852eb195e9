import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort } from '../free-port.ts'

/** A connection to a server that can be cut, or can go silent like a dead host. */
export interface Way {
  /** The address of the server through this proxy. */
  url(of: string): string
  /** Ends all connections and refuses new ones, like a stopped server. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Whether data is held back; held data is lost with its connection. */
  frozen: boolean
}

export async function proxyTo(target: string): Promise<Way> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let server: Server | undefined
  // A port that nothing else gets while it is stopped.
  const ownPort = await freePort()
  const proxy: Way = {
    frozen: false,
    url(of) {
      const url = new URL(of)
      url.hostname = '127.0.0.1'
      url.port = String(ownPort)
      return url.href
    },
    async start() {
      server = createServer((near) => {
        const far = connect(Number(port), hostname)
        for (const [from, to] of [
          [near, far],
          [far, near],
        ] as const) {
          sockets.add(from)
          from.on('data', (data) => {
            if (!proxy.frozen) to.write(data)
          })
          from.on('error', () => {})
          from.on('close', () => {
            sockets.delete(from)
            to.destroy()
          })
        }
      })
      server.listen(ownPort, '127.0.0.1')
      await once(server, 'listening')
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      if (server === undefined) return
      const closed = once(server, 'close')
      server.close()
      server = undefined
      await closed
    },
  }
  await proxy.start()
  return proxy
}
