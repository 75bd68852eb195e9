import type { RevocationFeed } from '../ports/revocations.ts'
import type { AuditEvent } from './events.ts'
import type { Principal, PrincipalKind } from './principal.ts'
import type { AuthRequest } from './request.ts'

/** A value, or a promise of it: the decision stays synchronous where nothing must be awaited. */
export type MaybePromise<T> = T | PromiseLike<T>

/** Where a credential was found. Cookies are ambient: the browser sends them by itself. */
export type CredentialSource = 'header' | 'cookie' | 'subprotocol' | 'query' | 'middleware' | 'frame' | 'edge'

/**
 * A credential as a client offered it, before its verification.
 *
 * Built by a scheme's `extract` from a request, or by a handshake from a frame.
 */
export type Credential = TokenCredential | PasswordCredential | OpaqueCredential

/** A bearer-like secret in one string: API key, session id, device token, shared token, ticket, JWT. */
export interface TokenCredential {
  /** Says that it is a secret in one string. */
  readonly type: 'token'
  /** Where it was found. */
  readonly source: CredentialSource
  /** The secret, as sent. Never log it. */
  readonly value: string
  /**
   * Which field of the protocol carried it, where the protocol names its kind (`deviceToken`, `apiKey`);
   * a scheme claims by format, the hint only narrows.
   */
  readonly hint?: 'device' | 'api-key' | 'shared' | 'session' | 'ticket' | undefined
}

/** A password, with the account it is for where the protocol names one. */
export interface PasswordCredential {
  /** Says that it is a password. */
  readonly type: 'password'
  /** Where it was found. */
  readonly source: CredentialSource
  /** The password, as typed. Never log it. */
  readonly value: string
  /** Email of the account; absent where the protocol names none. */
  readonly account?: string | undefined
}

/** Anything else a custom scheme and its own handshake agree on. */
export interface OpaqueCredential {
  /** Says that only its own scheme can read it. */
  readonly type: 'opaque'
  /** Where it was found. */
  readonly source: CredentialSource
  /** Tells the scheme that the credential is meant for it. */
  readonly name: string
  /** Anything that the scheme and its handshake agree on. */
  readonly value: unknown
}

/** Why a credential was rejected. `expired` and `revoked` are said only after the secret verified. */
export type RejectionCode =
  | 'invalid_credential'
  | 'expired_credential'
  | 'revoked_credential'
  | 'account_disabled'
  | 'unknown_identity'
  /** The device is genuine and waits for approval; `details` say how to compare. */
  | 'pairing_required'
  | 'pairing_rejected'
  /** No further pairing request can be kept. */
  | 'pairing_full'

/** Facts that go out with a refusal. Never a secret of another client. */
export type RefusalFacts = Readonly<Record<string, string | number | boolean>>

/** A credential handed out while accepting. */
export interface IssuedCredential {
  /** Shown once, not stored. */
  readonly deviceToken: string
}

/** A scheme's answer about one credential: never a boolean. */
export type Verification<P extends Principal = Principal> =
  | {
      /** The credential proves this principal. */
      readonly outcome: 'authenticated'
      /** Frozen; from the credential's record, never from the client. */
      readonly principal: P
      /**
       * Whether this identity is ambient, where a scheme (Cloudflare Access) knows ambient and explicit ones.
       * Default: the scheme's.
       */
      readonly ambient?: boolean
      /** A credential made on this occasion, to be handed to the client once, in the protocol's answer. */
      readonly issued?: IssuedCredential
      /**
       * In band: called once the rule admits the principal, to use up what a refused principal must not. Its answer is the
       * final one; it must be about the same principal.
       */
      readonly issue?: () => MaybePromise<Verification<P>>
      /** Number of further credentials in the same attempt that did not count: each is a failure of the address. */
      readonly alsoFailed?: number
    }
  /** `reason` is for `explain` and the audit log; it never holds any part of the secret. */
  | {
      /** The credential proves nothing: 401, or 403 for codes about the account. */
      readonly outcome: 'rejected'
      /** Stable: the code of the refusal. */
      readonly code: RejectionCode
      readonly reason: string
      /** Facts the client needs to go on, shown to it as they are: a comparison code, an expiry. */
      readonly details?: RefusalFacts
      /** Seconds after which trying again makes sense. */
      readonly retryAfter?: number
      /** True where the credential is not valid *yet*: the clock of its issuer or of this server is wrong. */
      readonly clocksDiffer?: boolean
      /** Number of further credentials in the same attempt that did not count: each is a failure of the address. */
      readonly alsoFailed?: number
      /** False: the cookie stays in the browser, because another of its name may be good. Default: it is removed. */
      readonly clear?: boolean
    }
  /** The store, JWKS or hash pool could not answer. Never 401, never open. */
  | {
      readonly outcome: 'unavailable'
      readonly reason: string
      /** Seconds. */
      readonly retryAfter?: number | undefined
      /**
       * The caught exception, if there was one. The gate logs it with credentials replaced, and shows it to no
       * client.
       */
      readonly cause?: unknown
    }
  /** Too many failures of a guessable credential. `retryAfter` in seconds. */
  | { readonly outcome: 'throttled'; readonly reason: string; readonly retryAfter: number }

/** A credential that a scheme's `extract` found in a request, with its location. */
export interface Extraction {
  /** The credential, unverified. */
  readonly credential: Credential
  /** Where exactly, for "two explicit credentials" and for `explain`: a header's or cookie's name. */
  readonly location: string
}

/** The circumstances of a verification: client, path, origin. */
export interface VerifyContext {
  /** Client address in canonical form (IPv4-mapped folded), absent when it is unknown or not trustworthy. */
  readonly clientAddress: string | undefined
  /** In band: address of the socket's peer. It may be a proxy's: show it where the client's is unknown, count nothing by it. */
  readonly peerAddress?: string | undefined
  /** True for `explain`: change nothing, count nothing, consume nothing. */
  readonly dryRun: boolean
  /** Path of the request or upgrade, without query, as received; tickets are bound to it. */
  readonly path: string
  /** The `Origin` header, where there was one. */
  readonly origin: string | undefined
  /** In band: the principal that HTTP proved, where that did not satisfy the rule by itself. */
  readonly httpPrincipal?: Principal | undefined
}

/**
 * One kind of credential, in two halves: `extract` finds it, `verify` names its principal.
 *
 * The order of schemes given to `createGate` is the order of trial, never the order of headers.
 *
 * @example
 * const teamHeader: Scheme = {
 *   name: 'team-header',
 *   yields: ['service'],
 *   ambient: false,
 *   headers: ['x-team-key'],
 *   extract({ headers }) {
 *     const value = headers['x-team-key']
 *     if (typeof value !== 'string') return undefined
 *     return { credential: { type: 'token', source: 'header', value }, location: 'x-team-key' }
 *   },
 *   verify: (credential) => verifyTeamKey(credential),
 * }
 */
export interface Scheme<P extends Principal = Principal> {
  /** Name in rules (`schemes: ['api-key']`) and in `explain`; one of its own among the schemes of a gate. */
  readonly name: string
  /**
   * The kinds of its principals: what a rule that names this scheme, and no `kinds`, admits. `[]` for a scheme that
   * stands for principals of other schemes, as tickets do. Default: unknown; such a rule admits users.
   */
  readonly yields?: readonly PrincipalKind[]
  /**
   * Values of `principal.scheme` that its principals carry. A principal with another value counts, where a rule has
   * `schemes`, only if the rule names every scheme that lists that value. Default: its `name` alone.
   */
  readonly principalSchemes?: readonly string[]
  /** True when the browser attaches the credential by itself: it then counts only with a proper Origin. */
  readonly ambient: boolean
  /**
   * True for an identity of the edge (Cloudflare Access): kept apart from the protocol principal, never merged
   * into it.
   */
  readonly edge?: boolean
  /**
   * The audiences that an edge's credentials may be for, as `principal.audiences` of its principals names them: what
   * `audience` of a rule may choose from. Default: none.
   */
  readonly audiences?: readonly string[]
  /** Lower-case names of the headers this scheme reads explicit credentials from, besides `authorization`. */
  readonly headers?: readonly string[]
  /** Challenge for `WWW-Authenticate` without parameters, for example `Bearer` (RFC 9110 section 11.6.1). */
  readonly challenge?: string
  /** `Set-Cookie` value that removes the ambient credential, sent when its verification really failed. */
  clearCookie?(request: AuthRequest): string | undefined
  /**
   * Names, in lower case, the headers of a request that no client may send, and the reason for `explain`. They are
   * removed before the decision, on every rule, from what schemes and handlers see. Absent: removes nothing.
   */
  hidesHeaders?(
    request: AuthRequest,
  ): { readonly names: ReadonlySet<string>; readonly reason: string } | undefined
  /** Finds a credential in a request by its format, without verifying anything. */
  extract?(request: AuthRequest): Extraction | undefined
  /** Whether an in-band credential is of this scheme's format. Absent = the scheme is not usable in band. */
  claims?(credential: Credential): boolean
  /** Verifies a credential and names its principal. Synchronous where nothing must be awaited. */
  verify(credential: Credential, context: VerifyContext): MaybePromise<Verification<P>>
  /** The revocations that end this scheme's principals; the gate subscribes to each distinct feed once. */
  readonly revocations?: RevocationFeed
  /** The scheme's own audit events; the gate passes them on to its listeners. */
  readonly events?: { subscribe(listener: (event: AuditEvent) => void): () => void }
}

/** The union of the principals a list of schemes can produce. */
export type PrincipalOf<S extends readonly Scheme[]> = S[number] extends Scheme<infer P> ? P : never
