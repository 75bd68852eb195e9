import type { Principal } from '../../core/contract/principal.ts'
import type { AcquaintanceOptions } from '../limits/acquaintances.ts'
import { Capacity } from '../limits/capacity.ts'
import type { Limits } from '../limits/limits.ts'
import { Roster } from '../limits/roster.ts'
import { Verifications } from '../limits/verifications.ts'
import { ExtraHeaders } from '../socket/extra-headers.ts'
import { HeaderShapes } from '../socket/request-snapshot.ts'
import type { QuarantineGate } from './quarantine-gate.ts'
import { RenewalTalk } from './renewal-talk.ts'
import { Reports } from './reports.ts'
import { Talk } from './talk.ts'

/** The parts that all sockets of one quarantine share. This file knows no class of sockets. */
export interface Shared<P extends Principal> {
  readonly gate: QuarantineGate<P>
  readonly limits: Limits
  readonly capacity: Capacity
  readonly roster: Roster
  readonly verifications: Verifications
  readonly reports: Reports<P>
  readonly talk: Talk<P>
  readonly renewalTalk: RenewalTalk<P>
  readonly headers: ExtraHeaders
  readonly headerShapes: HeaderShapes
}

export function createShared<P extends Principal>(
  gate: QuarantineGate<P>,
  limits: Limits,
  acquaintances?: Required<AcquaintanceOptions>,
): Shared<P> {
  const { clock, logger } = gate
  const capacity = new Capacity(limits, clock, logger, acquaintances)
  const reports = new Reports(gate)
  return {
    gate,
    limits,
    capacity,
    roster: new Roster(limits, clock, capacity),
    verifications: new Verifications(capacity.addresses, clock, limits),
    reports,
    talk: new Talk(reports),
    renewalTalk: new RenewalTalk(reports),
    headers: new ExtraHeaders(),
    headerShapes: new HeaderShapes(),
  }
}
