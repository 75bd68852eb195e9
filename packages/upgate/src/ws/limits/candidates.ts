import { type Bucket, widest } from './addresses.ts'
import { Line } from './line.ts'

/** Something that may have to make room for another. */
export interface Candidate {
  readonly bucket: Bucket
}

/**
 * Sockets that may have to make room for others, by the widest network they are of.
 *
 * The oldest one of the network that has most is found without a look at the others: during a flood every upgrade
 * asks for it. A network with one socket, as most have, needs no list.
 */
export class Candidates<T extends Candidate> {
  readonly #byNetwork: Map<Bucket, T | Line<T>> = new Map()
  /** At index n: the networks that have n, in the order in which they came to have as many. */
  readonly #bySize: Line<Bucket>[] = []
  #most = 0

  add(item: T): void {
    const network = widest(item.bucket)
    const items = this.#byNetwork.get(network)
    if (items === undefined) {
      this.#byNetwork.set(network, item)
      this.#moved(network, 0, 1)
    } else if (!(items instanceof Line)) {
      if (items === item) return
      const both = new Line<T>()
      both.add(items)
      both.add(item)
      this.#byNetwork.set(network, both)
      this.#moved(network, 1, 2)
    } else if (!items.has(item)) {
      items.add(item)
      this.#moved(network, items.size - 1, items.size)
    }
  }

  delete(item: T): void {
    const network = widest(item.bucket)
    const items = this.#byNetwork.get(network)
    if (items === item) {
      this.#byNetwork.delete(network)
      this.#moved(network, 1, 0)
    } else if (items instanceof Line && items.delete(item)) {
      if (items.size === 1) this.#byNetwork.set(network, items.first as T)
      this.#moved(network, items.size + 1, items.size)
    }
  }

  /** The oldest one of a network that has most. */
  get first(): T | undefined {
    const network = this.#bySize[this.#most]?.first
    const items = network && this.#byNetwork.get(network)
    return items instanceof Line ? items.first : items
  }

  #moved(network: Bucket, before: number, now: number): void {
    const size = this.#bySize[before]
    size?.delete(network)
    if (now > 0) {
      this.#bySize[now] ??= new Line()
      this.#bySize[now].add(network)
    }
    // One less is the most that any other network has.
    if (now > this.#most || (before === this.#most && size?.size === 0)) this.#most = now
  }
}
