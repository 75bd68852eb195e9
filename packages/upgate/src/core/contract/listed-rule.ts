import type { PrincipalKind } from './principal.ts'
import type { Access } from './rules.ts'

/** How a request comes: as an HTTP request, or as a WebSocket upgrade. */
export type Transport = 'http' | 'upgrade'

/** An earlier rule that decides some of a rule's paths and lets in more there. */
export interface RuleOverlap {
  /** Place of the earlier rule in `rules`. */
  readonly rule: number
  /** Its pattern. */
  readonly path: string
  /** The paths that both match, as a pattern. */
  readonly at: string
}

/** The principals that may enter by one path pattern, on one transport: one line of `gate.rules()`. */
export interface ListedRule {
  /** The pattern as written; `(unmatched)` for what no rule matches. */
  readonly path: string
  /** Whether the line is about HTTP requests or about upgrades. */
  readonly transport: Transport
  /** The methods that are left to it here: `'all'`, or their names. `GET` includes `HEAD`. */
  readonly methods: 'all' | readonly string[]
  /** Methods that earlier rules for the same paths decide; only where `methods` is `'all'`. */
  readonly except?: readonly string[]
  /** How the path may be entered. */
  readonly access: Access
  /** `'anyone'` where nothing has to be proved, else the kinds of principal that may enter. */
  readonly openTo: 'anyone' | readonly PrincipalKind[]
  /** Scopes that the principal must hold, every one of them. Absent: none is demanded. */
  readonly scopes?: readonly string[]
  /** Roles of which the principal must hold one. Absent: none is demanded. */
  readonly roles?: readonly string[]
  /** Names of the schemes that count. Absent: all of them. */
  readonly schemes?: readonly string[]
  /** AUD tags of which an identity of the edge has to carry one. */
  readonly audience?: readonly string[]
  /** True where pages of every origin may use it, with explicit credentials only. */
  readonly anyOrigin?: boolean
  /** Place of the rule in `rules`; -1 for what no rule matches. */
  readonly rule: number
  /** Earlier rules that decide some of these paths and let in more than this one; at most 100 of them. */
  readonly overlaps?: readonly RuleOverlap[]
}
