import { assertKnownOptions, nameOf } from '../core/options/check-options.ts'
import type { ServiceLimits } from './types.ts'

const minute = 60_000
const day = 86_400_000

/** Default, least and most of every limit. Times in milliseconds. */
const table: { readonly [L in keyof Required<ServiceLimits>]: readonly [number, number, number] } = {
  sessionIdle: [7 * day, minute, 365 * day],
  sessionAbsolute: [30 * day, minute, 3650 * day],
  sessionsPerAccount: [10, 1, 10_000],
  cacheEntries: [10_000, 2, 10_000_000],
  // Longest time that a missed revocation can stay without effect.
  cacheAge: [minute, 0, minute],
  lookupsInFlight: [256, 1, 100_000],
  lookupTimeout: [5000, 10, 60_000],
  logInterval: [1000, 0, 60_000],
  touchDelay: [5000, 0, 5 * minute],
  hashesInFlight: [2, 1, 64],
  hashQueue: [16, 0, 10_000],
  failureEntries: [10_000, 100, 10_000_000],
}

/** Fills in defaults. Throws a `TypeError` for a limit that is unknown or out of range. */
export function resolveLimits(limits: ServiceLimits = {}): Required<ServiceLimits> {
  const names = Object.keys(table) as (keyof ServiceLimits)[]
  assertKnownOptions('createServices({ limits })', limits, names)
  const resolved: Partial<Record<keyof ServiceLimits, number>> = {}
  for (const name of names) {
    const [standard, least, most] = table[name]
    const { [name]: value = standard } = limits
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new TypeError(
        `createServices: \`limits.${name}\` must be a whole number from ${least} to ${most}, not ${typeof value === 'number' ? value : nameOf(value)}`,
      )
    }
    resolved[name] = value
  }
  return resolved as Required<ServiceLimits>
}
