import type { Clock, Timer } from '../../core/ports/clock.ts'

/** Milliseconds without a word after which an instance is cut off. */
export const silence = 5000
/** Milliseconds after the last reading of the log at which it is tried once more, and at which waiting ends. */
const lastCall = 50_000
const bound = 55_000

/** Whether this process knows what was revoked: lately heard of, not heard of, or not for a minute. */
export type FreshnessState = 'current' | 'cut_off' | 'lost'

export interface Freshness {
  readonly state: FreshnessState
  /** Somebody on the bus, or we ourselves through it, said something. */
  heard(): void
  /** The log was read to its end. */
  read(): void
  stop(): void
}

/**
 * Watches how old the knowledge of the log is.
 *
 * Measured by timers and not by the time of day, which may jump. The bound is 55 s from the end of a reading, which
 * itself took up to 5 s: together the minute within which a revocation takes effect.
 */
export function createFreshness(options: {
  readonly clock: Clock
  /** Reads the log, and calls `read` when that worked. Never rejects. */
  revalidate(): Promise<void>
  onCutOff(): void
  /** Waiting has ended: nothing is known of who still counts. */
  onLost(): void
  onBack(): void
}): Freshness {
  const { clock, revalidate, onCutOff, onLost, onBack } = options
  let state: FreshnessState = 'current'
  let silent: Timer | undefined
  let old: Timer | undefined
  let readings = 0
  let stopped = false

  function heard(): void {
    if (stopped || state === 'lost') return
    silent?.cancel()
    silent = clock.setTimer(silence, () => {
      silent = undefined
      const before = readings
      void revalidate().then(() => {
        if (stopped || readings !== before || silent !== undefined || state !== 'current') return
        state = 'cut_off'
        onCutOff()
      })
    })
    if (state === 'cut_off') {
      state = 'current'
      onBack()
    }
  }

  function read(): void {
    if (stopped) return
    readings++
    old?.cancel()
    old = clock.setTimer(lastCall, () => {
      const before = readings
      void revalidate()
      old = clock.setTimer(bound - lastCall, () => {
        old = undefined
        // A process that was stopped finds all its timers due at once: what has arrived meanwhile comes first.
        setImmediate(() => {
          if (stopped || readings !== before) return
          state = 'lost'
          onLost()
        })
      })
    })
    const wasLost = state === 'lost'
    if (wasLost) state = 'current'
    heard()
    if (wasLost) onBack()
  }

  return {
    get state() {
      return state
    },
    heard,
    read,
    stop() {
      stopped = true
      silent?.cancel()
      old?.cancel()
    },
  }
}
