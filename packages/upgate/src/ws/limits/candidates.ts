import { type Bucket, widest } from './addresses.ts'

/** Something that may have to make room for another. */
export interface Candidate {
  readonly bucket: Bucket
}

/**
 * Sockets that may have to make room for others, by the widest network they are of.
 *
 * The oldest one of the network that has most is found without a look at the others: during a flood every upgrade
 * asks for it.
 */
export class Candidates<T extends Candidate> {
  readonly #byNetwork: Map<Bucket, Set<T>> = new Map()
  /** At index n: the networks that have n, in the order in which they came to have as many. */
  readonly #bySize: Set<Set<T>>[] = []
  #most = 0

  add(item: T): void {
    const network = widest(item.bucket)
    let items = this.#byNetwork.get(network)
    if (items === undefined) {
      items = new Set()
      this.#byNetwork.set(network, items)
    }
    if (items.has(item)) return
    this.#bySize[items.size]?.delete(items)
    items.add(item)
    this.#put(items)
    if (items.size > this.#most) this.#most = items.size
  }

  delete(item: T): void {
    const network = widest(item.bucket)
    const items = this.#byNetwork.get(network)
    if (items === undefined || !items.has(item)) return
    const size = this.#bySize[items.size]
    size?.delete(items)
    items.delete(item)
    if (items.size === 0) this.#byNetwork.delete(network)
    else this.#put(items)
    // One less is the most that any other network has.
    if (size?.size === 0 && items.size === this.#most - 1) this.#most--
  }

  /** The oldest one of a network that has most. */
  get first(): T | undefined {
    for (const items of this.#bySize[this.#most] ?? []) for (const item of items) return item
    return undefined
  }

  #put(items: Set<T>): void {
    let size = this.#bySize[items.size]
    if (size === undefined) {
      size = new Set()
      this.#bySize[items.size] = size
    }
    size.add(items)
  }
}
