import type { IncomingHttpHeaders } from 'node:http'

/** The names of the front's own cookies, without prefix: the gateway neither gets nor sets them. */
export const ownCookies = ['front_session', 'front_device'] as const

/** Headers of one connection (RFC 9110, section 7.6.1), whether or not `Connection` names them. */
const ofOneConnection = new Set([
  'connection',
  // Node has answered it with 100 by itself.
  'expect',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'upgrade',
])

/**
 * Headers in which proxies and edges say who the client is, where it comes from and what it may do. Only the front says
 * that to the gateway: nothing that a client sent under such a name may reach it.
 */
const identity =
  /^(?:x-forwarded-|forwarded$|x-real-ip$|x-client-ip$|true-client-ip$|cf-|x-openclaw-|x-auth-request-|x-authentik-|x-pomerium-|x-goog-|x-webauth-|tailscale-|remote-|authorization$|x-api-key$)/

/** Never removed or added by what a `Connection` header names: the body would end elsewhere for the gateway. */
const framing = new Set(['content-length', 'transfer-encoding', 'host'])

export interface ForwardedAs {
  /** Address of the client, as the front counts it; of its peer where that is not known. */
  readonly address: string
  /** Public origin of the front. */
  readonly origin: string
  /** Header of the gateway for the user, in lower case. */
  readonly userHeader: string
  /** The user; absent for clients that authenticate at the gateway. */
  readonly user: { readonly name: string; readonly scopes: readonly string[] } | undefined
  /** Keeps `Authorization`: on paths where the gateway checks it, such as those of workers. */
  readonly keepAuthorization: boolean
}

type Headers = Record<string, string | string[]>

/**
 * The headers of a request to the gateway. `Host` is the public one of the settings, never the client's word; `Origin`
 * stays: the gate has let it in, or it is removed by `keepOrigin: false`.
 */
export function upstreamHeaders(headers: IncomingHttpHeaders, as: ForwardedAs, keepOrigin: boolean): Headers {
  const kept: Headers = {}
  const named = connectionNames(headers)
  const { userHeader } = as
  const plainUserHeader = plainName(userHeader)
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    if (!framing.has(name) && (ofOneConnection.has(name) || named.has(name))) continue
    const plain = plainName(name)
    const authorization = plain === 'authorization' && name === plain && as.keepAuthorization
    if (plain === plainUserHeader || (identity.test(plain) && !authorization)) continue
    if (name === 'cookie' || (name === 'origin' && !keepOrigin)) continue
    kept[name] = value
  }
  const cookie = withoutOwnCookies(headers.cookie)
  if (cookie !== undefined) kept.cookie = cookie
  const { protocol, host } = new URL(as.origin)
  kept.host = host
  kept['x-forwarded-for'] = as.address
  kept['x-forwarded-proto'] = protocol.slice(0, -1)
  kept['x-forwarded-host'] = host
  if (as.user !== undefined) {
    kept[userHeader] = as.user.name
    // In that mode the gateway takes the scopes of a request from here, so they are always said.
    kept['x-openclaw-scopes'] = as.user.scopes.join(',')
  }
  return kept
}

/** CGI and its heirs read `x_forwarded_user` and `X.Forwarded.User` as `X-Forwarded-User`. */
function plainName(name: string): string {
  return name.replace(/[^a-z0-9]/g, '-')
}

/** The same for an upgrade: `ws` writes its own handshake headers. */
export function upgradeHeaders(headers: IncomingHttpHeaders, as: ForwardedAs): Headers {
  const kept = upstreamHeaders(headers, as, true)
  for (const name of Object.keys(kept)) {
    if (name.startsWith('sec-websocket-') || name === 'content-length' || name === 'transfer-encoding') {
      delete kept[name]
    }
  }
  return kept
}

/** Removes from an answer what belongs to one connection, or to the front alone. Changes the given headers. */
export function cleanAnswer(headers: Record<string, string | string[] | undefined>): void {
  const named = connectionNames(headers)
  for (const name of Object.keys(headers)) {
    // Only the front may mark refusals as its own.
    const mine = name.startsWith('upgate-')
    if (mine || ((ofOneConnection.has(name) || named.has(name)) && !framing.has(name))) delete headers[name]
  }
  const cookies = headers['set-cookie']
  if (cookies === undefined) return
  const kept = [cookies].flat().filter((cookie) => !isOwnCookie(cookie))
  if (kept.length === 0) delete headers['set-cookie']
  else headers['set-cookie'] = kept
}

function connectionNames({ connection }: Readonly<Record<string, unknown>>): ReadonlySet<string> {
  const names = typeof connection === 'string' ? connection.split(',') : []
  return new Set(names.map((name) => name.trim().toLowerCase()))
}

function withoutOwnCookies(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const kept = header.split(';').filter((pair) => pair.trim() !== '' && !isOwnCookie(pair))
  // The cookie of Access is a credential for every application behind it.
  const rest = kept.filter((pair) => !/^\s*CF_Authorization\s*=/i.test(pair))
  return rest.length === 0 ? undefined : rest.map((pair) => pair.trim()).join('; ')
}

/** Browsers accept a cookie without `=` as one without a name, which servers may read as a name. */
function isOwnCookie(pair: string): boolean {
  const name = (pair.split(';', 1)[0] ?? '').split('=', 1)[0] ?? ''
  const plain = name
    .trim()
    .toLowerCase()
    .replace(/^__(?:host|secure)-/, '')
  return ownCookies.some((own) => own === plain) || /^\s*=\s*(?:__(?:host|secure)-)?front_/i.test(pair)
}
