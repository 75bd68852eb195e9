import type { EndReason } from '../../core/contract/client-families.ts'
import type { Logger } from '../../core/ports/logger.ts'
import type { Roster, Unheard } from '../limits/roster.ts'
import { type AttachedSocket, attached, emitAsUsual, intercept, release } from '../socket/attached.ts'
import { type Message, MessageQueue, type QueueLimits } from '../socket/message.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'

/** The socket whose messages wait. */
export interface Unhearing {
  readonly id: string
  readonly unheard: UnheardMessages | undefined
  /** Whether a message renews the credential: it does not wait. */
  hears(data: unknown, isBinary: boolean): boolean
  /** The messages do not wait any more: the socket reads them itself, or drops them. */
  over(messages: readonly Message[] | undefined): void
  endAs(reason: EndReason, standardCode: number): void
}

/** The shared parts that it uses. */
interface Shared {
  readonly limits: QueueLimits
  readonly roster: Roster
  readonly gate: { readonly logger: Logger }
}

/**
 * Messages of an accepted socket whose application does not listen for messages yet: they wait in order until it does,
 * for at most the deadline of the quarantine. The socket is read until the first one, since it may be one that only
 * the server speaks on. Made only for sockets that need it.
 */
export class UnheardMessages implements Unheard {
  since = 0
  readonly #shared: Shared
  readonly #socket: Unhearing
  readonly #ws: WebSocketLike
  #queue: MessageQueue

  constructor(shared: Shared, socket: Unhearing, ws: WebSocketLike, messages: readonly Message[]) {
    this.#shared = shared
    this.#socket = socket
    this.#ws = ws
    this.#queue = new MessageQueue(shared.limits, messages)
    shared.roster.unheard.add(this)
    if (messages.length > 0) ws.pause()
    else if (ws.isPaused) ws.resume()
    intercept(ws, emitHeld)
    ws.on('newListener', onNewListener)
  }

  /** One more message. */
  keep(data: unknown, isBinary: boolean): void {
    if (this.#queue.messages.length > 0) {
      if (!this.#queue.add(data, isBinary)) this.#socket.endAs('too_many_frames', 4429)
    } else if (!this.#socket.hears(data, isBinary)) {
      // However long it is: the application may just not listen yet.
      this.#queue = new MessageQueue(this.#shared.limits, [[data, isBinary]])
      this.#ws.pause()
    }
  }

  /** The application is about to listen. */
  heard(): void {
    process.nextTick(() => {
      if (this.#socket.unheard !== this) return
      this.stop()
      release(this.#ws)
      this.#socket.over(this.#queue.messages)
    })
  }

  /** The application did not listen in time: the messages are dropped, and the socket goes on. */
  giveUp(): void {
    this.stop()
    release(this.#ws)
    if (this.#queue.messages.length > 0)
      this.#shared.gate.logger.warn(
        'No `message` listener was attached in time: early messages are dropped.',
        {
          connection: this.#socket.id,
        },
      )
    this.#socket.over(undefined)
  }

  /** Stops waiting; the override of `emit` is left to the caller. */
  stop(): void {
    this.#shared.roster.unheard.delete(this)
    this.#ws.removeListener('newListener', onNewListener)
  }
}

type Owned = AttachedSocket<Unhearing>

function onNewListener(this: Owned, event: unknown): void {
  if (event === 'message') this[attached]?.unheard?.heard()
}

function emitHeld(this: Owned, event: string | symbol, a?: unknown, b?: unknown): boolean {
  if (event !== 'message') return emitAsUsual(this, event, a, b)
  this[attached]?.unheard?.keep(a, b === true)
  return true
}
