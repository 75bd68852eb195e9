import { createRenderer } from '../answer/render.ts'
import { andThen } from '../async/maybe-promise.ts'
import type { MaybePromise, PrincipalOf, Scheme } from '../contract/credential.ts'
import type { Decision } from '../contract/decision.ts'
import type { EventPlace } from '../contract/events.ts'
import type { Decider, Gate, GateOptions, RequireOptions, SetupOptions } from '../contract/gate.ts'
import type { Principal, PrincipalKind } from '../contract/principal.ts'
import { type AuthRequest, assertAuthRequest } from '../contract/request.ts'
import { createFaultLog } from '../faults/fault-log.ts'
import { createAuditEvents } from '../live/audit-events.ts'
import { createConnections } from '../live/connections.ts'
import { RevocationWindow } from '../live/revocation-window.ts'
import { nameOf, wrongOption } from '../options/check-options.ts'
import {
  clock as clockKind,
  fn,
  list,
  logger as loggerKind,
  optional,
  optionalNested,
  text,
  unchecked,
  value,
  withDefault,
} from '../options/option-kinds.ts'
import { optionTable } from '../options/option-table.ts'
import type { Clock } from '../ports/clock.ts'
import type { Logger } from '../ports/logger.ts'
import type { RevocationFeed } from '../ports/revocations.ts'
import { compileClientAddresses } from '../request/client-address.ts'
import { compileOriginPolicy } from '../request/origin.ts'
import { pathOf } from '../request/target.ts'
import { anonymousRuleFor } from '../rules/anonymous-sockets.ts'
import { compileExternalLogin, externalLoginOptions } from '../rules/closed-paths.ts'
import { compileRule, compileRules, ruleOptions } from '../rules/compile-rules.ts'
import { reachOf } from '../rules/hidden-rules.ts'
import { Matcher } from '../rules/matcher.ts'
import { Reaches } from '../rules/reach.ts'
import { listRules } from '../rules/rule-listing.ts'
import { Engine } from './engine.ts'
import { explain } from './explain.ts'
import { compileIgnoredAuthorization } from './ignored-authorization.ts'
import { Prover } from './prover.ts'
import { SlowDown } from './slow-down.ts'

/** What the surroundings provide where the options do not: the core has no clock and no console of its own. */
export interface GateDefaults {
  readonly clock: Clock
  readonly logger: Logger
}

const kindNames: readonly PrincipalKind[] = ['user', 'device', 'service']
const {
  path: _path,
  methods: _methods,
  access: _access,
  upgrade: _upgrade,
  handshake: _handshake,
  closeCodes: _closeCodes,
  document: _document,
  ...demandKinds
} = ruleOptions.kinds
const requireOptions = optionTable<RequireOptions>()(demandKinds)

const aPage = 'the path of a page that a public rule lets in'
const gateOptions = optionTable<GateOptions>()({
  // Checked scheme by scheme.
  schemes: unchecked(),
  rules: withDefault(
    list('an array of rules', () => true, 0),
    [],
  ),
  origins: optional(list("a list such as ['https://gateway.example.com']", () => true, 0)),
  hosts: optional(list("a list such as ['localhost:8787']", () => true, 0)),
  trustedProxies: unchecked(),
  cloudflareRanges: unchecked(),
  // Checked together with the schemes.
  ignoreAuthorization: unchecked(),
  login: optionalNested(
    optionTable<NonNullable<GateOptions['login']>>()({ page: text(aPage) }),
    "{ page: '/login' }",
  ),
  setup: optionalNested(
    optionTable<SetupOptions>()({
      page: text(aPage),
      required: fn('a function that says whether there is no account yet'),
    }),
    "{ page: '/setup', required: () => false }",
  ),
  externalLogin: optionalNested(externalLoginOptions),
  name: withDefault(
    text('1 to 64 letters, digits, dots, dashes or underscores', /^[A-Za-z0-9._-]{1,64}$/),
    'upgate',
  ),
  clock: optional(clockKind()),
  logger: optional(loggerKind()),
})

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
  const reached = reachOf(patterns, reaches)
  const matcher = new Matcher(patterns, unmatched)
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
  const prover = new Prover<P>(schemes, window, clock, faults, ignored)
  const engine = new Engine<P>({
    matcher,
    closed: external?.closed,
    prover,
    schemes,
    originPolicy,
    clientAddresses,
    setup: external === undefined ? setup : undefined,
    faults,
  })
  const render = createRenderer({
    name,
    loginPage: external === undefined ? login?.page : undefined,
    setupPage: external === undefined ? setup?.page : undefined,
    externalLogin: external?.configuration,
    originPolicy,
    challenges: [...new Set(schemes.flatMap((scheme) => scheme.challenge ?? []))],
  })
  const decisions = new WeakMap<object, Decision<P>>()

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

  const placeOf = (request: AuthRequest): EventPlace => ({
    method: request.method,
    path: pathOf(request.target).slice(0, 256),
    clientAddress: clientAddresses.of(request),
  })
  const report = (request: AuthRequest, decision: Decision<P>): Decision<P> => {
    if (!events.active) return decision
    const at = clock.now()
    const place = placeOf(request)
    if (decision.outcome === 'document') {
      events.emit({ type: 'allowed', at, place, principal: undefined, rule: decision.rule.label })
    } else if (decision.outcome === 'allow') {
      events.emit({ type: 'allowed', at, place, principal: decision.principal, rule: decision.rule.label })
    } else if (decision.outcome === 'defer') {
      events.emit({ type: 'deferred', at, place, rule: decision.rule.label })
    } else if (decision.outcome !== 'preflight') {
      const { code, status, detail, principal, rule, scheme, note } = decision
      const refusal = { code, status, detail, principal, rule: rule?.label, scheme, note }
      events.emit({ type: 'refused', at, place, ...refusal })
    }
    return decision
  }
  const reported = (request: AuthRequest, decision: MaybePromise<Decision<P>>): MaybePromise<Decision<P>> => {
    return andThen(decision, (settled) => report(request, settled))
  }
  const slowed = (request: AuthRequest, decision: MaybePromise<Decision<P>>): MaybePromise<Decision<P>> => {
    const told = events.active ? reported(request, decision) : decision
    // Nothing is allocated for a request that is let in at once.
    if ((told as Partial<Decision<P>>).outcome === 'allow') return told
    return slowDown.pass(told, () => clientAddresses.of(request))
  }
  const shared = {
    render,
    remember(native: object, decision: Decision<P>) {
      decisions.set(native, decision)
    },
    decisionOf: (native: object) => decisions.get(native),
  }

  return {
    ...shared,
    decide: (request) => slowed(request, engine.decide(request)),
    resume: (deferred, inBand) => engine.resume(deferred, inBand),
    rules: () => listRules(reached, reaches, unmatched),
    async explain(request) {
      assertAuthRequest(request, 'gate.explain')
      return explain(engine, { patterns, clientAddresses }, request)
    },
    require(demands = {}): Decider<P> {
      requireOptions.read('gate.require', demands)
      const rule = compileRule({ ...demands, access: 'required' }, -2, '(route)', schemes, 'gate.require')
      return { ...shared, decide: (request) => slowed(request, engine.decideUnder(rule, request)) }
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
    deferredPaths: patterns.flatMap(({ rule, pattern }) =>
      rule.access === 'deferred' ? [pattern.source] : [],
    ),
    anonymousRuleFor: (path) => anonymousRuleFor(patterns, path, 'gate.anonymousRuleFor'),
    close() {
      for (const remove of unsubscribe) remove()
      faults.close()
    },
  }
}

function checkSchemes<P extends Principal>(schemes: readonly Scheme<P>[]): readonly Scheme<P>[] {
  if (!Array.isArray(schemes) || schemes.length === 0) {
    const given = schemes === undefined || Array.isArray(schemes) ? '' : `, not ${nameOf(schemes)}`
    throw new TypeError(
      `createGate: \`schemes\` must hold at least one scheme, for example [apiKey({ keys })]${given}; without one nobody could ever enter.`,
    )
  }
  const names = new Set<string>()
  for (const [index, scheme] of schemes.entries()) {
    if (typeof scheme?.name !== 'string' || scheme.name === '' || typeof scheme.verify !== 'function') {
      throw new TypeError(
        `createGate: \`schemes[${index}]\` is not a scheme but ${nameOf(scheme)}: it needs a \`name\` and a \`verify\` function.`,
      )
    }
    checkScheme(scheme, index)
    if (names.has(scheme.name)) {
      throw new TypeError(
        `createGate: \`schemes\` holds two schemes named ${JSON.stringify(scheme.name)}; give one another \`name\`.`,
      )
    }
    names.add(scheme.name)
  }
  checkEdgeHeaders(schemes)
  return schemes
}

const isName = (value: unknown): boolean => typeof value === 'string' && value !== ''
const feed = value('a feed with the method `subscribe`, as those of the services have', (given) => {
  return typeof (given as RevocationFeed | null)?.subscribe === 'function'
})
/** The parts of a scheme that may be absent. */
const schemeParts = {
  extract: fn(),
  claims: fn(),
  clearCookie: fn(),
  headers: list('a list of names', isName, 0),
  audiences: list('a list of names', isName, 0),
  yields: list(
    `a list of kinds: ${kindNames.join(', ')}`,
    (kind) => kindNames.some((known) => known === kind),
    0,
  ),
  principalSchemes: list('a list of names, such as `session`', isName, 0),
  revocations: feed,
  events: feed,
}

/** Of two edge schemes that read one header, the second would never be asked. */
function checkEdgeHeaders(schemes: readonly Pick<Scheme, 'name' | 'edge' | 'headers'>[]): void {
  const readers = new Map<string, string>()
  for (const { name, edge, headers = [] } of schemes) {
    if (edge !== true) continue
    for (const header of headers) {
      const first = readers.get(header)
      if (first !== undefined) {
        throw new TypeError(
          `createGate: \`schemes\` has two edge schemes that read the header ${header}, ${JSON.stringify(first)} and ${JSON.stringify(name)}; the second would never count. Give one scheme the AUD tags of all applications, cloudflareAccess({ team, audience: [...] }), and name those of a path with \`audience\` in its rule; for another team, create another gate.`,
        )
      }
      readers.set(header, name)
    }
  }
}

/** Checks a scheme of the application: a missing part would fail at the first request, or never count. */
function checkScheme<P extends Principal>(scheme: Scheme<P>, index: number): void {
  const where = `createGate: \`schemes[${index}]\` (${scheme.name})`
  if (typeof scheme.ambient !== 'boolean') {
    const expected = 'true or false: true if browsers send the credential by themselves, as they do cookies'
    throw wrongOption(where, 'ambient', expected, scheme.ambient)
  }
  for (const [part, kind] of Object.entries(schemeParts)) {
    const value: unknown = scheme[part as keyof typeof schemeParts]
    if (value !== undefined) kind.read(where, part, value)
  }
}

function checkOrigins(
  options: Pick<GateOptions, 'rules'> & { readonly origins: GateOptions['origins'] | undefined },
  schemes: readonly Scheme<never>[] | readonly Scheme[],
): void {
  if (options.origins !== undefined && options.origins.length > 0) return
  const ambient = schemes.find((scheme) => scheme.ambient)
  if (ambient !== undefined) {
    throw new TypeError(
      `createGate: \`origins\` is required, because the scheme ${JSON.stringify(ambient.name)} is sent by browsers on their own. List the origins of your pages, for example ['https://gateway.example.com'].`,
    )
  }
  if (options.rules?.some((rule) => rule.access === 'deferred') === true) {
    throw new TypeError(
      "createGate: `origins` is required, because a rule is deferred and any web page can open a WebSocket. List the origins of your pages, for example ['https://gateway.example.com'].",
    )
  }
}

/** A login page that itself demands a login would send browsers round in circles. */
function checkPage(option: 'login' | 'setup', page: string | undefined, matcher: Matcher): void {
  if (page === undefined) return
  const match = page.startsWith('/') ? matcher.match(page, undefined, 'GET', false) : 'ambiguous'
  if (
    typeof match === 'string' ||
    'malformed' in match ||
    (match.access !== 'public' && match.access !== 'optional')
  ) {
    throw new TypeError(
      `createGate: \`${option}.page\` ${JSON.stringify(page)} must be a path that a public rule lets in, or browsers would be redirected in circles. Add { path: ${JSON.stringify(page)}, access: 'public' } to \`rules\`.`,
    )
  }
}
