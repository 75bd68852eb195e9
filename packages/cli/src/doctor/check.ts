import type { Diagnosis, Layer, Severity } from '@upgate/diagnosis'

/** `skip`: a check below failed, or it was not asked for. `unknown`: it could not be told; that is not `fail`. */
export type Status = 'pass' | 'fail' | 'skip' | 'unknown'

/** The result of one check. All text is safe to print. */
export interface Check {
  /** Stable, such as `tls` or `bot_filter`. */
  readonly id: string
  readonly title: string
  readonly status: Status
  readonly detail: string
  /** The code of the failure. */
  readonly code?: string | undefined
  readonly milliseconds?: number | undefined
}

/** The verdict on all checks: one cause, one action. */
export interface Verdict {
  readonly code: string
  readonly layer: Layer
  readonly severity: Severity
  readonly title: string
  readonly cause: string
  readonly action: string
  readonly link: string | undefined
  readonly evidence: readonly { readonly name: string; readonly value: string }[]
}

/** Everything that a run of the doctor says. */
export interface Report {
  /** Without user information, query and fragment. */
  readonly target: string
  readonly verdict: Verdict
  readonly checks: readonly Check[]
}

/** A check's result without its name and title. */
export interface Outcome {
  readonly status: Status
  readonly detail: string
  readonly diagnosis?: Diagnosis | Verdict | undefined
}

export const pass = (detail: string): Outcome => ({ status: 'pass', detail })
export const skip = (detail: string): Outcome => ({ status: 'skip', detail })
export const unknown = (detail: string): Outcome => ({ status: 'unknown', detail })
/** A failed check: the diagnosis says why. */
export const fail = (diagnosis: Diagnosis | Verdict): Outcome => ({
  status: 'fail',
  detail: diagnosis.title,
  diagnosis,
})

/** Makes a verdict of a diagnosis. */
export function verdictOf(diagnosis: Diagnosis | Verdict): Verdict {
  const { code, layer, severity, title, cause, action, link, evidence } = diagnosis
  return { code, layer, severity, title, cause, action, link, evidence }
}
