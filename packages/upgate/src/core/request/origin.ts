import type { HeaderList } from '../contract/decision.ts'
import { type AuthRequest, headerOf } from '../contract/request.ts'
import { wrongEntry } from '../options/check-options.ts'
import { flat } from '../text/flat.ts'

/** The pages and hosts a gate calls its own. */
export interface OriginPolicy {
  readonly origins: ReadonlySet<string>
  /** Lower-case `Host` values that are ours; `undefined` when nothing is configured and nothing is checked. */
  readonly hosts: readonly string[] | undefined
}

/**
 * What the Origin of a request says:
 * `absent` (no browser, or a safe request), `allowed`, `same-origin` (the browser's word, without an Origin),
 * or `foreign`.
 */
export type OriginVerdict = 'absent' | 'allowed' | 'same-origin' | 'foreign'

// As browsers send them: a looser spelling would never equal theirs, and so never count.
const hostPart = '(?:[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(?::[1-9][0-9]{0,4})?'
const originForm = new RegExp(`^([a-z][a-z0-9+.-]*)://(${hostPart})$`)
const hostForm = new RegExp(`^${hostPart}$`)

/** Parses `origins` and `hosts`; throws a `TypeError` naming the bad entry. */
export function compileOriginPolicy(
  origins: readonly string[] | undefined,
  hosts: readonly string[] | undefined,
): OriginPolicy {
  const allowed = new Set<string>()
  const known = new Set<string>()
  for (const origin of origins ?? []) {
    const parts = typeof origin === 'string' ? originForm.exec(origin) : null
    if (parts === null || origin !== origin.toLowerCase()) {
      throw wrongEntry(
        'createGate',
        'origins',
        origin,
        "write scheme, host and port as a browser sends them, in lower case, without a path or a wildcard, and names in other scripts as punycode: 'https://gateway.example.com' or 'http://localhost:8787'",
      )
    }
    if (
      (parts[1] === 'https' && origin.endsWith(':443')) ||
      (parts[1] === 'http' && origin.endsWith(':80'))
    ) {
      throw wrongEntry(
        'createGate',
        'origins',
        origin,
        'browsers leave the default port out, so it would never match',
      )
    }
    allowed.add(origin)
    known.add(parts[2] as string)
  }
  for (const host of hosts ?? []) {
    if (typeof host !== 'string' || !hostForm.test(host)) {
      throw wrongEntry(
        'createGate',
        'hosts',
        host,
        "write a host with its port where it is not the default, without a wildcard: 'localhost:8787'",
      )
    }
    // As it is compared: clients leave the default port out.
    known.add(host.toLowerCase().replace(/:(?:80|443)$/, ''))
  }
  return { origins: allowed, hosts: known.size === 0 ? undefined : [...known].map(flat) }
}

/** The host that a request names: `Host`, or `:authority` of HTTP/2 where that is missing (RFC 9113 section 8.3.1). */
export function hostOf({ headers }: AuthRequest): string | undefined {
  const host = headers.host ?? headers[':authority']
  return typeof host === 'string' ? host : undefined
}

/** Whether an Origin names the host that the request was sent to. */
export function namesOwnHost(request: AuthRequest, origin: string): boolean {
  const authority = origin.slice(origin.indexOf('://') + 3)
  const host = hostOf(request)?.toLowerCase()
  return host !== undefined && (host === authority || host.replace(/:(?:80|443)$/, '') === authority)
}

/**
 * Whether a proxy seems to have written Origin over another one: it is the one of this server, and the browser says that the
 * page is not. A page of the same host under the other scheme is another site to browsers, where both are allowed.
 */
export function isContradicted(policy: OriginPolicy, request: AuthRequest, origin: string): boolean {
  const site = request.headers['sec-fetch-site']
  if ((site !== 'cross-site' && site !== 'same-site') || !namesOwnHost(request, origin)) return false
  const authority = origin.slice(origin.indexOf('://') + 3)
  return !(policy.origins.has(`http://${authority}`) && policy.origins.has(`https://${authority}`))
}

/** Whether the `Host` header names us. True where nothing is configured. */
export function isOurHost(policy: OriginPolicy, request: AuthRequest): boolean {
  if (policy.hosts === undefined) return true
  const host = hostOf(request)
  if (host === undefined) return false
  // The names are few: comparing is faster than hashing a name that has just come from the wire, and than `includes`.
  for (const ours of policy.hosts) if (ours === host) return true
  const lower = host.toLowerCase()
  return policy.hosts.includes(lower) || policy.hosts.includes(lower.replace(/:(?:80|443)$/, ''))
}

/** Methods that change nothing (RFC 9110 section 9.2.1). */
export function isSafeMethod(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}

/**
 * Judges the Origin of a request. Exact comparison of scheme, host and port; `null` and lists are foreign.
 */
export function judgeOrigin(policy: OriginPolicy, request: AuthRequest, upgrade: boolean): OriginVerdict {
  const origin = request.headers.origin
  const site = request.headers['sec-fetch-site']
  if (origin !== undefined && origin !== '') {
    if (typeof origin === 'string' && policy.origins.has(origin)) {
      // Not on upgrades, with which Chromium sends no Sec-Fetch-Site: a rule would hold in some browsers alone.
      return !upgrade && isContradicted(policy, request, origin) ? 'foreign' : 'allowed'
    }
    // A form of our own page under `Referrer-Policy: no-referrer` says `null`; the browser's own word on where
    // it comes from counts then, but only together with a Host of ours: a rebound name is same-origin with itself.
    if (
      origin === 'null' &&
      !upgrade &&
      site === 'same-origin' &&
      policy.hosts !== undefined &&
      isOurHost(policy, request)
    ) {
      return 'same-origin'
    }
    return 'foreign'
  }
  if (site === undefined || site === '') return 'absent'
  return site === 'same-origin' || site === 'none' ? 'same-origin' : 'foreign'
}

/**
 * Headers that let a page of an allowed origin read an answer (Fetch standard, CORS protocol).
 *
 * @param anyOrigin - whether pages of every other origin may read it, too, without credentials of the browser's
 */
export function corsHeaders(request: AuthRequest, verdict: OriginVerdict, anyOrigin = false): HeaderList {
  const origin = headerOf(request, 'origin')
  if (origin === undefined) return vary
  if (verdict !== 'allowed') return anyOrigin ? readableByAll : vary
  return [
    ['Access-Control-Allow-Origin', origin],
    ['Access-Control-Allow-Credentials', 'true'],
    ['Access-Control-Expose-Headers', 'Retry-After, Upgate-Refusal, WWW-Authenticate'],
    ['Vary', 'Origin'],
  ]
}

const vary: HeaderList = [['Vary', 'Origin']]

/** The `*` among the exposed headers counts without credentials only; the names are for older browsers. */
export const readableByAll: HeaderList = [
  ['Access-Control-Allow-Origin', '*'],
  ['Access-Control-Expose-Headers', '*, Retry-After, Upgate-Refusal, WWW-Authenticate'],
  ['Vary', 'Origin'],
]

/** Whether a request is a CORS preflight. */
export function isPreflight(request: AuthRequest): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.headers.origin !== undefined &&
    request.headers['access-control-request-method'] !== undefined
  )
}

/**
 * The answer to a preflight that is let through; nothing is echoed that is not a list of header names.
 *
 * @param pages - `allowed` for an allowed origin; `any` for a rule of every origin; `foreign` for one without the check
 */
export function preflightHeaders(request: AuthRequest, pages: 'allowed' | 'any' | 'foreign'): HeaderList {
  const method = headerOf(request, 'access-control-request-method')
  const wanted = headerOf(request, 'access-control-request-headers')
  const headers: [string, string][] = [
    ['Access-Control-Allow-Origin', pages === 'any' ? '*' : (headerOf(request, 'origin') ?? '')],
    ['Access-Control-Max-Age', '600'],
    ['Vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'],
  ]
  if (pages === 'allowed') headers.push(['Access-Control-Allow-Credentials', 'true'])
  if (method !== undefined && /^[A-Za-z]{1,32}$/.test(method))
    headers.push(['Access-Control-Allow-Methods', method])
  if (wanted !== undefined && wanted.length <= 1024 && /^[A-Za-z0-9!#$%&'*+.^_`|~, -]+$/.test(wanted)) {
    headers.push(['Access-Control-Allow-Headers', wanted])
  }
  return headers
}
