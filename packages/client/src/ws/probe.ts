import { request as httpRequest } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { connect as tlsConnect } from 'node:tls'
import type { Probes } from '@upgate/diagnosis'
import type { ProbeRequest } from '../transport.ts'
import { refusalOf } from './allowed-address.ts'
import { readBody } from './read-body.ts'
import type { SocketOptions } from './transport.ts'

/** Verdicts of a plain `ws://` that TLS on the same port would explain. */
const mayBeTls: ReadonlySet<string> = new Set(['http_closed', 'tcp_reset', 'http_silent'])
/** Verdicts that the answer to a plain GET tells apart. */
const mayBeLostUpgrade: ReadonlySet<string> = new Set([
  'edge_websocket_refused',
  'other_server',
  'edge_bad_gateway',
])

/** Second looks that cost one connection: a TLS ClientHello, or a GET of the same path without a credential. */
export async function probe(request: ProbeRequest, options: SocketOptions): Promise<Probes | undefined> {
  const url = new URL(request.url)
  if (refusalOf(url, options.allowAddress) !== undefined) return undefined
  if (mayBeTls.has(request.code) && url.protocol === 'ws:')
    return { tls: await helloTo(url, request.timeout, options) }
  if (mayBeLostUpgrade.has(request.code)) return { http: await get(url, request, options) }
  return undefined
}

function helloTo(
  url: URL,
  timeout: number,
  { lookup }: SocketOptions,
): Promise<'answered' | 'refused' | 'silent'> {
  return new Promise((resolve) => {
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const socket = tlsConnect({
      host,
      port: Number(url.port || 80),
      // Only whether TLS answers counts. Nothing is sent over it.
      rejectUnauthorized: false,
      ...(lookup !== undefined && { lookup }),
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    })
    const done = (result: 'answered' | 'refused' | 'silent'): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    const timer = setTimeout(() => done('silent'), timeout)
    socket.on('secureConnect', () => done('answered'))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // An alert is TLS, too; what is no TLS at all has a wrong version number.
      const alert =
        /alert|unrecognized name/i.test(error.message) &&
        !/wrong version|packet length|http request/i.test(error.message)
      done(alert ? 'answered' : 'refused')
    })
  })
}

/** Without the credential of the protocol: an unknown server is asked. Redirects are not followed. */
function get(
  url: URL,
  { headers, timeout }: ProbeRequest,
  options: SocketOptions,
): Promise<NonNullable<Probes['http']>> {
  const { authorization, cookie, 'x-api-key': _, ...rest } = headers
  const { maxPayload: __, allowAddress: ___, agent, lookup, ...tls } = options
  const edge = authorization !== undefined && /^\s*\{/.test(authorization) ? { authorization } : {}
  const settings = {
    ...tls,
    ...(agent !== undefined && { agent }),
    ...(lookup !== undefined && { lookup }),
    headers: { accept: '*/*', ...rest, ...edge },
    timeout,
  } as RequestOptions
  const secure = url.protocol === 'wss:'
  const target = new URL(url)
  target.protocol = secure ? 'https:' : 'http:'
  return new Promise((resolve) => {
    const sent = (secure ? httpsRequest : httpRequest)(target, settings)
    const timer = setTimeout(() => sent.destroy(new Error('The request took too long.')), timeout)
    sent.on('response', (response) => {
      void readBody(response).then((body) => {
        clearTimeout(timer)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body })
      })
    })
    sent.on('error', () => {
      clearTimeout(timer)
      resolve('failed')
    })
    sent.end()
  })
}
