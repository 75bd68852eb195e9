import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AuditEvent, Gate, GateOptions, Logger, Principal, Scheme } from 'upgate'
import { type ManualClock, manualClock } from 'upgate/testing'
import { type GuardedServer, type GuardServerOptions, guardServer, jsonFrame } from 'upgate/ws'
import { WebSocketServer } from 'ws'
import { cookieScheme, keyScheme, makeGate, origin, person } from '../core/fixtures.ts'

export { eventually } from '../ws/harness.ts'

/** A guarded server with everything a test may want to look at. */
export interface Stage {
  readonly server: Server
  readonly gate: Gate
  readonly guard: GuardedServer
  readonly clock: ManualClock
  readonly nodes: WebSocketServer
  readonly warnings: string[]
  readonly events: AuditEvent[]
  readonly port: number
  /** Resolves the decisions that wait for it, where the scheme was made slow. */
  readonly letDecide: () => void
  /** How many decisions wait for it. */
  readonly undecided: () => number
}

export interface StageOptions {
  readonly server?: Server
  readonly listener?: RequestListener
  readonly rules?: GateOptions['rules']
  readonly options?: GuardServerOptions
  /** Verifications of the key `k_slow` wait until `letDecide` is called. */
  readonly before?: (server: Server) => void
}

const open: Stage[] = []

/** Closes everything that tests left open. */
export async function closeStages(): Promise<void> {
  for (const { server, nodes } of open.splice(0)) {
    for (const ws of nodes.clients) ws.terminate()
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  }
}

export const ours: readonly string[] = ['Cookie: sid=u', `Origin: ${origin}`]

export function createTheGate(
  logger: Logger,
  clock: ManualClock,
  waiting: (() => void)[],
  rules?: GateOptions['rules'],
): Gate {
  const slow = (): Promise<{ outcome: 'authenticated'; principal: Principal }> =>
    new Promise((resolve) => {
      waiting.push(() => resolve({ outcome: 'authenticated', principal: person('slow') }))
    })
  const schemes: readonly Scheme[] = [
    cookieScheme({ u: person('u', { scheme: 'cookie' }) }),
    keyScheme({ k_u: person('u'), k_slow: slow, k_device: person('node-1', { kind: 'device' }) }),
  ]
  return makeGate({
    logger,
    clock,
    schemes,
    rules: rules ?? [
      { path: '/health', access: 'public' },
      { path: '/open', access: 'public', upgrade: true },
      {
        path: '/ws',
        access: 'deferred',
        kinds: ['device'],
        handshake: jsonFrame({ credential: (message) => message.token }),
      },
    ],
  })
}

export async function stage(options: StageOptions = {}): Promise<Stage> {
  const clock = manualClock()
  const warnings: string[] = []
  const waiting: (() => void)[] = []
  const logger: Logger = {
    warn: (message) => void warnings.push(message),
    error: (message) => void warnings.push(message),
  }
  const gate = createTheGate(logger, clock, waiting, options.rules)
  const server =
    options.server ?? createServer(options.listener ?? ((_request, response) => response.end('reached')))
  options.before?.(server)
  const nodes = new WebSocketServer({ noServer: true })
  nodes.on('connection', (ws, _request: IncomingMessage, principal?: Principal) => {
    ws.send(`welcome ${principal?.id}`)
    ws.on('message', (data) => ws.send(`echo ${data}`))
  })
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  const guard = guardServer(server, gate, options.options ?? { sockets: { '/ws': nodes } })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const letDecide = (): void => {
    for (const decide of waiting.splice(0)) decide()
  }
  const made: Stage = {
    server,
    gate,
    guard,
    clock,
    nodes,
    warnings,
    events,
    port,
    letDecide,
    undecided: () => waiting.length,
  }
  open.push(made)
  return made
}
