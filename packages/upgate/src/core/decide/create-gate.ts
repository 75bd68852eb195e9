import { readRefusalHeaders } from '../answer/refusal-headers.ts'
import { createRenderer } from '../answer/render.ts'
import { isPromiseLike } from '../async/maybe-promise.ts'
import type { MaybePromise, PrincipalOf, Scheme } from '../contract/credential.ts'
import type { Decision } from '../contract/decision.ts'
import type { Decider, Gate, GateOptions } from '../contract/gate.ts'
import { type AuthRequest, assertAuthRequest } from '../contract/request.ts'
import { createFaultLog } from '../faults/fault-log.ts'
import { createAuditEvents } from '../live/audit-events.ts'
import { createConnections } from '../live/connections.ts'
import { RevocationWindow } from '../live/revocation-window.ts'
import type { Clock } from '../ports/clock.ts'
import type { Logger } from '../ports/logger.ts'
import type { RevocationFeed } from '../ports/revocations.ts'
import { compileClientAddresses } from '../request/client-address.ts'
import { createNotes } from '../request/notes.ts'
import { compileOriginPolicy } from '../request/origin.ts'
import { compileExternalLogin } from '../rules/closed-paths.ts'
import { compileRule, compileRules } from '../rules/compile-rules.ts'
import { checkOrder } from '../rules/hidden-rules.ts'
import { Matcher } from '../rules/matcher.ts'
import { Reaches } from '../rules/reach.ts'
import { listRules } from '../rules/rule-listing.ts'
import { anonymousRuleFor, handshakesFor } from '../rules/socket-rules.ts'
import { mayShowSign } from '../way/read-way.ts'
import { checkSchemes } from './check-schemes.ts'
import { Engine } from './engine.ts'
import { explain } from './explain.ts'
import { checkOrigins, checkPage, gateOptions, requireOptions } from './gate-options.ts'
import { compileIgnoredAuthorization } from './ignored-authorization.ts'
import { Prover } from './prover.ts'
import { Resumer } from './resumer.ts'
import { SchemeCalls } from './scheme-calls.ts'
import { SlowDown } from './slow-down.ts'
import { WayReports } from './way-reports.ts'

/** Defaults from outside of the core, which has neither a clock nor a console. */
export interface GateDefaults {
  readonly clock: Clock
  readonly logger: Logger
}

/** Creates a gate; see the exported `createGate`, which adds the defaults of the platform. */
export function createGateWith<const S extends readonly Scheme[]>(
  options: GateOptions<PrincipalOf<S>> & { readonly schemes: S },
  defaults: GateDefaults,
): Gate<PrincipalOf<S>> {
  type P = PrincipalOf<S>
  const read = gateOptions.read('createGate', options as GateOptions)
  const { rules, login, setup, externalLogin, name, origins, hosts, trustedProxies, cloudflareRanges } = read
  const { clock = defaults.clock, logger = defaults.logger } = read
  const schemes = checkSchemes<P>(read.schemes as unknown as readonly Scheme<P>[])
  const patterns = compileRules(rules, schemes)
  checkOrigins({ origins, rules }, schemes)
  const unmatched = compileRule({ access: 'required' }, -1, '(unmatched)', schemes, 'createGate')
  const reaches = new Reaches(patterns)
  const { lefts, tree } = checkOrder(patterns, reaches)
  const matcher = new Matcher(patterns, unmatched, tree)
  checkPage('login', login?.page, matcher)
  checkPage('setup', setup?.page, matcher)

  const external = externalLogin === undefined ? undefined : compileExternalLogin(externalLogin, schemes)
  const originPolicy = compileOriginPolicy(origins, hosts)
  const clientAddresses = compileClientAddresses({ trustedProxies, cloudflareRanges }, (message) =>
    logger.warn(message),
  )
  const window = new RevocationWindow()
  const connections = createConnections({ clock, window })
  const events = createAuditEvents(logger)
  const slowDown = new SlowDown<P>(clock)
  const ignored = compileIgnoredAuthorization(read.ignoreAuthorization, schemes)
  const faults = createFaultLog({ clock, logger })
  const calls = new SchemeCalls<P>(window, clock, faults)
  const prover = new Prover<P>(schemes, calls, ignored)
  const engine = new Engine<P>({
    matcher,
    closed: external?.closed,
    prover,
    calls,
    schemes,
    originPolicy,
    clientAddresses,
    setup: external === undefined ? setup : undefined,
    faults,
  })
  const resumer = new Resumer<P>({ calls, schemes, faults })
  const render = createRenderer({
    name,
    loginPage: external === undefined ? login?.page : undefined,
    setupPage: external === undefined ? setup?.page : undefined,
    externalLogin: external?.configuration,
    originPolicy,
    challenges: [...new Set(schemes.flatMap((scheme) => scheme.challenge ?? []))],
    refusalHeaders: readRefusalHeaders(read.refusalHeaders),
  })
  const decisions = createNotes<Decision<P>>()

  const feeds = new Set(
    schemes.flatMap((scheme): RevocationFeed[] =>
      scheme.revocations === undefined ? [] : [scheme.revocations],
    ),
  )
  const unsubscribe = [...feeds].map((feed) =>
    feed.subscribe((revocation) => {
      const closed = connections.close(revocation.selector, revocation.reason)
      if (events.active) events.emit({ type: 'revoked', at: clock.now(), revocation, closed })
    }),
  )

  // Two schemes over one service tell of the same things: once is enough.
  for (const source of new Set(schemes.flatMap((scheme) => scheme.events ?? []))) {
    unsubscribe.push(source.subscribe((event) => events.emit(event)))
  }

  const reports = new WayReports({ schemes, originPolicy, clientAddresses, events, faults, clock })
  const report = (request: AuthRequest, decision: Decision<P>): Decision<P> => {
    reports.report(request, decision)
    return decision
  }
  const reported = (request: AuthRequest, decision: MaybePromise<Decision<P>>): MaybePromise<Decision<P>> => {
    // Nothing is allocated, and little read, for a request that is let in at once.
    if ((decision as Partial<Decision<P>>).outcome === 'allow') {
      if (mayShowSign(request)) reports.look(request, decision as Decision<P>)
      return events.active ? report(request, decision as Decision<P>) : decision
    }
    return refusedOrLater(request, decision)
  }
  // Apart: closures make their function allocate the variables that they use, also for a request that is let in at once.
  const refusedOrLater = (
    request: AuthRequest,
    decision: MaybePromise<Decision<P>>,
  ): MaybePromise<Decision<P>> => {
    const address = (): string | undefined => clientAddresses.of(request)
    if (isPromiseLike(decision)) {
      return slowDown.pass(
        decision.then((settled) => {
          reports.look(request, settled)
          return report(request, settled)
        }),
        address,
      )
    }
    reports.look(request, decision)
    return slowDown.pass(report(request, decision), address)
  }
  const shared = {
    render,
    remember(native: object, decision: Decision<P>) {
      decisions.set(native, decision)
    },
    decisionOf: (native: object) => decisions.get(native),
    adapterParts: {
      connections,
      clock,
      logger,
      socketsMatter:
        schemes.some(({ ambient }) => ambient) || patterns.some(({ rule }) => rule.access === 'deferred'),
    },
  }

  return {
    ...shared,
    decide: (request) => reported(request, engine.decide(request)),
    resume: (deferred, inBand) => resumer.resume(deferred, inBand),
    rules: () => listRules(patterns, lefts, reaches, unmatched),
    async explain(request) {
      assertAuthRequest(request, 'gate.explain')
      return explain(engine, { patterns, clientAddresses, reports }, request)
    },
    require(demands = {}): Decider<P> {
      requireOptions.read('gate.require', demands)
      const rule = compileRule({ ...demands, access: 'required' }, -2, '(route)', schemes, 'gate.require')
      return { ...shared, decide: (request) => reported(request, engine.decideUnder(rule, request)) }
    },
    reportRefusal(request, refused) {
      reports.report(request, refused)
    },
    clientAddressOf(request) {
      assertAuthRequest(request, 'gate.clientAddressOf')
      return clientAddresses.of(request)
    },
    principalOf(native) {
      const decision = decisions.get(native)
      return decision?.outcome === 'allow' ? decision.principal : undefined
    },
    loginConfiguration: external?.configuration ?? { login: 'built-in' },
    connections,
    events,
    clock,
    logger,
    name,
    deferredPaths: patterns
      .filter(({ rule }) => rule.access === 'deferred')
      .map(({ pattern }) => pattern.source),
    anonymousRuleFor: (path) => anonymousRuleFor(patterns, path, 'gate.anonymousRuleFor'),
    handshakesFor: (path) => handshakesFor(patterns, path, 'gate.handshakesFor'),
    close() {
      for (const remove of unsubscribe) remove()
      faults.close()
    },
  }
}
