interface Entry<V> {
  readonly text: string
  readonly value: V
}

/**
 * A `Map` from texts that is fast for a text that has just come from the wire.
 *
 * A `Map` has to hash such a text as a whole, which takes five times as long as the rest of a look-up. Here, a number of a
 * few characters finds the entry, and one comparison of the whole text confirms it. Only texts that are added can share a
 * number, never those that a client asks for: they are kept in a `Map`.
 */
export class TextMap<V> {
  readonly #entries = new Map<number, Entry<V>>()
  /** Texts with a number that another text has. */
  #others: Map<string, V> | undefined

  get(text: string): V | undefined {
    const entry = this.#entries.get(sample(text))
    if (entry !== undefined && entry.text === text) return entry.value
    return this.#others?.get(text)
  }

  set(text: string, value: V): void {
    const number = sample(text)
    const present = this.#entries.get(number)
    if (present === undefined || present.text === text) {
      // It may have come when another text had the number.
      this.#others?.delete(text)
      this.#entries.set(number, { text, value })
      return
    }
    this.#others ??= new Map()
    this.#others.set(text, value)
  }

  delete(text: string): void {
    const number = sample(text)
    if (this.#entries.get(number)?.text === text) this.#entries.delete(number)
    else this.#others?.delete(text)
  }

  get size(): number {
    return this.#entries.size + (this.#others?.size ?? 0)
  }

  *values(): Generator<V> {
    for (const { value } of this.#entries.values()) yield value
    if (this.#others !== undefined) yield* this.#others.values()
  }
}

/** A number of 30 bits, made of the length and a few characters; of random texts in base64, different for almost all. */
function sample(text: string): number {
  const { length } = text
  // Reading beyond the end of a text is slow.
  if (length === 0) return 0
  const letters =
    (text.charCodeAt(length >> 2) << 6) ^
    (text.charCodeAt(length >> 1) << 12) ^
    (text.charCodeAt((length * 3) >> 2) << 18) ^
    (text.charCodeAt((length * 5) >> 3) << 24)
  return (length ^ text.charCodeAt(length - 1) ^ letters) & 0x3fffffff
}
