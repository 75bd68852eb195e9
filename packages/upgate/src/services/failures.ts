import type { Clock } from '../core/ports/clock.ts'

/** How many failures one count may reach, and what it is called. */
export interface FailureCount {
  readonly key: string
  /** Failures within a minute that lock it. */
  readonly limit: number
}

/** Whether an attempt may be made. */
export type Attempt =
  | { readonly allowed: false /** Seconds. */; readonly retryAfter: number }
  | {
      readonly allowed: true
      /** Must be called once; `void` = it said nothing about who it was. */
      end(result: 'failed' | 'succeeded' | 'void'): void
    }

/** Counts failures to prove something that can be guessed. */
export interface FailureTable {
  /** Reserves an attempt in every count, so that attempts in parallel cannot exceed a limit together. */
  begin(counts: readonly FailureCount[], dryRun?: boolean): Attempt
  readonly size: number
}

interface Entry {
  failures: number
  windowStart: number
  lockedUntil: number
  /** How often it was locked: each lock is twice as long as the one before. */
  locks: number
  inFlight: number
}

const window = 60_000
const firstLock = 60_000
const longestLock = 3_600_000
/** Quiet for so long after its last lock, a count starts from the beginning. */
const forgetAfter = 86_400_000
/** Entries looked at for one that is not locked, when the table is full. */
const evictionScan = 64

/** Creates the table; it never holds more than `maxEntries`. */
export function createFailureTable(options: {
  readonly clock: Clock
  readonly maxEntries: number
}): FailureTable {
  const { clock, maxEntries } = options
  const entries = new Map<string, Entry>()

  function evict(): void {
    let victim: string | undefined
    let looked = 0
    const now = clock.now()
    for (const [key, entry] of entries) {
      if (entry.inFlight > 0) continue
      victim ??= key
      // Filling the table must not be a way to be unlocked, as far as that can be had with bounded work.
      if (entry.lockedUntil <= now) {
        victim = key
        break
      }
      if (++looked >= evictionScan) break
    }
    if (victim !== undefined) entries.delete(victim)
  }

  function entryOf(key: string, now: number): Entry {
    let entry = entries.get(key)
    if (entry === undefined) {
      if (entries.size >= maxEntries) evict()
      entry = { failures: 0, windowStart: now, lockedUntil: 0, locks: 0, inFlight: 0 }
      entries.set(key, entry)
    }
    // A clock set back must not lock anybody for longer than the longest lock.
    if (entry.lockedUntil > now + longestLock) entry.lockedUntil = now + longestLock
    if (now - entry.windowStart >= window || now < entry.windowStart) {
      entry.failures = 0
      entry.windowStart = now
    }
    if (now - entry.lockedUntil > forgetAfter) entry.locks = 0
    return entry
  }

  function count(key: string, limit: number): void {
    const now = clock.now()
    const entry = entryOf(key, now)
    entry.failures += 1
    if (entry.failures < limit) return
    entry.lockedUntil = now + Math.min(firstLock * 2 ** entry.locks, longestLock)
    entry.locks += 1
    entry.failures = 0
  }

  return {
    begin(counts, dryRun = false) {
      const now = clock.now()
      let retryAfter = 0
      for (const { key, limit } of counts) {
        const entry = entries.has(key) ? entryOf(key, now) : undefined
        if (entry === undefined) continue
        if (entry.lockedUntil > now) {
          retryAfter = Math.max(retryAfter, Math.ceil((entry.lockedUntil - now) / 1000))
        } else if (entry.failures + entry.inFlight >= limit) {
          retryAfter = Math.max(retryAfter, 1)
        }
      }
      if (retryAfter > 0) return { allowed: false, retryAfter }
      if (dryRun) return { allowed: true, end: () => {} }
      const reserved = counts.map(({ key }) => entryOf(key, now))
      for (const entry of reserved) entry.inFlight += 1
      let ended = false
      return {
        allowed: true,
        end(result) {
          if (ended) return
          ended = true
          for (const entry of reserved) entry.inFlight -= 1
          if (result === 'failed') for (const { key, limit } of counts) count(key, limit)
          // Only the first count, account and address, is cleared: one good login must not pay for guesses
          // at other accounts.
          else if (result === 'succeeded' && counts[0] !== undefined) entries.delete(counts[0].key)
          else tidy(counts)
        },
      }
    },
    get size() {
      return entries.size
    },
  }

  function tidy(counts: readonly FailureCount[]): void {
    for (const { key } of counts) {
      const entry = entries.get(key)
      if (entry?.failures === 0 && entry.locks === 0 && entry.inFlight === 0) entries.delete(key)
    }
  }
}
