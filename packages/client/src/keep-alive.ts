import type { Clock } from './clock.ts'

/** Milliseconds for the answer to a ping. */
const pongGrace = 20_000

/** Pings of an accepted socket. */
export interface KeepAlive {
  /** Sends the first ping after the interval. */
  start(): void
  /** The peer answered: the next ping comes after the interval. */
  answered(): void
  stop(): void
}

/**
 * Pings after each interval without an answer to one. A peer that leaves a ping unanswered is lost: half-open, which
 * nothing else would ever notice.
 *
 * @param every Milliseconds; 0 sends none
 */
export function createKeepAlive({
  every,
  clock,
  ping,
  lost,
}: {
  readonly every: number
  readonly clock: Clock
  readonly ping: () => void
  readonly lost: () => void
}): KeepAlive {
  let timer: { cancel(): void } | undefined
  const schedule = (): void => {
    timer?.cancel()
    timer = clock.setTimer(every, () => {
      ping()
      timer = clock.setTimer(pongGrace, lost)
    })
  }
  return {
    start() {
      if (every > 0) schedule()
    },
    answered() {
      if (timer !== undefined) schedule()
    },
    stop() {
      timer?.cancel()
      timer = undefined
    },
  }
}
