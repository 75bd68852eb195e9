import type { Decision } from './decision.ts'
import type { Principal } from './principal.ts'

/** The whole trace of a decision, redacted: fit to be shown to an operator. */
export interface Explanation<P extends Principal = Principal> {
  /** The decision, as `decide` would make it now. */
  readonly decision: Decision<P>
  /** The findings, in their order. */
  readonly steps: readonly { readonly step: string; readonly detail: string }[]
}
