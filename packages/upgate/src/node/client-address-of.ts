import type { IncomingMessage } from 'node:http'
import type { Gate } from '../core/contract/gate.ts'
import { assertGate } from '../core/options/check-gate.ts'
import { wrongArgument } from '../core/options/check-options.ts'
import { NodeRequest } from './request.ts'

/**
 * Says which client a request comes from, as the gate's own limits see it.
 *
 * Canonical (IPv4-mapped IPv6 folded), read from `X-Forwarded-For` over `trustedProxies` only. `undefined` where it is
 * not known: a loopback or proxy peer that names no client may speak for any, and must not be counted
 * as one client.
 *
 * @param gate - its `trustedProxies` decide
 * @param request - Node's own: of Express `req`, of Koa `ctx.req`
 * @returns an IPv4 or IPv6 address, or `undefined`
 * @throws TypeError where the gate or Node's request is something else
 * @example
 * await services.accounts.login(email, secret, { clientAddress: clientAddressOf(gate, request) })
 */
export function clientAddressOf(
  gate: Pick<Gate, 'clientAddressOf'>,
  request: IncomingMessage,
): string | undefined {
  assertGate(gate, 'clientAddressOf', ['clientAddressOf'])
  if (typeof request?.headers !== 'object') {
    throw wrongArgument('clientAddressOf', 'second', "Node's own request (of Koa `ctx.req`)", request)
  }
  return gate.clientAddressOf(new NodeRequest('http', request))
}
