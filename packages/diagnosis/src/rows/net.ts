import { type Row, rowsOf } from '../row.ts'
import { reached, type Seen } from '../seen.ts'

/** The idle limits of common proxies begin at 60 s (nginx, load balancers); Cloudflare's edge has 100 s. */
const idleLimit = 55_000

const lost = (seen: Seen): boolean =>
  seen.close?.code === 1006 && (reached(seen, 'open') || (seen.times.open ?? 0) > 0 || seen.accepted)

/** Ends of open sockets that no refusal explains. */
export const netRows: readonly Row[] = rowsOf('net', [
  {
    code: 'server_restarting',
    severity: 'info',
    title: 'The server is restarting',
    sees: 'Close code 1012 (`restart`), or an event `shutdown` that says when the server will be back.',
    cause: 'The operator restarts or updates the server.',
    action:
      'Let the client connect again; it waits a random time first, so that not all clients come at once.',
    retry: 'backoff',
    confusableWith: [
      { code: 'server_shutdown', probe: 'Look at the code: 1001 announces an end, 1012 a restart.' },
    ],
    matches: ({ close }) => close?.code === 1012,
  },
  {
    code: 'server_shutdown',
    severity: 'info',
    title: 'The server is going away',
    sees: 'Close code 1001 (`shutdown`).',
    cause: 'The server stops, or the page that held the socket was left.',
    action: 'Let the client connect again, or start the server.',
    retry: 'backoff',
    confusableWith: [{ code: 'server_restarting', probe: 'Look at the code: 1012 is a restart.' }],
    matches: ({ close }) => close?.code === 1001,
  },
  {
    code: 'idle_cut',
    title: 'The connection was cut after a silence',
    sees: 'Close code 1006 without an error, after 55 seconds or more without a byte.',
    cause:
      'A proxy or an edge ends idle connections: after 60 s by default in nginx and load balancers, 100 s in Cloudflare.',
    action: 'Send pings more often than that, from either side, or raise the limit (`proxy_read_timeout`).',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'connection_lost',
        probe: 'Measure the silence before the end: an idle limit is always the same.',
      },
    ],
    matches: (seen) => lost(seen) && (seen.times.idle ?? 0) >= idleLimit,
  },
  {
    code: 'connection_lost',
    title: 'The connection broke',
    sees: 'Close code 1006 after `open`, often without any error.',
    cause: 'The server crashed, a proxy restarted, or the network changed.',
    action: 'Let the client connect again. If it happens often, look at the server’s log at those moments.',
    retry: 'backoff',
    confusableWith: [
      { code: 'idle_cut', probe: 'Measure the silence before the end: 60 or 100 seconds are an idle limit.' },
    ],
    matches: (seen) =>
      lost(seen) ||
      (seen.close?.code === 1006 &&
        !seen.browser &&
        seen.reached === undefined &&
        !seen.error.any &&
        seen.answer === undefined),
  },
  {
    code: 'closed_normally',
    severity: 'info',
    title: 'The server closed the socket',
    sees: 'Close code 1000, with or without a reason.',
    cause: 'The server has nothing more to say. It is no failure.',
    action: 'Nothing; connect again if there is more to do.',
    retry: 'backoff',
    confusableWith: [
      { code: 'ended_without_reason', probe: 'See whether the server had accepted the client before.' },
    ],
    matches: ({ close }) => close?.code === 1000 || close?.code === 1005,
  },
])

/** A page behind Access: its session has ended, and the page stayed open. */
export const pageLoginRows: readonly Row[] = rowsOf('edge-access', [
  {
    code: 'page_login_expired',
    title: 'The page’s login at the edge or proxy has ended',
    sees: 'Close code 1006 before `open`, and a `fetch` of the same path answers with a redirect that the page may not read.',
    cause:
      'The session of the identity proxy or of Cloudflare Access has expired; the redirect leads to its login.',
    action: 'Reload the page, and log in again.',
    retry: 'after_new_credential',
    confusableWith: [
      {
        code: 'cross_origin_hidden',
        probe: 'Send the `fetch` with `redirect: "manual"`: only here it is a redirect.',
      },
    ],
    matches: ({ probes, answer }) => answer === undefined && probes.http === 'redirected',
  },
])

/** The last rows, for browsers: a page cannot see the answer to a refused upgrade. */
export const browserRows: readonly Row[] = rowsOf('net', [
  {
    code: 'cross_origin_hidden',
    title: 'The page may not read the server’s answer',
    sees: 'Close code 1006 before `open`, and a `fetch` of the same path fails as well, or its answer is hidden by CORS.',
    cause:
      'The server is out of reach, is no gate, or does not allow the page’s origin. Browsers hide which.',
    action:
      'Add the page’s exact origin (scheme, host, port) to the gate’s `origins`. If it is there, look at the network panel of the developer tools: it shows the status.',
    retry: 'backoff',
    confusableWith: [
      { code: 'origin_refused', probe: 'Look at the gate’s log: it quotes the refused Origin.' },
      { code: 'browser_hides', probe: 'Send one credentialed `fetch` to the same path.' },
    ],
    matches: ({ close, probes, answer, browser }) =>
      (browser || close?.code === 1006) &&
      answer === undefined &&
      (probes.http === 'hidden' || probes.http === 'failed'),
  },
  {
    code: 'browser_hides',
    title: 'The browser does not say why the socket failed',
    sees: 'Close code 1006 before `open`, without a reason; nothing else is known.',
    cause:
      'Browsers hide every failure before the 101 from pages: no server, no TLS, a refusal or a redirect look the same.',
    action: 'Look at the network panel of the developer tools, or connect with a client that is no browser.',
    retry: 'backoff',
    confusableWith: [
      { code: 'cross_origin_hidden', probe: 'Send one credentialed `fetch` to the same path.' },
      { code: 'page_login_expired', probe: 'Send it with `redirect: "manual"`.' },
    ],
    matches: ({ browser, close, error }) => (browser && error.any) || close?.code === 1006,
  },
])
