import { type IncomingMessage, Server, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../core/ports/clock.ts'
import { closeAfter } from '../../node/respond.ts'

/** What a request offers in its Upgrade header, and the guard ignores. */
export type Offer = 'h2c' | 'websocket'

interface HandedBack {
  /** The one request of the connection that is still answered, once Node has read it again. */
  request?: IncomingMessage
}

/** On the socket and shared by all copies of the library, because guards may be nested. */
const handedBack: unique symbol = Symbol.for('upgate.handedBack') as never

/** When the connection was accepted: milliseconds by the gate's clock, counted from {@link start}. */
const acceptedAt: unique symbol = Symbol('upgate.acceptedAt')

/** Small integers, up to 24 days, cost a connection no memory of their own; milliseconds since the epoch do. */
const start = Date.now()

interface Connection {
  [handedBack]?: HandedBack
  [acceptedAt]?: number
}

/** Notes the time of a new connection, so that {@link handBack} gives a slow client no more time than Node does. */
export function noteConnection(socket: object, clock: Clock): void {
  ;(socket as Connection)[acceptedAt] = clock.now() - start
}

/**
 * Gives a request with an offer that is not taken back to Node's parser, as the HTTP request that it is without the
 * offer: a server may ignore offers (RFC 9110 section 7.8). There are two kinds:
 *
 * - `Upgrade: h2c`, HTTP/2 without TLS: the JDK's HttpClient and `curl --http2` make it with each request;
 * - `Upgrade: websocket` without any `Sec-WebSocket` header: some proxies add it to everything.
 *
 * Only a request that every reader frames alike is handed back. Its body and the bytes behind it are not touched, and
 * follow in their order. It happens once per connection, which ends with the answer: see {@link isLastOfConnection}.
 *
 * @returns the offer, or `undefined` for every other request; nothing was done then
 */
export function handBack(
  server: Server,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  clock: Clock,
): Offer | undefined {
  // Newer releases of Node may hand out another stream than the connection itself.
  if (!(socket instanceof Socket) || socket !== request.socket || isHandedBack(socket)) return undefined
  const plain = withoutOffer(request, server.maxHeadersCount)
  if (plain === undefined) return undefined
  const state: HandedBack = {}
  ;(socket as Connection)[handedBack] = state
  const bytes = Buffer.concat([Buffer.from(plain.head, 'latin1'), head])
  // Node took its listeners off the socket with the event: a reset before they are back must not end the process.
  socket.on('error', ignore)
  whenAnswered(socket, () => {
    // The error of an answer that could not be written may still be on its way to the listener, which stays then.
    if (socket.destroyed || !socket.writable) return
    keepDeadline(server, socket, state, clock)
    socket.unshift(bytes)
    // Node's listener alone, and no event: the application's listeners would count a second connection.
    Reflect.apply(nodesListener(), server, [socket])
    socket.removeListener('error', ignore)
  })
  return plain.offer
}

function ignore(): void {}

/** Waits for the answers to requests in front of this one, which were pipelined and are still being written. */
function whenAnswered(socket: Socket, proceed: () => void): void {
  const answer = answerOn(socket)
  if (answer === undefined) proceed()
  // Node's own listener came first and has put the next answer on the socket by then.
  else answer.once('finish', () => whenAnswered(socket, proceed))
}

/** The response being written; Node keeps it on its socket until it has been handed over completely. */
export function answerOn(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
}

/** Whether a request of this connection was handed back before. */
export function isHandedBack(socket: object): boolean {
  return (socket as Connection)[handedBack] !== undefined
}

/**
 * Ends the connection with the answer to a request that was handed back. The next request of such a client makes the
 * same offer, and each offer costs a second reading.
 *
 * @returns false for a request behind that one: it will not be answered, and no listener may see it
 */
export function isLastOfConnection(request: IncomingMessage, response: ServerResponse): boolean {
  const state = (request.socket as Connection)[handedBack]
  if (state === undefined || state.request === request) return true
  if (state.request !== undefined) return false
  state.request = request
  response.shouldKeepAlive = false
  closeAfter(response)
  return true
}

/** Milliseconds for the rest of a refused body. */
const bodyGrace = 1_000

/**
 * Reads and drops what is left of a refused request's body, for at most a second, before its answer is written. The
 * connection ends with the answer, and bytes still on their way would turn the end into a reset that overtakes it (RFC 9112
 * section 9.6).
 */
export function afterBody(request: IncomingMessage, clock: Clock, answer: () => void): void {
  // A client that waits for 100 sends no body before the answer.
  if (!isHandedBack(request.socket) || request.complete || request.headers.expect !== undefined) {
    answer()
    return
  }
  let isOver = false
  const over = (): void => {
    if (isOver) return
    isOver = true
    timer.cancel()
    answer()
  }
  const timer = clock.setTimer(bodyGrace, over)
  request.once('end', over)
  request.once('close', over)
  request.resume()
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Without the octets that end a line, and those that some parsers take for such. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern looks for them
const lineText = /^[^\x00-\x08\x0a-\x1f\x7f]*$/
/** Node keeps no more entries (names and values) of a head without `maxHeadersCount`, and says nothing. */
const entriesKept = 2_000
/** nginx speaks HTTP/1.0 to servers unless told otherwise. */
const versions: readonly string[] = ['1.0', '1.1']
/** Headers of which a second line could be read in place of the first. */
const single = ['upgrade', 'http2-settings', 'content-length', 'transfer-encoding', 'host', 'expect']

/** The head without the offer, or `undefined` where there is none, or where not all readers would frame it alike. */
function withoutOffer(
  request: IncomingMessage,
  maxHeadersCount: number | null,
): { readonly offer: Offer; readonly head: string } | undefined {
  const { method = '', url = '', httpVersion, rawHeaders } = request
  // Before all else: most upgrades are WebSocket handshakes, and keep their head.
  if (isWebSocketHandshake(rawHeaders)) return undefined
  if (!token.test(method) || method === 'CONNECT' || !versions.includes(httpVersion)) return undefined
  if (!/^[\x21-\x7e\x80-\xff]+$/.test(url)) return undefined
  const kept = typeof maxHeadersCount === 'number' ? maxHeadersCount * 2 : entriesKept
  // The lines beyond are lost, and one of them may say how long the body is.
  if (kept > 0 && rawHeaders.length >= kept) return undefined
  const seen = new Map<string, string>()
  let lines = ''
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    const lower = name.toLowerCase()
    if (!token.test(name) || !lineText.test(value)) return undefined
    if (single.includes(lower)) {
      if (seen.has(lower)) return undefined
      seen.set(lower, value)
    }
    // No blank behind the colon: the head never grows beyond Node's limit.
    if (lower === 'connection') {
      const left = withoutTokens(value)
      if (left !== '') lines += `${name}:${left}\r\n`
    } else if (lower !== 'upgrade' && lower !== 'http2-settings') lines += `${name}:${value}\r\n`
  }
  const offer = seen.get('upgrade')?.toLowerCase()
  if (offer !== 'h2c' && offer !== 'websocket') return undefined
  // Without a Host Node answers by itself, and reads on.
  if (!seen.has('host')) return undefined
  const length = seen.get('content-length')
  const coding = seen.get('transfer-encoding')
  if (length !== undefined && (coding !== undefined || !/^\d+$/.test(length))) return undefined
  // HTTP/1.0 has no codings: some readers would look for the length elsewhere.
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || httpVersion === '1.0')) return undefined
  return { offer, head: `${method} ${url} HTTP/${httpVersion}\r\n${lines}\r\n` }
}

/** Whether any header is one of the WebSocket handshake. */
function isWebSocketHandshake(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length > 14 && /^sec-websocket-/i.test(name)) return true
  }
  return false
}

function withoutTokens(connection: string): string {
  return connection
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '' && !/^(upgrade|http2-settings)$/i.test(word))
    .join(', ')
}

/**
 * The second parser starts Node's clock for the request again. This one goes on from the connection's beginning, or at
 * most from as long ago as a head may take.
 */
function keepDeadline(server: Server, socket: Socket, state: HandedBack, clock: Clock): void {
  const { requestTimeout, headersTimeout } = server
  if (requestTimeout === 0) return
  const { [acceptedAt]: accepted = Number.NEGATIVE_INFINITY } = socket as Connection
  const since = clock.now() - start - accepted
  const left = Math.max(requestTimeout - Math.min(since, headersTimeout), 1)
  const timer = clock.setTimer(left, () => {
    socket.removeListener('close', stop)
    if (state.request?.complete !== true) socket.destroy()
  })
  const stop = (): void => timer.cancel()
  socket.once('close', stop)
}

/** Node's own listener for connections: every server has the same one, and it is the first. */
function nodesListener(): (socket: Socket) => void {
  return new Server().listeners('connection')[0] as (socket: Socket) => void
}
