import type { Clock } from './ports/clock.ts'
import type { RevocationReason, RevocationSelector } from './ports/revocations.ts'
import type { Principal } from './principal.ts'

/** An accepted socket or streamed response, as the register sees it. */
export interface LiveConnection {
  /** Unique in this process, safe to log. */
  readonly id: string
  readonly principal: Principal
  /** Milliseconds since the epoch at which it was accepted. */
  readonly acceptedAt: number
  /** The path it was accepted on, without query. */
  readonly path: string
  /** Ends it at once. Must not throw and may be called more than once. */
  close(reason: RevocationReason): void
}

/** The register of live connections: what revocation and expiry act on. */
export interface Connections {
  /** Adds one and returns its removal. One that has already expired is closed at once. */
  add(connection: LiveConnection): () => void
  /** Closes what the selector concerns; returns how many that were. */
  close(selector: RevocationSelector, reason: RevocationReason): number
  /** What is live now, in order of acceptance. */
  list(): IterableIterator<LiveConnection>
  readonly size: number
}

export interface ConnectionsOptions {
  readonly clock: Clock
}
