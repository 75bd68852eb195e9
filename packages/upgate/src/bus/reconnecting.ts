import { pauseAfter } from '../core/async/pauses.ts'
import { busMessage, type RevocationBus } from '../core/ports/bus.ts'
import type { Clock, Timer } from '../core/ports/clock.ts'
import type { Logger } from '../core/ports/logger.ts'
import { createBusListeners } from './listeners.ts'

/** A connection that carries the messages. */
export interface BusConnection {
  send(message: string): Promise<unknown>
  /** Must not throw. May be called for a connection that has ended. */
  destroy(): void
}

export interface ReconnectingBusOptions {
  /** For the log: `The bus over Redis`. */
  readonly name: string
  readonly clock: Clock
  /** At least 0, less than 1: spreads the attempts of instances. */
  readonly random: () => number
  readonly logger: Logger
  /**
   * Connects and listens. `ended` may be called more than once; `abandoned` cancels an attempt in progress.
   */
  connect(
    hear: (message: unknown) => void,
    ended: (error?: unknown) => void,
    abandoned: AbortSignal,
  ): Promise<BusConnection>
}

/** Milliseconds between attempts to reconnect. */
const pauses = { shortest: 50, first: 1000, longest: 5000 }
/**
 * Milliseconds within which a sent message has to come back: a dead connection often looks like a quiet one.
 */
const echo = 4000
/** Milliseconds that connecting may take. */
const patience = 6000

/**
 * Opens a bus that reconnects by itself. Resolves when it is connected, or after the first attempt failed.
 */
export async function reconnectingBus(options: ReconnectingBusOptions): Promise<RevocationBus> {
  const { name, clock, random, logger, connect } = options
  const listeners = createBusListeners()
  let connection: BusConnection | undefined
  let connecting: AbortController | undefined
  let waiting: Timer | undefined
  let unanswered: Timer | undefined
  /** Failures in a row. */
  let failures = 0
  /** Number to send next. The highest number includes all smaller ones. */
  let next: number | undefined
  let sending = false
  let closed = false
  /** Number of the current connection: events of an earlier one are ignored. */
  let generation = 0

  async function open(): Promise<void> {
    waiting = undefined
    const mine = ++generation
    const attempt = new AbortController()
    connecting = attempt
    const late = clock.setTimer(patience, () => drop(mine, 'connecting takes too long'))
    try {
      const opened = await connect(
        (message) => {
          if (mine !== generation) return
          unanswered?.cancel()
          unanswered = undefined
          listeners.hear(message)
        },
        (error) => drop(mine, error),
        attempt.signal,
      )
      if (closed || mine !== generation) return opened.destroy()
      connection = opened
      failures = 0
      flush()
    } catch (error) {
      drop(mine, error)
    } finally {
      late.cancel()
      if (connecting === attempt) connecting = undefined
    }
  }

  function drop(mine: number, error: unknown): void {
    if (closed || mine !== generation) return
    generation++
    const delay = pauseAfter(failures++, { ...pauses, random })
    logger.warn(`${name} is not connected; it is tried again.`, { error: String(error), delay })
    release()
    waiting = clock.setTimer(delay, () => void open())
  }

  function release(): void {
    unanswered?.cancel()
    unanswered = undefined
    connecting?.abort()
    connecting = undefined
    connection?.destroy()
    connection = undefined
    sending = false
  }

  function flush(): void {
    if (connection === undefined || sending || next === undefined) return
    const mine = generation
    const message = busMessage(next)
    next = undefined
    sending = true
    unanswered ??= clock.setTimer(echo, () => drop(mine, 'no answer'))
    connection.send(message).then(
      () => {
        if (mine !== generation) return
        sending = false
        flush()
      },
      (error: unknown) => drop(mine, error),
    )
  }

  await open()
  return {
    announce(sequence) {
      if (closed) return
      next = Math.max(next ?? 0, sequence)
      flush()
    },
    subscribe: listeners.add,
    async close() {
      closed = true
      waiting?.cancel()
      release()
    },
  }
}
