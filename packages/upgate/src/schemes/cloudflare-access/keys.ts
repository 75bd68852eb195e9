import type { KeyObject } from 'node:crypto'
import type { MaybePromise } from '../../core/credential.ts'
import { andThen } from '../../core/maybe-promise.ts'
import { type KeySet, losesKey, readKeySet } from './key-set.ts'
import { fetchJson } from './limited-fetch.ts'
import type { Settings } from './options.ts'
import type { AccessKeyStatus } from './types.ts'

/** What a look-up yields. */
export type KeyLookup =
  | { readonly outcome: 'found'; readonly key: KeyObject }
  | { readonly outcome: 'unknown' }
  /** `retryAfter` in seconds. */
  | { readonly outcome: 'unavailable'; readonly retryAfter: number }

/**
 * The signing keys of the team, and when to fetch them.
 *
 * One fetch serves all who need it. It happens at first use, in the background once the keys are `refreshAfter` old,
 * before an answer once they are `maxAge` old, and for an unknown key id, at most once per `cooldown`, so that forged
 * ids cannot make us hammer the issuer. After failures it pauses, 1 s at first, twice as long each time; meanwhile the
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

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /** Changes whenever a key is removed or replaced: what was verified before counts no more. */
  get generation(): number {
    return this.#generation
  }

  /** Whether what was verified with these keys still counts now; refreshes them in the background when it is time. */
  trusted(now: number): boolean {
    if (now < this.#quietUntil) return true
    if (this.#keys === undefined || now >= this.#fetchedAt + this.#settings.keys.maxStale) return false
    if (this.#failures === 0 && now >= this.#fetchedAt + this.#settings.keys.maxAge) return false
    this.#refresh(now)
    return true
  }

  /**
   * Finds a key by id.
   *
   * @param refetch - whether an unknown id may cause a fetch
   */
  find(kid: string, refetch: boolean): MaybePromise<KeyLookup> {
    const now = this.#settings.clock.now()
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
    if (this.#pending === undefined && now < this.#attemptedAt + this.#settings.keys.cooldown) return found
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
    return this.#failures > 0 ? this.#unavailable(now) : { outcome: 'unknown' }
  }

  #unavailable(now: number): KeyLookup {
    return { outcome: 'unavailable', retryAfter: Math.max(1, Math.ceil((this.#retryAt - now) / 1_000)) }
  }

  #refresh(now: number): MaybePromise<void> {
    if (this.#pending !== undefined) return this.#pending
    if (now < this.#retryAt) return undefined
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
    const fetched = await fetchJson(limits.url, fetchHeaders, limits.timeout, fetch, clock)
    const keys =
      fetched.outcome === 'failed'
        ? fetched.reason
        : fetched.status === 200
          ? readKeySet(fetched.json, this.#keys)
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
    this.#keys = keys
    // Counted from when it was asked for: the document cannot be younger than that.
    this.#fetchedAt = startedAt
    this.#failures = 0
    this.#retryAt = Number.NEGATIVE_INFINITY
    this.#quietUntil = startedAt + limits.refreshAfter
  }
}
