import type { Clock } from '../ports/clock.ts'
import type { Logger } from '../ports/logger.ts'
import type { RevocationFeed } from '../ports/revocations.ts'
import { checkMethods, isCallable, isPlain, nameOf, wrongOption } from './check-options.ts'
import type { NestedKind, OptionKind, OptionTable, Presence } from './option-table.ts'

/** How a kind of option recognises its values. */
interface Form {
  readonly isOne: (value: unknown) => boolean
  /** Whether a wrong value is at least of the right type: a message does not name its type then. */
  readonly isAlmost?: (value: unknown) => boolean
  /** Whether it takes numbers: a message shows a wrong one. Anywhere else, a number may be a misplaced secret. */
  readonly isNumber?: boolean
  /** A sentence after the message. */
  readonly remedy?: string | undefined
}

/** Makes a kind of option. */
function kind<V, P extends Presence>(
  expected: string,
  form: Form,
  presence: P,
  standard?: V,
): OptionKind<V, P> {
  return {
    expected,
    presence,
    standard,
    read(where, option, value) {
      if (form.isOne(value)) return value as V
      const remedy = form.remedy === undefined ? '' : ` ${form.remedy}`
      if (form.isAlmost?.(value) === true)
        throw new TypeError(`${where}: \`${option}\` must be ${expected}.${remedy}`)
      const given = form.isNumber === true && typeof value === 'number' ? String(value) : nameOf(value)
      throw new TypeError(`${where}: \`${option}\` must be ${expected}, not ${given}.${remedy}`)
    },
  }
}

/** An option that may be absent and has no default. */
export function optional<V>(required: OptionKind<V>): OptionKind<V, 'optional'> {
  return { ...required, presence: 'optional', standard: undefined }
}

/** An option with a default. */
export function withDefault<V>(required: OptionKind<V>, standard: V): OptionKind<V, 'default'> {
  return { ...required, presence: 'default', standard }
}

/** A whole number of milliseconds, with default, least and most. */
export function milliseconds(standard: number, least: number, most: number): OptionKind<number, 'default'> {
  return whole('a whole number of milliseconds', standard, least, most)
}

/** A whole number of things, with default, least and most. Default for the most: no limit. */
export function count(
  standard: number,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): OptionKind<number, 'default'> {
  return whole('a whole number', standard, least, most)
}

/** A whole number of bytes, with default, least and most. Default for the most: no limit. */
export function bytes(
  standard: number,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): OptionKind<number, 'default'> {
  return whole('a whole number of bytes', standard, least, most)
}

function whole(noun: string, standard: number, least: number, most: number): OptionKind<number, 'default'> {
  const isOne = (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
  return kind(`${noun}${range(least, most)}`, { isOne, isNumber: true }, 'default', standard)
}

/** A number of seconds, fractions included, with default, least and most. */
export function seconds(standard: number, least: number, most: number): OptionKind<number, 'default'> {
  return kind(
    `a number of seconds${range(least, most)}`,
    { isOne: isBetween(least, most), isNumber: true },
    'default',
    standard,
  )
}

/** A share of something: a number from 0 to 1. */
export function share(standard: number): OptionKind<number, 'default'> {
  return kind('a number from 0 to 1', { isOne: isBetween(0, 1), isNumber: true }, 'default', standard)
}

function isBetween(least: number, most: number): (value: unknown) => boolean {
  return (value) => typeof value === 'number' && value >= least && value <= most
}

function range(least: number, most: number): string {
  const from = ` from ${grouped(least)}`
  return most === Number.MAX_SAFE_INTEGER ? from : `${from} to ${grouped(most)}`
}

/** A number as people read it: 60,000. */
function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, value < 1_000 ? '' : ',')
}

/** True or false. `'false'` and 0 are the usual mistakes. */
export function flag(standard: boolean): OptionKind<boolean, 'default'> {
  return kind('true or false', { isOne: (value) => typeof value === 'boolean' }, 'default', standard)
}

/**
 * A text with something in it.
 *
 * @param form - what a text must match. Default: anything
 * @param remedy - a sentence after the message. Default: none
 * @param expected - for messages, after "must be": `the name of a header, such as x-api-key`
 */
export function text(
  expected = 'a non-empty string',
  form: RegExp = /^/,
  remedy?: string,
): OptionKind<string, 'required'> {
  const isOne = (value: unknown): boolean => isText(value) && form.test(value as string)
  return kind(expected, { isOne, isAlmost: isText, remedy }, 'required')
}

/** One of some texts. */
export function oneOf<const V extends string>(...values: readonly V[]): OptionKind<V, 'required'> {
  const names = values.map((value) => `'${value}'`)
  const expected = `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
  const isOne = (value: unknown): boolean => (values as readonly unknown[]).includes(value)
  return kind(expected, { isOne, isAlmost: (value) => typeof value === 'string' }, 'required')
}

/**
 * A function.
 *
 * @param expected - for messages, after "must be": `a function that finds the credential in a message`
 */
export function fn<F extends (...args: never) => unknown>(
  expected = 'a function',
): OptionKind<F, 'required'> {
  return kind(expected, { isOne: isCallable }, 'required')
}

/**
 * A list.
 *
 * @param expected - for messages, after "must be": `a list of paths, such as ['/ws']`
 * @param isOne - what an entry must be
 * @param least - entries at least. Default: 1
 */
export function list<V>(
  expected: string,
  isOne: (entry: unknown) => boolean,
  least = 1,
): OptionKind<readonly V[], 'required'> {
  const isList = (value: unknown): boolean =>
    // `every` alone would skip holes.
    Array.isArray(value) && value.length >= least && [...value].every(isOne)
  return kind(expected, { isOne: isList, isAlmost: Array.isArray }, 'required')
}

/**
 * A value that a test recognises, for everything that no other kind is for.
 *
 * @param expected - for messages, after "must be"
 * @param isAlmost - whether a wrong value is at least of the right type. Default: none is
 */
export function value<V>(
  expected: string,
  isOne: (value: unknown) => boolean,
  isAlmost: (value: unknown) => boolean = () => false,
): OptionKind<V, 'required'> {
  return kind(expected, { isOne, isAlmost }, 'required')
}

/** For {@link value}: whether something is a text at all. */
export function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

/** A value that is checked elsewhere, together with others. */
export function unchecked<V>(): OptionKind<V, 'optional'> {
  return kind('', { isOne: () => true }, 'optional')
}

/**
 * An object with certain methods: a service, a store, a port.
 *
 * @param expected - for messages: `services.keys`
 */
export function methods<V extends object>(
  names: readonly (keyof NoInfer<V> & string)[],
  expected: string,
): OptionKind<V, 'required'> {
  return {
    expected,
    presence: 'required',
    standard: undefined,
    read(where, option, given) {
      checkMethods(where, option, given, names, expected)
      return given as V
    },
  }
}

/** A clock. */
export function clock(): OptionKind<Clock, 'required'> {
  return methods(['now', 'setTimer'], 'a clock, with the methods `now` and `setTimer`')
}

/** A logger. */
export function logger(): OptionKind<Logger, 'required'> {
  return methods(['warn', 'error'], 'a logger, with the methods `warn` and `error`')
}

/** The revocations that end principals of a scheme. */
export function revocationFeed(): OptionKind<RevocationFeed, 'required'> {
  return methods(['subscribe'], '`services.revocations`')
}

/** Options within an option, each with its default: none at all is as good as empty ones. */
export function nested<T extends object, F>(
  table: OptionTable<T, F>,
  example?: string,
): NestedKind<T, F, 'default'> {
  return nestedKind(table, 'default', example)
}

/** Options within an option that may be absent. */
export function optionalNested<T extends object, F>(
  table: OptionTable<T, F>,
  example?: string,
): NestedKind<T, F, 'optional'> {
  return nestedKind(table, 'optional', example)
}

function nestedKind<T extends object, F, P extends Presence>(
  table: OptionTable<T, F>,
  presence: P,
  example?: string,
): NestedKind<T, F, P> {
  const expected =
    example === undefined
      ? `an object of options: ${table.names.join(', ')}`
      : `an object, such as ${example}`
  const read = (where: string, option: string, given: unknown): T => {
    if (!isPlain(given)) throw wrongOption(where, option, expected, given)
    return table.read(where, given as T, option) as unknown as T
  }
  return { expected, presence, standard: undefined, read, table }
}
