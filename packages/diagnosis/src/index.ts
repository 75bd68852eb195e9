/**
 * Which layer refused a connection, why, and what to do next: one pure function over one table.
 *
 * @module
 */

export { clean } from './clean.ts'
export { type DiagnosisCode, diagnosisCodes } from './codes.ts'
export { type DiagnoseOptions, diagnose } from './diagnose.ts'
export {
  type Confusable,
  type Diagnosis,
  type DiagnosisEntry,
  type Evidence,
  type Layer,
  layers,
  type Retry,
  type Severity,
} from './diagnosis.ts'
export type {
  Expected,
  Observation,
  ObservedClose,
  ObservedError,
  ObservedResponse,
  ObservedTimes,
  ObservedTls,
  Probes,
  Reached,
  Sent,
  SentCredential,
} from './observation.ts'
export { diagnoses } from './table.ts'
export { withoutSecrets } from './without-secrets.ts'
