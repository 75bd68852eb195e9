/**
 * A bounded map that forgets what was not used for longest, roughly: two generations, of which the older is dropped
 * whole. A hit writes nothing, unless the entry is about to be forgotten.
 */
export class TokenCache<V> {
  readonly #half: number
  #young = new Map<string, V>()
  #old = new Map<string, V>()

  /** @param entries - most that are kept, at least 2 */
  constructor(entries: number) {
    this.#half = Math.floor(entries / 2)
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, value: V): void {
    this.#old.delete(key)
    if (this.#young.size >= this.#half && !this.#young.has(key)) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }

  delete(key: string): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  /** Removes every entry that the predicate is true of. */
  deleteWhere(predicate: (value: V) => boolean): void {
    for (const map of [this.#young, this.#old]) {
      for (const [key, value] of map) if (predicate(value)) map.delete(key)
    }
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }
}
