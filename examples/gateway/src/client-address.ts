import type { IncomingMessage } from 'node:http'
import type { Gate } from 'upgate'
import { clientAddressOf } from 'upgate/node'

/**
 * An address to show, and where it comes from: the client connected `direct`ly, a trusted proxy has `forwarded` it, or it
 * is the `peer`'s of the connection, which may be a proxy.
 */
export interface SeenAddress {
  readonly address?: string
  readonly addressFrom?: 'direct' | 'forwarded' | 'peer'
  /** The proxy that forwarded it. */
  readonly proxy?: string
}

/** The client's address of a request. */
export interface ClientAddresses {
  /** For display: the address, even if it is one of this machine. */
  seen(request: IncomingMessage): SeenAddress
  /** For counting failures: `undefined` if many clients may share the address, such as loopback. */
  counted(request: IncomingMessage): string | undefined
}

/** Uses the gate's address of the client, so that pages, audit and limits agree. */
export function createClientAddresses(gate: Pick<Gate, 'clientAddressOf'>): ClientAddresses {
  const counted = (request: IncomingMessage): string | undefined => clientAddressOf(gate, request)
  return {
    counted,
    seen: (request) => seenAddress(counted(request), request.socket.remoteAddress),
  }
}

/** The address to show, of those that the gate and the connection name. */
export function seenAddress(client: string | undefined, peer: string | undefined): SeenAddress {
  const other = folded(peer)
  if (client === undefined) return other === undefined ? {} : { address: other, addressFrom: 'peer' }
  if (other === undefined || client === other) return { address: client, addressFrom: 'direct' }
  return { address: client, addressFrom: 'forwarded', proxy: other }
}

/** Writes the address of a socket without the prefix of IPv4 in IPv6. */
export function folded(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=[\d.]+$)/i, '')
}

/** The hint next to an address, in a few words; the same on every page. */
export function addressHint({ addressFrom, proxy }: SeenAddress): string {
  switch (addressFrom) {
    case 'direct':
      return 'direct'
    case 'forwarded':
      return proxy === undefined ? 'forwarded by a proxy' : `forwarded by ${proxy}`
    case 'peer':
      return "may be a proxy's"
    default:
      return ''
  }
}
