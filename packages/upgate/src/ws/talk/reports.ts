import type { Refused } from '../../core/contract/decision.ts'
import type { EventPlace } from '../../core/contract/events.ts'
import type { Handshake, Refusal } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { createFaultLog, type FaultLog } from '../../core/faults/fault-log.ts'
import type { Secrets } from '../../core/faults/secrets.ts'
import type { QuarantineGate } from './quarantine-gate.ts'

/** An accepted socket, as events describe it. */
interface Accepted {
  readonly id: string
  readonly acceptedAt: number
  readonly path: string
  readonly clientAddress: string | undefined
  readonly peerAddress?: string | undefined
  /** The reason with which the gate ended it. */
  readonly endReason: string | undefined
}

/** Reports to the operator: exceptions in the log, refusals as events. */
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
    endpoint: Endpoint,
    refusal: Refusal & Pick<Partial<Refused>, 'scheme' | 'note' | 'reason'>,
    closeCode: number,
  ): void {
    const { events, clock } = this.#gate
    if (!events.active) return
    const place = placeOf(endpoint)
    const { code, detail, scheme, note, reason } = refusal
    const said = { code, detail, scheme, note, reason }
    events.emit({ at: clock.now(), type: 'socket_refused', place, ...said, closeCode })
  }

  accepted(socket: Accepted, principal: P): void {
    const { events } = this.#gate
    if (!events.active) return
    const { id: connectionId, acceptedAt: at } = socket
    const place = placeOf(socket)
    events.emit({ at, type: 'socket_accepted', place, principal, connectionId })
  }

  renewed({ id: connectionId }: Pick<Accepted, 'id'>, principal: P): void {
    const { events, clock } = this.#gate
    if (!events.active) return
    events.emit({ at: clock.now(), type: 'socket_refreshed', principal, connectionId })
  }

  renewalRefused({ id: connectionId }: Pick<Accepted, 'id'>, principal: P, refusal: Refused): void {
    const { events, clock } = this.#gate
    if (!events.active) return
    const { code, detail, scheme, note, reason } = refusal
    const said = { code, detail, scheme, note, reason }
    events.emit({ at: clock.now(), type: 'socket_refresh_refused', ...said, principal, connectionId })
  }

  closed({ id: connectionId, endReason: reason }: Accepted, principal: P): void {
    const { events, clock } = this.#gate
    if (!events.active) return
    events.emit({ at: clock.now(), type: 'socket_closed', principal, connectionId, reason })
  }
}

type Endpoint = Pick<Accepted, 'path' | 'clientAddress' | 'peerAddress'>

function placeOf({ path, clientAddress, peerAddress }: Endpoint): EventPlace {
  return { method: 'GET', path: path.slice(0, 256), clientAddress, peerAddress }
}
