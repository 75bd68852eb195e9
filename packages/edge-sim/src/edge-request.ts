import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { hex } from './secrets.ts'
import { normalPath } from './target.ts'
import type { World } from './world.ts'

/** The header in which a test names the address its client pretends to have; it is never forwarded. */
export const CLIENT_ADDRESS_HEADER = 'edge-sim-client-ip'

/**
 * The header in which a client that cannot choose its `Host` (every `fetch`) names the host it means; it takes the
 * place of `Host` and is never forwarded under its own name.
 */
export const HOST_HEADER = 'edge-sim-host'

/** One request as the edge reads it. */
export interface EdgeRequest {
  readonly raw: IncomingMessage
  readonly method: string
  /** The request target as sent, which the edge forwards unchanged. */
  readonly target: string
  /** The normal path: what applications are matched by. */
  readonly path: string
  /** Host as sent, in lower case, with its port if there was one. */
  readonly host: string
  readonly hostname: string
  /** Whether it is a WebSocket upgrade. */
  readonly upgrade: boolean
  readonly address: string
  readonly ray: string
  readonly userAgent: string
  readonly acceptsJson: boolean
  readonly acceptsHtml: boolean
}

const HOST = /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)(:\d{1,5})?$/

/** Reads a request; a string says why it is malformed and must be answered 400. */
export function readEdgeRequest(world: World, raw: IncomingMessage, upgrade: boolean): EdgeRequest | string {
  const target = raw.url ?? ''
  const meant = raw.headers[HOST_HEADER]
  const host = (typeof meant === 'string' ? meant : (raw.headers.host ?? '')).toLowerCase()
  const names = raw.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
  const [, hostname] = HOST.exec(host) ?? []
  if (hostname === undefined) return 'The Host header is not a host name.'
  // Two Hosts are the classic way to have the edge gate one application and the origin serve another.
  if (names.filter((name) => name === 'host').length !== 1) return 'There must be exactly one Host header.'
  if (!/^\/[\x21-\x7e]*$/.test(target)) return 'The request target must be an absolute path.'
  if (
    upgrade &&
    (raw.headers['transfer-encoding'] !== undefined || Number(raw.headers['content-length'] ?? 0) > 0)
  ) {
    return 'An upgrade request must not have a body.'
  }
  const named = raw.headers[CLIENT_ADDRESS_HEADER]
  const accept = raw.headers.accept ?? ''
  return {
    raw,
    method: raw.method ?? 'GET',
    target,
    path: normalPath(target),
    host,
    hostname,
    upgrade: upgrade && raw.headers.upgrade?.toLowerCase() === 'websocket',
    address: typeof named === 'string' && isIP(named) !== 0 ? named : world.clientAddress,
    ray: `${hex(world.random, 8)}-SIM`,
    userAgent: raw.headers['user-agent'] ?? '',
    acceptsJson: /\bapplication\/(problem\+)?json\b/.test(accept),
    acceptsHtml: /\btext\/html\b/.test(accept),
  }
}
