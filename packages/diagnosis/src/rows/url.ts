import { type Row, rowsOf } from '../row.ts'

/** Mistakes in the URL itself, and redirects that show them. */
export const urlRows: readonly Row[] = rowsOf('url', [
  {
    code: 'url_scheme',
    title: 'The URL has the wrong scheme',
    sees: '`SyntaxError: The URL’s protocol must be one of "ws:", "wss:", ...`; no connection is made.',
    cause: 'A WebSocket URL begins with `ws://` or `wss://`.',
    action: 'Write `wss://` in front of the host, or `ws://` without TLS.',
    retry: 'never',
    matches: ({ url, error }) =>
      (url !== undefined && !['ws', 'wss', 'http', 'https'].includes(url.scheme)) ||
      /URL'?s (?:protocol|scheme) must be|invalid url scheme|wrong url scheme|unsupported protocol/i.test(
        error.message,
      ),
  },
  {
    code: 'url_fragment',
    title: 'The URL has a fragment',
    sees: '`SyntaxError: The URL contains a fragment identifier`; no connection is made.',
    cause: 'A WebSocket URL must not contain `#` (RFC 6455 section 3).',
    action: 'Remove the part from `#` on. A `#` in a query is written `%23`.',
    retry: 'never',
    matches: ({ url, error }) =>
      (url?.fragment !== undefined && error.any) ||
      /fragment identifier|contains a fragment/i.test(error.message),
  },
  {
    code: 'url_invalid',
    title: 'The URL cannot be read',
    sees: '`SyntaxError: Invalid URL`; no connection is made.',
    cause: 'The host, the port or an encoded character is malformed.',
    action: 'Compare the URL with `wss://gateway.example.com/ws`.',
    retry: 'never',
    matches: ({ url, urlText, error }) =>
      error.code === 'ERR_INVALID_URL' ||
      /^(?:SyntaxError: )?Invalid URL/i.test(error.message) ||
      (urlText !== '' && url === undefined && error.any && error.code === ''),
  },
])

/** A redirect to TLS: it looks like an HTTP answer, and the remedy is in the URL. */
export const urlRedirectRows: readonly Row[] = rowsOf('url', [
  {
    code: 'redirect_to_https',
    title: 'The server answers only over TLS',
    sees: 'Status 301, 302, 307 or 308 with a `Location` of the same host that begins with `https://`.',
    cause:
      'The URL begins with `ws://`, and the edge or the proxy redirects everything without TLS. A WebSocket client does not follow redirects.',
    action: 'Use `wss://` in place of `ws://`.',
    retry: 'never',
    confusableWith: [
      { code: 'redirected', probe: 'Compare the hosts: a redirect to another host or path is another case.' },
    ],
    matches: ({ url, answer }) =>
      answer?.marker === undefined &&
      answer?.location?.scheme === 'https' &&
      answer.status >= 300 &&
      answer.status < 400 &&
      (url?.scheme === 'ws' || url?.scheme === 'http') &&
      url.host === answer.location.host,
  },
])
