import type { MaybePromise } from '../contract/credential.ts'

/** One count of failures, in which an attempt takes a place before it is verified. */
export interface FailureCount {
  /** The counted thing, in at most 200 characters; never a secret. */
  readonly key: string
  /** Failures within a minute that lock it. The same for every attempt with this key. */
  readonly limit: number
  /** Left out for clients that succeeded before under the first key of the attempt: others must not lock them out. */
  readonly strangersOnly?: boolean | undefined
}

/** Whether an attempt may be made. */
export type FailureAttempt =
  | {
      /** The counts are locked: refuse without verifying. */
      readonly allowed: false
      /** Seconds. */
      readonly retryAfter: number
      /** Which of the counts keeps it out the longest, from 0, for the operator. */
      readonly count?: number | undefined
    }
  | {
      /** Verify, and report the result to `end`. */
      readonly allowed: true
      /** Whether an attempt with the first key succeeded before. Absent = no. */
      readonly known?: boolean | undefined
      /**
       * Must be called once. `succeeded` clears the first count, `void` says nothing about the credential; neither adds
       * to any count. No caller needs to wait for it: until it has arrived the attempt counts as a failure. If it never
       * arrives, the attempt lapses a minute after it began, as a failure does; an `end` after that changes nothing.
       */
      end(result: 'failed' | 'succeeded' | 'void'): MaybePromise<void>
    }

/**
 * Counts failures to prove what can be guessed: passwords and codes.
 *
 * A count in which as many attempts failed within a minute as its limit says is locked: a minute, then twice as long each time, at most an hour;
 * a day without a lock is forgotten. It is bounded, and rejects with `StoreUnavailable` when it cannot answer in time.
 */
export interface FailureStore {
  /**
   * Reserves an attempt in every count, or in none, in one atomic step: however many attempts are made at once,
   * wherever, no more than the limit are allowed.
   *
   * An attempt that has not ended takes a place in the count and locks nothing: where such attempts alone fill it, a
   * further one is told to come back in a second.
   *
   * @param dryRun - answers and changes nothing
   */
  begin(counts: readonly FailureCount[], dryRun?: boolean): MaybePromise<FailureAttempt>
}

/** The times that every implementation uses, in milliseconds. */
export const failureRules = {
  window: 60_000,
  firstLock: 60_000,
  longestLock: 3_600_000,
  /** Quiet for so long after its last lock, a count starts from the beginning. */
  forgetAfter: 86_400_000,
} as const
