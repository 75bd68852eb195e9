import type { IncomingMessage } from 'node:http'
import type { Gate, Principal } from 'upgate'
import { clientAddressOf } from 'upgate/node'
import type { ForwardedAs } from './http/headers.ts'
import { isSelfAuthenticated } from './rules.ts'

/** What the front tells the gateway about the client of a request. */
export interface ForwardedRequests {
  of(request: IncomingMessage): ForwardedAs
}

export interface ForwardedOptions {
  readonly gate: Gate
  readonly origin: string
  readonly userHeader: string
}

/** The user is the email address of the account: the gateway's own names of users are addresses, too. */
export function createForwarded({ gate, origin, userHeader }: ForwardedOptions): ForwardedRequests {
  return {
    of(request) {
      const principal = gate.principalOf(request)
      return {
        address: clientAddressOf(gate, request) ?? request.socket.remoteAddress ?? 'unknown',
        origin,
        userHeader,
        user: principal?.kind === 'user' ? userOf(principal) : undefined,
        keepAuthorization: principal === undefined && isSelfAuthenticated(request.url ?? ''),
      }
    },
  }
}

function userOf({ displayName, id, scopes }: Principal): { name: string; scopes: readonly string[] } {
  const name = displayName ?? id
  // A header carries ASCII alone; an account with another address keeps its id.
  return { name: /^[\x21-\x7e]{1,254}$/.test(name) ? name : id, scopes }
}
