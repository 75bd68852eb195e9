import { type IncomingMessage, Server, type ServerResponse } from 'node:http'
import { Server as TlsServer } from 'node:https'
import type { Duplex } from 'node:stream'

/** The events by which a request gets to a listener as an ordinary one. */
export type RequestEvent = 'request' | 'checkContinue' | 'checkExpectation'

/** The handlers that get a server's events instead of its listeners. */
export interface Interceptor {
  request(event: RequestEvent, request: IncomingMessage, response: ServerResponse): void
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  connect(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Told of every connection on which requests come, before the server's listeners get it. */
  connection(socket: object): void
}

/** A server with intercepted events. */
export interface Interception {
  /** Hands an event to the server's own listeners. */
  pass(event: string, ...values: unknown[]): boolean
  /** How many upgrade listeners the server has besides the one that keeps the event coming. */
  upgradeListeners(): number
  /** Gives the server its own `emit` back. */
  release(): void
}

/** Tells the listener that does nothing from an application's, also where several guards have put one. */
const placeholder: unique symbol = Symbol.for('upgate.placeholder') as never

/**
 * Puts handlers between one server and all its listeners for requests and upgrades: present ones, and those added
 * later, prepended, added with `once` or removed again.
 *
 * It overrides `emit` on that one instance, which is how Node itself delivers these events, and keeps one upgrade
 * listener that does nothing: without any, Node hands upgrades out as ordinary requests.
 */
export function intercept(server: Server | TlsServer, interceptor: Interceptor): Interception {
  const own = Object.getOwnPropertyDescriptor(server, 'emit')
  let active = true

  // Looked up at each call, so that instrumentation of the prototype (tracing) added later still works.
  const underneath = (): typeof server.emit =>
    own === undefined ? (Object.getPrototypeOf(server) as Server).emit : (own.value as typeof server.emit)
  const hand = (event: string, ...values: unknown[]): boolean =>
    Reflect.apply(underneath(), server, [event, ...values])
  const pass = (event: string, ...values: unknown[]): boolean => {
    // As Node does for an application without a listener of its own.
    const isContinue = event === 'checkContinue' && !isGuarded(own?.value)
    if (isContinue && server.listeners(event).every((listener) => placeholder in (listener as object))) {
      ;(values[1] as ServerResponse).writeContinue()
      return hand('request', ...values)
    }
    return hand(event, ...values)
  }

  function emit(this: unknown, ...call: unknown[]): boolean {
    if (active) {
      switch (call[0]) {
        case 'request':
        case 'checkContinue':
        case 'checkExpectation':
          interceptor.request(call[0], call[1] as IncomingMessage, call[2] as ServerResponse)
          return true
        case 'upgrade':
          interceptor.upgrade(call[1] as IncomingMessage, call[2] as Duplex, call[3] as Buffer)
          return true
        case 'connect':
          interceptor.connect(call[1] as IncomingMessage, call[2] as Duplex, call[3] as Buffer)
          return true
        case 'connection':
        case 'secureConnection':
          interceptor.connection(call[1] as object)
          break
      }
    }
    return Reflect.apply(underneath(), server, call)
  }

  // Without a listener for it Node sends 100 by itself, before the decision.
  const decideFirst = Object.assign((): void => {}, { [placeholder]: true })
  const keepUpgradesComing = Object.assign((): void => {}, { [placeholder]: true })
  const heal = (event: string | symbol, listener: unknown): void => {
    if (!active) return
    if (event === 'upgrade' && listener === keepUpgradesComing) server.on('upgrade', keepUpgradesComing)
    if (event === 'checkContinue' && listener === decideFirst) server.on('checkContinue', decideFirst)
  }
  server.on('upgrade', keepUpgradesComing)
  server.on('checkContinue', decideFirst)
  server.on('removeListener', heal)
  server.emit = Object.assign(emit, { [placeholder]: true }) as typeof server.emit

  return {
    pass,
    upgradeListeners: () =>
      server.listeners('upgrade').filter((listener) => !(placeholder in listener)).length,
    release() {
      active = false
      server.removeListener('removeListener', heal)
      server.removeListener('upgrade', keepUpgradesComing)
      server.removeListener('checkContinue', decideFirst)
      // A later override stays; this one only hands on from here on.
      if (server.emit !== (emit as typeof server.emit)) return
      if (own === undefined) delete (server as { emit?: unknown }).emit
      else Object.defineProperty(server, 'emit', own)
    },
  }
}

/** Whether an `emit` is that of another guard, which decides the event itself. */
function isGuarded(emit: unknown): boolean {
  return typeof emit === 'function' && placeholder in emit
}

/** Throws unless something is a server whose every request comes by the events intercepted here. */
export function assertServer(server: unknown, where: string): asserts server is Server | TlsServer {
  if (server instanceof Server || server instanceof TlsServer) return
  throw new TypeError(
    `${where}: the first argument must be a server of node:http or node:https. ` +
      'A framework usually has one (`const server = app.listen(...)`); HTTP/2 servers deliver requests in other ways and cannot be guarded.',
  )
}
