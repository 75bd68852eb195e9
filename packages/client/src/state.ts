import type { ConnectError } from './error.ts'
import type { Acceptance } from './handshake.ts'

/** The state of a connection, for a user interface. */
export type State =
  /**
   * A credential is fetched, and the socket is opened. `attempt` counts from 1, and from 1 again after an
   * acceptance.
   */
  | { readonly name: 'connecting'; readonly attempt: number }
  /** The socket is open, and the server verifies the credential. */
  | { readonly name: 'authenticating'; readonly attempt: number }
  | { readonly name: 'accepted'; readonly acceptance: Acceptance }
  /** The attempt failed, and the next one comes at `until` (milliseconds since the epoch). */
  | { readonly name: 'waiting'; readonly until: number; readonly error: ConnectError }
  /** There is no network; the next attempt comes as soon as there is one. */
  | { readonly name: 'offline'; readonly error: ConnectError | undefined }
  /** The end. Without `error`, it was closed here. */
  | { readonly name: 'closed'; readonly error: ConnectError | undefined }

/** The events of a connection. */
export type ConnectionEvents = {
  /** Every change of the state. */
  readonly state: (state: State) => void
  readonly accepted: (acceptance: Acceptance) => void
  /** A message of the application: text or bytes. */
  readonly message: (data: string | Uint8Array) => void
  /** Each failed attempt and each lost socket, also those that are tried again. */
  readonly failed: (error: ConnectError) => void
  /** A person has to approve this device; the code is shown on both sides. Once for each request. */
  readonly pairing: (facts: {
    readonly comparisonCode: string | undefined
    readonly requestId: string | undefined
  }) => void
  /** A new token of this device, shown once: keep it. */
  readonly token: (deviceToken: string) => void
  /** The credential was renewed without a new socket. */
  readonly renewed: (acceptance: Acceptance) => void
  readonly renewal_failed: (failure: { readonly code: string; readonly message: string }) => void
  /** Once, at the end. */
  readonly closed: (error: ConnectError | undefined) => void
}

/** The names of the events; the compiler compares them with the type. */
export const eventNames: readonly (keyof ConnectionEvents)[] = Object.keys({
  state: 1,
  accepted: 1,
  message: 1,
  failed: 1,
  pairing: 1,
  token: 1,
  renewed: 1,
  renewal_failed: 1,
  closed: 1,
} satisfies Record<keyof ConnectionEvents, 1>) as (keyof ConnectionEvents)[]
