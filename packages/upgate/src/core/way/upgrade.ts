import { type AuthRequest, headerOf } from '../contract/request.ts'
import { hasWebSocketHeaders, isUpgradeLost, namesWebSocket } from '../request/upgrade-request.ts'
import type { WayFinding } from './finding.ts'

const forward =
  '`proxy_http_version 1.1;`, `proxy_set_header Upgrade $http_upgrade;` and `proxy_set_header Connection $connection_upgrade;` in nginx (with the `map` of the guide); WebSockets switched on for the zone in Cloudflare'

/** Finds changes that proxies made to the Upgrade header of a WebSocket handshake, or of every request. */
export function readUpgrade(request: AuthRequest): WayFinding | undefined {
  if (isUpgradeLost(request)) {
    return {
      sign: 'upgrade_lost',
      sentence: `A WebSocket handshake (Sec-WebSocket-Key or -Version) arrived without \`Upgrade: websocket\`: a proxy dropped it. Let it forward the header: ${forward}.`,
    }
  }
  if (!namesWebSocket(request)) return undefined
  const added = upgradeAdded(request)
  if (added !== undefined) return added
  if (/(?:^|[,\s])upgrade(?:$|[,\s])/i.test(headerOf(request, 'connection') ?? '')) return completed(request)
  return {
    sign: 'upgrade_lost',
    sentence: `A WebSocket handshake arrived without \`Connection: Upgrade\`: a proxy dropped it. Let it forward the header: ${forward}.`,
  }
}

/** Finds the half of a handshake that haproxy makes of a request to which its configuration adds Upgrade. */
function completed(request: AuthRequest): WayFinding | undefined {
  const { headers } = request
  if (headers['sec-websocket-key'] === undefined || headers['sec-websocket-version'] !== undefined)
    return undefined
  return {
    sign: 'upgrade_added',
    sentence:
      'A request arrived with `Upgrade: websocket` and Sec-WebSocket-Key, and without Sec-WebSocket-Version, which each client of WebSockets sends: a proxy adds Upgrade to all requests, and haproxy completes it with a key. Remove the line that sets it (`http-request set-header Upgrade` in haproxy); haproxy forwards Upgrade by itself.',
  }
}

/** Finds `Upgrade: websocket` on a request that is no handshake of a WebSocket. */
export function upgradeAdded(request: AuthRequest): WayFinding | undefined {
  if (!namesWebSocket(request) || hasWebSocketHeaders(request)) return undefined
  return {
    sign: 'upgrade_added',
    sentence:
      'A request arrived with `Upgrade: websocket` and without any Sec-WebSocket header: a proxy adds it to all requests. They are answered as ordinary ones; `guardServer` ends the connection with each answer. In nginx write `proxy_set_header Upgrade $http_upgrade;` and `proxy_set_header Connection $connection_upgrade;`, with the variables, which are empty for them.',
  }
}
