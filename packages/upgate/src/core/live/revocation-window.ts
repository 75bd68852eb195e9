import type { Moment } from '../contract/connections.ts'
import type { Principal } from '../contract/principal.ts'
import { type RevocationReason, type RevocationSelector, selects } from '../ports/revocations.ts'

/** Newest revocations that are kept; a verification that more of them overtook has to be repeated. */
const kept = 1024

interface Recorded {
  readonly selector: RevocationSelector
  readonly reason: RevocationReason
}

/**
 * The newest revocations, so that one that arrives during a verification wins.
 *
 * The one mechanism for it: take {@link RevocationWindow.now} before anything is read or verified, and ask
 * {@link RevocationWindow.since} with that moment before the answer counts.
 */
export class RevocationWindow {
  readonly #ring: Recorded[] = []
  #count = 0

  record(selector: RevocationSelector, reason: RevocationReason): void {
    this.#ring[this.#count++ % kept] = { selector, reason }
  }

  /** The moment after the newest revocation. */
  now(): Moment {
    return this.#count as Moment
  }

  /**
   * Why a principal that was verified at a moment does not count, or `undefined` if it does.
   *
   * @returns `unavailable` where more revocations came than are kept: verify again, never accept
   */
  since(moment: Moment, principal: Principal): RevocationReason | undefined {
    // Written so that anything but a moment of this window, such as a missing one, is an answer to verify again.
    if (!(this.#count - moment <= kept)) return 'unavailable'
    for (let i: number = moment; i < this.#count; i++) {
      const { selector, reason } = this.#ring[i % kept] as Recorded
      if (selects(selector, principal)) return reason
    }
    return undefined
  }
}
