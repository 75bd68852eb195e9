import type { Transport } from '../contract/listed-rule.ts'
import type { CompiledRule } from '../contract/rules.ts'
import type { RulePattern } from './pattern.ts'

/**
 * Methods over both transports as a set of bits: one for each method that some rule names and one for all others, first
 * for HTTP, then for upgrades.
 */
export type Reach = bigint

interface Share {
  readonly own: Reach
  readonly taken: Reach
}

/** Methods as people read them; `except` only where every other method is meant. */
export interface Methods {
  readonly only?: readonly string[]
  readonly except?: readonly string[]
}

/** Reckons with what rules take of the methods and transports of a path. */
export class Reaches {
  readonly #names: readonly string[]
  readonly #places: ReadonlyMap<string, number>
  readonly #width: bigint
  readonly #all: Reach
  /** By the index of the rule. */
  readonly #of: Share[] = []

  constructor(patterns: readonly RulePattern[]) {
    const names = new Set<string>(['GET'])
    // Most rules have their methods in common with others: they are looked at once, and share their sets.
    const shares = new Map<ReadonlySet<string> | undefined, Share[]>()
    for (const { rule } of patterns) {
      if (shares.has(rule.methods)) continue
      shares.set(rule.methods, [])
      for (const method of rule.methods ?? []) if (method !== 'HEAD') names.add(method)
    }
    this.#names = [...names]
    this.#places = new Map(this.#names.map((name, at) => [name, at]))
    this.#width = BigInt(this.#names.length + 1)
    this.#all = (1n << this.#width) - 1n
    for (const { rule } of patterns) {
      const byTransport = shares.get(rule.methods) as Share[]
      const kind = (rule.access === 'deferred' ? 4 : 0) + (rule.http ? 2 : 0) + (rule.upgrade ? 1 : 0)
      byTransport[kind] ??= this.#share(rule)
      this.#of[rule.index] = byTransport[kind]
    }
  }

  /** The requests that the author of a rule means. */
  own(rule: CompiledRule): Reach {
    return this.#of[rule.index]?.own ?? 0n
  }

  /** The requests that a rule takes from the rules behind it. */
  taken(rule: CompiledRule): Reach {
    return this.#of[rule.index]?.taken ?? 0n
  }

  /** The part of one transport. */
  on(transport: Transport, reach: Reach): Reach {
    return reach & (transport === 'http' ? this.#all : this.#all << this.#width)
  }

  /**
   * The methods on one transport; `undefined` where there are none.
   *
   * @param among - the methods of the rule, where it names them: nothing else is looked at
   */
  methods(transport: Transport, reach: Reach, among?: ReadonlySet<string>): Methods | undefined {
    const bits = transport === 'http' ? reach & this.#all : reach >> this.#width
    if (bits === 0n) return undefined
    if (among !== undefined) {
      const isLeft = (name: string): boolean => {
        const at = this.#places.get(name)
        return at !== undefined && ((bits >> BigInt(at)) & 1n) === 1n
      }
      return { only: [...among].filter(isLeft) }
    }
    const others = (bits >> (this.#width - 1n)) & 1n
    const names = this.#namesOf(others === 1n ? this.#all & ~bits : bits)
    return others === 1n ? { except: names } : { only: names }
  }

  #namesOf(bits: Reach): readonly string[] {
    const names: string[] = []
    // Four bits at a time, since most are zeros; a shift for each of them would copy all of them each time.
    const digits = bits.toString(16)
    for (let at = 0; at < digits.length; at++) {
      const digit = Number.parseInt(digits[digits.length - 1 - at] as string, 16)
      for (let bit = 0; digit >> bit > 0; bit++)
        if (((digit >> bit) & 1) === 1) names.push(this.#names[at * 4 + bit] as string)
    }
    return names
  }

  /** For messages: `GET, POST over HTTP, and upgrades`. */
  describe(reach: Reach): string {
    const http = this.methods('http', reach)
    const parts: string[] = []
    if (http?.only !== undefined) parts.push(`${http.only.join(', ')} over HTTP`)
    else if (http !== undefined) parts.push('HTTP requests')
    if (this.methods('upgrade', reach) !== undefined) parts.push('WebSocket upgrades')
    return parts.join(' and ')
  }

  #share(rule: CompiledRule): Share {
    const methods = this.#bits(rule)
    const both = this.#over(rule.http ? methods : 0n, rule.upgrade ? methods : 0n)
    // Where a rule is for upgrades alone, GET is all that there is. A deferred rule answers HTTP with 426: it takes
    // that from later rules, and misses nothing where an earlier one has it.
    const alone = rule.access === 'deferred' || !rule.http
    return { own: alone ? this.#over(0n, methods & 1n) : both, taken: both }
  }

  #over(http: Reach, upgrade: Reach): Reach {
    return http | (upgrade << this.#width)
  }

  #bits({ methods }: CompiledRule): Reach {
    if (methods === undefined) return this.#all
    let bits = 0n
    for (const name of methods) {
      const at = this.#places.get(name)
      if (at !== undefined) bits |= 1n << BigInt(at)
    }
    return bits
  }
}

const ranks = { public: 0, optional: 1, deferred: 2, required: 3 } as const

/** Whether a rule lets in what another one would not. */
export function letsInMore(one: CompiledRule, other: CompiledRule): boolean {
  if (one.access !== other.access) return ranks[one.access] < ranks[other.access]
  if (one.allowForeignOrigins && !other.allowForeignOrigins) return true
  if (one.access === 'public') return false
  const within = (names: readonly string[] | undefined, limits: readonly string[] | undefined): boolean =>
    limits === undefined || (names?.every((name) => limits.includes(name)) ?? false)
  return !(
    within(one.kinds, other.kinds) &&
    within(one.schemes, other.schemes) &&
    within(one.audience, other.audience) &&
    other.scopes.every((scope) => one.scopes.includes(scope)) &&
    (other.roles.length === 0 || (one.roles.length > 0 && within(one.roles, other.roles))) &&
    (other.agreesWithEdge === undefined || one.agreesWithEdge === other.agreesWithEdge)
  )
}
