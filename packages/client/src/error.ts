import type { Diagnosis, DiagnosisCode } from '@upgate/diagnosis'

/** Why a connection failed: the message is for people, `code` for programs, and `diagnosis` has everything. */
export class ConnectError extends Error {
  override readonly name: 'ConnectError' = 'ConnectError'
  /** Stable, the same as `diagnosis.code`. */
  readonly code: DiagnosisCode
  readonly diagnosis: Diagnosis

  constructor(diagnosis: Diagnosis) {
    super(`${diagnosis.title} (${diagnosis.layer}, ${diagnosis.code}). ${diagnosis.action}`)
    this.code = diagnosis.code
    this.diagnosis = diagnosis
  }
}

/** Whether an error is a {@link ConnectError}, of this copy of the package or another one. */
export function isConnectError(error: unknown): error is ConnectError {
  if (typeof error !== 'object' || error === null) return false
  const { name, code, diagnosis } = error as Partial<ConnectError>
  return name === 'ConnectError' && typeof code === 'string' && diagnosis?.code === code
}
