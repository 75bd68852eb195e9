/**
 * Upgate in front of Koa 2 and 3.
 *
 * @example
 * import Koa from 'koa'
 * import { koaGate } from 'upgate/koa'
 *
 * const app = new Koa()
 * app.use(koaGate(gate))
 * app.use((ctx) => {
 *   ctx.body = { id: ctx.state.principal?.id }
 * })
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isPromiseLike } from './core/async/maybe-promise.ts'
import type { Allow } from './core/contract/decision.ts'
import type { Decider } from './core/contract/gate.ts'
import type { Principal } from './core/contract/principal.ts'
import { assertDecider } from './core/options/check-gate.ts'
import { type AdapterOptions, createDoorCheck, noSockets, oneListener } from './node/doors.ts'
import { isAllowed, judge, type Verdict } from './node/judge.ts'
import { kindOf, NodeRequest, rewrittenForm } from './node/request.ts'
import { addHeaders, closeAfter, setHeaders } from './node/respond.ts'
import { decideWrapped, type WrappedSocket } from './ws/guard/wrapped-socket.ts'

export type { AdapterOptions }

/** The part of a Koa context that the middleware reads and writes; Koa 2 and 3 have it. */
export interface KoaContext<P extends Principal = Principal> {
  /** Node's own request. */
  readonly req: IncomingMessage
  /** Node's own response. */
  readonly res: ServerResponse
  /** Target as received, before any mount or rewrite. */
  readonly originalUrl: string
  /** Target as middleware has left it. */
  url: string
  /** Status of the answer; set for a refusal. */
  status: number
  /** Body of the answer; set for a refusal. */
  body: unknown
  /** Shared by all middleware; `principal` is set for a request that was let in. */
  readonly state: { principal?: P | undefined }
}

/** A middleware for Koa 2 and 3. */
export type KoaGate<P extends Principal = Principal> = (
  context: KoaContext<P>,
  next: () => Promise<unknown>,
) => Promise<unknown>

/**
 * Koa middleware (2 and 3) that lets in what the gate allows, with `ctx.state.principal` set, and answers
 * everything else.
 *
 * Rules are about the URL as the client sent it, also under koa-mount. Where a middleware has rewritten `ctx.url`
 * or `ctx.path` before, both forms are decided and the stricter answer wins. What changes the URL or the method *after*
 * the gate is not seen by it: put the gate behind such middleware. koa-mount tells a middleware only of
 * the innermost mount: inside nested ones the gate takes the rest for a rewrite, so mount it outside of them.
 *
 * A server that takes upgrades is guarded as a whole, by `guardServer` of `upgate/ws`. Without it, every request throws
 * where the gate has a deferred rule or an ambient scheme. On `app.ws` of koa-websocket the middleware decides sockets:
 * refused ones are closed with a code and a reason, and revocation and expiry close the others.
 *
 * @param decider - a gate, or what `gate.require(...)` returns
 * @param options - see {@link AdapterOptions}
 * @throws TypeError for an unknown option
 * @example
 * app.use(koaGate(gate))
 * app.use((ctx) => { ctx.body = { id: ctx.state.principal?.id } })
 */
export function koaGate<P extends Principal>(decider: Decider<P>, options: AdapterOptions = {}): KoaGate<P> {
  assertDecider(decider, 'koaGate')
  const checkDoors = createDoorCheck('koaGate', decider, options)
  return (context, next) => {
    const socket = wrappedSocket(context)
    if (socket !== undefined) {
      const enter = (decision: Allow<P> | undefined): Promise<unknown> => {
        if (decision === undefined) return Promise.resolve()
        context.state.principal = decision.principal
        return next()
      }
      const decision = decideWrapped(decider, read(context, 'upgrade'), socket)
      return isPromiseLike(decision) ? Promise.resolve(decision).then(enter) : enter(decision)
    }
    checkDoors(context.req, hasKoaWebSocket(context) ? oneListener : noSockets)
    const verdict = judge(decider, read(context))
    if (!isPromiseLike(verdict)) return settle(verdict, context, next)
    return Promise.resolve(verdict).then((settled) => settle(settled, context, next))
  }
}

function read(context: Omit<KoaContext, 'state'>, kind = kindOf(context.req)): NodeRequest {
  const { req, originalUrl, url } = context
  // koa-mount leaves `mountPath` set behind the mount, where the URL is whole again.
  const mountPath = (context as { mountPath?: string }).mountPath ?? ''
  const rewritten = url === originalUrl ? undefined : rewrittenForm(originalUrl, withoutSlash(mountPath), url)
  return new NodeRequest(kind, req, originalUrl, rewritten)
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}

function settle<P extends Principal>(
  verdict: Verdict<P>,
  context: KoaContext<P>,
  next: () => Promise<unknown>,
): Promise<unknown> {
  const { res } = context
  if (res.destroyed) return Promise.resolve()
  if (isAllowed(verdict)) {
    context.state.principal = verdict.principal
    if (verdict.headers !== undefined) addHeaders(res, verdict.headers)
    return next()
  }
  if (res.headersSent) {
    res.destroy()
    return Promise.resolve()
  }
  if (kindOf(context.req) === 'upgrade') closeAfter(res)
  // Through the context, so that middleware outside (logs, compression) sees the answer as it sees any other.
  context.status = verdict.status
  context.body = verdict.body
  res.removeHeader('Content-Type')
  setHeaders(res, verdict.headers)
  return Promise.resolve()
}

/** koa-websocket runs the middleware of `app.ws` with a socket that is open already, and no response. */
function wrappedSocket(context: object): WrappedSocket | undefined {
  const { websocket } = context as { websocket?: Partial<WrappedSocket> }
  return typeof websocket?.close === 'function' ? (websocket as WrappedSocket) : undefined
}

/** koa-websocket gives the application an object `ws`, and adds one upgrade listener: its sockets come through here. */
function hasKoaWebSocket(context: object): boolean {
  const { app } = context as { app?: { ws?: { server?: unknown } } }
  return app?.ws?.server !== undefined
}
