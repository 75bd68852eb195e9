import { type Answer, escapeHtml, html, json, type Outcome } from './answer.ts'
import type { EdgeRequest } from './edge-request.ts'
import type { Fault } from './faults.ts'

interface ErrorPage {
  readonly status: number
  /** The 1xxx code, or the status where there is none. */
  readonly code: number
  readonly name: string
  readonly title: string
  readonly retryAfter?: number
  readonly outcome?: Outcome
}

const PAGES = {
  'rate-limit': {
    status: 429,
    code: 1015,
    name: 'rate_limited',
    title: 'You are being rate limited',
    retryAfter: 30,
    outcome: 'rate_limited',
  },
  'browser-signature': { status: 403, code: 1010, name: 'browser_signature_banned', title: 'Access denied' },
  waf: { status: 403, code: 1020, name: 'firewall_rule_blocked', title: 'Access denied' },
  'tunnel-down': {
    status: 530,
    code: 1033,
    name: 'tunnel_error',
    title: 'Cloudflare Tunnel error',
    retryAfter: 60,
  },
  'origin-dns': {
    status: 530,
    code: 1016,
    name: 'origin_dns_error',
    title: 'Origin DNS error',
    retryAfter: 120,
  },
  'bad-gateway': { status: 502, code: 502, name: 'bad_gateway', title: 'Bad gateway', retryAfter: 30 },
  'origin-timeout': {
    status: 524,
    code: 524,
    name: 'origin_timeout',
    title: 'A timeout occurred',
    retryAfter: 60,
  },
  'worker-crash': { status: 500, code: 1101, name: 'worker_exception', title: 'Worker threw exception' },
  'worker-limits': {
    status: 503,
    code: 1102,
    name: 'worker_limits',
    title: 'Worker exceeded resource limits',
  },
} as const satisfies Record<string, ErrorPage>

const ORIGIN_ERRORS: Readonly<Record<number, string>> = {
  521: 'Web server is down',
  522: 'Connection timed out',
  523: 'Origin is unreachable',
  524: 'A timeout occurred',
  525: 'SSL handshake failed',
  526: 'Invalid SSL certificate',
}

/** Kinds of faults that come before anything else. */
export const EARLY = ['rate-limit', 'browser-signature', 'waf', 'waf-unmarked'] as const
/** Kinds of faults between Access and the origin. */
export const LATE = [
  'tunnel-down',
  'origin-dns',
  'bad-gateway',
  'origin-timeout',
  'origin-error',
  'worker-crash',
  'worker-limits',
] as const

/** The edge's own error for a fault: JSON with its code for JSON clients, else a page. */
export function errorAnswer(
  request: EdgeRequest,
  fault: Extract<Fault, { kind: (typeof EARLY | typeof LATE)[number] }>,
): Answer {
  if (fault.kind === 'waf-unmarked') return blocked(request)
  const page: ErrorPage =
    fault.kind === 'origin-error'
      ? {
          status: fault.status,
          code: fault.status,
          name: 'origin_error',
          title: ORIGIN_ERRORS[fault.status] ?? '',
        }
      : PAGES[fault.kind]
  const outcome = page.outcome ?? (page.status >= 500 ? 'origin_error' : 'edge_error')
  const wait = fault.kind === 'rate-limit' ? (fault.retryAfter ?? page.retryAfter) : page.retryAfter
  const headers = wait === undefined ? [] : ([['retry-after', String(wait)]] as const)
  if (request.acceptsJson) {
    const value = {
      title: `Error ${page.code}: ${page.title}`,
      status: page.status,
      error_code: page.code,
      error_name: page.name,
      cloudflare_error: true,
      retryable: wait !== undefined,
    }
    return json(page.status, outcome, value, headers)
  }
  const title =
    page.code >= 1000 ? `${page.title} | ${request.hostname} used Cloudflare to restrict access` : ''
  return html(
    page.status,
    outcome,
    title || `${request.hostname} | ${page.code}: ${page.title}`,
    `<h1>Error ${page.code}</h1><h2>${escapeHtml(page.title)}</h2>` +
      `<p>error code: ${page.code}</p><p>Cloudflare Ray ID: ${request.ray} &bull; Performance &amp; security by Cloudflare</p>`,
    headers,
  )
}

/** A block without a code: only the brand on the page shows that the edge sent it. */
function blocked(request: EdgeRequest): Answer {
  return html(
    403,
    'edge_error',
    'Attention Required! | Cloudflare',
    '<h1>Sorry, you have been blocked</h1>' +
      `<p>You are unable to access ${escapeHtml(request.hostname)}</p>` +
      `<p>Cloudflare Ray ID: ${request.ray} &bull; Performance &amp; security by Cloudflare</p>`,
  )
}

/** The bot challenge: a page that only a browser can pass, whatever credentials came with the request. */
export function challengeAnswer(status: 403 | 503): Answer {
  return html(
    status,
    'challenged',
    'Just a moment...',
    '<noscript>Enable JavaScript and cookies to continue</noscript>',
    [
      ['cf-mitigated', 'challenge'],
      ['cache-control', 'private, max-age=0, no-store, no-cache, must-revalidate'],
    ],
  )
}
