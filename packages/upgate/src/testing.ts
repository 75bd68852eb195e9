export { type StoreFixture, storeContract, type TestFunction } from './stores/contract.ts'
export { type ManualClock, manualClock } from './testing/manual-clock.ts'
