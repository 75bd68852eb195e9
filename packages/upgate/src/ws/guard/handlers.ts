import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { Refused } from '../../core/contract/decision.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { isCallable, nameOf } from '../../core/options/check-options.ts'
import { overlap, parsePattern } from '../../core/rules/pattern.ts'
import { type HandledLimits, HandledSockets, type HandledUpgrade } from './handled-sockets.ts'
import { createPathTable, type PathTable } from './path-table.ts'

/**
 * Takes the allowed upgrades of a path with their raw sockets: a framework's hot reload, the upgrade of a proxy library.
 *
 * @param socket - nothing was written to it; it is destroyed, with an `error` event, when the principal's credential is revoked
 * or expires, and at the guard's `close`
 * @param head - the first bytes behind the request, as Node's `upgrade` event has them
 * @param principal - `undefined` on public and optional paths without a credential
 */
export type UpgradeHandler<P extends Principal = Principal> = (
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  principal: P | undefined,
) => unknown

/** Functions that own upgrade paths. */
export interface Handlers<P extends Principal> extends PathTable<UpgradeHandler<P>> {
  /** Hands an upgrade over, or returns why not. */
  call(
    handler: UpgradeHandler<P>,
    upgrade: HandledUpgrade<P> & { readonly head: Buffer },
  ): Refused | undefined
  /** The sockets that were handed over. */
  readonly sockets: HandledSockets<P>
}

/**
 * Reads the option `handlers`.
 *
 * @throws TypeError for an entry that is no function, for a path with two owners, and for one that a deferred rule covers
 */
export function createHandlers<P extends Principal>(
  gate: Gate<P>,
  handlers: Readonly<Record<string, UpgradeHandler<P>>>,
  owners: PathTable<unknown>,
  limits: HandledLimits,
): Handlers<P> {
  const where = 'guardServer'
  for (const [path, handler] of Object.entries(handlers)) {
    if (!isCallable(handler)) {
      throw new TypeError(
        `${where}: \`handlers['${path}']\` must be a function (request, socket, head, principal), not ${nameOf(handler)}.`,
      )
    }
    const pattern = parsePattern(path, `${where}: \`handlers\``)
    const deferred = gate.deferredPaths.find((rule) => overlap(parsePattern(rule, where), pattern))
    if (deferred === undefined) continue
    throw new TypeError(
      `${where}: \`handlers['${path}']\` is on a deferred path ('${deferred}'), whose sockets wait for their credential in a WebSocket frame. ` +
        `Give the path to a WebSocketServer: sockets: { '${deferred}': wss }.`,
    )
  }
  const sockets = new HandledSockets(gate, limits)
  return {
    ...createPathTable(handlers, where, 'handlers', [{ option: 'sockets', table: owners }]),
    sockets,
    call(handler, upgrade) {
      const { request, socket, head, decision } = upgrade
      const refused = sockets.take(upgrade)
      if (refused !== undefined) return refused
      const failed = (error: unknown): void => {
        gate.logger.error('guardServer: a function of `handlers` failed; its socket is destroyed.', { error })
        sockets.end(socket, 'internal_error')
      }
      try {
        const done = handler(request, socket, head, decision.principal)
        if (isPromiseLike(done)) done.then(undefined, failed)
      } catch (error) {
        failed(error)
      }
      return undefined
    },
  }
}
