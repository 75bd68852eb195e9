import { count, milliseconds } from '../core/options/option-kinds.ts'
import { type OptionTable, optionTable } from '../core/options/option-table.ts'
import type { ServiceLimits } from './types.ts'

const second = 1_000
const minute = 60 * second
const day = 1_440 * minute

/** Default, least and most of every limit. */
export const serviceLimits: OptionTable<
  ServiceLimits,
  Required<ServiceLimits>
> = optionTable<ServiceLimits>()({
  sessionIdle: milliseconds(7 * day, minute, 365 * day),
  sessionAbsolute: milliseconds(30 * day, minute, 3_650 * day),
  sessionsPerAccount: count(10, 1, 10_000),
  cacheEntries: count(10_000, 2, 10_000_000),
  // Longest time that a missed revocation can stay without effect.
  cacheAge: milliseconds(minute, 0, minute),
  lookupsInFlight: count(256, 1, 100_000),
  lookupTimeout: milliseconds(5 * second, 10, minute),
  logInterval: milliseconds(second, 0, minute),
  touchDelay: milliseconds(5 * second, 0, 5 * minute),
  hashesInFlight: count(2, 1, 64),
  hashQueue: count(16, 0, 10_000),
  failureEntries: count(10_000, 100, 10_000_000),
})
