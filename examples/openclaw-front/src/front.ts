import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  cookieMayBeSecure,
  createGate,
  deviceKey,
  deviceToken,
  type Gate,
  type Logger,
  type Services,
} from 'upgate'
import { clientAddressOf, endStreams, httpGate } from 'upgate/node'
import { guardServer, type Handshake } from 'upgate/ws'
import { WebSocketServer } from 'ws'
import { type Config, originsOf } from './config.ts'
import { createForwarded } from './forwarded.ts'
import { createListener } from './http/listener.ts'
import { createProxy } from './http/proxy.ts'
import { upstreamCredential } from './introducers.ts'
import { createLogin } from './people.ts'
import { openRecords } from './records.ts'
import { createRules, own } from './rules.ts'
import { createConnectedNodes } from './sockets/connected.ts'
import { handedNonceHandshake, type SignedNode } from './sockets/handed-nonce-handshake.ts'
import { createKeeper } from './sockets/keeper.ts'
import { createNodeSockets } from './sockets/nodes.ts'
import { type ArrivedNode, ownKeyHandshake } from './sockets/own-key-handshake.ts'
import { connectPage } from './sockets/pages.ts'
import { longestMessage } from './upstream/open.ts'
import { createSlots } from './upstream/slots.ts'
import { createUpstreamSockets, type UpstreamSockets } from './upstream/sockets.ts'

/** A running front. */
export interface Front {
  /** Origin under which browsers reach it. */
  readonly origin: string
  readonly port: number
  readonly services: Services
  /** Sockets at the gateway that it has not accepted yet. */
  readonly waiting: number
  /** Closes sockets with 1001, lets running answers end, and closes the records. */
  close(): Promise<void>
}

/** Milliseconds until an answer of the gateway begins. */
const answerTimeout = 120_000

/** Opens the records, listens, and guards the server before the first connection is read. */
export async function startFront(config: Config, write: (line: string) => void): Promise<Front> {
  const logger: Logger = { warn: write, error: (message, fields) => write(`${message}${reasonIn(fields)}`) }
  const records = await openRecords(config, logger)
  const server = createServer()
  try {
    server.listen(config.port, config.host)
    await once(server, 'listening')
    return assemble(config, server, records, logger, write)
  } catch (error) {
    server.close()
    await records.close()
    throw error
  }
}

/** The reason of a failure; the gate has removed credentials from it. */
function reasonIn(fields: Readonly<Record<string, unknown>> | undefined): string {
  const { error } = fields ?? {}
  return error instanceof Error ? ` ${error.message}` : ''
}

function assemble(
  config: Config,
  server: Server,
  { services, secret, close: closeRecords }: Awaited<ReturnType<typeof openRecords>>,
  logger: Logger,
  log: (message: string) => void,
): Front {
  const { port } = server.address() as AddressInfo
  const { upstream } = config
  const origins = originsOf(config, port)
  const [origin] = origins
  const login = createLogin(config.login, services, origins.every(cookieMayBeSecure), logger)
  const token = deviceToken({ devices: services.devices })
  const { pairing, devices } = services
  const key = deviceKey({ pairing, devices, introducers: [upstreamCredential(services, upstream.secret)] })
  // Two objects that need each other: the handshake opens sockets, which need the addresses that the gate knows.
  let sockets: UpstreamSockets | undefined
  const handedNonce = handedNonceHandshake((client) => {
    if (sockets === undefined) throw new Error('The front is not assembled yet.')
    return sockets.openForUnproven(client)
  })
  const ownKey = ownKeyHandshake()
  const handshake = (config.nodes === 'own-key' ? ownKey : handedNonce) as Handshake
  const gate: Gate = createGate({
    name: 'openclaw-front',
    origins,
    trustedProxies: config.trustedProxies,
    schemes: [login.scheme, token, key],
    rules: createRules({ handshake, login: login.scheme.name, nodes: [token.name, key.name] }),
    ...(login.external && { externalLogin: login.external }),
    ...(login.cookies && { login: { page: `${own}/login` } }),
    logger,
  })
  const { userHeader } = upstream
  const forwarded = createForwarded({ gate, origin, userHeader })
  const slots = createSlots({ most: upstream.waiting, now: () => performance.now() })
  const addressOf = (request: IncomingMessage): string | undefined => clientAddressOf(gate, request)
  sockets = createUpstreamSockets({ url: upstream.url, origin, userHeader, slots, forwarded, addressOf })
  const opening = sockets
  const connected = createConnectedNodes(Date.now)
  const nodes = createNodeSockets({ upstream, sockets, connected, secret, log })
  const proxy = createProxy({ upstream, gate, forwarded, timeout: answerTimeout, log })
  server.on('request', httpGate(gate, createListener({ gate, services, login, proxy, connected, log })))

  const wss = new WebSocketServer({ noServer: true, maxPayload: longestMessage, perMessageDeflate: false })
  const guarded = guardServer(server, gate, {
    sockets: { '/*': wss },
    deadline: config.handshakeTimeout,
    // A revoked peer that does not answer the close frame is cut off, and the gateway's socket with it.
    closeGrace: 500,
  })
  const keep = { device: createKeeper(4), user: createKeeper(50), service: createKeeper(4) }
  guarded.onOptional('/*', (socket, request, principal, value) => {
    if (principal !== undefined) keep[principal.kind](principal.id, socket)
    if (principal?.kind !== 'device') connectPage(socket, request, opening, log)
    else if (value === undefined) nodes.byHeader(socket, request, principal)
    else if (config.nodes === 'own-key') nodes.byOwnKey(socket, request, principal, value as ArrivedNode)
    else nodes.bySignature(socket, request, principal, value as SignedNode)
  })

  return {
    origin,
    port,
    services,
    get waiting() {
      return slots.taken
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      await guarded.close({ code: 1001 })
      server.closeIdleConnections()
      const timer = setTimeout(() => {
        endStreams(gate)
        server.closeAllConnections()
      }, config.drainTimeout)
      await closed
      clearTimeout(timer)
      proxy.close()
      gate.close()
      login.close()
      await closeRecords()
    },
  }
}
