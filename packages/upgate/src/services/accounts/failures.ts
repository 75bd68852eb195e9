import type { Clock } from '../../core/ports/clock.ts'
import {
  type FailureAttempt,
  type FailureCount,
  type FailureStore,
  failureRules,
} from '../../core/ports/failures.ts'

/** Counts of failures that this process keeps. */
export interface FailureTable extends FailureStore {
  begin(counts: readonly FailureCount[], dryRun?: boolean): FailureAttempt
  /** Records that this key succeeded, here or on another instance. */
  remember(key: string): void
  readonly size: number
}

interface Entry {
  /** Attempts since `start` that failed or are not decided yet. */
  failures: number
  start: number
  lockedUntil: number
  /** Number of locks so far: each lock is twice as long as the one before. */
  locks: number
  /** `full`: the attempt that reached the limit is not decided yet, so the lock may be lifted soon. */
  state: 'counting' | 'full' | 'locked'
}

const { window, firstLock, longestLock, forgetAfter } = failureRules

/** Creates the table. It never holds more than `maxEntries` counts, and remembers as many successes. */
export function createFailureTable(options: {
  readonly clock: Clock
  readonly maxEntries: number
}): FailureTable {
  const { clock, maxEntries } = options
  // Both in order of use. Flooding the table must not unlock a key, so locked keys are evicted last.
  const counting = new Map<string, Entry>()
  const locked = new Map<string, Entry>()
  /** Keys that succeeded, the latest last. */
  const known = new Set<string>()

  function find(key: string, now: number): Entry | undefined {
    const entry = counting.get(key) ?? locked.get(key)
    if (entry === undefined) return undefined
    // If the clock is set back, no key may stay locked for longer than the longest lock.
    if (entry.lockedUntil > now + longestLock) entry.lockedUntil = now + longestLock
    if (entry.state !== 'counting' && entry.lockedUntil > now) return entry
    if (now - entry.lockedUntil > forgetAfter) entry.locks = 0
    if (entry.state !== 'counting' || now - entry.start >= window || now < entry.start) {
      entry.state = 'counting'
      entry.failures = 0
      entry.start = now
    }
    return entry
  }

  function put(key: string, entry: Entry): void {
    forget(key)
    ;(entry.locks > 0 ? locked : counting).set(key, entry)
  }

  function evictFor(reserved: readonly FailureCount[]): void {
    // Flooding the table with locks must not stop the counting either: a quarter of the table is kept for
    // keys that are not locked.
    const inOrder = locked.size > maxEntries * 0.75 ? [locked, counting] : [counting, locked]
    for (const table of inOrder) {
      for (const key of table.keys()) {
        if (counting.size + locked.size <= maxEntries) return
        if (!reserved.some((count) => count.key === key)) table.delete(key)
      }
    }
  }

  function reserve({ key, limit }: FailureCount, now: number): Entry {
    const entry = find(key, now) ?? { failures: 0, start: now, lockedUntil: 0, locks: 0, state: 'counting' }
    entry.failures += 1
    if (entry.failures >= limit) {
      entry.state = 'full'
      entry.lockedUntil = now + Math.min(firstLock * 2 ** entry.locks, longestLock)
      entry.locks += 1
    }
    put(key, entry)
    return entry
  }

  /** Takes a reservation back, and the lock that it caused. */
  function release(key: string, entry: Entry): void {
    entry.failures -= 1
    if (entry.state !== 'counting') {
      entry.state = 'counting'
      entry.locks -= 1
      entry.lockedUntil = clock.now()
    }
    if (entry.failures <= 0 && entry.locks === 0) forget(key)
    else put(key, entry)
  }

  function forget(key: string): void {
    counting.delete(key)
    locked.delete(key)
  }

  function remember(key: string): void {
    known.delete(key)
    known.add(key)
    if (known.size <= maxEntries) return
    for (const oldest of known) {
      known.delete(oldest)
      return
    }
  }

  return {
    begin(all, dryRun = false) {
      const now = clock.now()
      const first = all[0]?.key ?? ''
      const isKnown = known.has(first)
      const counts = isKnown ? all.filter(({ strangersOnly }) => !strangersOnly) : all
      let wait = 0
      let longest: FailureCount | undefined
      for (const count of counts) {
        const entry = find(count.key, now)
        if (entry === undefined || entry.state === 'counting') continue
        const left = entry.lockedUntil - now
        const own = entry.state === 'full' ? Math.min(left, 1000) : left
        if (own <= wait) continue
        wait = own
        longest = count
      }
      if (longest !== undefined) {
        return { allowed: false, retryAfter: Math.ceil(wait / 1000), count: all.indexOf(longest) }
      }
      if (dryRun) return { allowed: true, known: isKnown, end: () => {} }
      const reserved = counts.map((count) => {
        const entry = reserve(count, now)
        return { key: count.key, entry, start: entry.start, full: entry.state === 'full' }
      })
      evictFor(counts)
      let ended = false
      return {
        allowed: true,
        known: isKnown,
        end(result) {
          if (ended) return
          ended = true
          for (const { key, entry, start, full } of reserved) {
            // The entry was evicted, cleared or restarted since: it no longer holds the reservation.
            if ((counting.get(key) ?? locked.get(key)) !== entry || entry.start !== start) continue
            if (result !== 'failed') release(key, entry)
            else if (full && entry.state === 'full') entry.state = 'locked'
          }
          if (result !== 'succeeded') return
          // Clear only the first count: one successful login must not excuse guesses at other accounts.
          forget(first)
          remember(first)
        },
      }
    },
    remember,
    get size() {
      return counting.size + locked.size
    },
  }
}
