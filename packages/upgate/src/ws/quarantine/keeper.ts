import type { IncomingMessage } from 'node:http'
import type { Allow, Refused } from '../../core/contract/decision.ts'
import type { Handshake, Refusal } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { createFaultLog, type FaultLog } from '../../core/faults/fault-log.ts'
import type { Secrets } from '../../core/faults/secrets.ts'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'
import { type AcquaintanceOptions, Acquaintances } from './acquaintances.ts'
import { Addresses, type Bucket } from './addresses.ts'
import { Deadlines, type Waiting } from './deadlines.ts'
import type { Limits } from './limits.ts'
import type { HeaderShapes } from './request-snapshot.ts'
import { type Occupant, Room } from './room.ts'
import type { QuarantineGate } from './types.ts'
import { Verifications } from './verifications.ts'

/** A socket whose close frame is sent: it is cut when the grace is over. */
export interface Leaving extends Waiting {
  terminate(): void
}

/** A quarantined socket, as the lists see it. */
export interface Quarantined extends Occupant, Waiting {
  readonly verifying: boolean
  /** Whether it is to be handed to this server. */
  isOf(wss: WebSocketServerLike): boolean
  leave(code: number, reason: string): void
  /** The deadline has passed. */
  overdue(wasVerifying: boolean): void
}

/** An accepted socket, as the lists see it. */
export interface Accepted extends Leaving {
  end(code: number, reason: string): void
  giveUpDelivery(): void
}

/** The renewal of credentials, as accepted sockets see it. */
export interface Renewals {
  accepted(socket: Accepted, ws: WebSocketLike, request: IncomingMessage): void
  released(socket: Accepted, ws: WebSocketLike): void
  hears(socket: Accepted, ws: WebSocketLike, data: unknown, isBinary: boolean): boolean
  closed(socket: Accepted): void
}

/** First frames after a 101 that HTTP's proof allowed, as accepted sockets see them. */
export interface ExpectedFrames<P extends Principal> {
  /** Refused ones that are held before their close frame. */
  readonly held: Set<unknown>
  expect(socket: Accepted, ws: WebSocketLike, request: IncomingMessage, decision: Allow<P>): void
  takes(socket: Accepted, ws: WebSocketLike, data: unknown, isBinary: boolean): boolean
  passed(socket: Accepted, ws: WebSocketLike): void
  closed(socket: Accepted): void
}

/** What all sockets of a quarantine share: limits, counts and timers. */
export class Keeper<P extends Principal> {
  readonly gate: QuarantineGate<P>
  readonly limits: Limits
  readonly addresses: Addresses
  /** What is known beyond a restart. */
  readonly acquaintances: Acquaintances | undefined
  readonly verifications: Verifications
  /** Waiting sockets of addresses without a recent success, in order of arrival; and the others. */
  readonly strangers: Deadlines<Quarantined>
  readonly acquainted: Deadlines<Quarantined>
  /** Overdue, and looked at once more before they are closed. */
  readonly overdue: Set<Quarantined> = new Set()
  readonly held: Set<Quarantined> = new Set()
  readonly leaving: Deadlines<Leaving>
  readonly accepted: Set<Accepted> = new Set()
  readonly anonymous: Set<Accepted> = new Set()
  /** Accepted sockets whose application has not yet listened for what came during verification. */
  readonly unheard: Deadlines<Accepted>
  /** Both are made with this keeper: `createQuarantine` hands them in before the first socket. */
  refreshes!: Renewals
  firstFrames!: ExpectedFrames<P>
  readonly room: Room<Quarantined>
  readonly headerShapes: HeaderShapes = new Map()
  draining = false
  /** Called when the last socket has gone. */
  whenEmpty: (() => void) | undefined
  readonly #watched: WeakSet<WebSocketServerLike> = new WeakSet()
  #live = 0
  #counter = 0
  readonly #prefix: string
  readonly #faults: FaultLog

  constructor(gate: QuarantineGate<P>, limits: Limits, acquaintances?: AcquaintanceOptions) {
    this.gate = gate
    this.limits = limits
    const { clock } = gate
    this.#faults = createFaultLog(gate)
    this.addresses = new Addresses(clock)
    this.acquaintances =
      acquaintances === undefined ? undefined : new Acquaintances(acquaintances, clock, gate.logger)
    this.room = new Room(limits)
    this.verifications = new Verifications(this.addresses, clock, limits)
    const expire = (due: readonly Quarantined[]) => this.#expire(due)
    this.strangers = new Deadlines<Quarantined>(clock, () => this.#strangersDeadline(), expire)
    this.acquainted = new Deadlines<Quarantined>(clock, () => limits.deadline, expire)
    this.leaving = new Deadlines<Leaving>(
      clock,
      () => limits.closeGrace,
      (due) => {
        for (const socket of due) socket.terminate()
      },
    )
    this.unheard = new Deadlines<Accepted>(
      clock,
      () => limits.deadline,
      (due) => {
        for (const socket of due) socket.giveUpDelivery()
      },
    )
    this.#prefix = Buffer.from(limits.randomBytes(6)).toString('base64url')
  }

  now(): number {
    return this.gate.clock.now()
  }

  /** Closes what waits for a server that was closed: nothing could be accepted any more. */
  watch(wss: WebSocketServerLike): void {
    if (this.#watched.has(wss)) return
    this.#watched.add(wss)
    wss.on('close', () => {
      for (const list of [this.strangers, this.acquainted, this.overdue]) {
        for (const socket of [...list]) if (socket.isOf(wss)) socket.leave(1001, 'shutdown')
      }
    })
  }

  nextId(): string {
    return `${this.#prefix}-${(++this.#counter).toString(36)}`
  }

  /** Whether one more refused socket may be held before it is closed. */
  mayHold(): boolean {
    const { hold, maxHeld } = this.limits
    return hold > 0 && this.held.size + this.firstFrames.held.size < maxHeld
  }

  /** From 0.5 to 1.5. */
  jitter(): number {
    return 0.5 + (this.limits.randomBytes(1)[0] ?? 0) / 255
  }

  born(): void {
    this.#live++
  }

  gone(): void {
    this.#live--
    if (this.#live === 0) this.whenEmpty?.()
  }

  get isEmpty(): boolean {
    return this.#live === 0
  }

  #underPressure(): boolean {
    return this.room.slots >= this.limits.maxSockets * this.limits.pressureShare
  }

  #strangersDeadline(): number {
    const { deadline, pressureDeadline } = this.limits
    return this.#underPressure() ? Math.min(pressureDeadline, deadline) : deadline
  }

  isAcquainted(bucket: Bucket): boolean {
    if (this.addresses.succeededWithin(bucket, this.limits.rememberSuccess)) return true
    return bucket !== this.addresses.unknown && this.acquaintances?.knows(bucket.key) === true
  }

  /** A principal was accepted from there, or its socket has gone only now. */
  succeeded(bucket: Bucket): void {
    this.addresses.succeeded(bucket)
    if (bucket !== this.addresses.unknown) this.acquaintances?.note(bucket.key)
  }

  takeSlot(socket: Quarantined): void {
    const relaxed = !this.#underPressure()
    this.room.take(socket)
    this.addresses.add(socket.bucket, 'sockets', 1)
    ;(socket.acquainted ? this.acquainted : this.strangers).add(socket)
    if (relaxed && this.#underPressure()) this.strangers.rearm()
  }

  releaseSlot(socket: Quarantined): void {
    this.room.release(socket)
    this.addresses.add(socket.bucket, 'sockets', -1)
  }

  /** Takes a socket off the list of those that wait. */
  stopWaiting(socket: Quarantined): void {
    if (!(socket.acquainted ? this.acquainted : this.strangers).delete(socket)) this.overdue.delete(socket)
  }

  /**
   * A blocked event loop runs the timer before it reads what has long arrived: two turns of the loop let a frame
   * that is already here be read first.
   */
  #expire(due: readonly Quarantined[]): void {
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

  /** A bug in a handshake, or a peer that found one. `secrets` adds what the exception may quote. */
  handshakeThrew(
    handshake: Pick<Handshake, 'name'> | undefined,
    hook: string,
    error: unknown,
    secrets: (secrets: Secrets) => void,
  ): void {
    const place = { handshake: handshake?.name ?? '', hook }
    this.#faults.report({ message: 'A handshake threw.', place, error, secrets })
  }

  /** A gate that broke its word, or whatever stands in for one. */
  verificationThrew(error: unknown, secrets: (secrets: Secrets) => void): void {
    this.#faults.report({ message: 'A verification threw.', place: {}, error, secrets })
  }

  refusedEvent(
    path: string,
    clientAddress: string | undefined,
    refusal: Refusal & Pick<Partial<Refused>, 'scheme' | 'note'>,
    closeCode: number,
  ): void {
    const { events } = this.gate
    if (!events.active) return
    const place = { method: 'GET', path: path.slice(0, 256), clientAddress }
    const { code, detail, scheme, note } = refusal
    events.emit({ at: this.now(), type: 'socket_refused', place, code, detail, closeCode, scheme, note })
  }
}
