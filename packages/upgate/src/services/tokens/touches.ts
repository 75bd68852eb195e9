import type { Clock, Timer } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import type { Touch } from '../../core/ports/stores.ts'

/** Collects times of use, so that a verification never waits for a write. */
export interface Touches {
  note(id: string, at: number): void
  /** Writes the collected times. Never rejects: losing one must not refuse a client. */
  flush(): Promise<void>
}

const maxCollected = 10_000
const chunk = 100

export function createTouches(options: {
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds from the first use collected to the write. */
  readonly delay: number
  write(touches: readonly Touch[]): Promise<void>
}): Touches {
  const { clock, logger, delay, write } = options
  let collected = new Map<string, number>()
  let timer: Timer | undefined

  async function flush(): Promise<void> {
    timer?.cancel()
    timer = undefined
    if (collected.size === 0) return
    const touches = [...collected].map(([id, at]) => ({ id, at }))
    collected = new Map()
    try {
      for (let from = 0; from < touches.length; from += chunk) {
        // An embedded store runs in this thread: let other work run between two chunks.
        if (from > 0) await new Promise((resolve) => setImmediate(resolve))
        await write(touches.slice(from, from + chunk))
      }
    } catch (error) {
      logger.warn('When credentials were last used could not be written.', { error: String(error) })
    }
  }

  return {
    note(id, at) {
      if (collected.size >= maxCollected && !collected.has(id)) return
      collected.set(id, at)
      timer ??= clock.setTimer(delay, () => void flush())
    },
    flush,
  }
}
