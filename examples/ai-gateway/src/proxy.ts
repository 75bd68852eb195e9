import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, Transform } from 'node:stream'
import type { Gate } from 'upgate'
import { endWithCredential, type StreamEndReason, type StreamGate } from 'upgate/node'
import { badPath, errorBody, fail, keyEnded, late, shuttingDown, tooLarge, unreachable } from './answers.ts'
import type { Config } from './config.ts'
import { callerHeaders, hasBody, upstreamHeaders, upstreamUrl } from './upstream.ts'

/** What the proxy needs of a gate. */
export type ProxyGate = StreamGate & Pick<Gate, 'principalOf'>

/**
 * Passes requests on to the upstream as the proxy's own.
 *
 * Both directions are streamed. When a client disconnects, its upstream request is aborted; when its key is revoked or
 * expires, its running answers are cut.
 */
export function createProxy(config: Config, gate: ProxyGate): RequestListener {
  return (request, response) => {
    if (gate.principalOf(request) === undefined)
      throw new Error('The proxy is not behind a rule that requires somebody.')
    const url = upstreamUrl(config.upstream, request.url ?? '')
    if (url === undefined) return fail(response, badPath)
    if (Number(request.headers['content-length'] ?? 0) > config.maxBody) return fail(response, tooLarge)
    const onEnd = (reason: StreamEndReason): void => cut(response, reason)
    if (endWithCredential(gate, request, response, { onEnd })) forward(config, url, request, response)
  }
}

function forward(config: Config, url: URL, request: IncomingMessage, response: ServerResponse): void {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const outgoing: ClientRequest = send(url, {
    method: request.method ?? 'GET',
    headers: upstreamHeaders(request, config.upstreamToken),
  })
  let whole = false
  const timer = setTimeout(() => {
    fail(response, late)
    outgoing.destroy()
  }, config.timeout)
  // The client disconnected or was cut: an answer that no client receives should cost nothing.
  response.once('close', () => {
    clearTimeout(timer)
    // After a complete answer, the upstream connection may already serve another request.
    if (!whole) outgoing.destroy()
  })
  outgoing.on('error', () => {
    clearTimeout(timer)
    if (!response.destroyed && !response.writableEnded) fail(response, unreachable)
  })
  outgoing.on('response', (answer) => {
    clearTimeout(timer)
    if (response.headersSent || response.destroyed) return void answer.destroy()
    response.statusCode = answer.statusCode ?? 502
    // Not `writeHead`: headers passed to it cannot be read back afterwards.
    for (const [name, value] of Object.entries(callerHeaders(answer))) response.setHeader(name, value)
    // An event stream may be silent for a long time: its headers must reach the client before the first event.
    response.flushHeaders()
    response.socket?.setNoDelay(true)
    answer.once('end', () => {
      whole = true
    })
    // Where the upstream breaks off, the response is destroyed: it must look broken, never merely shorter.
    pipeline(answer, response, () => {})
  })
  if (!hasBody(request)) return void outgoing.end()
  const limit = limited(config.maxBody)
  limit.once('error', () => {
    // Not `pipeline`: it would destroy the connection before the answer is out.
    request.unpipe(limit)
    fail(response, tooLarge)
    outgoing.destroy()
  })
  request.pipe(limit).pipe(outgoing)
}

/** Passes on a limited number of bytes; one byte more is an error. */
function limited(bytes: number): Transform {
  let left = bytes
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length
      if (left >= 0) done(null, chunk)
      else done(new Error('The request is too large.'))
    },
  })
}

/** Ends the answer of a client that lost access, and gives the reason where the answer still allows it. */
function cut(response: ServerResponse, reason: StreamEndReason): void {
  const failure = reason === 'shutdown' ? shuttingDown : keyEnded(reason)
  if (!response.headersSent) {
    fail(response, failure)
    return
  }
  const type = String(response.getHeader('content-type') ?? '')
  const plain = response.getHeader('content-encoding') === undefined
  // Anything else is cut off: it could only look shorter.
  if (!type.startsWith('text/event-stream') || !plain || response.writableEnded) return
  // The blank line ends an event that was half out. Clients of these APIs raise an error at such an event.
  response.end(`\n\ndata: ${errorBody(failure)}\n\n`)
}
