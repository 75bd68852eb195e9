import type { Clock, Timer } from '../core/ports/clock.ts'
import type { Logger } from '../core/ports/logger.ts'
import type { Revocation } from '../core/ports/revocations.ts'
import type { RevocationLog } from '../core/ports/stores.ts'
import type { Revocations } from './types.ts'

/** What the services do with the log, besides what the outside may. */
export interface OwnRevocations extends Revocations {
  /** Announces entries that this process just appended, before it returns its promise. Never rejects. */
  publish(entries: readonly Revocation[]): Promise<void>
  /**
   * Resolves when the end of the log is known. What is verified before could miss a revocation for good, so
   * nothing is. Rejects with `StoreUnavailable`; the next call tries again.
   */
  ready(): Promise<void> | undefined
  close(): void
}

const pageSize = 500

/** Follows the numbered log: our own entries at once, those of other processes by reading. */
export function createRevocations(options: {
  readonly log: RevocationLog
  readonly clock: Clock
  readonly logger: Logger | undefined
  readonly interval: number
}): OwnRevocations {
  const { log, clock, logger, interval } = options
  const listeners = new Set<(revocation: Revocation) => void>()
  /** Up to here everything was announced. */
  let known: number | undefined
  /** The newest that was announced, possibly ahead of what is still to be read. */
  let newest = 0
  let starting: Promise<void> | undefined
  let syncing: Promise<void> | undefined
  let timer: Timer | undefined
  let closed = false

  function announce(revocation: Revocation): void {
    newest = Math.max(newest, revocation.sequence)
    for (const listener of [...listeners]) {
      try {
        listener(revocation)
      } catch (error) {
        // One listener that fails must not keep the revocation from the next.
        logger?.error('A listener for revocations failed.', { error: String(error) })
      }
    }
  }

  function ready(): Promise<void> | undefined {
    if (known !== undefined) return undefined
    starting ??= log
      .head()
      .then((head) => {
        known ??= head
        newest = Math.max(newest, head)
      })
      .finally(() => {
        starting = undefined
      })
    return starting
  }

  /** Entries between what we know and the oldest that is left are gone: they may concern anybody. */
  function lost(next: Revocation): void {
    logger?.warn('The log of revocations was cut before it was read: everybody has to prove themselves anew.')
    const { at, sequence } = next
    for (const kind of ['user', 'device', 'service'] as const) {
      announce({ sequence: sequence - 1, at, selector: { kind }, reason: 'revoked' })
    }
  }

  async function read(): Promise<void> {
    await ready()
    for (;;) {
      const entries = await log.since(known as number, pageSize)
      const first = entries[0]
      if (first !== undefined && first.sequence > (known as number) + 1) lost(first)
      for (const entry of entries) {
        if (entry.sequence <= (known as number)) continue
        known = entry.sequence
        announce(entry)
      }
      if (entries.length < pageSize) return
    }
  }

  function sync(): Promise<void> {
    syncing ??= read().finally(() => {
      syncing = undefined
    })
    return syncing
  }

  function poll(): void {
    if (closed || interval === 0) return
    timer = clock.setTimer(interval, () => {
      sync()
        .catch((error: unknown) => {
          if (!closed) logger?.warn('The log of revocations cannot be read.', { error: String(error) })
        })
        .finally(poll)
    })
  }

  ready()?.catch(() => {})
  poll()

  return {
    sequence: () => newest,
    subscribe(listener) {
      // A wrapper of its own, so that one function may subscribe twice and leave once.
      const own = (revocation: Revocation): void => listener(revocation)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    sync,
    ready,
    async publish(entries) {
      let gap = known === undefined
      for (const entry of entries) {
        if (!gap && entry.sequence === (known as number) + 1) known = entry.sequence
        else gap = true
        announce(entry)
      }
      // Another process wrote in between. Ours took effect already; announcing one twice does no harm.
      if (gap) await sync().catch(() => {})
    },
    close() {
      closed = true
      timer?.cancel()
      listeners.clear()
    },
  }
}
