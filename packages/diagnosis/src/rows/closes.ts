import { type Row, rowsOf } from '../row.ts'

/** Close codes without a known reason: the code alone has to do. */
export const closeCodeRows: readonly Row[] = rowsOf('origin-auth', [
  {
    code: 'close_unauthorized',
    title: 'The server does not accept the credential',
    sees: 'Close code 4401 or 3000 without a known reason.',
    cause: 'The credential is missing, wrong or expired; the server does not say which.',
    action: 'Fetch a new credential, and connect again.',
    retry: 'after_new_credential',
    confusableWith: [{ code: 'invalid_credential', probe: 'Read the close reason and the frame before it.' }],
    matches: ({ close }) => close?.code === 4401 || close?.code === 3000,
  },
  {
    code: 'close_forbidden',
    title: 'The server does not let this principal in',
    sees: 'Close code 4403 or 3003 without a known reason.',
    cause: 'The principal is known, and has no access.',
    action: 'Ask an administrator of the server.',
    retry: 'never',
    matches: ({ close }) => close?.code === 4403 || close?.code === 3003,
  },
  {
    code: 'close_policy',
    title: 'The server closed the socket for its policy',
    sees: 'Close code 1008 with a reason that has no page of its own.',
    cause: 'Gateways that speak `connect` use 1008 for every refusal: credential, pairing and origin.',
    action: 'Read the reason and the `res` frame before it.',
    retry: 'never',
    confusableWith: [
      {
        code: 'invalid_credential',
        probe: 'Read the `res` frame before the close: its details have the code.',
      },
      {
        code: 'pairing_required',
        probe: 'Read the `res` frame before the close: its details have the code.',
      },
    ],
    matches: ({ close }) => close?.code === 1008,
  },
  {
    code: 'close_too_many',
    title: 'Too much or too often',
    sees: 'Close code 4429 without a known reason.',
    cause: 'A rate limit of the server.',
    action: 'Wait 30 seconds or more, and look for a client that reconnects in a loop.',
    retry: 'backoff',
    confusableWith: [{ code: 'too_many_failures', probe: 'Read the close reason.' }],
    matches: ({ close }) => close?.code === 4429,
  },
  {
    code: 'close_try_later',
    title: 'The server cannot take the client now',
    sees: 'Close code 1013 without a known reason.',
    cause: 'The server is starting, is full, or its verifier is down. The credential may be good.',
    action: 'Wait as long as the server says, and try again.',
    retry: 'backoff',
    confusableWith: [{ code: 'unavailable', probe: 'Read the close reason: `unavailable` is a gate’s.' }],
    matches: ({ close }) => close?.code === 1013,
  },
  {
    code: 'close_internal_error',
    title: 'The server’s application failed',
    sees: 'Close code 1011.',
    cause: 'The handler of the socket threw an exception.',
    action: 'Look at the server’s log at that moment.',
    retry: 'backoff',
    matches: ({ close }) => close?.code === 1011,
  },
  {
    code: 'credentials_changed',
    title: 'The server wants the client to authenticate again',
    sees: 'Close code 4001.',
    cause: 'The credentials were rotated (OpenClaw), or the token has expired (Liveblocks).',
    action: 'Fetch a new credential, and connect again.',
    retry: 'after_new_credential',
    matches: ({ close }) => close?.code === 4001,
  },
  {
    code: 'centrifuge_no_credentials',
    title: 'A centrifuge server got no credentials',
    sees: 'Close code 3501 (`bad request`); the server’s log says "credentials not found".',
    cause: 'The connect command had no token, and no proxy authenticated the client.',
    action: 'Send a connection token, or configure the connect proxy.',
    retry: 'after_new_credential',
    matches: ({ close }) => close?.code === 3501,
  },
  {
    code: 'close_without_retry',
    title: 'The server closed for good',
    sees: 'Close code 4999.',
    cause: 'Liveblocks and centrifuge end sockets so that shall not come back.',
    action: 'Read the reason.',
    retry: 'never',
    matches: ({ close }) => close?.code === 4999,
  },
  {
    code: 'close_terminal',
    title: 'The server closed with a terminal code',
    sees: 'Close codes 3500 to 3999 and 4500 to 4998.',
    cause: 'In the centrifuge protocol these codes mean: do not reconnect.',
    action: 'Read the reason, and the server’s documentation of the code.',
    retry: 'never',
    matches: ({ close }) =>
      close !== undefined &&
      ((close.code >= 3500 && close.code < 4000) || (close.code >= 4500 && close.code < 4999)),
  },
])

/** Behind an edge, a closed socket may be the edge's word. */
export const edgeCloseRows: readonly Row[] = rowsOf('edge-error', [
  {
    code: 'close_bad_gateway',
    title: 'The server behind the edge was lost',
    sees: 'Close code 1014.',
    cause: 'A gateway or proxy that ends the WebSocket itself lost its server.',
    action: 'Look at the server behind the gateway, and let the client connect again.',
    retry: 'backoff',
    matches: ({ close }) => close?.code === 1014,
  },
])

/** A close code of an application that has no meaning here; before the network's. */
export const applicationCloseRows: readonly Row[] = rowsOf('protocol', [
  {
    code: 'close_application',
    title: 'The application closed the socket with a code of its own',
    sees: 'Another close code from 3000 to 4999.',
    cause: 'The meaning is the application’s.',
    action: 'Read the reason, and the application’s documentation.',
    retry: 'backoff',
    matches: ({ close }) => close !== undefined && close.code >= 3000 && close.code <= 4999,
  },
])
