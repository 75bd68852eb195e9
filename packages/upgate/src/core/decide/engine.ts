import { isPromiseLike } from '../async/maybe-promise.ts'
import type { Moment } from '../contract/connections.ts'
import type { MaybePromise, Scheme, VerifyContext } from '../contract/credential.ts'
import type { Allow, Decision, DocumentAnswer, HeaderList, Refused } from '../contract/decision.ts'
import type { SetupOptions } from '../contract/gate.ts'
import type { Principal } from '../contract/principal.ts'
import { refuse } from '../contract/refusals.ts'
import { type AuthRequest, assertAuthRequest, headerOf } from '../contract/request.ts'
import type { CompiledRule } from '../contract/rules.ts'
import type { FaultLog } from '../faults/fault-log.ts'
import type { ClientAddresses } from '../request/client-address.ts'
import { hideHeaders } from '../request/hidden-headers.ts'
import {
  corsHeaders,
  isOurHost,
  isPreflight,
  isSafeMethod,
  judgeOrigin,
  type OriginPolicy,
  type OriginVerdict,
  preflightHeaders,
  readableByAll,
} from '../request/origin.ts'
import { pathOf } from '../request/target.ts'
import { asksForWebSocket, checkWebSocketHandshake, websocketOnly } from '../request/upgrade-request.ts'
import type { ClosedPaths } from '../rules/closed-paths.ts'
import type { Matcher } from '../rules/matcher.ts'
import { TextMap } from '../text/text-map.ts'
import { refuseUndecided, whyNotAdmitted } from './fail-closed.ts'
import { nothing, type Proof, type Prover } from './prover.ts'
import {
  describeAmbiguity,
  describeOrigin,
  describeStrictness,
  refuseHost,
  refuseMethod,
  refuseOrigin,
} from './request-refusals.ts'
import { type SchemeCalls, secretsOf } from './scheme-calls.ts'
import type { Trace } from './trace.ts'

/** The parts of an {@link Engine}, compiled and checked by `createGate`. */
export interface EngineParts<P extends Principal> {
  readonly matcher: Matcher
  /** Paths that an external login closes. */
  readonly closed: ClosedPaths | undefined
  readonly prover: Prover<P>
  readonly calls: SchemeCalls<P>
  readonly schemes: readonly Scheme<P>[]
  readonly originPolicy: OriginPolicy
  readonly clientAddresses: ClientAddresses
  readonly setup: SetupOptions | undefined
  readonly faults: FaultLog
}

/** Circumstances of one request; the costly ones are computed on demand. */
class Circumstances implements VerifyContext {
  readonly dryRun: boolean
  /** The moment before the first verification. */
  readonly asOf: Moment
  // Not `#private`: those cost measurably more to set up, and one of these is made for every request.
  private readonly request: AuthRequest
  private readonly addresses: ClientAddresses

  constructor(request: AuthRequest, addresses: ClientAddresses, dryRun: boolean, asOf: Moment) {
    this.request = request
    this.addresses = addresses
    this.dryRun = dryRun
    this.asOf = asOf
  }

  get clientAddress(): string | undefined {
    return this.addresses.of(this.request)
  }

  get path(): string {
    return pathOf(this.request.target)
  }

  get origin(): string | undefined {
    return headerOf(this.request, 'origin')
  }
}

/** Takes the decisions. Every way to a handler goes through here. */
export class Engine<P extends Principal> {
  readonly #parts: EngineParts<P>
  /** Answers for exact public paths, made beforehand: nothing is allocated for them. */
  readonly #open = new TextMap<Allow<P>>()
  /** The schemes that have headers removed. */
  readonly #hiders: readonly Scheme<P>[]
  #setupDone = false

  constructor(parts: EngineParts<P>) {
    this.#parts = parts
    this.#hiders = parts.schemes.filter((scheme) => scheme.hidesHeaders !== undefined)
    for (const [path, rule] of parts.matcher.openPaths()) {
      if (rule.document === undefined && parts.closed?.has(path, undefined) !== true)
        this.#open.set(path, allow(rule, parts.calls.now()))
    }
  }

  decide(received: AuthRequest, trace?: Trace): MaybePromise<Decision<P>> {
    let request = received
    if (this.#hiders.length > 0) {
      const cleaned = this.#withoutHidden(received, trace)
      if ('code' in cleaned) return cleaned
      request = cleaned
    }
    if (
      trace === undefined &&
      request?.kind === 'http' &&
      (request.method === 'GET' || request.method === 'HEAD')
    ) {
      const open = this.#open.get(request.target)
      if (open !== undefined && request.rewrittenTarget === undefined) {
        const { headers } = request
        if (headers.upgrade === undefined && headers.origin === undefined) return open
      }
    }
    // Outside the net below: misuse is an exception, and no 503.
    assertAuthRequest(request, 'gate.decide')
    // Written out instead of shared as a closure: one fewer allocation on every request.
    try {
      const decision = this.#decide(request, trace)
      return isPromiseLike(decision) ? this.#caught(decision, request) : decision
    } catch (error) {
      return refuseUndecided(this.#parts.faults, error, request)
    }
  }

  /** Decides under a given rule, whatever the path: for single routes. */
  decideUnder(rule: CompiledRule, received: AuthRequest): MaybePromise<Decision<P>> {
    assertAuthRequest(received, 'gate.decide')
    let request = received
    if (this.#hiders.length > 0) {
      const cleaned = this.#withoutHidden(received, undefined)
      if ('code' in cleaned) return cleaned
      request = cleaned
    }
    try {
      const method = refuseMethod(request.method)
      const decision = method ?? this.#decideUnder(rule, request, asksForWebSocket(request), undefined)
      return isPromiseLike(decision) ? this.#caught(decision, request) : decision
    } catch (error) {
      return refuseUndecided(this.#parts.faults, error, request)
    }
  }

  /**
   * Removes the headers that no client may send, before anything reads them. Explaining leaves the request as it is.
   *
   * @returns a refusal if a scheme broke: the headers must not reach the application
   */
  #withoutHidden(received: AuthRequest, trace: Trace | undefined): AuthRequest | Refused {
    assertAuthRequest(received, 'gate.decide')
    let request = received
    for (const scheme of this.#hiders) {
      try {
        const hidden = scheme.hidesHeaders?.(request)
        if (hidden === undefined) continue
        const { names, reason } = hidden
        trace?.add(`scheme ${scheme.name}`, `${[...names].join(', ')} removed: ${reason}`)
        if (trace === undefined && request.remove !== undefined) request.remove((name) => names.has(name))
        else request = hideHeaders(request, (name) => names.has(name))
      } catch (error) {
        return refuseUndecided(this.#parts.faults, error, received)
      }
    }
    return request
  }

  #caught(decision: PromiseLike<Decision<P>>, request: AuthRequest): PromiseLike<Decision<P>> {
    return decision.then(undefined, (error: unknown) => refuseUndecided(this.#parts.faults, error, request))
  }

  #decide(request: AuthRequest, trace: Trace | undefined): MaybePromise<Decision<P>> {
    const refusedMethod = refuseMethod(request.method)
    if (refusedMethod !== undefined) return refusedMethod
    const upgrade = asksForWebSocket(request)
    const { matcher } = this.#parts
    const { target, rewrittenTarget, method } = request
    let match = matcher.match(target, rewrittenTarget, method, upgrade)
    // Where nothing took the socket over, a handler of HTTP answers it: the headers alone must not choose the rules.
    if (upgrade && request.kind === 'http') {
      match = matcher.stricter(match, matcher.match(target, rewrittenTarget, method, false))
    }
    if (this.#parts.closed?.has(request.target, request.rewrittenTarget) === true)
      return refuse('external_login')
    if (match === 'ambiguous') return refuse('ambiguous_target', { detail: describeAmbiguity(request) })
    if ('malformed' in match) return refuse('malformed_target', { detail: match.malformed })
    return this.#decideUnder(match, request, upgrade, trace)
  }

  #decideUnder(
    rule: CompiledRule,
    request: AuthRequest,
    upgrade: boolean,
    trace: Trace | undefined,
  ): MaybePromise<Decision<P>> {
    const { originPolicy, prover, calls, clientAddresses } = this.#parts
    if (upgrade) {
      const malformed = checkWebSocketHandshake(request, rule)
      if (malformed !== undefined) return malformed
    } else if (rule.access === 'deferred') {
      return refuse('upgrade_required', { rule, headers: websocketOnly })
    }

    const safe = !upgrade && isSafeMethod(request.method)
    const verdict = judgeOrigin(originPolicy, request, upgrade)
    if (trace !== undefined) trace.add('origin', `${verdict}${describeOrigin(request)}`)
    if (isPreflight(request) && !upgrade) {
      if (verdict === 'allowed')
        return { outcome: 'preflight', rule, headers: preflightHeaders(request, 'allowed') }
      if (rule.allowForeignOrigins) {
        const pages = rule.anyOrigin ? 'any' : 'foreign'
        return { outcome: 'preflight', rule, headers: preflightHeaders(request, pages) }
      }
      return refuseOrigin(request, rule)
    }
    if (verdict === 'foreign' && !safe && !rule.allowForeignOrigins) return refuseOrigin(request, rule)
    if (rule.access === 'public') {
      if (rule.document !== undefined && (request.method === 'GET' || request.method === 'HEAD'))
        return documentOf(rule, rule.document, request, verdict)
      const headers = allowHeaders(rule, request, verdict, undefined)
      return allow<P>(rule, calls.now(), undefined, undefined, headers)
    }

    if (!upgrade && !isOurHost(originPolicy, request)) return refuseHost(request, rule, originPolicy, trace)

    const duplicate = prover.duplicateHeader(request)
    if (duplicate !== undefined && !(rule.access === 'deferred' && prover.carriesCredential(duplicate))) {
      return refuse('duplicate_header', { rule, detail: `The header ${duplicate} was sent more than once.` })
    }
    // Which pages may use what the browser sends by itself. Reading is left to SameSite and CORS.
    const ambientCounts = !rule.anyOrigin && (upgrade ? verdict === 'allowed' : safe || verdict !== 'foreign')
    const context = new Circumstances(request, clientAddresses, trace !== undefined, calls.now())
    const proof: MaybePromise<Proof<P>> =
      duplicate !== undefined
        ? { ...nothing, failure: refuse('duplicate_header', { rule }) }
        : prover.prove(request, rule, ambientCounts, context, trace)
    return isPromiseLike(proof)
      ? this.#judgeLater(rule, request, verdict, proof, context)
      : this.#judge(rule, request, verdict, proof, context)
  }

  // Apart: a closure makes its method allocate the variables that it uses, on every request, also where nothing is awaited.
  #judgeLater(
    rule: CompiledRule,
    request: AuthRequest,
    verdict: OriginVerdict,
    proof: PromiseLike<Proof<P>>,
    context: Circumstances,
  ): PromiseLike<Decision<P>> {
    return proof.then((settled) => this.#judge(rule, request, verdict, settled, context))
  }

  #judge(
    rule: CompiledRule,
    request: AuthRequest,
    verdict: OriginVerdict,
    proof: Proof<P>,
    context: Circumstances,
  ): MaybePromise<Decision<P>> {
    if (rule.access === 'deferred') return this.#judgeDeferred(rule, request, verdict, proof, context)
    const cleared: HeaderList | undefined = proof.clear?.map((line) => ['Set-Cookie', line] as const)
    if (proof.failure !== undefined) return { ...proof.failure, rule, headers: cleared }
    // The edge's identity is the login where nothing else was sent.
    const principal = proof.principal ?? proof.edgePrincipal
    const { verifiedBy } = proof
    if (principal === undefined || verifiedBy === undefined) {
      if (rule.access === 'optional')
        return allow<P>(
          rule,
          context.asOf,
          undefined,
          undefined,
          allowHeaders(rule, request, verdict, cleared),
        )
      return this.#challenge(rule, request, cleared)
    }
    const reason = whyNotAdmitted(this.#parts, rule, principal, proof.edgePrincipal, verifiedBy, request)
    if (reason !== undefined) return refuse(reason.code, { ...reason, rule, principal, headers: cleared })
    const headers = allowHeaders(rule, request, verdict, cleared)
    return allow(rule, context.asOf, principal, proof.edgePrincipal, headers)
  }

  #judgeDeferred(
    rule: CompiledRule,
    request: AuthRequest,
    verdict: OriginVerdict,
    proof: Proof<P>,
    context: Circumstances,
  ): Decision<P> {
    const cleared: HeaderList | undefined = proof.clear?.map((line) => ['Set-Cookie', line] as const)
    const headers = allowHeaders(rule, request, verdict, cleared)
    const { edgePrincipal: edge, verifiedBy } = proof
    // The edge proves the visitor, not the peer of the protocol, unless the rule names its scheme.
    const isNamed = verifiedBy !== undefined && rule.schemes?.includes(verifiedBy.name) === true
    const sufficient = proof.principal ?? (isNamed ? edge : undefined)
    if (
      proof.failure === undefined &&
      sufficient !== undefined &&
      verifiedBy !== undefined &&
      whyNotAdmitted(this.#parts, rule, sufficient, edge, verifiedBy, request) === undefined
    ) {
      return allow(rule, context.asOf, sufficient, edge, headers)
    }
    return {
      outcome: 'defer',
      rule,
      // Compiled rules of this access always have one.
      handshake: rule.handshake as NonNullable<CompiledRule['handshake']>,
      httpPrincipal: proof.principal,
      edgePrincipal: edge,
      httpFailure: proof.failure?.code,
      circumstances: {
        clientAddress: context.clientAddress,
        peerAddress: request.peerAddress,
        dryRun: context.dryRun,
        // The text of the rule where it is the same: a string for each waiting socket less.
        path: context.path === rule.label ? rule.label : context.path,
        origin: context.origin,
        httpPrincipal: proof.principal,
      },
      headers,
    }
  }

  /** No credential proved a principal: the login, or the setup while there is no account yet. */
  #challenge(
    rule: CompiledRule,
    request: AuthRequest,
    headers: HeaderList | undefined,
  ): MaybePromise<Refused> {
    const { setup } = this.#parts
    return setup === undefined || this.#setupDone
      ? this.#refuseLogin(rule, request, headers)
      : this.#setUpOrLogIn(setup, rule, request, headers)
  }

  #setUpOrLogIn(
    setup: SetupOptions,
    rule: CompiledRule,
    request: AuthRequest,
    headers: HeaderList | undefined,
  ): MaybePromise<Refused> {
    const { faults } = this.#parts
    const unknown = (error: unknown): Refused => {
      // A store that cannot answer is not a store without accounts.
      faults.report({
        message: 'Whether setup is required could not be found out.',
        place: {},
        error,
        secrets: secretsOf(request),
      })
      return refuse('unavailable', { rule, headers, note: '`setup.required` failed.' })
    }
    try {
      const required = setup.required()
      const settle = (value: boolean): Refused => {
        if (value === true) return refuse('setup_required', { rule, headers })
        this.#setupDone = true
        return this.#refuseLogin(rule, request, headers)
      }
      return isPromiseLike(required) ? Promise.resolve(required).then(settle, unknown) : settle(required)
    } catch (error) {
      return unknown(error)
    }
  }

  #refuseLogin(rule: CompiledRule, request: AuthRequest, headers: HeaderList | undefined): Refused {
    const isPlain =
      request.rewrittenTarget === undefined && this.#parts.matcher.isKnownCanonical(request.target)
    const detail = isPlain ? undefined : describeStrictness(rule, request)
    return refuse('auth_required', { rule, headers, detail })
  }
}

function allow<P extends Principal>(
  rule: CompiledRule,
  asOf: Moment,
  principal?: P,
  edgePrincipal?: Principal,
  headers?: HeaderList,
): Allow<P> {
  return { outcome: 'allow', principal, edgePrincipal, rule, headers, asOf }
}

/**
 * Answers with the rule's own document. Where pages of every origin may read it, caches may keep it for all of
 * them.
 */
function documentOf(
  rule: CompiledRule,
  body: string,
  request: AuthRequest,
  verdict: OriginVerdict,
): DocumentAnswer {
  const headers = rule.anyOrigin ? readableByAll.slice(0, 2) : corsHeaders(request, verdict)
  return { outcome: 'document', rule, headers, body }
}

function allowHeaders(
  rule: CompiledRule,
  request: AuthRequest,
  verdict: OriginVerdict,
  cleared: HeaderList | undefined,
): HeaderList | undefined {
  if (verdict === 'absent' || request.headers.origin === undefined) return cleared
  const cors = corsHeaders(request, verdict, rule.anyOrigin)
  return cleared === undefined ? cors : [...cors, ...cleared]
}
