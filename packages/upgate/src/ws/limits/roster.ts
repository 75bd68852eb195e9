import type { EndReason } from '../../core/contract/client-families.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { WebSocketServerLike } from '../socket/web-socket-like.ts'
import type { Capacity } from './capacity.ts'
import { Deadlines, type Waiting } from './deadlines.ts'
import type { Limits } from './limits.ts'
import type { Occupant } from './room.ts'

/** A socket whose close frame is sent: it is cut when the grace is over. */
export interface Leaving extends Waiting {
  terminate(): void
}

/** A socket between its upgrade and its acceptance, as the roster sees it. */
export interface Newcomer extends Leaving, Occupant {
  readonly verifying: boolean
  isOf(wss: WebSocketServerLike): boolean
  overdue(wasVerifying: boolean): void
  leave(code: number, reason: string): void
}

/** An accepted socket, as the roster sees it. */
export interface Member extends Leaving {
  endAs(reason: EndReason, standardCode: number, text: string): void
}

/** Messages of an accepted socket that its application does not listen for yet. */
export interface Unheard extends Waiting {
  giveUp(): void
}

/** Numbers of sockets by state. */
export interface QuarantineCounts {
  /** Waiting for their credential, or for its verification. */
  readonly quarantined: number
  /** Of these, how many are being verified or wait for their turn. */
  readonly verifying: number
  /** Refused, and not yet gone. */
  readonly refused: number
  /** Accepted with a principal. */
  readonly accepted: number
  /** Accepted without one, on public and optional paths. */
  readonly anonymous: number
}

/** Every socket of a quarantine, by its stage; each stage that must end has its timer here. */
export class Roster {
  /** Waiting sockets of addresses without a recent success, in order of arrival. */
  readonly strangers: Deadlines<Newcomer>
  /** Waiting sockets of addresses that succeeded before. */
  readonly acquainted: Deadlines<Newcomer>
  /** Past the deadline, until the frames that have arrived are read. */
  readonly overdue: Set<Newcomer> = new Set()
  /** Refused, and held before the close frame. */
  readonly held: Set<Newcomer> = new Set()
  /** Refused and held as well: sockets that HTTP had let in, with a refused credential in the first frame. */
  readonly heldFirst: Set<object> = new Set()
  readonly leaving: Deadlines<Leaving>
  readonly accepted: Set<Member> = new Set()
  /** Accepted without a principal. */
  readonly anonymous: Set<Member> = new Set()
  /** Accepted, while the application does not listen yet for what came during verification. */
  readonly unheard: Deadlines<Unheard>
  draining = false
  /** Called when the last socket has gone. */
  #whenEmpty: (() => void)[] = []
  readonly #limits: Limits
  readonly #watched: WeakSet<WebSocketServerLike> = new WeakSet()
  readonly #prefix: string
  #live = 0
  #counter = 0
  readonly #clock: Clock
  readonly #start: number

  constructor(limits: Limits, clock: Clock, capacity: Capacity) {
    this.#limits = limits
    this.#clock = clock
    this.#start = clock.now()
    const expire = (due: readonly Newcomer[]) => this.#expire(due)
    this.strangers = new Deadlines<Newcomer>(clock, () => capacity.strangersDeadline, expire)
    this.acquainted = new Deadlines<Newcomer>(clock, () => limits.deadline, expire)
    this.leaving = new Deadlines<Leaving>(
      clock,
      () => limits.closeGrace,
      (due) => {
        for (const socket of due) socket.terminate()
      },
    )
    this.unheard = new Deadlines<Unheard>(
      clock,
      () => limits.deadline,
      (due) => {
        for (const messages of due) messages.giveUp()
      },
    )
    this.#prefix = Buffer.from(limits.randomBytes(6)).toString('base64url')
  }

  /** The number of the next accepted socket. */
  nextNumber(): number {
    return ++this.#counter
  }

  /** The id of an accepted socket; the number is kept instead, and costs nothing. */
  idOf(number: number): string {
    return `${this.#prefix}-${number.toString(36)}`
  }

  /** Milliseconds since this roster was made: small integers, up to 24 days, cost a socket no memory of their own. */
  elapsed(): number {
    return this.#clock.now() - this.#start
  }

  /** Milliseconds since the epoch. */
  timeOf(elapsed: number): number {
    return this.#start + elapsed
  }

  /** Closes the waiting sockets of a server when it is closed: it cannot accept them any more. */
  watch(wss: WebSocketServerLike): void {
    if (this.#watched.has(wss)) return
    this.#watched.add(wss)
    wss.on('close', () => {
      for (const list of [this.strangers, this.acquainted, this.overdue]) {
        for (const socket of [...list]) if (socket.isOf(wss)) socket.leave(1001, 'shutdown')
      }
    })
  }

  /** A socket begins to wait. `pressed`: its slot began the pressure. */
  waits(socket: Newcomer, pressed: boolean): void {
    ;(socket.acquainted ? this.acquainted : this.strangers).add(socket)
    if (pressed) this.strangers.rearm()
  }

  stopsWaiting(socket: Newcomer): void {
    if (!(socket.acquainted ? this.acquainted : this.strangers).delete(socket)) this.overdue.delete(socket)
  }

  /** Whether one more refused socket may be held before it is closed. */
  mayHold(): boolean {
    const { hold, maxHeld } = this.#limits
    return hold > 0 && this.held.size + this.heldFirst.size < maxHeld
  }

  /** Milliseconds to hold one refused socket: half to one and a half times the limit. */
  holdTime(): number {
    const jitter = 0.5 + (this.#limits.randomBytes(1)[0] ?? 0) / 255
    return Math.round(this.#limits.hold * jitter)
  }

  born(): void {
    this.#live++
  }

  gone(): void {
    this.#live--
    if (this.#live === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  /** Numbers of sockets by stage; `slots`: those of all sockets that are not accepted. */
  counts(slots: number): QuarantineCounts {
    const waiting = [...this.strangers, ...this.acquainted, ...this.overdue]
    return {
      quarantined: waiting.length,
      verifying: waiting.filter((socket) => socket.verifying).length,
      refused: slots - waiting.length,
      accepted: this.accepted.size,
      anonymous: this.anonymous.size,
    }
  }

  /** Closes every socket, and resolves when the last one has gone. From now on no socket is accepted. */
  async drain(code: number, reason: string): Promise<void> {
    this.draining = true
    for (const list of [this.strangers, this.acquainted, this.overdue, this.held]) {
      for (const socket of [...list]) socket.leave(code, reason)
    }
    for (const list of [this.accepted, this.anonymous]) {
      for (const socket of [...list]) socket.endAs(code === 1012 ? 'restart' : 'shutdown', code, reason)
    }
    if (this.#live > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
  }

  /**
   * A blocked event loop runs the timer before it reads what has long arrived: two turns of the loop let a frame
   * that is already here be read first.
   */
  #expire(due: readonly Newcomer[]): void {
    const wasVerifying = due.map((socket) => socket.verifying)
    for (const socket of due) this.overdue.add(socket)
    setImmediate(() =>
      setImmediate(() => {
        due.forEach((socket, i) => {
          if (this.overdue.delete(socket)) socket.overdue(wasVerifying[i] === true)
        })
      }),
    )
  }
}
