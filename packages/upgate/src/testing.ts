/**
 * For tests: a clock that stands still, principals, and a look at which paths are guarded.
 *
 * @module
 */
export { asPrincipal, type TestPrincipal } from './testing/as-principal.ts'
export { type AssertGuardedOptions, assertGuarded } from './testing/assert-guarded.ts'
export { type ManualClock, manualClock } from './testing/manual-clock.ts'
