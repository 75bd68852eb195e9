/**
 * How instances tell each other that the revocation log has grown. It carries numbers only: what was revoked is read
 * from the log in the store, so a message that is lost, repeated or forged takes nothing away and lets nobody in.
 */
export interface RevocationBus {
  /**
   * Tells every instance, this one included, that the log reaches this number. Never throws; a message that cannot
   * be sent is dropped: heartbeats, which are announcements too, and reading the log make up for it.
   */
  announce(sequence: number): void
  /** Calls back for every announcement heard. Returns its removal. */
  subscribe(listener: (sequence: number) => void): () => void
  /** Releases the connection. Announcements after it are dropped. */
  close(): Promise<void>
}

const format = /^upgate:1:(\d{1,15})$/

/** An announcement as text. */
export function busMessage(sequence: number): string {
  return `upgate:1:${sequence}`
}

/** The number in an announcement; `undefined` for whatever else is said on the channel. */
export function sequenceIn(message: unknown): number | undefined {
  const match = typeof message === 'string' && message.length < 32 ? format.exec(message) : null
  return match === null ? undefined : Number(match[1])
}
