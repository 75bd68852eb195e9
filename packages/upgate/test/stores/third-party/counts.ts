// Shared counts of failed attempts in memory, written with `upgate/store` alone.
import {
  type Clock,
  type FailureAttempt,
  type FailureCount,
  type FailureStore,
  failureRules,
} from 'upgate/store'

interface Count {
  /** Attempts of the window that failed or have not ended, by the time at which they began. */
  attempts: { readonly at: number; failed: boolean }[]
  /** Milliseconds of the newest lock; 0: never locked, or forgotten. */
  lock: number
  lockedUntil: number
}

export function memoryCounts(clock: Clock): FailureStore {
  const counts = new Map<string, Count>()
  const succeeded = new Set<string>()

  const read = ({ key }: FailureCount): Count => {
    const now = clock.now()
    const { attempts, lock, lockedUntil } = counts.get(key) ?? { attempts: [], lock: 0, lockedUntil: 0 }
    const isForgotten = now - lockedUntil >= failureRules.forgetAfter
    return {
      attempts: attempts.filter(({ at }) => now - at < failureRules.window),
      lock: isForgotten ? 0 : lock,
      lockedUntil,
    }
  }

  return {
    begin(wanted, dryRun = false): FailureAttempt {
      const now = clock.now()
      const first = wanted[0]
      const known = first !== undefined && succeeded.has(first.key)
      const applying = wanted.filter(({ strangersOnly }) => strangersOnly !== true || !known)
      const waits = wanted.map((count) => {
        if (!applying.includes(count)) return 0
        const { attempts, lockedUntil } = read(count)
        if (lockedUntil > now) return lockedUntil - now
        // Attempts that have not ended lock nothing.
        return attempts.length < count.limit ? 0 : 1_000
      })
      const longest = Math.max(0, ...waits)
      if (longest > 0) {
        return { allowed: false, retryAfter: Math.ceil(longest / 1_000), count: waits.indexOf(longest) }
      }
      if (dryRun) return { allowed: true, known, end: () => {} }
      const attempt = { at: now, failed: false }
      for (const count of applying) {
        const state = read(count)
        state.attempts.push(attempt)
        counts.set(count.key, state)
      }
      let ended = false
      return {
        allowed: true,
        known,
        end(result) {
          if (ended) return
          ended = true
          attempt.failed = result === 'failed'
          for (const count of applying) {
            const state = read(count)
            counts.set(count.key, state)
            if (!attempt.failed) state.attempts = state.attempts.filter((each) => each !== attempt)
            else if (state.attempts.filter(({ failed }) => failed).length >= count.limit) {
              state.lock = Math.min(failureRules.longestLock, state.lock * 2 || failureRules.firstLock)
              state.lockedUntil = clock.now() + state.lock
            }
          }
          if (result === 'succeeded' && first !== undefined) {
            counts.delete(first.key)
            succeeded.add(first.key)
          }
        },
      }
    },
  }
}
