import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGate, createServices, deviceToken, memoryStore, type Principal } from 'upgate'
import { type ManualClock, manualClock } from 'upgate/testing'
import { connectFrame, guardServer, upgateHandshake } from 'upgate/ws'
import { type WebSocket, WebSocketServer } from 'ws'
import { watchUpgrades } from './watch-upgrades.ts'

/** A gateway as small as they come, on a real port, with a clock that the test moves. */
export interface GateServer {
  /** `connectFrame` is spoken here: what existing nodes send. */
  readonly url: string
  /** Our own minimal protocol is spoken here. */
  readonly ownUrl: string
  readonly clock: ManualClock
  /** Ids of the devices whose sockets the application was handed, in order. */
  readonly nodes: readonly string[]
  /** Headers of the upgrades. */
  readonly upgrades: readonly IncomingHttpHeaders[]
  createDevice(): Promise<{ id: string; token: string }>
  revoke(id: string): Promise<unknown>
  close(): Promise<void>
}

export async function startGateServer(): Promise<GateServer> {
  const clock = manualClock()
  const services = createServices({ store: memoryStore(), clock })
  const gate = createGate({
    clock,
    logger: { warn() {}, error() {} },
    origins: ['https://gateway.example.com'],
    schemes: [deviceToken({ devices: services.devices })],
    rules: [
      { path: '/ws', access: 'deferred', kinds: ['device'], handshake: connectFrame() },
      { path: '/own', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
    ],
  })

  const nodes: string[] = []
  const upgrades: IncomingHttpHeaders[] = []
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (ws: WebSocket, _request: unknown, principal: Principal) => {
    nodes.push(principal.id)
    ws.on('message', (data) => ws.send(`heard ${data}`))
  })
  const server = createServer()
  const guarded = guardServer(server, gate, { sockets: { '/ws': wss, '/own': wss } })
  watchUpgrades(server, ({ headers }) => upgrades.push(headers))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    url: `ws://127.0.0.1:${port}/ws`,
    ownUrl: `ws://127.0.0.1:${port}/own`,
    clock,
    nodes,
    upgrades,
    createDevice: () => services.devices.create({ name: 'kitchen', scopes: ['node.status'] }),
    revoke: (id) => services.devices.revoke(id),
    async close() {
      const stopped = new Promise((resolve) => server.close(resolve))
      const drained = guarded.close()
      clock.advance(5_000)
      await Promise.all([stopped, drained])
      await services.close()
      gate.close()
    },
  }
}
