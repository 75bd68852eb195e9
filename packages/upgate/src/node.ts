/**
 * Upgate in front of a bare `http` server, and functions that take requests of Node's own.
 *
 * @example
 * import { createServer } from 'node:http'
 * import { httpGate } from 'upgate/node'
 *
 * const server = createServer(
 *   httpGate(gate, (request, response) => response.end(`hello ${gate.principalOf(request)?.id}`)),
 * )
 *
 * @module
 */
export type { Connections, LiveConnection, Moment, Registration } from './core/contract/connections.ts'
export type { HeaderList } from './core/contract/decision.ts'
export type { RenderedResponse } from './core/contract/rendered-response.ts'
export { clientAddressOf } from './node/client-address-of.ts'
export type { AdapterOptions } from './node/doors.ts'
export { forwardAuth } from './node/forward-auth/forward-auth.ts'
export type { AskingProxy, ForwardAuthOptions, IdentityHeaderNames } from './node/forward-auth/options.ts'
export { httpGate, type RequestListener } from './node/http-gate.ts'
export {
  type EndWithCredentialOptions,
  endStreams,
  endWithCredential,
  type StreamEndReason,
  type StreamGate,
} from './node/live-response.ts'
export { type TicketEndpointOptions, ticketEndpoint } from './node/ticket-endpoint.ts'
export { decide, explain, type RefuseOptions, refuse, requestOf, respond } from './node/with-gate.ts'
