import type { IncomingMessage } from 'node:http'
import type { Gate } from '../core/gate.ts'
import { NodeRequest } from './request.ts'

/**
 * Says which client a request comes from, as the gate's own limits see it.
 *
 * Canonical (IPv4-mapped IPv6 folded), read from `X-Forwarded-For` over `trustedProxies` only. `undefined` where it is
 * not known: a loopback or proxy peer that does not say for whom it speaks could be anybody, and must not be counted
 * as one client.
 *
 * @example
 * await services.accounts.login(email, password, { clientAddress: clientAddressOf(gate, request) })
 */
export function clientAddressOf(
  gate: Pick<Gate, 'clientAddressOf'>,
  request: IncomingMessage,
): string | undefined {
  return gate.clientAddressOf(new NodeRequest('http', request))
}
