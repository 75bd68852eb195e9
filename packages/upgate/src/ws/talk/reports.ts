import type { Refused } from '../../core/contract/decision.ts'
import type { Handshake, Refusal } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { createFaultLog, type FaultLog } from '../../core/faults/fault-log.ts'
import type { Secrets } from '../../core/faults/secrets.ts'
import type { QuarantineGate } from './quarantine-gate.ts'

/** What the operator is told: exceptions in the log, refusals as events. */
export class Reports<P extends Principal> {
  readonly #gate: QuarantineGate<P>
  readonly #faults: FaultLog

  constructor(gate: QuarantineGate<P>) {
    this.#gate = gate
    this.#faults = createFaultLog(gate)
  }

  /** A bug in a handshake, or a peer that found one. `secrets` adds what the exception may quote. */
  handshakeThrew(
    handshake: Pick<Handshake, 'name'> | undefined,
    hook: string,
    error: unknown,
    secrets: (secrets: Secrets) => void,
  ): void {
    const place = { handshake: handshake?.name ?? '', hook }
    this.#faults.report({ message: 'A handshake threw.', place, error, secrets })
  }

  /** A gate whose `resume` threw or rejected. */
  verificationThrew(error: unknown, secrets: (secrets: Secrets) => void): void {
    this.#faults.report({ message: 'A verification threw.', place: {}, error, secrets })
  }

  refused(
    path: string,
    clientAddress: string | undefined,
    refusal: Refusal & Pick<Partial<Refused>, 'scheme' | 'note'>,
    closeCode: number,
  ): void {
    const { events, clock } = this.#gate
    if (!events.active) return
    const place = { method: 'GET', path: path.slice(0, 256), clientAddress }
    const { code, detail, scheme, note } = refusal
    events.emit({ at: clock.now(), type: 'socket_refused', place, code, detail, closeCode, scheme, note })
  }
}
