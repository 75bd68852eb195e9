import type { RuleOptions } from '../contract/rules.ts'
import { compileDemands, type Demands, type NamedScheme } from './demands.ts'

/** Demands that are remembered, so that rules that take turns, such as one for each method, find theirs. */
const most = 8

/** After so many rules in a row that were like none before them, only one in so many is compared and remembered. */
const patience = 8
const seldom = 16

interface Remembered {
  readonly names: readonly string[]
  readonly values: readonly unknown[]
  readonly demands: Demands
}

/**
 * Reads options once where several rules have the same ones, as most of thousands do.
 *
 * Two rules have the same options if their own properties have the same names and values, lists entry by entry, apart
 * from the path.
 */
export class SharedDemands {
  readonly #remembered: Remembered[] = []
  #oldest = 0
  #missesInARow = 0
  #isLooking = true

  /** The demands of an earlier rule with the same options; `undefined` where none is remembered. */
  of(options: RuleOptions): Demands | undefined {
    this.#isLooking = this.#missesInARow < patience || this.#missesInARow % seldom === 0
    this.#missesInARow++
    if (!this.#isLooking || !isShareable(options)) return undefined
    const names = Object.getOwnPropertyNames(options)
    for (const one of this.#remembered) {
      if (!isSame(one, names, options)) continue
      this.#missesInARow = 0
      return one.demands
    }
    return undefined
  }

  /** Compiles the demands of a rule with known names of options. */
  compile(options: RuleOptions, known: readonly NamedScheme[], where: string): Demands {
    if (!this.#isLooking || !isShareable(options)) return compileDemands(options, known, where)
    const names = Object.getOwnPropertyNames(options)
    const values = names.map((name) => copyOf(options[name as keyof RuleOptions]))
    // From the copy, so that a getter cannot have two values here.
    const copy = Object.fromEntries(names.map((name, at) => [name, values[at]]))
    const demands = compileDemands(copy as unknown as RuleOptions, known, where)
    this.#remembered[this.#oldest] = { names, values, demands }
    this.#oldest = (this.#oldest + 1) % most
    return demands
  }
}

/** Whether all that is read of options is in their own properties, and nothing that depends on the path. */
function isShareable(options: RuleOptions): boolean {
  return (
    typeof options === 'object' &&
    options !== null &&
    Object.getPrototypeOf(options) === Object.prototype &&
    options.document === undefined
  )
}

function isSame({ names, values }: Remembered, others: readonly string[], options: RuleOptions): boolean {
  if (names.length !== others.length) return false
  for (let at = 0; at < names.length; at++) {
    const name = names[at]
    if (name !== others[at]) return false
    if (name !== 'path' && !isSameValue(values[at], options[name as keyof RuleOptions])) return false
  }
  return true
}

function isSameValue(value: unknown, other: unknown): boolean {
  if (value === other) return true
  if (!Array.isArray(value) || !Array.isArray(other) || value.length !== other.length) return false
  for (let at = 0; at < value.length; at++) if (value[at] !== other[at]) return false
  return true
}

function copyOf(value: unknown): unknown {
  return Array.isArray(value) ? Object.freeze([...value]) : value
}
