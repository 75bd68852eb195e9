import {
  Agent as HttpAgent,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { createProxyServer } from 'httpxy'
import type { Gate } from 'upgate'
import { endWithCredential, type StreamGate } from 'upgate/node'
import type { UpstreamConfig } from '../config.ts'
import type { ForwardedRequests } from '../forwarded.ts'
import { badTarget, late, sendProblem, unexpectedBody, unreachable } from './answers.ts'
import { cleanAnswer, upstreamHeaders } from './headers.ts'
import { isPlainTarget } from './target.ts'

export interface ProxyOptions {
  readonly upstream: UpstreamConfig
  readonly gate: StreamGate & Pick<Gate, 'principalOf'>
  readonly forwarded: ForwardedRequests
  /** Milliseconds until the answer begins. */
  readonly timeout: number
  log(message: string): void
}

/** The HTTP half of the front. */
export interface HttpProxy {
  readonly handle: RequestListener
  close(): void
}

/**
 * Passes decided requests on to the gateway. Bodies are streamed in both directions; an answer ends with the credential
 * of its request, and an upstream request with its client.
 */
export function createProxy({ upstream, gate, forwarded, timeout, log }: ProxyOptions): HttpProxy {
  const secure = upstream.url.protocol === 'https:'
  const agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: 256 })
  const proxy = createProxyServer({
    target: upstream.url,
    agent,
    xfwd: false,
    // `Host` is written with the other headers.
    changeOrigin: false,
    // `proxyTimeout` would end streams that are silent for as long; `startTimer` waits for the beginning of the answer.
    followRedirects: false,
  })
  let saidAt = 0
  proxy.on('error', (error, _request, response) => {
    const { code } = error as NodeJS.ErrnoException
    // A client that left is no fault of the gateway.
    const sent = response as ServerResponse | undefined
    if (sent === undefined || sent.destroyed || sent.writableEnded) return
    if (Date.now() - saidAt > 1000) {
      saidAt = Date.now()
      log(`The gateway did not answer a request (${code ?? 'unknown error'}).`)
    }
    sendProblem(sent, unreachable)
  })
  proxy.on('proxyRes', (answer, request) => {
    timers.get(request as IncomingMessage)?.()
    cleanAnswer(answer.headers)
  })

  const timers = new WeakMap<IncomingMessage, () => void>()
  const startTimer = (request: IncomingMessage, response: ServerResponse): void => {
    const timer = setTimeout(() => sendProblem(response, late), timeout)
    const stop = (): void => clearTimeout(timer)
    timers.set(request, stop)
    response.once('close', stop)
  }

  return {
    handle(request, response) {
      if (!isPlainTarget(request.url ?? '')) return sendProblem(response, badTarget)
      // Clients without a credential send links only: nothing of theirs is streamed to the gateway.
      if (gate.principalOf(request) === undefined && hasBody(request))
        return sendProblem(response, unexpectedBody)
      if (!endWithCredential(gate, request, response)) return
      // With these, the gate lets in every Origin: the gateway must not take it for one that was allowed.
      const safe = ['GET', 'HEAD', 'OPTIONS'].includes(request.method ?? '')
      request.headers = upstreamHeaders(request.headers, forwarded.of(request), !safe)
      startTimer(request, response)
      proxy.web(request, response).catch(() => {})
    },
    close: () => agent.destroy(),
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
