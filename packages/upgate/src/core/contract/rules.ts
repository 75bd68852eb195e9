import type { ClientFamily, CloseCodes } from './client-families.ts'
import type { Handshake } from './handshake.ts'
import type { Principal, PrincipalKind } from './principal.ts'

/** How a path may be entered. `deferred` concerns WebSocket upgrades only; HTTP there is answered 426. */
export type Access = 'public' | 'optional' | 'required' | 'deferred'

/**
 * One rule as the application writes it. The first rule that matches decides; nothing matched = required.
 *
 * @example
 * const rules: RuleOptions[] = [
 *   { path: ['/health', '/login'], access: 'public' },
 *   { path: '/api/admin/*', access: 'required', scopes: ['operator.admin'] },
 *   { path: '/api/jobs/*', access: 'required', kinds: ['user', 'service'] },
 *   { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
 * ]
 */
export interface RuleOptions {
  /**
   * Path pattern, or several: exact (`/health`), prefix (`/assets/*`: everything below), segments
   * (`/users/:id/avatar`, `/teams/:team/*`: one non-empty segment each). No regular expressions.
   */
  readonly path: string | readonly string[]
  /** Methods the rule is for, upper case; absent = all. `GET` includes `HEAD`. */
  readonly methods?: readonly string[]
  /** How the path may be entered. */
  readonly access: Access
  /**
   * Which kinds of principal may enter. Default: `['user']`; in a rule with `schemes` that is not deferred, the kinds
   * that those schemes yield.
   */
  readonly kinds?: readonly PrincipalKind[]
  /** Scopes the principal must hold, every one of them. */
  readonly scopes?: readonly string[]
  /** Roles of which the principal must hold at least one. */
  readonly roles?: readonly string[]
  /** Names of the schemes that count here. Default: all. */
  readonly schemes?: readonly string[]
  /**
   * Which applications of the edge an identity may come from, here: AUD tags of Access, of those that the scheme takes.
   * An identity of another application does not count on this rule, however it arrives. The option demands no identity
   * of the edge by itself. Default: every application of the scheme.
   */
  readonly audience?: readonly string[]
  /** How the protocol proves its peer, in band. Required for `deferred`. */
  readonly handshake?: Handshake
  /**
   * The client library of the sockets on this path: they are closed with the codes that stop its clients, or bring them
   * back. Deferred rules do not take it: their handshake chooses the codes. Default: the standard codes.
   */
  readonly closeCodes?: ClientFamily
  /**
   * Whether the rule is about WebSocket upgrades besides HTTP: `true` both, `false` HTTP alone, `'only'` upgrades alone.
   * Public sockets keep their caps. Deferred rules are about upgrades anyway and do not take it.
   * Default: false for `public` and `optional`, true for `required`.
   */
  readonly upgrade?: boolean | 'only'
  /** `api`: never redirect to the login page here. Default: `auto`, by what the client asks for. */
  readonly challenge?: 'auto' | 'api'
  /**
   * Demands an identity of the edge that agrees with the principal proved here. Called with both
   * principals, after everything else was fulfilled; the same one twice where the edge's identity is the login.
   */
  readonly agreesWithEdge?: (edge: Principal, principal: Principal) => boolean
  /**
   * URL of the protected-resource metadata (RFC 9728), named in the challenge so that OAuth clients find their
   * authorization server. Such a path is never redirected to the login page.
   */
  readonly resourceMetadata?: string
  /**
   * Lets pages of every origin use this rule with a credential that they send themselves, such as a token in
   * `Authorization`: requests and upgrades from any Origin are taken, preflights are answered, and pages may read all
   * answers, refusals included (`Access-Control-Allow-Origin: *`, without credentials). Cookies and other ambient
   * credentials never count here, from own pages neither. Default: false.
   */
  readonly anyOrigin?: boolean
  /**
   * A JSON document with which the gate itself answers GET and HEAD, such as the metadata of a protected resource.
   * Only in public rules whose paths are exact; the application is not asked. Default: none.
   */
  readonly document?: Readonly<Record<string, unknown>>
  /** Accepts unsafe methods and upgrades from any Origin: disables the login-CSRF check for this rule. */
  readonly dangerouslyAllowForeignOrigins?: boolean
}

/** The rule that decided a request, as the decision shows it. */
export interface DecidedRule {
  /**
   * For people: the pattern, `(unmatched)`, `(route)` for demands of `gate.require`, or two patterns joined where two
   * forms of a target met different rules.
   */
  readonly label: string
  /** How the path may be entered. */
  readonly access: Access
  /** Kinds of principal that it admits. */
  readonly kinds: readonly PrincipalKind[]
  /** Scopes that it demands, every one of them. */
  readonly scopes: readonly string[]
  /** Roles of which it demands at least one; none: no role is demanded. */
  readonly roles: readonly string[]
  /** Names of the schemes that count; `undefined`: all of them. */
  readonly schemes: readonly string[] | undefined
}

/** A rule as compiled: defaults filled in, frozen, with its place in the order. */
export interface CompiledRule extends DecidedRule {
  /** Place in the order, from 0; -1 for the rule of unmatched paths, -2 for one made by `gate.require`. */
  readonly index: number
  readonly methods: ReadonlySet<string> | undefined
  /** True where `kinds` was left out and is that of the schemes named. */
  readonly kindsOfSchemes?: boolean
  /** True where two forms of a target demand different roles: no principal can enter. */
  readonly rolesImpossible?: boolean
  /**
   * AUD tags of which an identity of the edge has to carry one; empty where two forms of a target demand
   * different ones.
   */
  readonly audience: readonly string[] | undefined
  readonly handshake: Handshake | undefined
  /** The same as the application wrote it, by which `guard.on` recognises it. */
  readonly givenHandshake?: Handshake | undefined
  /** The codes of the rule's clients; absent where they are the standard ones, or those of the handshake. */
  readonly closeCodes?: CloseCodes | undefined
  /** Whether it decides HTTP requests. */
  readonly http: boolean
  /** Whether it decides upgrades. */
  readonly upgrade: boolean
  readonly challenge: 'auto' | 'api'
  readonly agreesWithEdge: ((edge: Principal, principal: Principal) => boolean) | undefined
  readonly resourceMetadata: string | undefined
  readonly allowForeignOrigins: boolean
  /** Pages of every origin may use it with explicit credentials, and read the answers. Ambient ones never count. */
  readonly anyOrigin: boolean
  /** The JSON text with which the gate answers GET and HEAD. */
  readonly document: string | undefined
}

/**
 * The rule of a decision with all that the gate knows of it.
 *
 * Decisions come from the engine alone, which puts compiled rules into them; their type shows less of it.
 */
export function compiledRuleOf(rule: DecidedRule): CompiledRule
export function compiledRuleOf(rule: DecidedRule | undefined): CompiledRule | undefined
export function compiledRuleOf(rule: DecidedRule | undefined): CompiledRule | undefined {
  return rule as CompiledRule | undefined
}
