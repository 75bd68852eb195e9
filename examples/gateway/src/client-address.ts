import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import proxyaddr from 'proxy-addr'

/** Says where a request comes from. */
export interface ClientAddresses {
  /** For people: the address, the one of this machine included. */
  shown(request: IncomingMessage): string | undefined
  /** For counting failures: `undefined` where the address could be anybody's, such as loopback. */
  counted(request: IncomingMessage): string | undefined
}

/** Reads `X-Forwarded-For` from the right, over the configured proxies only. */
export function createClientAddresses(trustedProxies: readonly string[]): ClientAddresses {
  const trust = proxyaddr.compile(
    trustedProxies.flatMap((entry) =>
      entry.toLowerCase() === 'private' ? ['uniquelocal', 'linklocal'] : [entry],
    ),
  )
  const shown = (request: IncomingMessage): string | undefined => {
    const address = proxyaddr(request, trust).replace(/^::ffff:(?=[\d.]+$)/i, '')
    return isIP(address) === 0 ? undefined : address
  }
  return {
    shown,
    counted(request) {
      const address = shown(request)
      if (address === undefined || address === '::1' || address.startsWith('127.')) return undefined
      return trustedProxies.length > 0 && trust(address, 0) ? undefined : address
    },
  }
}
