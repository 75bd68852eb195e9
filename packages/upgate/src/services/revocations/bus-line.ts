import type { RevocationBus } from '../../core/ports/bus.ts'
import type { Clock, Timer } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import { silence } from './freshness.ts'

/** Milliseconds between heartbeats: two may be lost before the line counts as silent. */
const heartbeat = 1500

/** One instance's end of the bus. */
export interface BusLine {
  /** No message arrived for 5 s, not even this instance's own. */
  readonly silent: boolean
  stop(): void
}

export function createBusLine(options: {
  readonly bus: RevocationBus
  readonly clock: Clock
  readonly logger: Logger
  known(): number | undefined
  /** An instance, possibly this one, says that the log reaches this number. */
  onHeard(sequence: number): void
  onSilence(): void
}): BusLine {
  const { bus, clock, logger, known, onHeard, onSilence } = options
  let silent = false
  let listening: Timer | undefined
  let beating: Timer | undefined
  let stopped = false

  function listen(): void {
    listening?.cancel()
    listening = clock.setTimer(silence, () => {
      listening = undefined
      silent = true
      logger.warn('The bus is silent: revocations elsewhere take effect when the log is read.')
      onSilence()
    })
    if (silent) {
      silent = false
      logger.warn('The bus is heard again.')
    }
  }

  const unsubscribe = bus.subscribe((sequence) => {
    if (stopped) return
    listen()
    onHeard(sequence)
  })

  function beat(): void {
    bus.announce(known() ?? 0)
    beating = clock.setTimer(heartbeat, beat)
  }
  listen()
  beat()

  return {
    get silent() {
      return silent
    },
    stop() {
      stopped = true
      unsubscribe()
      listening?.cancel()
      beating?.cancel()
    },
  }
}
