import type { Connections } from './connections.ts'
import type {
  Credential,
  Extraction,
  MaybePromise,
  Scheme,
  Verification,
  VerifyContext,
} from './credential.ts'
import type { Refused } from './decision.ts'
import { createDuplicateFinder } from './duplicate-headers.ts'
import { andThen, isPromiseLike } from './maybe-promise.ts'
import type { Clock } from './ports/clock.ts'
import type { Logger } from './ports/logger.ts'
import type { Principal } from './principal.ts'
import { refuse } from './refusals.ts'
import type { AuthRequest } from './request.ts'
import type { CompiledRule } from './rules.ts'
import type { Trace } from './trace.ts'

/** What a request's credentials proved. */
export interface Proof<P extends Principal> {
  /** By a credential of the application's own. */
  readonly principal: P | undefined
  /** By the edge's assertion, kept beside. */
  readonly edgePrincipal: P | undefined
  /** The final refusal, where an explicit credential or the edge's assertion was bad or could not be checked. */
  readonly failure: Refused | undefined
  /** `Set-Cookie` lines that remove ambient credentials whose verification really failed. */
  readonly clear: readonly string[] | undefined
}

const nothing: Proof<never> = {
  principal: undefined,
  edgePrincipal: undefined,
  failure: undefined,
  clear: undefined,
}

/** Retries of a verification that a revocation overtook. */
const maxReverifications = 2

/** Finds the credentials of a request and has them verified, scheme by scheme, in the order given. */
export class Prover<P extends Principal> {
  readonly #schemes: readonly Scheme<P>[]
  readonly #edgeSchemes: readonly Scheme<P>[]
  readonly #explicitHeaders: readonly string[]
  readonly #findDuplicate: (rawHeaders: readonly string[]) => string | undefined
  readonly #connections: Pick<Connections, 'mark' | 'closedSince'>
  readonly #clock: Clock
  readonly #logger: Logger

  constructor(
    schemes: readonly Scheme<P>[],
    connections: Pick<Connections, 'mark' | 'closedSince'>,
    clock: Clock,
    logger: Logger,
  ) {
    this.#schemes = schemes.filter((scheme) => scheme.edge !== true)
    this.#edgeSchemes = schemes.filter((scheme) => scheme.edge === true)
    this.#explicitHeaders = [
      ...new Set(['authorization', ...this.#schemes.flatMap((scheme) => scheme.headers ?? [])]),
    ]
    this.#findDuplicate = createDuplicateFinder([
      'host',
      'origin',
      ...this.#explicitHeaders,
      ...this.#edgeSchemes.flatMap((scheme) => scheme.headers ?? []),
    ])
    this.#connections = connections
    this.#clock = clock
    this.#logger = logger
  }

  /** A point in time, before something is proved; see `Connections.mark`. */
  mark(): number {
    return this.#connections.mark()
  }

  /** The name of a header that may occur once and occurred more often. */
  duplicateHeader(request: AuthRequest): string | undefined {
    return this.#findDuplicate(request.rawHeaders)
  }

  /** Whether a header carries credentials: a duplicate of it says something about who it is, not about the request. */
  carriesCredential(header: string): boolean {
    return header !== 'host' && header !== 'origin'
  }

  /**
   * Proves who a request is from.
   *
   * @param ambientCounts - whether cookies and the like may count, by the Origin
   */
  prove(
    request: AuthRequest,
    rule: CompiledRule,
    ambientCounts: boolean,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    const own = this.#proveOwn(request, rule, ambientCounts, context, trace)
    if (this.#edgeSchemes.length === 0) return own
    const edge = this.#proveEdge(request, ambientCounts, context, trace)
    if (!isPromiseLike(own) && !isPromiseLike(edge)) return beside(own, edge)
    return andThen(own, (o) => andThen(edge, (e) => beside(o, e)))
  }

  #proveOwn(
    request: AuthRequest,
    rule: CompiledRule,
    ambientCounts: boolean,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    let explicit: Extraction | undefined
    let explicitScheme: Scheme<P> | undefined
    let ambient: [Scheme<P>, Extraction][] | undefined
    for (const scheme of this.#schemes) {
      const found = this.#extract(scheme, request, trace)
      if (found === undefined) continue
      if (found === 'failed') return { ...nothing, failure: refuse('unavailable', { rule }) }
      if (!scheme.ambient) {
        if (explicit === undefined) {
          explicit = found
          explicitScheme = scheme
        } else if (explicit.location !== found.location) {
          trace?.add('credentials', `two explicit credentials: ${explicit.location} and ${found.location}`)
          return { ...nothing, failure: refuse('multiple_credentials', { rule }) }
        }
      } else if (!ambientCounts) {
        trace?.add(
          `scheme ${scheme.name}`,
          `${found.location} dropped: it is ambient, and the Origin does not allow it`,
        )
      } else if (rule.schemes !== undefined && !rule.schemes.includes(scheme.name)) {
        trace?.add(`scheme ${scheme.name}`, `${found.location} ignored: the rule does not admit this scheme`)
      } else {
        ambient ??= []
        ambient.push([scheme, found])
      }
    }

    for (const header of this.#explicitHeaders) {
      const value = request.headers[header]
      if (value === undefined || value === '' || explicit?.location === header) continue
      if (explicit !== undefined) {
        trace?.add('credentials', `two explicit credentials: ${explicit.location} and ${header}`)
        return { ...nothing, failure: refuse('multiple_credentials', { rule }) }
      }
      explicit = {
        credential: { type: 'opaque', source: 'header', name: header, value: undefined },
        location: header,
      }
    }

    if (explicit !== undefined) {
      if (explicitScheme === undefined) {
        trace?.add('credentials', `${explicit.location} holds something that no scheme claims; that is final`)
        return { ...nothing, failure: refuse('invalid_credential', { rule }) }
      }
      const scheme = explicitScheme
      const location = explicit.location
      const answer = this.verify(scheme, explicit.credential, context)
      if (isPromiseLike(answer))
        return answer.then((value) => this.#conclude(scheme, location, value, rule, trace))
      return this.#conclude(scheme, location, answer, rule, trace)
    }
    if (ambient === undefined) {
      trace?.add('credentials', 'none')
      return nothing
    }
    return this.#tryAmbient(ambient, 0, undefined, request, rule, context, trace)
  }

  #extract(
    scheme: Scheme<P>,
    request: AuthRequest,
    trace: Trace | undefined,
  ): Extraction | undefined | 'failed' {
    try {
      return scheme.extract?.(request)
    } catch (error) {
      // A scheme that breaks on a request must not turn it into one without credentials.
      this.#logger.error('A scheme failed to look for its credential.', {
        scheme: scheme.name,
        error: messageOf(error),
      })
      trace?.add(`scheme ${scheme.name}`, 'failed while looking for its credential')
      return 'failed'
    }
  }

  #tryAmbient(
    found: readonly [Scheme<P>, Extraction][],
    from: number,
    clear: readonly string[] | undefined,
    request: AuthRequest,
    rule: CompiledRule,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    const entry = found[from]
    if (entry === undefined) return clear === undefined ? nothing : { ...nothing, clear }
    const [scheme, extraction] = entry
    return andThen(this.verify(scheme, extraction.credential, context), (answer) => {
      const proof = this.#conclude(scheme, extraction.location, answer, rule, trace)
      if (proof.failure?.outcome !== 'challenge' && proof.failure?.outcome !== 'forbid') {
        return clear === undefined ? proof : { ...proof, clear }
      }
      // A bad ambient credential counts as none: the browser sends it whether its user wants to or not.
      const removal = scheme.clearCookie?.(request)
      const removals = removal === undefined ? clear : [...(clear ?? []), removal]
      return this.#tryAmbient(found, from + 1, removals, request, rule, context, trace)
    })
  }

  #proveEdge(
    request: AuthRequest,
    ambientCounts: boolean,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    for (const scheme of this.#edgeSchemes) {
      const found = this.#extract(scheme, request, trace)
      if (found === undefined) continue
      if (found === 'failed') return { ...nothing, failure: refuse('unavailable') }
      const answer = this.verify(scheme, found.credential, context)
      return isPromiseLike(answer)
        ? answer.then((settled) => this.#concludeEdge(scheme, found, settled, ambientCounts, trace))
        : this.#concludeEdge(scheme, found, answer, ambientCounts, trace)
    }
    return nothing
  }

  #concludeEdge(
    scheme: Scheme<P>,
    found: Extraction,
    answer: Verification<P>,
    ambientCounts: boolean,
    trace: Trace | undefined,
  ): Proof<P> {
    const proof = this.#conclude(scheme, found.location, answer, undefined, trace)
    if (answer.outcome !== 'authenticated' || proof.principal === undefined) {
      // A bad cookie of the edge counts as none, like any other; only its header says what the edge itself asserts.
      const ambientAndBad = answer.outcome !== 'unavailable' && found.credential.source === 'cookie'
      return ambientAndBad ? nothing : proof
    }
    if ((answer.ambient ?? scheme.ambient) && !ambientCounts) {
      trace?.add(`scheme ${scheme.name}`, 'identity dropped: it is ambient, and the Origin does not allow it')
      return nothing
    }
    return { principal: undefined, edgePrincipal: proof.principal, failure: undefined, clear: undefined }
  }

  /** Has a scheme verify a credential; failures of the scheme are `unavailable`, and a revocation meanwhile wins. */
  verify(
    scheme: Scheme<P>,
    credential: Credential,
    context: VerifyContext,
    attempt = 0,
  ): MaybePromise<Verification<P>> {
    const before = this.#connections.mark()
    let answer: MaybePromise<Verification<P>>
    try {
      answer = scheme.verify(credential, context)
    } catch (error) {
      return this.#broken(scheme, error)
    }
    if (!isPromiseLike(answer)) return answer
    return answer.then(
      (value) => {
        if (
          value.outcome !== 'authenticated' ||
          this.#connections.closedSince(before, value.principal) === undefined
        )
          return value
        if (attempt < maxReverifications) return this.verify(scheme, credential, context, attempt + 1)
        return {
          outcome: 'unavailable',
          reason: 'revocations kept arriving during the verification',
          retryAfter: 1,
        }
      },
      (error: unknown) => this.#broken(scheme, error),
    )
  }

  #broken(scheme: Scheme<P>, error: unknown): Verification<P> {
    this.#logger.error('A scheme failed to verify a credential.', {
      scheme: scheme.name,
      error: messageOf(error),
    })
    return { outcome: 'unavailable', reason: 'the scheme failed' }
  }

  #conclude(
    scheme: Scheme<P>,
    location: string,
    answer: Verification<P>,
    rule: CompiledRule | undefined,
    trace: Trace | undefined,
  ): Proof<P> {
    const refused = this.refusalOf(answer, rule)
    if (trace !== undefined) {
      const reason =
        answer.outcome === 'authenticated' ? `${answer.principal.kind} ${answer.principal.id}` : answer.reason
      trace.add(
        `scheme ${scheme.name}`,
        `${location}: ${refused === undefined ? answer.outcome : refused.code}, ${reason}`,
      )
    }
    if (refused !== undefined || answer.outcome !== 'authenticated') return { ...nothing, failure: refused }
    return { principal: answer.principal, edgePrincipal: undefined, failure: undefined, clear: undefined }
  }

  /** The refusal a verification amounts to, or `undefined` when it is a principal that still counts. */
  refusalOf(answer: Verification<P>, rule: CompiledRule | undefined): Refused | undefined {
    switch (answer.outcome) {
      case 'authenticated': {
        const { expiresAt } = answer.principal
        return expiresAt !== undefined && expiresAt <= this.#clock.now()
          ? refuse('expired_credential', { rule })
          : undefined
      }
      case 'rejected':
        return refuse(answer.code, { rule, facts: answer.details, retryAfter: answer.retryAfter })
      case 'unavailable':
        return refuse('unavailable', { rule, retryAfter: answer.retryAfter })
      case 'throttled':
        return refuse('too_many_failures', { rule, retryAfter: answer.retryAfter })
    }
  }
}

/** What the edge proved, beside what the application's own credentials did. */
function beside<P extends Principal>(own: Proof<P>, edge: Proof<P>): Proof<P> {
  if (edge === nothing) return own
  if (own === nothing) return edge
  return {
    principal: own.principal,
    edgePrincipal: edge.edgePrincipal,
    failure: edge.failure ?? own.failure,
    clear: own.clear,
  }
}

/** An error's message, without its stack and without assuming that it is an Error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error'
}
