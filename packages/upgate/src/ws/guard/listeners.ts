import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { matchesStrictly, type Pattern } from '../../core/rules/pattern.ts'
import type { Quarantine } from '../quarantine/types.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import type { Owners } from './owners.ts'

/** A listener as it is called; `GuardedServer` has its types. */
export type SocketListener = (socket: never, request: never, principal: never) => unknown

/** The application's listeners for accepted sockets, by path. */
export interface Listeners {
  /** Adds a listener for the sockets of one path, and answers how to take it away again. */
  add(method: 'on' | 'onOptional', path: string, listener: SocketListener): () => void
  /** Takes every listener away again. */
  clear(): void
}

/**
 * Hands sockets that one guard accepted to listeners of their path. A listener that needs a principal never hears of a
 * socket without one: what the rules say is looked at when it is added, and the socket itself when it is accepted.
 */
export function createListeners<P extends Principal>(
  gate: Gate<P>,
  owners: Owners,
  quarantine: Quarantine<P>,
): Listeners {
  const added = new Set<() => void>()

  function add(method: 'on' | 'onOptional', path: string, listener: SocketListener): () => void {
    const where = `guard.${method}(${JSON.stringify(path)})`
    const pattern = owners.patterns.find(({ source }) => source === path)
    const wss = owners.servers.get(path)
    if (pattern === undefined || wss === undefined) {
      const known = owners.patterns.map(({ source }) => source).join(', ')
      throw new TypeError(
        `${where}: no WebSocketServer owns this path. ` +
          (known === '' ? 'Name one' : `The paths of \`sockets\` are ${known}; name one for this path`) +
          ` where the server is guarded: sockets: { ${JSON.stringify(path)}: wss }.`,
      )
    }
    if (typeof listener !== 'function') {
      throw new TypeError(`${where}: the second argument must be a function (socket, request, principal).`)
    }
    const rule = method === 'on' ? gate.anonymousRuleFor(path) : undefined
    if (rule !== undefined) {
      throw new TypeError(
        `${where}: the rule for ${rule} lets sockets in without a principal. ` +
          `Use guard.onOptional, whose listener gets \`undefined\` for them, or demand one: access: 'required'.`,
      )
    }
    const onConnection = (socket: never, request: never): void => {
      dispatch(socket, request, pattern, method === 'on', listener)
    }
    wss.on('connection', onConnection)
    const remove = (): void => {
      added.delete(remove)
      wss.removeListener('connection', onConnection)
    }
    added.add(remove)
    return remove
  }

  function dispatch(
    socket: WebSocketLike,
    request: unknown,
    pattern: Pattern,
    needsPrincipal: boolean,
    listener: SocketListener,
  ): void {
    // The same WebSocketServer may own other paths, or get sockets of another server, past this guard.
    const accepted = quarantine.acceptedAs(socket)
    if (accepted === undefined || !matchesStrictly(pattern, accepted.path)) return
    const { principal } = accepted
    // Closes the socket: see `AcceptedSocket`.
    if (needsPrincipal && principal === undefined) throw new Error(`No principal on ${pattern.source}.`)
    const done = listener(socket as never, request as never, principal as never)
    if (isPromiseLike(done as object)) {
      ;(done as PromiseLike<unknown>).then(undefined, (error: unknown) => {
        gate.logger.error('A `connection` listener rejected: the socket is closed.', { error })
        socket.close(1011, 'internal_error')
      })
    }
  }

  return {
    add,
    clear() {
      for (const remove of [...added]) remove()
    },
  }
}
