import type { Confusable, DiagnosisEntry } from './diagnosis.ts'
import type { Seen } from './seen.ts'

/** A row of the table: its words, and the signs by which it is recognised. */
export interface Row extends DiagnosisEntry {
  /** Whether the signs are there. Rows above this one did not match. */
  readonly matches: (seen: Seen) => boolean
}

/** A row as it is written: without the usual fields. */
export interface RowText extends Omit<DiagnosisEntry, 'layer' | 'severity' | 'confusableWith'> {
  readonly severity?: DiagnosisEntry['severity']
  readonly confusableWith?: readonly Confusable[]
  readonly matches: (seen: Seen) => boolean
}

/** Rows of one layer; an error unless a row says otherwise. */
export function rowsOf(layer: DiagnosisEntry['layer'], rows: readonly RowText[]): readonly Row[] {
  return rows.map((row) => ({ layer, severity: 'error', confusableWith: [], ...row }))
}
