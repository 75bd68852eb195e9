import { type Row, rowsOf } from '../row.ts'
import type { Answer, Seen } from '../seen.ts'

/** An answer of Cloudflare's edge itself, with this number on its page. */
const edgeCode = ({ answer }: Seen, code: number): boolean =>
  answer?.marker === undefined && answer?.edgeCode === code

const fromEdge = ({ answer }: Seen): Answer | undefined =>
  answer !== undefined && answer.marker === undefined && answer.cloudflare ? answer : undefined

const title = (answer: Answer): string => /<title>\s*([^<]{0,200})/i.exec(answer.body)?.[1] ?? ''

/** Filters of the edge, which come before Access. */
export const botRows: readonly Row[] = rowsOf('edge-bot', [
  {
    code: 'bot_challenge',
    title: 'The edge’s bot filter demands a browser',
    sees: '403 or 503 with the header `cf-mitigated: challenge` and a page "Just a moment...".',
    cause:
      'A bot or firewall rule challenges this client. It comes before Access: a valid service token does not help.',
    action:
      'At the edge, switch Bot Fight Mode off for this zone, or allow this address with an IP Access rule. Skip rules work for Super Bot Fight Mode and custom rules only.',
    retry: 'never',
    confusableWith: [
      { code: 'edge_waf', probe: 'Look for `cf-mitigated: challenge`: a block by a rule does not have it.' },
      {
        code: 'access_not_admitted',
        probe: 'Access redirects or answers with `cf-access-*` headers; a challenge has neither.',
      },
    ],
    matches: ({ answer }) =>
      answer !== undefined &&
      answer.marker === undefined &&
      (/\bchallenge\b/i.test(answer.header('cf-mitigated')) ||
        ((answer.status === 403 || answer.status === 503) &&
          answer.cloudflare &&
          /^just a moment/i.test(title(answer)))),
  },
  {
    code: 'edge_rate_limited',
    title: 'The edge limits the rate of this client',
    sees: '429 with error code 1015, usually with `Retry-After`.',
    cause: 'This address sent more requests than a rate limiting rule of the zone allows.',
    action: 'Wait as long as `Retry-After` says, and look for a client that reconnects in a loop.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'too_many_failures',
        probe: 'Look for the header `Upgate-Refusal`: with it, the gate refused.',
      },
    ],
    matches: (seen) => edgeCode(seen, 1015) || fromEdge(seen)?.status === 429,
  },
  {
    code: 'edge_user_agent_banned',
    title: 'The edge refuses this kind of client',
    sees: '403 with error code 1010 (`browser_signature_banned`).',
    cause:
      'Browser Integrity Check or a rule refuses the signature or the `User-Agent` of the client’s library.',
    action:
      'Set an honest `User-Agent` that names the application, or switch Browser Integrity Check off for this path.',
    retry: 'never',
    confusableWith: [
      {
        code: 'edge_waf',
        probe: 'Repeat the request with a browser’s `User-Agent`: if that passes, it is this case.',
      },
    ],
    matches: (seen) => edgeCode(seen, 1010),
  },
  {
    code: 'edge_waf',
    title: 'A firewall rule of the edge blocks the request',
    sees: '403 with error code 1020, or a page of the edge "Sorry, you have been blocked", without `cf-access-*` headers.',
    cause: 'A custom or managed rule of the zone matches the request: its address, country, path or headers.',
    action: 'Search for the Ray ID in Security Events of the zone; it names the rule. Change that rule.',
    retry: 'never',
    confusableWith: [
      { code: 'bot_challenge', probe: 'Look for `cf-mitigated: challenge`.' },
      { code: 'edge_user_agent_banned', probe: 'Repeat the request with a browser’s `User-Agent`.' },
    ],
    matches: (seen) => {
      if ([1005, 1006, 1007, 1008, 1009, 1012, 1020].some((code) => edgeCode(seen, code))) return true
      const answer = fromEdge(seen)
      return (
        answer?.status === 403 &&
        !answer.access &&
        answer.edgeCode === undefined &&
        /\|\s*cloudflare\b|attention required|you have been blocked/i.test(
          `${title(answer)} ${answer.body.slice(0, 4096)}`,
        )
      )
    },
  },
])

const originDown: readonly (readonly [number, string, string, string, string])[] = [
  [
    520,
    'edge_origin_garbled',
    'The edge got an answer from the origin that it cannot read',
    'The origin closed the connection early, sent headers that are too large, or an empty answer.',
    'Look at the origin’s log at that moment, and at its limits for headers.',
  ],
  [
    521,
    'edge_origin_down',
    'The origin refuses the edge’s connections',
    'The origin server does not run, or its firewall blocks the edge’s addresses.',
    'Start the origin, and allow Cloudflare’s addresses in its firewall.',
  ],
  [
    522,
    'edge_origin_timeout',
    'The origin does not answer the edge’s connections',
    'The origin’s firewall drops the edge’s packets, or its address in DNS is old.',
    'Compare the address in DNS with the origin’s, and its firewall with Cloudflare’s addresses.',
  ],
  [
    523,
    'edge_origin_unreachable',
    'The edge has no route to the origin',
    'The record in DNS has an address that the edge cannot reach, such as a private one.',
    'Correct the record in DNS, or use a tunnel.',
  ],
  [
    525,
    'edge_origin_handshake',
    'TLS between the edge and the origin fails',
    'The origin has no TLS on that port, or no cipher or version in common with the edge.',
    'Install a certificate on the origin, or change the zone’s SSL mode.',
  ],
  [
    526,
    'edge_origin_certificate',
    'The edge does not accept the origin’s certificate',
    'The SSL mode is Full (strict), and the origin’s certificate is expired, self-signed or for another name.',
    'Install an origin certificate, or one of a public authority, on the origin.',
  ],
]

/** Errors of the edge behind Access: on its way to the origin. */
export const edgeErrorRows: readonly Row[] = rowsOf('edge-error', [
  {
    code: 'edge_origin_dns',
    title: 'The edge cannot find the origin’s name',
    sees: '530 with error code 1016.',
    cause: 'The record of the zone points to a name that does not exist.',
    action: 'Correct the record in DNS; for a tunnel, it is `<tunnel id>.cfargotunnel.com`.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'tunnel_down',
        probe: 'Compare the error code in the body: 1033 is the tunnel, 1016 is the name.',
      },
    ],
    matches: (seen) => edgeCode(seen, 1016),
  },
  {
    code: 'worker_crashed',
    title: 'A Worker on this route threw an exception',
    sees: '500 with error code 1101.',
    cause: 'The code of the Cloudflare Worker in front of the origin failed.',
    action: 'Look at the Worker’s log (`wrangler tail`) by the Ray ID.',
    retry: 'backoff',
    matches: (seen) => edgeCode(seen, 1101),
  },
  {
    code: 'worker_limits',
    title: 'A Worker on this route exceeded its limits',
    sees: '503 with error code 1102.',
    cause: 'The Cloudflare Worker used more CPU time or memory than its plan allows.',
    action: 'Look at the Worker’s metrics; give it less to do in one request, or raise its limit.',
    retry: 'backoff',
    matches: (seen) => edgeCode(seen, 1102),
  },
  {
    code: 'edge_origin_silent',
    title: 'The origin sent nothing for 100 seconds',
    sees: '524 from the edge.',
    cause: 'The origin took the connection and needed longer for its answer than the edge waits.',
    action: 'Answer sooner, or stream. A WebSocket needs its 101 at once.',
    retry: 'backoff',
    confusableWith: [
      { code: 'idle_cut', probe: '524 comes in place of an answer; the idle limit ends an open WebSocket.' },
    ],
    matches: ({ answer }) => answer?.marker === undefined && answer?.status === 524,
  },
  ...originDown.map(([status, code, headline, cause, action]) => ({
    code: code as Row['code'],
    title: headline,
    sees: `${status} from the edge.`,
    cause,
    action,
    retry: 'backoff' as const,
    confusableWith: [
      {
        code: 'edge_bad_gateway' as const,
        probe: 'Compare the status: 521 to 526 name the step between the edge and the origin.',
      },
    ],
    matches: ({ answer }: Seen) => answer?.marker === undefined && answer?.status === status,
  })),
  {
    code: 'edge_bad_gateway',
    title: 'The edge reached the tunnel, and nothing answered behind it',
    sees: '502 or 504 with `server: cloudflare` or a `cf-ray`, without `Upgate-Refusal`.',
    cause:
      'The tunnel’s ingress rule names a port on which nothing listens, or the origin did not answer in time.',
    action:
      'Compare the `service` of the ingress rule with the origin’s port, and look at cloudflared’s log.',
    retry: 'backoff',
    confusableWith: [
      { code: 'tunnel_down', probe: 'Without a running tunnel the edge answers 530 with code 1033.' },
      {
        code: 'upgrade_lost',
        probe: 'Send a plain GET to the same path: if it reaches the gate, only the upgrade fails.',
      },
    ],
    matches: (seen) => {
      const answer = fromEdge(seen)
      const plain = seen.probes.http
      const gateAnswers = typeof plain === 'object' && plain.marker !== undefined
      return !gateAnswers && (answer?.status === 502 || answer?.status === 504)
    },
  },
])

/** Any other error page of the edge; after the rows of tunnels. */
export const otherEdgeRows: readonly Row[] = rowsOf('edge-error', [
  {
    code: 'edge_error',
    title: 'The edge answers with an error of its own',
    sees: 'An error page of the edge with a number that has no page of its own here.',
    cause: 'The number in the evidence is documented as "Cloudflare 1xxx errors".',
    action: 'Look up the number, and search for the Ray ID in the zone’s events.',
    retry: 'backoff',
    matches: ({ answer }) =>
      answer !== undefined &&
      answer.marker === undefined &&
      ((answer.edgeCode !== undefined && answer.edgeCode >= 1000) ||
        answer.status === 530 ||
        answer.status === 527),
  },
  {
    code: 'edge_websocket_refused',
    title: 'The edge does not let WebSockets through',
    sees: 'An upgrade through Cloudflare is answered with 200, 400 or 403 ("bad handshake"), without `Upgate-Refusal`.',
    cause:
      'WebSockets are switched off in the zone, SSL is off, the binding cookie of Access is missing, or the `Upgrade` was lost behind the edge.',
    action:
      'Switch WebSockets on (Network settings of the zone) and SSL to Full. Then send a plain GET to the same path to see which server answers.',
    retry: 'never',
    confusableWith: [
      {
        code: 'upgrade_lost',
        probe:
          'Send a plain GET to the same path: an answer with `Upgate-Refusal` means that only the `Upgrade` is lost.',
      },
      {
        code: 'other_server',
        probe: 'Send a plain GET to the same path, and compare the page with the expected application.',
      },
    ],
    matches: (seen) => {
      const answer = fromEdge(seen)
      const plain = seen.probes.http
      const gateAnswers = typeof plain === 'object' && plain.marker !== undefined
      return (
        seen.upgrade &&
        answer !== undefined &&
        !answer.access &&
        !gateAnswers &&
        [200, 400, 403].includes(answer.status)
      )
    },
  },
])
