import { type Row, rowsOf } from '../row.ts'
import { type Seen, stoppedAt } from '../seen.ts'

/** Issuers that sign certificates on the way: products that inspect TLS. */
const inspectors =
  /zscaler|netskope|palo ?alto|fortinet|fortigate|blue ?coat|symantec web|cisco umbrella|umbrella root|sophos|forcepoint|mcafee web|trellix|check ?point|barracuda|watchguard|sonicwall|kaspersky|avast|avg web|eset ssl|bitdefender|mitmproxy|charles proxy|fiddler|portswigger|burp|menlo security|iboss|securly|goguardian|lightspeed|contentkeeper|smoothwall|cato networks|cloudflare gateway|gateway ca - cloudflare|do_not_trust/i

const untrusted =
  /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|CERT_UNTRUSTED|CERT_SIGNATURE_FAILURE)$/

const secure = ({ url }: Seen): boolean => url?.scheme === 'wss' || url?.scheme === 'https'

/** The code, or its words in the message of a runtime that has no codes. */
const says = ({ error }: Seen, code: RegExp, words: RegExp): boolean =>
  code.test(error.code) || words.test(error.message)

const alert = (seen: Seen, number: number, words: RegExp): boolean =>
  seen.tls.alert === number ||
  new RegExp(`\\balert number ${number}\\b`, 'i').test(seen.error.message) ||
  words.test(seen.error.code) ||
  words.test(seen.error.message)

/** RFC 8446 section 5.1: a content type from 20 to 23, then a version 3.x. */
const isTlsRecord = (bytes: string): boolean =>
  bytes.charCodeAt(0) >= 20 &&
  bytes.charCodeAt(0) <= 23 &&
  bytes.charCodeAt(1) === 3 &&
  bytes.charCodeAt(2) <= 4

const isUntrusted = (seen: Seen): boolean =>
  says(
    seen,
    untrusted,
    /self[- ]signed certificate|unable to verify the first certificate|unable to get (?:local )?issuer|unknown ?issuer|not trusted/i,
  )

const wrongName = (seen: Seen): boolean =>
  says(
    seen,
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    /does not match certificate'?s altnames|not ?valid ?for ?name/i,
  )

export const tlsRows: readonly Row[] = rowsOf('tls', [
  {
    code: 'tls_plain_port',
    title: 'The port does not speak TLS',
    sees: '`EPROTO ... wrong version number`, or `packet length too long`.',
    cause: 'The URL begins with `wss://`, and the server answers plain HTTP on that port.',
    action: 'Use `ws://` for this port, or put a proxy with TLS in front and use its port.',
    retry: 'never',
    matches: (seen) =>
      says(
        seen,
        /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)$/,
        /wrong version number|packet length too long|:http request\b|InvalidContentType|corrupt message of type/i,
      ),
  },
  {
    code: 'tls_expected',
    title: 'The port speaks TLS only',
    sees: '`ECONNRESET socket hang up` or 400 `The plain HTTP request was sent to HTTPS port`; a TLS ClientHello is answered.',
    cause: 'The URL begins with `ws://`, and the server expects TLS on that port.',
    action: 'Use `wss://`.',
    retry: 'never',
    confusableWith: [
      { code: 'http_closed', probe: 'Send a TLS ClientHello to the same port: only this case answers it.' },
    ],
    matches: (seen) =>
      !secure(seen) &&
      ((seen.answer === undefined && seen.probes.tls === 'answered') ||
        (seen.answer?.status === 400 &&
          /plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS server/i.test(
            seen.answer.body,
          )) ||
        isTlsRecord(seen.bytes)),
  },
  {
    code: 'tls_inspected',
    title: 'A product on the way replaces the certificate',
    sees: 'An untrusted certificate, or one for another name, issued by a security product or a company’s proxy.',
    cause:
      'A middlebox or a program on this computer inspects TLS and signs with its own certificate authority.',
    action:
      'Add that authority to the trust store of this client (`NODE_EXTRA_CA_CERTS`), or exempt the host from inspection.',
    retry: 'never',
    confusableWith: [
      { code: 'tls_untrusted', probe: 'Look at the issuer, or connect from a network without inspection.' },
      {
        code: 'tls_self_signed',
        probe: 'Look at the issuer: a self-signed certificate names the server itself.',
      },
    ],
    matches: (seen) => (isUntrusted(seen) || wrongName(seen)) && inspectors.test(seen.tls.issuer ?? ''),
  },
  {
    code: 'tls_self_signed',
    title: 'The certificate is self-signed',
    sees: '`DEPTH_ZERO_SELF_SIGNED_CERT`.',
    cause: 'The server signed its certificate itself, so that nothing shows that it is the right server.',
    action:
      'Use a certificate of a public authority, or give this client the certificate as `ca` (`NODE_EXTRA_CA_CERTS`). Do not switch verification off.',
    retry: 'never',
    confusableWith: [
      { code: 'tls_inspected', probe: 'Look at the issuer for the name of a security product.' },
    ],
    matches: (seen) =>
      says(
        seen,
        /^DEPTH_ZERO_SELF_SIGNED_CERT$/,
        /^(?!.*in certificate chain).*self[- ]signed certificate/i,
      ) && seen.error.code !== 'SELF_SIGNED_CERT_IN_CHAIN',
  },
  {
    code: 'tls_untrusted',
    title: 'The certificate’s authority is not trusted',
    sees: '`SELF_SIGNED_CERT_IN_CHAIN`, `UNABLE_TO_VERIFY_LEAF_SIGNATURE` or `UNABLE_TO_GET_ISSUER_CERT_LOCALLY`.',
    cause:
      'A private authority signed the certificate, or the server does not send the intermediate certificates.',
    action:
      'Let the server send the full chain; give a private authority to this client as `ca` (`NODE_EXTRA_CA_CERTS`).',
    retry: 'never',
    confusableWith: [
      { code: 'tls_inspected', probe: 'Look at the issuer for the name of a security product.' },
    ],
    matches: isUntrusted,
  },
  {
    code: 'tls_name_mismatch',
    title: 'The certificate is for another name',
    sees: '`ERR_TLS_CERT_ALTNAME_INVALID`, with the names that the certificate has.',
    cause:
      'The URL has a name or an address that the certificate does not list, or another server answers there.',
    action: 'Use a name of the certificate in the URL, or add this name to the certificate.',
    retry: 'never',
    confusableWith: [
      { code: 'tls_inspected', probe: 'Look at the issuer for the name of a security product.' },
    ],
    matches: wrongName,
  },
  {
    code: 'tls_expired',
    title: 'The certificate has expired',
    sees: '`CERT_HAS_EXPIRED`.',
    cause: 'The certificate was not renewed, or the clock of this computer is wrong.',
    action: 'Compare the date of this computer first. If it is right, renew the certificate.',
    retry: 'backoff',
    confusableWith: [
      { code: 'clock_skew', probe: 'Compare this computer’s date with the `Date` header of another server.' },
    ],
    matches: (seen) =>
      says(
        seen,
        /^CERT_HAS_EXPIRED$/,
        /certificate (?:has )?expired|CertificateExpired|invalid peer certificate: Expired/i,
      ) && seen.tls.alert === undefined,
  },
  {
    code: 'tls_not_yet_valid',
    title: 'The certificate is not valid yet',
    sees: '`CERT_NOT_YET_VALID`.',
    cause: 'The clock of this computer is behind; seldom, the certificate was made for later.',
    action: 'Set the clock of this computer.',
    retry: 'backoff',
    confusableWith: [
      { code: 'clock_skew', probe: 'Compare this computer’s date with the `Date` header of another server.' },
    ],
    matches: (seen) => says(seen, /^CERT_NOT_YET_VALID$/, /certificate is not yet valid|NotValidYet/i),
  },
  {
    code: 'tls_client_certificate',
    title: 'The server demands a client certificate',
    sees: '`ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED` (TLS alert 116), or alert 42 or 40 after a request for a certificate.',
    cause: 'The server or an edge with mutual TLS accepts only clients with a certificate that it knows.',
    action:
      'Give the client its certificate and key (`cert`, `key`), or connect to a name without mutual TLS.',
    retry: 'never',
    matches: (seen) => alert(seen, 116, /CERTIFICATE_REQUIRED|certificate required/i),
  },
  {
    code: 'tls_version',
    title: 'Client and server have no TLS version in common',
    sees: '`EPROTO ... tlsv1 alert protocol version` (TLS alert 70), or `unsupported protocol`.',
    cause: 'One side speaks only old versions, or the other accepts only newer ones.',
    action: 'Allow TLS 1.2 or newer on both sides.',
    retry: 'never',
    matches: (seen) =>
      alert(seen, 70, /alert[ _]protocol[ _]version|unsupported[ _]protocol|PeerIncompatible/i),
  },
  {
    code: 'tls_alpn',
    title: 'The server accepts HTTP/2 only',
    sees: '`EPROTO ... tlsv1 alert no application protocol` (TLS alert 120).',
    cause: 'A WebSocket begins with HTTP/1.1, and the server offers only `h2` in ALPN.',
    action: 'Enable HTTP/1.1 for this name on the server or the proxy.',
    retry: 'never',
    matches: (seen) => alert(seen, 120, /no[ _]application[ _]protocol|NoApplicationProtocol/i),
  },
  {
    code: 'tls_sni',
    title: 'The server does not know this name',
    sees: '`ECONNRESET ... before secure TLS connection was established`, or TLS alert 112 `unrecognized name`.',
    cause:
      'The name in the URL is not configured on the server or the proxy that owns the address. Some firewalls reset names that they forbid.',
    action: 'Check the name, and the server’s list of names (virtual hosts, certificates).',
    retry: 'never',
    confusableWith: [
      { code: 'tcp_reset', probe: 'Repeat the handshake with a name that the server certainly has.' },
    ],
    matches: (seen) =>
      alert(seen, 112, /unrecognized[ _]name/i) ||
      (/before secure TLS connection was established|tls handshake eof/i.test(seen.error.message) &&
        !seen.error.timedOut &&
        seen.reached !== 'nothing'),
  },
  {
    code: 'tls_silent',
    title: 'The TLS handshake was not answered',
    sees: 'TCP connects, and the time limit passes before TLS is established.',
    cause: 'The server is overloaded or stuck, or a firewall holds TLS back.',
    action: 'Try again; look at the server’s load, and at firewalls that inspect TLS.',
    retry: 'backoff',
    confusableWith: [{ code: 'http_silent', probe: 'See how far the attempt came: this one never had TLS.' }],
    matches: (seen) =>
      secure(seen) && seen.answer === undefined && seen.error.timedOut && stoppedAt(seen, 'tcp'),
  },
  {
    code: 'tls_failed',
    title: 'The TLS handshake failed',
    sees: 'Another error of TLS: `EPROTO`, `ERR_SSL_...` or an alert that has no page of its own.',
    cause: 'Client and server do not agree on the parameters of TLS; the evidence has the error.',
    action: 'Try `openssl s_client -connect host:port -servername host`, which prints the handshake.',
    retry: 'never',
    matches: ({ error, tls }) => /^(?:EPROTO$|ERR_SSL_|ERR_TLS_)/.test(error.code) || tls.alert !== undefined,
  },
])
