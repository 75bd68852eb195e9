/**
 * The client for pages, and for every runtime with a global `WebSocket`; with a transport, also for others.
 *
 * @module
 */

import { browserTransport } from './browser/transport.ts'
import { type Connection, createConnection } from './connection.ts'
import type { ConnectOptions } from './options.ts'

export type { AccessApplication } from './access/application.ts'
export {
  type BrowserTransportOptions,
  browserTransport,
  type PageSocket,
  type PageSocketClass,
} from './browser/transport.ts'
export type { Clock } from './clock.ts'
export type { Connection } from './connection.ts'
export type { Credential, CredentialRequest, CredentialSource, DeviceIdentity } from './credential.ts'
export type { EdgeCredential, EdgeServiceToken, EdgeSource, EdgeUserToken } from './edge.ts'
export { ConnectError, isConnectError } from './error.ts'
export type {
  Acceptance,
  AfterStep,
  ClientHandshake,
  Conversation,
  ConversationStep,
  HandshakeTalk,
  UpgradeParts,
} from './handshake.ts'
export {
  type HeaderHandshakeOptions,
  headerHandshake,
  type SubprotocolHandshakeOptions,
  subprotocolHandshake,
  type TicketHandshakeOptions,
  ticketHandshake,
} from './handshakes/at-upgrade.ts'
export { type ConnectHandshakeOptions, connectHandshake } from './handshakes/connect.ts'
export { HandshakeFailure } from './handshakes/failure.ts'
export { type UpgateHandshakeOptions, upgateHandshake } from './handshakes/upgate.ts'
export type { ConnectOptions, ReconnectOptions } from './options.ts'
export type { ConnectionEvents, State } from './state.ts'
export type {
  Network,
  ProbeRequest,
  Transport,
  TransportEvents,
  TransportRequest,
  TransportSocket,
} from './transport.ts'

/**
 * Opens a WebSocket of the platform, authenticates it, and keeps it connected, as `connect` of `@upgate/client` does.
 *
 * A page cannot send headers: use the first frame, a ticket, or a subprotocol. After a socket that did not open, one
 * credentialed request of the same path tells why, as far as CORS lets the page read it.
 *
 * @throws TypeError for a wrong option
 * @example
 * import { connect, ticketHandshake } from '@upgate/client/browser'
 *
 * const connection = connect('wss://gateway.example.com/ws/chat', {
 *   handshake: ticketHandshake({ endpoint: '/api/tickets' }),
 *   protocols: ['chat.v1'],
 * })
 * connection.on('state', ({ name }) => console.log(name))
 */
export function connect(url: string | URL, options: ConnectOptions = {}): Connection {
  return createConnection(url, options, { transport: browserTransport })
}
