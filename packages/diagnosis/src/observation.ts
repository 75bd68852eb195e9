/**
 * The observations of a client in one attempt to connect. Every field is optional: leave out unknown facts, because a field
 * that is absent means "unknown", never "no".
 *
 * All text in it comes from the network and may be hostile. {@link diagnose} cuts, cleans and redacts it. An
 * observation holds kinds of credentials and no values; {@link withoutSecrets} removes values that a server echoed.
 */
export interface Observation {
  /** The URL as it was given. User information and query never appear in a diagnosis. */
  readonly url?: string | undefined
  /** The credential and headers that the client sent. */
  readonly sent?: Sent | undefined
  /** The last step that succeeded. A time-out is attributed to the step after it. */
  readonly reached?: Reached | undefined
  /** The error that ended the attempt. */
  readonly error?: ObservedError | undefined
  /** The certificate and the parameters of the TLS connection, as far as they were seen. */
  readonly tls?: ObservedTls | undefined
  /** The first bytes that the server sent, one character for each byte (latin1); at most 4096 are read. */
  readonly bytes?: string | undefined
  /** The HTTP answer: to the upgrade, or to the request if the attempt was plain HTTP. */
  readonly response?: ObservedResponse | undefined
  /** The end of the WebSocket. */
  readonly close?: ObservedClose | undefined
  /** Text frames from the server, in order; the last 16 are read. */
  readonly frames?: readonly string[] | undefined
  /** Times of the attempt, in milliseconds. */
  readonly times?: ObservedTimes | undefined
  /** Results of second looks, made to tell causes apart that look the same at first. */
  readonly probes?: Probes | undefined
  /** The operator's or the user's expectations of the server. */
  readonly expected?: Expected | undefined
}

/** Kinds of credentials. The values never are part of an observation. */
export type SentCredential =
  | 'bearer'
  | 'api_key'
  | 'cookie'
  | 'device_token'
  | 'device_key'
  | 'password'
  | 'pairing_code'
  | 'shared_token'
  | 'ticket'
  /** `CF-Access-Client-Id` and `CF-Access-Client-Secret`, or both in one header. */
  | 'edge_service_token'
  /** `Cf-Access-Token`, or the cookie `CF_Authorization`. */
  | 'edge_user_token'

/** The credential and headers that the client sent. */
export interface Sent {
  /** Whether the request asked for a WebSocket. Default: true if the URL begins with `ws`. */
  readonly upgrade?: boolean | undefined
  /** The kinds of credentials that were sent, at the edge and in the protocol. */
  readonly credentials?: readonly SentCredential[] | undefined
  /** The number of subprotocols that were offered. */
  readonly protocols?: number | undefined
  /** Whether the request went through an HTTP proxy. */
  readonly proxy?: boolean | undefined
  /** The sender of the request. A `browser` hides the answer to a refused upgrade. */
  readonly client?: 'library' | 'browser' | undefined
}

/** The steps of an attempt, in order. `accepted`: the server acknowledged the credential. */
export type Reached = 'nothing' | 'dns' | 'tcp' | 'tls' | 'http' | 'open' | 'accepted'

/** An error, as Node's sockets, `ws`, Bun, Deno or a browser report it. */
export interface ObservedError {
  readonly name?: string | undefined
  /** Such as `ECONNREFUSED`, `ERR_TLS_CERT_ALTNAME_INVALID` or `WS_ERR_INVALID_UTF8`. */
  readonly code?: string | undefined
  readonly message?: string | undefined
  readonly syscall?: string | undefined
  /** Whether the client gave up because its own time limit was over. */
  readonly timedOut?: boolean | undefined
  /** Whether the application stopped the attempt. */
  readonly aborted?: boolean | undefined
}

/** The known facts about the TLS connection. */
export interface ObservedTls {
  readonly issuer?: string | undefined
  readonly subject?: string | undefined
  readonly altNames?: string | undefined
  /** As the certificate prints it, such as `Nov 28 12:00:00 2026 GMT`. */
  readonly validFrom?: string | undefined
  readonly validTo?: string | undefined
  readonly protocol?: string | undefined
  readonly alpn?: string | undefined
  /** The number of the TLS alert that the server sent (RFC 8446 section 6). */
  readonly alert?: number | undefined
}

/** An HTTP answer. */
export interface ObservedResponse {
  readonly status: number
  /** Names in any case; of at most 200 headers at most 8192 characters each are read. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined
  /** The beginning of the body; at most 16384 characters are read. */
  readonly body?: string | undefined
  /** The URL that answered, if redirects were followed. */
  readonly url?: string | undefined
}

/** The end of a WebSocket. */
export interface ObservedClose {
  readonly code: number
  readonly reason?: string | undefined
}

/** Times of the attempt, in milliseconds. */
export interface ObservedTimes {
  /** The client's clock at the end of the attempt, since the epoch. */
  readonly at?: number | undefined
  /** From the opening of the WebSocket to its end. */
  readonly open?: number | undefined
  /** From the last byte in either direction to the end. */
  readonly idle?: number | undefined
  /** From the creation of the credential to its use, if the client knows it. */
  readonly credentialAge?: number | undefined
  /** The server's clock when it answered, since the epoch, as its `Date` header has it. */
  readonly server?: number | undefined
}

/** Results of second looks. */
export interface Probes {
  /** A TLS ClientHello to the same port: `answered` if TLS came back. */
  readonly tls?: 'answered' | 'refused' | 'silent' | undefined
  /**
   * A plain GET of the same path, without following redirects: the answer, or `failed`. A page may see less: `hidden`
   * (CORS), or `redirected`, without knowing where to.
   */
  readonly http?: ObservedResponse | 'failed' | 'hidden' | 'redirected' | undefined
  /** The error of that GET, in runtimes that name it. */
  readonly error?: ObservedError | undefined
  /** Whether the browser or the system says that there is no network. */
  readonly offline?: boolean | undefined
  /** The same request with a browser's `User-Agent`. */
  readonly browserAgent?: ObservedResponse | undefined
}

/** The user's expectations of the server. */
export interface Expected {
  /** Whether Cloudflare Access should protect the path. */
  readonly edge?: boolean | undefined
}
