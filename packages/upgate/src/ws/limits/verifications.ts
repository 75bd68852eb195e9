import type { Clock } from '../../core/ports/clock.ts'
import type { Addresses, Bucket } from './addresses.ts'
import { Deadlines } from './deadlines.ts'

/** The client that asks for a verification. */
export interface Asking {
  readonly bucket: Bucket
  readonly acquainted: boolean
}

/** One verification under way. */
export interface Verification extends Asking {
  since: number
  /** Called when it took too long. */
  readonly timedOut: () => void
}

interface Turn {
  readonly asking: Asking
  readonly start: () => void
}

/**
 * Bounds the verifications in flight, in all and per address. Further ones wait in order of arrival; an address at
 * its limit lets others pass. Addresses that succeeded before go first, and a share is reserved for them: otherwise
 * many strangers could keep them waiting until their deadline.
 *
 * A verification counts until it ends or times out, also when its socket is gone: else a peer could pile them
 * up by reconnecting.
 */
export class Verifications {
  readonly #addresses: Addresses
  readonly #limit: number
  readonly #strangersLimit: number
  readonly #perAddress: number
  readonly #running: Deadlines<Verification>
  #strangersRunning = 0
  readonly #turns: readonly [acquainted: Set<Turn>, strangers: Set<Turn>] = [new Set(), new Set()]

  constructor(
    addresses: Addresses,
    clock: Clock,
    limits: {
      readonly verifyTimeout: number
      readonly maxVerifying: number
      readonly maxVerifyingPerAddress: number
      readonly reservedShare: number
    },
  ) {
    this.#addresses = addresses
    this.#limit = limits.maxVerifying
    this.#strangersLimit = Math.max(1, Math.ceil(limits.maxVerifying * (1 - limits.reservedShare)))
    this.#perAddress = limits.maxVerifyingPerAddress
    this.#running = new Deadlines<Verification>(
      clock,
      () => limits.verifyTimeout,
      (late) => {
        for (const verification of late) {
          this.#ended(verification)
          verification.timedOut()
        }
        this.#next()
      },
    )
  }

  /** Whether another may start now. */
  mayStart({ bucket, acquainted }: Asking): boolean {
    return (
      this.#running.size < this.#limit &&
      (acquainted || this.#strangersRunning < this.#strangersLimit) &&
      this.#addresses.fits(bucket, 'verifying', this.#perAddress)
    )
  }

  /** Queues a start. Returns its cancellation. */
  wait(asking: Asking, start: () => void): () => void {
    const turn: Turn = { asking, start }
    const turns = this.#turns[asking.acquainted ? 0 : 1]
    turns.add(turn)
    return () => void turns.delete(turn)
  }

  /** Counts one that has to be awaited. */
  begin({ bucket, acquainted }: Asking, timedOut: () => void): Verification {
    const verification: Verification = { since: 0, bucket, acquainted, timedOut }
    if (!acquainted) this.#strangersRunning++
    this.#addresses.add(bucket, 'verifying', 1)
    this.#running.add(verification)
    return verification
  }

  /** Stops counting a verification; false if it had timed out, in which case its answer must not be used. */
  end(verification: Verification): boolean {
    if (!this.#running.delete(verification)) return false
    this.#ended(verification)
    this.#next()
    return true
  }

  #ended({ bucket, acquainted }: Asking): void {
    if (!acquainted) this.#strangersRunning--
    this.#addresses.add(bucket, 'verifying', -1)
  }

  #next(): void {
    for (const turns of this.#turns) {
      for (const turn of turns) {
        if (this.#running.size >= this.#limit) return
        if (!turn.asking.acquainted && this.#strangersRunning >= this.#strangersLimit) return
        if (!this.mayStart(turn.asking)) continue
        turns.delete(turn)
        turn.start()
      }
    }
  }
}
