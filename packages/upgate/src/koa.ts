/**
 * Upgate in front of Koa 2 and 3.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isPromiseLike } from './core/async/maybe-promise.ts'
import type { Decider } from './core/contract/gate.ts'
import type { Principal } from './core/contract/principal.ts'
import { assertDecider } from './core/options/check-gate.ts'
import { isAllowed, judge, type Verdict } from './node/judge.ts'
import { kindOf, NodeRequest, rewrittenForm } from './node/request.ts'
import { addHeaders, closeAfter, setHeaders } from './node/respond.ts'

/** What the middleware reads and writes of a Koa context; Koa 2 and 3 have it. */
export interface KoaContext<P extends Principal = Principal> {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly originalUrl: string
  url: string
  status: number
  body: unknown
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
 * @param decider - a gate, or what `gate.require(...)` returns
 * @example
 * app.use(koaGate(gate))
 * app.use((ctx) => { ctx.body = { id: ctx.state.principal?.id } })
 */
export function koaGate<P extends Principal>(decider: Decider<P>): KoaGate<P> {
  assertDecider(decider, 'koaGate')
  return (context, next) => {
    const verdict = judge(decider, read(context))
    if (!isPromiseLike(verdict)) return settle(verdict, context, next)
    return Promise.resolve(verdict).then((settled) => settle(settled, context, next))
  }
}

function read(context: Omit<KoaContext, 'state'>): NodeRequest {
  const { req, originalUrl, url } = context
  // koa-mount leaves `mountPath` set behind the mount, where the URL is whole again.
  const mountPath = (context as { mountPath?: string }).mountPath ?? ''
  const rewritten = url === originalUrl ? undefined : rewrittenForm(originalUrl, withoutSlash(mountPath), url)
  return new NodeRequest(kindOf(req), req, originalUrl, rewritten)
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
  if (kindOf(context.req) === 'upgrade') closeSocket(context)
  // Through the context, so that middleware outside (logs, compression) sees the answer as it sees any other.
  context.status = verdict.status
  context.body = verdict.body
  res.removeHeader('Content-Type')
  setHeaders(res, verdict.headers)
  return Promise.resolve()
}

/** koa-websocket runs the middleware when the socket is open already; other wrappers answer on the bare socket. */
function closeSocket(context: Omit<KoaContext, 'state'>): void {
  const { websocket } = context as { websocket?: { close?(code: number): void } }
  if (typeof websocket?.close === 'function') websocket.close(1008)
  else closeAfter(context.res)
}
