/**
 * Upgate in front of Express 4 and 5.
 *
 * @example
 * import express from 'express'
 * import { expressGate } from 'upgate/express'
 *
 * const app = express()
 * app.use(expressGate(gate))
 * app.get('/api/me', (request, response) => response.json({ id: gate.principalOf(request)?.id }))
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isPromiseLike } from './core/async/maybe-promise.ts'
import type { Decider } from './core/contract/gate.ts'
import type { Principal } from './core/contract/principal.ts'
import { assertDecider } from './core/options/check-gate.ts'
import { type AdapterOptions, createDoorCheck, noSockets, oneListener } from './node/doors.ts'
import { settle, settleLater } from './node/http-gate.ts'
import { judge } from './node/judge.ts'
import { kindOf, NodeRequest, rewrittenForm } from './node/request.ts'
import { decideWrapped, type WrappedSocket } from './ws/guard/wrapped-socket.ts'

export type { AdapterOptions }

/** The part of an Express request that the middleware reads; Express 4 and 5 have it. */
export interface ExpressRequest extends IncomingMessage {
  /** Target as received, before any mount or rewrite. */
  originalUrl?: string
  /** Prefix under which the router is mounted. */
  baseUrl?: string
}

/** A middleware for Express 4 and 5. */
export type ExpressGate = (
  request: ExpressRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/**
 * Express middleware (4 and 5) that lets in what the gate allows and answers everything else.
 *
 * Rules are about the URL as the client sent it, also under `app.use('/prefix', ...)`. Where a middleware has
 * rewritten `req.url` before, both forms are decided and the stricter answer wins. What changes the URL or the method
 * *after* the gate is not seen by it: mount the gate behind such middleware.
 *
 * A server that takes upgrades is guarded as a whole, by `guardServer` of `upgate/ws`. Without it, every request throws
 * where the gate has a deferred rule or an ambient scheme. Sockets of express-ws come through the middleware: refused
 * ones are closed with a code and a reason, and revocation and expiry close the others.
 *
 * @param decider - a gate, or what `gate.require(...)` returns
 * @param options - see {@link AdapterOptions}
 * @throws TypeError for an unknown option
 * @example
 * app.use(expressGate(gate))
 * app.post('/api/deploy', expressGate(gate.require({ scopes: ['deploy'] })), deploy)
 */
export function expressGate<P extends Principal>(
  decider: Decider<P>,
  options: AdapterOptions = {},
): ExpressGate {
  assertDecider(decider, 'expressGate')
  const checkDoors = createDoorCheck('expressGate', decider, options)
  return (request, response, next) => {
    const proceed = (): void => next()
    if ('ws' in request && request.ws !== undefined) {
      const socket = request.ws as WrappedSocket
      const decision = decideWrapped(decider, readWrappedSocket(request), socket)
      if (!isPromiseLike(decision)) decision && proceed()
      else void decision.then((settled) => settled && proceed())
      return
    }
    checkDoors(request, hasExpressWs(request) ? oneListener : noSockets)
    const verdict = judge(decider, read(request))
    if (!isPromiseLike(verdict)) settle(verdict, request, response, proceed)
    else settleLater(verdict, request, response, proceed)
  }
}

function read(request: ExpressRequest): NodeRequest {
  const url = request.url ?? ''
  const received = request.originalUrl ?? url
  return new NodeRequest(
    kindOf(request),
    request,
    received,
    rewrittenForm(received, request.baseUrl ?? '', url),
  )
}

/**
 * express-ws hands an opened socket to the application as a GET of `<path>/.websocket`. The rules are about the
 * path that the client asked for, and those for upgrades apply.
 */
function readWrappedSocket(request: ExpressRequest): NodeRequest {
  const received = request.originalUrl ?? request.url ?? ''
  const asked = withoutSuffix(received)
  const seen =
    request.baseUrl === undefined ? undefined : rewrittenForm(received, request.baseUrl, request.url ?? '')
  return new NodeRequest('upgrade', request, asked, seen === undefined ? undefined : withoutSuffix(seen))
}

/** express-ws gives the application a method `ws`, and adds one upgrade listener, whose sockets come through here. */
function hasExpressWs(request: ExpressRequest): boolean {
  let { app } = request as { app?: { ws?: unknown; parent?: object } }
  for (let depth = 0; app !== undefined && depth < 100; depth++) {
    if (typeof app.ws === 'function') return true
    app = app.parent as typeof app
  }
  return false
}

function withoutSuffix(url: string): string {
  const query = url.indexOf('?')
  const path = query === -1 ? url : url.slice(0, query)
  if (!path.endsWith('/.websocket')) return url
  return (path.slice(0, -'/.websocket'.length) || '/') + (query === -1 ? '' : url.slice(query))
}
