import type { Handshake } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { QuarantineCounts } from '../limits/roster.ts'
import type { DrainOptions, Quarantine } from '../quarantine/types.ts'
import type { SocketOf, SocketRequestOf, SocketServers } from '../socket/web-socket-like.ts'

/** Numbers of sockets of a guarded server. */
export interface GuardCounts extends QuarantineCounts {
  /** Raw sockets that functions of `handlers` own. */
  readonly handled: number
  /** Of these, how many have no principal. */
  readonly unprovenHandled: number
}

/** A guarded server. */
export interface GuardedServer<P extends Principal = Principal, S extends SocketServers = SocketServers> {
  /**
   * Listens for the sockets that are accepted on a path of `sockets`, all of them with a principal: its type is the
   * gate's, the socket's type that of the `WebSocketServer`.
   *
   * A listener that throws or rejects ends its socket with 1011. Sockets that came to the same `WebSocketServer` by
   * another path or past this guard do not reach it.
   *
   * @param path - as in `sockets`
   * @returns a function that takes the listener away; `close` does as well
   * @throws TypeError for a path that is not in `sockets`, and where a rule lets sockets in without a principal
   * @example
   * const guard = guardServer(server, gate, { sockets: { '/ws': new WebSocketServer({ noServer: true }) } })
   * guard.on('/ws', (socket, request, principal) => socket.send(`hello ${principal.id}`))
   */
  on<K extends keyof S & string>(
    path: K,
    listener: (
      socket: SocketOf<S[K]>,
      request: SocketRequestOf<S[K]>,
      principal: P,
      value: unknown,
    ) => unknown,
  ): () => void
  /**
   * The same for a path with this handshake, whose `context.value` the listener gets with its type. It is `undefined` for
   * a socket that HTTP let in without the handshake, unless its `headers` made a value.
   *
   * @param path - as in `sockets`
   * @param handshake - the one of the rule, the same object
   * @throws TypeError for a path that has no rule with this handshake, or one with another
   * @example
   * guard.on('/ws', upstreams, (socket, request, principal, upstream) => upstream?.pipe(socket))
   */
  on<K extends keyof S & string, V>(
    path: K,
    handshake: Handshake<unknown, V>,
    listener: (
      socket: SocketOf<S[K]>,
      request: SocketRequestOf<S[K]>,
      principal: P,
      value: V | undefined,
    ) => unknown,
  ): () => void
  /**
   * The same for every path, those included on which `public` and `optional` rules let sockets in without a principal:
   * the listener gets `undefined` for them.
   *
   * @throws TypeError for a path that is not in `sockets`
   */
  onOptional<K extends keyof S & string>(
    path: K,
    listener: (
      socket: SocketOf<S[K]>,
      request: SocketRequestOf<S[K]>,
      principal: P | undefined,
      value: unknown,
    ) => unknown,
  ): () => void
  /**
   * Refuses new upgrades, closes every socket with 1001, destroys those of `handlers`, and resolves when all are gone; the
   * server then has its own `emit` back. Close the server as well: from then on nothing guards it.
   */
  close(options?: DrainOptions): Promise<void>
  /** Has a newer credential of an accepted socket verified; see {@link Quarantine.refresh}. */
  readonly refresh: Quarantine<P>['refresh']
  /** Numbers of sockets by stage, for metrics. */
  readonly counts: GuardCounts
}
