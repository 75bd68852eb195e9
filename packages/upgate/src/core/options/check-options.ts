/**
 * Throws a `TypeError` where options are no object of named values, or for the first name that is none, with the names
 * that exist and the one that was probably meant.
 */
export function assertKnownOptions(where: string, options: unknown, known: readonly string[]): void {
  if (!isPlain(options)) {
    throw new TypeError(
      `${where}: the options must be an object, not ${nameOf(options)}. Known options: ${known.join(', ')}.`,
    )
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const meant = known.find((other) => isMisspelt(name, other))
    throw new TypeError(
      `${where}: unknown option \`${name}\`. ${meant === undefined ? '' : `Did you mean \`${meant}\`? `}Known options: ${known.join(', ')}.`,
    )
  }
}

/** Whether something is an object of named values: no list, no promise, no map or other instance of a built-in. */
export function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || isPromise(value)) return false
  return !(value instanceof Map || value instanceof Set || value instanceof RegExp || value instanceof Date)
}

/** Makes the error for an option's wrong value. It names the option and never the value, which may be a secret. */
export function wrongOption(where: string, option: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${where}: \`${option}\` must be ${expected}, not ${nameOf(value)}.`)
}

/** Makes the error for a wrong entry of a list: `origins` has "x"; write ... */
export function wrongEntry(where: string, option: string, entry: unknown, remedy: string): TypeError {
  const shown = typeof entry === 'string' ? JSON.stringify(entry) : nameOf(entry)
  return new TypeError(`${where}: \`${option}\` has ${shown}; ${remedy}.`)
}

/** Makes the error for a function of the application that returned a wrong value. */
export function wrongReturn(where: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${where} must return ${expected}, not ${nameOf(value)}.`)
}

/** Makes the error for a wrong argument: `fromRequest: the first argument must be a function, not a string.` */
export function wrongArgument(where: string, which: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${where}: the ${which} argument must be ${expected}, not ${nameOf(value)}.`)
}

/** Whether something can be called: a class only makes instances. */
export function isCallable(value: unknown): boolean {
  return typeof value === 'function' && !isClass(value)
}

function isClass(value: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(value))
}

/** Throws for a value without one of the methods; `expected` names the right value, as in `services.keys`. */
export function checkMethods(
  where: string,
  option: string,
  value: unknown,
  methods: readonly string[],
  expected: string,
): void {
  if (value === undefined) throw new TypeError(`${where}: \`${option}\` is missing; give it ${expected}.`)
  const given = value as Record<string, unknown> | null
  const missing = methods.find((method) => typeof given?.[method] !== 'function')
  if (missing === undefined) return
  const what = nameOf(value)
  throw new TypeError(
    `${where}: \`${option}\` must be ${expected}, not ${what}${what.startsWith('an object') ? ` without \`${missing}\`` : ''}.`,
  )
}

/** For messages: which kind of value stands where another was expected; never the value, which may be a secret. */
export function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'a list'
  if (isPromise(value)) return 'a promise (await it first)'
  if (typeof value === 'function' && isClass(value))
    return value.name === '' ? 'a class' : `the class ${value.name.slice(0, 64)} (make one first)`
  if (typeof value === 'function')
    return value.name === '' ? 'a function' : `the function ${value.name.slice(0, 64)} (call it first)`
  if (value === '') return 'an empty string'
  if (typeof value !== 'object') return `a ${typeof value}`
  const made = (value as { constructor?: unknown }).constructor
  const name = typeof made === 'function' ? made.name.slice(0, 64) : ''
  return name === '' || name === 'Object' ? 'an object' : `a ${name}`
}

/** Whether something is a promise where a value was expected; that it rejects later must not end the process. */
export function isLate(value: unknown): boolean {
  if (!isPromise(value)) return false
  ;(value as PromiseLike<unknown>).then(undefined, () => {})
  return true
}

function isPromise(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

/** Whether a name is another one in other letters, with one missing, one too many or one in place of another. */
function isMisspelt(name: string, known: string): boolean {
  const [a, b] = [name.toLowerCase(), known.toLowerCase()]
  if (a === b) return true
  if (Math.abs(a.length - b.length) > 1 || b.length < 4) return false
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  const rest = (skipA: number, skipB: number): boolean => a.slice(at + skipA) === b.slice(at + skipB)
  return rest(1, 1) || rest(1, 0) || rest(0, 1) || (a[at] === b[at + 1] && a[at + 1] === b[at] && rest(2, 2))
}
