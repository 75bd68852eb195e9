/** An address that a principal was accepted from. Without the key of its digest, it does not tell which address. */
export interface AcquaintanceRecord {
  /** Keyed digest of the address, or of the IPv6 network, in at most 64 characters. */
  readonly digest: string
  /** Milliseconds since the epoch until which it counts. */
  readonly until: number
}

/**
 * Which addresses sockets were accepted from, so that these are no strangers after a restart.
 *
 * It is read at the start and written now and then, never while a socket waits for it.
 */
export interface AcquaintanceStore {
  /** Those that count after `now`, at most `limit`: those that count longest, in falling order of `until`. */
  list(now: number, limit: number): Promise<readonly AcquaintanceRecord[]>
  /**
   * Adds them, or prolongs those that are there (never shortens), and forgets what ended by `now` and, beyond
   * `atMost`, what ends first.
   */
  note(records: readonly AcquaintanceRecord[], now: number, atMost: number): Promise<void>
}
