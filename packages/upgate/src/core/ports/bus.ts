/**
 * How instances tell each other that the revocation log has grown. It carries numbers only: the entries are read
 * from the log in the store, so a message that is lost, repeated or forged takes nothing away and lets no client in.
 */
export interface RevocationBus {
  /**
   * Tells every instance, this one included, that the log reaches this number. Never throws; a message that cannot
   * be sent is dropped: heartbeats, which are announcements too, and reading the log make up for it.
   *
   * @param sequence - number of the newest entry, from 0
   */
  announce(sequence: number): void
  /**
   * Calls back for every announcement heard. Returns its removal.
   *
   * @param listener - called with the number that was announced
   */
  subscribe(listener: (sequence: number) => void): () => void
  /** Releases the connection. Announcements after it are dropped. */
  close(): Promise<void>
}

const format = /^upgate:1:(\d{1,15})$/

/**
 * Writes an announcement as text, for a bus that carries text.
 *
 * @param sequence - number of the newest revocation, from 0
 * @throws TypeError for anything but a whole number
 * @example
 * await client.publish(channel, busMessage(sequence))
 */
export function busMessage(sequence: number): string {
  if (!Number.isSafeInteger(sequence) || sequence < 0) {
    throw new TypeError('busMessage: the sequence must be a whole number, from 0.')
  }
  return `upgate:1:${sequence}`
}

/**
 * Reads the number in an announcement.
 *
 * @param message - anything that arrived on the channel
 * @returns the number, or `undefined` for every other message; never throws
 * @example
 * client.on('message', (text) => {
 *   const sequence = sequenceIn(text)
 *   if (sequence !== undefined) hear(sequence)
 * })
 */
export function sequenceIn(message: unknown): number | undefined {
  const match = typeof message === 'string' && message.length < 32 ? format.exec(message) : null
  return match === null ? undefined : Number(match[1])
}
