import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { wsTransport } from '@upgate/client'
import {
  apiKey,
  type Clock,
  cookieMayBeSecure,
  createGate,
  createServices,
  deviceCookie,
  deviceKey,
  deviceToken,
  type Logger,
  type Services,
  sessionCookie,
} from 'upgate'
import { expressGate } from 'upgate/express'
import { type AcquaintanceOptions, guardServer } from 'upgate/ws'
import { createAccess, externalLogin } from './access.ts'
import { createApp } from './app.ts'
import { type Audit, createAudit } from './audit.ts'
import { chatFrameLimit, createChat } from './chat.ts'
import { createClientAddresses } from './client-address.ts'
import { type Config, originsOf } from './config.ts'
import type { Context } from './context.ts'
import { createFirstAdmin } from './first-admin.ts'
import { watchForProxy } from './hidden-visitors.ts'
import { jsonLine } from './json-line.ts'
import { createLive } from './live.ts'
import { nodeHandshake } from './node-handshake.ts'
import { createNodes, type Nodes, nodeMessageLimit } from './nodes.ts'
import { localPresence, type Presence, sharedPresence } from './presence.ts'
import { allowedAddresses } from './remote/addresses.ts'
import { createRemote, type Remote } from './remote/remote.ts'
import { createRules } from './rules.ts'
import { scopes } from './scopes.ts'
import { createSetupCode, type SetupCode } from './setup-code.ts'
import { createSockets, type Endpoint } from './sockets.ts'
import { openStorage, type Storage } from './storage.ts'

/** The environment of the gateway; the program passes the console. */
export interface Surroundings {
  /** Writes one line of the log. */
  write(line: string): void
  /** Default: the system's. */
  readonly clock?: Clock
}

/** A running gateway. */
export interface Gateway {
  /** Origin under which browsers reach the gateway. */
  readonly origin: string
  /** The port it listens on. */
  readonly port: number
  readonly setupCode: string | undefined
  /** Closes sockets with 1001, ends requests, and writes pending records. */
  close(): Promise<void>
}

/**
 * Opens the database, listens, and guards the server before the first connection is read.
 *
 * @throws {ConfigError} if the settings or the data folder are unusable; other errors are those of the database and of
 * `listen`
 */
export async function startGateway(config: Config, surroundings: Surroundings): Promise<Gateway> {
  const { write, clock } = surroundings
  const log = (message: string): void => write(jsonLine({ event: 'log', message }))
  const logger: Logger = { warn: log, error: (message) => log(message) }
  const storage = await openStorage(config, logger)
  const { store, bus, acquaintances } = storage
  const services = createServices({
    store,
    ...(bus && { bus }),
    logger,
    // A program may also approve, if its key holds the scope; users and programs grant only scopes that they hold.
    pairing: { roles: { node: [] }, actorScope: scopes.pairing },
    ...(clock && { clock }),
  })
  const server = createServer()
  const now = (): number => clock?.now() ?? Date.now()
  const nodes = createNodes({ now })
  let presence: Presence | undefined
  let remote: Remote | undefined
  const closeAll = async (): Promise<void> => {
    await (remote ?? storage.remote.records).close()
    await presence?.close()
    await services.close()
    await storage.close()
  }
  try {
    const audit = createAudit({ now, write })
    await createFirstAdmin(config, services, audit)
    const setupCode = (await services.accounts.any())
      ? undefined
      : createSetupCode({
          now,
          show(code) {
            audit.record({ event: 'setup_code_replaced' })
            // On the console only: the code must not be part of the audit trail.
            write(`Setup code: ${code} (valid for 30 minutes, once; the previous code no longer counts)`)
          },
        })
    const { database } = config
    presence = database
      ? await sharedPresence({ connectionString: database.url, nodes, log })
      : localPresence(nodes)
    server.listen(config.port, config.host)
    await once(server, 'listening')
    // No `await` from here on: the server must be guarded before it reads a connection.
    const { port } = server.address() as AddressInfo
    const origins = originsOf(config, port)
    const assembled = assemble({
      config,
      clock,
      logger,
      log,
      write,
      now,
      audit,
      services,
      acquaintances,
      nodes,
      presence,
      server,
      origins,
      setupCode,
      stored: storage.remote,
    })
    const { stop } = assembled
    remote = assembled.remote
    await remote.start()
    return {
      origin: origins[0],
      port,
      setupCode: setupCode?.value,
      async close() {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()))
        await stop()
        server.closeIdleConnections()
        const timer = setTimeout(() => server.closeAllConnections(), 1000)
        await closed
        clearTimeout(timer)
        await closeAll()
      },
    }
  } catch (error) {
    server.close()
    await closeAll()
    throw error
  }
}

interface Parts {
  readonly config: Config
  readonly clock: Clock | undefined
  readonly logger: Logger
  log(message: string): void
  /** Writes one line to the console. */
  write(line: string): void
  now(): number
  readonly audit: Audit
  readonly services: Services
  readonly acquaintances: AcquaintanceOptions | undefined
  readonly nodes: Nodes
  readonly presence: Presence
  readonly server: Server
  readonly origins: readonly [string, ...string[]]
  readonly setupCode: SetupCode | undefined
  readonly stored: Storage['remote']
}

/** Connects gate, application and sockets. */
function assemble(parts: Parts): { readonly remote: Remote; stop(): Promise<void> } {
  const { config, clock, logger, log, write, now, audit, services, server, origins } = parts
  const { nodes, presence, setupCode, acquaintances, stored } = parts
  const session = sessionCookie({
    sessions: services.sessions,
    cookieName: 'gateway_session',
    sameSite: 'strict',
    secure: origins.every(cookieMayBeSecure),
    logger,
  })
  const device = deviceCookie({ name: 'gateway_device', secure: origins.every(cookieMayBeSecure) })
  const access = config.access && createAccess({ config: config.access, services, logger, clock })
  const token = deviceToken({ devices: services.devices })
  const key = deviceKey({ pairing: services.pairing, devices: services.devices })
  const gate = createGate({
    name: 'gateway',
    origins,
    trustedProxies: config.trustedProxies,
    schemes: [access ?? session, apiKey({ keys: services.keys }), token, key],
    rules: createRules(nodeHandshake(), {
      login: (access ?? session).name,
      device: token.name,
      deviceKey: key.name,
    }),
    ...(access && { externalLogin }),
    login: { page: '/login' },
    setup: { page: '/setup', required: async () => !(await services.accounts.any()) },
    logger,
    ...(clock && { clock }),
  })
  gate.events.subscribe(audit.observe)

  const chat = createChat({ now })
  const live = createLive(presence, audit)
  gate.events.subscribe((event) => {
    if (event.type !== 'pairing') return
    live.changed('pairings')
    // A device is new, or has another key, name or rights: the list of devices has changed.
    if (['collected', 'approved', 'key_bound'].includes(event.step)) live.changed('devices')
  })
  const addresses = createClientAddresses(gate)
  const nodeSockets: Endpoint = {
    maxPayload: nodeMessageLimit,
    atMost: 4,
    accept: (socket, principal, request) => nodes.accept(socket, principal, addresses.seen(request)),
  }
  const sockets = createSockets({
    '/ws': nodeSockets,
    '/': nodeSockets,
    '/ws/chat': { maxPayload: chatFrameLimit, atMost: 20, accept: chat.accept },
    '/ws/live': { maxPayload: 1024, atMost: 20, accept: live.accept },
  })
  const mayConnectTo = allowedAddresses(config.remote.allow)
  const remote = createRemote({
    ...stored,
    transport: wsTransport({ allowAddress: mayConnectTo }),
    clock,
    now,
    name: new URL(origins[0]).host,
    log,
    changed: () => live.changed('remote'),
    stepped: ({ step, ...facts }) => audit.record({ event: `remote_${step}`, ...facts }),
  })
  const context: Context = {
    services,
    nodes: presence,
    audit,
    live,
    addresses,
    remote,
    mayConnectTo,
    now,
    setupCode,
    login: gate.loginConfiguration,
    origin: origins[0],
    nodeUrl: `${origins[0].replace(/^http/, 'ws')}/ws`,
    principalOf: (request) => gate.principalOf(request),
    setCookie: (response, issued) => void response.append('set-cookie', session.setCookie(issued)),
    removeCookie: (response) => void response.append('set-cookie', session.removeCookie()),
    cookies: { session, device },
  }
  const watch = watchForProxy(config, write)
  server.on('request', createApp({ context, guard: expressGate(gate), origins, log, watch }))
  const guarded = guardServer(server, gate, {
    sockets,
    deadline: config.handshakeTimeout,
    ...(acquaintances && { acquaintances }),
  })
  return {
    remote,
    async stop() {
      await guarded.close({ code: 1001 })
      gate.close()
      access?.close()
    },
  }
}
