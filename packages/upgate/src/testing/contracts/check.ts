import type { Store } from '../../core/ports/stores.ts'

/** Ends a test, which the test runner then shows as skipped. In a runner that cannot skip, it passes. */
export type Skip = (reason: string) => void

/** A check of one store, with a second connection to the same records. */
export type Check = (
  what: string,
  run: (store: Store, fixture: { connect(): Promise<Store> }, skip: Skip) => Promise<void>,
) => void

/** Reads the `skip` of the context that vitest and node:test pass to a test. */
export function skipOf(context: unknown): Skip {
  return (reason) => {
    // The context of vitest is a function with properties.
    const { skip } = Object(context) as { readonly skip?: unknown }
    if (typeof skip === 'function') skip.call(context, reason)
  }
}
