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
