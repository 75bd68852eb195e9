/** Something that can stand in a {@link Line}, in one at a time. */
export interface Placed {
  /** Its number in the line, which alone writes it. Outside of a line it means nothing. */
  place: number
}

/**
 * A set in order of arrival whose first item costs the same to find whatever has left.
 *
 * A `Set` keeps the places of what was deleted until it is built again, and the walk to its first item passes all of
 * them: during a flood, that is every place of a full quarantine, at every upgrade. Here each item knows its place, so
 * that nothing is looked up, and no table is built again when it has grown.
 */
export class Line<T extends Placed> {
  #places: (T | undefined)[] = []
  /** The number of the first of the places. */
  #start = 0
  /** No item is before this place. */
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  get first(): T | undefined {
    if (this.#size === 0) return undefined
    while (this.#places[this.#head] === undefined) this.#head++
    return this.#places[this.#head]
  }

  has(item: T): boolean {
    return this.#places[item.place - this.#start] === item
  }

  /** Adds an item at the end, unless it is in line. */
  add(item: T): void {
    if (this.has(item)) return
    if (this.#places.length > 2 * this.#size + slack) this.#close()
    item.place = this.#start + this.#places.length
    this.#places.push(item)
    this.#size++
  }

  /** @returns whether it was in line */
  delete(item: T): boolean {
    if (!this.has(item)) return false
    // Also lets go of the item.
    this.#places[item.place - this.#start] = undefined
    this.#size--
    return true
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let at = this.#head; at < this.#places.length; at++) {
      const item = this.#places[at]
      if (item !== undefined) yield item
    }
  }

  /** Closes the gaps, once more than half of the places are gaps: so each costs its item a constant. */
  #close(): void {
    this.#start = 0
    this.#head = 0
    this.#places = this.#places.filter((item) => item !== undefined)
    this.#places.forEach((item, at) => {
      ;(item as T).place = at
    })
  }
}

/** Gaps that are no reason to close them. */
const slack = 16
