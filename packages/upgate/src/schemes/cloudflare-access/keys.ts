import type { CryptoKey } from 'jose'
import { andThen } from '../../core/async/maybe-promise.ts'
import type { MaybePromise } from '../../core/contract/credential.ts'
import { type KeySet, losesKey, readKeySet } from './key-set.ts'
import { fetchJson } from './limited-fetch.ts'
import { MissingIds } from './missing-ids.ts'
import type { Settings } from './options.ts'
import type { AccessKeyStatus } from './types.ts'

/** What a look-up yields. */
export type KeyLookup =
  | { readonly outcome: 'found'; readonly key: CryptoKey }
  /** Nobody's: a document asked for since the id was first seen does not have it. */
  | { readonly outcome: 'unknown' }
  /** Not among the keys, which may be older than the id: the next fetch will tell. `retryAfter` in seconds. */
  | { readonly outcome: 'undecided'; readonly retryAfter: number }
  /** `retryAfter` in seconds. */
  | { readonly outcome: 'unavailable'; readonly retryAfter: number }

/**
 * The signing keys of the team, and when to fetch them.
 *
 * One fetch serves all who need it. It happens at first use, in the background once the keys are `refreshAfter` old,
 * before an answer once they are `maxAge` old, and for an unknown key id, at most once per `cooldown`, so that forged
 * ids cannot make us hammer the issuer; within it, an unknown id that came after the last fetch may be that of a new
 * key, and is undecided rather than refused. After failures it pauses, 1 s at first, twice as long each time; meanwhile the
 * old keys count until `maxStale`. A key that a later document lacks is gone at once. No timers: an idle process
 * fetches nothing.
 */
export class SigningKeys {
  readonly #settings: Settings
  #keys: KeySet | undefined
  #fetchedAt = Number.NEGATIVE_INFINITY
  #attemptedAt = Number.NEGATIVE_INFINITY
  #failures = 0
  #retryAt = Number.NEGATIVE_INFINITY
  #pending: Promise<void> | undefined
  /** Until when keys may be used without thinking: the earliest time at which `find` would do more than look up. */
  #quietUntil = Number.NEGATIVE_INFINITY
  #generation = 0
  readonly #missing = new MissingIds()
  /** Fetches started so far, and which of them brought the keys. */
  #fetches = 0
  #fetchedBy = 0

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /** Changes whenever a key is removed or replaced: what was verified before counts no more. */
  get generation(): number {
    return this.#generation
  }

  /** Whether what was verified with these keys still counts now; refreshes them in the background when it is time. */
  trusted(now: number): boolean {
    // A clock that was set back must not stretch their life.
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
   * @param refetch - whether an unknown id may cause a fetch, and be remembered
   */
  find(kid: string, refetch: boolean): MaybePromise<KeyLookup> {
    const now = this.#settings.clock.now()
    // Before any fetch that it causes: what that brings is the answer to it.
    if (refetch && this.#keys?.has(kid) !== true) this.#missing.note(kid, this.#fetches)
    if (!this.trusted(now)) {
      // In an outage old keys are used at once, within `maxStale`: nobody waits for an answer that does not come.
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

  /** Fetches now unless a fetch is under way or failures demand a pause. */
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
    // While the issuer does not answer, an unknown id may be that of a new key: nobody can say that it is forged.
    if (this.#failures > 0) return this.#unavailable(now)
    if (this.#missing.isNobodys(kid, this.#fetchedBy)) return { outcome: 'unknown' }
    return { outcome: 'undecided', retryAfter: seconds(this.#cooldownLeft(now)) }
  }

  /** Milliseconds until an unknown id may cause a fetch; 0 where the clock was set back. */
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
    // A logger that throws must not become an unhandled rejection of a fetch in the background.
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
      logger?.warn('The signing keys of Cloudflare Access could not be fetched.', {
        issuer,
        reason: keys,
        failures: this.#failures,
        retryInSeconds: pause / 1_000,
      })
      return
    }
    if (this.#keys !== undefined && losesKey(this.#keys, keys)) this.#generation++
    for (const kid of this.#keys?.keys() ?? []) {
      // Removed: seen before this fetch, and not in what it brought.
      if (!keys.has(kid)) this.#missing.note(kid, this.#fetches - 1)
    }
    this.#keys = keys
    this.#fetchedBy = this.#fetches
    // Counted from when it was asked for: the document cannot be younger than that.
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
