import type { MaybePromise, Scheme } from '../../core/contract/credential.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import type { RevocationFeed } from '../../core/ports/revocations.ts'

/** All claims of a verified token, frozen. */
export type AccessClaims = Readonly<Record<string, unknown>>

/** A person with a login at Access. */
export interface AccessUser {
  /** Says that a person logged in. */
  readonly kind: 'user'
  /** As the identity provider spells it. */
  readonly email: string
  /** Only service tokens have one. */
  readonly commonName?: undefined
  /** `sub`: the person's id in the Access organisation. */
  readonly subject: string
  /** All claims of the token. */
  readonly claims: AccessClaims
}

/** A program with an Access service token. */
export interface AccessService {
  /** Says that a program sent a service token. */
  readonly kind: 'service'
  /** Only people have one. */
  readonly email?: undefined
  /** `common_name`: the token's client id, `<hex>.access`. */
  readonly commonName: string
  /** `sub`; Access leaves it empty for service tokens. */
  readonly subject: string
  /** All claims of the token. */
  readonly claims: AccessClaims
}

/** Identity of a verified token: a person or a service. */
export type AccessIdentity = AccessUser | AccessService

/** Answer of `identify` about an identity. Absent fields get defaults, which grant nothing. */
export interface IdentifiedPrincipal {
  /** Id of the account or service. Default: the token's `sub`; for services the client id. */
  readonly id?: string
  /** Exact scope names. Default: none. */
  readonly scopes?: readonly string[]
  /** Default: none. */
  readonly roles?: readonly string[]
  /** A name fit for people. Default: the email, else the id. */
  readonly displayName?: string
  /** Milliseconds since the epoch. Can only shorten the token's own expiry. */
  readonly expiresAt?: number
  /** Added to the principal's attributes. */
  readonly attributes?: Readonly<Record<string, unknown>>
  /** True: the account exists and is shut out; the answer is `account_disabled`. Default: false. */
  readonly disabled?: boolean
  /**
   * Milliseconds since the epoch before which tokens of this account do not count, like the option
   * `notBefore`; the later of the two applies. `byEmail` passes on the time that `accounts.endAccess` and
   * `accounts.disable` recorded.
   */
  readonly notBefore?: number | undefined
  /** If given, it must be the identity's own kind: a service cannot become a person. */
  readonly kind?: Principal['kind']
}

/**
 * Maps a verified identity to an account of the application. `null` = no account here; none is created.
 *
 * @example
 * const identify: Identify = async ({ kind, email }) => {
 *   const account = kind === 'user' ? await accounts.findByEmail(email) : null
 *   return account && { id: account.id, scopes: account.scopes }
 * }
 */
export type Identify = (identity: AccessIdentity) => MaybePromise<IdentifiedPrincipal | null | undefined>

/** Rights of a service token. */
export interface AccessServiceGrant {
  /** Default: the client id. */
  readonly id?: string
  /** Exact scope names; may be empty. */
  readonly scopes: readonly string[]
  /** Default: none. */
  readonly roles?: readonly string[]
  /** A name fit for people. Default: the id. */
  readonly displayName?: string
}

/** The principal of an Access identity: a user or a service. */
export interface AccessPrincipal extends Principal {
  /** A user for a person, a service for a service token. */
  readonly kind: 'user' | 'service'
}

/** Options of the signing keys. Times in seconds. */
export interface AccessKeyOptions {
  /** Age at which a use refreshes them in the background. Default: 600. */
  readonly refreshAfter?: number
  /** Age at which a use waits for the fetch. Default: 3,600. */
  readonly maxAge?: number
  /**
   * Age until which they still count while fetches fail; beyond it tokens are `unavailable`. Default: 86,400.
   */
  readonly maxStale?: number
  /**
   * Shortest time between a fetch and the next one that an unknown key id may cause. Default: 30. Until then
   * a token with a new, unknown key id is `unavailable`: the id may belong to a new key.
   */
  readonly cooldown?: number
  /** Longest pause after repeated failures; the first pause is 1. Default: 60. */
  readonly maxBackoff?: number
  /** Longest time of a fetch, body included. Default: 5. */
  readonly timeout?: number
}

/** Options of `get-identity` requests. Times in seconds. */
export interface AccessOnlineOptions {
  /** Time for which a confirmation counts. Default: 60, and never longer than `cache.ttl`. */
  readonly every?: number
  /** Longest time of an answer. Default: 5. */
  readonly timeout?: number
}

/** Options of `cloudflareAccess`. Unknown ones throw. */
export interface CloudflareAccessOptions {
  /**
   * Name of the Access organisation: `acme` of `https://acme.cloudflareaccess.com`. Give either this or
   * `issuer`.
   */
  readonly team?: string
  /**
   * The `iss` of the tokens, exact, without trailing slash; for FedRAMP
   * `https://acme.fed.cloudflareaccess.com`.
   */
  readonly issuer?: string
  /** AUD tags of the Access applications in front of this server, at least one. */
  readonly audience: readonly string[]
  /** Seconds by which clocks may differ, 0 to 300. Default: 30. */
  readonly clockTolerance?: number
  /**
   * Maps an identity to an account. Absent: every person that Access admits is a principal without scopes or
   * roles, named by `sub`; service tokens count only if `services` lists them.
   */
  readonly identify?: Identify
  /**
   * Seconds that `identify` and `notBefore` may take together, 0.1 to 60; beyond them the token is
   * `unavailable`. Default: 5.
   */
  readonly identifyTimeout?: number
  /** Service tokens by client id (`common_name`); they have priority over `identify`. Default: none. */
  readonly services?: Readonly<Record<string, AccessServiceGrant>>
  /**
   * Milliseconds since the epoch before which tokens of this principal do not count, so that a revocation
   * outlives the token. It is compared with `iat`, which counts whole seconds: the doubtful second is
   * refused. Default: none.
   */
  readonly notBefore?: (principal: AccessPrincipal) => MaybePromise<number | undefined>
  /**
   * Drops remembered tokens of the principals that a revocation selects, and closes their sockets through the
   * gate.
   */
  readonly revocations?: RevocationFeed
  /**
   * Asks the team domain whether the login still exists, so that a logout takes effect before the token
   * expires. People only. If the team domain cannot answer, the token is `unavailable`. Default: false.
   */
  readonly online?: boolean | AccessOnlineOptions
  /** Remembered tokens. `entries`: largest number, default 10,000; `ttl`: seconds, 0 to 60, default 60. */
  readonly cache?: { readonly entries?: number; readonly ttl?: number }
  /**
   * Tokens seen for the first time that may wait for the verification of their signature at the same time, 1
   * to 100,000; as many may wait for the keys. Further ones are `unavailable`, with a `Retry-After` of a
   * second. Default: 1,024.
   */
  readonly verificationsInFlight?: number
  /** Ages, pauses and time-out of the signing keys, in seconds. */
  readonly keys?: AccessKeyOptions
  /** Name of the scheme. Default: `cloudflare-access`. */
  readonly name?: string
  /** Fetches keys and identities. Default: the `fetch` of the runtime. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Default: the clock of the machine. */
  readonly clock?: Clock
  /**
   * Gets warnings about keys that cannot be fetched. Default: Node's warnings, as `process.on('warning')` sees
   * them.
   */
  readonly logger?: Logger
  /**
   * Trusts the keys and identities served here, at a loopback `http:` origin, instead of those of the team
   * domain: for an edge simulator. A program that can listen on that port can log in as any principal.
   */
  readonly dangerouslyTrustSimulatorAt?: string
}

/**
 * The scheme, with functions for its operation.
 *
 * @example
 * const access = cloudflareAccess({ team: 'acme', audience: [AUD] })
 * if (!(await access.prefetch())) console.warn(access.status())
 */
export interface CloudflareAccessScheme extends Scheme<AccessPrincipal> {
  /** Fetches the keys now, so that the first request need not wait. False when the fetch failed. */
  prefetch(): Promise<boolean>
  /** State of the signing keys, for a health page. Times in milliseconds since the epoch. */
  status(): AccessKeyStatus
  /** Unsubscribes from the revocation feed. */
  close(): void
}

/** State of the signing keys. */
export interface AccessKeyStatus {
  /** Number of keys. */
  readonly keys: number
  /** Time of the last fetch that worked; `undefined` = never. */
  readonly fetchedAt: number | undefined
  /** Failed fetches since. */
  readonly failures: number
  /** Whether tokens can be judged now. */
  readonly usable: boolean
}
