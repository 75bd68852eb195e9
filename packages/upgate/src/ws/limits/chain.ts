/**
 * Something that can be in a {@link Chain}, in one at a time; the chain alone writes the fields. Items that are rarely in
 * one leave them out.
 */
export interface Linked {
  earlier?: Linked | undefined
  later?: Linked | undefined
  /** The chain that it is in. */
  chain?: object | undefined
}

/**
 * A set in order of arrival that links its items to each other. Where a `Set` builds its table again and again while it
 * grows, which a flood of waiting sockets pays for, this costs three fields of the item.
 */
export class Chain<T extends Linked> {
  #first: T | undefined
  #last: T | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  get first(): T | undefined {
    return this.#first
  }

  /** Adds an item at the end, unless it is in this chain. Throws if it is in another one. */
  add(item: T): void {
    if (item.chain === this) return
    if (item.chain !== undefined) throw new Error('An item is in another chain.')
    const last = this.#last
    item.chain = this
    item.earlier = last
    if (last === undefined) this.#first = item
    else last.later = item
    this.#last = item
    this.#size++
  }

  /** @returns whether it was in this chain */
  delete(item: T): boolean {
    if (item.chain !== this) return false
    const { earlier, later } = item
    if (earlier === undefined) this.#first = later as T | undefined
    else earlier.later = later
    if (later === undefined) this.#last = earlier as T | undefined
    else later.earlier = earlier
    item.chain = undefined
    item.earlier = undefined
    item.later = undefined
    this.#size--
    return true
  }

  /** In order of arrival. Deleting the item that was just given is fine. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (let item = this.#first; item !== undefined; ) {
      const { later } = item
      yield item
      item = later as T | undefined
    }
  }
}
