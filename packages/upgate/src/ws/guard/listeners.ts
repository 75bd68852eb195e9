import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Handshake } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { matchesStrictly, type Pattern } from '../../core/rules/pattern.ts'
import type { Quarantine } from '../quarantine/types.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import type { Owners } from './owners.ts'

/** A listener as it is called; `GuardedServer` has its types. */
export type SocketListener = (socket: never, request: never, principal: never, value: never) => unknown

/** What `guard.on` takes after the path: the listener, or the handshake whose values it wants and the listener. */
export type ListenArguments =
  | readonly [listener: SocketListener]
  | readonly [handshake: Handshake, listener: SocketListener]

/** The application's listeners for accepted sockets, by path. */
export interface Listeners {
  /** Adds a listener for the sockets of one path, and answers how to take it away again. */
  add(method: 'on' | 'onOptional', path: string, how: ListenArguments): () => void
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

  function add(method: 'on' | 'onOptional', path: string, how: ListenArguments): () => void {
    const [handshake, listener] = how.length === 1 ? [undefined, how[0]] : how
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
      const which = handshake === undefined ? 'second' : 'third'
      throw new TypeError(`${where}: the ${which} argument must be a function (socket, request, principal).`)
    }
    const rule = method === 'on' ? gate.anonymousRuleFor(path) : undefined
    if (rule !== undefined) {
      throw new TypeError(
        `${where}: the rule for ${rule} lets sockets in without a principal. ` +
          `Use guard.onOptional, whose listener gets \`undefined\` for them, or demand one: access: 'required'.`,
      )
    }
    if (handshake !== undefined) assertHandshake(path, handshake, where)
    const onConnection = (socket: never, request: never, _: unknown, value: unknown): void => {
      dispatch(socket, request, value, pattern, method === 'on', listener)
    }
    wss.on('connection', onConnection)
    const remove = (): void => {
      added.delete(remove)
      wss.removeListener('connection', onConnection)
    }
    added.add(remove)
    return remove
  }

  /** Another handshake's value would have another type. */
  function assertHandshake(path: string, handshake: Handshake, where: string): void {
    const onPath = gate.handshakesFor(path)
    const other = onPath.find((each) => each !== handshake)
    if (onPath.length > 0 && other === undefined) return
    throw new TypeError(
      `${where}: ` +
        (other === undefined
          ? 'no deferred rule for this path has a handshake.'
          : `a rule for this path has another handshake, ${JSON.stringify(other.name)}.`) +
        ' Give it the same object as the rule: its values have its type.',
    )
  }

  function dispatch(
    socket: WebSocketLike,
    request: unknown,
    value: unknown,
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
    const done = listener(socket as never, request as never, principal as never, value as never)
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
