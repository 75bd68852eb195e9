const maxIds = 1_000

/**
 * Ids of unknown keys; the oldest are forgotten.
 *
 * Keys are published before they sign. A document that was requested *after* an id was first seen and lacks
 * the id proves that no key has it. Before that, the next document may hold the key. A forgotten id only
 * makes the answer to an attacker's token less clear.
 */
export class MissingIds {
  /** By id: number of fetches started before it was first seen. */
  readonly #seen = new Map<string, number>()

  /**
   * Records an id.
   *
   * @param fetches - number of fetches started so far
   */
  note(kid: string, fetches: number): void {
    if (this.#seen.has(kid)) return
    if (this.#seen.size >= maxIds) {
      const oldest = this.#seen.keys().next()
      if (oldest.done !== true) this.#seen.delete(oldest.value)
    }
    this.#seen.set(kid, fetches)
  }

  /**
   * Whether the document of a fetch that started after the id was first seen lacks the id.
   *
   * @param fetch - number of that fetch, counted from 1
   */
  isNobodys(kid: string, fetch: number): boolean {
    const seen = this.#seen.get(kid)
    return seen !== undefined && seen < fetch
  }
}
