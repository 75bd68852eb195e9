import { type Row, rowsOf } from '../row.ts'

/** The codes of a gate, with the layer's row for each: their causes and remedies are those of docs/errors.md. */
type Text = readonly [code: Row['code'], title: string, cause: string, action: string, retry: Row['retry']]

function refusals(layer: Row['layer'], texts: readonly Text[]): readonly Row[] {
  return rowsOf(
    layer,
    texts.map(([code, title, cause, action, retry]) => ({
      code,
      title,
      sees: `\`Upgate-Refusal: ${code}\` over HTTP; the code \`${code}\` in the protocol’s error frame, or the close reason \`${code}\`.`,
      cause,
      action,
      retry,
      matches: (seen) => seen.refusal === code,
    })),
  )
}

/** The gate refused the identity, or its permission. */
export const authRows: readonly Row[] = refusals('origin-auth', [
  [
    'auth_required',
    'The gate wants a credential',
    'No credential was sent, or only cookies that do not count here: stale, or without an allowed Origin.',
    'Log in, or send a key or token that the path accepts.',
    'after_new_credential',
  ],
  [
    'invalid_credential',
    'The gate does not accept the credential',
    'The credential is wrong, malformed, or of a kind that no scheme of this gate knows.',
    'Copy the credential again, completely. If it is right, it belongs to another server.',
    'after_new_credential',
  ],
  [
    'expired_credential',
    'The credential has expired',
    'The secret was right, and its time is over.',
    'Log in again, or create a new credential.',
    'after_new_credential',
  ],
  [
    'revoked_credential',
    'The credential was revoked',
    'The secret was right, and an administrator revoked it.',
    'Ask an administrator for a new one.',
    'after_new_credential',
  ],
  [
    'account_disabled',
    'The account is disabled',
    'The account behind the credential is disabled.',
    'Ask an administrator to enable it.',
    'never',
  ],
  [
    'setup_required',
    'The gateway has no account yet',
    'It was just installed: no login is possible before the first account exists.',
    'Open the setup page of the gateway.',
    'after_new_credential',
  ],
  [
    'unknown_identity',
    'No account belongs to this identity',
    'An external login proved an identity that no account has. Accounts are not created automatically.',
    'Ask an administrator to create an account with that email address.',
    'never',
  ],
  [
    'handshake_timeout',
    'The credential came too late',
    'The socket sent no credential in time after the 101.',
    'Send the credential as soon as the socket opens; check that the client’s handshake is the path’s.',
    'backoff',
  ],
  [
    'kind_not_allowed',
    'The credential is of the wrong kind for this path',
    'A device token on a path for users, a cookie on a path for devices, or a path without a rule.',
    'Use the right kind of credential, or list the kind in the rule’s `kinds`.',
    'never',
  ],
  [
    'scheme_not_allowed',
    'The path does not take this kind of proof',
    'The rule names `schemes` without the one that verified this credential.',
    'Use a credential of a named scheme; the operator’s note lists them.',
    'never',
  ],
  [
    'insufficient_scope',
    'The credential lacks a scope',
    'The credential’s record does not hold a scope that the rule demands.',
    'Create a credential that holds the scope.',
    'never',
  ],
  [
    'role_required',
    'The principal lacks a role',
    'The principal has none of the roles that the rule demands.',
    'Ask an administrator for the role.',
    'never',
  ],
  [
    'principal_mismatch',
    'Two credentials prove two principals',
    'HTTP proved one principal and the first frame another, or a renewal came from another principal.',
    'Send one credential only.',
    'never',
  ],
  [
    'edge_mismatch',
    'The edge’s identity does not belong to the credential',
    'The rule demands that both agree, and they do not.',
    'Pass the edge with the identity that belongs to the credential.',
    'never',
  ],
  [
    'external_login',
    'The built-in login is closed',
    'An external login such as Cloudflare Access replaces it.',
    'Open the application through its public address.',
    'never',
  ],
  [
    'origin_refused',
    'The gate does not allow the page’s origin',
    'A page of another origin opened the socket or sent an unsafe request.',
    'Add the exact scheme, host and port to `origins`, if the page is yours.',
    'never',
  ],
  [
    'host_refused',
    'The gate does not know this host',
    'The `Host` header is none of the allowed hosts; a proxy may have replaced it.',
    'Use the public address, or let the proxy keep `Host`.',
    'never',
  ],
  [
    'too_many_failures',
    'Too many wrong credentials',
    'Too many wrong passwords, codes or short tokens, for this account and address.',
    'Wait as long as the server says.',
    'backoff',
  ],
  [
    'too_many_sockets',
    'Too many unauthenticated sockets from this address',
    'This address already has the largest allowed number of sockets without a credential.',
    'Look for a client that reconnects in a loop, and for a proxy that is not in `trustedProxies`.',
    'backoff',
  ],
  [
    'over_capacity',
    'The gate is full',
    'A limit over all clients is reached.',
    'Wait as long as the server says.',
    'backoff',
  ],
  [
    'unavailable',
    'The gate could not verify the credential',
    'Its store or key set did not answer. The credential may be good.',
    'Try again later; the server’s log has the reason.',
    'backoff',
  ],
  [
    'too_many_frames',
    'Too many frames before the credential was verified',
    'The client sent more than the quarantine takes.',
    'Wait for the answer before sending more.',
    'backoff',
  ],
  [
    'too_big',
    'Too many bytes before the credential was verified',
    'The first frames were larger than the quarantine takes.',
    'Send the credential in a small first frame.',
    'never',
  ],
])

export const pairingRows: readonly Row[] = refusals('origin-pairing', [
  [
    'pairing_required',
    'The device waits for approval',
    'The device proved its key, and its pairing request is pending.',
    'Compare the code on both screens, and approve the request on the server. The device then gets in by itself.',
    'backoff',
  ],
  [
    'pairing_rejected',
    'The pairing request was rejected',
    'An administrator rejected it.',
    'Ask the administrator for the reason; then start again.',
    'never',
  ],
  [
    'pairing_full',
    'Too many pairing requests are pending',
    'The quota of pending requests is used up.',
    'Approve, reject, or wait until they expire.',
    'backoff',
  ],
])

export const requestRows: readonly Row[] = refusals('protocol', [
  [
    'malformed_target',
    'The gate cannot read the path',
    'The target is not an absolute path, or has broken encoding.',
    'Correct the URL.',
    'never',
  ],
  [
    'ambiguous_target',
    'The path can be read in two ways',
    'Servers read it differently, and different rules would apply.',
    'Send the path in its canonical form.',
    'never',
  ],
  [
    'duplicate_header',
    'A header was sent twice',
    '`Authorization`, `Host`, `Origin` or a key header is there twice.',
    'Send it once; look for a proxy that adds it again.',
    'never',
  ],
  [
    'multiple_credentials',
    'Two credentials were sent',
    'The request has two explicit credentials.',
    'Send one.',
    'never',
  ],
  [
    'malformed_upgrade',
    'The WebSocket handshake is malformed',
    'The upgrade violates RFC 6455 section 4.1, or has a body.',
    'Use a WebSocket client; look for a proxy that changes the headers.',
    'never',
  ],
  [
    'unsupported_upgrade',
    'The gate does not speak this protocol',
    '`Upgrade` asks for another protocol or version than WebSocket 13.',
    'Update the client.',
    'never',
  ],
  [
    'upgrade_required',
    'The path accepts WebSockets only',
    'The request was plain HTTP.',
    'Connect with a WebSocket client.',
    'never',
  ],
  [
    'unknown_path',
    'The gate has no WebSocket on this path',
    'No WebSocket server owns the path.',
    'Check the path.',
    'never',
  ],
  [
    'method_refused',
    'The gate refuses this method',
    '`CONNECT`, `TRACE` and undefined methods are refused everywhere.',
    'Use another method.',
    'never',
  ],
  [
    'bad_handshake',
    'The gate did not understand the first frame',
    'The first frames do not follow the path’s protocol.',
    'Choose the `handshake` that the path speaks.',
    'never',
  ],
])

/** Ends of accepted sockets. */
export const endedRows: readonly Row[] = rowsOf('origin-auth', [
  ...(
    [
      [
        'auth_expired',
        'The credential expired while the socket was open',
        'The credential’s time is over.',
        'Renew the credential before it expires, or connect with a new one.',
        'after_new_credential',
      ],
      [
        'revoked',
        'The credential was revoked while the socket was open',
        'An administrator or the owner revoked it.',
        'Ask for a new one.',
        'after_new_credential',
      ],
      [
        'narrowed',
        'The credential’s rights were reduced',
        'Its scopes, roles or expiry were changed.',
        'Connect again, if the remaining rights suffice.',
        'backoff',
      ],
      [
        'disabled',
        'The account was disabled while the socket was open',
        'An administrator disabled it.',
        'Ask an administrator.',
        'never',
      ],
      ['logged_out', 'The session ended', 'The user logged out.', 'Log in again.', 'after_new_credential'],
      [
        'rotated',
        'The credential was replaced',
        'A newer secret replaced this one.',
        'Connect with the newer secret.',
        'after_new_credential',
      ],
    ] as const satisfies readonly Text[]
  ).map(([code, title, cause, action, retry]) => ({
    code,
    title,
    sees: `Close code 4401 or 4403 with the reason \`${code}\`, on an accepted socket.`,
    cause,
    action,
    retry,
    matches: ({ close }: { close: { code: number; reason: string } | undefined }) => close?.reason === code,
  })),
])

/** Before the refusals: a right credential that only the clock makes wrong. */
export const clockRows: readonly Row[] = rowsOf('client', [
  {
    code: 'clock_skew',
    title: 'The clocks of client and server differ',
    sees: '`DEVICE_AUTH_SIGNATURE_EXPIRED`, `expired_credential` with the server’s time, or for a credential that was just issued. Or the `Date` of the answer is more than five minutes away from this clock.',
    cause: 'A proof or a fresh credential looks expired, because one clock is wrong by minutes.',
    action: 'Set both clocks (NTP). A virtual machine that was asleep is often behind.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'expired_credential',
        probe: 'Compare this computer’s time with the `Date` header of the server.',
      },
    ],
    matches: ({ said, refusal, times, answer }) =>
      (answer === undefined &&
        times.server !== undefined &&
        times.at !== undefined &&
        Math.abs(times.at - times.server) > 300_000) ||
      said?.code === 'DEVICE_AUTH_SIGNATURE_EXPIRED' ||
      (refusal === 'expired_credential' && said?.serverTime === true) ||
      ((refusal === 'expired_credential' || refusal === 'auth_expired') &&
        times.credentialAge !== undefined &&
        times.credentialAge < 300_000),
  },
])

/** Words of a gate or gateway that this table does not know: a newer one, or another kind. */
export const otherWordsRows: readonly Row[] = rowsOf('origin-auth', [
  {
    code: 'device_proof_refused',
    title: 'The gateway does not accept the device’s proof',
    sees: 'A `res` with a `DEVICE_AUTH_...` or `DEVICE_IDENTITY_...` code.',
    cause:
      'The key, the nonce or the signed text does not match; often a proxy answered the challenge of another gateway.',
    action: 'Pair the device again. Behind a front, let the front hand on the gateway’s own nonce.',
    retry: 'never',
    matches: ({ said }) => /^(?:DEVICE_AUTH|DEVICE_IDENTITY|CONTROL_UI_DEVICE)_/.test(said?.code ?? ''),
  },
  {
    code: 'gate_refused',
    title: 'The gate refused with a code that this version does not know',
    sees: '`Upgate-Refusal` with an unknown code, or an error frame of the protocol with one.',
    cause: 'The server is newer than this client; the evidence has its words.',
    action: 'Follow the server’s words, and update the client.',
    retry: 'never',
    matches: ({ answer, said, close }) =>
      answer?.marker !== undefined || (said !== undefined && close !== undefined && close.code !== 1006),
  },
])
