import type { MaybePromise, Scheme } from '../../core/contract/credential.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import type { RevocationFeed } from '../../core/ports/revocations.ts'

/** All claims of a verified token, frozen. */
export type AccessClaims = Readonly<Record<string, unknown>>

/** A person who logged in to Access. */
export interface AccessUser {
  readonly kind: 'user'
  /** As the identity provider spells it. */
  readonly email: string
  readonly commonName?: undefined
  /** `sub`: the person's id in the Access organisation. */
  readonly subject: string
  readonly claims: AccessClaims
}

/** A program with an Access service token. */
export interface AccessService {
  readonly kind: 'service'
  readonly email?: undefined
  /** `common_name`: the token's client id, `<hex>.access`. */
  readonly commonName: string
  readonly subject: string
  readonly claims: AccessClaims
}

/** Who a verified token is about. */
export type AccessIdentity = AccessUser | AccessService

/** What `identify` knows about an identity; whatever is absent is filled in, and nothing is granted by default. */
export interface IdentifiedPrincipal {
  /** Id of the account or service. Default: the token's `sub`, of services the client id. */
  readonly id?: string
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
  readonly displayName?: string
  /** Milliseconds since the epoch; can only shorten what the token says. */
  readonly expiresAt?: number
  /** Added to the principal's attributes. */
  readonly attributes?: Readonly<Record<string, unknown>>
  /** True: the account exists and is shut out, answered `account_disabled`. */
  readonly disabled?: boolean
  /**
   * Milliseconds since the epoch before which tokens of this account do not count, as the option `notBefore`; of the
   * two the later one holds. `byEmail` passes on what `accounts.endAccess` and `accounts.disable` recorded.
   */
  readonly notBefore?: number | undefined
  /** Must be the identity's own kind where it is given: nothing turns a service into a person. */
  readonly kind?: Principal['kind']
}

/** Maps a verified identity to an account of the application; `null` = nobody here, and nobody is created. */
export type Identify = (identity: AccessIdentity) => MaybePromise<IdentifiedPrincipal | null | undefined>

/** What a service token may do. */
export interface AccessServiceGrant {
  /** Default: the client id. */
  readonly id?: string
  readonly scopes: readonly string[]
  readonly roles?: readonly string[]
  readonly displayName?: string
}

/** The principal of an Access identity: a user or a service. */
export interface AccessPrincipal extends Principal {
  readonly kind: 'user' | 'service'
}

/** How the signing keys are kept. Times in seconds. */
export interface AccessKeyOptions {
  /** Age at which a use fetches them anew in the background. Default: 600. */
  readonly refreshAfter?: number
  /** Age at which a use waits for the fetch. Default: 3,600. */
  readonly maxAge?: number
  /** Age until which they still count while the fetch keeps failing; then tokens are `unavailable`. Default: 86,400. */
  readonly maxStale?: number
  /**
   * Least time between a fetch and the next one that an unknown key id may cause. Default: 30. Until then a token with
   * a key id that nobody asked for before is `unavailable`: it may be that of a new key.
   */
  readonly cooldown?: number
  /** Longest pause after repeated failures, which begins with 1. Default: 60. */
  readonly maxBackoff?: number
  /** Time a fetch may take, body included. Default: 5. */
  readonly timeout?: number
}

/** How `get-identity` is asked. Times in seconds. */
export interface AccessOnlineOptions {
  /** How long a confirmation is believed. Default: 60, and never longer than `cache.ttl`. */
  readonly every?: number
  /** Time an answer may take. Default: 5. */
  readonly timeout?: number
}

/** Options of `cloudflareAccess`. Unknown ones throw. */
export interface CloudflareAccessOptions {
  /** Name of the Access organisation: `acme` of `https://acme.cloudflareaccess.com`. Either this or `issuer`. */
  readonly team?: string
  /** The `iss` of the tokens, exact, without trailing slash; for FedRAMP `https://acme.fed.cloudflareaccess.com`. */
  readonly issuer?: string
  /** AUD tags of the Access applications in front of this server, at least one. */
  readonly audience: readonly string[]
  /** Seconds by which clocks may differ, 0 to 300. Default: 30. */
  readonly clockTolerance?: number
  /**
   * Maps an identity to an account. Absent: every person whom Access admits is a principal without scopes or
   * roles, named by `sub`; service tokens count only if `services` knows them.
   */
  readonly identify?: Identify
  /** Seconds that `identify` and `notBefore` may take together, 0.1 to 60; then the token is `unavailable`. Default: 5. */
  readonly identifyTimeout?: number
  /** Service tokens by client id (`common_name`); asked before `identify`. */
  readonly services?: Readonly<Record<string, AccessServiceGrant>>
  /**
   * Milliseconds since the epoch before which tokens of this principal do not count: what makes a revocation
   * outlive the token. Compared with `iat`, whose resolution is one second: the doubtful second is refused.
   */
  readonly notBefore?: (principal: AccessPrincipal) => MaybePromise<number | undefined>
  /** Drops remembered tokens of whom a revocation concerns, and closes their sockets through the gate. */
  readonly revocations?: RevocationFeed
  /**
   * Asks the team domain whether the login still exists, so that a logout bites before the token expires.
   * People only. If it cannot answer, the token is `unavailable`. Default: false.
   */
  readonly online?: boolean | AccessOnlineOptions
  /** Remembered tokens. `entries` in all, default 10,000; `ttl` in seconds, 0 to 60, default 60. */
  readonly cache?: { readonly entries?: number; readonly ttl?: number }
  /**
   * Tokens not seen before that wait for the verification of their signature at the same time, 1 to 100,000; as many
   * may wait for the keys. Further ones are `unavailable`, with a `Retry-After` of a second. Default: 1,024.
   */
  readonly verificationsInFlight?: number
  readonly keys?: AccessKeyOptions
  /** Name of the scheme. Default: `cloudflare-access`. */
  readonly name?: string
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  readonly clock?: Clock
  readonly logger?: Logger
  /**
   * Trusts the keys and identities served here, at a loopback `http:` origin, instead of those of the team domain:
   * for an edge simulator. Whoever can listen on that port can be anybody.
   */
  readonly dangerouslyTrustSimulatorAt?: string
}

/** The scheme, with what operating it needs. */
export interface CloudflareAccessScheme extends Scheme<AccessPrincipal> {
  /** Fetches the keys now, so that the first request need not wait. False when that failed. */
  prefetch(): Promise<boolean>
  /** State of the signing keys, for a health page. Times in milliseconds since the epoch. */
  status(): AccessKeyStatus
  /** Unsubscribes from the revocation feed. */
  close(): void
}

/** State of the signing keys. */
export interface AccessKeyStatus {
  readonly keys: number
  /** When they were last fetched; `undefined` = never. */
  readonly fetchedAt: number | undefined
  /** Failed fetches since. */
  readonly failures: number
  /** Whether tokens can be judged now. */
  readonly usable: boolean
}
