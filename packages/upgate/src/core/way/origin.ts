import { type AuthRequest, headerOf } from '../contract/request.ts'
import { hostOf, isContradicted, isSafeMethod, namesOwnHost, type OriginPolicy } from '../request/origin.ts'
import { quote, type WayFinding } from './finding.ts'

const remove =
  'Remove the line that sets it (`proxy_set_header Origin` in nginx, `header_up Origin` in Caddy, `http-request set-header Origin` in haproxy): with it, pages of all other sites count as your own.'

/** A cookie, or another credential that browsers attach, that did not count because no Origin arrived. */
export function readRemovedOrigin(
  request: AuthRequest,
  upgrade: boolean,
  ambient: () => readonly string[],
): WayFinding | undefined {
  if (!upgrade || headerOf(request, 'origin') !== undefined) return undefined
  const found = ambient()
  if (found.length === 0) return undefined
  return {
    sign: 'origin_removed',
    sentence: `The upgrade has ${found.map(quote).join(', ')}, which did not count, because it has no Origin; browsers send one with every WebSocket. If a proxy removed it, delete that line (\`proxy_set_header Origin "";\` in nginx, \`header_up -Origin\` in Caddy, \`http-request del-header Origin\` in haproxy). A client that is no browser sends a key, a token or an allowed Origin.`,
  }
}

/**
 * An Origin that the browser did not send, by the browser's own word.
 *
 * @param refused - whether the Origin was refused: then it may be Host that a proxy replaced
 */
export function readWrittenOrigin(
  request: AuthRequest,
  policy: OriginPolicy,
  upgrade: boolean,
  refused: boolean,
): WayFinding | undefined {
  const origin = headerOf(request, 'origin')
  if (origin === undefined) return undefined
  if (!upgrade && isNavigation(request)) {
    return {
      sign: 'origin_on_navigation',
      sentence: `A navigation arrived with Origin ${quote(origin)}, and browsers send none with it: a proxy writes Origin. ${remove} On WebSockets the gate cannot tell: until the line is gone, let their rules demand a ticket (\`anyOrigin: true\`). SameSite=Strict keeps off pages of other sites, not those of another port or subdomain.`,
    }
  }
  const site = headerOf(request, 'sec-fetch-site')
  if (isContradicted(policy, request, origin)) {
    return {
      sign: 'origin_written',
      sentence: `Origin arrived as ${quote(origin)}, which is this server, and the browser says Sec-Fetch-Site: ${site}: a proxy writes Origin. ${remove}`,
    }
  }
  if (refused && site === 'same-origin' && origin !== 'null' && !namesOwnHost(request, origin)) {
    const host = hostOf(request)
    return {
      sign: 'origin_written',
      sentence: `The browser says Sec-Fetch-Site: same-origin, and Origin ${quote(origin)} is not Host ${host === undefined ? 'none' : quote(host)}: a proxy replaced one of the two. Let it keep both; if pages come from that origin by a development server, add it to \`origins\`.`,
    }
  }
  return undefined
}

/** Browsers send Origin with navigations by POST alone. */
function isNavigation(request: AuthRequest): boolean {
  return isSafeMethod(request.method) && request.headers['sec-fetch-mode'] === 'navigate'
}
