import type { Clock } from '../core/ports/clock.ts'
import type { Addresses, Bucket } from './addresses.ts'
import { Deadlines } from './deadlines.ts'

/** One verification under way. */
export interface Verification {
  since: number
  readonly bucket: Bucket
  /** Called when it took too long. */
  readonly timedOut: () => void
}

interface Turn {
  readonly bucket: Bucket
  readonly start: () => void
}

/**
 * Bounds the verifications in flight, in all and per address. Beyond, they wait for their turn in order of
 * arrival, except that an address which has all it may have lets others pass.
 *
 * A verification counts until it ends or times out, also when its socket is gone: else a peer could pile them
 * up by reconnecting.
 */
export class Verifications {
  readonly #addresses: Addresses
  readonly #limit: number
  readonly #perAddress: number
  readonly #running: Deadlines<Verification>
  readonly #turns: Set<Turn> = new Set()

  constructor(
    addresses: Addresses,
    clock: Clock,
    limits: {
      readonly verifyTimeout: number
      readonly maxVerifying: number
      readonly maxVerifyingPerAddress: number
    },
  ) {
    this.#addresses = addresses
    this.#limit = limits.maxVerifying
    this.#perAddress = limits.maxVerifyingPerAddress
    this.#running = new Deadlines<Verification>(
      clock,
      () => limits.verifyTimeout,
      (late) => {
        for (const verification of late) {
          this.#addresses.add(verification.bucket, 'verifying', -1)
          verification.timedOut()
        }
        this.#next()
      },
    )
  }

  /** Whether another may start now. */
  mayStart(bucket: Bucket): boolean {
    return this.#running.size < this.#limit && this.#addresses.fits(bucket, 'verifying', this.#perAddress)
  }

  /** Queues a start. Returns its cancellation. */
  wait(bucket: Bucket, start: () => void): () => void {
    const turn: Turn = { bucket, start }
    this.#turns.add(turn)
    return () => void this.#turns.delete(turn)
  }

  /** Counts one that has to be awaited. */
  begin(bucket: Bucket, timedOut: () => void): Verification {
    const verification: Verification = { since: 0, bucket, timedOut }
    this.#addresses.add(bucket, 'verifying', 1)
    this.#running.add(verification)
    return verification
  }

  /** Counts it no more; false when it had timed out before: its answer must not be used. */
  end(verification: Verification): boolean {
    if (!this.#running.delete(verification)) return false
    this.#addresses.add(verification.bucket, 'verifying', -1)
    this.#next()
    return true
  }

  #next(): void {
    for (const turn of this.#turns) {
      if (this.#running.size >= this.#limit) return
      if (!this.mayStart(turn.bucket)) continue
      this.#turns.delete(turn)
      turn.start()
    }
  }
}
