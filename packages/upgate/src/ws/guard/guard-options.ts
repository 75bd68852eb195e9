import type { Principal } from '../../core/contract/principal.ts'
import { isPlain } from '../../core/options/check-options.ts'
import { count, milliseconds, optional, value } from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import { quarantineOptions } from '../limits/limits.ts'
import type { QuarantineOptions } from '../limits/quarantine-options.ts'
import type { SocketServers } from '../socket/web-socket-like.ts'
import type { UpgradeHandler } from './handlers.ts'

/** Options of `guardServer`, together with those of the quarantine. Unknown options throw. */
export interface GuardServerOptions<S extends SocketServers = SocketServers, P extends Principal = Principal>
  extends QuarantineOptions {
  /**
   * Which `WebSocketServer` owns which path: made with `noServer`, or with `{ server, path }` and taken as it is.
   * Paths are patterns as in rules. Exactly one owner a path; every deferred rule needs one.
   */
  readonly sockets?: S
  /**
   * Functions that own the upgrades of a path, with their raw sockets: a framework's hot reload, or the upgrade of a proxy
   * library. For paths of `required` rules, and of `public` and `optional` ones with `upgrade: true`; deferred paths need a
   * `WebSocketServer`. The decision comes first. A function that throws or rejects ends its socket. Audit events tell of
   * sockets with a principal as of those of `sockets`.
   */
  readonly handlers?: Readonly<Record<string, UpgradeHandler<P>>>
  /**
   * Sockets of `handlers` without a principal at a time, in all; of one address at most `maxSocketsPerAddress`. Further ones
   * are answered 503. Default: 1,000.
   */
  readonly maxUnprovenHandled?: number
  /** Milliseconds until an upgrade that is not decided yet is answered 503. Default: 10,000. */
  readonly decisionTimeout?: number
  /** Upgrades being decided at a time; further ones are answered 503. Default: 1,000. */
  readonly maxDeciding?: number
}

const guardServerOptions = optionTable<GuardServerOptions>()({
  // The servers are checked by `createOwners`, together with the guarded one.
  sockets: optional(
    value<SocketServers>("an object of WebSocketServers by path, such as { '/ws': wss }", isPlain),
  ),
  handlers: optional(
    value<Readonly<Record<string, UpgradeHandler>>>(
      "an object of functions by path, such as { '/hmr': handle }",
      isPlain,
    ),
  ),
  maxUnprovenHandled: count(1_000, 1),
  decisionTimeout: milliseconds(10_000, 1, 2 ** 31 - 1),
  maxDeciding: count(1_000, 1),
  ...quarantineOptions.kinds,
})

type WithDefaults = 'maxUnprovenHandled' | 'maxSocketsPerAddress' | 'decisionTimeout' | 'maxDeciding'

/**
 * Checks the options of `guardServer` and fills in the defaults. The entries of `sockets` and `handlers` are checked where
 * they are compiled.
 *
 * @throws TypeError for an unknown or wrong option
 */
export function readGuardOptions<S extends SocketServers, P extends Principal>(
  options: GuardServerOptions<S, P>,
): GuardServerOptions<S, P> & Required<Pick<GuardServerOptions, WithDefaults>> {
  return guardServerOptions.read('guardServer', options as unknown as GuardServerOptions) as never
}
