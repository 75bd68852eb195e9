import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { FailureAttempt, FailureCount, FailureStore } from '../../core/ports/failures.ts'
import type { Logger } from '../../core/ports/logger.ts'
import { createFailureTable } from './failures.ts'

/** Counts of failures as the services use them. Never rejects. */
export interface Failures {
  /** `undefined` = too many attempts are waiting for the shared counts already. */
  begin(counts: readonly FailureCount[], dryRun?: boolean): Promise<FailureAttempt | undefined>
}

/** Milliseconds between two warnings that the shared counts cannot be reached. */
const quiet = 60_000

/**
 * Counts in the shared store, if there is one, and in this process while the shared store cannot answer.
 *
 * Refusing all logins would turn an outage of the counts into an outage of the login; allowing all would make
 * the outage a time to guess passwords. So during an outage each instance applies the limits by itself.
 */
export function createFailures(options: {
  readonly shared: FailureStore | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly maxEntries: number
  /** Attempts that may wait for the shared store. */
  readonly waiting: number
}): Failures {
  const { shared, clock, logger, maxEntries, waiting } = options
  const own = createFailureTable({ clock, maxEntries })
  let asking = 0
  /** Whether the log says that this instance counts by itself, and the time of that entry. */
  let saidAlone = false
  let saidAt = Number.NEGATIVE_INFINITY

  function isAlone(error: unknown): void {
    // Shared counts that fail every other time must not fill the log.
    if (saidAlone || Math.abs(clock.now() - saidAt) < quiet) return
    saidAlone = true
    saidAt = clock.now()
    const message =
      'The shared counts of failed attempts cannot be reached: this instance counts by itself until they can.'
    logger.warn(message, { error: String(error) })
  }

  function isTogether(): void {
    if (!saidAlone) return
    saidAlone = false
    logger.warn('The counts of failed attempts are shared with other instances again.')
  }

  return {
    async begin(counts, dryRun) {
      if (shared === undefined) return own.begin(counts, dryRun)
      if (asking >= waiting) return undefined
      asking += 1
      try {
        const attempt = await shared.begin(counts, dryRun)
        isTogether()
        return attempt.allowed ? { ...attempt, end: (result) => end(attempt, result) } : attempt
      } catch (error) {
        isAlone(error)
        return own.begin(counts, dryRun)
      } finally {
        asking -= 1
      }

      function end(
        attempt: FailureAttempt & { allowed: true },
        result: Parameters<typeof attempt.end>[0],
      ): void {
        // Record the success here as well: this instance must recognise the client while the shared store is
        // away.
        if (result === 'succeeded' && dryRun !== true && counts[0] !== undefined) own.remember(counts[0].key)
        try {
          const ending = attempt.end(result)
          // If the result is lost, the attempt keeps counting as a failure: the safe side.
          if (isPromiseLike(ending)) ending.then(undefined, () => {})
        } catch {
          // As above.
        }
      }
    },
  }
}
