/**
 * For authors of stores and buses: the ports, their records, and the suites that every implementation passes.
 *
 * @example
 * import { test } from 'node:test'
 * import { storeContract } from 'upgate/store'
 *
 * storeContract('my store', async () => {
 *   const store = await openMyStore()
 *   return { connect: async () => store, dispose: () => store.close() }
 * }, test)
 *
 * @module
 */

// The store, port by port.

export type { AcquaintanceRecord, AcquaintanceStore } from './core/ports/acquaintances.ts'
// The bus.

export { busMessage, type RevocationBus, sequenceIn } from './core/ports/bus.ts'
// Types that both use.

export type { Clock, Timer } from './core/ports/clock.ts'
export type { FailureAttempt, FailureCount, FailureStore } from './core/ports/failures.ts'
export { failureRules } from './core/ports/failures.ts'
export type { Logger } from './core/ports/logger.ts'
export type { Page, PageRequest } from './core/ports/pages.ts'
export type {
  InvitationRecord,
  PairingAnswer,
  PairingGrant,
  PairingIntroduction,
  PairingLimit,
  PairingRecord,
  PairingState,
  PairingStore,
  PairingTerms,
  PairingUpgrade,
} from './core/ports/pairings.ts'
export type { Revocation, RevocationReason, RevocationSelector } from './core/ports/revocations.ts'
export {
  type AccountRecord,
  type AccountStore,
  isStoreUnavailable,
  type RememberingStore,
  type RevocationDraft,
  type RevocationLog,
  type SecretStore,
  type SessionDigests,
  type SessionRecord,
  type SessionStore,
  type SessionsWithAccounts,
  type SessionWithAccount,
  type Store,
  type StoreErrorCode,
  StoreUnavailable,
  type TokenStore,
  type Touch,
} from './core/ports/stores.ts'
export type { TicketRecord, TicketStore } from './core/ports/tickets.ts'
export type { TokenRecord } from './core/ports/token-record.ts'
export type { FailurePart, SessionPart, StoreParts, TicketPart } from './stores/compose.ts'

// The suites.

export { type FailureFixture, failureContract } from './testing/contracts/failure-contract.ts'
export { type StoreFixture, storeContract, type TestFunction } from './testing/contracts/store-contract.ts'
export type { ManualClock } from './testing/manual-clock.ts'
