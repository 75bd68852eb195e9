import type { SentCredential } from '@upgate/diagnosis'
import type { Clock } from './clock.ts'
import type { Credential } from './credential.ts'

/** How a protocol authenticates: what goes into the upgrade, into the first frames, and what the answers mean. */
export interface ClientHandshake {
  readonly name: string
  /** Whether it needs headers on the upgrade, which browsers cannot send. */
  readonly needsHeaders?: boolean
  /** The kind of this credential, for a diagnosis. */
  kindOf(credential: Credential): SentCredential
  /** Headers and subprotocols to add to the upgrade. */
  upgrade?(credential: Credential | undefined, talk: HandshakeTalk): UpgradeParts | Promise<UpgradeParts>
  /** Starts the conversation of one socket. Without it, the socket is accepted as soon as it opens. */
  begin?(credential: Credential | undefined, talk: HandshakeTalk): Conversation
}

/** Additions to an upgrade. */
export interface UpgradeParts {
  readonly headers?: Readonly<Record<string, string>>
  readonly protocols?: readonly string[]
  /** Values in them that must not appear anywhere. */
  readonly secrets?: readonly string[]
}

/** The functions and facts that a handshake may use. */
export interface HandshakeTalk {
  readonly url: string
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Headers for requests to the same origin: those of the edge, and the connection's own. */
  readonly headers: Readonly<Record<string, string>>
  /** The transport's, or the global one. It follows no redirect with `redirect: 'manual'`. */
  readonly fetch: typeof fetch
}

/** The in-band part of a handshake, for one socket. */
export interface Conversation {
  /** Whether the opening is the acceptance: the upgrade carried the proof. */
  readonly acceptedAtOpen?: boolean
  /** Frames to send as soon as the socket is open. */
  opened(): readonly string[] | Promise<readonly string[]>
  /** Reads a text frame of the server before the acceptance. */
  receive(text: string): ConversationStep | Promise<ConversationStep>
  /** Reads a text frame after the acceptance; `data` stands for the application's. */
  after?(text: string): AfterStep
  /** The frame that renews the credential. */
  renew?(credential: Credential): string
}

/** The next step before the acceptance. */
export type ConversationStep =
  | { readonly step: 'wait' }
  | { readonly step: 'send'; readonly frames: readonly string[] }
  | { readonly step: 'accepted'; readonly acceptance: Acceptance }
  /** The close frame should follow; if not, the client ends the socket. */
  | { readonly step: 'refused' }

/** The meaning of a frame after the acceptance. */
export type AfterStep =
  | { readonly step: 'data' }
  /** A newer credential is due. */
  | { readonly step: 'expiring' }
  | { readonly step: 'renewed'; readonly acceptance: Acceptance }
  | { readonly step: 'renewal_failed'; readonly code: string; readonly message: string }

/** Contents of the frame by which a server accepted the client. */
export interface Acceptance {
  /** From the credential's record; absent if the protocol does not say it. */
  readonly principal?: { readonly kind: string; readonly id: string }
  readonly roles: readonly string[]
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expiresAt?: number
  /** A new token, shown once: keep it. */
  readonly deviceToken?: string
  /** The protocol's own answer. */
  readonly raw?: unknown
}
