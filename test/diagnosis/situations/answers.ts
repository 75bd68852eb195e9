import type { DiagnosisCode } from '@upgate/diagnosis'
import type { Situation } from '../situation.ts'
import { at, strangersToken } from '../stage.ts'

/** An HTTP answer to everything. */
const answered = (
  number: number,
  name: string,
  code: DiagnosisCode,
  status: string,
  headers = '',
  body = '',
  simulated?: string,
): Situation => ({
  number,
  name,
  code,
  ...(simulated !== undefined && { simulated }),
  start: async (stage) => ({
    url: at(
      await stage.answering(
        `HTTP/1.1 ${status}\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      ),
    ),
  }),
})

const another = 'the other server: its answer'
const html = 'Content-Type: text/html\r\n'

export const answers: readonly Situation[] = [
  answered(
    22,
    'an HTTP proxy wants a login',
    'proxy_auth_required',
    '407 Proxy Authentication Required',
    'Proxy-Authenticate: Basic realm="corp"\r\n',
    '',
    'the proxy of a company: its answer, as RFC 9110 has it',
  ),
  answered(
    23,
    'a redirect to https',
    'redirect_to_https',
    '301 Moved Permanently',
    'Server: cloudflare\r\nLocation: https://127.0.0.1/ws\r\n',
    '',
    'the edge: its answer, as it was observed',
  ),
  answered(24, 'a redirect by the application', 'redirected', '307 Temporary Redirect', 'Location: /ui/\r\n'),
  answered(
    31,
    'another identity proxy wants a login',
    'identity_proxy_login',
    '302 Found',
    'Location: https://auth.example.com/start?rd=https%3A%2F%2Fx%2Fws\r\n',
    '',
    'oauth2-proxy: its redirect',
  ),
  answered(
    32,
    'the login page of a gate',
    'auth_required',
    '303 See Other',
    'Location: /login\r\nUpgate-Refusal: auth_required; gate="x"\r\n',
    '',
    'a gate with a login page: its redirect',
  ),
  answered(
    44,
    'WebSockets are off in the zone',
    'edge_websocket_refused',
    '400 Bad Request',
    'Server: cloudflare\r\nCF-Ray: 8f00aa11bb22cc33-FRA\r\n',
    '',
    'the edge: its answer, as it was observed',
  ),
  answered(
    45,
    'an ngrok endpoint that is offline',
    'ngrok_offline',
    '404 Not Found',
    'ngrok-error-code: ERR_NGROK_3200\r\n',
    '',
    'ngrok: its answer, as it was observed',
  ),
  answered(
    46,
    'an Upgrade that was lost before ngrok',
    'ngrok_upgrade_missing',
    '400 Bad Request',
    'ngrok-error-code: ERR_NGROK_3206\r\n',
    '',
    'ngrok: its answer, as documented',
  ),
  answered(
    46,
    'another error of ngrok',
    'ngrok_error',
    '502 Bad Gateway',
    'ngrok-error-code: ERR_NGROK_8012\r\n',
    '',
    'ngrok: its answer, as documented',
  ),
  answered(48, 'another server that answers 200', 'other_server', '200 OK', html, '<h1>hi</h1>', another),
  answered(
    48,
    'another server that answers 404',
    'other_server',
    '404 Not Found',
    html,
    'nothing here',
    another,
  ),
  answered(
    48,
    'another server that answers 401',
    'other_server_auth',
    '401 Unauthorized',
    'WWW-Authenticate: Bearer realm="browser"\r\n',
    '',
    another,
  ),
  answered(
    49,
    'a path that a proxy does not route',
    'proxy_no_route',
    '404 Not Found',
    'Server: nginx\r\n',
    '',
    'nginx: its answer; a test asks the real one',
  ),
  {
    number: 50,
    name: 'headers that are larger than Node reads',
    code: 'headers_too_big',
    async start(stage) {
      const port = await stage.http((_request, response) => response.writeHead(401).end())
      const cookie = `session=${'c'.repeat(20_000)}`
      return {
        url: at(port),
        client: { headers: { cookie } },
        doctor: { cookie, token: strangersToken },
      }
    },
  },
  answered(
    51,
    'a proxy without a free server',
    'proxy_over_capacity',
    '503 Service Unavailable',
    '',
    '',
    'haproxy: its answer; a test asks the real one',
  ),
  answered(
    51,
    'a proxy that cannot reach its server',
    'proxy_bad_gateway',
    '502 Bad Gateway',
    '',
    '',
    'nginx: its answer; a test asks the real one',
  ),
  answered(
    52,
    'a gateway that cannot attribute its proxy',
    'proxy_attribution',
    '403 Forbidden',
    'Content-Type: application/json\r\n',
    '{"error":{"type":"proxy_attribution_required"}}',
    'OpenClaw: its answer, as documented',
  ),
  answered(73, 'an application that failed', 'server_error', '500 Internal Server Error'),
  answered(73, 'another 4xx status', 'http_refused', '429 Too Many Requests', 'Retry-After: 3\r\n'),
]
