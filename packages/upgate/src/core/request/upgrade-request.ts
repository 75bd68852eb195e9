import type { Refused } from '../contract/decision.ts'
import { refuse } from '../contract/refusals.ts'
import type { AuthRequest } from '../contract/request.ts'
import type { CompiledRule } from '../contract/rules.ts'

function hasToken(value: unknown, token: string): boolean {
  if (typeof value !== 'string') return false
  if (value.length === token.length) return value.toLowerCase() === token
  return value
    .toLowerCase()
    .split(',')
    .some((part) => part.trim() === token)
}

/**
 * Whether a request asks for a WebSocket, however well: then the rules for upgrades apply to it.
 *
 * An ordinary request with `Upgrade: websocket` and without any `Sec-WebSocket` header does not: a proxy added it.
 */
export function asksForWebSocket(request: AuthRequest): boolean {
  if (request.kind === 'upgrade') return true
  return namesWebSocket(request) && hasWebSocketHeaders(request)
}

/** Whether the Upgrade header names the WebSocket protocol. */
export function namesWebSocket({ headers }: AuthRequest): boolean {
  return headers.upgrade !== undefined && hasToken(headers.upgrade, 'websocket')
}

/** Whether a request has a header that only handshakes of WebSockets have. */
export function hasWebSocketHeaders({ headers }: AuthRequest): boolean {
  // A key makes the look over all names unnecessary.
  if (headers['sec-websocket-key'] !== undefined) return true
  return Object.keys(headers).some((name) => name.startsWith('sec-websocket-'))
}

/** Whether an ordinary GET has what only a WebSocket handshake has, and lost its Upgrade header on the way. */
export function isUpgradeLost(request: AuthRequest): boolean {
  const { headers, kind, method } = request
  if (kind !== 'http' || method !== 'GET') return false
  const key = headers['sec-websocket-key'] !== undefined || headers['sec-websocket-version'] !== undefined
  return key && !namesWebSocket(request)
}

/** The fault of a WebSocket handshake (RFC 6455 section 4.2.1), or `undefined` when it is well-formed. */
export function checkWebSocketHandshake(
  request: AuthRequest,
  rule: CompiledRule | undefined,
): Refused | undefined {
  const { headers } = request
  if (!hasToken(headers.upgrade, 'websocket')) {
    return refuse('unsupported_upgrade', { rule, headers: websocketOnly })
  }
  if (request.method !== 'GET')
    return refuse('malformed_upgrade', { rule, detail: 'A WebSocket handshake is a GET request.' })
  // Its bytes would be parsed as frames.
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) {
    return refuse('malformed_upgrade', { rule, detail: 'A WebSocket handshake has no body.' })
  }
  if (!hasToken(headers.connection, 'upgrade')) {
    return refuse('malformed_upgrade', {
      rule,
      detail: 'The Connection header does not ask for the upgrade.',
    })
  }
  const version = headers['sec-websocket-version']
  if (version !== '13') return refuse('unsupported_upgrade', { rule, headers: websocketOnly })
  const key = headers['sec-websocket-key']
  if (typeof key !== 'string' || key.length !== 24 || !/^[+/0-9A-Za-z]{22}==$/.test(key)) {
    return refuse('malformed_upgrade', { rule, detail: 'Sec-WebSocket-Key is missing or malformed.' })
  }
  return undefined
}

/** Header lines that say what an upgrade must ask for. */
export const websocketOnly = [
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Version', '13'],
] as const
