import type { IncomingMessage } from 'node:http'
import type { HandshakeHeader } from '../../core/contract/handshake.ts'
import type { WebSocketServerLike } from './web-socket-like.ts'

/** Header lines that the 101 of an upgrade gets besides those of its server: by the event `headers` of `ws`. */
export class ExtraHeaders {
  readonly #watched: WeakSet<WebSocketServerLike> = new WeakSet()
  readonly #lines: WeakMap<IncomingMessage, readonly HandshakeHeader[]> = new WeakMap()

  /** The server answers this request soon, or once its `verifyClient` has: the lines, checked already, are for it. */
  add(wss: WebSocketServerLike, request: IncomingMessage, lines: readonly HandshakeHeader[]): void {
    if (lines.length === 0) return
    this.#lines.set(request, lines)
    if (this.#watched.has(wss)) return
    this.#watched.add(wss)
    wss.on('headers', (head: string[], answered: IncomingMessage) => {
      for (const [name, value] of this.#lines.get(answered) ?? []) head.push(`${name}: ${value}`)
      this.#lines.delete(answered)
    })
  }
}
