import { createServer as createHttpServer } from 'node:http'
import {
  apiKey,
  createGate,
  createServices,
  deviceKey,
  deviceToken,
  type GateOptions,
  memoryStore,
  sharedToken,
} from 'upgate'
import { type GuardServerOptions, guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocketServer } from 'ws'
import { listen, type Stage } from './stage.ts'

const paths = ['/ws', '/users', '/shared', '/scoped', '/roles', '/admin']

/** A gate with a path for each kind of permission. */
export async function startGate(
  stage: Stage,
  { gate: more = {}, guard: guarding = {} }: { gate?: Partial<GateOptions>; guard?: object } = {},
) {
  let passed = 0
  const clock = {
    now: () => Date.now() + passed,
    setTimer(milliseconds: number, callback: () => void) {
      const timer = setTimeout(callback, milliseconds)
      return { cancel: () => clearTimeout(timer) }
    },
  }
  const services = createServices({ store: memoryStore(), clock })
  const handshake = upgateHandshake({ deviceKeys: true })
  const kinds = ['device', 'service', 'user'] as const
  const gate = createGate({
    clock,
    origins: ['https://gateway.example.com'],
    schemes: [
      deviceToken({ devices: services.devices }),
      deviceKey({ devices: services.devices, pairing: services.pairing }),
      apiKey({ keys: services.keys }),
      sharedToken({
        // 503: a verifier that cannot answer.
        verify: (token) => {
          if (token === brokenToken) throw new Error('the store of tokens is away')
          return token === sharedSecret
        },
        principal: { kind: 'device', id: 'shared' },
      }),
    ],
    rules: [
      { path: '/ws', access: 'deferred', kinds: [...kinds], handshake },
      { path: '/users', access: 'deferred', kinds: ['user'], handshake },
      { path: '/shared', access: 'required', kinds: [...kinds], schemes: ['shared-token'] },
      { path: '/scoped', access: 'deferred', kinds: [...kinds], scopes: ['node.write'], handshake },
      { path: '/roles', access: 'deferred', kinds: [...kinds], roles: ['operator'], handshake },
      { path: '/admin', access: 'required', kinds: [...kinds] },
      { path: '/admin/*', access: 'required', kinds: [...kinds] },
      { path: '/lost', access: 'required', kinds: [...kinds] },
      { path: '/lost/*', access: 'required', kinds: [...kinds] },
    ],
    logger: { warn() {}, error() {}, info() {}, debug() {} },
    ...more,
  } as GateOptions)
  const server = createHttpServer((_request, response) => response.end('application'))
  const accepting = (): WebSocketServer => new WebSocketServer({ noServer: true }).on('connection', () => {})
  const guard = guardServer(
    server,
    gate as never,
    {
      sockets: Object.fromEntries(paths.map((path) => [path, accepting()])),
      hold: 0,
      ...guarding,
    } as GuardServerOptions,
  )
  stage.later(async () => {
    server.close()
    server.closeAllConnections()
    await guard.close()
    await services.close()
  })
  const port = await listen(server)
  /** Puts the clock of the gate ahead. */
  const pass = (milliseconds: number): void => {
    passed += milliseconds
  }
  return { port, url: `ws://127.0.0.1:${port}`, services, guard, server, pass }
}

export const sharedSecret = 'a-shared-token-of-this-gate'
export const brokenToken = 'a-token-that-breaks-the-verifier'
