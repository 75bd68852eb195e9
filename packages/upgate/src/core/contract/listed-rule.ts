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

/** What one path pattern is open to, on one transport: one line of `gate.rules()`. */
export interface ListedRule {
  /** The pattern as written; `(unmatched)` for what no rule matches. */
  readonly path: string
  readonly transport: Transport
  /** The methods that are left to it here: `'all'`, or their names. `GET` includes `HEAD`. */
  readonly methods: 'all' | readonly string[]
  /** Methods that earlier rules for the same paths decide; only where `methods` is `'all'`. */
  readonly except?: readonly string[]
  readonly access: Access
  /** `'anyone'` where nothing has to be proved, else the kinds of principal that may enter. */
  readonly openTo: 'anyone' | readonly PrincipalKind[]
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
  readonly schemes?: readonly string[]
  /** AUD tags of which an identity of the edge has to carry one. */
  readonly audience?: readonly string[]
  /** True where pages of every origin may use it, with explicit credentials only. */
  readonly anyOrigin?: boolean
  /** Place of the rule in `rules`; -1 for what no rule matches. */
  readonly rule: number
  /** Earlier rules that decide some of these paths and let in more than this one. */
  readonly overlaps?: readonly RuleOverlap[]
}
