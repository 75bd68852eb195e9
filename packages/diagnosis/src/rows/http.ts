import { type Row, rowsOf } from '../row.ts'
import { reached, type Seen, stoppedAt } from '../seen.ts'

/** Nothing that HTTP could parse has come. */
const noAnswer = ({ answer, close, probes }: Seen): boolean =>
  answer === undefined && (close === undefined || close.code === 1006) && probes.tls !== 'answered'

/** RFC 9113 section 3.4: a server begins with SETTINGS: length (3 bytes), type 4, flags 0, stream 0 (4 bytes). */
const isSettingsFrame = (bytes: string): boolean =>
  bytes.length >= 9 && bytes.charCodeAt(0) === 0 && bytes.slice(3, 9) === '\x04\0\0\0\0\0'

const notParsed = ({ error }: Seen): boolean =>
  error.code.startsWith('HPE_') ||
  /parse error: expected http|invalid http version|malformed response/i.test(error.message)

/** The version of a status line: what follows is HTTP, however badly. */
const startsAsHttp = ({ bytes }: Seen): boolean => /^HTTP\/\d/.test(bytes)

/** What Node's parser finds behind a status line; `HPE_INVALID_CONSTANT` and others also come before one. */
const afterStatusLine =
  /^HPE_(?:INVALID_(?:HEADER_TOKEN|CONTENT_LENGTH|TRANSFER_ENCODING|CHUNK_SIZE|STATUS)|UNEXPECTED_CONTENT_LENGTH|(?:LF|CR)_EXPECTED)$/

const gaveUp = (seen: Seen): boolean =>
  noAnswer(seen) &&
  // A page does not know how far its socket came.
  !seen.browser &&
  (seen.error.timedOut || /opening handshake has timed out/i.test(seen.error.message)) &&
  !stoppedAt(seen, 'nothing', 'dns') &&
  !reached(seen, 'open')

export const httpRows: readonly Row[] = rowsOf('http', [
  {
    code: 'http2_only',
    title: 'The server speaks HTTP/2 only',
    sees: '`HPE_INVALID_CONSTANT Expected HTTP/`; the first bytes are an HTTP/2 SETTINGS frame.',
    cause:
      'A WebSocket begins with HTTP/1.1, and the server expects HTTP/2 without TLS on that port (h2c, gRPC).',
    action: 'Use another port of the server, or enable HTTP/1.1.',
    retry: 'never',
    confusableWith: [
      {
        code: 'not_http',
        probe: 'Look at the first nine bytes: a SETTINGS frame has the type 4 on stream 0.',
      },
    ],
    matches: (seen) => seen.answer === undefined && isSettingsFrame(seen.bytes),
  },
  {
    code: 'answer_headers_too_big',
    title: 'The headers of the answer are too large',
    sees: '`Parse Error: Header overflow` (`HPE_HEADER_OVERFLOW`), after an answer that began as HTTP.',
    cause:
      'The server or a proxy sends more than 16 KiB of headers: cookies that pile up, a header that is added in a loop, or headers without an end.',
    action:
      'Look at the answer with `curl -sI`, and remove the header that grows. Do not raise the limit for a server that you do not know.',
    retry: 'never',
    confusableWith: [
      { code: 'answer_malformed', probe: 'Look at the error: an overflow is well-formed, and too long.' },
      {
        code: 'headers_too_big',
        probe: 'Look for a status: with 431, the headers of the request are too large.',
      },
    ],
    matches: (seen) => noAnswer(seen) && /^HPE_HEADER_OVERFLOW$/.test(seen.error.code),
  },
  {
    code: 'answer_malformed',
    title: 'The answer is HTTP that cannot be read',
    sees: '`Parse Error: Invalid header token` and the like (`HPE_...`); the first bytes are `HTTP/1.1`, and a header or the status behind them is malformed.',
    cause:
      'A program that writes its answers by hand, or a proxy that mixes up two answers. A header with a line break in its value is one, too.',
    action: 'Look at the bytes with `curl -si --raw`, and repair the program or the proxy that writes them.',
    retry: 'backoff',
    confusableWith: [
      { code: 'not_http', probe: 'Look at the first bytes: `HTTP/` and a version are this case.' },
      { code: 'answer_headers_too_big', probe: 'Look at the error: an overflow is the other case.' },
    ],
    matches: (seen) =>
      noAnswer(seen) &&
      notParsed(seen) &&
      (startsAsHttp(seen) || (seen.bytes === '' && afterStatusLine.test(seen.error.code))),
  },
  {
    code: 'not_http',
    title: 'The port does not speak HTTP',
    sees: '`Parse Error: Expected HTTP/` (`HPE_INVALID_CONSTANT`); the evidence has the first bytes, such as `SSH-2.0`.',
    cause: 'Another service listens on that port: SSH, a database, a mail server.',
    action: 'Compare the port with the gateway’s.',
    retry: 'never',
    confusableWith: [
      {
        code: 'http2_only',
        probe: 'Look at the first bytes: text of another protocol, or a SETTINGS frame.',
      },
      {
        code: 'answer_malformed',
        probe: 'Look at the first bytes: here they are not `HTTP/` and a version.',
      },
    ],
    matches: (seen) =>
      noAnswer(seen) &&
      (notParsed(seen) ||
        (seen.bytes.length >= 4 &&
          !/^HTTP/.test(seen.bytes) &&
          !seen.error.timedOut &&
          !reached(seen, 'open'))),
  },
  {
    code: 'http_stalled',
    title: 'The server began an answer and stopped',
    sees: '`Opening handshake has timed out`, after the first bytes of an HTTP answer.',
    cause: 'The server or a proxy hangs in the middle of its headers, or sends them very slowly.',
    action: 'Look at the server’s log and load; try without the proxy.',
    retry: 'backoff',
    confusableWith: [{ code: 'http_silent', probe: 'Count the received bytes: here there are some.' }],
    matches: (seen) => gaveUp(seen) && seen.bytes !== '',
  },
  {
    code: 'http_silent',
    title: 'The server accepts the connection and says nothing',
    sees: '`Opening handshake has timed out`, without a byte from the server.',
    cause: 'The program is stuck, it has no handler for upgrades, or the port waits for another protocol.',
    action: 'Send a plain GET to the same port: if it is answered, the server has no handler for upgrades.',
    retry: 'backoff',
    confusableWith: [
      { code: 'http_stalled', probe: 'Count the received bytes: here there are none.' },
      { code: 'tls_expected', probe: 'Send a TLS ClientHello to the same port.' },
    ],
    matches: gaveUp,
  },
  {
    code: 'http_closed',
    title: 'The server ended the connection without an answer',
    sees: '`socket hang up` (`ECONNRESET`), after the request and before any byte of an answer.',
    cause: 'The program closes connections that it does not want, crashed, or expects TLS on this port.',
    action: 'Look at the server’s log. With `ws://`, try `wss://`.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'tls_expected',
        probe: 'Send a TLS ClientHello to the same port: if it is answered, the port wants TLS.',
      },
      {
        code: 'tcp_reset',
        probe: 'Look at the error: a reset is a rejection, a regular end comes from the application.',
      },
    ],
    matches: (seen) =>
      noAnswer(seen) &&
      !reached(seen, 'open') &&
      (/socket hang up|other side closed|closed before (?:a|the) (?:full )?(?:response|header)|unexpected end|connection closed before message completed/i.test(
        seen.error.message,
      ) ||
        /^(?:ECONNRESET|UND_ERR_SOCKET|EPIPE)$/.test(seen.error.code)),
  },
])
