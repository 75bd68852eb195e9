import type { Principal } from '../core/principal.ts'
import type { Quarantine, QuarantineGate, QuarantineOptions } from './types.ts'

/** Creates the quarantine of one server. */
export function createQuarantine<P extends Principal>(
  _gate: QuarantineGate<P>,
  _options: QuarantineOptions = {},
): Quarantine<P> {
  throw new Error('Not implemented')
}
