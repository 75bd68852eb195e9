import { assertKnownOptions } from './check-options.ts'

/** How an option is given: it must be there, it has a default, or it may be absent. */
export type Presence = 'required' | 'default' | 'optional'

/** Describes one option: its values, its unit and range in words, and its default. */
export interface OptionKind<V, P extends Presence = Presence> {
  /** For messages, after "must be": `a whole number of milliseconds from 10 to 60,000`. */
  readonly expected: string
  readonly presence: P
  /**
   * Value of an option that is not given. A default of `undefined` means: whatever {@link read} makes of no
   * options.
   */
  readonly standard: V | undefined
  /** Returns a given value, with nested defaults filled in. Throws a `TypeError` for a wrong one. */
  read(where: string, option: string, value: unknown): V
}

/** An option that holds further options; their table says what they are after reading. */
export interface NestedKind<T extends object, F, P extends Presence = Presence> extends OptionKind<T, P> {
  readonly table: OptionTable<T, F>
}

/** The options of one function, described once: their names, ranges and defaults. */
export interface OptionTable<T extends object, F> {
  readonly names: readonly (keyof T & string)[]
  /** The descriptions, for a table that takes these options as well. */
  readonly kinds: KindsOf<T, F>
  /**
   * Checks options and fills in the defaults.
   *
   * @param where - the function that takes them, for messages
   * @param options - never changed; none at all counts as empty options
   * @param within - the option that holds them, for messages: `limits`
   * @throws TypeError for an unknown, missing or wrong option; it names the option and the remedy, never a value that
   * may be a secret
   */
  read(where: string, options: Possibly<T> | undefined, within?: string): F
}

/** Options in which `undefined` stands for an option that is not given. */
type Possibly<T> = { readonly [N in keyof T]: T[N] | undefined }
type KeysOf<T> = T extends unknown ? keyof T & string : never
type ValueOf<T, N extends string> = T extends unknown ? (N extends keyof T ? T[N] : never) : never
type Given<T, N extends string> = Exclude<ValueOf<T, N>, undefined>

/** A description for each option of a type. */
export type OptionKinds<T> = { readonly [N in KeysOf<T>]: OptionKind<Given<T, N>> }

/** A description for each option of a type, checked against the type of the options after reading. */
type KindsOf<T, F> = {
  readonly [N in KeysOf<T>]: OptionKind<
    Given<T, N>,
    N extends keyof F ? (undefined extends F[N] ? 'optional' : 'default' | 'required') : Presence
  >
}

/** Unlike anything where a description belongs to no option of the type. */
type NoOthers<T, K> = { readonly [N in Exclude<keyof K, KeysOf<T>>]: never }

/** The options after reading: all there, apart from those without a default. */
export type Filled<T, K> = {
  readonly [N in KeysOf<T>]: N extends keyof K ? FilledOne<Given<T, N>, K[N]> : never
}
type FilledOne<V, K> =
  | (K extends { readonly table: { read(where: string, options: never): infer F } } ? F : V)
  // Also where it is not known how the option is given.
  | (K extends { readonly presence: infer P } ? ('optional' extends P ? undefined : never) : never)

/**
 * Describes the options of a type, so that the list cannot differ from the type: an option without a description, a
 * description without an option, or one of another type does not compile.
 *
 * @example
 * const table = optionTable<TicketOptions>()({
 *   lifetime: milliseconds(30_000, 1_000, 120_000),
 *   perPrincipal: count(8, 1, 1_000),
 * })
 * const { lifetime, perPrincipal } = table.read('createServices', options, 'tickets')
 */
export function optionTable<T extends object>(): <const K extends OptionKinds<T>>(
  kinds: K & NoOthers<T, K>,
) => OptionTable<T, Filled<T, K>> {
  return <K extends OptionKinds<T>>(kinds: K) => {
    const entries = Object.entries<OptionKind<unknown>>(kinds)
    const names = entries.map(([name]) => name)
    // The values of options that are not given are copied: thousands of rules are read, with few options each.
    const standards = Object.fromEntries(entries.map(([name, kind]) => [name, kind.standard]))
    const steps = entries.map(([name, kind]) => {
      const { presence, standard } = kind
      const settled = presence === 'optional' || (presence === 'default' && standard !== undefined)
      return { name, kind, settled }
    })
    return {
      names: names as (keyof T & string)[],
      kinds: kinds as never,
      read(where, options, within) {
        const given = (options ?? (options === null ? null : {})) as Record<string, unknown>
        assertKnownOptions(within === undefined ? where : `${where}: \`${within}\``, given, names)
        const filled: Record<string, unknown> = { ...standards }
        for (const { name, kind, settled } of steps) {
          const value = given[name]
          if (value === undefined && settled) continue
          const option = within === undefined ? name : `${within}.${name}`
          if (value !== undefined) filled[name] = kind.read(where, option, value)
          else if (kind.presence === 'default') filled[name] = kind.read(where, option, {})
          else throw new TypeError(`${where}: \`${option}\` is missing; give it ${kind.expected}.`)
        }
        return filled as never
      },
    }
  }
}
