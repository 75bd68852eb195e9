/**
 * Connects, and says why not: the client for Node, Bun and Deno, on `ws`.
 *
 * @module
 */

import { createAdmission } from './access/admission.ts'
import { type Connection, createConnection } from './connection.ts'
import type { ConnectOptions } from './options.ts'
import { wsTransport } from './ws/transport.ts'

export type { AccessApplication } from './access/application.ts'
export type { Clock } from './clock.ts'
export type { Connection } from './connection.ts'
export type { Credential, CredentialRequest, CredentialSource, DeviceIdentity } from './credential.ts'
export { type DeviceKey, deviceKey } from './device-key.ts'
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
export { type AllowAddress, allowedLookup } from './ws/allowed-address.ts'
export { isPublicAddress } from './ws/public-address.ts'
export { type WsTransportOptions, wsTransport } from './ws/transport.ts'

/**
 * Opens a WebSocket, authenticates it, and keeps it connected until `close()`, the signal, or a refusal that another
 * attempt would not change. It returns at once; the result is in `accepted` and in the events.
 *
 * Secrets of the edge go over `wss` or to loopback only. No redirect is followed. Errors, events and diagnoses hold no
 * credential, also if the server echoes one.
 *
 * @param url `wss://...` or `ws://...`; what is wrong with it is a diagnosis, no exception
 * @throws TypeError for a wrong option
 * @example
 * import { connect, isConnectError } from '@upgate/client'
 *
 * const connection = connect('wss://gateway.example.com/ws', { credential: process.env.TOKEN ?? '' })
 * connection.on('message', (data) => console.log(data))
 * try {
 *   await connection.accepted
 *   connection.send('hello')
 * } catch (error) {
 *   if (isConnectError(error)) console.error(error.code, error.diagnosis.action)
 * }
 */
export function connect(url: string | URL, options: ConnectOptions = {}): Connection {
  return createConnection(url, options, { transport: wsTransport, createAdmission })
}
