import { type Row, rowsOf } from '../row.ts'
import { reached, type Seen } from '../seen.ts'

const error = ({ error: { code, message } }: Seen, codes: RegExp, words?: RegExp): boolean =>
  codes.test(code) || words?.test(message) === true

/** For errors that have no code in any runtime. */
const says = (seen: Seen, words: RegExp): boolean => words.test(seen.error.message)

/** Faults of a 101, and of the frames after it. */
export const webSocketRows: readonly Row[] = rowsOf('protocol', [
  {
    code: 'ws_bad_accept',
    title: 'The answer to the handshake is not for this request',
    sees: '`Invalid Sec-WebSocket-Accept header`.',
    cause: 'A cache or proxy repeated the 101 of another request, or the server computes the value wrongly.',
    action: 'Exempt the path from caching, and let the proxy pass WebSockets through.',
    retry: 'never',
    matches: (seen) =>
      error(
        seen,
        /^ERR_WS_ACCEPT$/,
        /invalid sec-websocket-accept|incorrect 'sec-websocket-accept'|websocket-accept.*mismatch/i,
      ),
  },
  {
    code: 'ws_no_subprotocol',
    title: 'The server chose none of the offered subprotocols',
    sees: '`Server sent no subprotocol`.',
    cause: 'The server does not know the offered names. A ticket alone is never chosen: it is a secret.',
    action: 'Offer a name that the server knows; next to a ticket, offer a real name as well.',
    retry: 'never',
    matches: (seen) =>
      says(seen, /server sent no subprotocol|non-empty 'sec-websocket-protocol' header but no response/i),
  },
  {
    code: 'ws_foreign_subprotocol',
    title: 'The server chose a subprotocol that was not offered',
    sees: '`Server sent a subprotocol but none was requested`, or `Server sent an invalid subprotocol`.',
    cause: 'The server selects a fixed name, whatever the client offers.',
    action: 'Offer the subprotocol that the server selects; the evidence has it.',
    retry: 'never',
    matches: (seen) =>
      says(
        seen,
        /sent a subprotocol but none was requested|invalid subprotocol|response must not include 'sec-websocket-protocol'/i,
      ),
  },
  {
    code: 'ws_foreign_extension',
    title: 'The server uses an extension that was not offered',
    sees: '`Server sent a Sec-WebSocket-Extensions header but no extension was requested`, or `indicated an extension that was not requested`.',
    cause: 'A proxy removed the client’s offer, or the server compresses unasked.',
    action: 'Let the proxy pass `Sec-WebSocket-Extensions`, or switch compression off on the server.',
    retry: 'never',
    matches: (seen) =>
      says(
        seen,
        /extension that was not requested|but no extension was requested|invalid sec-websocket-extensions/i,
      ),
  },
  {
    code: 'ws_html_after_101',
    title: 'Text follows the 101 in place of frames',
    sees: '`WS_ERR_UNEXPECTED_RSV_2_3`: the first byte after the 101 is `<` or another letter.',
    cause: 'A proxy or the application writes an error page into the upgraded connection.',
    action:
      'Look at the log of the server and the proxy at that moment: something failed right after the 101.',
    retry: 'backoff',
    matches: (seen) => error(seen, /^WS_ERR_UNEXPECTED_RSV_2_3$/, /RSV2 and RSV3 must be clear/i),
  },
  {
    code: 'ws_masked',
    title: 'The server masks its frames',
    sees: '`WS_ERR_UNEXPECTED_MASK`.',
    cause:
      'The other end behaves like a client: the connection leads to another client, or its library is wrong.',
    action: 'Check what the port or the tunnel leads to.',
    retry: 'never',
    matches: (seen) => error(seen, /^WS_ERR_UNEXPECTED_MASK$/, /MASK must be clear/),
  },
  {
    code: 'ws_bad_utf8',
    title: 'A text frame is not UTF-8',
    sees: '`WS_ERR_INVALID_UTF8`, or close code 1007.',
    cause: 'The server sends binary data as text, or a proxy damages the data.',
    action: 'Send binary data in binary frames.',
    retry: 'backoff',
    matches: (seen) =>
      error(seen, /^WS_ERR_INVALID_UTF8$/, /invalid UTF-8 sequence/i) || seen.close?.code === 1007,
  },
  {
    code: 'ws_compressed_unasked',
    title: 'A frame is compressed without an agreement',
    sees: '`WS_ERR_UNEXPECTED_RSV_1`.',
    cause: 'A proxy removed `Sec-WebSocket-Extensions` from the 101, while the server compresses.',
    action: 'Let the proxy pass the header, or switch permessage-deflate off on the server.',
    retry: 'backoff',
    matches: (seen) => error(seen, /^WS_ERR_UNEXPECTED_RSV_1$/, /RSV1 must be clear/),
  },
  {
    code: 'ws_bad_close_code',
    title: 'The server closed with a code that does not exist',
    sees: '`WS_ERR_INVALID_CLOSE_CODE`.',
    cause: 'The application passes a number such as 0 or 1005 to `close`.',
    action: 'Correct the close code of the application.',
    retry: 'backoff',
    matches: (seen) =>
      error(seen, /^WS_ERR_INVALID_CLOSE_CODE$/, /invalid status code \d+/i) && seen.answer === undefined,
  },
  {
    code: 'ws_message_too_big',
    title: 'A message is larger than the limit',
    sees: '`WS_ERR_UNSUPPORTED_MESSAGE_LENGTH` or `Max payload size exceeded` here, or close code 1009 from the server.',
    cause: 'One side sent more than the other accepts in one message (`maxPayload`).',
    action: 'Send smaller messages, or raise `maxPayload` on the receiving side.',
    retry: 'never',
    confusableWith: [
      {
        code: 'too_big',
        probe: 'Read the close reason: `too_big` is the gate’s limit before the credential.',
      },
    ],
    matches: (seen) =>
      error(seen, /^WS_ERR_UNSUPPORTED_(?:MESSAGE|DATA_PAYLOAD)_LENGTH$/, /max payload size exceeded/i) ||
      seen.close?.code === 1009,
  },
  {
    code: 'ws_protocol_error',
    title: 'The frames do not follow the WebSocket protocol',
    sees: 'Another `WS_ERR_...`, or close code 1002 or 1003.',
    cause: 'A library or a proxy damages frames, or the two sides disagree on what may be sent.',
    action:
      'Connect without the proxy; if it is the same, update the library of the side that is named in the evidence.',
    retry: 'never',
    matches: ({ error: { code }, close }) =>
      /^WS_ERR_/.test(code) || close?.code === 1002 || close?.code === 1003,
  },
])

/** Close codes without words of the protocol. After the refusals. */
export const closeRows: readonly Row[] = rowsOf('protocol', [
  {
    code: 'close_bad_handshake',
    title: 'The server did not understand the first frame',
    sees: 'Close code 4400, 4004, 4005 or 4006 without a known reason.',
    cause: 'The path expects another protocol than the client speaks.',
    action: 'Compare the client’s `handshake` with the path’s.',
    retry: 'never',
    confusableWith: [{ code: 'bad_handshake', probe: 'Read the close reason: `bad_handshake` is a gate’s.' }],
    matches: ({ close }) => close !== undefined && [4400, 4004, 4005, 4006].includes(close.code),
  },
  {
    code: 'close_timeout',
    title: 'The server waited in vain for the credential',
    sees: 'Close code 4408 without a known reason.',
    cause: 'The first frame came too late, or not at all.',
    action: 'Send the first frame as soon as the socket opens.',
    retry: 'backoff',
    confusableWith: [
      { code: 'handshake_timeout', probe: 'Read the close reason: `handshake_timeout` is a gate’s.' },
    ],
    matches: ({ close }) => close?.code === 4408,
  },
  {
    code: 'ended_without_reason',
    title: 'The server ended the socket before it accepted the client',
    sees: 'Close code 1000 or 1005 without a reason, before any acknowledgement.',
    cause: 'Older gateways end a handshake so that took too long, or that they did not understand.',
    action: 'Send the first frame at once, and update the gateway: newer ones name a reason.',
    retry: 'backoff',
    confusableWith: [
      { code: 'closed_normally', probe: 'See whether the server had accepted the client before.' },
    ],
    matches: ({ close, accepted }) =>
      !accepted && (close?.code === 1000 || close?.code === 1005) && close.reason === '',
  },
])

/** Before the refusals that a code names. */
export const mismatchRows: readonly Row[] = rowsOf('protocol', [
  {
    code: 'protocol_mismatch',
    title: 'Client and server have no protocol version in common',
    sees: 'A `res` with `PROTOCOL_MISMATCH`, and close code 1002.',
    cause: 'One side is older than the other.',
    action: 'Update the older side.',
    retry: 'never',
    matches: ({ said }) => said?.code === 'PROTOCOL_MISMATCH',
  },
])

/** A 101 that is none. */
export const badAnswerRows: readonly Row[] = rowsOf('protocol', [
  {
    code: 'ws_bad_101',
    title: 'The 101 lacks the `Upgrade` header',
    sees: 'Status 101 without `Upgrade: websocket`, reported as `unexpected-response 101` or `Invalid Upgrade header`.',
    cause: 'A proxy removed `Upgrade` and `Connection` from the answer.',
    action: 'Let the proxy pass the headers of the 101.',
    retry: 'never',
    matches: (seen) =>
      says(seen, /invalid upgrade header|unexpected-response 101/i) ||
      (seen.upgraded !== undefined &&
        !reached(seen, 'open') &&
        !/websocket/i.test(seen.upgraded.header('upgrade'))),
  },
])
