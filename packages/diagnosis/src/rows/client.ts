import { type Row, rowsOf } from '../row.ts'

/** Decisions of the client itself. */
export const clientRows: readonly Row[] = rowsOf('client', [
  {
    code: 'aborted',
    severity: 'info',
    title: 'The application stopped the attempt',
    sees: 'The attempt ends with the reason of an `AbortSignal`, or because `close()` was called.',
    cause: 'The application gave up before the server answered.',
    action: 'Nothing, if that was meant. Otherwise look for the code that aborts the signal.',
    retry: 'never',
    matches: ({ error }) => error.aborted || error.name === 'AbortError' || error.code === 'ABORT_ERR',
  },
  {
    code: 'offline',
    title: 'This computer has no network',
    sees: 'The browser or the system reports that it is offline, or every network is unreachable.',
    cause: 'No network interface is connected, so no server was asked.',
    action: 'Connect to a network. The attempt can be repeated as soon as there is one.',
    retry: 'backoff',
    confusableWith: [
      { code: 'tcp_unreachable', probe: 'Open any other site: if none answers, it is the network.' },
    ],
    matches: ({ probes, error, answer }) =>
      answer === undefined && (probes.offline || error.code === 'ENETDOWN'),
  },
  {
    code: 'credential_unavailable',
    title: 'The client has no credential to send',
    sees: 'No attempt is made: the function of the application that fetches the credential failed.',
    cause:
      'The function threw or rejected: a login that is over, a file that is missing, a server of tokens that is away.',
    action:
      'Look at the exception of that function; the client does not show it, because it may hold a secret.',
    retry: 'backoff',
    matches: ({ error }) => error.code === 'credential_unavailable',
  },
  {
    code: 'edge_secret_over_plain',
    title: 'The service token was not sent, because the URL is not encrypted',
    sees: 'The client refuses to connect: `ws://` or `http://` to another computer, with a service token.',
    cause: 'Without TLS, every computer on the way could read the secret of the service token.',
    action: 'Use `wss://`. Only loopback addresses may be plain.',
    retry: 'never',
    matches: ({ error }) => error.code === 'edge_secret_over_plain',
  },
  {
    code: 'address_not_allowed',
    title: 'The client may not connect to this address',
    sees: 'No connection is opened: the address, or every address of the name, is not one that the application allows.',
    cause:
      'The address is inside a network (loopback, private, link-local, reserved), and this client connects to public addresses only. Otherwise, a URL that a user gives it could lead it to servers inside.',
    action:
      'Use the public address of the server. If the server is meant to be inside, allow its address in the settings of the application that connects.',
    retry: 'never',
    matches: ({ error }) => error.code === 'address_not_allowed',
  },
  {
    code: 'credential_over_plain',
    title: 'The credential was not sent, because the URL is not encrypted',
    sees: 'The client refuses to connect: `ws://` to another computer, with a token, a password, a pairing code, or headers such as `Authorization` and `Cookie`. The evidence says which of them.',
    cause:
      'Without TLS, every computer on the way could read the credential and use it, also after this connection.',
    action:
      'Use `wss://`. On a private network whose gateway has no TLS, prove a device key, which is not sent; or accept the risk with the option `dangerouslySendCredentialsOverPlain`.',
    retry: 'never',
    matches: ({ error }) => error.code === 'credential_over_plain',
  },
  {
    code: 'access_unverified',
    title: 'The user’s token was not sent, because the server did not prove that it is for it',
    sees: 'The client refuses to send a user’s token of Cloudflare Access. The evidence says what is missing: metadata, their signature, the host, the team, or the application.',
    cause:
      'The host is not protected by Access, its team or application is another one than the token’s or the expected one, or a server tries to get a token that is for another one.',
    action:
      'Compare the URL with the one of `cloudflared access login`, and log in for this host. If a team or an AUD tag is configured, ask the operator for the right one over another way.',
    retry: 'never',
    confusableWith: [
      {
        code: 'clock_skew',
        probe:
          'Compare this computer’s date with the `Date` header of another server: metadata count for a day.',
      },
    ],
    matches: ({ error }) => error.code === 'access_unverified',
  },
  {
    code: 'tls_pin_mismatch',
    title: 'The certificate is not the one that this client is pinned to',
    sees: 'TLS succeeds, and the client refuses the fingerprint of the certificate.',
    cause: 'The server has a new certificate, or another server answered in its place.',
    action:
      'Ask the operator for the new fingerprint over another way, and compare it. Do not copy the fingerprint that the client prints.',
    retry: 'never',
    confusableWith: [
      {
        code: 'tls_inspected',
        probe: 'Look at the issuer: the name of a security product means inspection.',
      },
    ],
    matches: ({ error }) =>
      /^(?:ERR_TLS_)?(?:CERT_)?PIN(?:NED)?_MISMATCH$|^CERT_FINGERPRINT_MISMATCH$|^tls_pin_mismatch$/i.test(
        error.code,
      ) || /fingerprint (?:mismatch|does not match)/i.test(error.message),
  },
])

/** The client ended an open socket itself. */
export const silentPeerRows: readonly Row[] = rowsOf('client', [
  {
    code: 'silent_peer',
    title: 'The client closed the connection, because the server was silent for too long',
    sees: 'Close code 4000 with a reason such as `tick timeout`, sent by the client itself.',
    cause: 'No heartbeat arrived: the network lost the connection without an end, or the server is blocked.',
    action:
      'Let the client connect again. If it happens often, look at the server’s load and at idle limits on the way.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'idle_cut',
        probe: 'Compare the times: an idle limit ends connections after always the same silence.',
      },
    ],
    matches: ({ close }) => close?.code === 4000,
  },
])
