import type { Clock } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import { type AcquaintanceOptions, Acquaintances } from './acquaintances.ts'
import { Addresses, type Bucket } from './addresses.ts'
import type { Limits } from './limits.ts'
import { type Occupant, Room } from './room.ts'

/** How many sockets there may be: slots in all, counts per address, and what changes when slots run short. */
export class Capacity {
  readonly addresses: Addresses
  /** Addresses that succeeded before, beyond a restart. */
  readonly acquaintances: Acquaintances | undefined
  readonly room: Room<Occupant>
  readonly #limits: Limits

  constructor(limits: Limits, clock: Clock, logger: Logger, acquaintances?: Required<AcquaintanceOptions>) {
    this.#limits = limits
    this.addresses = new Addresses(clock)
    this.acquaintances =
      acquaintances === undefined ? undefined : new Acquaintances(acquaintances, clock, logger)
    this.room = new Room(limits)
  }

  get #underPressure(): boolean {
    return this.room.slots >= this.#limits.maxSockets * this.#limits.pressureShare
  }

  /** Milliseconds that a stranger may wait: fewer under pressure. */
  get strangersDeadline(): number {
    const { deadline, pressureDeadline } = this.#limits
    return this.#underPressure ? Math.min(pressureDeadline, deadline) : deadline
  }

  isAcquainted(bucket: Bucket): boolean {
    if (this.addresses.succeededWithin(bucket, this.#limits.rememberSuccess)) return true
    return bucket !== this.addresses.unknown && this.acquaintances?.knows(bucket.key) === true
  }

  /** A socket of this address was accepted, or an accepted one has gone only now. */
  succeeded(bucket: Bucket): void {
    this.addresses.succeeded(bucket)
    if (bucket !== this.addresses.unknown) this.acquaintances?.note(bucket.key)
  }

  /** Takes a slot; true when that began the pressure, which shortens the deadline of strangers. */
  take(socket: Occupant): boolean {
    const relaxed = !this.#underPressure
    this.room.take(socket)
    this.addresses.add(socket.bucket, 'sockets', 1)
    return relaxed && this.#underPressure
  }

  release(socket: Occupant): void {
    this.room.release(socket)
    this.addresses.add(socket.bucket, 'sockets', -1)
  }
}
