import type { IncomingMessage } from 'node:http'
import { isPromiseLike } from '../core/async/maybe-promise.ts'
import type { MaybePromise } from '../core/contract/credential.ts'
import type { Allow, Decision } from '../core/contract/decision.ts'
import type { Decider } from '../core/contract/gate.ts'
import type { Principal } from '../core/contract/principal.ts'
import { refuse } from '../core/contract/refusals.ts'
import type { RenderedResponse } from '../core/contract/rendered-response.ts'
import type { NodeRequest } from './request.ts'

/** The next step of an HTTP adapter: let the request through, or write an answer. */
export type Verdict<P extends Principal> = Allow<P> | RenderedResponse

/** Tells the two sorts of verdict apart. */
export function isAllowed<P extends Principal>(verdict: Verdict<P>): verdict is Allow<P> {
  return 'outcome' in verdict
}

/**
 * Decides a request for an HTTP adapter. A value where nothing must be awaited, else a promise that never rejects.
 */
export function judge<P extends Principal>(
  decider: Decider<P>,
  request: NodeRequest,
): MaybePromise<Verdict<P>> {
  const known = decidedBefore(decider, request)
  if (known !== undefined) return known
  const decision = decideSafely(decider, request)
  if (!isPromiseLike(decision)) return conclude(decider, request, decision)
  return concludeLater(decider, request, decision)
}

// Apart: a closure makes its function allocate the variables that it uses, also where nothing is awaited.
function concludeLater<P extends Principal>(
  decider: Decider<P>,
  request: NodeRequest,
  decision: PromiseLike<Decision<P>>,
): PromiseLike<Verdict<P>> {
  return decision.then((settled) => conclude(decider, request, settled))
}

/**
 * Decides, whatever the decider does: gates neither throw nor reject, but should one be broken, that must neither
 * let anybody in nor end the process.
 */
export function decideSafely<P extends Principal>(
  decider: Decider<P>,
  request: NodeRequest,
): MaybePromise<Decision<P>> {
  try {
    const decision = decider.decide(request)
    return isPromiseLike(decision) ? decision.then(undefined, () => refuse('unavailable')) : decision
  } catch {
    return refuse('unavailable')
  }
}

function conclude<P extends Principal>(
  decider: Decider<P>,
  request: NodeRequest,
  decision: Decision<P>,
): Verdict<P> {
  if (decision.outcome === 'allow') {
    decider.remember(request.native, decision)
    return decision
  }
  if (decision.outcome === 'defer') {
    // A caller that passes this on must hold the socket in a quarantine; an HTTP adapter holds none.
    return decider.render(
      refuse('upgrade_required', { rule: decision.rule, detail: notQuarantined }),
      request,
    )
  }
  return decider.render(decision, request)
}

const notQuarantined =
  'The credential is expected in the first frame of a WebSocket, and nothing on the way here took charge of the socket (`guardServer`).'

/** Where a request object carries the decision from before it reached a framework. */
const decided: unique symbol = Symbol('upgate.decided')

interface Marked {
  [decided]?: { readonly decider: object; readonly target: string; readonly method: string | undefined }
}

/**
 * Notes that this very decider has decided this request object by this target and the method that it has now, so that
 * adapters need not again.
 */
export function markDecided(native: IncomingMessage, decider: object, target: string): void {
  ;(native as Marked)[decided] = { decider, target, method: native.method }
}

/**
 * The decision by which the same decider already let this request object in, under the same target and method.
 *
 * A router that sees another URL or method than the one decided gets no benefit of it: that request is decided again.
 */
export function decidedBefore<P extends Principal>(
  decider: Decider<P>,
  request: NodeRequest,
): Allow<P> | undefined {
  const mark = (request.native as Marked)[decided]
  if (mark === undefined || mark.decider !== decider || request.rewrittenTarget !== undefined)
    return undefined
  if (mark.target !== request.target || mark.method !== request.native.method) return undefined
  const decision = decider.decisionOf(request.native)
  return decision?.outcome === 'allow' ? decision : undefined
}
