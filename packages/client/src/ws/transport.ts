import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import type { LookupFunction, Socket } from 'node:net'
import { type SecureContextOptions, TLSSocket } from 'node:tls'
import type { Observation, ObservedTls } from '@upgate/diagnosis'
import { type ClientOptions, WebSocket } from 'ws'
import { type Check, callable, checkAll, hasMethods, isCallable, isPlain } from '../check.ts'
import type { Transport, TransportEvents, TransportRequest, TransportSocket } from '../transport.ts'
import { type AllowAddress, allowedLookup, refusalOf } from './allowed-address.ts'
import { createFetch } from './fetch.ts'
import { probe } from './probe.ts'
import { readBody } from './read-body.ts'

/** Options of {@link wsTransport}. */
export interface WsTransportOptions {
  /** Certificates of private authorities, in PEM. */
  readonly ca?: SecureContextOptions['ca']
  /** The client's own certificate and key, for mutual TLS, in PEM. */
  readonly cert?: SecureContextOptions['cert']
  readonly key?: SecureContextOptions['key']
  /** For a proxy, such as one of `https-proxy-agent`. */
  readonly agent?: Agent
  /** Bytes of a message, at most. Default: 1 MiB. */
  readonly maxPayload?: number
  /** Resolves names; `dns.lookup` by default. */
  readonly lookup?: LookupFunction
  /**
   * Whether an address may be connected to, for URLs that others choose: `isPublicAddress`. It is asked for each address of
   * a name and for addresses in the URL, also for second looks at a failure. Not with `agent`. Default: all are allowed.
   */
  readonly allowAddress?: AllowAddress
}

/** The options as sockets take them, with the look-up that finds allowed addresses only. */
export interface SocketOptions extends WsTransportOptions {
  readonly maxPayload: number
}

/** So much of the beginning of an answer is kept. */
const keptBytes = 512

/**
 * Sockets of the package `ws`: Node, Bun and Deno. No redirect is followed, and nothing is compressed.
 *
 * @throws TypeError for `allowAddress` with an `agent`, which connects by itself
 */
export function wsTransport(options: WsTransportOptions = {}): Transport {
  checkAll('wsTransport', options, checks)
  const { maxPayload = 1024 * 1024, allowAddress, lookup } = options
  if (allowAddress !== undefined && options.agent !== undefined) {
    throw new TypeError(
      'wsTransport: `allowAddress` and `agent` do not go together: an agent or its proxy chooses the address itself.',
    )
  }
  const settings: SocketOptions = {
    ...options,
    maxPayload,
    ...(allowAddress !== undefined && { lookup: allowedLookup(allowAddress, lookup) }),
  }
  return {
    sendsHeaders: true,
    open: (request, events) => open(request, events, settings),
    probe: (request) => probe(request, settings),
    fetch: createFetch(settings),
  }
}

const pem: Check = {
  is: (value) =>
    (Array.isArray(value) ? value : [value]).every(
      (each) => (typeof each === 'string' && each !== '') || each instanceof Uint8Array,
    ) && !(Array.isArray(value) && value.length === 0),
  expected: 'PEM, as text or bytes',
}
const checks: { readonly [Name in keyof WsTransportOptions]-?: Check } = {
  ca: pem,
  cert: pem,
  key: {
    // With passphrases, as Node takes them.
    is: (value) => pem.is(value) || (Array.isArray(value) && value.length > 0 && value.every(isPlain)),
    expected: pem.expected,
  },
  agent: { is: (value) => hasMethods(value, 'addRequest'), expected: 'an http.Agent' },
  maxPayload: {
    is: (value) => Number.isInteger(value) && Number(value) > 0,
    expected: 'a whole number of bytes, at least 1',
  },
  lookup: callable,
  allowAddress: { is: isCallable, expected: 'a function, such as isPublicAddress' },
}

function open(
  request: TransportRequest,
  events: TransportEvents,
  { allowAddress, ...options }: SocketOptions,
): TransportSocket {
  let ended = false
  let failed = false
  let socket: WebSocket | undefined
  const end = (code: number, reason: string): void => {
    if (ended) return
    ended = true
    events.closed(code, reason)
  }
  const fail = (error: unknown): void => {
    // The first error is the cause; later ones are its consequences.
    if (!failed) events.observed({ error: errorOf(error) })
    failed = true
  }
  events.reached('nothing')
  try {
    const refused = refusalOf(new URL(request.url), allowAddress)
    if (refused !== undefined) throw refused
    socket = new WebSocket(request.url, [...request.protocols], {
      ...options,
      // As browsers do: a server for HTTP/2 alone then refuses the handshake, and does not speak HTTP/2 to us.
      ...({ ALPNProtocols: ['http/1.1'] } as ClientOptions),
      headers: request.headers,
      followRedirects: false,
      perMessageDeflate: false,
      handshakeTimeout: request.timeout,
      finishRequest(sent) {
        watch(sent as ClientRequest, events)
        sent.end()
      },
    })
  } catch (error) {
    // In the caller's next turn, as every other event.
    queueMicrotask(() => {
      fail(error)
      end(1006, '')
    })
    return { send() {}, close() {}, terminate() {} }
  }
  const ws = socket
  ws.on('upgrade', (response: IncomingMessage) => {
    events.observed({ response: { status: response.statusCode ?? 101, headers: response.headers } })
  })
  ws.on('open', () => events.opened(ws.protocol))
  ws.on('message', (data, isBinary) => {
    const bytes = Array.isArray(data)
      ? Buffer.concat(data)
      : data instanceof ArrayBuffer
        ? Buffer.from(data)
        : data
    events.message(isBinary ? bytes : bytes.toString('utf8'))
  })
  ws.on('ping', () => events.active())
  ws.on('pong', () => events.pong())
  ws.on('unexpected-response', (sent, response) => {
    events.reached('http')
    void readBody(response).then((body) => {
      events.observed({ response: { status: response.statusCode ?? 0, headers: response.headers, body } })
      // The status is the verdict; that `ws` gives up now is none.
      failed = true
      sent.destroy()
      ws.terminate()
      end(1006, '')
    })
  })
  ws.on('error', fail)
  ws.on('close', (code, reason) => end(code, reason.toString('utf8')))
  return {
    send: (data) => ws.send(data, () => {}),
    close: (code, reason) => ws.close(code, reason),
    terminate: () => ws.terminate(),
    ping: () => {
      if (ws.readyState === WebSocket.OPEN) ws.ping()
    },
  }
}

/** Follows the request through name, connection and TLS, and keeps the beginning of the answer. */
function watch(request: ClientRequest, events: TransportEvents): void {
  request.on('socket', (socket: Socket) => {
    let kept = ''
    socket.on('lookup', (error: Error | null) => {
      if (error === null || error === undefined) events.reached('dns')
    })
    socket.on('connect', () => events.reached('tcp'))
    if (socket instanceof TLSSocket) {
      socket.on('secureConnect', () => events.reached('tls'))
      // Before Node verifies the certificate: a socket with a refused one has forgotten it.
      socket.prependListener('secure', () => events.observed({ tls: tlsOf(socket) }))
    }
    if (/^[\d.]+$|:/.test((request as { host?: string }).host ?? '')) events.reached('dns')
    socket.on('data', (chunk: Buffer) => {
      events.active()
      if (kept.length >= keptBytes) return
      kept += chunk.toString('latin1').slice(0, keptBytes - kept.length)
      events.observed({ bytes: kept })
    })
  })
}

/** The certificate, as far as the handshake came. */
function tlsOf(socket: TLSSocket): ObservedTls {
  const certificate = socket.getPeerCertificate(false) as Partial<
    ReturnType<TLSSocket['getPeerCertificate']>
  > | null
  const names = (each: object | undefined): string | undefined =>
    each === undefined
      ? undefined
      : Object.entries(each)
          .map(([name, value]) => `${name}=${String(value)}`)
          .join(', ')
  return {
    issuer: names(certificate?.issuer),
    subject: names(certificate?.subject),
    altNames: certificate?.subjectaltname,
    validFrom: certificate?.valid_from,
    validTo: certificate?.valid_to,
    protocol: socket.getProtocol() ?? undefined,
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : undefined,
  }
}

/** The code of an error; where several addresses failed, that of the first one. */
export function errorOf(error: unknown): NonNullable<Observation['error']> {
  const { errors } = error as { readonly errors?: readonly unknown[] }
  const first = Array.isArray(errors) && errors.length > 0 ? errors[0] : error
  const { name, code, message, syscall } = first as Partial<NodeJS.ErrnoException>
  return { name, code, message: message ?? String(first), syscall }
}
