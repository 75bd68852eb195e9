import type { IncomingMessage, ServerResponse } from 'node:http'
import { isPromiseLike } from '../core/async/maybe-promise.ts'
import type { Decider } from '../core/contract/gate.ts'
import type { Principal } from '../core/contract/principal.ts'
import { assertDecider } from '../core/options/check-gate.ts'
import { isCallable, wrongArgument } from '../core/options/check-options.ts'
import { type AdapterOptions, createDoorCheck, noSockets } from './doors.ts'
import { isAllowed, judge, type Verdict } from './judge.ts'
import { kindOf, NodeRequest } from './request.ts'
import { addHeaders, closeAfter, respond } from './respond.ts'

/** A listener of a bare `http` or `https` server, as `createServer` takes it. */
export type RequestListener = (request: IncomingMessage, response: ServerResponse) => void

/**
 * Puts a gate in front of a bare `http` listener, which then only sees requests that were let in.
 *
 * It concerns HTTP alone; the sockets of the same server are guarded by `guardServer` from `upgate/ws`. On a server that
 * takes upgrades without it, every request throws where the gate has a deferred rule or an ambient scheme.
 *
 * @param decider - a gate, or what `gate.require(...)` returns
 * @param listener - gets the requests that were let in
 * @param options - see {@link AdapterOptions}
 * @returns the listener for `createServer`
 * @throws TypeError for an unknown option
 * @example
 * const server = createServer(httpGate(gate, (request, response) => {
 *   response.end(`hello ${gate.principalOf(request)?.id ?? 'stranger'}`)
 * }))
 */
export function httpGate<P extends Principal>(
  decider: Decider<P>,
  listener: RequestListener,
  options: AdapterOptions = {},
): RequestListener {
  assertDecider(decider, 'httpGate')
  if (!isCallable(listener)) {
    throw wrongArgument('httpGate', 'second', 'the request listener to be guarded', listener)
  }
  const checkDoors = createDoorCheck('httpGate', decider, options)
  return (request, response) => {
    checkDoors(request, noSockets)
    const verdict = judge(decider, new NodeRequest(kindOf(request), request))
    if (!isPromiseLike(verdict)) settle(verdict, request, response, listener)
    else settleLater(verdict, request, response, listener)
  }
}

/** Carries a verdict out that is not known yet. */
export function settleLater<P extends Principal>(
  verdict: PromiseLike<Verdict<P>>,
  request: IncomingMessage,
  response: ServerResponse,
  proceed: (request: IncomingMessage, response: ServerResponse) => void,
): void {
  void verdict.then((settled) => settle(settled, request, response, proceed))
}

/** Carries a verdict out: answers a refusal, or adds the decision's headers and goes on. */
export function settle<P extends Principal>(
  verdict: Verdict<P>,
  request: IncomingMessage,
  response: ServerResponse,
  proceed: (request: IncomingMessage, response: ServerResponse) => void,
): void {
  // A client that left during the decision has emitted `close` already: an application would wait for it without end.
  if (response.destroyed) return
  if (!isAllowed(verdict)) {
    if (kindOf(request) === 'upgrade') closeAfter(response)
    respond(response, verdict)
    return
  }
  if (verdict.headers !== undefined) addHeaders(response, verdict.headers)
  proceed(request, response)
}
