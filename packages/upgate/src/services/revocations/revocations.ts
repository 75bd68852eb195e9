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

/** What the services do with the log, besides what the outside may. */
export interface OwnRevocations extends Revocations {
  /** Announces entries that this process just appended, before it returns its promise. Never rejects. */
  publish(entries: readonly Revocation[]): Promise<void>
  /**
   * Resolves when it is known what was revoked: at once, unless this process has just started or is cut off. What is
   * verified before could miss a revocation, so nothing is. Rejects with `StoreUnavailable`; the next call tries again.
   */
  ready(): Promise<void> | undefined
  close(): void
}

/** Milliseconds between attempts to read the log while there is no other news. */
const retryInterval = 1000
/** Milliseconds that another instance may lag behind before its lower number is looked into. */
const lag = 1000
/** Milliseconds between one warning of a number beyond the log's end and the next. */
const quiet = 60_000

export interface RevocationsOptions {
  readonly log: RevocationLog
  readonly bus: RevocationBus | undefined
  readonly clock: Clock
  readonly logger: Logger | undefined
  /** Milliseconds between readings of the log; 0 = never by itself. */
  readonly interval: number
  /** Milliseconds that a reading may take. */
  readonly timeout: number
  readonly keepSocketsWhenLost: boolean
}

/** Follows the numbered log: our own entries at once, those of other processes by bus and by reading. */
export function createRevocations(options: RevocationsOptions): OwnRevocations {
  const { log, bus, clock, logger, interval, timeout } = options
  /** Without either nobody else writes, and there is nothing to be cut off from. */
  const follows = bus !== undefined || interval > 0
  const listeners = new Set<(revocation: Revocation) => void>()
  /** The newest that was announced, possibly ahead of what is still to be read. */
  let newest = 0
  let starting: Promise<void> | undefined
  let syncing: Promise<void> | undefined
  /** What others claimed since the reading under way began. */
  let claimed = 0
  let timer: Timer | undefined
  let doubt: Timer | undefined
  let saidBeyondAt = Number.NEGATIVE_INFINITY
  let closed = false

  const reader = createLogReader({
    log,
    onEntry: announce,
    onLost(sequence) {
      logger?.warn('Part of the log of revocations is gone unread: everybody has to prove themselves anew.')
      newest = sequence
      announceToAll(sequence)
    },
    onReplaced(from, head) {
      logger?.error(
        `The log of revocations was read up to ${from}, and ends at ${head}: an old copy of the database was put back, or it is another one. Every client has to prove itself again; what was revoked after the copy was made counts again until it is revoked again.`,
      )
      newest = head
      announceToAll(head)
    },
  })
  const freshness = createFreshness({
    clock,
    revalidate: () => sync().catch(() => {}),
    onCutOff: () => logger?.warn('Cut off: neither the log of revocations nor the bus can be heard.'),
    onBack: () => logger?.warn('The log of revocations can be followed again.'),
    onLost() {
      logger?.error('Cut off for a minute: it is no longer known who was revoked.', {
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
        // A reading under way may have passed the place where this one belongs.
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
   * Another instance says less than what is known here. It lags behind, or the log went back and its numbers are given
   * out again: those would be taken for known.
   */
  function lookIntoIt(): void {
    if (closed) return
    doubt ??= clock.setTimer(lag, () => {
      doubt = undefined
      sync().catch(() => {})
    })
  }

  /** What another instance says is believed only as far as the log says it, too; the difference is for the operator. */
  function compare(sequence: number): void {
    if (closed || sequence <= (reader.known ?? 0) || Math.abs(clock.now() - saidBeyondAt) < quiet) return
    saidBeyondAt = clock.now()
    logger?.warn(
      `Another instance has read the log of revocations up to ${sequence}, and here it ends at ${reader.known ?? 0}: an old copy of the database was put back, or the instances use different ones.`,
    )
  }

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

  /** Nobody was revoked that we know of, so nobody is told so: they may come back and prove themselves. */
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
    // Another process wrote in between. Ours took effect already; announcing one twice does no harm.
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
            if (!closed) logger?.warn('The log of revocations cannot be read.', { error: String(error) })
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
      // A wrapper of its own, so that one function may subscribe twice and leave once.
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
