import type { Admission } from './access.ts'
import type { Application } from './applications.ts'
import { withCookie } from './cookies.ts'
import { TOKEN_COOKIE } from './credentials.ts'
import { CLIENT_ADDRESS_HEADER, type EdgeRequest, HOST_HEADER } from './edge-request.ts'
import type { World } from './world.ts'

/** Headers that belong to one connection (RFC 9110, section 7.6.1) and are never forwarded. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
])
/** Headers that the edge alone may set: what a client sends under these names is dropped. */
const EDGE_ONLY = new Set([
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'cf-ipcountry',
  'cf-ray',
  'cf-visitor',
  'x-forwarded-proto',
  CLIENT_ADDRESS_HEADER,
  HOST_HEADER,
])
/** Headers that Access consumes or sets itself on everything it gates. */
const ACCESS_ONLY = new Set([
  'cf-access-client-id',
  'cf-access-client-secret',
  'cf-access-jwt-assertion',
  'cf-access-authenticated-user-email',
  'cf-access-token',
])

/**
 * The header list for the origin: names and values alternating, in the order the client sent them.
 *
 * `admission` is `undefined` where Access does not gate the host; then, as under a Bypass policy, whatever
 * `Cf-Access-*` headers a client invented arrive at the origin as they came.
 */
export function forwardHeaders(
  world: World,
  request: EdgeRequest,
  application: Application | undefined,
  admission: Exclude<Admission, { kind: 'refused' }> | undefined,
  dropUpgrade: boolean,
): string[] {
  const { rawHeaders, headers } = request.raw
  const gated = admission?.kind === 'admitted'
  // A client must not remove a header of the edge by naming it in `Connection`: the named headers are dropped from
  // the client's headers only, before the edge adds its own.
  const named = new Set(
    (headers.connection ?? '')
      .toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  )
  const out: string[] = []
  const forwardedFor: string[] = []
  const loop: string[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const value = rawHeaders[index + 1] ?? ''
    const key = name.toLowerCase()
    if (HOP_BY_HOP.has(key) || EDGE_ONLY.has(key) || (named.has(key) && key !== 'host')) continue
    if (
      gated &&
      (ACCESS_ONLY.has(key) || (key === 'authorization' && consumed(application, admission.token, value)))
    )
      continue
    if (key === 'host') out.push(name, request.host)
    else if (key === 'x-forwarded-for') forwardedFor.push(value)
    else if (key === 'cdn-loop') loop.push(value)
    else if (key !== 'cookie') out.push(name, value)
  }
  const cookie =
    gated && admission.identity.kind === 'user'
      ? withCookie(headers.cookie, TOKEN_COOKIE, admission.token)
      : headers.cookie
  if (cookie !== undefined) out.push('Cookie', cookie)
  if (headers['transfer-encoding'] !== undefined) out.push('Transfer-Encoding', 'chunked')
  else if (headers['content-length'] === undefined && /^(POST|PUT|PATCH)$/.test(request.method)) {
    out.push('Content-Length', '0')
  }
  if (request.upgrade && !dropUpgrade) out.push('Connection', 'Upgrade', 'Upgrade', 'websocket')
  // With `close`, an origin that answers before it has read the body would reset the connection under its answer.
  else out.push('Connection', 'keep-alive')
  const scheme = world.urls === 'cloudflare' ? 'https' : 'http'
  out.push('X-Forwarded-For', [...forwardedFor, request.address].join(', '))
  out.push('X-Forwarded-Proto', scheme)
  out.push('CF-Connecting-IP', request.address, 'CF-Ray', request.ray, 'CF-IPCountry', 'US')
  out.push('CF-Visitor', JSON.stringify({ scheme }), 'CDN-Loop', [...loop, 'cloudflare; loops=1'].join(', '))
  if (gated) {
    out.push('Cf-Access-Jwt-Assertion', admission.token)
    if (admission.email !== undefined) out.push('Cf-Access-Authenticated-User-Email', admission.email)
  }
  return out
}

/**
 * Whether an `Authorization` header was a credential for Access and not for the origin: a service token in
 * single-header mode, or the access token of a Managed OAuth application.
 */
function consumed(application: Application | undefined, token: string, value: string): boolean {
  const { singleHeader = false, managedOAuth = false } = application?.settings ?? {}
  return (singleHeader && value.startsWith('{')) || (managedOAuth && value.endsWith(` ${token}`))
}
