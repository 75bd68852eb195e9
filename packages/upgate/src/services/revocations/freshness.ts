import type { Clock, Timer } from '../../core/ports/clock.ts'

/** Milliseconds without a message from the bus or the log after which an instance counts as cut off. */
export const silence = 5000
/** Milliseconds after the last reading of the log at which it is read again, and at which waiting ends. */
const lastCall = 50_000
const bound = 55_000

/**
 * How recent this process' knowledge of revocations is: `current` within 5 s, `cut_off` after that, `lost`
 * after a minute.
 */
export type FreshnessState = 'current' | 'cut_off' | 'lost'

export interface Freshness {
  readonly state: FreshnessState
  /** A message arrived on the bus, from another instance or from this one. */
  heard(): void
  /** The log was read to its end. */
  read(): void
  stop(): void
}

/**
 * Watches the age of the last reading of the log.
 *
 * Timers measure it, because the time of day may jump. The bound is 55 s from the end of a reading. The
 * reading itself may take 5 s: together they make the minute within which a revocation takes effect.
 */
export function createFreshness(options: {
  readonly clock: Clock
  /** Reads the log, and calls `read` on success. Never rejects. */
  revalidate(): Promise<void>
  onCutOff(): void
  /** Waiting has ended: this process no longer knows which credentials are valid. */
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
        // After a stopped process resumes, all timers are due at once. Process the data that arrived during
        // the stop first.
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
