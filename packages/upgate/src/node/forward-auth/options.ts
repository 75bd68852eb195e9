/** The proxies whose questions `forwardAuth` understands. */
export type AskingProxy = 'nginx' | 'caddy' | 'traefik'

/** Names of the headers that carry the principal; `false` leaves one out. */
export interface IdentityHeaderNames {
  /** The id of a principal of kind `user`. Default: `Remote-User`. */
  readonly user?: string | false
  /** The id of a principal of kind `device`. Default: `Remote-Device`. */
  readonly device?: string | false
  /** The id of a principal of kind `service`. Default: `Remote-Service`. */
  readonly service?: string | false
  /** The display name. Default: `Remote-Name`. */
  readonly name?: string | false
  /** The scopes, separated by commas. Default: `Remote-Scopes`. */
  readonly scopes?: string | false
  /** The roles, separated by commas. Default: `Remote-Roles`. */
  readonly roles?: string | false
}

/** Options of `forwardAuth`. Unknown options throw. */
export interface ForwardAuthOptions {
  /**
   * Peers that may ask: addresses or ranges of the proxy, or the path of the Unix socket of mode 600 on which the
   * server listens. Required.
   */
  readonly from: readonly string[]
  /**
   * The proxy that asks. It determines the headers that are read, and the statuses that the proxy understands:
   * nginx takes 401 and 403 only. Required.
   */
  readonly proxy: AskingProxy
  /** Names of the headers that carry the principal. */
  readonly headers?: IdentityHeaderNames
  /**
   * Lets WebSockets of deferred rules through, without a principal. Only for an application behind the proxy that has
   * `guardServer`: without its quarantine, any client gets an open socket. Default: false.
   */
  readonly dangerouslyPassDeferred?: boolean
  /**
   * Accepts `from` entries that other programs can send from, such as `'loopback'`. Any of them could then ask for the
   * identity behind a stolen credential, past the limits per address. Default: false.
   */
  readonly dangerouslyTrustSharedPeers?: boolean
}
