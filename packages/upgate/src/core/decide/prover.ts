import { andThen, atOnce, isPromiseLike } from '../async/maybe-promise.ts'
import type { Moment } from '../contract/connections.ts'
import type {
  Credential,
  Extraction,
  MaybePromise,
  Scheme,
  Verification,
  VerifyContext,
} from '../contract/credential.ts'
import type { Refused } from '../contract/decision.ts'
import type { Principal } from '../contract/principal.ts'
import { refuse } from '../contract/refusals.ts'
import type { AuthRequest } from '../contract/request.ts'
import type { CompiledRule } from '../contract/rules.ts'
import { type FaultLog, faultLine } from '../faults/fault-log.ts'
import type { Secrets } from '../faults/secrets.ts'
import type { RevocationWindow } from '../live/revocation-window.ts'
import type { Clock } from '../ports/clock.ts'
import { createDuplicateFinder } from '../request/duplicate-headers.ts'
import { isForAudience, otherApplication } from '../rules/audience.ts'
import { whyNotFor } from './authorize.ts'
import type { IgnoredAuthorization } from './ignored-authorization.ts'
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

/** Retries of a verification that a revocation overtook. */
const maxReverifications = 2

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
  readonly #window: RevocationWindow
  readonly #clock: Clock
  readonly #faults: FaultLog
  readonly #ignored: IgnoredAuthorization | undefined

  constructor(
    schemes: readonly Scheme<P>[],
    window: RevocationWindow,
    clock: Clock,
    faults: FaultLog,
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
    this.#window = window
    this.#clock = clock
    this.#faults = faults
    this.#ignored = ignored
  }

  /** The moment before something is proved. */
  now(): Moment {
    return this.#window.now()
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
    let explicit: Extraction | undefined
    let explicitScheme: Scheme<P> | undefined
    let ambient: Found<P>[] | undefined
    for (const scheme of this.#schemes) {
      const found = this.#extract(scheme, request, trace)
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
        if (ambient === undefined) ambient = [entry]
        else ambient.push(entry)
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
      const answer = this.verify(scheme, explicit.credential, context, request)
      return isPromiseLike(answer)
        ? this.#concludeLater(scheme, location, answer, rule, trace)
        : this.#conclude(scheme, location, answer, rule, trace)
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
      const found = scheme.extract?.(request) ?? undefined
      // This order spares every request a look for `then`, which no extraction has.
      if (found === undefined) return undefined
      if (typeof found.location === 'string' && typeof found.credential === 'object') return found
      atOnce('extract', found)
      throw new TypeError('`extract` must answer with a `credential` and its `location`, or `undefined`')
    } catch (error) {
      // A scheme that breaks on a request must not turn it into one without credentials.
      this.#threw(scheme, 'extract', error, undefined, request, trace)
      return 'failed'
    }
  }

  #tryAmbient(
    found: readonly Found<P>[],
    from: number,
    clear: readonly string[] | undefined,
    request: AuthRequest,
    rule: CompiledRule,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    const entry = found[from]
    if (entry === undefined) return clear === undefined ? nothing : { ...nothing, clear }
    const answer = this.verify(entry.scheme, entry.extraction.credential, context, request)
    return isPromiseLike(answer)
      ? this.#settleAmbientLater(answer, found, from, clear, request, rule, context, trace)
      : this.#settleAmbient(answer, found, from, clear, request, rule, context, trace)
  }

  #settleAmbientLater(
    answer: PromiseLike<Verification<P>>,
    found: readonly Found<P>[],
    from: number,
    clear: readonly string[] | undefined,
    request: AuthRequest,
    rule: CompiledRule,
    context: VerifyContext,
    trace: Trace | undefined,
  ): PromiseLike<Proof<P>> {
    return answer.then((settled) =>
      this.#settleAmbient(settled, found, from, clear, request, rule, context, trace),
    )
  }

  #settleAmbient(
    answer: Verification<P>,
    found: readonly Found<P>[],
    at: number,
    clear: readonly string[] | undefined,
    request: AuthRequest,
    rule: CompiledRule,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    const { scheme, extraction } = found[at] as Found<P>
    const proof = this.#conclude(scheme, extraction.location, answer, rule, trace)
    if (proof.failure?.outcome !== 'challenge' && proof.failure?.outcome !== 'forbid') {
      return clear === undefined ? proof : { ...proof, clear }
    }
    // A bad ambient credential counts as none: the browser sends it whether its user wants to or not.
    const kept = answer.outcome === 'rejected' && answer.clear === false
    const removal = kept ? undefined : this.#removalOf(scheme, request, trace)
    const removals = removal === undefined ? clear : [...(clear ?? []), removal]
    return this.#tryAmbient(found, at + 1, removals, request, rule, context, trace)
  }

  /** A cookie that cannot be removed counts as none all the same. */
  #removalOf(scheme: Scheme<P>, request: AuthRequest, trace: Trace | undefined): string | undefined {
    try {
      const removal = atOnce('clearCookie', scheme.clearCookie?.(request)) ?? undefined
      if (removal !== undefined && (typeof removal !== 'string' || /[^\t\x20-\x7e\x80-\xff]/.test(removal))) {
        throw new TypeError(
          '`clearCookie` must answer with the value of a `Set-Cookie` header, or `undefined`',
        )
      }
      return removal
    } catch (error) {
      this.#threw(scheme, 'clearCookie', error, undefined, request, trace)
      return undefined
    }
  }

  #proveEdge(
    request: AuthRequest,
    rule: CompiledRule,
    ambientCounts: boolean,
    context: VerifyContext,
    trace: Trace | undefined,
  ): MaybePromise<Proof<P>> {
    for (const scheme of this.#edgeSchemes) {
      const found = this.#extract(scheme, request, trace)
      if (found === undefined) continue
      if (found === 'failed') return { ...nothing, failure: failed(scheme, 'extract') }
      const answer = this.verify(scheme, found.credential, context, request)
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

  /** Whether a scheme reads a credential in band, or the refusal where it broke on it. */
  claims(scheme: Scheme<P>, credential: Credential, rule: CompiledRule): boolean | Refused {
    try {
      return Boolean(atOnce('claims', scheme.claims?.(credential)))
    } catch (error) {
      this.#threw(scheme, 'claims', error, credential)
      return failed(scheme, 'claims', rule)
    }
  }

  /**
   * Has a scheme verify a credential; failures of the scheme are `unavailable`, and a revocation during the verification wins.
   *
   * @param request - the one it came with; absent in band
   */
  verify(
    scheme: Scheme<P>,
    credential: Credential,
    context: VerifyContext,
    request?: AuthRequest,
    attempt = 0,
  ): MaybePromise<Verification<P>> {
    const before = this.#window.now()
    try {
      const answer = scheme.verify(credential, context)
      if (isAuthenticated(answer)) return answer
      if (!isPromiseLike(answer)) return this.#checked(scheme, answer, credential, context, request)
      return this.#verifyLater(answer, scheme, credential, context, request, before, attempt)
    } catch (error) {
      return this.#broken(scheme, 'verify', error, credential, context, request)
    }
  }

  #verifyLater(
    answer: PromiseLike<Verification<P>>,
    scheme: Scheme<P>,
    credential: Credential,
    context: VerifyContext,
    request: AuthRequest | undefined,
    before: Moment,
    attempt: number,
  ): Promise<Verification<P>> {
    // Resolved once more: whatever else has a `then` need not keep to what promises promise.
    return Promise.resolve(answer).then(
      (value) => {
        const settled = this.#checked(scheme, value, credential, context, request)
        if (
          settled.outcome !== 'authenticated' ||
          this.#window.since(before, settled.principal) === undefined
        )
          return settled
        if (attempt < maxReverifications)
          return this.verify(scheme, credential, context, request, attempt + 1)
        return {
          outcome: 'unavailable',
          reason: 'revocations kept arriving during the verification',
          retryAfter: 1,
        }
      },
      (error: unknown) => this.#broken(scheme, 'verify', error, credential, context, request),
    )
  }

  /** Calls what a verification left to be done once the rule admits its principal. */
  issue(
    scheme: Scheme<P>,
    issue: () => MaybePromise<Verification<P>>,
    credential: Credential,
    context: VerifyContext,
  ): MaybePromise<Verification<P>> {
    const broken = (error: unknown): Verification<P> =>
      this.#broken(scheme, 'issue', error, credential, context)
    try {
      const answer = issue()
      if (!isPromiseLike(answer)) return this.#checked(scheme, answer, credential, context)
      return Promise.resolve(answer).then(
        (value) => this.#checked(scheme, value, credential, context),
        broken,
      )
    } catch (error) {
      return broken(error)
    }
  }

  /** Checks an answer: an exception that a scheme caught counts as one, and so does a missing answer. */
  #checked(
    scheme: Scheme<P>,
    answer: Verification<P>,
    credential: Credential,
    context: VerifyContext,
    request?: AuthRequest,
  ): Verification<P> {
    try {
      switch (answer.outcome) {
        case 'authenticated':
          if (typeof answer.principal.id === 'string') return answer
          break
        case 'rejected':
        case 'throttled':
          return answer
        case 'unavailable':
          return 'cause' in answer
            ? this.#broken(scheme, 'verify', answer.cause, credential, context, request, answer)
            : answer
      }
    } catch {}
    const error = new TypeError('`verify` answered with nothing that is a verification')
    return this.#broken(scheme, 'verify', error, credential, context, request)
  }

  #broken(
    scheme: Scheme<P>,
    hook: string,
    error: unknown,
    credential: Credential,
    context: VerifyContext,
    request?: AuthRequest,
    answer?: { readonly reason: string; readonly retryAfter?: number | undefined },
  ): Verification<P> {
    const reason = answer?.reason ?? `the scheme failed in \`${hook}\``
    const retryAfter = answer?.retryAfter
    if (!context.dryRun) {
      this.#threw(scheme, hook, error, credential, request)
      return { outcome: 'unavailable', reason, retryAfter }
    }
    const line = faultLine(error, secretsOf(request, credential))
    return { outcome: 'unavailable', reason: `${reason}: ${line}`, retryAfter }
  }

  /** Logs what a scheme threw; explaining shows it instead. */
  #threw(
    scheme: Scheme<P>,
    hook: string,
    error: unknown,
    credential: Credential | undefined,
    request?: AuthRequest,
    trace?: Trace,
  ): void {
    const secrets = secretsOf(request, credential)
    if (trace === undefined) {
      const place = { scheme: scheme.name, hook }
      this.#faults.report({ message: 'A scheme threw.', place, error, secrets })
    } else {
      trace.add(`scheme ${scheme.name}`, `failed in \`${hook}\`: ${faultLine(error, secrets)}`)
    }
  }

  #conclude(
    scheme: Scheme<P>,
    location: string,
    answer: Verification<P>,
    rule: CompiledRule | undefined,
    trace: Trace | undefined,
  ): Proof<P> {
    const refused = this.refusalOf(answer, rule, scheme)
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

  /** The refusal a verification amounts to, or `undefined` when it is a principal that still counts. */
  refusalOf(answer: Verification<P>, rule: CompiledRule | undefined, scheme: Scheme<P>): Refused | undefined {
    // Small, so that engines inline it: it is on the way of every request that is let in.
    if (answer.outcome !== 'authenticated') return refusalOfFailure(answer, rule, scheme.name)
    const { expiresAt } = answer.principal
    return expiresAt !== undefined && expiresAt <= this.#clock.now()
      ? refuse('expired_credential', { rule })
      : undefined
  }
}

function refusalOfFailure(
  answer: Exclude<Verification, { outcome: 'authenticated' }>,
  rule: CompiledRule | undefined,
  scheme: string,
): Refused {
  switch (answer.outcome) {
    case 'rejected':
      return refuse(answer.code, {
        rule,
        facts: answer.details,
        retryAfter: answer.retryAfter,
        reason: `The scheme ${scheme} says: ${answer.reason}.`,
        clocksDiffer: answer.clocksDiffer,
      })
    case 'unavailable':
      return refuse('unavailable', {
        rule,
        retryAfter: answer.retryAfter,
        scheme,
        note: `The scheme could not answer: ${answer.reason}.`,
      })
    case 'throttled':
      return refuse('too_many_failures', { rule, retryAfter: answer.retryAfter })
  }
}

/** Whether an answer admits a principal at once: the most common one, and in need of no further check. */
function isAuthenticated<P extends Principal>(
  answer: MaybePromise<Verification<P>>,
): answer is Verification<P> {
  const given = answer as { outcome?: unknown; principal?: { id?: unknown } | null } | null | undefined
  return given?.outcome === 'authenticated' && typeof given.principal?.id === 'string'
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

/** The credentials that an exception may quote. */
export function secretsOf(
  request: AuthRequest | undefined,
  credential?: Credential | undefined,
): (secrets: Secrets) => void {
  return (secrets) => {
    if (request !== undefined) secrets.addRequest(request)
    secrets.addCredential(credential)
  }
}

/** The refusal where a scheme broke before anything could be verified. */
function failed(scheme: Scheme<never> | Scheme, hook: string, rule?: CompiledRule): Refused {
  return refuse('unavailable', {
    rule,
    scheme: scheme.name,
    note: `The scheme could not answer: it failed in \`${hook}\`.`,
  })
}
