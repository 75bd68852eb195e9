import { type Row, rowsOf } from '../row.ts'
import { reached, type Seen, stoppedAt } from '../seen.ts'

const refused = ({ error }: Seen): boolean =>
  error.code === 'ECONNREFUSED' ||
  error.code === 'ConnectionRefused' ||
  /\bECONNREFUSED\b|connection refused/i.test(error.message)

const timedOut = (seen: Seen): boolean =>
  seen.answer === undefined &&
  (seen.error.code === 'ETIMEDOUT' || (seen.error.timedOut && stoppedAt(seen, 'dns'))) &&
  !reached(seen, 'tcp')

const tailscale = ({ url }: Seen): boolean => url?.host.endsWith('.ts.net') === true

/** Names of a tailnet resolve even if nothing serves them. */
export const tailscaleRows: readonly Row[] = rowsOf('tunnel', [
  {
    code: 'tailscale_down',
    title: 'The tailnet name resolves, and nothing serves it',
    sees: 'A host below `.ts.net` resolves; the TCP connection is refused or times out.',
    cause:
      'The computer is offline in the tailnet, `tailscale serve` or `tailscale funnel` does not run, or this computer is not in the tailnet.',
    action: 'Run `tailscale status` on both computers, and `tailscale serve status` on the server.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'tcp_refused',
        probe: 'Connect to the server’s own address: if that works, the tailnet is the problem.',
      },
    ],
    matches: (seen) => tailscale(seen) && (refused(seen) || timedOut(seen)),
  },
])

export const tcpRows: readonly Row[] = rowsOf('tcp', [
  {
    code: 'tcp_refused',
    title: 'Nothing listens on that port',
    sees: '`connect ECONNREFUSED 192.0.2.1:8787`.',
    cause: 'The server does not run, listens on another port, or listens on loopback only.',
    action: 'Start the server, and compare its port and its listening address with the URL.',
    retry: 'backoff',
    matches: refused,
  },
  {
    code: 'tcp_unreachable',
    title: 'There is no route to the server',
    sees: '`connect EHOSTUNREACH` or `ENETUNREACH`.',
    cause:
      'The address belongs to a network that this computer cannot reach: another LAN, a VPN, or IPv6 without IPv6.',
    action: 'Check the address, the VPN and the routes of this computer.',
    retry: 'backoff',
    confusableWith: [
      { code: 'offline', probe: 'Open any other site: if none answers, it is this computer’s network.' },
    ],
    matches: ({ error }) =>
      /^(?:EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|EADDRNOTAVAIL)$/.test(error.code) ||
      /\b(?:EHOSTUNREACH|ENETUNREACH)\b|no route to host|network is unreachable/i.test(error.message),
  },
  {
    code: 'tcp_timeout',
    title: 'The server does not answer at all',
    sees: '`connect ETIMEDOUT`, or the client’s own time limit, with no TCP connection.',
    cause: 'A firewall drops the packets, or the computer behind the address is off.',
    action:
      'Allow the port in the firewalls and security groups on the way, and check that the computer is on.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'tcp_refused',
        probe: 'A refusal comes at once, a time-out after many seconds: measure the time.',
      },
    ],
    matches: timedOut,
  },
  {
    code: 'tcp_reset',
    title: 'The connection was reset before anything was said',
    sees: '`connect ECONNRESET` or `read ECONNRESET`, at once and without a byte from the server.',
    cause:
      'A firewall or an overloaded server rejects connections, or a service behind a port forwarding is gone.',
    action: 'Check the port forwarding, the firewall, and the log of the server at that moment.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'http_closed',
        probe: 'A reset is a rejection; a regular end (`socket hang up`) comes from the application.',
      },
      { code: 'tls_expected', probe: 'Send a TLS ClientHello to the same port.' },
    ],
    matches: ({ error, url, reached: last, answer, bytes, probes, close }) =>
      answer === undefined &&
      close === undefined &&
      bytes === '' &&
      probes.tls !== 'answered' &&
      (error.code === 'ECONNRESET' || error.code === 'EPIPE' || error.code === 'ECONNABORTED') &&
      !/socket hang up|before secure TLS/i.test(error.message) &&
      !((url?.scheme === 'wss' || url?.scheme === 'https') && (last === 'tls' || last === 'http')),
  },
])
