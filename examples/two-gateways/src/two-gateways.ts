import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type GatewayApi, logIn } from './api.ts'
import { type Forwarder, startForwarder } from './forwarder.ts'
import { type GatewayProgram, startGatewayProgram } from './gateway-program.ts'
import { pair } from './pair.ts'

export interface TwoGatewaysOptions {
  /** Ports of the gateways and of the tunnel; 0 picks free ones. */
  readonly ports: { readonly east: number; readonly west: number; readonly tunnel: number }
  /** Folder of both databases. Absent: a temporary one. */
  readonly dataDir: string | undefined
  readonly email: string
  readonly password: string
  /** Arguments of Node for both. Default: none. */
  readonly node?: readonly string[]
  write(line: string): void
}

/** Two gateways, and the forwarded port through which the east reaches the west. */
export interface TwoGateways {
  readonly east: GatewayProgram & { readonly api: GatewayApi }
  readonly west: GatewayProgram & { readonly api: GatewayApi }
  readonly tunnel: Forwarder
  /** Where each of them reaches the other one. */
  readonly urls: { readonly ofEast: string; readonly ofWest: string }
  /** Makes each a node of the other, by their APIs. */
  pair(): Promise<void>
  stop(): Promise<void>
}

export async function startTwoGateways(options: TwoGatewaysOptions): Promise<TwoGateways> {
  const { ports, email, password, node, write } = options
  const folder = options.dataDir ?? mkdtempSync(join(tmpdir(), 'two-gateways-'))
  const start = async (name: 'east' | 'west') => {
    const dataDir = join(folder, name)
    const says = (line: string): void => write(`${name}: ${line}`)
    const program = await startGatewayProgram({
      name,
      port: ports[name],
      dataDir,
      email,
      password,
      node,
      write: says,
    })
    return { ...program, api: await logIn(program.port, email, password) }
  }
  const [east, west] = await Promise.all([start('east'), start('west')])
  const tunnel = await startForwarder(ports.tunnel, west.port)
  const urls = { ofEast: `ws://127.0.0.1:${east.port}/ws`, ofWest: `ws://127.0.0.1:${tunnel.port}/ws` }
  return {
    east,
    west,
    tunnel,
    urls,
    async pair() {
      const say = (line: string): void => write(`pairing: ${line}`)
      await Promise.all([
        pair({ node: east, host: west, url: urls.ofWest, say }),
        pair({ node: west, host: east, url: urls.ofEast, say }),
      ])
    },
    async stop() {
      await Promise.all([east.stop(), west.stop()])
      await tunnel.cut().catch(() => {})
      if (options.dataDir === undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}
