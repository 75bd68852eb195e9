import type { IncomingMessage } from 'node:http'
import type { Gate } from 'upgate'
import { clientAddressOf } from 'upgate/node'

/** Says where a request comes from. */
export interface ClientAddresses {
  /** For people: the address, the one of this machine included. */
  shown(request: IncomingMessage): string | undefined
  /** For counting failures: `undefined` where the address could be anybody's, such as loopback. */
  counted(request: IncomingMessage): string | undefined
}

/** Takes the gate's word for it, so that pages, audit and limits name the same client. */
export function createClientAddresses(gate: Pick<Gate, 'clientAddressOf'>): ClientAddresses {
  const counted = (request: IncomingMessage): string | undefined => clientAddressOf(gate, request)
  return {
    counted,
    shown: (request) => counted(request) ?? request.socket.remoteAddress?.replace(/^::ffff:(?=[\d.]+$)/i, ''),
  }
}
