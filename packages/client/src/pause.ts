import type { Clock } from './clock.ts'
import type { Network } from './transport.ts'

/** The longest timer of the runtimes, in milliseconds. */
const longestTimer = 2 ** 31 - 1

/** The pause before the next attempt. */
export interface Pause {
  /** Calls back after so many milliseconds, and later where there is no network then. */
  begin(milliseconds: number, next: () => void): void
  end(): void
}

/** Creates the pauses of one connection; each replaces the one before. */
export function createPause({
  clock,
  network,
  spread,
  waiting,
  offline,
}: {
  readonly clock: Clock
  readonly network: Network | undefined
  /** Milliseconds to wait after the network has come back: all devices of a network come back at the same moment. */
  readonly spread: () => number
  readonly waiting: (until: number) => void
  readonly offline: () => void
}): Pause {
  let timer: { cancel(): void } | undefined
  let unwatch = (): void => {}
  const begin = (milliseconds: number, next: () => void): void => {
    if (network !== undefined && !network.isOnline()) {
      offline()
      unwatch()
      unwatch = network.onChange(() => {
        if (!network.isOnline()) return
        unwatch()
        begin(spread(), next)
      })
      return
    }
    waiting(clock.now() + milliseconds)
    timer = clock.setTimer(Math.min(milliseconds, longestTimer), () => {
      // The network may have gone during the pause.
      if (network !== undefined && !network.isOnline()) begin(0, next)
      else next()
    })
  }
  return {
    begin,
    end() {
      timer?.cancel()
      unwatch()
    },
  }
}
