export { type StoreFixture, storeContract, type TestFunction } from './stores/contract.ts'
export { asPrincipal, type TestPrincipal } from './testing/as-principal.ts'
export { assertGuarded } from './testing/assert-guarded.ts'
export { type ManualClock, manualClock } from './testing/manual-clock.ts'
