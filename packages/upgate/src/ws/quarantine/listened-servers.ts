import type { Refused } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { Logger } from '../../core/ports/logger.ts'
import { pathOf } from '../../core/request/target.ts'
import type { Admission } from './types.ts'

/** Servers without a `connection` listener: nothing would answer their open sockets. */
export class ListenedServers {
  readonly #logger: Logger
  readonly #logged: WeakSet<object> = new WeakSet()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Refuses an upgrade before the 101 if its server has no listener. Logs one line for each server. */
  refuse<P extends Principal>({ wss, request, decision }: Admission<P>): Refused | undefined {
    if (wss.listenerCount === undefined || wss.listenerCount('connection') > 0) return undefined
    if (!this.#logged.has(wss)) {
      this.#logged.add(wss)
      const path = JSON.stringify(pathOf(request.url ?? '/').slice(0, 256))
      this.#logger.error(
        `The WebSocketServer that owns ${path} has no \`connection\` listener, so that its accepted sockets would hang: upgrades are answered 503. ` +
          "Add wss.on('connection', (socket, request, principal) => ...) to it, or give the path to the server that has one; servers inside Fastify's and Hono's plugins have none.",
      )
    }
    const rule = 'rule' in decision ? decision.rule : undefined
    return refuse('unavailable', { rule, detail: 'Nothing here takes sockets on this path.' })
  }
}
