/**
 * For tests: a clock that stands still, principals without an account, and a check that a server is guarded.
 *
 * @example
 * import { asPrincipal, assertGuarded, manualClock } from 'upgate/testing'
 *
 * const clock = manualClock()
 * const alice = asPrincipal({ id: 'alice', scopes: ['operator.admin'] })
 * const gate = createGate({ clock, schemes: [alice.scheme, ...schemes], rules })
 * assertGuarded(server, { open: ['/health'] })
 *
 * @module
 */
export { asPrincipal, type TestPrincipal } from './testing/as-principal.ts'
export { type AssertGuardedOptions, assertGuarded } from './testing/assert-guarded.ts'
export { type ManualClock, manualClock } from './testing/manual-clock.ts'
