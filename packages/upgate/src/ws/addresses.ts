import ipaddr from 'ipaddr.js'
import type { Clock } from '../core/ports/clock.ts'

const minute = 60_000
/** Addresses remembered while none of their sockets is here. */
const maxRemembered = 10_000

/** What is known of an address, or of an IPv6 network. */
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
  windowStart: number
  /** Refusals in the running minute: of what can be guessed, and of the rest. */
  guesses: number
  others: number
  succeededAt: number
}

/** The counted quantities of a bucket. */
export type Counted = 'sockets' | 'anonymous' | 'verifying'

/**
 * The addresses sockets come from. Clients whose address is unknown share one bucket without limits of its own.
 */
export class Addresses {
  readonly unknown: Bucket = createBucket('', undefined, Number.POSITIVE_INFINITY)
  readonly #clock: Clock
  readonly #buckets: Map<string, Bucket> = new Map()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#buckets.size
  }

  /** The narrowest bucket of a canonical address. */
  of(address: string | undefined): Bucket {
    if (address === undefined) return this.unknown
    const known = this.#buckets.get(address)
    if (known !== undefined) return known
    if (!address.includes(':')) return this.#bucket(address, undefined, 1)
    // An IPv6 client chooses among 2^64 addresses at will: its network is what counts.
    if (!ipaddr.IPv6.isValid(address)) return this.#bucket(address, undefined, 1)
    const bytes = ipaddr.IPv6.parse(address).toByteArray()
    const hex = Buffer.from(bytes.slice(0, 8)).toString('hex')
    const wide = this.#bucket(`${hex.slice(0, 12)}/48`, undefined, 4)
    const middle = this.#bucket(`${hex.slice(0, 14)}/56`, wide, 2)
    return this.#bucket(`${hex}/64`, middle, 1)
  }

  #bucket(key: string, wider: Bucket | undefined, factor: number): Bucket {
    const known = this.#buckets.get(key)
    if (known !== undefined) return known
    const bucket = createBucket(key, wider, factor)
    if (wider !== undefined) wider.narrower++
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > maxRemembered) this.#forget(bucket)
    return bucket
  }

  /** Drops idle buckets, oldest first. Those in use stay: their number is bounded by the sockets. */
  #forget(except: Bucket): void {
    for (const bucket of this.#buckets.values()) {
      if (this.#buckets.size <= maxRemembered) return
      if (bucket === except || bucket.sockets + bucket.anonymous + bucket.verifying + bucket.narrower > 0)
        continue
      this.#buckets.delete(bucket.key)
      if (bucket.wider !== undefined) bucket.wider.narrower--
    }
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

  /** Counts a refusal. `guessable`: of something that trying finds, such as a password. */
  refused(bucket: Bucket, guessable: boolean): void {
    const now = this.#clock.now()
    for (let b: Bucket | undefined = bucket; b !== undefined; b = b.wider) {
      if (now - b.windowStart >= minute) {
        b.windowStart = now
        b.guesses = 0
        b.others = 0
      }
      if (guessable) b.guesses++
      else b.others++
    }
  }

  /** Milliseconds until an address that failed more than `limit` times in a minute may try again; 0 = now. */
  wait(bucket: Bucket, what: 'guesses' | 'others', limit: number): number {
    const now = this.#clock.now()
    let wait = 0
    for (let b: Bucket | undefined = bucket; b !== undefined; b = b.wider) {
      const left = b.windowStart + minute - now
      if (b[what] >= limit * b.factor && left > wait) wait = left
    }
    return wait
  }

  succeeded(bucket: Bucket): void {
    bucket.succeededAt = this.#clock.now()
  }

  succeededWithin(bucket: Bucket, duration: number): boolean {
    return bucket !== this.unknown && this.#clock.now() - bucket.succeededAt < duration
  }
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
    windowStart: Number.NEGATIVE_INFINITY,
    guesses: 0,
    others: 0,
    succeededAt: Number.NEGATIVE_INFINITY,
  }
}
