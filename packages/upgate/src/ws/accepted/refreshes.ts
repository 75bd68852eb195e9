import type { IncomingMessage } from 'node:http'
import type { InBand, Refused, Resumption } from '../../core/contract/decision.ts'
import type { Handshake, OutgoingFrame, Refusal } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { Timer } from '../../core/ports/clock.ts'
import { type AttachedSocket, attached, emitAsUsual, intercept, isOpen } from '../socket/attached.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import { isReadable } from '../talk/answers.ts'
import type { Shared } from '../talk/shared.ts'
import type { AcceptedSocket, Renewal } from './accepted-socket.ts'
import { type Accepted, Refreshable } from './refreshable.ts'

/** Milliseconds before the expiry at which a client is warned. */
const noticeBefore = 60_000
/** Milliseconds between two scans for sockets about to expire, and how many are warned per turn. */
const noticeInterval = 1_000
const noticesAtOnce = 250
/** Milliseconds until the next turn, where one turn did not reach all of them. */
const noticePause = 10
/** Bytes: no credential is longer, and no more of the application's data is parsed. */
const longestFrame = 16_384

/** Renews the credentials of accepted sockets. Sockets that may not ask for it in band cost nothing. */
export class Refreshes<P extends Principal> implements Renewal<P> {
  readonly #shared: Shared<P>
  readonly #sockets: WeakMap<AcceptedSocket<P>, Refreshable<P>> = new WeakMap()
  /** Sockets to be warned before their credential expires. */
  readonly #unnoticed: Set<Refreshable<P>> = new Set()
  #timer: Timer | undefined
  #armedFor = Number.POSITIVE_INFINITY

  constructor(shared: Shared<P>) {
    this.#shared = shared
  }

  /** Registers an accepted socket for refreshes, where its protocol has them. */
  accepted(socket: AcceptedSocket<P>, ws: WebSocketLike, request: IncomingMessage): void {
    const decision = this.#shared.gate.decisionOf(request)
    if (decision?.outcome !== 'allow' || decision.rule.handshake?.refresh === undefined) return
    const refreshable = new Refreshable(this.#shared, socket, ws, request, decision)
    this.#sockets.set(socket, refreshable)
    intercept(ws, emitRefreshable)
    this.#notice(refreshable)
  }

  /** Gives the socket's messages back to the application. */
  released(socket: AcceptedSocket<P>, ws: WebSocketLike): void {
    if (this.#sockets.get(socket)?.refresh !== undefined) intercept(ws, emitRefreshable)
  }

  /** The socket has gone. */
  closed(socket: AcceptedSocket<P>): void {
    const refreshable = this.#sockets.get(socket)
    if (refreshable === undefined) return
    this.#unnoticed.delete(refreshable)
    if (this.#unnoticed.size === 0) this.#disarm()
    refreshable.closed()
  }

  /** Whether a message was a refresh; the application then does not see it. */
  hears(socket: AcceptedSocket<P>, ws: WebSocketLike, data: unknown, isBinary: boolean): boolean {
    const refreshable = this.#sockets.get(socket)
    const handshake = refreshable?.handshake
    if (refreshable === undefined || handshake?.refresh === undefined) return false
    if (isBinary || !Buffer.isBuffer(data) || data.length > longestFrame) return false
    if (!data.includes(handshake.refresh.marker)) return false
    const text = data.toString()
    const step = this.#shared.talk.renewal(handshake, text)
    if (step === undefined) return false
    // The application has closed the socket already: an answer could not be sent.
    if (!isOpen(ws)) return true
    const answer = (resumption: Resumption<P>): void => {
      this.#answerInBand(refreshable, handshake, ws, resumption, text)
    }
    if (step.step === 'threw') answer(refreshable.malformed(step.refusal))
    else if (step.step === 'reject') answer(refreshable.malformed(refuse(step.code, { detail: step.detail })))
    // A listener of `refreshed` learns that the newer credential grants less.
    else refreshable.attempt(step, ws.listenerCount('refreshed') > 0, answer)
    return true
  }

  #answerInBand(
    refreshable: Refreshable<P>,
    handshake: Handshake,
    ws: WebSocketLike,
    answer: Resumption<P>,
    text: string,
  ): void {
    const { socket } = refreshable
    const { talk } = this.#shared
    if (socket.endReason !== undefined || !isOpen(ws)) return
    let refused: Refused | undefined
    if (answer.outcome === 'allow') {
      const frames = talk.renewed(handshake, answer, text)
      // The handshake could not write the answer: the old credential stays in force.
      if (frames === undefined) return
      refused = this.#renew(refreshable, ws, answer, frames)
    } else {
      refused = answer
    }
    if (refused !== undefined) {
      this.#refused(refreshable, ws, refused, talk.renewalRefused(handshake, refused, text))
    }
  }

  #renew(
    refreshable: Refreshable<P>,
    ws: WebSocketLike,
    answer: Accepted<P>,
    frames: readonly OutgoingFrame[],
  ): Refused | undefined {
    const { socket } = refreshable
    const { events } = this.#shared.gate
    const { principal } = answer
    const previous = socket.principal
    const revoked = refreshable.swap(answer)
    if (revoked !== undefined) return revoked
    for (const frame of frames) ws.send(frame)
    if (refreshable.refresh !== undefined) this.#notice(refreshable)
    if (events.active) {
      events.emit({
        at: this.#shared.gate.clock.now(),
        type: 'socket_refreshed',
        principal,
        connectionId: socket.id,
      })
    }
    socket.tell('refreshed', principal, previous)
    return undefined
  }

  #refused(
    refreshable: Refreshable<P>,
    ws: WebSocketLike,
    refusal: Refused,
    frames: readonly OutgoingFrame[],
  ): void {
    const { gate } = this.#shared
    const { principal, id: connectionId } = refreshable.socket
    for (const frame of frames) ws.send(frame)
    if (gate.events.active && principal !== undefined) {
      const { code, detail, scheme, note } = refusal
      const at = this.#shared.gate.clock.now()
      const said = { code, detail, scheme, note }
      gate.events.emit({ at, type: 'socket_refresh_refused', ...said, principal, connectionId })
    }
    this.#endAfter(refreshable, refusal)
  }

  #endAfter(refreshable: Refreshable<P>, refusal: Refusal): void {
    if (!refreshable.isLast(refusal)) return
    const { socket } = refreshable
    if (refusal.code === 'principal_mismatch') socket.end(this.#shared.limits.revokedCode, refusal.code)
    else socket.end(4429, 'too_many_failures')
  }

  /**
   * Refreshes with a credential that the application read from a message of its own protocol. Never rejects.
   *
   * @throws TypeError for a socket that was not accepted here, or a request that is not the socket's
   */
  renew(ws: WebSocketLike, request: IncomingMessage, inBand: InBand): Promise<Resumption<P>> {
    const socket = (ws as AttachedSocket<AcceptedSocket<P>>)[attached]
    const decision = this.#shared.gate.decisionOf(request)
    if (typeof socket?.renew !== 'function' || decision?.outcome !== 'allow') {
      throw new TypeError(
        'refresh: give it a socket that was accepted here, and the request that came with it in `connection`.',
      )
    }
    const { rule, principal } = decision
    if (principal === undefined || socket.principal !== principal) {
      const detail = 'The socket was not accepted as the principal of this request.'
      return Promise.resolve(refuse('principal_mismatch', { rule, detail }))
    }
    if (socket.endReason !== undefined || !isOpen(ws)) {
      return Promise.resolve(refuse('revoked_credential', { rule, detail: 'The socket is closed.' }))
    }
    const known = this.#sockets.get(socket)
    const refreshable = known ?? new Refreshable(this.#shared, socket, ws, request, decision)
    if (known === undefined) this.#sockets.set(socket, refreshable)
    return new Promise((resolve) => {
      if (!isReadable(inBand)) {
        const detail = 'The message carries nothing that could be a credential.'
        const answer = refreshable.malformed(refuse('bad_handshake', { rule, detail }))
        resolve(answer)
        setImmediate(() => this.#refused(refreshable, ws, answer, []))
        return
      }
      refreshable.attempt(inBand, true, (answer) => {
        const refused = answer.outcome === 'allow' ? this.#renew(refreshable, ws, answer, []) : answer
        resolve(refused ?? answer)
        // Leaves the application one turn to send its own answer before the socket is closed.
        if (refused !== undefined) setImmediate(() => this.#refused(refreshable, ws, refused, []))
      })
    })
  }

  #notice(refreshable: Refreshable<P>): void {
    this.#unnoticed.delete(refreshable)
    const expiresAt = refreshable.socket.principal?.expiresAt
    if (expiresAt === undefined || refreshable.refresh?.expiring === undefined) return
    this.#unnoticed.add(refreshable)
    this.#arm(expiresAt - noticeBefore, noticeInterval)
  }

  #arm(at: number, atLeast: number): void {
    if (this.#timer !== undefined && this.#armedFor <= at) return
    this.#disarm()
    this.#armedFor = at
    const wait = Math.max(at - this.#shared.gate.clock.now(), atLeast)
    // Timers take a signed 32-bit number of milliseconds; beyond it they would fire at once.
    this.#timer = this.#shared.gate.clock.setTimer(Math.min(wait, 2 ** 31 - 1), () => this.#look())
  }

  #disarm(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
  }

  /** All are looked at, at most once a second: cheaper than keeping them in order, and one timer for all. */
  #look(): void {
    this.#disarm()
    const now = this.#shared.gate.clock.now()
    let next = Number.POSITIVE_INFINITY
    let told = 0
    for (const refreshable of this.#unnoticed) {
      const at = (refreshable.socket.principal?.expiresAt ?? Number.POSITIVE_INFINITY) - noticeBefore
      if (at > now || told >= noticesAtOnce) {
        next = Math.min(next, at)
        continue
      }
      this.#unnoticed.delete(refreshable)
      told++
      refreshable.warn(now)
    }
    if (this.#unnoticed.size > 0) this.#arm(next, told >= noticesAtOnce ? noticePause : noticeInterval)
  }
}

type Owned = AttachedSocket<AcceptedSocket<Principal>>

/** Replaces `emit`: messages that refresh a credential do not reach the application. */
function emitRefreshable(this: Owned, event: string | symbol, a?: unknown, b?: unknown): boolean {
  if (event === 'message' && this[attached]?.hears(a, b === true) === true) return true
  return emitAsUsual(this, event, a, b)
}
