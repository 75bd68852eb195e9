import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { Allow, Refused } from '../../core/contract/decision.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { isCallable, nameOf } from '../../core/options/check-options.ts'
import { overlap, parsePattern } from '../../core/rules/pattern.ts'
import { createPathTable, type PathTable } from './path-table.ts'
import { registerRaw } from './raw-socket.ts'

/**
 * Takes the allowed upgrades of a path with their raw sockets: a framework's hot reload, the upgrade of a proxy library.
 *
 * @param socket - nothing was written to it; it is destroyed when the principal's credential is revoked or expires, and at
 * the guard's `close`
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
export interface Handlers<P extends Principal> {
  of(target: string): UpgradeHandler<P> | undefined
  /** Hands an upgrade over, or returns why not. */
  call(
    handler: UpgradeHandler<P>,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    decision: Allow<P>,
  ): Refused | undefined
  /** Destroys all sockets that were handed over. */
  close(): void
}

/**
 * Reads the option `handlers`.
 *
 * @param most - sockets without a principal at a time: unauthenticated work is bounded
 * @throws TypeError for an entry that is no function, for a path with two owners, and for one that a deferred rule covers
 */
export function createHandlers<P extends Principal>(
  gate: Gate<P>,
  handlers: Readonly<Record<string, UpgradeHandler<P>>>,
  owners: PathTable<unknown>,
  most: number,
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
  const table = createPathTable(handlers, where, 'handlers', [{ option: 'sockets', table: owners }])
  const live = new Set<Duplex>()
  let unproven = 0
  return {
    of: table.of,
    call(handler, request, socket, head, decision) {
      const { principal } = decision
      if (principal === undefined && unproven >= most) return refuse('over_capacity')
      if (registerRaw(gate, request, socket, decision) === undefined) {
        socket.destroy()
        return undefined
      }
      if (principal === undefined) unproven++
      live.add(socket)
      socket.once('close', () => {
        live.delete(socket)
        if (principal === undefined) unproven--
      })
      const failed = (error: unknown): void => {
        gate.logger.error('guardServer: a function of `handlers` failed; its socket is destroyed.', { error })
        socket.destroy()
      }
      try {
        const done = handler(request, socket, head, principal)
        if (isPromiseLike(done)) done.then(undefined, failed)
      } catch (error) {
        failed(error)
      }
      return undefined
    },
    close() {
      for (const socket of live) socket.destroy()
    },
  }
}
