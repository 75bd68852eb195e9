import { createHmac } from 'node:crypto'
import { count, methods, milliseconds, value } from '../../core/options/option-kinds.ts'
import { type OptionTable, optionTable } from '../../core/options/option-table.ts'
import type { AcquaintanceRecord, AcquaintanceStore } from '../../core/ports/acquaintances.ts'
import type { Clock, Timer } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'

/**
 * Options for remembering, across restarts, the addresses from which sockets were accepted.
 *
 * @example
 * guardServer(server, gate, { sockets, acquaintances: { store: sqlite.acquaintances, key: installationKey } })
 */
export interface AcquaintanceOptions {
  /** Where they are kept: `store.acquaintances` of `sqliteStore`, `postgresStore` and `memoryStore`. */
  readonly store: AcquaintanceStore
  /**
   * Secret of this installation, at least 32 characters, kept outside the store: the stored digests reveal no address
   * without it. To replace a key, give several, newest first: records under older keys still count.
   */
  readonly key: string | readonly string[]
  /** Milliseconds for which an address counts as known after a socket was accepted from it. Default: 30 days. */
  readonly lifetime?: number
  /** Most addresses kept; a further one replaces the one that was noted longest ago. Default: 10,000. */
  readonly atMost?: number
}

const day = 86_400_000
/** Milliseconds from an acceptance to its being written, together with others. */
const writeDelay = 1_000
/** Milliseconds until a store that could not answer is asked again. */
const retryDelay = 30_000
/** Records in one write: an embedded store works in this thread. */
const chunk = 100

/**
 * The addresses known across restarts. All are in memory by digest; the store is read once and written with a delay.
 */
export class Acquaintances {
  readonly #store: AcquaintanceStore
  /** Newest first; at least one. */
  readonly #keys: readonly string[]
  readonly #lifetime: number
  readonly #atMost: number
  readonly #clock: Clock
  readonly #logger: Logger
  /** The end of each address, in milliseconds since the epoch, the earliest first. */
  #known: Map<string, number> = new Map()
  #unwritten: Map<string, number> = new Map()
  #timer: Timer | undefined
  #writing: Promise<void> | undefined
  #closed = false

  constructor(options: Required<AcquaintanceOptions>, clock: Clock, logger: Logger) {
    const { store, key, lifetime, atMost } = options
    this.#store = store
    this.#keys = typeof key === 'string' ? [key] : key
    this.#lifetime = lifetime
    this.#atMost = atMost
    this.#clock = clock
    this.#logger = logger
    void this.#load()
  }

  /** Whether an address, or an IPv6 network, is known. */
  knows(address: string): boolean {
    if (this.#known.size === 0) return false
    const now = this.#clock.now()
    return this.#keys.some((key) => (this.#known.get(digestOf(address, key)) ?? 0) > now)
  }

  /** Notes that a principal was accepted from an address. Repeated acceptances within a while cause one write. */
  note(address: string): void {
    const now = this.#clock.now()
    const digest = digestOf(address, this.#keys[0] as string)
    const until = now + this.#lifetime
    const before = this.#known.get(digest) ?? 0
    if (before > until - this.#lifetime / 30 && before <= until) return
    put(this.#known, digest, until, this.#atMost)
    put(this.#unwritten, digest, until, this.#atMost)
    this.#arm(writeDelay)
  }

  /** Writes the records that are not written yet and stops all retries. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#writing
    await this.#write()
  }

  async #load(): Promise<void> {
    const now = this.#clock.now()
    try {
      const records = await this.#store.list(now, this.#atMost)
      const known = new Map<string, number>()
      // Records written while the clock ran ahead must not count for longer than `lifetime`.
      for (const { digest, until } of [...records].reverse()) {
        known.set(digest, Math.min(until, now + this.#lifetime))
      }
      for (const [digest, until] of this.#known) put(known, digest, until, this.#atMost)
      this.#known = known
    } catch (error) {
      this.#logger.warn('Addresses known from before could not be read: they are strangers until then.', {
        error: String(error),
      })
      this.#clock.setTimer(retryDelay, () => {
        if (!this.#closed) void this.#load()
      })
    }
  }

  #arm(delay: number): void {
    if (this.#closed) return
    this.#timer ??= this.#clock.setTimer(delay, () => {
      this.#timer = undefined
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined
        if (this.#unwritten.size > 0) this.#arm(retryDelay)
      })
    })
  }

  async #write(): Promise<void> {
    const records: AcquaintanceRecord[] = [...this.#unwritten].map(([digest, until]) => ({ digest, until }))
    for (let from = 0; from < records.length; from += chunk) {
      if (from > 0) await new Promise((resolve) => setImmediate(resolve))
      const some = records.slice(from, from + chunk)
      try {
        await this.#store.note(some, this.#clock.now(), this.#atMost)
      } catch (error) {
        this.#logger.warn('Addresses that were accepted could not be written.', { error: String(error) })
        return
      }
      for (const { digest, until } of some) {
        if (this.#unwritten.get(digest) === until) this.#unwritten.delete(digest)
      }
    }
  }
}

/** Puts it last; beyond `atMost` the first one goes. */
function put(map: Map<string, number>, digest: string, until: number, atMost: number): void {
  map.delete(digest)
  map.set(digest, until)
  if (map.size <= atMost) return
  for (const [first] of map) {
    map.delete(first)
    return
  }
}

/** 128 bits, so that thousands of addresses do not meet by chance. The key may serve other purposes, too. */
function digestOf(address: string, key: string): string {
  const digest = createHmac('sha256', key).update(`upgate acquaintance ${address}`).digest()
  return digest.subarray(0, 16).toString('base64url')
}

const isKey = (each: unknown): boolean => typeof each === 'string' && each.length >= 32

/** The options of {@link QuarantineOptions.acquaintances}. */
export const acquaintanceOptions: OptionTable<
  AcquaintanceOptions,
  Required<AcquaintanceOptions>
> = optionTable<AcquaintanceOptions>()({
  store: methods(['list', 'note'], '`store.acquaintances` of a store that has them, such as sqliteStore()'),
  key: value(
    'a secret of at least 32 characters, or a list of up to four, the newest first',
    (key) => isKey(key) || (Array.isArray(key) && key.length >= 1 && key.length <= 4 && key.every(isKey)),
  ),
  lifetime: milliseconds(30 * day, 60_000, 400 * day),
  atMost: count(10_000, 1, 1_000_000),
})
