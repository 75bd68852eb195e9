import { type Candidate, Candidates, type Field } from './candidates.ts'
import type { Limits } from './limits.ts'
import { Line } from './line.ts'

/** A socket that has one of the places. */
export interface Occupant extends Candidate {
  readonly acquainted: boolean
  /** Whether its credential is being verified at this moment: the number of those is bounded by itself. */
  readonly underWay: boolean
  /** Makes a refused socket, held or closing, give up its place. */
  dismiss(): void
  /** Refuses a waiting socket, which gives up its place. */
  evict(): void
}

/** The places of strangers, or those of addresses that succeeded before. */
interface Side<T extends Occupant> {
  slots: number
  readonly waiting: Candidates<T>
  /** Refused sockets that are not gone, in order of refusal. */
  readonly refused: Line<T>
}

/**
 * The places of a quarantine. When all are taken, a newcomer displaces first a refused socket that is held before its
 * close, then the oldest waiting socket of the network with the most waiting sockets.
 *
 * A socket whose verification is under way keeps its place. Any other socket may lose its place, even one that has sent
 * frames: otherwise strangers that send meaningless frames would hold almost all places, and newcomers would displace
 * only each other.
 */
export class Room<T extends Occupant> {
  readonly #limits: Limits
  readonly #strangers: Side<T> = createSide('strangers')
  readonly #acquainted: Side<T> = createSide('acquainted')

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Quarantined sockets, refused ones that are not gone included. */
  get slots(): number {
    return this.#strangers.slots + this.#acquainted.slots
  }

  /**
   * Makes room for one more, at the expense of another if it must; false when there is none.
   *
   * @param slowed - too many of its address were refused lately. Where there is no room, a stranger of that kind is
   * answered before 101: a client that takes every socket that opened for a success would be back at once.
   */
  make(acquainted: boolean, slowed: boolean): boolean {
    const { maxSockets, reservedShare } = this.#limits
    const strangersFull = this.#strangers.slots >= Math.ceil(maxSockets * (1 - reservedShare))
    const full = this.slots >= maxSockets
    if (!full && (acquainted || !strangersFull)) return true
    if (slowed && !acquainted) return false
    // Strangers have reached their share: only another stranger's place can be freed.
    if (!acquainted && strangersFull) return dismissFrom(this.#strangers) || evictFrom(this.#strangers)
    return (
      dismissFrom(this.#strangers) ||
      dismissFrom(this.#acquainted) ||
      evictFrom(this.#strangers) ||
      (acquainted && evictFrom(this.#acquainted))
    )
  }

  take(occupant: T): void {
    const side = this.#sideOf(occupant)
    side.slots++
    side.waiting.add(occupant)
  }

  /** It waits again, for a credential after a refused one. */
  waits(occupant: T): void {
    this.#sideOf(occupant).waiting.add(occupant)
  }

  refused(occupant: T): void {
    const side = this.#sideOf(occupant)
    side.waiting.delete(occupant)
    side.refused.add(occupant)
  }

  release(occupant: T): void {
    const side = this.#sideOf(occupant)
    side.slots--
    side.waiting.delete(occupant)
    side.refused.delete(occupant)
  }

  #sideOf({ acquainted }: T): Side<T> {
    return acquainted ? this.#acquainted : this.#strangers
  }
}

function createSide<T extends Occupant>(field: Field): Side<T> {
  return { slots: 0, waiting: new Candidates(field), refused: new Line() }
}

function dismissFrom<T extends Occupant>({ refused }: Side<T>): boolean {
  const occupant = refused.first
  occupant?.dismiss()
  return occupant !== undefined
}

function evictFrom<T extends Occupant>({ waiting }: Side<T>): boolean {
  for (let occupant = waiting.first; occupant !== undefined; occupant = waiting.first) {
    // Each is taken off once, so that this is no walk: it is put back when it waits again.
    waiting.delete(occupant)
    if (occupant.underWay) continue
    occupant.evict()
    return true
  }
  return false
}
