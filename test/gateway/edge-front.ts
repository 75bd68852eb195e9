import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { createEdgeSim, type EdgeSim } from '@upgate/edge-sim'
import { certificate } from '../diagnosis/certificates.ts'

/** A simulated edge with Cloudflare Access in front of a gateway, reached over TLS. */
export interface EdgeFront {
  readonly sim: EdgeSim
  /** `wss://localhost:.../ws` */
  readonly url: string
  /** A file with the certificate, for `NODE_EXTRA_CA_CERTS`. */
  readonly ca: string
  /** A service token that the edge admits. */
  readonly token: { readonly id: string; readonly secret: string }
  stop(): Promise<void>
}

/** A client secret of the right form that belongs to no token. */
export const wrongSecret = '0a'.repeat(32)

/** Puts the edge in front of a gateway. Access admits service tokens, and redirects everybody else to its login. */
export async function startEdge(origin: string): Promise<EdgeFront> {
  const sim = createEdgeSim({
    upstream: origin,
    teams: ['acme'],
    applications: [
      { name: 'gateway', host: 'localhost', policies: [{ action: 'service_auth' }, { action: 'allow' }] },
    ],
  })
  await sim.start()
  const { headers } = sim.addServiceToken({ name: 'the other gateway' })
  const folder = mkdtempSync(join(tmpdir(), 'upgate-edge-'))
  const { key, cert } = await certificate()
  const ca = join(folder, 'ca.pem')
  writeFileSync(ca, cert)
  const sockets = new Set<Socket>()
  const server = createServer({ key, cert }, (inner) => {
    const outer = connect(sim.port, '127.0.0.1')
    for (const [socket, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    sim,
    url: `wss://localhost:${port}/ws`,
    ca,
    token: {
      id: headers['CF-Access-Client-Id'] as string,
      secret: headers['CF-Access-Client-Secret'] as string,
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await sim.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
