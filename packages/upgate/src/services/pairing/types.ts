import type { Verification, VerifyContext } from '../../core/contract/credential.ts'
import type { DeviceProof } from '../../core/contract/device-proof.ts'
import type { AuditEvents } from '../../core/contract/events.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type {
  PairingGrant,
  PairingIntroduction,
  PairingLimit,
  PairingState,
  PairingUpgrade,
} from '../../core/ports/pairings.ts'
import type { RevocationFeed } from '../../core/ports/revocations.ts'
import type { ListPage, PageOptions } from '../pages.ts'

/**
 * An actor that approves, rejects or invites: the principal of a request, or the operator of the machine.
 *
 * `unbounded` is the operator's name in the audit events. Its grants have no bound, so never build it from a
 * request.
 */
export type PairingActor = Principal | { readonly unbounded: string }

/** A verification that proves a device. */
export type Authenticated = Extract<Verification, { outcome: 'authenticated' }>

/** A pairing request, as a page for approval shows it. */
export interface PairingRequest {
  /** Public: fit for logs and pages. */
  readonly id: string
  /** Six characters that the device shows, too. */
  readonly comparisonCode: string
  /** Where the request stands. */
  readonly state: PairingState
  /** Hex SHA-256 of the device's public key; absent where it proves itself by a claim secret. */
  readonly keyId: string | undefined
  /** How the device was introduced. */
  readonly introduction: PairingIntroduction
  /** Id of the code, window or principal that introduced it. */
  readonly introducer: string | undefined
  /** The most that may be granted, where a code or a window says so. */
  readonly limit: PairingLimit | undefined
  /** As the device says: show it as text, believe nothing of it. */
  readonly name: string
  /** Role that the device asks for. */
  readonly role: string
  /** Scopes that the device asks for. */
  readonly scopes: readonly string[]
  /** Canonical address of the device; `undefined` where it is not known. */
  readonly clientAddress: string | undefined
  /** Address of the socket's peer. It may be a proxy's: show it, with these words, where `clientAddress` is unknown. */
  readonly peerAddress: string | undefined
  /** Milliseconds since the epoch, like the times below. */
  readonly createdAt: number
  /**
   * Last attempt of the device while the request was pending, to about 10 s. A device that waits asks again every few
   * seconds: one that has been silent for a minute is probably gone, and another one may have taken its name.
   */
  readonly askedAt: number
  /** Time from which it can be neither decided nor collected. */
  readonly expiresAt: number
  /** Principal or operator that decided. */
  readonly decidedBy: string | undefined
  /** The grant, from the approval on. */
  readonly granted: PairingGrant | undefined
  /** What the device says about itself, such as its platform: show it as text, believe nothing of it. */
  readonly stated: string | undefined
  /**
   * The paired device that asks for more than it has, and for what; `undefined` = the request of a device that is not
   * paired yet. The device is let in with its old rights; an approval counts from its next connection on.
   */
  readonly upgrade: { readonly deviceId: string; readonly asks: readonly PairingUpgrade[] } | undefined
}

/** Codes of the reasons for which a decision or an invitation is refused. */
export type PairingRefusalCode =
  | 'unknown_request'
  | 'request_expired'
  | 'already_decided'
  | 'scope_not_held'
  | 'role_not_grantable'
  | 'beyond_invitation'
  | 'actor_not_allowed'

/** `reason` is a sentence for people. */
export interface PairingRefusal {
  /** Nothing was changed. */
  readonly outcome: 'refused'
  /** Stable: programs compare it. */
  readonly code: PairingRefusalCode
  /** A sentence for people. */
  readonly reason: string
}

/** The answer to approving or rejecting. */
export type PairingDecision = { readonly outcome: 'done'; readonly request: PairingRequest } | PairingRefusal

/**
 * Decision of an approver. A field left out keeps the device's wish; a wish that exceeds the limit is
 * refused.
 */
export interface Approval {
  /** The approver; nothing beyond the approver's own rights can be granted. */
  readonly actor: PairingActor
  /** Name of the device. Default: the name that the device gave. */
  readonly name?: string
  /** Default: the role that the device asks for. */
  readonly role?: string
  /** Default: the scopes that the device asks for. */
  readonly scopes?: readonly string[]
}

/** Bounds of a new bootstrap code or window. */
export interface NewInvitation {
  /** The inviting principal, or the operator. */
  readonly actor: PairingActor
  /** Default: `node`. */
  readonly role?: string
  /** Exact names; nothing beyond them can be granted. Default: none. */
  readonly scopes?: readonly string[]
}

/** A bootstrap code or a window, as a page lists it. The code is shown once, when it is created. */
export interface Invitation extends PairingLimit {
  /** Public: fit for logs and pages. */
  readonly id: string
  /** `code`: one device may ask. `window`: every device may. */
  readonly kind: 'code' | 'window'
  /** Principal or operator that made it. */
  readonly createdBy: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Milliseconds since the epoch from which it no longer counts. */
  readonly expiresAt: number
}

/** The answer to making a code. */
export type BootstrapResult =
  | { readonly outcome: 'done' /** Shown once. */; readonly code: string; readonly invitation: Invitation }
  | PairingRefusal

/** Pairing: devices ask, people approve, devices collect. Management rejects with `StoreUnavailable`. */
export interface Pairing {
  /** Requests that wait for a decision, in order of arrival. */
  pending(): Promise<readonly PairingRequest[]>
  /**
   * A page of the list above.
   *
   * @param options - `after` and `limit`
   * @throws TypeError (as a rejection) for a limit out of range
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  pendingPage(options?: PageOptions): Promise<ListPage<PairingRequest>>
  /** One request by its id. */
  get(id: string): Promise<PairingRequest | undefined>
  /**
   * Approves a pending request. The device then has the request's lifetime to collect. One of several
   * concurrent callers succeeds.
   *
   * @param id - of the request, as `pending` lists it
   * @param approval - the actor, and the grant where it differs from the wish
   * @returns the request, or the reason of the refusal: the actor lacks the right, or another actor was faster
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * const actor = gate.principalOf(request)
   * if (actor) await services.pairing.approve(id, { actor, name: 'kitchen', scopes: ['node.invoke'] })
   */
  approve(id: string, approval: Approval): Promise<PairingDecision>
  /**
   * Rejects a request, also an approved one that is not collected yet. The device sees the rejection until
   * the request expires.
   *
   * @param id - of the request
   * @param by - the actor that rejects
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   */
  reject(id: string, by: { readonly actor: PairingActor }): Promise<PairingDecision>
  /** Codes for a first device, or for a device out of reach of an approver. */
  readonly bootstrap: {
    /**
     * Creates a code that lets one device ask. It lasts 10 minutes, counts once, and is bound to role and
     * scopes.
     *
     * @param invitation - the actor, and the most that may be granted
     * @throws StoreUnavailable (as a rejection) when the store cannot answer
     * @example
     * const made = await services.pairing.bootstrap.create({ actor: { unbounded: 'cli' }, role: 'node' })
     * if (made.outcome === 'done') console.log(made.code)
     */
    create(invitation: NewInvitation): Promise<BootstrapResult>
    /** Lists codes and windows that have not ended. */
    list(): Promise<readonly Invitation[]>
    /**
     * Ends a code or a window. False when there was none.
     *
     * @param id - of the code or window
     * @param by - the actor that ends it
     * @throws StoreUnavailable (as a rejection) when the store cannot answer
     */
    revoke(id: string, by: { readonly actor: PairingActor }): Promise<boolean>
  }
  /**
   * Lets every device ask for a while. `for` is in milliseconds: at most 10 minutes, default 2 minutes.
   *
   * @param window - the actor, the most that may be granted, and the duration
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * await services.pairing.openWindow({ actor, role: 'node', for: 60_000 })
   */
  openWindow(
    window: NewInvitation & { readonly for?: number },
  ): Promise<{ readonly outcome: 'done'; readonly invitation: Invitation } | PairingRefusal>
  /**
   * Verifies a device's proof: answers with the device, or with its pending request. Meant for schemes. Never
   * rejects.
   *
   * @param introducer - principal of another credential that the device sent along
   * @param proof - of a key or a claim secret
   * @param context - circumstances of the request
   */
  prove(proof: DeviceProof, context: VerifyContext, introducer?: Principal): Promise<Verification>
  /**
   * Verifies a proof by key together with the device token that the last rotation of the device's record replaced,
   * in `proof.beside`. Both together count as the proof alone, and the device gets a new token, at most once per
   * rotation. Older tokens are rejected. Meant for schemes. Never rejects.
   */
  proveRotated(proof: DeviceProof, context: VerifyContext): Promise<Verification>
  /**
   * Verifies a proof by key together with a device token that counts, in `proof.beside`, where the key does not prove the
   * same device. An unknown key changes nothing: the token counts alone, and with `bindKeys` its first use binds the key.
   * A token whose device has another key is rejected, and so is the key of another device. Meant for schemes. Never
   * rejects.
   *
   * @param byToken - the verification of the token
   */
  proveWithToken(proof: DeviceProof, byToken: Authenticated, context: VerifyContext): Promise<Verification>
  /** Whether a string has the form of a bootstrap code. */
  isBootstrapCode(text: string): boolean
  /** The audit events of pairing; `deviceKey` and `claimSecret` pass them to the gate. */
  readonly events: Pick<AuditEvents, 'subscribe'>
  /** The revocations of devices; schemes pass them to the gate. */
  readonly revocations: RevocationFeed
}

/**
 * Options of pairing, given to `createServices({ pairing })`. Times in milliseconds.
 *
 * @example
 * const services = createServices({
 *   store,
 *   pairing: { roles: { node: [], operator: ['operator.admin'] }, actorScope: 'operator.pairing' },
 * })
 */
export interface PairingOptions {
  /**
   * Roles that a device may get, each with the scopes that an actor needs to grant it. An actor may also
   * grant a role that the actor holds. Default: `{ node: [] }`.
   */
  readonly roles?: Readonly<Record<string, readonly string[]>>
  /** Scope that an actor must hold to approve, reject and invite. Default: no scope, but only users may. */
  readonly actorScope?: string
  /**
   * Milliseconds that a request waits for its decision, and then for its collection. Default: 300,000; at
   * most 3,600,000.
   */
  readonly requestLifetime?: number
  /** Milliseconds for which a bootstrap code counts. Default: 600,000; at most 3,600,000. */
  readonly codeLifetime?: number
  /** Largest number of pending requests with a code or a credential. Default: 50. */
  readonly maxInvited?: number
  /** Largest number of pending requests from a window or without an introduction. Default: 10. */
  readonly maxOpen?: number
  /** Largest number of pending requests per known client address. Default: 5. */
  readonly maxPerAddress?: number
  /** Largest number of codes and windows at a time. Default: 100. */
  readonly maxInvitations?: number
  /**
   * Binds a key to the device of a token without a key, at the first use of the token together with a proof that signs
   * it: from then on no other key counts with that token. Rotating or revoking the token ends the key. Default: false.
   */
  readonly bindKeys?: boolean
  /** Lets every client that reaches the server ask its administrators for pairing. Default: false. */
  readonly dangerouslyAllowAnonymous?: boolean
}
