import type { CompiledRule } from '../contract/rules.ts'

/** How many targets are kept. A power of two. */
const places = 256
/** Longest target that is kept, in characters. */
const longest = 128
/** Of so many targets that are not kept, one is: those that come often get in soon, others cost next to nothing. */
const oneOf = 8

/**
 * The rules of canonical targets of late: finding one again takes half of a walk's time.
 *
 * Each target has one place, by a few of its characters, and takes it from another one, so that memory is bounded. The rule of
 * a target never changes: nothing has to be forgotten.
 */
export class RecentTargets {
  readonly #targets: string[] = new Array(places).fill('')
  readonly #rules: (CompiledRule | undefined)[] = new Array(places).fill(undefined)
  #passed = 0

  /** The rule of a target, letter by letter the same. */
  get(target: string): CompiledRule | undefined {
    if (target.length > longest) return undefined
    const place = placeOf(target)
    return this.#targets[place] === target ? this.#rules[place] : undefined
  }

  /** Offers a target with its rule. */
  offer(target: string, rule: CompiledRule): void {
    this.#passed = (this.#passed + 1) % oneOf
    // Nothing of a query is kept: it may hold a secret.
    if (this.#passed !== 0 || target.length > longest || target.includes('?')) return
    const place = placeOf(target)
    this.#targets[place] = target
    this.#rules[place] = rule
  }
}

/** By the length, and by characters at the end and in the middle, where ids are. */
function placeOf(target: string): number {
  const { length } = target
  // Reading beyond the end of a text is slow.
  if (length < 2) return length
  const letters =
    target.charCodeAt(length - 1) ^
    (target.charCodeAt(length - 2) << 3) ^
    (target.charCodeAt(length >> 1) << 5)
  return (length ^ letters ^ (letters >> 8)) & (places - 1)
}
