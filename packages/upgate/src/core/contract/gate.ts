import type { Clock } from '../ports/clock.ts'
import type { Logger } from '../ports/logger.ts'
import type { Connections } from './connections.ts'
import type { MaybePromise, Scheme } from './credential.ts'
import type { Decision, Defer, InBand, Refused, Resumption } from './decision.ts'
import type { AuditEvents } from './events.ts'
import type { Explanation } from './explanation.ts'
import type { Handshake } from './handshake.ts'
import type { ListedRule } from './listed-rule.ts'
import type { Principal } from './principal.ts'
import type { RenderedResponse } from './rendered-response.ts'
import type { AuthRequest } from './request.ts'
import type { RuleOptions } from './rules.ts'

/**
 * The state before the first account exists.
 *
 * @example
 * const setup = { page: '/setup', required: async () => !(await services.accounts.any()) }
 */
export interface SetupOptions {
  /** Path of the setup page; a public rule must let browsers see it. */
  readonly page: string
  /** Whether there is no account yet. Asked until it answers false once; a failure is 503, never setup. */
  required(): MaybePromise<boolean>
}

/**
 * Another party does the login (Cloudflare Access, an identity-aware proxy): the built-in one is closed.
 *
 * @example
 * const externalLogin = {
 *   name: 'Cloudflare Access',
 *   logoutUrl: '/cdn-cgi/access/logout',
 *   closes: ['/login', '/api/login'],
 * }
 */
export interface ExternalLoginOptions {
  /** Name of the other party, for people: `Cloudflare Access`. */
  readonly name: string
  /** Where a browser logs out. */
  readonly logoutUrl: string
  /**
   * Paths of the built-in login and setup; patterns as in rules. They answer 403 `external_login`, whatever the
   * rules say.
   */
  readonly closes: readonly string[]
}

/**
 * The facts about the login that a page needs; public.
 *
 * @example
 * app.get('/api/login-configuration', (request, response) => response.json(gate.loginConfiguration))
 */
export interface LoginConfiguration {
  /** `external` where another party does the login, else `built-in`. */
  readonly login: 'built-in' | 'external'
  /** Only with an external login. */
  readonly name?: string
  /** Only with an external login. */
  readonly logoutUrl?: string
}

/** Options of {@link createGate}. Unknown options throw. */
export interface GateOptions<P extends Principal = Principal> {
  /** Schemes in order of trial; at least one. */
  readonly schemes: readonly Scheme<P>[]
  /** Rules in order; the first that matches decides. Nothing matched = required, kind `user`. */
  readonly rules?: readonly RuleOptions[]
  /**
   * Origins of the pages that may use ambient credentials, exact (`https://gateway.example.com`).
   * Required as soon as a scheme is ambient or a rule is deferred; never derived from `Host`.
   */
  readonly origins?: readonly string[]
  /** Further values of `Host` that this server has, in addition to those of `origins` (DNS rebinding). Default: none. */
  readonly hosts?: readonly string[]
  /**
   * Proxies trusted to send `X-Forwarded-For`: addresses, CIDR ranges, `loopback`, `private`, `cloudflare`. Default: none.
   *
   * They are trusted for the client's address alone, which limits and the log count by. `cloudflare` stands for the
   * published networks of Cloudflare's edge. Any customer of Cloudflare's can send from there: it proves nothing about
   * a request, and a customer that reaches this server directly can choose the address that is counted.
   */
  readonly trustedProxies?: readonly string[]
  /**
   * The ranges that `cloudflare` in `trustedProxies` stands for: all those of https://www.cloudflare.com/ips/.
   * Default: the list of the release, which was current in November 2026.
   */
  readonly cloudflareRanges?: readonly string[]
  /**
   * Scheme words of `Authorization` that a login in front of this server uses, such as `['Basic']`. A header with such a
   * word counts as absent: it is no credential, and schemes, middleware included, do not see it. Sent twice, it is
   * still 400. Never `Bearer`, nor a word that a scheme of this gate reads. Default: none.
   */
  readonly ignoreAuthorization?: readonly string[]
  /**
   * Where browsers are sent to log in: `page` is a path, such as `/login`, and gets `?next=`, which {@link
   * safeNext} validates. Absent: pages get the problem document, too.
   */
  readonly login?: { readonly page: string }
  /** Setup state: pages go to `page` and APIs get `setup_required` until `required()` answers false once. */
  readonly setup?: SetupOptions
  /** Another party does the login; `login` and `setup` have no effect then. */
  readonly externalLogin?: ExternalLoginOptions
  /** Name in the marker header and in the realm, so that two gates can be told apart. Default: `upgate`. */
  readonly name?: string
  /**
   * Headers that every refusal carries in addition, over HTTP and in answer to upgrades: those that helmet or a proxy sets on
   * the application's own answers, such as `Strict-Transport-Security`. The gate's own headers of the same name win. Default:
   * none.
   */
  readonly refusalHeaders?: Readonly<Record<string, string>>
  /** Default: the clock of the machine. Tests use `manualClock` of `upgate/testing`. */
  readonly clock?: Clock
  /** Where warnings and failures go. Default: Node's warnings, as `process.on('warning')` sees them. */
  readonly logger?: Logger
}

/** The demands of a single route; see {@link Gate.require}. */
export type RequireOptions = Omit<
  RuleOptions,
  'path' | 'methods' | 'access' | 'upgrade' | 'handshake' | 'closeCodes' | 'document'
>

/** The parts of a gate that an adapter needs for sockets and warnings. */
export interface AdapterParts {
  /** The register of live sockets and streams. */
  readonly connections: Connections
  readonly clock: Clock
  readonly logger: Logger
  /**
   * Whether a socket that nothing decides would harm: a rule is deferred, or browsers send credentials by
   * themselves.
   */
  readonly socketsMatter: boolean
}

/** The part of a gate that adapters use: decisions and their rendering. */
export interface Decider<P extends Principal = Principal> {
  /**
   * Decides a request: a value where nothing must be awaited, else a promise. Never rejects.
   *
   * @param request - an {@link AuthRequest}; `requestOf` of upgate/node makes one
   * @throws TypeError where the request is Node's or a framework's: `decide` of upgate/node takes those
   * @example
   * const decision = await gate.decide(requestOf(request))
   * if (decision.outcome === 'allow') console.log(decision.principal?.id)
   */
  decide(request: AuthRequest): MaybePromise<Decision<P>>
  /**
   * Turns a refusal, a preflight or a document into status, headers and body; adapters only write that.
   *
   * @param decision - anything but `allow` and `defer`
   * @param request - the request that was decided
   * @example
   * const { status, headers, body } = gate.render(decision, requestOf(request))
   */
  render(
    decision: Exclude<Decision<P>, { outcome: 'allow' | 'defer' }>,
    request: AuthRequest,
  ): RenderedResponse
  /**
   * Keeps a decision for {@link Gate.principalOf}, under the host's own request object.
   *
   * @param native - Node's request, or another object that stands for the request
   * @param decision - of this gate
   */
  remember(native: object, decision: Decision<P>): void
  /** The decision kept for a request object by this gate, if there is one. */
  decisionOf(native: object): Decision<P> | undefined
  /** Absent where the decider was made by hand. */
  readonly adapterParts?: AdapterParts
}

/** A gate: one engine that decides requests, upgrades and in-band credentials. `createGate` makes it. */
export interface Gate<P extends Principal = Principal> extends Decider<P> {
  /**
   * Decides what an in-band credential yields, by the rule of the deferred decision. Never throws and never
   * rejects.
   *
   * @param deferred - the decision that let the socket into the quarantine
   * @param inBand - the credential that the handshake found
   * @returns the principal, or a refusal
   */
  resume(deferred: Defer<P>, inBand: InBand): MaybePromise<Resumption<P>>
  /**
   * Explains the decision about any request, redacted; consumes no ticket and counts no failure. `explain` of
   * upgate/node takes requests of Node's.
   *
   * @param request - an {@link AuthRequest}, or one made up for the question
   * @example
   * const { steps } = await gate.explain(requestOf(request))
   * for (const { step, detail } of steps) console.log(`${step}: ${detail}`)
   */
  explain(request: AuthRequest): Promise<Explanation>
  /**
   * Lists each path that is open, with its principals, on which transport and for which methods, with what earlier rules take away
   * left out: for a test that keeps it as a snapshot, and for people. Where an earlier rule decides some of a rule's
   * paths and lets in more, as `/a/:x` does of `/:y/admin`, the line has it among its `overlaps`.
   *
   * HTTP requests on deferred paths are answered 426 and have no line.
   *
   * @example
   * expect(gate.rules().filter((line) => line.openTo === 'anyone').map((line) => line.path)).toEqual(['/health'])
   */
  rules(): readonly ListedRule[]
  /**
   * A decider for a single route: same schemes, same checks, its own demands.
   *
   * @param options - scopes, roles, kinds and schemes of the route. Default: any principal of kind `user`
   * @throws TypeError for an unknown option, or demands that no principal can meet
   * @example
   * app.delete('/api/users/:id', expressGate(gate.require({ roles: ['admin'] })), remove)
   */
  require(options?: RequireOptions): Decider<P>
  /**
   * The client's address in canonical form, by `trustedProxies`; `undefined` where it is unknown: limits per
   * address must not count such clients together.
   */
  clientAddressOf(request: AuthRequest): string | undefined
  /**
   * Tells the operator of a refusal that an adapter made without the gate, as those of the gate: an event, and a log line
   * where something on the way may be the cause.
   */
  reportRefusal(request: AuthRequest, refused: Refused): void
  /**
   * The principal of a request, as decided; `undefined` for anonymous or undecided requests.
   *
   * @param native - Node's own request; Express' request is the same object
   * @example
   * const principal = gate.principalOf(request)
   */
  principalOf(native: object): P | undefined
  /** How people log in here, to be served as a public document so that pages can show it. */
  readonly loginConfiguration: LoginConfiguration
  /** The register of live sockets and streams, on which revocation and expiry act. */
  readonly connections: Connections
  /** Audit events of every decision, acceptance, refusal and revocation. */
  readonly events: AuditEvents
  /** The clock that was given, or the default. */
  readonly clock: Clock
  /** The logger that was given, or the default. */
  readonly logger: Logger
  /** Name in the marker header and in the realm. */
  readonly name: string
  /** The path patterns of deferred rules: what must have an owner on a guarded server. */
  readonly deferredPaths: readonly string[]
  /**
   * The label of the first rule that lets WebSockets in without a principal on some path of a pattern (`public` or
   * `optional`, with `upgrade: true`); `undefined` where every socket there has a principal.
   *
   * @param path - a pattern, as in rules
   * @throws TypeError for a malformed pattern
   */
  anonymousRuleFor(path: string): string | undefined
  /**
   * The handshakes of the deferred rules for some path of a pattern, as the rules were given them.
   *
   * @param path - a pattern, as in rules
   * @throws TypeError for a malformed pattern
   */
  handshakesFor(path: string): readonly Handshake[]
  /** Unsubscribes from the revocation feeds and cancels timers. Live connections stay as they are. */
  close(): void
}
