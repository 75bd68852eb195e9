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
  if (!hasWebSocketHeaders(request)) {
    return {
      sign: 'upgrade_added',
      sentence:
        'A request arrived with `Upgrade: websocket` and without any Sec-WebSocket header: a proxy adds it to all requests. HTTP adapters take them as ordinary ones; `guardServer` refuses them. In nginx write `proxy_set_header Upgrade $http_upgrade;`, with the variable, which is empty for them.',
    }
  }
  if (/(?:^|[,\s])upgrade(?:$|[,\s])/i.test(headerOf(request, 'connection') ?? '')) return undefined
  return {
    sign: 'upgrade_lost',
    sentence: `A WebSocket handshake arrived without \`Connection: Upgrade\`: a proxy dropped it. Let it forward the header: ${forward}.`,
  }
}
