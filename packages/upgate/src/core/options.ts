/**
 * Throws a `TypeError` where options are no object of named values, or for the first name that is none, with the names
 * that exist.
 */
export function assertKnownOptions(where: string, options: unknown, known: readonly string[]): void {
  const plain = typeof options === 'object' && options !== null && !Array.isArray(options)
  if (!plain || isPromise(options)) {
    throw new TypeError(
      `${where}: the options must be an object, not ${nameOf(options)}. Known options: ${known.join(', ')}.`,
    )
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`${where}: unknown option \`${name}\`. Known options: ${known.join(', ')}.`)
    }
  }
}

/**
 * The same for functions that need some of their options: none at all are as good as empty ones, so that the message is
 * about the first option that is missing.
 */
export function readOptions<T extends object>(where: string, options: T, known: readonly string[]): T {
  if (options === undefined) return {} as T
  assertKnownOptions(where, options, known)
  return options
}

/** For messages: which kind of value stands where another was expected; never the value, which may be a secret. */
export function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'a list'
  if (isPromise(value)) return 'a promise (await it first)'
  if (typeof value === 'function')
    return value.name === '' ? 'a function' : `the function ${value.name.slice(0, 64)} (call it first)`
  if (typeof value !== 'object') return `a ${typeof value}`
  const made = (value as { constructor?: unknown }).constructor
  const name = typeof made === 'function' ? made.name.slice(0, 64) : ''
  return name === '' || name === 'Object' ? 'an object' : `a ${name}`
}

function isPromise(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
