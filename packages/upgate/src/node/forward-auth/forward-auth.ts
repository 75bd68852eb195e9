import type { IncomingMessage, ServerResponse } from 'node:http'
import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { Decision, HeaderList, Refused } from '../../core/contract/decision.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { RenderedResponse } from '../../core/contract/rendered-response.ts'
import { assertGate } from '../../core/options/check-gate.ts'
import { flag, list, oneOf, unchecked } from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import { compilePeers } from '../../schemes/trusted-header/peers.ts'
import type { RequestListener } from '../http-gate.ts'
import { decideSafely } from '../judge.ts'
import { NodeRequest } from '../request.ts'
import { addHeaders, respond } from '../respond.ts'
import { ForwardedRequest, readForwarded } from './forwarded-request.ts'
import { createIdentityWriter } from './identity.ts'
import type { AskingProxy, ForwardAuthOptions } from './options.ts'

const where = 'forwardAuth'

const forwardAuthOptions = optionTable<ForwardAuthOptions>()({
  from: list<string>(
    "a list of the proxy's addresses or Unix sockets, such as ['10.0.0.5'] or ['/run/gate/ask.sock']",
    (peer) => typeof peer === 'string' && peer !== '',
  ),
  proxy: oneOf('nginx', 'caddy', 'traefik'),
  // Checked by `createIdentityWriter`.
  headers: unchecked(),
  dangerouslyPassDeferred: flag(false),
  dangerouslyTrustSharedPeers: flag(false),
})

/**
 * Answers the questions of a proxy that asks before it forwards a request: `auth_request` of nginx, `forward_auth` of
 * Caddy, ForwardAuth of Traefik.
 *
 * The gate decides the original request, as the proxy describes it. The answer is 204 with identity headers, or the
 * gate's refusal; never 101, and never 2xx for a request that has to be answered by a gate itself. Only peers in `from`
 * are answered; all others get the same 403.
 *
 * For a server of its own, without `guardServer`: a question can carry the `Upgrade` header of its original. A proxied
 * WebSocket or stream is not ended when its credential expires or is revoked, because it does not pass through here.
 *
 * @param gate - the gate that decides
 * @param options - `from` and `proxy` are required
 * @returns the listener for `createServer`
 * @throws TypeError for an unknown or missing option, and for peers that others than the proxy can send from
 * @example
 * process.umask(0o177)
 * createServer(forwardAuth(gate, { from: ['/run/gate/ask.sock'], proxy: 'nginx' })).listen('/run/gate/ask.sock')
 */
export function forwardAuth<P extends Principal>(
  gate: Gate<P>,
  options: ForwardAuthOptions,
): RequestListener {
  assertGate(gate, where, ['decide', 'render', 'reportRefusal'])
  const settings = forwardAuthOptions.read(where, options)
  const { from, proxy, dangerouslyPassDeferred, dangerouslyTrustSharedPeers } = settings
  const identityOf = createIdentityWriter(where, settings.headers as ForwardAuthOptions['headers'])
  const peers = compilePeers(where, from, dangerouslyTrustSharedPeers, gate.logger, {
    option: 'from',
    sent: 'questions of a proxy',
    power: 'ask in the name of any client',
  })

  const say = (
    asked: IncomingMessage,
    response: ServerResponse,
    refused: Parameters<typeof gate.render>[0],
    request: NodeRequest,
  ): void => {
    const rendered = gate.render(refused, request)
    if (request instanceof ForwardedRequest) {
      respond(response, understood(proxy, rendered))
      return
    }
    // A question that could not be read: its status tells the proxy that it is the proxy's own mistake.
    respond(response, bodyFor(asked, rendered))
  }

  const answer = (
    asked: IncomingMessage,
    response: ServerResponse,
    request: ForwardedRequest,
    decision: Decision<P>,
  ): void => {
    if (response.destroyed) return
    const passed = decision.outcome === 'allow' || (decision.outcome === 'defer' && dangerouslyPassDeferred)
    if (!passed) {
      const refused = refusalOf(decision)
      if (refused !== decision) gate.reportRefusal(request, refused as Refused)
      say(asked, response, refused, request)
      return
    }
    response.statusCode = 204
    const { headers = [] } = decision
    addHeaders(response, proxy === 'nginx' ? withOneCookie(headers) : headers)
    response.setHeader('Cache-Control', 'no-store')
    const principal = decision.outcome === 'allow' ? decision.principal : undefined
    for (const [name, value] of identityOf(principal)) response.setHeader(name, value)
    response.end()
  }

  return (asked, response) => {
    const question = new NodeRequest('http', asked)
    // A body is nothing that is read here: the connection ends with the answer.
    if (hasBody(asked)) response.setHeader('Connection', 'close')
    const refuseQuestion = (refused: Refused): void => {
      gate.reportRefusal(question, refused)
      say(asked, response, refused, question)
    }
    const why = peers.whyNot(question)
    if (why !== undefined) return refuseQuestion(refuse('host_refused', { ...stranger, reason: why }))
    if (asked.method !== 'GET' && asked.method !== 'HEAD') {
      return refuseQuestion(refuse('method_refused', { detail: 'A proxy asks by GET or HEAD.' }))
    }
    const request = readForwarded(asked, proxy)
    if (!(request instanceof ForwardedRequest)) return refuseQuestion(request)
    const decision = decideSafely(gate, request)
    if (!isPromiseLike(decision)) return answer(asked, response, request, decision)
    void decision.then((settled) => answer(asked, response, request, settled))
  }
}

const stranger = {
  detail: 'This address answers the questions of named proxies only.',
  action: 'Use the public address of the server.',
} as const

/** The refusal for each decision that does not let the request through: the proxy takes any 2xx for a yes. */
function refusalOf<P extends Principal>(
  decision: Exclude<Decision<P>, { outcome: 'allow' }>,
): Exclude<Decision<P>, { outcome: 'allow' | 'defer' }> {
  switch (decision.outcome) {
    case 'defer':
      return refuse('upgrade_required', {
        rule: decision.rule,
        detail:
          'The credential is expected in the first frame of the WebSocket, which the gate that a proxy asks does not see.',
        action:
          'Guard the application behind the proxy with `guardServer`, and let the proxy forward this path without asking.',
      })
    case 'preflight':
      return refuse('origin_refused', {
        detail: 'A CORS preflight has to be answered by a gate in the application.',
        action: 'Let the proxy forward OPTIONS of this path to an application with a gate, without asking.',
      })
    case 'document':
      return refuse('unknown_path', {
        rule: decision.rule,
        detail: 'This document is served by a gate in the application.',
        action: 'Let the proxy forward this path to an application with a gate, without asking.',
      })
    default:
      return decision
  }
}

/** A refusal in statuses that the proxy passes on. nginx takes 401 and 403, and makes 500 of all others. */
function understood(proxy: AskingProxy, { status, headers, body }: RenderedResponse): RenderedResponse {
  if (proxy !== 'nginx') return withLength({ status, headers, body })
  const shown = status === 401 || status === 303 ? 401 : status >= 500 ? status : 403
  const kept = headers.filter(([name]) => !/^content-(?:type|security-policy)$/i.test(name))
  // It does not forward bodies.
  return withLength({ status: shown, headers: withOneCookie(kept), body: '' })
}

/**
 * The first of several `Set-Cookie`: nginx keeps an answer's header as one variable, from 1.23 on with all its lines joined by
 * commas, which no browser reads. Further cookies are cleared by later answers.
 */
function withOneCookie(headers: HeaderList): HeaderList {
  const isCookie = ([name]: HeaderList[number]): boolean => name.toLowerCase() === 'set-cookie'
  const first = headers.find(isCookie)
  return headers.filter((header) => header === first || !isCookie(header))
}

function bodyFor(asked: IncomingMessage, rendered: RenderedResponse): RenderedResponse {
  return asked.method === 'HEAD' ? rendered : withLength(rendered)
}

/** A refusal for HEAD has the length of the body that it leaves out; the proxy, which asks by GET, would wait for it. */
function withLength({ status, headers, body }: RenderedResponse): RenderedResponse {
  const others = headers.filter(([name]) => name.toLowerCase() !== 'content-length')
  return { status, headers: [...others, ['Content-Length', String(Buffer.byteLength(body))]], body }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}
