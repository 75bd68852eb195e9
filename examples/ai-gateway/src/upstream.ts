import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http'

/**
 * Headers of the caller that the upstream gets. An allowlist, because a blocklist would have to know every header that
 * a caller could put a key into.
 */
const passedOn = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-encoding',
  'content-language',
  'content-type',
  'idempotency-key',
  'openai-beta',
  'user-agent',
  'x-request-id',
])

/** Upstream headers that the client does not get: those of the connection or host, and the upstream's cookies. */
const keptBack = new Set([
  'alt-svc',
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'set-cookie',
  'strict-transport-security',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
])

/**
 * The URL upstream for a request target; `undefined` for one that is no plain path below `/v1`.
 *
 * The `/v1` is left out where the base brings its own version: one that ends in `/compat`, as Cloudflare's AI
 * Gateway has it, or in `/v1`.
 */
export function upstreamUrl(base: URL, target: string): URL | undefined {
  const query = target.indexOf('?')
  const path = query === -1 ? target : target.slice(0, query)
  // No server may read it as another path: no escapes, no dot segments, no empty ones.
  if (!/^\/v1(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~:@-]+)+$/.test(path)) return undefined
  const prefix = base.pathname.replace(/\/+$/, '')
  const url = new URL(base)
  url.pathname = prefix + (/\/(?:compat|v1)$/.test(prefix) ? path.slice('/v1'.length) : path)
  if (query !== -1) url.search = target.slice(query)
  return url
}

/** Headers of the upstream request: the allowed ones of the caller, and the proxy's own token. */
export function upstreamHeaders(request: IncomingMessage, token: string): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {}
  const dropped = ofConnection(request.headers)
  for (const [name, value] of Object.entries(request.headers)) {
    if (passedOn.has(name) && !dropped.has(name) && value !== undefined) headers[name] = value
  }
  const { 'content-length': length } = request.headers
  if (length !== undefined) headers['content-length'] = length
  else if (hasBody(request)) headers['transfer-encoding'] = 'chunked'
  headers.authorization = `Bearer ${token}`
  return headers
}

/** Headers of the answer to the caller. */
export function callerHeaders(answer: IncomingMessage): Record<string, string | string[]> {
  const dropped = ofConnection(answer.headers)
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(answer.headers)) {
    // Only this gate may mark refusals: the upstream must not set the mark.
    if (keptBack.has(name) || dropped.has(name) || name.startsWith('upgate-')) continue
    if (value !== undefined) headers[name] = value
  }
  return headers
}

/** Whether a request announces a body (RFC 9112, section 6). */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** Headers that `Connection` declares to be of this connection only (RFC 9110, section 7.6.1). */
function ofConnection({ connection = '' }: IncomingHttpHeaders): ReadonlySet<string> {
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()))
}
