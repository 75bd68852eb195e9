import { andThen, isPromiseLike } from '../async/maybe-promise.ts'
import type { Extraction, MaybePromise, Scheme, Verification, VerifyContext } from '../contract/credential.ts'
import type { Refused } from '../contract/decision.ts'
import type { Principal } from '../contract/principal.ts'
import { refuse } from '../contract/refusals.ts'
import type { AuthRequest } from '../contract/request.ts'
import type { CompiledRule } from '../contract/rules.ts'
import { createDuplicateFinder } from '../request/duplicate-headers.ts'
import { isForAudience, otherApplication } from '../rules/audience.ts'
import { whyNotFor } from './authorize.ts'
import type { IgnoredAuthorization } from './ignored-authorization.ts'
import { failed, type SchemeCalls } from './scheme-calls.ts'
import type { Trace } from './trace.ts'

/** The proofs in a request's credentials. */
export interface Proof<P extends Principal> {
  /** The principal that a credential of the application proved. */
  readonly principal: P | undefined
  /** The principal that the edge's assertion proved, kept apart. */
  readonly edgePrincipal: P | undefined
  /** The scheme that verified `principal`; where there is none, the one that verified `edgePrincipal`. */
  readonly verifiedBy: Scheme<P> | undefined
  /** The final refusal, where an explicit credential or the edge's assertion was bad or could not be checked. */
  readonly failure: Refused | undefined
  /** `Set-Cookie` lines that remove ambient credentials after a rejection, never after an outage. */
  readonly clear: readonly string[] | undefined
}

/** The proof of a request that proves nothing. */
export const nothing: Proof<never> = {
  principal: undefined,
  edgePrincipal: undefined,
  verifiedBy: undefined,
  failure: undefined,
  clear: undefined,
}

/** A credential that a scheme found. */
interface Found<P extends Principal> {
  readonly scheme: Scheme<P>
  readonly extraction: Extraction
}

/** The ambient credentials of a request, which are tried in turn until one is good. */
interface Ambient<P extends Principal> {
  readonly found: Found<P>[]
  readonly request: AuthRequest
  readonly rule: CompiledRule
  readonly context: VerifyContext
  readonly trace: Trace | undefined
}

/**
 * Finds the credentials of a request and has them verified, scheme by scheme, in the order given.
 *
 * Answers that are promises are continued in methods of their own (`...Later`): a closure makes its method allocate the
 * variables that it uses, on every request, also where nothing is awaited.
 */
export class Prover<P extends Principal> {
  readonly #schemes: readonly Scheme<P>[]
  readonly #edgeSchemes: readonly Scheme<P>[]
  readonly #explicitHeaders: readonly string[]
  readonly #findDuplicate: (rawHeaders: readonly string[]) => string | undefined
  readonly #calls: SchemeCalls<P>
  readonly #ignored: IgnoredAuthorization | undefined

  constructor(
    schemes: readonly Scheme<P>[],
    calls: SchemeCalls<P>,
    ignored: IgnoredAuthorization | undefined,
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
    this.#calls = calls
    this.#ignored = ignored
  }

  /** The name of a header that may occur once and occurred more often. */
  duplicateHeader(request: AuthRequest): string | undefined {
    return this.#findDuplicate(request.rawHeaders)
  }

  /** Whether a header carries credentials: its duplicate concerns the principal, not the form of the request. */
  carriesCredential(header: string): boolean {
    return header !== 'host' && header !== 'origin'
  }

  /**
   * Proves the principal of a request.
   *
   * @param ambientCounts - whether cookies and the like may count, by the Origin
   */
  prove(
    received: AuthRequest,
    rule: CompiledRule,
    ambientCounts: boolean,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    const request = this.#withoutIgnored(received, trace)
    const own = this.#proveOwn(request, rule, ambientCounts, context, trace)
    if (this.#edgeSchemes.length === 0) return own
    const edge = this.#proveEdge(request, rule, ambientCounts, context, trace)
    return isPromiseLike(own) || isPromiseLike(edge) ? besideLater(own, edge) : beside(own, edge)
  }

  /** The credential of a login in front of this server counts as absent, and no scheme sees it. */
  #withoutIgnored(request: AuthRequest, trace: Trace | undefined): AuthRequest {
    const ignored = this.#ignored
    if (ignored === undefined || request.headers.authorization === undefined) return request
    const word = ignored.wordOf(request)
    if (word === undefined) return request
    trace?.add('credentials', `authorization ignored: ${word} is in \`ignoreAuthorization\``)
    return ignored.hide(request)
  }

  #proveOwn(
    request: AuthRequest,
    rule: CompiledRule,
    ambientCounts: boolean,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    const calls = this.#calls
    let explicit: Extraction | undefined
    let explicitScheme: Scheme<P> | undefined
    let ambient: Ambient<P> | undefined
    for (const scheme of this.#schemes) {
      const found = calls.extract(scheme, request, trace)
      if (found === undefined) continue
      if (found === 'failed') return { ...nothing, failure: failed(scheme, 'extract', rule) }
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
          `${found.location} dropped: it is ambient, and ${whyNotAmbient(rule)}`,
        )
      } else if (rule.schemes !== undefined && !rule.schemes.includes(scheme.name)) {
        trace?.add(`scheme ${scheme.name}`, `${found.location} ignored: the rule does not admit this scheme`)
      } else {
        const entry = { scheme, extraction: found }
        // An empty list that grows takes place for sixteen.
        if (ambient === undefined) ambient = { found: [entry], request, rule, context, trace }
        else ambient.found.push(entry)
      }
    }

    for (const header of this.#explicitHeaders) {
      if (explicit?.location === header) continue
      const value = request.headers[header]
      if (value === undefined || value === '') continue
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
      const answer = calls.verify(scheme, explicit.credential, context, request)
      return isPromiseLike(answer)
        ? this.#concludeLater(scheme, location, answer, rule, trace)
        : this.#conclude(scheme, location, answer, rule, trace)
    }
    if (ambient === undefined) {
      trace?.add('credentials', 'none')
      return nothing
    }
    return this.#tryAmbient(ambient, 0, undefined)
  }

  /** @param clear - lines that remove those that were tried before */
  #tryAmbient(ambient: Ambient<P>, at: number, clear: readonly string[] | undefined): MaybePromise<Proof<P>> {
    const entry = ambient.found[at]
    if (entry === undefined) return clear === undefined ? nothing : { ...nothing, clear }
    const answer = this.#calls.verify(
      entry.scheme,
      entry.extraction.credential,
      ambient.context,
      ambient.request,
    )
    return isPromiseLike(answer)
      ? this.#settleAmbientLater(answer, ambient, at, clear)
      : this.#settleAmbient(answer, ambient, at, clear)
  }

  #settleAmbientLater(
    answer: PromiseLike<Verification<P>>,
    ambient: Ambient<P>,
    at: number,
    clear: readonly string[] | undefined,
  ): PromiseLike<Proof<P>> {
    return answer.then((settled) => this.#settleAmbient(settled, ambient, at, clear))
  }

  #settleAmbient(
    answer: Verification<P>,
    ambient: Ambient<P>,
    at: number,
    clear: readonly string[] | undefined,
  ): MaybePromise<Proof<P>> {
    const { scheme, extraction } = ambient.found[at] as Found<P>
    const proof = this.#conclude(scheme, extraction.location, answer, ambient.rule, ambient.trace)
    if (proof.failure?.outcome !== 'challenge' && proof.failure?.outcome !== 'forbid') {
      return clear === undefined ? proof : { ...proof, clear }
    }
    // A bad ambient credential counts as none: the browser sends it whether its user wants to or not.
    const kept = answer.outcome === 'rejected' && answer.clear === false
    const removal = kept ? undefined : this.#calls.removalOf(scheme, ambient.request, ambient.trace)
    const removals = removal === undefined ? clear : [...(clear ?? []), removal]
    return this.#tryAmbient(ambient, at + 1, removals)
  }

  #proveEdge(
    request: AuthRequest,
    rule: CompiledRule,
    ambientCounts: boolean,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    for (const scheme of this.#edgeSchemes) {
      const found = this.#calls.extract(scheme, request, trace)
      if (found === undefined) continue
      if (found === 'failed') return { ...nothing, failure: failed(scheme, 'extract') }
      const answer = this.#calls.verify(scheme, found.credential, context, request)
      return isPromiseLike(answer)
        ? answer.then((settled) => this.#concludeEdge(scheme, found, settled, rule, ambientCounts, trace))
        : this.#concludeEdge(scheme, found, answer, rule, ambientCounts, trace)
    }
    return nothing
  }

  #concludeEdge(
    scheme: Scheme<P>,
    found: Extraction,
    answer: Verification<P>,
    rule: CompiledRule,
    ambientCounts: boolean,
    trace: Trace | undefined,
  ): Proof<P> {
    const proof = this.#conclude(scheme, found.location, answer, undefined, trace)
    if (answer.outcome !== 'authenticated' || proof.principal === undefined) {
      // A bad cookie of the edge counts as none, like any other; only its header says what the edge itself asserts.
      const ambientAndBad = answer.outcome !== 'unavailable' && found.credential.source === 'cookie'
      return ambientAndBad ? nothing : proof
    }
    // After the scheme, and so after its cache: what a token is good for differs from rule to rule.
    if (!isForAudience(rule, proof.principal)) {
      const note = whyNotFor(rule, proof.principal)
      trace?.add(`scheme ${scheme.name}`, `${found.location} does not count here. ${note}`)
      if (found.credential.source === 'cookie') return nothing
      return {
        ...nothing,
        failure: refuse('invalid_credential', { detail: otherApplication, note, scheme: scheme.name }),
      }
    }
    if ((answer.ambient ?? scheme.ambient) && !ambientCounts) {
      trace?.add(`scheme ${scheme.name}`, `identity dropped: it is ambient, and ${whyNotAmbient(rule)}`)
      return nothing
    }
    return { ...nothing, edgePrincipal: proof.principal, verifiedBy: scheme }
  }

  #conclude(
    scheme: Scheme<P>,
    location: string,
    answer: Verification<P>,
    rule: CompiledRule | undefined,
    trace: Trace | undefined,
  ): Proof<P> {
    const refused = this.#calls.refusalOf(answer, rule, scheme)
    if (trace !== undefined) {
      const reason =
        answer.outcome === 'authenticated' ? `${answer.principal.kind} ${answer.principal.id}` : answer.reason
      trace.add(
        `scheme ${scheme.name}`,
        `${location}: ${refused === undefined ? answer.outcome : refused.code}, ${reason}`,
      )
    }
    if (refused !== undefined || answer.outcome !== 'authenticated') return { ...nothing, failure: refused }
    return {
      principal: answer.principal,
      edgePrincipal: undefined,
      verifiedBy: scheme,
      failure: undefined,
      clear: undefined,
    }
  }

  #concludeLater(
    scheme: Scheme<P>,
    location: string,
    answer: PromiseLike<Verification<P>>,
    rule: CompiledRule,
    trace: Trace | undefined,
  ): PromiseLike<Proof<P>> {
    return answer.then((settled) => this.#conclude(scheme, location, settled, rule, trace))
  }
}

function whyNotAmbient(rule: CompiledRule): string {
  return rule.anyOrigin ? 'the rule takes pages of every origin' : 'the Origin does not allow it'
}

/** Joins the edge's proof and that of the application's own credentials. */
function beside<P extends Principal>(own: Proof<P>, edge: Proof<P>): Proof<P> {
  if (edge === nothing) return own
  if (own === nothing) return edge
  return {
    principal: own.principal,
    edgePrincipal: edge.edgePrincipal,
    verifiedBy: own.verifiedBy ?? edge.verifiedBy,
    failure: edge.failure ?? own.failure,
    clear: own.clear,
  }
}

function besideLater<P extends Principal>(
  own: MaybePromise<Proof<P>>,
  edge: MaybePromise<Proof<P>>,
): MaybePromise<Proof<P>> {
  return andThen(own, (o) => andThen(edge, (e) => beside(o, e)))
}
