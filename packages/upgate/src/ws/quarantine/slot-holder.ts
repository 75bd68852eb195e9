import type { Refused } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { SharedByAccepted } from '../accepted/shared.ts'
import type { Bucket } from '../limits/addresses.ts'
import type { Linked } from '../limits/chain.ts'
import type { Occupant } from '../limits/room.ts'
import type { Newcomer } from '../limits/roster.ts'
import type { WebSocketServerLike } from '../socket/web-socket-like.ts'
import type { BareSocket } from './bare-socket.ts'

/**
 * The slot of a waiting socket, counted in all and for its address, and its entry in the roster. It is released once:
 * at the latest when the socket is gone.
 */
export abstract class SlotHolder<P extends Principal> implements Newcomer {
  /** When it began to wait, by the time of the list it is on. */
  since = 0
  // The fields of the lists that it is on (`Linked`, `Placed`): each waiting socket has them from the start.
  earlier: Linked | undefined
  later: Linked | undefined
  chain: object | undefined
  place = 0
  protected readonly shared: SharedByAccepted<P>
  protected readonly arrival: BareSocket<P>
  #released = false

  constructor(shared: SharedByAccepted<P>, arrival: BareSocket<P>) {
    this.shared = shared
    this.arrival = arrival
  }

  get bucket(): Bucket {
    return this.arrival.bucket
  }

  get acquainted(): boolean {
    return this.arrival.acquainted
  }

  isOf(wss: WebSocketServerLike): boolean {
    return this.arrival.wss === wss
  }

  abstract readonly verifying: boolean
  abstract readonly underWay: boolean
  abstract overdue(wasVerifying: boolean): void
  abstract evict(): void
  abstract dismiss(): void
  abstract leave(code: number, reason: string): void
  abstract terminate(): void

  /** Takes the slot; the deadline begins. */
  protected takeSlot(): void {
    const { capacity, roster } = this.shared
    roster.born()
    roster.waits(this, capacity.take(this))
  }

  /** Reports a refusal that the client is not told. Returns its close frame. */
  protected reported(refusal: Refused, closeCode: number): readonly [code: number, reason: string] {
    this.shared.reports.refused(this.arrival.endpoint, refusal, closeCode)
    return [closeCode, refusal.code]
  }

  protected releaseSlot(): void {
    if (this.#released) return
    this.#released = true
    this.shared.capacity.release(this satisfies Occupant)
  }
}
