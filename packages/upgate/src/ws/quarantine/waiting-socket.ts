import type { RefusalCode } from '../../core/contract/codes.ts'
import type { Defer, Refused, Resumption } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { SharedByAccepted } from '../accepted/shared.ts'
import { isOpen } from '../socket/attached.ts'
import type { Message } from '../socket/message.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import { Attempt, type Claimant, type Found } from '../talk/attempt.ts'
import { countsAsFailure } from '../talk/failures.ts'
import type { Answer101 } from './answer-by-hand.ts'
import type { BareListener, BareSocket, Speaker } from './bare-socket.ts'
import { Conversation, type Subject } from './conversation.ts'
import { type Acceptable, handOver, makeReady } from './hand-over.ts'
import { dress } from './late-upgrade.ts'
import { SlotHolder } from './slot-holder.ts'
import { checking, gone, isRefused, type State, silent, talkOf } from './state.ts'
import { countBytes, type Listener, letGo, takeOver } from './wire.ts'

const nothing = Buffer.alloc(0)

/**
 * A socket between the upgrade and its acceptance or refusal. This file is its life, from top to bottom; `state.ts`
 * shows the states.
 */
export class WaitingSocket<P extends Principal>
  extends SlotHolder<P>
  implements Claimant<P>, Subject, Listener, BareListener
{
  #state: State<P> = checking
  #bytes = 0
  #controlFrames = 0
  #attempts = 0

  /** It takes a slot, and its deadline begins. */
  constructor(shared: SharedByAccepted<P>, arrival: BareSocket<P>) {
    super(shared, arrival)
    this.takeSlot()
  }

  /** Answers 101 in the place of the server, which makes its WebSocket object later. */
  answer(answer: Answer101): void {
    const bare = this.arrival
    const { decision, raw } = bare
    if (!raw.readable || !raw.writable) {
      // Its client ended while the upgrade was decided. Its `close` has no listener yet.
      raw.destroy()
      this.closed()
      return
    }
    // One packet with the greeting, where there is one.
    raw.cork()
    raw.write(answer.text, 'latin1')
    bare.begin(this, answer.protocol)
    if (decision.outcome === 'defer' && decision.handshake.open === undefined) this.#state = silent
    else this.#begin(bare)
    raw.uncork()
  }

  /** Bytes that need the server's WebSocket object. It takes them, and everything that follows. */
  unread(bytes: Buffer): void {
    const talk = this.#talk
    // What a refused client sends is not read.
    if (talk === undefined || isRefused(this.#state)) return
    const ws = this.#dress(bytes)
    if (ws === undefined) return
    takeOver(this.arrival.wss, ws, this)
    countBytes(this.arrival.raw, this)
    talk.ws = ws
  }

  /** The server's object, or a refusal if it makes none. */
  #dress(bytes: Buffer): WebSocketLike | undefined {
    const ws = dress(this.shared, this.arrival, bytes)
    if (ws === undefined) this.#refuse('unavailable', 'The WebSocket server takes no more sockets.')
    return ws
  }

  /** The server's object, on which no one listens yet. */
  #released(talk: Conversation<P>): WebSocketLike | undefined {
    if (talk.ws === this.arrival) return this.#dress(nothing)
    const ws = talk.ws as WebSocketLike
    letGo(this.arrival.raw, ws)
    return ws
  }

  /** The server has answered 101. From here on no other listener sees the socket's events. */
  opened(ws: WebSocketLike): void {
    const { wss, raw } = this.arrival
    takeOver(wss, ws, this)
    if (this.#state.at !== 'checking') {
      ws.terminate()
      return
    }
    countBytes(raw, this)
    this.#begin(ws)
  }

  #begin(ws: Speaker): void {
    const { decision } = this.arrival
    const talk = new Conversation(this.shared, this.arrival, this, ws)
    this.#state = talk
    if (decision.outcome === 'defer') talk.open()
    else this.refuse(decision)
  }

  /** The conversation of a socket that is open; a silent one begins it now. */
  get #talk(): Conversation<P> | undefined {
    if (this.#state === silent) this.#begin(this.arrival)
    return talkOf(this.#state)
  }

  /** More bytes on the wire. */
  received(length: number): void {
    // Compared before adding: the chunk that reaches the limit may still hold the credential, with application
    // data pipelined behind it.
    if (this.#bytes >= this.shared.limits.maxBytes) {
      if (isRefused(this.#state)) this.terminate()
      else this.#refuse('too_big')
    }
    this.#bytes += length
  }

  /** A ping or a pong. `ws` has answered a ping already. */
  control(): void {
    if (++this.#controlFrames <= this.shared.limits.maxControlFrames) return
    // Not held: only a closing socket answers no more of the pings that are left in this chunk.
    this.#refuse('too_many_frames', undefined, false)
  }

  /** A data message. They arrive even after `close()`: the state decides whether it is heard. */
  message(data: unknown, isBinary: boolean): void {
    const state = this.#state
    if (state.at === 'talking' || state.at === 'silent') this.#talk?.hear([data, isBinary])
    else if (state.at === 'verifying' && !state.attempt.enqueue(data, isBinary)) {
      this.#refuse('too_many_frames')
    }
  }

  /** The handshake found a credential: it is verified, and messages wait for the answer. */
  found(found: Found, replayed: readonly Message[], rest: readonly Message[]): void {
    const state = this.#state
    if (state.at !== 'talking') return
    const attempt = new Attempt<P>(this.shared, this, this.arrival.decision as Defer<P>, found, replayed)
    for (const [data, isBinary] of rest) attempt.enqueue(data, isBinary)
    this.#state = { at: 'verifying', talk: state, attempt }
    this.#attempts++
    attempt.start()
  }

  /** The answer does not come at once: nothing more is read until then. */
  pause(): void {
    if (this.#state.at === 'verifying') this.#state.talk.ws.pause()
  }

  settled(answer: Resumption<P>, attempt: Attempt<P>): void {
    const state = this.#state
    // The socket was refused, timed out or closed during the verification: the answer comes too late.
    if (state.at !== 'verifying' || state.attempt !== attempt) return
    const { capacity, limits } = this.shared
    const { talk } = state
    if (!isOpen(talk.ws)) {
      this.leave(1000, '')
    } else if (answer.outcome === 'allow') {
      this.#accept(answer, attempt, talk)
    } else if (answer.outcome === 'challenge' && this.#attempts < limits.maxAttempts) {
      capacity.addresses.refused(this.bucket, attempt.guessable)
      capacity.room.waits(this)
      this.#state = talk
      talk.tryAgain(answer, attempt.queued)
    } else {
      this.refuse(answer)
    }
  }

  #accept(answer: Acceptable<P>, attempt: Attempt<P>, talk: Conversation<P>): void {
    const ready = makeReady(this.shared, this.arrival, talk, answer)
    if (ready.outcome !== 'ready') {
      this.refuse(ready)
      return
    }
    const ws = this.#released(talk)
    if (ws === undefined) {
      ready.accepted.abandon()
      return
    }
    this.#stop()
    this.releaseSlot()
    this.#state = gone
    handOver(this.shared, this.arrival, ws, answer, ready, attempt.messages)
  }

  /** The deadline has passed, and no frame that was already here has changed anything. */
  overdue(wasVerifying: boolean): void {
    const talk = this.#talk
    const state = this.#state
    if (talk === undefined) this.terminate()
    else if (state.at === 'talking') this.refuse(state.overdue, false)
    else if (state.at === 'verifying' && (wasVerifying || !state.attempt.isUnderWay)) {
      this.#refuse('unavailable', 'The verification was not finished in time.', false)
    }
  }

  /** The peer broke the WebSocket protocol; `ws` has sent the close frame. */
  failed(error: unknown): void {
    if (isRefused(this.#state)) return
    this.shared.capacity.addresses.refused(this.bucket, false)
    this.#talk?.broken(error)
    this.leave(1002, '')
  }

  #refuse(code: RefusalCode, detail?: string, hold?: boolean): void {
    this.refuse(refuse(code, { detail, rule: this.arrival.decision.rule }), hold)
  }

  /** Sends the protocol's refusal, holds the socket, then closes it. */
  refuse(refusal: Refused, hold = true): void {
    if (isRefused(this.#state)) return
    const { capacity, gate, roster } = this.shared
    const state = this.#state
    if (countsAsFailure(refusal.code)) {
      const guessed = state.at === 'verifying' && state.attempt.guessable
      capacity.addresses.refused(this.bucket, refusal.code === 'invalid_credential' && guessed)
    }
    const talk = this.#talk
    if (talk === undefined || !isOpen(talk.ws)) {
      this.leave(1000, '')
      return
    }
    const [code, reason] = talk.refuse(refusal)
    if (!hold || !roster.mayHold()) {
      this.leave(code, reason)
      return
    }
    this.#stop()
    talk.ws.pause()
    roster.held.add(this)
    capacity.room.refused(this)
    const timer = gate.clock.setTimer(roster.holdTime(), () => this.leave(code, reason))
    this.#state = { at: 'held', talk, code, reason, timer }
  }

  /** Closes a refused socket before the end of its hold and frees its place immediately. */
  dismiss(): void {
    const state = this.#state
    if (state.at === 'held') this.leave(state.code, state.reason)
    this.releaseSlot()
    this.terminate()
  }

  /** Refuses a waiting socket and frees its place immediately. */
  evict(): void {
    const { rule } = this.arrival.decision
    const refusal = refuse('over_capacity', { detail: 'Evicted: all places are taken.', rule })
    const [code, reason] = this.#talk?.refuse(refusal, false) ?? this.reported(refusal, 1013)
    this.leave(code, reason)
    this.releaseSlot()
    this.terminate()
  }

  /** Sends the close frame; the socket is cut after the grace. */
  leave(code: number, reason: string): void {
    const { capacity, limits, roster } = this.shared
    const talk = this.#talk
    if (this.#state.at === 'closing' || this.#state.at === 'gone') return
    this.#stop()
    this.#state = { at: 'closing', talk }
    capacity.room.refused(this)
    if (talk === undefined) {
      this.arrival.raw.destroy()
      return
    }
    // Paused, the peer's answer to the close frame would never be read; but a flood stays unread to the end.
    if (this.#bytes < limits.maxBytes) talk.ws.resume()
    else talk.ws.pause()
    talk.ws.close(code, reason)
    roster.leaving.add(this)
  }

  terminate(): void {
    const talk = this.#talk
    if (talk === undefined) this.arrival.raw.destroy()
    else talk.ws.terminate()
  }

  /** The socket has gone. */
  closed(): void {
    if (this.#state.at === 'gone') return
    const talk = talkOf(this.#state)
    this.#stop()
    this.#state = gone
    this.releaseSlot()
    this.shared.roster.gone()
    if (talk === undefined) this.arrival.context?.finish()
    else talk.gone()
  }

  /** Takes the socket off the lists of its state; a verification under way goes on, and its answer is dropped. */
  #stop(): void {
    const { roster } = this.shared
    const state = this.#state
    if (state.at === 'verifying') state.attempt.cancel()
    if (state.at === 'held') state.timer.cancel()
    roster.stopsWaiting(this)
    roster.held.delete(this)
    roster.leaving.delete(this)
  }

  get verifying(): boolean {
    return this.#state.at === 'verifying'
  }

  get underWay(): boolean {
    return this.#state.at === 'verifying' && this.#state.attempt.isUnderWay
  }
}
