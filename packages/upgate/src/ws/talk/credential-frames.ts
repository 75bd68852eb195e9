import { type Message, MessageQueue } from '../socket/message.ts'
import { messageOf } from './answers.ts'
import type { Found } from './attempt.ts'

/** How many frames a credential may consist of, and how many bytes of payload they may hold. */
export interface CollectLimits {
  readonly maxCollectedFrames: number
  readonly maxCollectedBytes: number
}

/** The frames of a credential that comes in more than one: collected until it is complete. */
export class CredentialFrames {
  readonly #limits: CollectLimits
  #queue: MessageQueue | undefined

  constructor(limits: CollectLimits) {
    this.#limits = limits
  }

  /** One more part; false if there are too many, or too many bytes of them. */
  add(message: Message): boolean {
    const { maxCollectedFrames: maxQueuedMessages, maxCollectedBytes: maxQueuedBytes } = this.#limits
    this.#queue ??= new MessageQueue({ maxQueuedMessages, maxQueuedBytes })
    return this.#queue.add(...message)
  }

  /**
   * The last part has arrived. Returns the messages for the application, or `undefined` if they are too many. The next
   * credential begins without them.
   */
  complete({ replay }: Found, last: Message): readonly Message[] | undefined {
    const queue = this.#queue
    this.#queue = undefined
    if (queue?.add(...last) === false) return undefined
    if (Array.isArray(replay)) return replay.map(messageOf)
    return replay === true ? (queue?.messages ?? [last]) : []
  }
}
