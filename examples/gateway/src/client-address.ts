import type { IncomingMessage } from 'node:http'
import type { Gate } from 'upgate'
import { clientAddressOf } from 'upgate/node'

/** The client's address of a request. */
export interface ClientAddresses {
  /** For display: the address, even if it is one of this machine. */
  shown(request: IncomingMessage): string | undefined
  /** For counting failures: `undefined` if many clients may share the address, such as loopback. */
  counted(request: IncomingMessage): string | undefined
}

/** Uses the gate's address of the client, so that pages, audit and limits agree. */
export function createClientAddresses(gate: Pick<Gate, 'clientAddressOf'>): ClientAddresses {
  const counted = (request: IncomingMessage): string | undefined => clientAddressOf(gate, request)
  return {
    counted,
    shown: (request) => counted(request) ?? folded(request.socket.remoteAddress),
  }
}

/** Writes the address of a socket without the prefix of IPv4 in IPv6. */
export function folded(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=[\d.]+$)/i, '')
}
