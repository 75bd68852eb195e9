import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, pipeline, Transform } from 'node:stream'
import type { Forward } from './answer.ts'
import type { Clock } from './clock.ts'
import { errorAnswer } from './edge-errors.ts'
import type { EdgeRequest } from './edge-request.ts'
import type { FaultKind } from './faults.ts'
import { watchSilence } from './silence.ts'
import { returnedHeaders, writeAnswer } from './write-answer.ts'

/** The settings that forwarding needs in addition to the request. */
export interface OriginOptions {
  readonly clock: Clock
  /** Milliseconds without a byte from the origin after which the edge answers 524, or cuts. */
  readonly originSilenceMs: number
  /** Milliseconds without a byte in either direction after which a WebSocket is cut. */
  readonly idleCutMs: number
  /** Told the status that was sent (0 where the connection was cut before one) and where a redirect led. */
  readonly onStatus: (status: number, location: string | undefined) => void
  /** Sockets to end when the simulator stops. */
  readonly track: (socket: Duplex) => void
}

/** Forwards a request to its origin, streaming both ways; on a 101 the two sockets are joined. */
export function forward(
  request: EdgeRequest,
  verdict: Forward,
  response: ServerResponse,
  client: { socket: Socket; head: Buffer } | undefined,
  options: OriginOptions,
): void {
  const { upstream, effects } = verdict
  let settled = false
  const outgoing: ClientRequest = httpRequest({
    host: upstream.hostname.replace(/^\[|\]$/g, ''),
    port: upstream.port || 80,
    // A tunnel's connector runs on the origin's host: the origin sees loopback as its peer.
    ...(upstream.hostname.startsWith('127.') ? { localAddress: '127.0.0.1' } : {}),
    method: request.method,
    path: request.target,
    headers: verdict.headers as string[],
    agent: false,
  })

  const silence = watchSilence(options.clock, options.originSilenceMs, () => {
    if (settled) request.raw.socket.destroy()
    fail('origin-timeout')
    outgoing.destroy()
  })

  function fail(kind: Extract<FaultKind, 'bad-gateway' | 'origin-timeout'>): void {
    silence.stop()
    if (settled) return
    settled = true
    const answer = errorAnswer(request, { kind })
    options.onStatus(answer.status, undefined)
    writeAnswer(response, request.method, request.ray, answer)
  }

  outgoing.on('error', () => {
    // The rest of the request is read and dropped, so that the answer can still be written.
    request.raw.unpipe(outgoing)
    request.raw.resume()
    fail('bad-gateway')
  })
  outgoing.on('response', (incoming: IncomingMessage) => {
    const status = incoming.statusCode ?? 0
    if (settled || status < 200 || status > 999) {
      incoming.destroy()
      return fail('bad-gateway')
    }
    settled = true
    options.onStatus(status, incoming.headers.location)
    response.writeHead(status, returnedHeaders(incoming.rawHeaders, request.ray, verdict.setCookies))
    // Headers go out at once: an event stream may have nothing to say for a long time.
    response.flushHeaders()
    incoming.on('data', () => silence.touch())
    // Where the origin breaks off, `pipeline` destroys the response: it must look broken, never merely shorter.
    const done = (): void => silence.stop()
    if (effects.resetAfterBytes === undefined) return void pipeline(incoming, response, done)
    const limited = limit(effects.resetAfterBytes, () => reset(request.raw.socket, () => outgoing.destroy()))
    pipeline(incoming, limited, response, done)
  })
  outgoing.on('upgrade', (incoming: IncomingMessage, origin: Socket, head: Buffer) => {
    silence.stop()
    if (settled || client === undefined) {
      // An origin that switches protocols unasked has broken HTTP.
      origin.destroy()
      return fail('bad-gateway')
    }
    settled = true
    options.onStatus(101, undefined)
    response.detachSocket(client.socket)
    join(request, verdict, incoming, { socket: origin, head }, client, options)
  })
  response.on('close', () => {
    silence.stop()
    if (!response.writableFinished) outgoing.destroy()
  })
  if (client !== undefined) return void outgoing.end()
  request.raw.on('data', () => silence.touch())
  request.raw.pipe(outgoing)
}

/** Answers the 101 and joins the two sockets, with back-pressure, until either ends or nothing passes for too long. */
function join(
  request: EdgeRequest,
  verdict: Forward,
  incoming: IncomingMessage,
  origin: { socket: Socket; head: Buffer },
  client: { socket: Socket; head: Buffer },
  options: OriginOptions,
): void {
  const ends = [origin.socket, client.socket] as const
  options.track(origin.socket)
  const headers = returnedHeaders(incoming.rawHeaders, request.ray, verdict.setCookies)
  headers.push('Connection', 'Upgrade', 'Upgrade', 'websocket')
  let text = `HTTP/1.1 101 Switching Protocols\r\n`
  for (let index = 0; index + 1 < headers.length; index += 2)
    text += `${headers[index]}: ${headers[index + 1]}\r\n`
  client.socket.write(`${text}\r\n`, 'latin1')
  const idle = watchSilence(options.clock, options.idleCutMs, () => {
    for (const socket of ends) socket.destroy()
  })
  for (const socket of ends) {
    socket.setTimeout(0)
    socket.setNoDelay(true)
    socket.on('data', () => idle.touch())
    socket.on('error', () => {})
    socket.on('close', () => {
      idle.stop()
      for (const other of ends) other.destroySoon()
    })
  }
  if (client.head.length > 0) origin.socket.write(client.head)
  client.socket.pipe(origin.socket)
  const { resetAfterBytes } = verdict.effects
  const inbound =
    resetAfterBytes === undefined
      ? undefined
      : limit(resetAfterBytes, () => reset(client.socket, () => origin.socket.destroy()))
  inbound?.pipe(client.socket)
  const sink = inbound ?? client.socket
  if (origin.head.length > 0) sink.write(origin.head)
  origin.socket.pipe(sink)
}

/** Passes bytes on; calls back, and passes no more, once `bytes` have passed. */
function limit(bytes: number, onLimit: () => void): Transform {
  let left = bytes
  return new Transform({
    transform(chunk: Buffer, _, done) {
      const before = left
      const passed = chunk.subarray(0, left)
      left -= passed.length
      done(null, passed)
      if (left === 0 && (before > 0 || bytes === 0)) setImmediate(onLimit)
    },
  })
}

/** Resets a connection (TCP RST) after all written data has been sent. */
function reset(socket: Socket, then: () => void): void {
  socket.write('', () => {
    socket.resetAndDestroy()
    then()
  })
}
