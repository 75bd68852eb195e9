import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { RefusalCode } from '../core/contract/codes.ts'
import type { MaybePromise } from '../core/contract/credential.ts'
import type { Answered, Decision, Refused } from '../core/contract/decision.ts'
import type { Explanation } from '../core/contract/explanation.ts'
import type { Decider, Gate } from '../core/contract/gate.ts'
import type { Principal } from '../core/contract/principal.ts'
import { refuse as refusal, refusalCatalogue } from '../core/contract/refusals.ts'
import type { AuthRequest } from '../core/contract/request.ts'
import { assertDecider } from '../core/options/check-gate.ts'
import { nameOf } from '../core/options/check-options.ts'
import { optional, text, value } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import { assertRequest } from './assert.ts'
import { kindOf, NodeRequest, rewrittenForm } from './request.ts'
import { closeAfter, respondToSocket, respond as write } from './respond.ts'

/** Options of {@link refuse}. */
export interface RefuseOptions {
  /** A sentence for the client instead of the code's own. No secret belongs into it. */
  readonly detail?: string
  /** Seconds after which the client may come back: `Retry-After`. */
  readonly retryAfter?: number
}

/**
 * Makes of Node's request the request that a gate decides. Nothing is copied.
 *
 * A request that came by the server's `upgrade` event becomes one of `kind: 'upgrade'`.
 *
 * @param request - Node's own: of Express `req`, of Koa `ctx.req`
 * @throws TypeError for anything else
 * @example
 * const rendered = gate.render(decision, requestOf(request))
 */
export function requestOf(request: IncomingMessage): AuthRequest {
  assertRequest(request, 'requestOf')
  const { originalUrl, baseUrl } = request as { originalUrl?: unknown; baseUrl?: unknown }
  const url = request.url ?? ''
  // Behind a mount of Express both forms of the target are decided: the one that the client sent, and the router's.
  const received = typeof originalUrl === 'string' ? originalUrl : url
  const rewritten = rewrittenForm(received, typeof baseUrl === 'string' ? baseUrl : '', url)
  return new NodeRequest(kindOf(request), request, received, rewritten)
}

/**
 * Decides a request of Node's without answering it: for a proxy, a framework without an adapter, or a test.
 *
 * @param gate - a gate, or what `gate.require(...)` returns
 * @param request - Node's own: of Express `req`, of Koa `ctx.req`
 * @returns a value where nothing must be awaited, else a promise; never rejects
 * @throws TypeError where the first argument is no gate, or the second no request of Node's
 * @example
 * server.on('upgrade', async (request, socket, head) => {
 *   const decision = await decide(gate, request)
 *   if (decision.outcome === 'allow') proxy.upgrade(request, socket, head)
 *   else if (decision.outcome !== 'defer') respond(gate, request, socket, decision)
 * })
 */
export function decide<P extends Principal>(
  gate: Decider<P>,
  request: IncomingMessage,
): MaybePromise<Decision<P>> {
  assertDecider(gate, 'decide')
  assertRequest(request, 'decide')
  return gate.decide(requestOf(request))
}

/**
 * Explains the decision about a request of Node's: each step of it, redacted and fit to be shown to an operator.
 *
 * It has no effect: it consumes no ticket and counts no failure.
 *
 * @param gate - a gate; what `gate.require(...)` returns explains nothing
 * @param request - Node's own: of Express `req`, of Koa `ctx.req`
 * @returns the decision and the steps to it; never rejects
 * @throws TypeError where the first argument is no gate, or the second no request of Node's
 * @example
 * const { decision, steps } = await explain(gate, request)
 * for (const { step, detail } of steps) console.log(`${step}: ${detail}`)
 */
export function explain<P extends Principal>(
  gate: Pick<Gate<P>, 'decide' | 'explain'>,
  request: IncomingMessage,
): Promise<Explanation> {
  assertDecider(gate, 'explain')
  if (typeof gate.explain !== 'function') {
    throw new TypeError(
      'explain: the first argument must be a gate (createGate); gate.require(...) explains nothing.',
    )
  }
  assertRequest(request, 'explain')
  return gate.explain(requestOf(request))
}

/**
 * Writes a refusal, preflight or document of a gate as the adapters write it, and ends the answer.
 *
 * @param gate - the gate that decided
 * @param request - Node's own request, which the answer is for
 * @param to - Node's response, or the socket of an `upgrade` event: its connection ends with the answer
 * @param decision - a refusal, a preflight or a document
 * @throws TypeError where an argument is of another kind
 * @example
 * const decision = await decide(gate, request)
 * if (decision.outcome !== 'allow' && decision.outcome !== 'defer') respond(gate, request, response, decision)
 */
export function respond<P extends Principal>(
  gate: Decider<P> & Pick<Gate<P>, 'clock'>,
  request: IncomingMessage,
  to: ServerResponse | Duplex,
  decision: Refused | Answered,
): void {
  answer('respond', gate, request, to, decision)
}

const refuseOptions = optionTable<RefuseOptions>()({
  detail: optional(text('a sentence for the client')),
  retryAfter: optional(
    value<number>('a number of seconds', (seconds) => typeof seconds === 'number' && seconds >= 0),
  ),
})

/**
 * Refuses a request as the gate does: with its status, its marker header, a stable code and a sentence.
 *
 * @param gate - its name goes into the marker header, its origins into the CORS headers
 * @param request - Node's own request, which the answer is for
 * @param to - Node's response, or the socket of an `upgrade` event
 * @param code - one of `refusalCodes` of `upgate`; it decides the status
 * @param options - a sentence of your own, and the seconds for `Retry-After`
 * @throws TypeError for an unknown code, and where an argument is of another kind
 * @example
 * if (busy) return refuse(gate, request, response, 'over_capacity', { retryAfter: 5 })
 */
export function refuse<P extends Principal>(
  gate: Decider<P> & Pick<Gate<P>, 'clock'>,
  request: IncomingMessage,
  to: ServerResponse | Duplex,
  code: RefusalCode,
  options: RefuseOptions = {},
): void {
  if (typeof code !== 'string' || !Object.hasOwn(refusalCatalogue, code)) {
    throw new TypeError(
      `refuse: ${typeof code === 'string' ? JSON.stringify(code) : nameOf(code)} is no refusal code; \`refusalCodes\` of upgate lists them.`,
    )
  }
  const { detail, retryAfter } = refuseOptions.read('refuse', options)
  answer('refuse', gate, request, to, refusal(code, { detail, retryAfter }))
}

function answer<P extends Principal>(
  where: string,
  gate: Decider<P> & Pick<Gate<P>, 'clock'>,
  request: IncomingMessage,
  to: ServerResponse | Duplex,
  decision: Refused | Answered,
): void {
  assertDecider(gate, where)
  assertRequest(request, where)
  if (typeof decision?.outcome !== 'string' || !(isAnswered(decision) || 'code' in decision)) {
    throw new TypeError(
      `${where}: the fourth argument must be a refusal, a preflight or a document; \`allow\` and \`defer\` are answered by the application.`,
    )
  }
  const rendered = gate.render(decision, requestOf(request))
  if (typeof (to as Partial<ServerResponse>)?.setHeader === 'function') {
    const response = to as ServerResponse
    if (kindOf(request) === 'upgrade') closeAfter(response)
    write(response, rendered)
  } else if (typeof (to as Partial<Duplex>)?.destroy === 'function') {
    const socket = to as Duplex
    // A reset while the answer is written must not end the process.
    socket.on('error', () => {})
    respondToSocket(socket, rendered, gate.clock)
  } else {
    throw new TypeError(`${where}: the third argument must be Node's response, or the socket of an upgrade.`)
  }
}

function isAnswered({ outcome }: Refused | Answered): boolean {
  return outcome === 'preflight' || outcome === 'document'
}
