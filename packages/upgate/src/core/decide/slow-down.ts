import { isPromiseLike } from '../async/maybe-promise.ts'
import type { MaybePromise } from '../contract/credential.ts'
import type { Decision } from '../contract/decision.ts'
import type { Principal } from '../contract/principal.ts'
import type { Clock } from '../ports/clock.ts'
import { networksOf } from '../request/networks.ts'

const minute = 60_000
/** Wrong credentials in a minute of one address, or of one IPv6 /64, that are answered at once. */
const limit = 10
/** Wrong credentials in a minute of all clients without a known address together. */
const limitOfUnknown = 1_000
/** Milliseconds an answer is held back. */
const hold = 1_000
/** Answers held back at a time; further ones are given at once: holding must not be a way to fill the memory. */
const maxHeld = 256
/** Networks counted in one minute. */
const maxNetworks = 10_000

/**
 * Delays the answer to a wrong credential when its network sent too many within a minute.
 *
 * Tokens cannot be guessed, so they lock out no client: a stale node behind a shared address must not shut out
 * its neighbours. But a client that sends one wrong token after another gets its answers slowly. Allowed requests,
 * requests without a credential, and answers 503 are never held.
 */
export class SlowDown<P extends Principal> {
  readonly #clock: Clock
  #counts = new Map<string, number>()
  #since: number
  #held = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.now()
  }

  /** Passes a decision on, later where it is a wrong credential too many. */
  pass(decision: MaybePromise<Decision<P>>, address: () => string | undefined): MaybePromise<Decision<P>> {
    if (isPromiseLike(decision)) return decision.then((settled) => this.#pass(settled, address))
    return decision.outcome === 'challenge' ? this.#pass(decision, address) : decision
  }

  #pass(decision: Decision<P>, address: () => string | undefined): MaybePromise<Decision<P>> {
    if (decision.outcome !== 'challenge') return decision
    if (decision.code === 'auth_required' || decision.code === 'setup_required') return decision
    if (!this.#isTooMany(address()) || this.#held >= maxHeld) return decision
    this.#held++
    return new Promise((resolve) => {
      this.#clock.setTimer(hold, () => {
        this.#held--
        resolve(decision)
      })
    })
  }

  #isTooMany(address: string | undefined): boolean {
    const now = this.#clock.now()
    if (now - this.#since >= minute || now < this.#since) {
      this.#counts = new Map()
      this.#since = now
    }
    if (address === undefined) return this.#count('', limitOfUnknown)
    let tooMany = false
    for (const { key, factor } of networksOf(address)) {
      if (this.#count(key, limit * factor)) tooMany = true
    }
    return tooMany
  }

  #count(key: string, most: number): boolean {
    const count = this.#counts.get(key) ?? 0
    // A client with very many addresses: requests beyond the count are not slowed, and nothing else suffers.
    if (count === 0 && this.#counts.size >= maxNetworks) return false
    this.#counts.set(key, count + 1)
    return count >= most
  }
}
