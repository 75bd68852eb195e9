/**
 * Header access in the shape Node already has: lower-case names; a value, a list of values, or nothing.
 */
export type HeaderRecord = Readonly<Record<string, string | readonly string[] | undefined>>

/**
 * A request as the engine sees it: our own small port, built by an adapter.
 *
 * The engine never sees an Express, Koa or Node object; {@link AuthRequest.native} is passed through unread,
 * for schemes that run the host's own middleware.
 */
export interface AuthRequest {
  /**
   * `upgrade`: the server's `upgrade` event; `http`: everything else, also an upgrade that a framework was
   * handed as an ordinary request.
   */
  readonly kind: 'http' | 'upgrade'
  /** As received; methods are case-sensitive (RFC 9110 section 9.1). */
  readonly method: string
  /** The request-target exactly as received (RFC 9112 section 3.2). */
  readonly target: string
  /** A second form of the target, where a router or proxy rewrote it first: both are decided, the stricter wins. */
  readonly rewrittenTarget?: string | undefined
  /** The headers, by lower-case name. */
  readonly headers: HeaderRecord
  /** Names and values alternating, as received: what duplicates of single-valued headers are found in. */
  readonly rawHeaders: readonly string[]
  /** Address of the socket's peer (not of the client behind a proxy); absent when unknown. */
  readonly peerAddress?: string | undefined
  /** Path of the Unix socket by which the request came; absent for TCP. */
  readonly socketPath?: string | undefined
  /** True when the connection to this process is TLS, or a configured proxy says the client's was. */
  readonly encrypted: boolean
  /** The host's own request object, opaque to the engine. */
  readonly native?: object | undefined
  /**
   * The same request without some headers, in its {@link AuthRequest.native} as well, which itself does not change.
   * Absent where the adapter cannot: schemes then get no `native` for a request that has such a header.
   */
  without?(isHidden: (name: string) => boolean): AuthRequest
  /**
   * Removes headers from the request and from its {@link AuthRequest.native}, so that the application does not see
   * them either. Absent where the adapter cannot: then they count for nothing in the decision, and no more.
   */
  remove?(isHidden: (name: string) => boolean): void
}

/** A header's single value, or `undefined` when it is absent or empty or came as a list. */
export function headerOf(request: AuthRequest, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/**
 * Throws where another request than ours was handed over, such as Node's or a framework's.
 *
 * @throws TypeError that says what to pass
 */
export function assertAuthRequest(request: AuthRequest, where: string): void {
  const kind = (request as Partial<AuthRequest> | undefined)?.kind
  if (kind === 'http' || kind === 'upgrade') return
  throw new TypeError(
    `${where}: the request must be an AuthRequest. For a request of Node's, Express's or Koa's call ` +
      `${where.replace('gate.', '')}(gate, request) from upgate/node, or pass requestOf(request).`,
  )
}
