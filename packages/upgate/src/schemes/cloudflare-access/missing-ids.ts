const maxIds = 1_000

/**
 * Key ids that were asked for and that nobody has, as far as is known; the oldest are forgotten.
 *
 * Keys are published before they sign. So an id that a document lacks which was asked for *after* the id was first
 * seen is nobody's; of any other the next document may have the key. What is forgotten costs an attacker's token a
 * clearer answer, and nobody anything else.
 */
export class MissingIds {
  /** By id: how many fetches had been started when it was first seen. */
  readonly #seen = new Map<string, number>()

  /** @param fetches - how many fetches have been started */
  note(kid: string, fetches: number): void {
    if (this.#seen.has(kid)) return
    if (this.#seen.size >= maxIds) {
      const oldest = this.#seen.keys().next()
      if (oldest.done !== true) this.#seen.delete(oldest.value)
    }
    this.#seen.set(kid, fetches)
  }

  /**
   * Whether the id was seen before a fetch was started, the document of which does not have it.
   *
   * @param fetch - the number of that fetch, counted from 1
   */
  isNobodys(kid: string, fetch: number): boolean {
    const seen = this.#seen.get(kid)
    return seen !== undefined && seen < fetch
  }
}
