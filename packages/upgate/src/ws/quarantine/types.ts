import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Decision, InBand, Preflight, Refused, Resumption } from '../../core/contract/decision.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'
import type { AcquaintanceOptions } from './acquaintances.ts'

/** The principal and path of an accepted socket. */
export interface AcceptedAs<P extends Principal = Principal> {
  /** Absent on public and optional paths. */
  readonly principal: P | undefined
  /** The path of its upgrade, without the query. */
  readonly path: string
}

/** A decided upgrade and its destination. */
export interface Admission<P extends Principal = Principal> {
  /** The application's own server: it gets `connection`, with the principal as third argument, on acceptance. */
  readonly wss: WebSocketServerLike
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
  readonly decision: Exclude<Decision<P>, Preflight>
  /** Canonical client address, where it is known; a deferred decision brings its own. Absent: only the limits over all sockets apply. */
  readonly clientAddress?: string | undefined
}

/** Numbers of sockets by state. */
export interface QuarantineCounts {
  /** Waiting for their credential, or for its verification. */
  readonly quarantined: number
  /** Of these, how many are being verified or wait for their turn. */
  readonly verifying: number
  /** Refused, and not yet gone. */
  readonly refused: number
  /** Accepted with a principal. */
  readonly accepted: number
  /** Accepted without one, on public and optional paths. */
  readonly anonymous: number
}

/** What {@link Quarantine.close} sends. */
export interface DrainOptions {
  /** Close code: 1001 (going away) or 1012 (restart). Default: 1001. */
  readonly code?: number
  /** Close reason, a stable token. Default: `shutdown`, with 1012 `restart`. */
  readonly reason?: string
}

/**
 * The life of sockets between the upgrade and their acceptance. One per server: its limits are shared by all paths.
 */
export interface Quarantine<P extends Principal = Principal> {
  /**
   * Takes over an upgrade that was decided.
   *
   * Returns `undefined` if the quarantine owns the socket now: it is accepted, waiting, or being refused in band.
   * Returns a refusal if nothing was written: the caller renders it with `gate.render` and writes it. Reasons are a
   * refusing decision that no page has to read, a reached cap (503), or an address with too many failures (429); the
   * last two carry `retryAfter`.
   */
  admit(admission: Admission<P>): Refused | undefined
  /**
   * Closes every socket, accepted ones too, terminates the remaining ones after `closeGrace`, and resolves when
   * all are closed. Every later upgrade is refused with 503.
   */
  close(options?: DrainOptions): Promise<void>
  /**
   * Verifies a newer credential of an accepted socket, which arrived in a message of the application's own protocol.
   * The same schemes and rule apply as for the first one. If it is accepted and belongs to the same principal, expiry
   * and revocation follow it from then on, and `refreshed` is emitted on the socket. Otherwise the old credential stays
   * in force; a credential of another principal closes the socket (4403), and so do too many attempts or failures.
   *
   * @param request - the one that came with the socket in `connection`; `gate.principalOf` knows the new principal, too
   * @param credential - a token, or what a handshake would have found
   * @returns the new principal, which may hold less than the one before, or why it does not count. Never rejects.
   * @throws TypeError for a socket that was not accepted here
   */
  refresh(
    socket: WebSocketLike,
    request: IncomingMessage,
    credential: InBand | string,
  ): Promise<Resumption<P>>
  /** What an accepted socket was accepted as, its newest credential included; `undefined` for every other socket. */
  acceptedAs(socket: object): AcceptedAs<P> | undefined
  readonly counts: QuarantineCounts
}

/** Limits of {@link createQuarantine}. Times in milliseconds. Unknown options and impossible values throw. */
export interface QuarantineOptions {
  /** From the upgrade to acceptance, whatever happens in between. Default: 10,000. */
  readonly deadline?: number
  /** For one verification, inside the deadline. Default: 5,000. */
  readonly verifyTimeout?: number
  /** Bytes a socket may send before it is accepted, counted on the wire. Default: 65,536. */
  readonly maxBytes?: number
  /** Data frames before acceptance. Default: 8. */
  readonly maxDataFrames?: number
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
  /** The same per address: an IPv4 address or an IPv6 /64; twice as many per /56, four times per /48. Default: 32. */
  readonly maxSocketsPerAddress?: number
  /** Sockets accepted without a principal on public and optional paths, in all. Default: 1,000. */
  readonly maxAnonymousSockets?: number
  /** Share of `maxSockets` from which on addresses without a recent success get `pressureDeadline`. Default: 0.5. */
  readonly pressureShare?: number
  /** The deadline under pressure. Default: 3,000. */
  readonly pressureDeadline?: number
  /** Share of `maxSockets` and of `maxVerifying` kept for addresses that succeeded before. Default: 0.25. */
  readonly reservedShare?: number
  /** For how long an address counts as having succeeded after its last accepted socket. Default: 3,600,000. */
  readonly rememberSuccess?: number
  /**
   * Remembers which addresses succeeded beyond a restart, and for longer than `rememberSuccess`: else every client is a
   * stranger after one. Default: addresses are known to this process alone.
   */
  readonly acquaintances?: AcquaintanceOptions
  /** Verifications in flight, in all. Further ones wait for their turn. Default: 64. */
  readonly maxVerifying?: number
  /** The same per address. Default: 4. */
  readonly maxVerifyingPerAddress?: number
  /**
   * Refusals in a minute per address. Beyond it, an address that guesses (passwords, codes) gets 429; one that
   * offers bad tokens keeps `slowedSockets` sockets at a time and is never locked out. Default: 10.
   */
  readonly maxRefusals?: number
  /** Sockets at a time of an address with too many refused tokens. Default: 2. */
  readonly slowedSockets?: number
  /** How long a refused socket is held before it is closed, plus or minus half; shorter where its place is needed. Default: 1,000. */
  readonly hold?: number
  /** Refused sockets held at a time; further ones are closed at once. Default: 256. */
  readonly maxHeld?: number
  /** From the close frame to `terminate()`. Default: 1,000. */
  readonly closeGrace?: number
  /** Refresh attempts of an accepted socket per minute; a socket that goes on is closed. Default: 6. */
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

/** What the quarantine needs of a gate. */
export type QuarantineGate<P extends Principal = Principal> = Pick<
  Gate<P>,
  'resume' | 'remember' | 'decisionOf' | 'connections' | 'events' | 'clock' | 'logger'
>
