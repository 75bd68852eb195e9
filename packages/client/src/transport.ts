import type { Observation, Probes, Reached } from '@upgate/diagnosis'

/** How sockets are opened: over `ws`, the global WebSocket, a Worker's `fetch`, or a test's memory. */
export interface Transport {
  /** Whether it can send headers with the upgrade. Browsers cannot. */
  readonly sendsHeaders: boolean
  /** Opens a socket. It must not follow redirects, and it must not throw: failures are events. */
  open(request: TransportRequest, events: TransportEvents): TransportSocket
  /**
   * Second looks at a failure, if they are cheap: results for `probes`. Called at most once for each kind of failure
   * in a row. It sends `headers` to the same origin only, and never the credential of the protocol.
   */
  probe?(request: ProbeRequest): Promise<Probes | undefined>
  /**
   * Requests over the same way as the sockets, for tickets and for the metadata of Access: the same agent, look-up and
   * authorities. It is called with `redirect: 'manual'`. Default: the global one.
   */
  readonly fetch?: typeof fetch
  /** Whether there is a network, if the platform knows. */
  readonly network?: Network
}

/** The platform's knowledge of the network. */
export interface Network {
  isOnline(): boolean
  /** Calls back at every change, until the returned function is called. */
  onChange(callback: () => void): () => void
}

/** A socket to open. */
export interface TransportRequest {
  readonly url: string
  readonly protocols: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds for everything up to the opening; the caller has a time limit of its own as well. */
  readonly timeout: number
}

/** A failure to look at again. */
export interface ProbeRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** The code of the first verdict. */
  readonly code: string
  readonly timeout: number
}

/** The events of a transport. `closed` comes exactly once, and last. */
export interface TransportEvents {
  reached(step: Reached): void
  /** Facts for the diagnosis; later ones win. */
  observed(facts: Pick<Observation, 'error' | 'tls' | 'bytes' | 'response'>): void
  /** Bytes have arrived. */
  active(): void
  opened(protocol: string): void
  message(data: string | Uint8Array): void
  /** The answer to `ping`. */
  pong(): void
  closed(code: number, reason: string): void
}

/** A socket of a transport. */
export interface TransportSocket {
  send(data: string | Uint8Array): void
  close(code: number, reason: string): void
  /** Ends without a close frame. */
  terminate(): void
  /** Sends a ping frame, where the platform can. */
  ping?(): void
}

/** The `fetch` for requests to the same server: the transport's, or the global one, looked up when it is called. */
export function fetchOver(transport: Transport): typeof fetch {
  return transport.fetch ?? ((...request: Parameters<typeof fetch>) => fetch(...request))
}
