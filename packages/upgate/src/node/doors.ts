import type { IncomingMessage } from 'node:http'
import type { Decider, Gate } from '../core/contract/gate.ts'
import type { Principal } from '../core/contract/principal.ts'
import { flag } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import { createNotes } from '../core/request/notes.ts'
import { guardingGates } from './guards.ts'
import { kindOf } from './request.ts'

/**
 * Options of the HTTP adapters. Unknown options throw.
 *
 * @example
 * app.use(expressGate(gate, { socketsElsewhere: true })) // a proxy in front takes the upgrades
 */
export interface AdapterOptions {
  /**
   * Says that the upgrades of this server, and requests that other listeners take before the application, are guarded in
   * another way, or are meant to be open. Default: false.
   */
  readonly socketsElsewhere?: boolean
}

const adapterOptions = optionTable<AdapterOptions>()({ socketsElsewhere: flag(false) })

/** The methods of a server that this file uses; servers of HTTP/2 have them as well. */
interface Listening {
  listeners(event: string): readonly unknown[]
  on(event: string, listener: (name: string) => void): unknown
}

interface Looked {
  /** Whether listeners came since. */
  stale: boolean
  /** The listeners for requests at the last look that found no door. */
  requests: readonly unknown[]
  door: TypeError | undefined
  warned: boolean
}

/** Throws for a request that came to a server with a door next to the gate. */
export type DoorCheck = (request: IncomingMessage, known: Known) => void

/** The facts that an adapter knows of its application. */
export interface Known {
  /** How many `upgrade` listeners hand their sockets to the adapter: that of express-ws or koa-websocket. */
  readonly through: number
}

/** The application uses neither express-ws nor koa-websocket. */
export const noSockets: Known = { through: 0 }
/** The application uses one of the two libraries, which adds one listener. */
export const oneListener: Known = { through: 1 }

/**
 * Looks for ways into a server that an HTTP adapter does not see: `upgrade` listeners, and listeners put in front of
 * the application's (socket.io answers its polling requests there). It looks at the first request, and at the next one
 * after a listener was added.
 *
 * With a deferred rule or an ambient scheme such a server answers nothing: any web page could open its sockets with the
 * cookies of its user. Else a warning is logged, once per server.
 */
export function createDoorCheck<P extends Principal>(
  where: string,
  decider: Decider<P>,
  options: AdapterOptions = {},
): DoorCheck {
  const { socketsElsewhere } = adapterOptions.read(where, options)
  const parts = decider.adapterParts
  // The demands of a single route stand behind a gate, or protect that route alone.
  const isGate = typeof (decider as Partial<Gate>).resume === 'function'
  if (socketsElsewhere || parts === undefined || !isGate) return () => {}
  const { socketsMatter, logger } = parts
  const looked = createNotes<Looked>()

  function look(server: Listening, state: Looked, { through }: Known): void {
    state.stale = false
    state.door = undefined
    const requests = server.listeners('request')
    const found = guardingGates(server).length > 0 ? undefined : doorOf(server, requests, state, through)
    if (found === undefined) {
      state.requests = requests
      return
    }
    const text =
      `${where}: ${found}, and no gate decides it: an HTTP adapter sees only the requests that reach the application. ` +
      'Guard the whole server: `guardServer(server, gate)` from upgate/ws. ' +
      `If that is guarded in another way, say so: { socketsElsewhere: true } as the last argument of ${where}.`
    if (socketsMatter) state.door = new TypeError(text)
    else if (!state.warned) {
      state.warned = true
      logger.warn(text)
    }
  }

  return (request, known) => {
    // It came by an `upgrade` listener, which then hands its upgrades to the adapter.
    if (kindOf(request) === 'upgrade') return
    const { server } = (request.socket ?? {}) as { server?: Listening }
    if (typeof server?.listeners !== 'function') return
    let state = looked.get(server)
    if (state === undefined) {
      const fresh: Looked = { stale: true, requests: [], door: undefined, warned: false }
      state = fresh
      looked.set(server, fresh)
      server.on('newListener', (event) => {
        if (event === 'upgrade' || event === 'request') fresh.stale = true
      })
    }
    if (state.stale) look(server, state, known)
    if (state.door !== undefined) throw state.door
  }
}

function doorOf(
  server: Listening,
  requests: readonly unknown[],
  { requests: before }: Looked,
  through: number,
): string | undefined {
  const upgrades = server.listeners('upgrade').length - through
  if (upgrades > 0) {
    const many = upgrades === 1 ? 'an `upgrade` listener' : `${upgrades} \`upgrade\` listeners`
    return `this server has ${many} (socket.io, a proxy for WebSockets, or a server of \`ws\`)`
  }
  const replaced = before.length > 0 && !requests.some((listener) => before.includes(listener))
  if (replaced || requests.some(handsOn)) {
    return 'another listener takes requests of this server before the application does (as the polling of socket.io)'
  }
  return undefined
}

/** engine.io and socket.io keep the listeners that they replace in a list, and call those for what they leave over. */
function handsOn(listener: unknown): boolean {
  return /\w+\[\w+\]\.call\(\w+, ?\w+, ?\w+\)/.test(Function.prototype.toString.call(listener))
}
