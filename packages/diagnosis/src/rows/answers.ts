import { type Row, rowsOf } from '../row.ts'
import type { Answer, Seen } from '../seen.ts'

/** An answer without the marker of a gate. */
const foreign = ({ answer }: Seen): Answer | undefined => (answer?.marker === undefined ? answer : undefined)

const gateAnswersPlain = ({ probes }: Seen): boolean =>
  typeof probes.http === 'object' && probes.http.marker !== undefined

/** An upgrade that arrived as plain HTTP; before the refusals of the gate, which calls it `upgrade_required`. */
export const lostUpgradeRows: readonly Row[] = rowsOf('proxy', [
  {
    code: 'upgrade_lost',
    title: 'The `Upgrade` header was lost on the way',
    sees: '426 `Upgate-Refusal: upgrade_required` for an upgrade; or 200, 400, 404, 426 or 502 for the upgrade, while a plain GET of the same path reaches the gate.',
    cause:
      'A proxy removed `Connection: Upgrade`: nginx without `proxy_http_version 1.1` and the two headers, an HTTP/2 hop, or a tunnel over QUIC.',
    action:
      'Let the proxy pass `Upgrade` and `Connection` over HTTP/1.1; for cloudflared, try `--protocol http2`.',
    retry: 'never',
    confusableWith: [
      {
        code: 'edge_websocket_refused',
        probe: 'Send a plain GET to the same path: here the gate answers it.',
      },
      { code: 'other_server', probe: 'Send a plain GET to the same path: here the gate answers it.' },
      { code: 'edge_bad_gateway', probe: 'Send a plain GET to the same path: here the gate answers it.' },
    ],
    matches: (seen) => {
      const { answer, upgrade } = seen
      if (!upgrade || answer === undefined) return false
      // Also what a page learned by a request of its own: with its origin allowed, only the upgrade can be the reason.
      if (answer.marker !== undefined) return answer.marker === 'upgrade_required'
      return gateAnswersPlain(seen) && !answer.access && [200, 400, 404, 426, 502].includes(answer.status)
    },
  },
])

export const httpAnswerRows: readonly Row[] = rowsOf('http', [
  {
    code: 'headers_too_big',
    title: 'The headers of the request are too large',
    sees: '431 Request Header Fields Too Large; the upgrade handler never runs.',
    cause: 'Cookies or tokens make the headers larger than the server reads (Node: 16 KiB).',
    action: 'Send fewer cookies, or a shorter token; or raise the limit (`--max-http-header-size`).',
    retry: 'never',
    matches: (seen) =>
      foreign(seen)?.status === 431 || /request header or cookie too large/i.test(foreign(seen)?.body ?? ''),
  },
])

/** Whether a browser's page would see this as an application of another kind. */
export const wrongServerRows: readonly Row[] = rowsOf('wrong-server', [
  {
    code: 'redirected',
    title: 'Another server redirects the request',
    sees: '301, 302, 303, 307 or 308 to another path or host, without `Upgate-Refusal`.',
    cause:
      'The URL belongs to a web application, which sends its visitors to its pages. WebSocket clients do not follow redirects.',
    action: 'Use the URL of the WebSocket itself: compare host, port and path.',
    retry: 'never',
    confusableWith: [
      {
        code: 'identity_proxy_login',
        probe: 'Look at the query of `Location`: a login remembers where to return.',
      },
    ],
    matches: (seen) => {
      const status = foreign(seen)?.status ?? 0
      return status >= 300 && status < 400
    },
  },
  {
    code: 'other_server_auth',
    title: 'Another server refuses the credential',
    sees: '401 or 403 without `Upgate-Refusal` and without marks of an edge.',
    cause:
      'The answer does not come from the gate: another program listens on that port, or a proxy or framework in front of the gate demands a login of its own.',
    action:
      'Compare the port with the gate’s. If the server is meant, send the credential that it wants; the evidence has its `WWW-Authenticate`.',
    retry: 'after_new_credential',
    confusableWith: [
      { code: 'invalid_credential', probe: 'Look for `Upgate-Refusal`: with it, the gate refused.' },
      { code: 'other_server', probe: 'Send a plain GET without a credential, and look at the page.' },
    ],
    matches: (seen) => {
      const status = foreign(seen)?.status
      return status === 401 || status === 403
    },
  },
  {
    code: 'other_server',
    title: 'Another server answers on that port',
    sees: '200, 204, 400, 404, 405 or 426 in place of 101, without `Upgate-Refusal` and without marks of an edge.',
    cause:
      'The URL leads to a program that is not the gate: a wrong port, a tunnel that ends elsewhere, or a web server on the same host.',
    action:
      'Compare host, port and path with the gate’s. Open the URL with `http` in a browser to see which program answers.',
    retry: 'never',
    confusableWith: [
      {
        code: 'upgrade_lost',
        probe: 'Send a plain GET to the same path: if the gate answers it, only the upgrade is lost.',
      },
      {
        code: 'proxy_no_route',
        probe: 'Look at `Server`: the name of a proxy means that the proxy has no route.',
      },
      { code: 'edge_websocket_refused', probe: 'Look for `cf-ray`.' },
    ],
    matches: (seen) => {
      const answer = foreign(seen)
      return (
        answer !== undefined &&
        seen.upgrade &&
        answer.status >= 200 &&
        answer.status < 500 &&
        answer.status !== 429
      )
    },
  },
  {
    code: 'server_error',
    title: 'The server failed',
    sees: '500 or another 5xx status without `Upgate-Refusal` and without marks of an edge.',
    cause: 'The program behind the URL threw an exception, often in its upgrade handler.',
    action: 'Look at the log of that server at that moment.',
    retry: 'backoff',
    matches: (seen) => (foreign(seen)?.status ?? 0) >= 500,
  },
  {
    code: 'http_refused',
    title: 'The server refused the request',
    sees: 'Another 4xx status without `Upgate-Refusal`.',
    cause: 'The status in the evidence names the reason.',
    action: 'Look up the status; 429 means to wait as `Retry-After` says.',
    retry: 'backoff',
    matches: (seen) => (foreign(seen)?.status ?? 0) >= 400,
  },
])
