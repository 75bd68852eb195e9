import type { DiagnosisCode, Observation, ObservedResponse } from '@upgate/diagnosis'

/** An observation as it was seen on loopback or is documented, and its only right verdict. */
export interface Sample {
  readonly name: string
  readonly code: DiagnosisCode
  readonly observation: Observation
}

const url = 'ws://gateway.example.com/ws'
const wss = 'wss://gateway.example.com/ws'
const AUD = 'a'.repeat(64)

function sample(name: string, code: DiagnosisCode, observation: Observation): Sample {
  return { name, code, observation }
}

const failed = (code: string, message: string, more: Observation = {}): Observation => ({
  url,
  error: { code, message },
  ...more,
})
const answered = (
  status: number,
  headers: ObservedResponse['headers'] = {},
  body = '',
  more: Observation = {},
): Observation => ({
  url: wss,
  reached: 'http',
  response: { status, headers, body },
  ...more,
})
const cloudflare = { server: 'cloudflare', 'cf-ray': '8f00aa11bb22cc33-FRA', 'content-type': 'text/html' }
const edge = (status: number, code: number, headers = {}): Observation =>
  answered(
    status,
    { ...cloudflare, 'content-type': 'application/json', ...headers },
    JSON.stringify({
      title: `Error ${code}`,
      status,
      error_code: code,
      cloudflare_error: true,
      retryable: false,
    }),
  )
const closed = (code: number, reason = '', more: Observation = {}): Observation => ({
  url: wss,
  reached: 'open',
  close: { code, reason },
  ...more,
})
const meta = (payload: object): string =>
  `eyJhbGciOiJSUzI1NiJ9.${Buffer.from(JSON.stringify({ type: 'meta', ...payload })).toString('base64url')}.c2ln`
const access = (payload: object): Record<string, string> => ({
  ...cloudflare,
  location: `https://acme.cloudflareaccess.com/cdn-cgi/access/login/gateway.example.com?kid=${AUD}&meta=${meta(payload)}&redirect_url=%2Fws`,
})
const token = { sent: { credentials: ['edge_service_token'] } } as const
const html = { 'content-type': 'text/html; charset=utf-8' }
const wsError = (code: string, message: string): Observation => ({
  url: wss,
  reached: 'open',
  error: { code, message },
  close: { code: 1006 },
})
const connectError = (details: object, code = 'INVALID_REQUEST'): string =>
  JSON.stringify({ type: 'res', id: 'connect', ok: false, error: { code, message: 'no', details } })

/** One or more samples of every situation in which a connection fails. */
export const samples: readonly Sample[] = [
  sample('wrong scheme', 'url_scheme', {
    url: 'ftp://gateway.example.com',
    error: {
      name: 'SyntaxError',
      message: `The URL's protocol must be one of "ws:", "wss:", "http:", "https:", or "ws+unix:"`,
    },
  }),
  sample('fragment', 'url_fragment', {
    url: 'ws://gateway.example.com/ws#top',
    error: { name: 'SyntaxError', message: 'The URL contains a fragment identifier' },
  }),
  sample('no URL', 'url_invalid', {
    url: 'ws://gateway example',
    error: { name: 'SyntaxError', message: 'Invalid URL: ws://gateway example' },
  }),
  sample(
    'no such name',
    'dns_not_found',
    failed('ENOTFOUND', 'getaddrinfo ENOTFOUND gateway.example.com', { reached: 'nothing' }),
  ),
  sample(
    'resolver away',
    'dns_temporary',
    failed('EAI_AGAIN', 'getaddrinfo EAI_AGAIN gateway.example.com', { reached: 'nothing' }),
  ),
  sample('resolver silent', 'dns_temporary', { url, reached: 'nothing', error: { timedOut: true } }),
  sample(
    'nothing listens',
    'tcp_refused',
    failed('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:8787', { reached: 'dns' }),
  ),
  sample('nothing listens (Deno)', 'tcp_refused', {
    url,
    error: {
      message:
        'NetworkError: failed to connect to WebSocket: tcp connect error: Connection refused (os error 111)',
    },
  }),
  sample('firewall drops', 'tcp_timeout', failed('ETIMEDOUT', 'connect ETIMEDOUT 192.0.2.1:8787')),
  sample('firewall drops, own deadline', 'tcp_timeout', {
    url,
    reached: 'dns',
    error: { timedOut: true, message: 'Opening handshake has timed out' },
  }),
  sample('no route', 'tcp_unreachable', failed('EHOSTUNREACH', 'connect EHOSTUNREACH 10.0.0.1:8787')),
  sample('accepts and says nothing', 'http_silent', {
    url,
    reached: 'tcp',
    error: { message: 'Opening handshake has timed out' },
    bytes: '',
  }),
  sample('half a header, then silence', 'http_stalled', {
    url,
    reached: 'tcp',
    error: { message: 'Opening handshake has timed out' },
    bytes: 'HTTP/1.1 101 Swit',
  }),
  sample(
    'RST at once',
    'tcp_reset',
    failed('ECONNRESET', 'connect ECONNRESET 127.0.0.1:8787', { reached: 'dns' }),
  ),
  sample('RST after the request', 'tcp_reset', failed('ECONNRESET', 'read ECONNRESET', { reached: 'tcp' })),
  sample('FIN before any answer', 'http_closed', failed('ECONNRESET', 'socket hang up', { reached: 'tcp' })),
  sample(
    'FIN before any answer, no TLS there either',
    'http_closed',
    failed('ECONNRESET', 'socket hang up', { reached: 'tcp', probes: { tls: 'refused' } }),
  ),
  sample(
    'headers without an end',
    'answer_headers_too_big',
    failed('HPE_HEADER_OVERFLOW', 'Parse Error: Header overflow', {
      reached: 'tcp',
      bytes: 'HTTP/1.1 401 X\r\nX-A: aaaa',
    }),
  ),
  sample(
    'headers without an end, bytes not kept',
    'answer_headers_too_big',
    failed('HPE_HEADER_OVERFLOW', 'Parse Error: Header overflow', { reached: 'tcp' }),
  ),
  sample(
    'a header without a name',
    'answer_malformed',
    failed('HPE_INVALID_HEADER_TOKEN', 'Parse Error: Invalid header token', {
      reached: 'tcp',
      bytes: 'HTTP/1.1 101 Switching Protocols\r\n: x\r\n',
    }),
  ),
  sample(
    'a header without a name, bytes not kept',
    'answer_malformed',
    failed('HPE_INVALID_HEADER_TOKEN', 'Parse Error: Invalid header token', { reached: 'tcp' }),
  ),
  sample(
    'a version that does not exist',
    'answer_malformed',
    failed('HPE_INVALID_VERSION', 'Parse Error: Invalid HTTP version', {
      reached: 'tcp',
      bytes: 'HTTP/4.2 200 OK\r\n',
    }),
  ),
  sample(
    'SSH banner',
    'not_http',
    failed('HPE_INVALID_CONSTANT', 'Parse Error: Expected HTTP/, RTSP/ or ICE/', {
      reached: 'tcp',
      bytes: 'SSH-2.0-OpenSSH_9.9\r\n',
    }),
  ),
  sample(
    'HTTP/2 only',
    'http2_only',
    failed('HPE_INVALID_CONSTANT', 'Parse Error: Expected HTTP/, RTSP/ or ICE/', {
      reached: 'tcp',
      bytes: '\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d',
    }),
  ),
  sample(
    'wss to a plain port',
    'tls_plain_port',
    failed(
      'EPROTO',
      'write EPROTO 00:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:ssl3_record.c:354:',
      { url: wss, reached: 'tcp' },
    ),
  ),
  sample(
    'ws to a TLS port',
    'tls_expected',
    failed('ECONNRESET', 'socket hang up', { reached: 'tcp', probes: { tls: 'answered' } }),
  ),
  sample('ws to a TLS port of nginx', 'tls_expected', {
    url,
    response: {
      status: 400,
      headers: { server: 'nginx', ...html },
      body: '<center>The plain HTTP request was sent to HTTPS port</center>',
    },
  }),
  sample(
    'ws to a TLS port that sends an alert',
    'tls_expected',
    failed('HPE_INVALID_CONSTANT', 'Parse Error: Expected HTTP/', {
      reached: 'tcp',
      bytes: '\x15\x03\x01\0\x02\x02\x46',
    }),
  ),
  sample(
    'self-signed',
    'tls_self_signed',
    failed('DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate', {
      url: wss,
      reached: 'tcp',
      tls: { issuer: 'CN=gateway.example.com' },
    }),
  ),
  sample(
    'private authority',
    'tls_untrusted',
    failed('SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain', {
      url: wss,
      tls: { issuer: 'CN=Example Root' },
    }),
  ),
  sample(
    'no intermediate',
    'tls_untrusted',
    failed('UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify the first certificate', { url: wss }),
  ),
  sample(
    'name mismatch',
    'tls_name_mismatch',
    failed(
      'ERR_TLS_CERT_ALTNAME_INVALID',
      "Hostname/IP does not match certificate's altnames: Host: gateway.example.com. is not in the cert's altnames: DNS:other.example",
      { url: wss, tls: { altNames: 'DNS:other.example' } },
    ),
  ),
  sample(
    'expired',
    'tls_expired',
    failed('CERT_HAS_EXPIRED', 'certificate has expired', {
      url: wss,
      tls: { validTo: 'Nov 1 00:00:00 2026 GMT' },
    }),
  ),
  sample(
    'not yet valid',
    'tls_not_yet_valid',
    failed('CERT_NOT_YET_VALID', 'certificate is not yet valid', { url: wss }),
  ),
  sample(
    'client certificate demanded',
    'tls_client_certificate',
    failed(
      'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
      'SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:SSL alert number 116',
      { url: wss, reached: 'tls' },
    ),
  ),
  sample(
    'protocol version',
    'tls_version',
    failed(
      'EPROTO',
      'write EPROTO SSL routines:ssl3_read_bytes:tlsv1 alert protocol version:SSL alert number 70',
      { url: wss },
    ),
  ),
  sample(
    'only h2 in ALPN',
    'tls_alpn',
    failed(
      'EPROTO',
      'write EPROTO SSL routines:ssl3_read_bytes:tlsv1 alert no application protocol:SSL alert number 120',
      { url: wss },
    ),
  ),
  sample(
    'SNI unknown',
    'tls_sni',
    failed('ECONNRESET', 'Client network socket disconnected before secure TLS connection was established', {
      url: wss,
      reached: 'tcp',
    }),
  ),
  sample(
    'SNI unknown, with alert',
    'tls_sni',
    failed('EPROTO', 'SSL routines:ssl3_read_bytes:tlsv1 unrecognized name:SSL alert number 112', {
      url: wss,
    }),
  ),
  sample(
    'inspected',
    'tls_inspected',
    failed('SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain', {
      url: wss,
      tls: { issuer: 'CN=Zscaler Root CA,O=Zscaler Inc.' },
    }),
  ),
  sample(
    'inspected, another name',
    'tls_inspected',
    failed('ERR_TLS_CERT_ALTNAME_INVALID', "does not match certificate's altnames", {
      url: wss,
      tls: { issuer: 'O=Fortinet' },
    }),
  ),
  sample('TLS silent', 'tls_silent', {
    url: wss,
    reached: 'tcp',
    error: { timedOut: true, message: 'Opening handshake has timed out' },
  }),
  sample(
    'other TLS failure',
    'tls_failed',
    failed('EPROTO', 'SSL routines:tls alert handshake failure', { url: wss, tls: { alert: 40 } }),
  ),
  sample(
    'HTTP proxy wants login',
    'proxy_auth_required',
    answered(407, { 'proxy-authenticate': 'Basic realm="corp"' }),
  ),
  sample('always-https zone', 'redirect_to_https', {
    url,
    response: { status: 301, headers: { ...cloudflare, location: 'https://gateway.example.com/ws' } },
  }),
  sample('redirect by the origin', 'redirected', answered(307, { location: '/ui/' })),
  sample(
    'Access login, nothing sent',
    'access_login_required',
    answered(302, access({ service_token_status: false })),
  ),
  sample(
    'Access login, Bearer only',
    'access_login_required',
    answered(302, access({ service_token_status: false }), '', {
      sent: { credentials: ['bearer', 'cookie'] },
    }),
  ),
  sample(
    'Access, AJAX',
    'access_login_required',
    answered(401, {
      ...cloudflare,
      'cf-access-domain': 'gateway.example.com',
      'www-authenticate': 'Cloudflare-Access resource_metadata="x"',
    }),
  ),
  sample(
    'Access, token not recognised',
    'access_token_unknown',
    answered(302, access({ service_token_status: false }), '', token),
  ),
  sample(
    'Access, token sent, meta of another kind',
    'access_token_unknown',
    answered(
      302,
      { ...cloudflare, location: 'https://acme.cloudflareaccess.com/cdn-cgi/access/login/x?meta=garbage' },
      '',
      token,
    ),
  ),
  sample(
    'Access, recognised, not admitted',
    'access_not_admitted',
    answered(302, access({ service_token_status: true }), '', token),
  ),
  sample(
    'Access, user token expired',
    'access_user_token_expired',
    answered(302, access({ service_token_status: false }), '', {
      sent: { credentials: ['edge_user_token'] },
    }),
  ),
  sample(
    'Access strict, cannot authenticate',
    'access_rejected',
    answered(
      401,
      { ...cloudflare, 'cf-access-domain': 'gateway.example.com', 'www-authenticate': 'Cloudflare-Access' },
      '',
      token,
    ),
  ),
  sample(
    'Access strict, not authorised',
    'access_forbidden',
    answered(
      403,
      { ...cloudflare, 'cf-access-aud': AUD, 'cf-access-domain': 'gateway.example.com' },
      'Forbidden',
      token,
    ),
  ),
  sample(
    'managed OAuth',
    'access_oauth',
    answered(401, {
      ...cloudflare,
      'www-authenticate':
        'Bearer resource_metadata="https://gateway.example.com/.well-known/cloudflare-access-protected-resource/ws"',
    }),
  ),
  sample('redirect to Access followed', 'access_redirect_followed', {
    url: wss,
    sent: { upgrade: false },
    response: {
      status: 200,
      url: 'https://acme.cloudflareaccess.com/cdn-cgi/access/login/x',
      headers: { ...cloudflare },
      body: '<title>Sign in ・ Cloudflare Access</title>',
    },
  }),
  sample('Access missing', 'access_missing', { url: wss, reached: 'open', expected: { edge: true } }),
  sample('Access missing, the gate answers', 'access_missing', {
    ...answered(401, { ...cloudflare, 'upgate-refusal': 'auth_required; gate="g"' }),
    expected: { edge: true },
  }),
  sample(
    'oauth2-proxy',
    'identity_proxy_login',
    answered(302, {
      location: 'https://auth.example.com/oauth2/start?rd=https%3A%2F%2Fgateway.example.com%2Fws',
    }),
  ),
  sample(
    'Authentik',
    'identity_proxy_login',
    answered(302, {
      location: 'https://sso.example.com/application/o/authorize/?client_id=x&redirect_uri=https%3A%2F%2Fg',
    }),
  ),
  sample(
    'our own login page',
    'auth_required',
    answered(303, { 'upgate-refusal': 'auth_required; gate="gateway"', location: '/login?next=%2F' }),
  ),
  sample(
    'bot challenge',
    'bot_challenge',
    answered(403, { ...cloudflare, 'cf-mitigated': 'challenge' }, '<title>Just a moment...</title>', token),
  ),
  sample(
    'bot challenge, 503',
    'bot_challenge',
    answered(503, { ...cloudflare, 'cf-mitigated': 'challenge' }, '<title>Just a moment...</title>'),
  ),
  sample('user agent banned', 'edge_user_agent_banned', edge(403, 1010)),
  sample('WAF rule', 'edge_waf', edge(403, 1020)),
  sample(
    'WAF rule without a number',
    'edge_waf',
    answered(
      403,
      cloudflare,
      '<title>Attention Required! | Cloudflare</title><h1>Sorry, you have been blocked</h1>',
    ),
  ),
  sample('rate limit', 'edge_rate_limited', edge(429, 1015, { 'retry-after': '30' })),
  sample(
    'tunnel down',
    'tunnel_down',
    answered(530, { ...cloudflare, 'retry-after': '120' }, 'error code: 1033'),
  ),
  sample('tunnel down, JSON', 'tunnel_down', edge(530, 1033)),
  sample('origin name unknown', 'edge_origin_dns', edge(530, 1016)),
  sample('origin refused', 'edge_bad_gateway', answered(502, cloudflare, '<h1>Error 502</h1>')),
  ...(
    [
      [520, 'edge_origin_garbled'],
      [521, 'edge_origin_down'],
      [522, 'edge_origin_timeout'],
      [523, 'edge_origin_unreachable'],
      [525, 'edge_origin_handshake'],
      [526, 'edge_origin_certificate'],
    ] as const
  ).map(([status, code]) => sample(`edge ${status}`, code, edge(status, status))),
  sample('100 s without a byte', 'edge_origin_silent', edge(524, 524)),
  sample('idle cut', 'idle_cut', closed(1006, '', { times: { idle: 100_300, open: 101_000 } })),
  sample('idle cut of nginx', 'idle_cut', closed(1006, '', { times: { idle: 60_040, open: 700_000 } })),
  sample('Worker crash', 'worker_crashed', edge(500, 1101)),
  sample('Worker limits', 'worker_limits', edge(503, 1102)),
  sample('other edge error', 'edge_error', edge(409, 1001)),
  sample(
    'Upgrade lost before the gate',
    'upgrade_lost',
    answered(426, { 'upgate-refusal': 'upgrade_required; gate="g"' }),
  ),
  sample(
    'Upgrade lost, GET works',
    'upgrade_lost',
    answered(400, cloudflare, 'Bad Request', {
      probes: { http: { status: 426, headers: { 'upgate-refusal': 'upgrade_required; gate="g"' } } },
    }),
  ),
  sample(
    'Upgrade lost, 502 for the upgrade only',
    'upgrade_lost',
    answered(502, cloudflare, '', {
      probes: { http: { status: 426, headers: { 'upgate-refusal': 'upgrade_required; gate="g"' } } },
    }),
  ),
  sample('Upgrade lost, seen by a page', 'upgrade_lost', {
    url: wss,
    sent: { client: 'browser' },
    close: { code: 1006 },
    probes: { http: { status: 426, headers: { 'Upgate-Refusal': 'upgrade_required; gate="g"' } } },
  }),
  ...[200, 400, 403].map((status) =>
    sample(
      `bad handshake ${status}`,
      'edge_websocket_refused',
      answered(status, cloudflare, 'bad handshake'),
    ),
  ),
  sample('ngrok offline', 'ngrok_offline', answered(404, { 'ngrok-error-code': 'ERR_NGROK_3200', ...html })),
  sample(
    'ngrok upgrade missing',
    'ngrok_upgrade_missing',
    answered(400, { 'ngrok-error-code': 'ERR_NGROK_3206' }),
  ),
  sample('ngrok, other', 'ngrok_error', answered(502, { 'ngrok-error-code': 'ERR_NGROK_8012' })),
  sample(
    'tailnet down',
    'tailscale_down',
    failed('ECONNREFUSED', 'connect ECONNREFUSED 100.64.0.1:443', {
      url: 'wss://box.tail1234.ts.net/ws',
      reached: 'dns',
    }),
  ),
  sample('another server, 200', 'other_server', answered(200, html, '<h1>It works</h1>')),
  sample('another server, 404', 'other_server', answered(404, { server: 'Werkzeug/3' })),
  sample(
    'another server, 200, GET is another server too',
    'other_server',
    answered(200, html, '', { probes: { http: { status: 200, headers: html, body: 'hi' } } }),
  ),
  sample(
    'another server, 401',
    'other_server_auth',
    answered(401, { 'www-authenticate': 'Bearer realm="browser-control"' }),
  ),
  sample('another server, message only (Bun)', 'other_server_auth', {
    url: wss,
    error: { message: 'Unexpected server response: 401' },
  }),
  sample('another server, message only (Deno)', 'other_server_auth', {
    url: wss,
    error: { message: 'NetworkError: failed to connect to WebSocket: Invalid status code: 401' },
  }),
  sample(
    'nginx without a route',
    'proxy_no_route',
    answered(404, { server: 'nginx', ...html }, '<center>nginx</center>'),
  ),
  sample('headers too big', 'headers_too_big', answered(431)),
  sample(
    'proxy over capacity',
    'proxy_over_capacity',
    answered(503, html, 'No server is available to handle this request.'),
  ),
  sample('proxy gateway time-out', 'proxy_over_capacity', answered(504, { server: 'nginx' })),
  sample('proxy cannot reach', 'proxy_bad_gateway', answered(502, { server: 'nginx/1.28' })),
  sample(
    'proxy not attributed',
    'proxy_attribution',
    answered(
      403,
      { 'content-type': 'application/json' },
      '{"error":{"type":"proxy_attribution_required","message":"x"}}',
    ),
  ),
  sample('server failed', 'server_error', answered(500)),
  sample('teapot over HTTP', 'http_refused', answered(418, {}, '', { sent: { upgrade: false } })),
  sample('bad Sec-WebSocket-Accept', 'ws_bad_accept', {
    url,
    reached: 'http',
    error: { message: 'Invalid Sec-WebSocket-Accept header' },
  }),
  sample('101 without Upgrade', 'ws_bad_101', {
    url,
    reached: 'http',
    error: { message: 'Unexpected server response: 101' },
    response: { status: 101, headers: {} },
  }),
  sample('101 with another Upgrade', 'ws_bad_101', {
    url,
    reached: 'http',
    error: { message: 'Invalid Upgrade header' },
  }),
  sample('no subprotocol', 'ws_no_subprotocol', {
    url,
    reached: 'http',
    error: { message: 'Server sent no subprotocol' },
  }),
  sample('subprotocol not offered', 'ws_foreign_subprotocol', {
    url,
    error: { message: 'Server sent a subprotocol but none was requested' },
  }),
  sample('extension not offered', 'ws_foreign_extension', {
    url,
    error: { message: 'Server indicated an extension that was not requested' },
  }),
  sample('extension header not asked for', 'ws_foreign_extension', {
    url,
    error: { message: 'Server sent a Sec-WebSocket-Extensions header but no extension was requested' },
  }),
  sample(
    'HTML after 101',
    'ws_html_after_101',
    wsError('WS_ERR_UNEXPECTED_RSV_2_3', 'Invalid WebSocket frame: RSV2 and RSV3 must be clear'),
  ),
  sample(
    'masked',
    'ws_masked',
    wsError('WS_ERR_UNEXPECTED_MASK', 'Invalid WebSocket frame: MASK must be clear'),
  ),
  sample(
    'bad UTF-8',
    'ws_bad_utf8',
    wsError('WS_ERR_INVALID_UTF8', 'Invalid WebSocket frame: invalid UTF-8 sequence'),
  ),
  sample(
    'RSV1',
    'ws_compressed_unasked',
    wsError('WS_ERR_UNEXPECTED_RSV_1', 'Invalid WebSocket frame: RSV1 must be clear'),
  ),
  sample(
    'bad close code',
    'ws_bad_close_code',
    wsError('WS_ERR_INVALID_CLOSE_CODE', 'Invalid WebSocket frame: invalid status code 0'),
  ),
  sample(
    'too big',
    'ws_message_too_big',
    wsError('WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'Max payload size exceeded'),
  ),
  sample('too big for the server', 'ws_message_too_big', closed(1009)),
  sample(
    'other frame error',
    'ws_protocol_error',
    wsError('WS_ERR_INVALID_OPCODE', 'Invalid WebSocket frame: invalid opcode 3'),
  ),
  sample('FIN after 101', 'connection_lost', closed(1006, '', { times: { idle: 900, open: 4000 } })),
  sample('RST after acceptance', 'connection_lost', {
    url,
    reached: 'accepted',
    close: { code: 1006 },
    times: { idle: 20 },
  }),
  sample('1000 without a reason, before acceptance', 'ended_without_reason', closed(1000)),
  sample('1000 after acceptance', 'closed_normally', {
    url,
    reached: 'accepted',
    close: { code: 1000, reason: 'done' },
  }),
  sample('1001', 'server_shutdown', closed(1001, 'shutdown')),
  sample(
    '1012',
    'server_restarting',
    closed(1012, 'service restart', {
      frames: [JSON.stringify({ type: 'event', event: 'shutdown', payload: { restartExpectedMs: 7000 } })],
    }),
  ),
  sample(
    '1008 with a res frame',
    'invalid_credential',
    closed(1008, 'unauthorized', { frames: [connectError({ code: 'AUTH_TOKEN_MISMATCH' })] }),
  ),
  sample(
    '1008 device token mismatch',
    'invalid_credential',
    closed(1008, 'unauthorized: device token mismatch'),
  ),
  sample(
    '1008 pairing',
    'pairing_required',
    closed(1008, 'pairing required', {
      frames: [connectError({ code: 'PAIRING_REQUIRED', requestId: 'r-1' }, 'NOT_PAIRED')],
    }),
  ),
  sample(
    '1008 of our own connect handshake',
    'revoked_credential',
    closed(1008, 'revoked_credential', {
      frames: [connectError({ code: 'AUTH_UNAUTHORIZED', reason: 'revoked_credential' })],
    }),
  ),
  sample('1008 unknown', 'close_policy', closed(1008, 'because')),
  sample('1013 starting', 'close_try_later', closed(1013, 'gateway starting')),
  sample(
    '1013 with a frame',
    'unavailable',
    closed(1013, 'unavailable', {
      frames: [connectError({ reason: 'unavailable', retryAfterMs: 2500 }, 'UNAVAILABLE')],
    }),
  ),
  sample('1011', 'close_internal_error', closed(1011, 'internal_error')),
  sample('1014', 'close_bad_gateway', closed(1014)),
  sample('3000', 'close_unauthorized', closed(3000, 'Unauthorized')),
  sample('3003', 'close_forbidden', closed(3003, 'Forbidden')),
  sample('4401 of graphql-ws', 'close_unauthorized', closed(4401, 'Unauthorized')),
  sample('4403 of graphql-ws', 'close_forbidden', closed(4403, 'Forbidden')),
  sample('4408 of graphql-ws', 'close_timeout', closed(4408, 'Connection initialisation timeout')),
  sample('4429 of graphql-ws', 'close_too_many', closed(4429, 'Too many initialisation requests')),
  sample('4400', 'close_bad_handshake', closed(4400, 'Invalid message')),
  sample('4000 tick timeout', 'silent_peer', closed(4000, 'tick timeout')),
  sample('3501', 'centrifuge_no_credentials', closed(3501, 'bad request')),
  sample('3500 terminal', 'close_terminal', closed(3500, 'invalid token')),
  sample('4500 terminal', 'close_terminal', closed(4500, 'no')),
  sample('4001', 'credentials_changed', closed(4001, 'Token expired')),
  sample('4999', 'close_without_retry', closed(4999, 'Kicked')),
  sample('4100 of an application', 'close_application', closed(4100, 'game over')),
  sample(
    'pin mismatch',
    'tls_pin_mismatch',
    failed('CERT_FINGERPRINT_MISMATCH', 'gateway tls fingerprint mismatch', { url: wss, reached: 'tls' }),
  ),
  sample(
    'clock skew',
    'clock_skew',
    closed(1008, 'device signature expired', {
      frames: [connectError({ code: 'DEVICE_AUTH_SIGNATURE_EXPIRED' })],
    }),
  ),
  sample(
    'proof of another time',
    'clock_skew',
    closed(4401, 'expired_credential', {
      frames: [
        '{"type":"auth_error","code":"expired_credential","message":"x","action":"y","facts":{"serverTime":1796000000000}}',
      ],
    }),
  ),
  sample('expired right after issue', 'clock_skew', {
    ...answered(401, { 'upgate-refusal': 'expired_credential; gate="g"' }),
    times: { credentialAge: 4000 },
  }),
  sample(
    'device proof',
    'device_proof_refused',
    closed(1008, 'nonce', { frames: [connectError({ code: 'DEVICE_AUTH_NONCE_MISMATCH' })] }),
  ),
  sample(
    'version',
    'protocol_mismatch',
    closed(1002, 'protocol mismatch', {
      frames: [
        connectError({
          code: 'PROTOCOL_MISMATCH',
          reason: 'bad_handshake',
          expectedProtocol: { min: 3, max: 4 },
        }),
      ],
    }),
  ),
  sample(
    'Home Assistant',
    'invalid_credential',
    closed(1000, '', {
      frames: ['{"type":"auth_required"}', '{"type":"auth_invalid","message":"Invalid access token"}'],
    }),
  ),
  sample('a newer gate', 'gate_refused', answered(403, { 'upgate-refusal': 'moon_phase; gate="g"' })),
  sample(
    'a newer gate, in band',
    'gate_refused',
    closed(4403, 'moon_phase', {
      frames: ['{"type":"auth_error","code":"moon_phase","message":"no","action":"wait"}'],
    }),
  ),
  ...['auth_expired', 'revoked', 'narrowed', 'disabled', 'logged_out', 'rotated'].map((reason) =>
    sample(`ended: ${reason}`, reason as DiagnosisCode, {
      url,
      reached: 'accepted',
      close: { code: reason === 'auth_expired' ? 4401 : 4403, reason },
    }),
  ),
  sample('no answer to the credential', 'acknowledgement_missing', {
    url,
    reached: 'open',
    error: { timedOut: true, message: 'no acknowledgement' },
    close: { code: 1006 },
  }),
  sample('aborted', 'aborted', { url, error: { name: 'AbortError', message: 'This operation was aborted' } }),
  sample('offline', 'offline', { url, probes: { offline: true }, error: { message: 'Failed to fetch' } }),
  sample('no credential to send', 'credential_unavailable', {
    url,
    error: { code: 'credential_unavailable' },
  }),
  sample('secret over plain', 'edge_secret_over_plain', { url, error: { code: 'edge_secret_over_plain' } }),
  sample('address inside a network', 'address_not_allowed', {
    url,
    error: { code: 'address_not_allowed', message: 'The address is not one that may be connected to.' },
  }),
  sample('credential over plain', 'credential_over_plain', {
    url,
    error: { code: 'credential_over_plain', message: 'Not sent: the header cookie.' },
  }),
  sample('a user’s token of Access for another server', 'access_unverified', {
    url,
    error: { code: 'access_unverified', message: 'The metadata are for another host.' },
  }),
  sample('no keys of Access', 'access_keys_unreachable', {
    url: 'https://acme.cloudflareaccess.com/cdn-cgi/access/certs',
    error: { code: 'access_keys_unreachable' },
  }),
  sample('page: hidden', 'cross_origin_hidden', {
    url: wss,
    sent: { client: 'browser' },
    close: { code: 1006 },
    probes: { http: 'hidden' },
  }),
  sample('page: login ended', 'page_login_expired', {
    url: wss,
    sent: { client: 'browser' },
    close: { code: 1006 },
    probes: { http: 'redirected' },
  }),
  sample('page: nothing known', 'browser_hides', {
    url: wss,
    sent: { client: 'browser' },
    close: { code: 1006 },
  }),
  sample('page: the gate over capacity', 'over_capacity', {
    url: wss,
    sent: { client: 'browser' },
    close: { code: 1006 },
    probes: {
      http: { status: 503, headers: { 'upgate-refusal': 'over_capacity; gate="g"', 'retry-after': '5' } },
    },
  }),
  sample('connected', 'connected', {
    url: wss,
    reached: 'accepted',
    response: { status: 101, headers: { upgrade: 'websocket' } },
  }),
  sample('HTTP works', 'connected', { url: 'https://gateway.example.com/health', response: { status: 200 } }),
  sample('nothing observed', 'unknown', {}),
]
