import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { RefusalCode } from '../../core/contract/codes.ts'
import type { Credential } from '../../core/contract/credential.ts'
import type { Defer, Refused, Resumption } from '../../core/contract/decision.ts'
import type { Handshake, HandshakeStep, OutgoingFrame, Refusal } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { compiledRuleOf } from '../../core/contract/rules.ts'
import type { Timer } from '../../core/ports/clock.ts'
import { AcceptedSocket } from '../accepted/accepted-socket.ts'
import type { Endpoint, SharedByAccepted } from '../accepted/shared.ts'
import { upgateHandshake } from '../handshakes/upgate.ts'
import type { Bucket } from '../limits/addresses.ts'
import type { Newcomer } from '../limits/roster.ts'
import { isOpen } from '../socket/attached.ts'
import { validCloseCode, validCloseReason } from '../socket/close-frame.ts'
import { type Message, MessageQueue } from '../socket/message.ts'
import { packHeaders, unpackRequest } from '../socket/request-snapshot.ts'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'
import { frameOf } from '../talk/answers.ts'
import { Attempt, type Claimant } from '../talk/attempt.ts'
import { codeOfRevocation, codeOfSocketError, countsAsFailure } from '../talk/failures.ts'
import { SocketContext } from '../talk/handshake-context.ts'
import { isRefusal, type Talker } from '../talk/talk.ts'
import { countBytes, type Listener, letGo, takeOver } from './wire.ts'

/** The server has not answered 101 yet. */
const CHECKING = 0
/** Open, and the handshake's `open` has not answered yet. */
const OPENING = 1
/** Open, and owing its credential; challenged or not. */
const AWAITING = 2
const VERIFYING = 3
/** Refused, and held before the close frame. */
const REJECTING = 4
/** The close frame is sent. */
const CLOSING = 5
/** Closed, or accepted and handed to the application. */
const DONE = 6

type State =
  | typeof CHECKING
  | typeof OPENING
  | typeof AWAITING
  | typeof VERIFYING
  | typeof REJECTING
  | typeof CLOSING
  | typeof DONE

/** The facts about an upgrade before its socket is open. */
export interface Arrival<P extends Principal> {
  readonly wss: WebSocketServerLike
  readonly request: IncomingMessage
  readonly raw: Duplex
  readonly bucket: Bucket
  readonly acquainted: boolean
  readonly endpoint: Endpoint
  /** A refusal lets it in only to be told. */
  readonly decision: Defer<P> | Refused
}

/** A socket between the upgrade and its acceptance or refusal. */
export class WaitingSocket<P extends Principal> implements Newcomer, Claimant<P>, Talker, Listener {
  readonly bucket: Bucket
  readonly acquainted: boolean
  since = 0
  readonly #shared: SharedByAccepted<P>
  readonly #wss: WebSocketServerLike
  readonly #raw: Duplex
  readonly #endpoint: Endpoint
  readonly #decision: Defer<P> | Refused
  readonly #url: string
  readonly #headerNames: readonly string[]
  readonly #headerValues: string
  #ws: WebSocketLike | undefined
  #state: State = CHECKING
  #slot = true
  #bytes = 0
  #dataFrames = 0
  #controlFrames = 0
  #attempts = 0
  #context: SocketContext<P> | undefined
  /** Messages that arrived before the handshake's `open` answered. */
  #early: MessageQueue | undefined
  /** Messages that arrived before and are read now. */
  #backlog: Message[] | undefined
  #attempt: Attempt<P> | undefined
  #hold: Timer | undefined
  /** Close code and reason of a socket that is held. */
  #farewell: readonly [code: number, reason: string] | undefined

  constructor(shared: SharedByAccepted<P>, arrival: Arrival<P>) {
    const { names, values } = packHeaders(arrival.request, shared.headerShapes)
    this.#shared = shared
    this.#wss = arrival.wss
    this.#raw = arrival.raw
    this.#endpoint = arrival.endpoint
    this.#decision = arrival.decision
    this.#url = arrival.request.url ?? '/'
    this.#headerNames = names
    this.#headerValues = values
    this.bucket = arrival.bucket
    this.acquainted = arrival.acquainted
    shared.roster.born()
    shared.roster.waits(this, shared.capacity.take(this))
  }

  get handshake(): Handshake {
    const decision = this.#decision
    if (decision.outcome === 'defer') return decision.handshake
    return compiledRuleOf(decision.rule)?.handshake ?? upgateHandshake()
  }

  get checking(): boolean {
    return this.#state === CHECKING
  }

  get verifying(): boolean {
    return this.#state === VERIFYING
  }

  get rule(): Refused['rule'] {
    return this.#decision.rule
  }

  get offered(): Credential | undefined {
    return this.#attempt?.credential
  }

  get context(): SocketContext<P> {
    const decision = this.#decision
    const httpPrincipal = decision.outcome === 'defer' ? decision.httpPrincipal : undefined
    this.#context ??= new SocketContext(this.#shared, httpPrincipal)
    return this.#context
  }

  isOf(wss: WebSocketServerLike): boolean {
    return this.#wss === wss
  }

  get underWay(): boolean {
    return this.#attempt?.isUnderWay === true
  }

  /** Takes over the open socket after the 101. From here on no other listener sees its events. */
  opened(ws: WebSocketLike): void {
    takeOver(this.#wss, ws, this)
    this.#ws = ws
    if (this.#state !== CHECKING) {
      ws.terminate()
      return
    }
    this.#state = OPENING
    countBytes(this.#raw, this)
    const decision = this.#decision
    if (decision.outcome !== 'defer') {
      this.refuse(decision)
      return
    }
    const frames = this.#shared.talk.open(this)
    if (!isPromiseLike(frames)) this.#greet(frames)
    else void frames.then((late) => this.#greet(late))
  }

  /** The handshake has opened the talk, or could not. */
  #greet(frames: readonly OutgoingFrame[] | Refused): void {
    // The socket was refused, timed out or closed before: the answer comes too late.
    if (this.#state !== OPENING) return
    if (isRefusal(frames)) {
      this.refuse(frames)
      return
    }
    const early = this.#early
    this.#early = undefined
    this.#state = AWAITING
    this.#send(frames)
    if (early !== undefined) this.#catchUp(early.messages)
  }

  /** Reads messages that had to wait, until one carries a credential: its verification then takes over the rest. */
  #catchUp(messages: readonly Message[]): void {
    const backlog = [...messages]
    this.#backlog = backlog
    for (let next = backlog.shift(); next !== undefined; next = backlog.shift())
      this.message(next[0], next[1])
    this.#backlog = undefined
    if (this.#state === AWAITING && this.#ws?.isPaused) this.#ws.resume()
  }

  /** More bytes on the wire. */
  received(length: number): void {
    // Compared before adding: the chunk that reaches the limit may still hold the credential, with application
    // data pipelined behind it.
    if (this.#bytes >= this.#shared.limits.maxBytes) {
      if (this.#state >= REJECTING) this.terminate()
      else this.refuse(this.#refusal('too_big'))
    }
    this.#bytes += length
  }

  /** A ping or a pong. `ws` has answered a ping already. */
  control(): void {
    if (++this.#controlFrames <= this.#shared.limits.maxControlFrames) return
    // Not held: only a closing socket answers no more of the pings that are left in this chunk.
    this.refuse(this.#refusal('too_many_frames'), false)
  }

  /** A data message. They arrive even after `close()`: the state decides whether it is heard. */
  message(data: unknown, isBinary: boolean): void {
    if (this.#state === VERIFYING && this.#attempt?.enqueue(data, isBinary) === false) {
      this.refuse(this.#refusal('too_many_frames'))
    }
    if (this.#state === OPENING) {
      this.#ws?.pause()
      this.#early ??= new MessageQueue(this.#shared.limits)
      if (!this.#early.add(data, isBinary)) this.refuse(this.#refusal('too_many_frames'))
    }
    if (this.#state !== AWAITING) return
    if (++this.#dataFrames > this.#shared.limits.maxDataFrames) {
      this.refuse(this.#refusal('too_many_frames'))
      return
    }
    const step = this.#shared.talk.receive(this, frameOf(data, isBinary))
    switch (step.step) {
      case 'ignore':
        return
      case 'send':
        this.#send(step.frames)
        return
      case 'reject':
        this.refuse(this.#refusal(step.code, step.detail))
        return
      case 'threw':
        this.refuse(step.refusal)
        return
      case 'credential':
        this.#verify(step, data, isBinary)
    }
  }

  #verify(step: HandshakeStep & { readonly step: 'credential' }, data: unknown, isBinary: boolean): void {
    const attempt = new Attempt<P>(this.#shared, this, this.#decision as Defer<P>, step, [data, isBinary])
    for (const [later, laterIsBinary] of this.#backlog?.splice(0) ?? []) attempt.enqueue(later, laterIsBinary)
    this.#state = VERIFYING
    this.#attempts++
    this.#attempt = attempt
    attempt.start()
  }

  pause(): void {
    this.#ws?.pause()
  }

  settled(answer: Resumption<P>, attempt: Attempt<P>): void {
    // The socket was refused, timed out or closed during the verification: the answer comes too late.
    if (this.#state !== VERIFYING || this.#attempt !== attempt) return
    const ws = this.#ws as WebSocketLike
    if (!isOpen(ws)) {
      this.#leave(1000, '')
      return
    }
    if (answer.outcome === 'allow') {
      this.#accept(answer, attempt.messages, ws)
      return
    }
    const mayRetry = answer.outcome === 'challenge' && this.#attempts < this.#shared.limits.maxAttempts
    if (!mayRetry) {
      this.refuse(answer)
      return
    }
    this.#shared.capacity.addresses.refused(this.bucket, attempt.guessable)
    this.#attempt = undefined
    this.#state = AWAITING
    this.#shared.capacity.room.waits(this)
    this.#send(this.#shared.talk.reject(this, answer).frames)
    this.#catchUp(attempt.queued)
  }

  #accept(
    answer: Resumption<P> & { readonly outcome: 'allow' },
    messages: Message[],
    ws: WebSocketLike,
  ): void {
    const shared = this.#shared
    const { principal, edgePrincipal, asOf, dropped, issued } = answer
    const { rule } = this.#decision as Defer<P>
    const frames = shared.talk.accept(this, { principal, dropped, issued })
    if (isRefusal(frames)) {
      this.refuse(frames)
      return
    }
    const accepted = new AcceptedSocket(shared, principal, this.#endpoint)
    const revoked = accepted.register(asOf)
    if (revoked !== undefined) {
      this.refuse(this.#refusal(codeOfRevocation(revoked)))
      return
    }
    shared.roster.stopsWaiting(this)
    this.#releaseSlot()
    this.#state = DONE
    this.#attempt = undefined
    letGo(this.#raw, ws)
    const packed = { names: this.#headerNames, values: this.#headerValues }
    const request = unpackRequest(this.#url, packed, this.#raw)
    shared.gate.remember(request, {
      outcome: 'allow',
      principal,
      edgePrincipal,
      rule,
      headers: undefined,
      asOf,
    })
    ;(this.#wss.clients as Set<unknown> | undefined)?.add(ws)
    if (this.handshake.closed !== undefined) accepted.onGone = () => this.#tellGone()
    accepted.start(ws, this.#wss, request, frames, messages)
  }

  /** Sends the protocol's refusal, holds the socket, then closes it. */
  refuse(refusal: Refusal | Refused, hold = true): void {
    if (this.#state >= REJECTING) return
    const shared = this.#shared
    const ws = this.#ws
    if (countsAsFailure(refusal.code)) {
      const guessable = refusal.code === 'invalid_credential' && this.#attempt?.guessable === true
      shared.capacity.addresses.refused(this.bucket, guessable)
    }
    if (ws === undefined || !isOpen(ws)) {
      this.#leave(1000, '')
      return
    }
    const { frames, closeCode, closeReason } = this.#shared.talk.reject(this, refusal)
    this.#report(refusal, closeCode)
    this.#send(frames)
    if (!hold || !shared.roster.mayHold()) {
      this.#leave(closeCode, closeReason)
      return
    }
    // Held, because a client whose socket closes immediately reconnects immediately: an open resets its backoff.
    this.#stop()
    this.#state = REJECTING
    ws.pause()
    shared.roster.held.add(this)
    shared.capacity.room.refused(this)
    this.#farewell = [closeCode, closeReason]
    this.#hold = shared.gate.clock.setTimer(shared.roster.holdTime(), () => {
      this.#leave(closeCode, closeReason)
    })
  }

  /** The deadline has passed, and no frame that was already here has changed anything. */
  overdue(wasVerifying: boolean): void {
    if (this.#state === CHECKING) this.terminate()
    else if (this.#state === OPENING) {
      this.refuse(this.#refusal('unavailable', 'The handshake was not opened in time.'), false)
    } else if (this.#state === AWAITING) this.refuse(this.#refusal('handshake_timeout'), false)
    else if (this.#state === VERIFYING && (wasVerifying || this.#attempt?.isUnderWay !== true)) {
      this.refuse(this.#refusal('unavailable', 'The verification was not finished in time.'), false)
    }
  }

  /** Closes a refused socket before the end of its hold and frees its place immediately. */
  dismiss(): void {
    const [code, reason] = this.#farewell ?? [1000, '']
    this.#leave(code, reason)
    this.#releaseSlot()
    this.terminate()
  }

  /** Refuses a waiting socket and frees its place immediately. */
  evict(): void {
    const refusal = this.#refusal('over_capacity', 'Evicted: all places are taken.')
    const { closeCode, closeReason } = this.#shared.talk.reject(this, refusal)
    this.#report(refusal, closeCode)
    this.leave(closeCode, closeReason)
    this.#releaseSlot()
    this.terminate()
  }

  /** Sends the close frame; the socket is cut after the grace. */
  leave(code: number, reason: string): void {
    this.#leave(validCloseCode(code), validCloseReason(reason))
  }

  #leave(code: number, reason: string): void {
    if (this.#state >= CLOSING) return
    this.#stop()
    this.#state = CLOSING
    this.#shared.capacity.room.refused(this)
    const ws = this.#ws
    if (ws === undefined) {
      this.#raw.destroy()
      return
    }
    // Paused, the peer's answer to the close frame would never be read; but a flood stays unread to the end.
    if (this.#bytes < this.#shared.limits.maxBytes) ws.resume()
    else ws.pause()
    ws.close(code, reason)
    this.#shared.roster.leaving.add(this)
  }

  /** Removes the socket from every list; a verification under way goes on and its answer is dropped. */
  #stop(): void {
    const shared = this.#shared
    shared.roster.stopsWaiting(this)
    shared.roster.held.delete(this)
    shared.roster.leaving.delete(this)
    this.#hold?.cancel()
    this.#hold = undefined
    this.#attempt?.cancel()
    this.#attempt = undefined
    this.#early = undefined
  }

  #releaseSlot(): void {
    if (!this.#slot) return
    this.#slot = false
    this.#shared.capacity.release(this)
  }

  terminate(): void {
    if (this.#ws === undefined) this.#raw.destroy()
    else this.#ws.terminate()
  }

  /** The peer broke the WebSocket protocol; `ws` has sent the close frame. */
  failed(error: unknown): void {
    if (this.#state >= REJECTING) return
    const code = codeOfSocketError(error)
    this.#shared.capacity.addresses.refused(this.bucket, false)
    this.#report(
      this.#refusal(code, 'The peer broke the WebSocket protocol.'),
      code === 'too_big' ? 1009 : 1002,
    )
    this.#leave(1002, '')
  }

  #report(refusal: Refusal, closeCode: number): void {
    this.#shared.reports.refused(this.#endpoint.path, this.#endpoint.clientAddress, refusal, closeCode)
  }

  /** The socket has gone. */
  closed(): void {
    if (this.#state === DONE) return
    this.#stop()
    this.#state = DONE
    this.#releaseSlot()
    this.#shared.roster.gone()
    this.#tellGone()
  }

  /** Tells the handshake, if it knows this socket. */
  #tellGone(): void {
    const context = this.#context
    if (context === undefined) return
    context.gone = true
    this.#shared.talk.closed(this.handshake, context)
  }

  #send(frames: readonly OutgoingFrame[]): void {
    for (const frame of frames) this.#ws?.send(frame)
  }

  #refusal(code: RefusalCode, detail?: string): ReturnType<typeof refuse> {
    return refuse(code, { detail, rule: this.#decision.rule })
  }
}
