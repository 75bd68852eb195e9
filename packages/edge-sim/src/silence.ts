import type { Clock, Timer } from './clock.ts'

/** Watches for a span without a byte. */
export interface SilenceWatch {
  /** A byte has passed. */
  touch(): void
  stop(): void
}

/** Calls back once after `limitMs` without a `touch`. One timer per watch, however many bytes pass. */
export function watchSilence(clock: Clock, limitMs: number, onSilence: () => void): SilenceWatch {
  let last = clock.now()
  let timer: Timer | undefined
  function arm(milliseconds: number): void {
    timer = clock.setTimer(milliseconds, () => {
      const left = last + limitMs - clock.now()
      if (left > 0) arm(left)
      else onSilence()
    })
  }
  arm(limitMs)
  return {
    touch() {
      last = clock.now()
    },
    stop() {
      timer?.cancel()
    },
  }
}
