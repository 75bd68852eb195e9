import type { MaybePromise } from '../contract/credential.ts'

/** Whether a value must be awaited. */
export function isPromiseLike<T>(value: MaybePromise<T>): value is PromiseLike<T> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}

/** Calls `next` with a value at once, or with a promise's value later. */
export function andThen<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return isPromiseLike(value) ? value.then(next) : next(value)
}

/**
 * Returns the answer of a function that must be synchronous.
 *
 * @throws TypeError for a promise, whose rejection would otherwise end the process
 */
export function atOnce<T>(what: string, value: T): T {
  if (!isPromiseLike<unknown>(value)) return value
  Promise.resolve(value).catch(() => {})
  throw new TypeError(`\`${what}\` answered with a promise; it must answer at once`)
}
