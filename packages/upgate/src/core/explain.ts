import type { Decision } from './decision.ts'

/** The whole trace of a decision, redacted: fit to be shown to an operator. */
export interface Explanation {
  readonly decision: Decision
  readonly steps: readonly { readonly step: string; readonly detail: string }[]
}
