import type { Diagnosis, Observation, Sent } from '@upgate/diagnosis'
import type { Clock } from './clock.ts'
import type { Credential } from './credential.ts'
import type { Acceptance, AfterStep, ClientHandshake } from './handshake.ts'
import type { PairingFacts } from './kept-frames.ts'
import type { Transport } from './transport.ts'

/** The credentials and headers of one attempt. */
export interface AttemptParts {
  readonly url: string
  readonly credential: Credential | undefined
  /** Headers for the edge, and those of the options; names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly sent: Sent
  /** Values that must not appear anywhere. */
  readonly secrets: readonly string[]
  /** Whether the handshake may add headers and secrets to the upgrade: others could read them on an exposed URL. */
  readonly mayAddSecrets: boolean
}

/** Everything that one attempt needs. */
export interface AttemptSetup extends AttemptParts {
  readonly transport: Transport
  readonly handshake: ClientHandshake
  readonly protocols: readonly string[]
  /** Milliseconds up to the acceptance. */
  readonly timeout: number
  /** Milliseconds between pings; 0 sends none. */
  readonly keepAlive: number
  readonly clock: Clock
  readonly docs: string | undefined
}

/** The events of an attempt. `ended` comes exactly once, and last. */
export interface AttemptEvents {
  opened(): void
  accepted(acceptance: Acceptance): void
  message(data: string | Uint8Array): void
  after(step: Exclude<AfterStep, { step: 'data' }>): void
  ended(end: AttemptEnd): void
}

/** The end of an attempt. */
export interface AttemptEnd {
  readonly diagnosis: Diagnosis
  readonly observation: Observation
  /** Facts of a refusal for a person: what to compare while a pairing waits. */
  readonly pairing: PairingFacts | undefined
  /** Values that must not appear anywhere, with those that the handshake added. */
  readonly secrets: readonly string[]
}

/** A running attempt. */
export interface Attempt {
  send(data: string | Uint8Array): boolean
  renew(credential: Credential): boolean
  close(code: number, reason: string): void
}
