import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'

/** The part of a gate that the quarantine uses. */
export type QuarantineGate<P extends Principal = Principal> = Pick<
  Gate<P>,
  'resume' | 'remember' | 'decisionOf' | 'connections' | 'events' | 'clock' | 'logger'
>
