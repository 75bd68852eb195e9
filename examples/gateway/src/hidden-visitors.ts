import type { IncomingMessage } from 'node:http'
import type { Config } from './config.ts'

const consequence =
  'All clients behind it seem to have one address: a client that guesses passwords locks out every browser that has not logged in before. Set TRUST_PROXY=loopback, and let the proxy append to X-Forwarded-For.'

/** Headers in which a proxy or tunnel sends the client's address. */
const forwarding = ['x-forwarded-for', 'forwarded', 'x-real-ip', 'cf-connecting-ip'] as const

/** Whether a proxy in front of the gateway would hide the clients' addresses. */
function hides({ publicUrl, trustedProxies }: Config): boolean {
  return publicUrl !== undefined && trustedProxies.length === 0
}

/** Returns the warning for a start on loopback with an address for other machines. */
export function warnOfHiddenVisitors(config: Config): string | undefined {
  if (!hides(config) || !isLoopback(config.host)) return undefined
  return `Warning: PUBLIC_URL is set and TRUST_PROXY is not, so a proxy or tunnel on this machine is in front of the gateway. ${consequence}`
}

/** Returns a function that warns once, at the first request that a proxy on this machine forwarded. */
export function watchForProxy(
  config: Config,
  write: (line: string) => void,
): (request: IncomingMessage) => void {
  let watching = hides(config)
  return (request) => {
    if (!watching || !isLoopback(request.socket.remoteAddress ?? '')) return
    const header = forwarding.find((name) => request.headers[name] !== undefined)
    if (header === undefined) return
    watching = false
    write(
      `Warning: a proxy or tunnel on this machine forwarded a request (${header}), and TRUST_PROXY is not set. ${consequence}`,
    )
  }
}

function isLoopback(address: string): boolean {
  return /^(?:::ffff:)?127\.|^::1$|^localhost$/i.test(address)
}
