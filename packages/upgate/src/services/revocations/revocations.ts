import type { RevocationBus } from '../../core/ports/bus.ts'
import type { Clock, Timer } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import type { Revocation } from '../../core/ports/revocations.ts'
import { type RevocationLog, StoreUnavailable } from '../../core/ports/stores.ts'
import { createBusLine } from './bus-line.ts'
import { createFreshness } from './freshness.ts'
import { createLogReader } from './log-reader.ts'
import { checkDraft } from './revocation-input.ts'
import type { Revocations } from './types.ts'

/** The revocation service as the other services use it. */
export interface OwnRevocations extends Revocations {
  /**
   * Announces entries that this process has just appended. Listeners run before it returns its promise. Never
   * rejects.
   */
  publish(entries: readonly Revocation[]): Promise<void>
  /**
   * Resolves when this process knows all revocations: at once, unless it has just started or is cut off. A
   * verification before that could miss a revocation and must wait. Rejects with `StoreUnavailable`; the next
   * call tries again.
   */
  ready(): Promise<void> | undefined
  close(): void
}

/** Milliseconds between attempts to read the log after a failure. */
const retryInterval = 1000
/** Milliseconds for which another instance may lag before its lower number causes a reading of the log. */
const lag = 1000
/** Milliseconds between two warnings of a number beyond the log's end. */
const quiet = 60_000

export interface RevocationsOptions {
  readonly log: RevocationLog
  readonly bus: RevocationBus | undefined
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds between readings of the log; 0 = only on request or on a message of the bus. */
  readonly interval: number
  /** Milliseconds that a reading may take. */
  readonly timeout: number
  readonly keepSocketsWhenLost: boolean
}

/**
 * Follows the numbered log: announces this process' own entries at once, and others' after a message of the
 * bus or a timed reading.
 */
export function createRevocations(options: RevocationsOptions): OwnRevocations {
  const { log, bus, clock, logger, interval, timeout } = options
  /** Without both, this is the only process that writes to the log, and being cut off is impossible. */
  const follows = bus !== undefined || interval > 0
  const listeners = new Set<(revocation: Revocation) => void>()
  /** Newest number announced on this instance, possibly ahead of the last number read. */
  let newest = 0
  let starting: Promise<void> | undefined
  let syncing: Promise<void> | undefined
  /** Highest number that other instances announced since the reading in progress began. */
  let claimed = 0
  let timer: Timer | undefined
  let doubt: Timer | undefined
  let saidBeyondAt = Number.NEGATIVE_INFINITY
  let closed = false

  const reader = createLogReader({
    log,
    onEntry: announce,
    onLost(sequence) {
      logger.warn('Part of the log of revocations is gone unread: every client has to prove itself again.')
      newest = sequence
      announceToAll(sequence)
    },
    onReplaced(from, head) {
      logger.error(
        `The log of revocations was read up to ${from}, and ends at ${head}: an old copy of the database was put back, or it is another one. Every client has to prove itself again; what was revoked after the copy was made counts again until it is revoked again.`,
      )
      newest = head
      announceToAll(head)
    },
  })
  const freshness = createFreshness({
    clock,
    revalidate: () => sync().catch(() => {}),
    onCutOff: () => logger.warn('Cut off: neither the log of revocations nor the bus can be heard.'),
    onBack: () => logger.warn('The log of revocations can be followed again.'),
    onLost() {
      logger.error('Cut off for a minute: revocations of the last minute are unknown.', {
        sockets: options.keepSocketsWhenLost ? 'kept' : 'closed',
      })
      if (!options.keepSocketsWhenLost) announceToAll(newest)
    },
  })
  const line =
    bus &&
    createBusLine({
      bus,
      clock,
      logger,
      known: () => reader.known,
      onHeard(sequence) {
        freshness.heard()
        const known = reader.known ?? 0
        if (sequence === known) return
        if (sequence < known) return lookIntoIt()
        // The reading in progress may have passed this number already.
        if (syncing !== undefined) claimed = Math.max(claimed, sequence)
        else {
          sync()
            .then(() => compare(sequence))
            .catch(() => {})
        }
      },
      onSilence: () => poll(),
    })

  /**
   * Reads the log again after another instance announced a number below this one's. That instance lags
   * behind, or the log was restored and reuses its numbers, which would count as read.
   */
  function lookIntoIt(): void {
    if (closed) return
    doubt ??= clock.setTimer(lag, () => {
      doubt = undefined
      sync().catch(() => {})
    })
  }

  /**
   * Trusts another instance's number only up to the end of the log, and warns the operator of a difference.
   */
  function compare(sequence: number): void {
    if (closed || sequence <= (reader.known ?? 0) || Math.abs(clock.now() - saidBeyondAt) < quiet) return
    saidBeyondAt = clock.now()
    logger.warn(
      `Another instance has read the log of revocations up to ${sequence}, and here it ends at ${reader.known ?? 0}: an old copy of the database was put back, or the instances use different ones.`,
    )
  }

  function announce(revocation: Revocation): void {
    newest = Math.max(newest, revocation.sequence)
    for (const listener of [...listeners]) {
      try {
        listener(revocation)
      } catch (error) {
        // A listener that fails must not keep the revocation from the other listeners.
        logger.error('A listener for revocations failed.', { error: String(error) })
      }
    }
  }

  /**
   * No principal is known to be revoked, so the reason is `unavailable`: clients may return and prove
   * themselves.
   */
  function announceToAll(sequence: number): void {
    for (const kind of ['user', 'device', 'service'] as const) {
      announce({ sequence, at: clock.now(), selector: { kind }, reason: 'unavailable' })
    }
  }

  function inTime(reading: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = clock.setTimer(timeout, () =>
        reject(
          new StoreUnavailable('store_unavailable', 'The log of revocations could not be read in time.'),
        ),
      )
      reading.then(resolve, reject).finally(() => late.cancel())
    })
  }

  function start(): Promise<void> {
    starting ??= inTime(
      reader.start().then(() => {
        newest = Math.max(newest, reader.known ?? 0)
        if (follows && !closed) freshness.read()
      }),
    ).finally(() => {
      starting = undefined
    })
    return starting
  }

  async function read(): Promise<void> {
    if (reader.known === undefined) await start()
    await reader.read()
    if (follows && !closed) freshness.read()
  }

  function sync(): Promise<void> {
    if (closed) return Promise.reject(new StoreUnavailable('store_closed', 'The services were closed.'))
    if (syncing !== undefined) return syncing
    claimed = 0
    syncing = inTime(read()).finally(() => {
      syncing = undefined
      if (!closed && claimed > (reader.known ?? 0)) void sync().catch(() => {})
    })
    return syncing
  }

  async function publish(entries: readonly Revocation[]): Promise<void> {
    let gap = false
    for (const entry of entries) {
      if (!reader.take(entry)) gap = true
      announce(entry)
    }
    const last = entries.at(-1)
    if (last !== undefined) bus?.announce(last.sequence)
    // Another process appended in between. Our entry took effect already, and announcing it twice is
    // harmless.
    if (gap) await sync().catch(() => {})
  }

  function poll(): void {
    timer?.cancel()
    if (closed || !follows) return
    const wellInformed = freshness.state === 'current' && line?.silent !== true
    if (wellInformed && interval === 0) return
    timer = clock.setTimer(
      wellInformed ? interval : Math.min(interval || retryInterval, retryInterval),
      () => {
        sync()
          .catch((error: unknown) => {
            if (!closed) logger.warn('The log of revocations cannot be read.', { error: String(error) })
          })
          .finally(poll)
      },
    )
  }

  start().catch(() => {})
  poll()

  return {
    sequence: () => newest,
    subscribe(listener) {
      // A separate wrapper for each subscription, so that one function may subscribe twice and unsubscribe
      // once.
      const own = (revocation: Revocation): void => listener(revocation)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    sync,
    async revoke(selector, reason = 'revoked') {
      const draft = checkDraft(selector, reason, clock.now())
      const entries = await log.append([draft])
      await publish(entries)
      return entries[0] as Revocation
    },
    health: () => ({
      log: freshness.state,
      bus: line === undefined ? 'none' : line.silent ? 'silent' : 'heard',
    }),
    ready() {
      if (reader.known === undefined) return start()
      return freshness.state === 'current' ? undefined : sync()
    },
    publish,
    close() {
      closed = true
      timer?.cancel()
      doubt?.cancel()
      freshness.stop()
      line?.stop()
      listeners.clear()
    },
  }
}
