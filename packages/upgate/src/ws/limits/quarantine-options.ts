import type { AcquaintanceOptions } from './acquaintances.ts'

/**
 * Limits of `createQuarantine`. Times in milliseconds. Unknown options and impossible values throw.
 *
 * @example
 * guardServer(server, gate, { sockets: { '/ws': wss }, deadline: 5_000, maxSocketsPerAddress: 8 })
 */
export interface QuarantineOptions {
  /** Milliseconds from the upgrade to acceptance, whatever happens in between. Default: 10,000. */
  readonly deadline?: number
  /** Milliseconds for one verification, inside the deadline. Default: 5,000. */
  readonly verifyTimeout?: number
  /** Bytes a socket may send before it is accepted, counted on the wire. Default: 65,536. */
  readonly maxBytes?: number
  /** Data frames before acceptance. Default: 8. */
  readonly maxDataFrames?: number
  /** Frames of one credential that comes in parts (`step: 'more'`); they are none of `maxDataFrames`. Default: 64. */
  readonly maxCollectedFrames?: number
  /** Bytes of their payload. Default: 65,536. */
  readonly maxCollectedBytes?: number
  /** Pings and pongs before acceptance. Default: 16. */
  readonly maxControlFrames?: number
  /** Credentials one socket may offer. Default: 1. */
  readonly maxAttempts?: number
  /** Messages kept while a credential is being verified. Default: 16. */
  readonly maxQueuedMessages?: number
  /** Bytes of messages kept while a credential is being verified. Default: 65,536. */
  readonly maxQueuedBytes?: number
  /** Sockets without a principal in quarantine, in all. Default: 1,000. */
  readonly maxSockets?: number
  /**
   * Sockets without a principal in quarantine per address: an IPv4 address or an IPv6 /64; twice as many per /56, four
   * times per /48. Default: 32.
   */
  readonly maxSocketsPerAddress?: number
  /** Sockets accepted without a principal on public and optional paths, in all. Default: 1,000. */
  readonly maxAnonymousSockets?: number
  /** Share of `maxSockets` from which on addresses without a recent success get `pressureDeadline`. Default: 0.5. */
  readonly pressureShare?: number
  /** Milliseconds of the deadline under pressure. Default: 3,000. */
  readonly pressureDeadline?: number
  /** Share of `maxSockets` and of `maxVerifying` kept for addresses that succeeded before. Default: 0.25. */
  readonly reservedShare?: number
  /** Milliseconds for which an address counts as successful after its last accepted socket. Default: 3,600,000. */
  readonly rememberSuccess?: number
  /**
   * Remembers which addresses succeeded beyond a restart, and for longer than `rememberSuccess`: else every client is a
   * stranger after one. Default: addresses are known to this process alone.
   */
  readonly acquaintances?: AcquaintanceOptions
  /** Verifications in flight, in all. Further ones wait for their turn. Default: 64. */
  readonly maxVerifying?: number
  /** Verifications in flight per address. Further ones wait for their turn. Default: 4. */
  readonly maxVerifyingPerAddress?: number
  /**
   * Refusals in a minute per address. Beyond it, an address that guesses (passwords, codes) gets 429; one that
   * offers bad tokens keeps `slowedSockets` sockets at a time and is never locked out. Default: 10.
   */
  readonly maxRefusals?: number
  /** Sockets at a time of an address with too many refused tokens. Default: 2. */
  readonly slowedSockets?: number
  /**
   * Milliseconds for which a refused socket is held before it is closed, plus or minus half; shorter where its place is
   * needed. Default: 1,000.
   */
  readonly hold?: number
  /** Refused sockets held at a time; further ones are closed at once. Default: 256. */
  readonly maxHeld?: number
  /** Milliseconds from the close frame to `terminate()`. Default: 1,000. */
  readonly closeGrace?: number
  /** Refresh attempts of an accepted socket per minute; a further one closes it. Default: 6. */
  readonly maxRefreshes?: number
  /** Refused refresh attempts in a row after which the socket is closed. Default: 3. */
  readonly maxRefreshFailures?: number
  /** Close code of an accepted socket after its credential expired. Default: 4401. */
  readonly expiredCode?: number
  /** Close code of an accepted socket after its credential was revoked or narrowed. Default: 4403. */
  readonly revokedCode?: number
  /**
   * Negotiates permessage-deflate on deferred paths if the server offers it. `maxBytes` then counts compressed
   * bytes: 64 KiB of them can become 40 MiB in memory. Default: false.
   */
  readonly dangerouslyAllowCompression?: boolean
  /**
   * Says which offered subprotocols are secrets and must never be selected, since the server would echo them.
   * Default: anything that looks like a token, and names longer than 64 characters.
   */
  readonly isSecretSubprotocol?: (name: string) => boolean
  /** Cryptographically secure randomness. Default: `node:crypto`. */
  readonly randomBytes?: (count: number) => Uint8Array
}
