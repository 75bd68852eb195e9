/** A message as `ws` emits it. */
export type Message = readonly [data: unknown, isBinary: boolean]

/** How many messages wait, and how many bytes of payload they may hold. */
export interface QueueLimits {
  readonly maxQueuedMessages: number
  readonly maxQueuedBytes: number
}

/** Messages that have to wait, in order of arrival. */
export class MessageQueue {
  readonly messages: Message[]
  readonly #limits: QueueLimits
  #bytes = 0

  /** Starts with messages that wait already; their bytes do not count. */
  constructor(limits: QueueLimits, messages: readonly Message[] = []) {
    this.#limits = limits
    this.messages = [...messages]
  }

  /** Appends a message; false if the queue is full. */
  add(data: unknown, isBinary: boolean): boolean {
    this.#bytes += sizeOf(data)
    if (this.messages.length >= this.#limits.maxQueuedMessages || this.#bytes > this.#limits.maxQueuedBytes) {
      return false
    }
    this.messages.push([data, isBinary])
    return true
  }
}

/** Bytes of payload, in every `binaryType` of `ws` but `blob`. */
function sizeOf(data: unknown): number {
  if (Array.isArray(data)) return data.reduce<number>((sum, part) => sum + sizeOf(part), 0)
  return (data as { byteLength?: number }).byteLength ?? 0
}
