import type { Principal } from '../../core/contract/principal.ts'
import type { Clock, Timer } from '../../core/ports/clock.ts'

/** Milliseconds before the expiry at which a client is warned. */
const noticeBefore = 60_000
/** Milliseconds between two scans for sockets about to expire, and how many are warned per turn. */
const noticeInterval = 1_000
const noticesAtOnce = 250
/** Milliseconds until the next turn, where one turn did not reach all of them. */
const noticePause = 10

/** A socket that may have to be warned. */
export interface Expiring {
  readonly socket: { readonly principal: Principal | undefined }
  /** Tells the client that the credential is about to expire. */
  warn(now: number): void
}

/** Sockets to be warned, once, a minute before their credential expires. */
export class ExpiryNotices {
  readonly #clock: Clock
  readonly #waiting: Set<Expiring> = new Set()
  #timer: Timer | undefined
  #armedFor = Number.POSITIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Warns the socket before its credential expires, again after each renewal. */
  add(expiring: Expiring): void {
    this.#waiting.delete(expiring)
    const expiresAt = expiring.socket.principal?.expiresAt
    if (expiresAt === undefined) return
    this.#waiting.add(expiring)
    this.#arm(expiresAt - noticeBefore, noticeInterval)
  }

  delete(expiring: Expiring): void {
    this.#waiting.delete(expiring)
    if (this.#waiting.size === 0) this.#disarm()
  }

  #arm(at: number, atLeast: number): void {
    if (this.#timer !== undefined && this.#armedFor <= at) return
    this.#disarm()
    this.#armedFor = at
    const wait = Math.max(at - this.#clock.now(), atLeast)
    // Timers take a signed 32-bit number of milliseconds; beyond it they would fire at once.
    this.#timer = this.#clock.setTimer(Math.min(wait, 2 ** 31 - 1), () => this.#look())
  }

  #disarm(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
  }

  /** Looks at all sockets, at most once a second: cheaper than keeping them in order, and one timer for all. */
  #look(): void {
    this.#disarm()
    const now = this.#clock.now()
    let next = Number.POSITIVE_INFINITY
    let told = 0
    for (const expiring of this.#waiting) {
      const at = (expiring.socket.principal?.expiresAt ?? Number.POSITIVE_INFINITY) - noticeBefore
      if (at > now || told >= noticesAtOnce) {
        next = Math.min(next, at)
        continue
      }
      this.#waiting.delete(expiring)
      told++
      expiring.warn(now)
    }
    if (this.#waiting.size > 0) this.#arm(next, told >= noticesAtOnce ? noticePause : noticeInterval)
  }
}
