import type { MaybePromise } from '../../core/contract/credential.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import type { RevocationFeed } from '../../core/ports/revocations.ts'

/** Names of the headers in which a proxy says who is logged in at it. */
export interface IdentityHeaders {
  /** Header with the name of the user at the proxy. Without it, the others count for nothing. */
  readonly user: string
  /** Header with the email of the user. Default: none. */
  readonly email?: string | undefined
  /** Header with a name fit for people. */
  readonly name?: string | undefined
  /** Header with the user's groups at the proxy. */
  readonly groups?: string | undefined
  /** Text between two groups. Default: a comma. */
  readonly separator?: string | undefined
}

/** Proxies whose headers are known. */
export type IdentityProxy = 'remote-user' | 'authelia' | 'authentik' | 'oauth2-proxy' | 'tailscale'

/** A user as a proxy names it. */
export interface HeaderIdentity {
  /** Name of the user at the proxy, as the header has it. */
  readonly user: string
  /** Only printable ASCII characters; for other addresses it is absent. */
  readonly email: string | undefined
  /** A name fit for people, where the proxy sends one. */
  readonly displayName: string | undefined
  /** For your own mapping. They grant nothing by themselves. */
  readonly groups: readonly string[]
}

/**
 * Answer of `identify`: an account. Absent fields get defaults, which grant nothing. An account of the services
 * is one.
 */
export interface HeaderAccount {
  /** Id of the account. */
  readonly id: string
  /** Exact scope names. Default: none. */
  readonly scopes?: readonly string[] | undefined
  /** Default: none. */
  readonly roles?: readonly string[] | undefined
  /** Default: the proxy's name for the user, else the email, else `user`. */
  readonly displayName?: string | undefined
  /** Milliseconds since the epoch. Can only shorten `lifetime`. */
  readonly expiresAt?: number | undefined
  /** Added to the principal's attributes. */
  readonly attributes?: Readonly<Record<string, unknown>> | undefined
  /** True: the account exists and is shut out; the answer is `account_disabled`. Default: false. */
  readonly disabled?: boolean | undefined
  /** Milliseconds since the epoch; present = disabled. */
  readonly disabledAt?: number | null | undefined
}

/** Options of `trustedHeader`. Unknown ones throw. */
export interface TrustedHeaderOptions {
  /**
   * The proxy, or the names of its headers. The proxy must overwrite or remove **each** of these headers in every
   * request; one that it passes on is the client's word.
   */
  readonly headers: IdentityProxy | IdentityHeaders
  /**
   * The peers whose headers count, at least one: addresses and CIDR ranges of at most 65,536 IPv4 addresses or a /48,
   * or the absolute path of the Unix socket on which this server listens for the proxy alone. The socket must have mode
   * 600. The address of the connection counts, never one in a header.
   */
  readonly peers: readonly string[]
  /** Maps a user of the proxy to an account of the application. `null` = no account here; none is created. */
  readonly identify: (identity: HeaderIdentity) => MaybePromise<HeaderAccount | null | undefined>
  /**
   * Milliseconds that `identify` may take, 100 to 60,000; beyond them the identity is `unavailable`. Default:
   * 5,000.
   */
  readonly identifyTimeout?: number
  /**
   * Milliseconds for which a socket or stream is open before the client has to come through the proxy again, 10,000 to
   * 2,592,000,000: a logout at the proxy cannot be seen here. Default: 3,600,000.
   */
  readonly lifetime?: number
  /** Closes the sockets and streams of the principals that a revocation selects. */
  readonly revocations?: RevocationFeed
  /** Name of the scheme. Principals keep the scheme `trusted-header`. Default: `trusted-header`. */
  readonly name?: string
  /** Clock behind `lifetime` and `identifyTimeout`. Default: the clock of the machine. */
  readonly clock?: Clock
  /** Gets warnings about peers that others can send from. */
  readonly logger?: Logger
  /**
   * Takes peers that others than the proxy can send from: loopback (each program on this machine, and each client of
   * an `ssh -R` or another tunnel), Cloudflare's edge (each of its customers), large networks. Each of them can log in
   * as any user. Default: false.
   */
  readonly dangerouslyTrustSharedPeers?: boolean
}
