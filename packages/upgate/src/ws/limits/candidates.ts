import { type Bucket, widest } from './addresses.ts'
import { Line, type Placed } from './line.ts'

/** Something that may have to make room for another. */
export interface Candidate extends Placed {
  readonly bucket: Bucket
}

/** The candidates of a network that has several. */
class Group<T extends Candidate> implements Placed {
  place = 0
  readonly members: Line<T> = new Line()
}

/** The field of a network's bucket that holds its candidates: the only one, or their group. */
export type Field = 'strangers' | 'acquainted'

/**
 * Sockets that may have to make room for others, by the widest network they are of.
 *
 * The oldest one of the network that has most is found without a look at the others: during a flood every upgrade
 * asks for it. A network with one socket, as most have, needs no group: the socket stands for it.
 */
export class Candidates<T extends Candidate> {
  readonly #field: Field
  /** At index n: the networks that have n, in the order in which they came to have as many. */
  readonly #bySize: Line<T | Group<T>>[] = []
  #most = 0

  constructor(field: Field) {
    this.#field = field
  }

  add(item: T): void {
    const network = widest(item.bucket)
    const present = this.#of(network)
    if (present === undefined) {
      network[this.#field] = item
      this.#moved(item, 0, item, 1)
    } else if (!(present instanceof Group)) {
      if (present === item) return
      const group = new Group<T>()
      this.#moved(present, 1, group, 2)
      group.members.add(present)
      group.members.add(item)
      network[this.#field] = group
    } else if (!present.members.has(item)) {
      const { members } = present
      members.add(item)
      this.#moved(present, members.size - 1, present, members.size)
    }
  }

  delete(item: T): void {
    const network = widest(item.bucket)
    const present = this.#of(network)
    if (present === item) {
      network[this.#field] = undefined
      this.#moved(item, 1, item, 0)
    } else if (present instanceof Group && present.members.delete(item)) {
      const { first, size } = present.members
      const left = size === 1 ? (first as T) : present
      if (left !== present) network[this.#field] = left
      this.#moved(present, size + 1, left, size)
    }
  }

  /** The oldest one of a network that has most. */
  get first(): T | undefined {
    const present = this.#bySize[this.#most]?.first
    return present instanceof Group ? present.members.first : present
  }

  #of(network: Bucket): T | Group<T> | undefined {
    return network[this.#field] as T | Group<T> | undefined
  }

  /** What stands for a network moves from the line of one size to that of another, maybe as something else. */
  #moved(was: T | Group<T>, before: number, is: T | Group<T>, now: number): void {
    const size = this.#bySize[before]
    size?.delete(was)
    if (now > 0) {
      this.#bySize[now] ??= new Line()
      this.#bySize[now].add(is)
    }
    // One less is the most that any other network has.
    if (now > this.#most || (before === this.#most && size?.size === 0)) this.#most = now
  }
}
