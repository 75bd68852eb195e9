import { createServer as createHttpsServer } from 'node:https'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { wsTransport } from '@upgate/client'
import { certificate } from '../certificates.ts'
import type { Situation, Started } from '../situation.ts'
import { at, listen, type Stage } from '../stage.ts'

/** Long enough to get as far as the silence on a busy machine: twenty situations are tried at a time. */
const silent = { client: { timeout: 6000 }, doctor: { timeout: 6000 } }
const trusting = (ca: string): Pick<Started, 'client' | 'doctor'> => ({
  client: { transport: wsTransport({ ca }) },
  doctor: { ca },
})

/** A TLS server, and what a client needs that trusts its certificate. */
async function serve(
  stage: Stage,
  made: Parameters<typeof certificate>[0],
  { trusted = true, ...options }: TlsOptions & { trusted?: boolean } = {},
): Promise<Started> {
  const { key, cert } = await certificate(made)
  const port = await stage.tcp(
    () => {},
    (listener) =>
      createTlsServer({ key, cert, ...options }, listener as never).on('tlsClientError', () => {}) as never,
  )
  return { url: at(port, 'wss'), ...(trusted && trusting(cert)) }
}

/** A server that answers the ClientHello with an alert, and ends: RFC 8446 section 6. */
const alerting =
  (code: number) =>
  async (stage: Stage): Promise<Started> => ({
    url: at(
      await stage.tcp((socket) =>
        socket.once('data', () => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, code]))),
      ),
      'wss',
    ),
  })

export const tls: readonly Situation[] = [
  {
    number: 12,
    name: 'wss to a port without TLS',
    code: 'tls_plain_port',
    start: async (stage) => ({ url: at(await stage.http((_request, response) => response.end()), 'wss') }),
  },
  {
    number: 13,
    name: 'ws to a port with TLS',
    code: 'tls_expected',
    start: async (stage) => ({ url: (await serve(stage, {}, { trusted: false })).url.replace('wss', 'ws') }),
  },
  {
    number: 14,
    name: 'a self-signed certificate',
    code: 'tls_self_signed',
    start: (stage) => serve(stage, {}, { trusted: false }),
  },
  {
    number: 14,
    name: 'a certificate of an unknown authority',
    code: 'tls_untrusted',
    async start(stage) {
      const subject = [{ shortName: 'CN', value: 'A private authority' }]
      return serve(stage, { ca: await certificate({ subject }) }, { trusted: false })
    },
  },
  {
    number: 15,
    name: 'a certificate for another name',
    code: 'tls_name_mismatch',
    start: (stage) => serve(stage, { name: 'other.example' }),
  },
  {
    number: 16,
    name: 'an expired certificate',
    code: 'tls_expired',
    start: (stage) => serve(stage, { from: -3, to: -1 }),
  },
  {
    number: 16,
    name: 'a certificate that is not valid yet',
    code: 'tls_not_yet_valid',
    start: (stage) => serve(stage, { from: 1, to: 3 }),
  },
  {
    number: 17,
    name: 'a client certificate is demanded, TLS 1.3',
    code: 'tls_client_certificate',
    start: (stage) =>
      serve(stage, {}, { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' }),
  },
  {
    number: 18,
    name: 'TLS 1.1 only',
    code: 'tls_version',
    start: (stage) =>
      serve(stage, {}, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }),
  },
  {
    number: 19,
    name: 'only h2 in ALPN',
    code: 'tls_alpn',
    start: (stage) => serve(stage, {}, { ALPNProtocols: ['h2'] }),
  },
  { number: 19, name: 'alert 120, no application protocol', code: 'tls_alpn', start: alerting(120) },
  { number: 20, name: 'alert 112, unrecognized name', code: 'tls_sni', start: alerting(112) },
  {
    number: 20,
    name: 'the handshake ends without an alert',
    code: 'tls_sni',
    start: async (stage) => ({
      url: at(await stage.tcp((socket) => socket.once('data', () => socket.end())), 'wss'),
    }),
  },
  {
    number: 21,
    name: 'a product that inspects TLS',
    code: 'tls_inspected',
    simulated: 'the product: its name as the issuer',
    start: (stage) =>
      serve(
        stage,
        {
          subject: [
            { shortName: 'O', value: 'Zscaler Inc.' },
            { shortName: 'CN', value: 'Zscaler Root CA' },
          ],
        },
        { trusted: false },
      ),
  },
  {
    number: 54,
    name: 'a gate behind TLS that wants a credential',
    code: 'auth_required',
    async start(stage) {
      const { key, cert } = await certificate()
      const server = createHttpsServer({ key, cert }, (_request, response) =>
        response.writeHead(401, { 'upgate-refusal': 'auth_required; gate="x"' }).end(),
      )
      stage.later(() => {
        server.closeAllConnections()
        server.close()
      })
      return { url: at(await listen(server), 'wss'), ...trusting(cert) }
    },
  },
  { number: 73, name: 'alert 40, handshake failure', code: 'tls_failed', start: alerting(40) },
  {
    number: 73,
    name: 'a ClientHello without an answer',
    code: 'tls_silent',
    start: async (stage) => ({ url: at(await stage.tcp(() => {}), 'wss'), ...silent }),
  },
]
