import type { IncomingMessage } from 'node:http'
import type { Allow, InBand, Refused, Resumption } from '../../core/contract/decision.ts'
import type { Handshake, Refusal } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { compiledRuleOf } from '../../core/contract/rules.ts'
import type { Bucket } from '../limits/addresses.ts'
import { isOpen } from '../socket/attached.ts'
import { sendAll } from '../socket/send-all.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import { Attempt, type Claimant } from '../talk/attempt.ts'
import { codeOfRevocation, countsAsFailure } from '../talk/failures.ts'
import { SocketContext } from '../talk/handshake-context.ts'
import type { Shared } from '../talk/shared.ts'
import { asDeferred } from './as-deferred.ts'
import type { LiveSocket } from './live-socket.ts'

const minute = 60_000
const anothers = 'The new credential is of another principal than this socket.'

/** A verified newer credential. */
export type Accepted<P extends Principal> = Resumption<P> & { readonly outcome: 'allow' }

/** Receives the result of an attempt: the new principal, or the refusal that leaves the old one in force. */
export type Renewed<P extends Principal> = (answer: Resumption<P>) => void

/** The renewals of one accepted socket's credential; made only for sockets that may renew it. */
export class RenewableSocket<P extends Principal> implements Claimant<P> {
  readonly socket: LiveSocket<P>
  readonly acquainted = true
  readonly #shared: Shared<P>
  readonly #ws: WebSocketLike
  /** Weak: while the application asks for the principal of this request, it holds the request itself. */
  readonly #request: WeakRef<IncomingMessage>
  /** As it accepted the socket; its edge identity is renewed together with the principal that it is. */
  #decision: Allow<P>
  readonly #origin: string | undefined
  #attempt: Attempt<P> | undefined
  #done: Renewed<P> | undefined
  /** The caller handles a newer credential that grants less than the old one. */
  #mayLose = false
  #windowStart = Number.NEGATIVE_INFINITY
  #attempts = 0
  #failures = 0

  constructor(
    shared: Shared<P>,
    socket: LiveSocket<P>,
    ws: WebSocketLike,
    request: IncomingMessage,
    decision: Allow<P>,
  ) {
    this.socket = socket
    this.#shared = shared
    this.#ws = ws
    this.#request = new WeakRef(request)
    this.#decision = decision
    this.#origin = request.headers.origin
  }

  get bucket(): Bucket {
    return this.#shared.capacity.addresses.of(this.socket.clientAddress)
  }

  get handshake(): Handshake | undefined {
    return compiledRuleOf(this.#decision.rule).handshake
  }

  /** The handshake's view of the socket, for a protocol that renews credentials. */
  contextFor(handshake: Handshake): SocketContext<P> {
    const { socket } = this
    socket.context ??= new SocketContext(this.#shared, handshake, socket, socket.principal)
    return socket.context
  }

  /** Does nothing: the old credential stays in force while the newer one is verified. */
  pause(): void {}

  /** Has a newer credential verified as strictly as the first one; `done` is called once. */
  attempt(inBand: InBand, mayLose: boolean, done: Renewed<P>): void {
    const problem = this.#whyNotNow()
    if (problem !== undefined) {
      done(problem)
      return
    }
    this.#mayLose = mayLose
    this.#done = done
    const deferred = asDeferred(this.#decision, this.socket, this.#origin)
    this.#attempt = new Attempt<P>(this.#shared, this, deferred, inBand)
    this.#attempt.start()
  }

  /** Counts a frame that is answered, and carries none yet. */
  answers(): Refused | undefined {
    return this.#whyNotNow()
  }

  /** Counts a frame that should have carried one. */
  malformed(refusal: Refused): Refused {
    const problem = this.#whyNotNow()
    if (problem !== undefined) return problem
    this.#failures++
    this.#shared.capacity.addresses.refused(this.bucket, false)
    return refusal
  }

  /** Cancels an attempt that still waits for its verification, because the socket has closed. */
  closed(): void {
    if (this.#attempt === undefined || this.#attempt.isUnderWay) return
    this.#attempt.cancel()
    this.#finish(refuse('revoked_credential', { detail: 'The socket was closed meanwhile.' }))
  }

  #finish(answer: Resumption<P>): void {
    const done = this.#done
    this.#attempt = undefined
    this.#done = undefined
    done?.(answer)
  }

  #whyNotNow(): Refused | undefined {
    const { maxRefreshes } = this.#shared.limits
    const { rule, edgePrincipal } = this.#decision
    const now = this.#shared.gate.clock.now()
    if (!(now >= this.#windowStart && now - this.#windowStart < minute)) {
      this.#windowStart = now
      this.#attempts = 0
    }
    if (++this.#attempts > maxRefreshes) {
      const retryAfter = Math.ceil((this.#windowStart + minute - now) / 1000)
      return refuse('too_many_failures', { rule, retryAfter, detail: 'Too many credentials in a minute.' })
    }
    if (this.#attempt !== undefined) {
      return refuse('too_many_frames', { rule, detail: 'The credential before is still being verified.' })
    }
    const edgeEnds = compiledRuleOf(rule).agreesWithEdge === undefined ? undefined : edgePrincipal?.expiresAt
    if (edgeEnds !== undefined && edgeEnds <= now) {
      const detail = 'The identity that passed the edge has expired: open a new socket.'
      return refuse('edge_mismatch', { rule, detail })
    }
    return undefined
  }

  settled(answer: Resumption<P>, attempt: Attempt<P>): void {
    if (this.#attempt !== attempt) return
    if (this.socket.endReason !== undefined || !isOpen(this.#ws)) {
      this.#finish(refuse('revoked_credential', { detail: 'The socket was closed meanwhile.' }))
      return
    }
    const problem = answer.outcome === 'allow' ? this.#whyNot(answer) : answer
    if (problem === undefined) {
      this.#failures = 0
    } else if (countsAsFailure(problem.code)) {
      this.#failures++
      this.#shared.capacity.addresses.refused(this.bucket, attempt.guessable)
    }
    this.#finish(
      problem?.code === 'principal_mismatch' ? { ...problem, detail: anothers } : (problem ?? answer),
    )
  }

  #whyNot({ principal }: Accepted<P>): Refused | undefined {
    const { rule } = this.#decision
    const old = this.socket.principal as P
    const holds = (now: readonly string[], before: readonly string[]): boolean =>
      before.every((each) => now.includes(each))
    if (!this.#mayLose && !(holds(principal.scopes, old.scopes) && holds(principal.roles, old.roles))) {
      // The application uses the old principal and would not learn that this one holds less.
      const detail = 'The new credential grants less than this socket was accepted with: open a new one.'
      return refuse('insufficient_scope', { rule, detail })
    }
    return undefined
  }

  /**
   * Puts the new principal in the old one's place.
   *
   * @returns a refusal where the new principal was revoked since it was verified; the old one then stays
   */
  swap({ principal, asOf }: Accepted<P>): Refused | undefined {
    const { gate } = this.#shared
    const { rule } = this.#decision
    const revoked = this.socket.renew(principal, asOf)
    if (revoked !== undefined) return refuse(codeOfRevocation(revoked), { rule })
    this.#shared.capacity.succeeded(this.bucket)
    const edgePrincipal = renewedEdge(this.#decision.edgePrincipal, principal)
    if (edgePrincipal !== this.#decision.edgePrincipal) this.#decision = { ...this.#decision, edgePrincipal }
    const request = this.#request.deref()
    if (request !== undefined) {
      gate.remember(request, { outcome: 'allow', principal, edgePrincipal, rule, headers: undefined, asOf })
    }
    return undefined
  }

  /** Says that the credential is about to expire. */
  warn(now: number): void {
    const { handshake, socket } = this
    const expiresAt = socket.principal?.expiresAt
    if (expiresAt === undefined || socket.endReason !== undefined || !isOpen(this.#ws)) return
    if (handshake === undefined) return
    const renewing = { handshake, context: this.contextFor(handshake) }
    sendAll(this.#ws, this.#shared.renewalTalk.expiring(renewing, expiresAt, now))
  }

  /** Whether a refusal closes the socket: another principal's credential, too many failures, or too many attempts. */
  isLast({ code }: Refusal): boolean {
    const { maxRefreshes, maxRefreshFailures } = this.#shared.limits
    if (code === 'principal_mismatch') return true
    // The first attempt beyond the limit is only refused; a further one closes the socket.
    return this.#failures >= maxRefreshFailures || this.#attempts > maxRefreshes + 1
  }
}

/**
 * The edge's identity after a renewal: where it is the principal itself, as of an Access login that a ticket renewed, it
 * now ends with the newer login. Its attributes stay, which tickets do not carry.
 */
function renewedEdge(edge: Principal | undefined, principal: Principal): Principal | undefined {
  if (edge === undefined || edge.scheme !== principal.scheme) return edge
  if (edge.kind !== principal.kind || edge.id !== principal.id) return edge
  return Object.freeze({ ...principal, attributes: edge.attributes })
}
