import { type AuthRequest, headerOf } from '../contract/request.ts'
import { hostOf, type OriginPolicy } from '../request/origin.ts'
import { quote, type WayFinding } from './finding.ts'

const keepHost =
  '`proxy_set_header Host $http_host;` in nginx, `ProxyPreserveHost On` in Apache; Caddy, haproxy and Traefik keep it unless told otherwise'

/** Why a Host is none of the gate's, as far as a proxy may be the reason. */
export function readHost(request: AuthRequest, policy: OriginPolicy): WayFinding {
  const ours = (policy.hosts ?? []).map(quote).join(', ')
  const host = hostOf(request)
  const named = forwardedHost(request)
  const said = named === undefined ? '' : ` The forwarded name is ${quote(named)}.`
  if (host === undefined) {
    return {
      sign: 'host_missing',
      sentence: `No Host arrived, as in HTTP/1.0; this gate has ${ours}.${said} Let the proxy speak HTTP/1.1 and send it (\`proxy_http_version 1.1;\` and ${keepHost}); give a health check a Host, or a public path.`,
    }
  }
  const lower = host.toLowerCase()
  const withPort = policy.hosts?.find((known) => portOf(known) !== '' && withoutPort(known) === lower)
  if (withPort !== undefined && portOf(lower) === '') {
    return {
      sign: 'host_port_dropped',
      sentence: `Host arrived as ${quote(host)}, without the port of ${quote(withPort)}.${said} nginx drops it with \`proxy_set_header Host $host;\`: write \`proxy_set_header Host $http_host;\`.`,
    }
  }
  return {
    sign: 'host_replaced',
    sentence: `Host arrived as ${quote(host)}; this gate has ${ours}.${said} If a proxy replaced it, let the proxy keep what clients send: ${keepHost}.`,
  }
}

/** The name that clients used, by the word of a proxy or of the client itself: to be quoted, never to be decided by. */
function forwardedHost(request: AuthRequest): string | undefined {
  const name = headerOf(request, 'x-forwarded-host') ?? headerOf(request, 'x-original-host')
  if (name !== undefined) return name
  const forwarded = headerOf(request, 'forwarded')
  return forwarded === undefined ? undefined : /(?:^|[;,\s])host="?([^";,\s]+)/i.exec(forwarded)?.[1]
}

function portOf(host: string): string {
  return /:(\d+)$/.exec(host)?.[1] ?? ''
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, '')
}
