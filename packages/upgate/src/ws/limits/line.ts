/**
 * A set in order of arrival whose first item costs the same to find whatever has left.
 *
 * A `Set` keeps the places of what was deleted until it is built again, and the walk to its first item passes all of
 * them: during a flood, that is every place of a full quarantine, at every upgrade.
 */
export class Line<T extends object> {
  /** Where each item is in {@link #places}, counted from the first item that ever came. */
  readonly #numbers: Map<T, number> = new Map()
  #places: (T | undefined)[] = []
  /** The number of the first of the places. */
  #start = 0
  /** No item is before this place. */
  #head = 0

  get size(): number {
    return this.#numbers.size
  }

  get first(): T | undefined {
    if (this.#numbers.size === 0) return undefined
    while (this.#places[this.#head] === undefined) this.#head++
    return this.#places[this.#head]
  }

  has(item: T): boolean {
    return this.#numbers.has(item)
  }

  /** Adds an item at the end, unless it is in line. */
  add(item: T): void {
    if (this.#numbers.has(item)) return
    if (this.#places.length > 2 * this.#numbers.size + slack) this.#close()
    this.#numbers.set(item, this.#start + this.#places.length)
    this.#places.push(item)
  }

  /** @returns whether it was in line */
  delete(item: T): boolean {
    const number = this.#numbers.get(item)
    if (number === undefined) return false
    this.#numbers.delete(item)
    // Also lets go of the item.
    this.#places[number - this.#start] = undefined
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
    this.#start += this.#places.length
    this.#places = this.#places.filter((item) => item !== undefined)
    this.#head = 0
    this.#places.forEach((item, at) => {
      this.#numbers.set(item as T, this.#start + at)
    })
  }
}

/** Gaps that are no reason to close them. */
const slack = 16
