import type { CryptoKey } from 'jose'
import { andThen } from '../../core/async/maybe-promise.ts'
import type { MaybePromise } from '../../core/contract/credential.ts'
import { type KeySet, losesKey, readKeySet } from './key-set.ts'
import { fetchJson } from './limited-fetch.ts'
import { MissingIds } from './missing-ids.ts'
import type { Settings } from './options.ts'
import type { AccessKeyStatus } from './types.ts'

/** Result of a key look-up. */
export type KeyLookup =
  | { readonly outcome: 'found'; readonly key: CryptoKey }
  /** No key has this id: a document requested after the id was first seen lacks it. */
  | { readonly outcome: 'unknown' }
  /**
   * Not among the keys, which may be older than the id: the next fetch will decide. `retryAfter` in seconds.
   */
  | { readonly outcome: 'undecided'; readonly retryAfter: number }
  /** `retryAfter` in seconds. */
  | { readonly outcome: 'unavailable'; readonly retryAfter: number }

/**
 * Keeps the signing keys of the team, and decides when to fetch them.
 *
 * One fetch serves all callers. A fetch happens at first use; in the background once the keys are
 * `refreshAfter` old; before an answer once they are `maxAge` old; and for an unknown key id, at most once
 * per `cooldown`, so that forged ids cannot flood the issuer. Within the cooldown, an unknown id that arrived
 * after the last fetch may belong to a new key, so it is undecided instead of refused.
 *
 * After failures the next fetch waits, 1 s at first and twice as long each time. During that pause the old
 * keys count until `maxStale`. A key that a later document lacks is dropped at once. There are no timers: an
 * idle process fetches nothing.
 */
export class SigningKeys {
  readonly #settings: Settings
  #keys: KeySet | undefined
  #fetchedAt = Number.NEGATIVE_INFINITY
  #attemptedAt = Number.NEGATIVE_INFINITY
  #failures = 0
  #retryAt = Number.NEGATIVE_INFINITY
  #pending: Promise<void> | undefined
  /** Time until which `find` only has to look a key up. */
  #quietUntil = Number.NEGATIVE_INFINITY
  #generation = 0
  readonly #missing = new MissingIds()
  /** Number of fetches started so far, and of the one that brought the current keys. */
  #fetches = 0
  #fetchedBy = 0
  #behind = Number.NaN

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /**
   * Milliseconds by which this clock was behind the issuer's at the last fetch, to a few seconds, by the Date of its answer;
   * negative if it was ahead, `NaN` if that is not known.
   */
  get behind(): number {
    return this.#behind
  }

  /** Changes when a key is removed or replaced: earlier verifications do not count any more. */
  get generation(): number {
    return this.#generation
  }

  /**
   * Whether verifications with these keys still count. Refreshes the keys in the background when they are
   * due.
   */
  trusted(now: number): boolean {
    // If the clock was set back, the keys must not live longer.
    if (now < this.#fetchedAt) return false
    if (now < this.#quietUntil) return true
    if (this.#keys === undefined || now >= this.#fetchedAt + this.#settings.keys.maxStale) return false
    if (this.#failures === 0 && now >= this.#fetchedAt + this.#settings.keys.maxAge) return false
    this.#refresh(now)
    return true
  }

  /**
   * Finds a key by id.
   *
   * @param refetch - whether an unknown id may cause a fetch, and be recorded
   */
  find(kid: string, refetch: boolean): MaybePromise<KeyLookup> {
    const now = this.#settings.clock.now()
    // Record the id before any fetch that it causes: that fetch's document decides about it.
    if (refetch && this.#keys?.has(kid) !== true) this.#missing.note(kid, this.#fetches)
    if (!this.trusted(now)) {
      // During an outage old keys are used at once, within `maxStale`, instead of waiting for an answer that
      // may never come.
      return andThen(this.#refresh(now), () => {
        const after = this.#settings.clock.now()
        const usable = this.#keys !== undefined && after < this.#fetchedAt + this.#settings.keys.maxStale
        return usable ? this.#lookup(kid, after) : this.#unavailable(after)
      })
    }
    const found = this.#lookup(kid, now)
    if (found.outcome === 'found' || !refetch) return found
    if (this.#pending === undefined && this.#cooldownLeft(now) > 0) return found
    return andThen(this.#refresh(now), () => this.#lookup(kid, this.#settings.clock.now()))
  }

  /** Fetches now, unless a fetch is under way or failures demand a pause. */
  async prefetch(): Promise<boolean> {
    await this.#refresh(this.#settings.clock.now())
    return this.#failures === 0 && this.#keys !== undefined
  }

  status(): AccessKeyStatus {
    const now = this.#settings.clock.now()
    return {
      keys: this.#keys?.size ?? 0,
      fetchedAt: this.#keys === undefined ? undefined : this.#fetchedAt,
      failures: this.#failures,
      usable: this.#keys !== undefined && now < this.#fetchedAt + this.#settings.keys.maxStale,
    }
  }

  #lookup(kid: string, now: number): KeyLookup {
    const entry = this.#keys?.get(kid)
    if (entry !== undefined) return { outcome: 'found', key: entry.key }
    // While the issuer does not answer, an unknown id may belong to a new key: it cannot be called forged.
    if (this.#failures > 0) return this.#unavailable(now)
    if (this.#missing.isNobodys(kid, this.#fetchedBy)) return { outcome: 'unknown' }
    return { outcome: 'undecided', retryAfter: seconds(this.#cooldownLeft(now)) }
  }

  /** Milliseconds until an unknown id may cause a fetch; 0 if the clock was set back. */
  #cooldownLeft(now: number): number {
    const since = now - this.#attemptedAt
    return since < 0 ? 0 : Math.max(0, this.#settings.keys.cooldown - since)
  }

  #unavailable(now: number): KeyLookup {
    return { outcome: 'unavailable', retryAfter: seconds(this.#retryAt - now) }
  }

  #refresh(now: number): MaybePromise<void> {
    if (this.#pending !== undefined) return this.#pending
    const pause = this.#retryAt - now
    if (pause > 0 && pause <= this.#settings.keys.maxBackoff) return undefined
    this.#attemptedAt = now
    // A logger that throws must not turn a fetch in the background into an unhandled rejection.
    this.#pending = this.#fetch()
      .catch(() => {})
      .finally(() => {
        this.#pending = undefined
      })
    return this.#pending
  }

  async #fetch(): Promise<void> {
    const { keys: limits, fetch, fetchHeaders, clock, logger, issuer } = this.#settings
    const startedAt = clock.now()
    this.#fetches++
    const fetched = await fetchJson(limits.url, fetchHeaders, limits.timeout, fetch, clock)
    const keys =
      fetched.outcome === 'failed'
        ? fetched.reason
        : fetched.status === 200
          ? await readKeySet(fetched.json, this.#keys)
          : `status ${fetched.status}`
    if (typeof keys === 'string') {
      this.#failures++
      const pause = Math.min(1_000 * 2 ** Math.min(this.#failures - 1, 20), limits.maxBackoff)
      this.#retryAt = clock.now() + pause
      this.#quietUntil = Math.min(this.#retryAt, this.#fetchedAt + limits.maxStale)
      logger.warn('The signing keys of Cloudflare Access could not be fetched.', {
        issuer,
        reason: keys,
        failures: this.#failures,
        retryInSeconds: pause / 1_000,
      })
      return
    }
    if (this.#keys !== undefined && losesKey(this.#keys, keys)) this.#generation++
    for (const kid of this.#keys?.keys() ?? []) {
      // The key was removed: its id was known before this fetch, and the document lacks it.
      if (!keys.has(kid)) this.#missing.note(kid, this.#fetches - 1)
    }
    this.#keys = keys
    if (fetched.outcome === 'answered') this.#behind = fetched.date - startedAt
    this.#fetchedBy = this.#fetches
    // Count from the time of the request: the document may be as old as that.
    this.#fetchedAt = startedAt
    this.#failures = 0
    this.#retryAt = Number.NEGATIVE_INFINITY
    this.#quietUntil = startedAt + limits.refreshAfter
  }
}

/** Whole seconds to wait, at least one. */
function seconds(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds / 1_000))
}
