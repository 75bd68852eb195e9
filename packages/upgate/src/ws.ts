/**
 * WebSockets: a guard for a whole server, the quarantine, and handshakes. The package `ws` (8) opens the sockets.
 *
 * @example
 * import { WebSocketServer } from 'ws'
 * import { guardServer } from 'upgate/ws'
 *
 * const guard = guardServer(server, gate, { sockets: { '/ws': new WebSocketServer({ noServer: true }) } })
 * guard.on('/ws', (socket, request, principal) => socket.send(`hello ${principal.id}`))
 *
 * @module
 */

export type { ClientFamily, EndReason } from './core/contract/client-families.ts'
export type {
  Credential,
  CredentialSource,
  IssuedCredential,
  OpaqueCredential,
  PasswordCredential,
  TokenCredential,
} from './core/contract/credential.ts'
export type { InBand, Refused, Resumption } from './core/contract/decision.ts'
export { type DeviceProof, type DeviceWish, deviceCredential } from './core/contract/device-proof.ts'
export type {
  Acceptance,
  Declared,
  Dropped,
  Frame,
  Handshake,
  HandshakeContext,
  HandshakeHeader,
  HandshakeRefresh,
  HandshakeStep,
  OutgoingFrame,
  Refusal,
  RefusalFrames,
} from './core/contract/handshake.ts'
export type { GuardServerOptions } from './ws/guard/guard-options.ts'
export { guardServer } from './ws/guard/guard-server.ts'
export type { GuardCounts, GuardedServer } from './ws/guard/guarded-server.ts'
export type { UpgradeHandler } from './ws/guard/handlers.ts'
export { type CentrifugeOptions, centrifuge } from './ws/handshakes/centrifuge.ts'
export { type ConnectFrameOptions, connectFrame } from './ws/handshakes/connect-frame.ts'
export { type GraphqlWsOptions, graphqlWs } from './ws/handshakes/graphql-ws.ts'
export {
  type JsonFrameOptions,
  type JsonMessage,
  type JsonRefusal,
  jsonFrame,
} from './ws/handshakes/json-frame.ts'
export { type UpgateHandshakeOptions, upgateHandshake } from './ws/handshakes/upgate.ts'
export type { AcquaintanceOptions } from './ws/limits/acquaintances.ts'
export type { QuarantineOptions } from './ws/limits/quarantine-options.ts'
export type { QuarantineCounts } from './ws/limits/roster.ts'
export { createQuarantine } from './ws/quarantine/quarantine.ts'
export type {
  AcceptedAs,
  Admission,
  DrainOptions,
  Quarantine,
} from './ws/quarantine/types.ts'
export type {
  SocketOf,
  SocketRequestOf,
  SocketServers,
  WebSocketLike,
  WebSocketServerLike,
} from './ws/socket/web-socket-like.ts'
export type { QuarantineGate } from './ws/talk/quarantine-gate.ts'
