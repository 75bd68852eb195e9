import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/** The part of a socket of `ws` that the quarantine uses: public API only, so that any copy of the library fits. */
export interface WebSocketLike {
  /** 1 while the socket is open, as in browsers. */
  readonly readyState: number
  /** Whether {@link WebSocketLike.pause} stopped its events. */
  readonly isPaused: boolean
  /** A string goes out as a text frame, bytes as a binary one. */
  send(data: string | Uint8Array): void
  /** Begins the closing handshake with a code and a reason of at most 123 bytes. */
  close(code?: number, reason?: string): void
  /** Ends the connection at once, without a closing handshake. */
  terminate(): void
  /** Stops reading from the connection. */
  pause(): void
  /** Reads from the connection again. */
  resume(): void
  /** Hands an event to its listeners; true if there are any. */
  emit(event: string | symbol, ...values: unknown[]): boolean
  /** Adds a listener. */
  on(event: string, listener: (...values: never[]) => void): unknown
  /** Removes a listener. */
  removeListener(event: string, listener: (...values: never[]) => void): unknown
  /** Number of listeners for an event. */
  listenerCount(event: string): number
}

/**
 * The part of the application's `WebSocketServer` that the quarantine uses. It is made with `noServer` or `{
 * server, path }`.
 */
export interface WebSocketServerLike {
  /** Absent when the server was made with `clientTracking: false`. */
  readonly clients?: unknown
  /** Answers an upgrade with 101 and makes the socket. */
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    callback: (ws: WebSocketLike, request: IncomingMessage) => void,
  ): void
  /** Hands an event, such as `connection`, to the application. */
  emit(event: string | symbol, ...values: unknown[]): boolean
  /** Adds a listener. */
  on(event: string, listener: (...values: never[]) => void): unknown
  /** Removes a listener. */
  removeListener(event: string, listener: (...values: never[]) => void): unknown
  /** Where it is there, upgrades are refused with 503 while nothing listens for `connection`. */
  listenerCount?(event: string): number
}

/** The `WebSocketServer` that owns each path: made with `noServer`, or with `{ server, path }` and taken as it is. */
export type SocketServers = Readonly<Record<string, WebSocketServerLike>>

/** The sockets that a `WebSocketServer` makes: `WebSocket` of `ws`, or the application's own class of them. */
export type SocketOf<W extends WebSocketServerLike> = Upgraded<W>[0]

/** The requests that a `WebSocketServer` hands on with its sockets. */
export type SocketRequestOf<W extends WebSocketServerLike> = Upgraded<W>[1]

/** Read off the server that was given, so that applications without `ws` do not need its types. */
type Upgraded<W> = W extends {
  handleUpgrade(request: never, socket: never, head: never, callback: (...upgraded: infer U) => void): void
}
  ? U extends readonly [infer S, infer R]
    ? readonly [socket: S, request: R]
    : never
  : never
