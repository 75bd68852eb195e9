import type { IncomingMessage } from 'node:http'
import type { Config } from './config.ts'

const consequence =
  'All visitors who come through it look like one: a stranger who guesses passwords locks out every browser that has not logged in before. Set TRUST_PROXY=loopback, and let the proxy append to X-Forwarded-For.'

/** What a proxy or tunnel says of the visitor. */
const forwarding = ['x-forwarded-for', 'forwarded', 'x-real-ip', 'cf-connecting-ip'] as const

/** Whether a proxy in front of the gateway would hide who visits. */
function hides({ publicUrl, trustedProxies }: Config): boolean {
  return publicUrl !== undefined && trustedProxies.length === 0
}

/** What to say at the start where only programs on this machine can connect, and the address is for others. */
export function warnOfHiddenVisitors(config: Config): string | undefined {
  if (!hides(config) || !isLoopback(config.host)) return undefined
  return `Warning: PUBLIC_URL is set and TRUST_PROXY is not, so a proxy or tunnel on this machine is in front of the gateway. ${consequence}`
}

/** Watches for the first request that a proxy on this machine forwarded, and says so once. */
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
