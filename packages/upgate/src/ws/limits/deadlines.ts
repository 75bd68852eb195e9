import type { Clock, Timer } from '../../core/ports/clock.ts'
import { Chain, type Linked } from './chain.ts'

/** Something that waits in {@link Deadlines}, in one at a time. */
export interface Waiting extends Linked {
  /** When it began to wait, by the time of the list it is on. */
  since: number
}

/**
 * Items that all wait equally long, in order of arrival, with one timer for all of them.
 *
 * The timer is armed for the oldest item and rearmed when it fires; removing an item early costs nothing.
 */
export class Deadlines<T extends Waiting> {
  readonly #clock: Clock
  readonly #duration: () => number
  readonly #onDue: (due: readonly T[]) => void
  readonly #items: Chain<T> = new Chain()
  /** Times are kept relative to it: small integers cost no memory of their own, milliseconds since the epoch do. */
  #start: number
  /** The last time seen. A clock that is set back must not stretch what waits: from then on it goes on from there. */
  #last = 0
  #timer: Timer | undefined
  /** When the item that the timer is armed for began to wait. */
  #armedSince = 0

  constructor(clock: Clock, duration: () => number, onDue: (due: readonly T[]) => void) {
    this.#clock = clock
    this.#duration = duration
    this.#onDue = onDue
    this.#start = clock.now()
  }

  get size(): number {
    return this.#items.size
  }

  /** In order of arrival. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#items[Symbol.iterator]()
  }

  /** Begins to wait now. */
  add(item: T): void {
    item.since = this.#now()
    this.#items.add(item)
    if (this.#timer === undefined) this.#arm(item)
  }

  delete(item: T): boolean {
    if (!this.#items.delete(item)) return false
    if (this.#items.size === 0) this.#disarm()
    return true
  }

  /** To be called when the duration has changed. */
  rearm(): void {
    this.#disarm()
    const { first } = this.#items
    if (first !== undefined) this.#arm(first)
  }

  #now(): number {
    const now = Math.trunc(this.#clock.now() - this.#start)
    if (now < this.#last) this.#start -= this.#last - now
    else this.#last = now
    return this.#last
  }

  #disarm(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(first: T): void {
    this.#armedSince = first.since
    const delay = Math.max(0, first.since + this.#duration() - this.#now())
    this.#timer = this.#clock.setTimer(delay, () => this.#fire())
  }

  #fire(): void {
    this.#timer = undefined
    // The item that the timer was armed for has waited long enough, even if the clock was set back.
    const limit = Math.max(this.#now() - this.#duration(), this.#armedSince)
    const due: T[] = []
    let { first } = this.#items
    while (first !== undefined && first.since <= limit) {
      this.#items.delete(first)
      due.push(first)
      first = this.#items.first
    }
    this.rearm()
    if (due.length > 0) this.#onDue(due)
  }
}
