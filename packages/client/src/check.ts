/** A right value of an option, as a test and in words. */
export interface Check {
  readonly is: (value: unknown) => boolean
  /** After "must be": `a function`. */
  readonly expected: string
}

/**
 * Checks options: an object of named values, each known and, where it is given, right.
 *
 * @param where The function that takes them, for messages
 * @param within The option that holds them: `reconnect`
 * @throws TypeError that names the option and the remedy; values are not quoted, because they may be secrets
 */
export function checkAll(
  where: string,
  options: unknown,
  checks: Readonly<Record<string, Check>>,
  within?: string,
): void {
  const names = Object.keys(checks)
  const place = within === undefined ? '' : `${within}.`
  if (!isPlain(options)) {
    const what = within === undefined ? 'the options' : `\`${within}\``
    throw new TypeError(`${where}: ${what} must be an object. Known options: ${names.join(', ')}.`)
  }
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) {
      const meant = names.find((other) => isMisspelt(name, other))
      throw new TypeError(
        `${where}: unknown option \`${place}${name}\`. ${meant === undefined ? '' : `Did you mean \`${meant}\`? `}Known options: ${names.join(', ')}.`,
      )
    }
    if (value !== undefined && !check.is(value)) {
      throw new TypeError(`${where}: \`${place}${name}\` must be ${check.expected}.`)
    }
  }
}

function isMisspelt(name: string, other: string): boolean {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z]|s+$/g, '')
  return plain(name) === plain(other)
}

/** Whether something is an object of named values: no list, and no instance of a class. */
export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || isOtherRealm(prototype)
}

/** The `Object.prototype` of another realm, such as that of a test or a frame, has no prototype either. */
function isOtherRealm(prototype: unknown): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'hasOwnProperty')
}

/** Whether something can be called: a class only makes instances. */
export function isCallable(value: unknown): boolean {
  return typeof value === 'function' && !/^class\b/.test(Function.prototype.toString.call(value))
}

/** Whether an object has these methods. */
export function hasMethods(value: unknown, ...names: readonly string[]): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    names.every((name) => typeof (value as Readonly<Record<string, unknown>>)[name] === 'function')
  )
}

export const callable: Check = { is: isCallable, expected: 'a function' }
export const flag: Check = { is: (value) => typeof value === 'boolean', expected: 'true or false' }

/** Text that is not empty, and has a form. */
export function text(expected = 'text that is not empty', form: RegExp = /./s): Check {
  return { is: (value) => typeof value === 'string' && form.test(value), expected }
}

/** A list of texts. */
export function texts(expected: string, form: RegExp = /./s): Check {
  return { is: (value) => Array.isArray(value) && value.every(text(expected, form).is), expected }
}

/** A whole or broken number of milliseconds, up to the longest timer of the runtimes. */
export function milliseconds(least: number): Check {
  return {
    is: (value) => typeof value === 'number' && value >= least && value <= 2 ** 31 - 1,
    expected: `a number of milliseconds, at least ${least}`,
  }
}
