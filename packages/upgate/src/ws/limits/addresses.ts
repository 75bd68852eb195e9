import type { Clock } from '../../core/ports/clock.ts'
import { networksOf } from '../../core/request/networks.ts'

const minute = 60_000
/** Addresses remembered without an open socket: at most twice this number. */
const remembered = 10_000

/**
 * A factor that no count reaches. As a small integer: an infinite one would make every bucket's a number on the
 * heap.
 */
const unlimited = 2 ** 30

/** Counts of an address, or of an IPv6 network. */
export interface Bucket {
  readonly key: string
  /** The wider network this one is part of: /64 -> /56 -> /48. */
  readonly wider: Bucket | undefined
  /** How many times the limits of a single address it may use. */
  readonly factor: number
  /** Quarantined sockets, refused ones that are not yet gone included. */
  sockets: number
  anonymous: number
  verifying: number
  /** Narrower networks that point here. */
  narrower: number
  /** Refusals in the running minute, once there was one. */
  refusals: Refusals | undefined
  /** Time of the last success, in seconds since this process began to count; -1 before the first success. */
  succeededAt: number
  /** Kept by the `Candidates` of strangers, so that a socket of a new address costs no entry of a table. */
  strangers: object | undefined
  /** Kept by the `Candidates` of acquainted addresses. */
  acquainted: object | undefined
}

/** Refusals since a point in time: of what can be guessed, and of the rest. */
interface Refusals {
  since: number
  guesses: number
  others: number
}

/** The counted quantities of a bucket. */
export type Counted = 'sockets' | 'anonymous' | 'verifying'

/**
 * The client addresses of sockets. Clients without a known address share one bucket that has no limits per address.
 */
export class Addresses {
  readonly unknown: Bucket = createBucket('', undefined, unlimited)
  readonly #clock: Clock
  /** Two generations: when the young one is full, buckets of the old one that are not in use are dropped. */
  #young: Map<string, Bucket> = new Map()
  #old: Map<string, Bucket> = new Map()
  #capacity = remembered
  readonly #start: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#start = clock.now()
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** The narrowest bucket of a canonical address. */
  of(address: string | undefined): Bucket {
    if (address === undefined) return this.unknown
    const known = this.#known(address)
    if (known !== undefined) return known
    if (!address.includes(':')) return this.#bucket(address, undefined, 1)
    // From the widest network to the narrowest: each points to the one it is part of.
    let bucket: Bucket | undefined
    for (const { key, factor } of networksOf(address).toReversed()) {
      bucket = this.#bucket(key, bucket, factor)
    }
    return bucket as Bucket
  }

  #known(key: string): Bucket | undefined {
    const bucket = this.#young.get(key)
    if (bucket !== undefined) return bucket
    const old = this.#old.get(key)
    if (old !== undefined) {
      this.#old.delete(key)
      this.#remember(old)
    }
    return old
  }

  #bucket(key: string, wider: Bucket | undefined, factor: number): Bucket {
    const known = this.#known(key)
    if (known !== undefined) return known
    const bucket = createBucket(key, wider, factor)
    if (wider !== undefined) wider.narrower++
    this.#remember(bucket)
    return bucket
  }

  #remember(bucket: Bucket): void {
    this.#young.set(bucket.key, bucket)
    if (this.#young.size >= this.#capacity) this.#age()
  }

  /** Drops the old generation but keeps the buckets in use, whose number is bounded by the number of sockets. */
  #age(): void {
    const old = this.#old
    this.#old = this.#young
    this.#young = new Map()
    for (const bucket of old.values()) {
      if (bucket.sockets + bucket.anonymous + bucket.verifying + bucket.narrower > 0) {
        this.#young.set(bucket.key, bucket)
      } else if (bucket.wider !== undefined) bucket.wider.narrower--
    }
    // Leaves room for `remembered` new buckets, however many are in use: a full map would be scanned at every new one.
    this.#capacity = this.#young.size + remembered
  }

  /** Whether one more would stay within `limit` times the factor, in every network the address is part of. */
  fits(bucket: Bucket, what: Counted, limit: number): boolean {
    for (let b: Bucket | undefined = bucket; b !== undefined; b = b.wider) {
      if (b[what] >= limit * b.factor) return false
    }
    return true
  }

  add(bucket: Bucket, what: Counted, difference: 1 | -1): void {
    for (let b: Bucket | undefined = bucket; b !== undefined; b = b.wider) b[what] += difference
  }

  /** Counts a refusal. `guessable`: the credential can be found by guessing, such as a password. */
  refused(bucket: Bucket, guessable: boolean): void {
    const now = this.#clock.now()
    for (let b: Bucket | undefined = bucket; b !== undefined; b = b.wider) {
      const refusals = inWindow(b, now) ?? { since: now, guesses: 0, others: 0 }
      if (guessable) refusals.guesses++
      else refusals.others++
      b.refusals = refusals
    }
  }

  /** Milliseconds until an address that failed more than `limit` times in a minute may try again; 0 = now. */
  wait(bucket: Bucket, what: 'guesses' | 'others', limit: number): number {
    let wait = 0
    for (let b: Bucket | undefined = bucket; b !== undefined; b = b.wider) {
      if (b.refusals === undefined) continue
      const now = this.#clock.now()
      const refusals = inWindow(b, now)
      if (refusals === undefined || refusals[what] < limit * b.factor) continue
      wait = Math.max(wait, refusals.since + minute - now)
    }
    return wait
  }

  succeeded(bucket: Bucket): void {
    bucket.succeededAt = this.#seconds()
  }

  succeededWithin(bucket: Bucket, duration: number): boolean {
    return (
      bucket !== this.unknown &&
      bucket.succeededAt !== -1 &&
      (this.#seconds() - bucket.succeededAt) * 1000 < duration
    )
  }

  /** Whole seconds: small integers cost no memory of their own, milliseconds since the epoch do. */
  #seconds(): number {
    return Math.max(0, Math.floor((this.#clock.now() - this.#start) / 1000))
  }
}

/** The refusals that still count; a clock that was set back must not stretch their minute. */
function inWindow({ refusals }: Bucket, now: number): Refusals | undefined {
  return refusals !== undefined && now >= refusals.since && now - refusals.since < minute
    ? refusals
    : undefined
}

/** The widest network an address is part of. */
export function widest(bucket: Bucket): Bucket {
  let b = bucket
  while (b.wider !== undefined) b = b.wider
  return b
}

function createBucket(key: string, wider: Bucket | undefined, factor: number): Bucket {
  return {
    key,
    wider,
    factor,
    sockets: 0,
    anonymous: 0,
    verifying: 0,
    narrower: 0,
    refusals: undefined,
    succeededAt: -1,
    strangers: undefined,
    acquainted: undefined,
  }
}
