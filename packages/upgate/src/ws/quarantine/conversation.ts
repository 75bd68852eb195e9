import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { Credential } from '../../core/contract/credential.ts'
import type { Refused } from '../../core/contract/decision.ts'
import type { Acceptance, Frame, Handshake, OutgoingFrame, Refusal } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { handshakeOf } from '../handshakes/close-only.ts'
import { type Message, MessageQueue } from '../socket/message.ts'
import { sendAll } from '../socket/send-all.ts'
import { frameOf } from '../talk/answers.ts'
import type { Found } from '../talk/attempt.ts'
import { CredentialFrames } from '../talk/credential-frames.ts'
import { codeOfSocketError } from '../talk/failures.ts'
import { SocketContext } from '../talk/handshake-context.ts'
import type { Shared } from '../talk/shared.ts'
import { type Heard, isRefusal, type Talker } from '../talk/talk.ts'
import type { Arrival } from './arrival.ts'
import type { Speaker } from './bare-socket.ts'

/** The socket that the conversation is about, and that acts on its result. */
export interface Subject {
  /** A credential is complete. `replayed`: its frames for the application; `rest`: messages that arrived after it. */
  found(found: Found, replayed: readonly Message[], rest: readonly Message[]): void
  refuse(refusal: Refused): void
}

/** The conversation of one open socket with its handshake, until a frame carries a credential or is refused. */
export class Conversation<P extends Principal> implements Talker {
  /** The server's object takes the place of a bare one where it is needed. */
  ws: Speaker
  readonly #shared: Shared<P>
  readonly #arrival: Arrival<P>
  readonly #subject: Subject
  #context: SocketContext<P> | undefined
  #stage: 'opening' | 'hearing' | 'over' = 'opening'
  /** Messages that arrived before the handshake's `open` answered. */
  #early: MessageQueue | undefined
  #frames = 0
  /** Frames of a credential that comes in several; absent while the handshake has not asked for more. */
  #collected: CredentialFrames | undefined
  #answered: Message | undefined
  /** The last credential that was found. */
  offered: Credential | undefined

  constructor(shared: Shared<P>, arrival: Arrival<P>, subject: Subject, ws: Speaker) {
    this.#shared = shared
    this.#arrival = arrival
    this.#subject = subject
    this.ws = ws
    this.#context = arrival.context
  }

  /** The state of the socket while it has no other. */
  get at(): 'talking' {
    return 'talking'
  }

  get handshake(): Handshake {
    const { decision } = this.#arrival
    if (decision.outcome === 'defer') return decision.handshake
    return handshakeOf(decision.rule)
  }

  get rule(): Refused['rule'] {
    return this.#arrival.decision.rule
  }

  get context(): SocketContext<P> {
    const { decision } = this.#arrival
    const httpPrincipal = decision.outcome === 'defer' ? decision.httpPrincipal : undefined
    this.#context ??= new SocketContext(this.#shared, this.handshake, this.#arrival.endpoint, httpPrincipal)
    return this.#context
  }

  /** The context, if the handshake has got it. */
  get knownContext(): SocketContext<P> | undefined {
    return this.#context
  }

  get answered(): Frame | undefined {
    return this.#answered && frameOf(...this.#answered)
  }

  /** Lets the handshake greet the client, at once or later. */
  open(): void {
    const frames = this.#shared.talk.open(this)
    if (!isPromiseLike(frames)) this.#greet(frames)
    else void frames.then((late) => this.#greet(late))
  }

  #greet(frames: readonly OutgoingFrame[] | Refused): void {
    // The socket was refused, timed out or closed before: the answer comes too late.
    if (this.#stage !== 'opening') return
    if (isRefusal(frames)) {
      this.#subject.refuse(frames)
      return
    }
    const early = this.#early?.messages ?? []
    this.#early = undefined
    this.#resume(frames, early)
  }

  /** Sends frames, and waits for a credential; reads first the messages that had to wait. */
  #resume(frames: readonly OutgoingFrame[], waited: readonly Message[]): void {
    this.#stage = 'hearing'
    sendAll(this.ws, frames)
    for (let i = 0; i < waited.length && this.#stage === 'hearing'; i++) {
      this.#read(waited[i] as Message, waited.slice(i + 1))
    }
    if (this.#stage === 'hearing' && this.ws.isPaused) this.ws.resume()
  }

  /** One more message. */
  hear(message: Message): void {
    if (this.#stage === 'hearing') this.#read(message, [])
    if (this.#stage !== 'opening') return
    this.ws.pause()
    this.#early ??= new MessageQueue(this.#shared.limits)
    if (!this.#early.add(...message)) this.#tooMany()
  }

  #read(message: Message, rest: readonly Message[]): void {
    if (this.#frames >= this.#shared.limits.maxDataFrames) {
      this.#tooMany()
      return
    }
    this.#answered = message
    const step = this.#shared.talk.receive(this, frameOf(...message))
    if (step.step === 'more') {
      sendAll(this.ws, step.frames ?? [])
      this.#collected ??= new CredentialFrames(this.#shared.limits)
      if (!this.#collected.add(message)) this.#tooMany()
    } else {
      this.#frames++
      this.#take(step, message, rest)
    }
    // What comes later, such as the deadline, is about no frame.
    if (this.#stage === 'hearing') this.#answered = undefined
  }

  #take(step: Exclude<Heard, { step: 'more' }>, message: Message, rest: readonly Message[]): void {
    switch (step.step) {
      case 'ignore':
        return
      case 'send':
        sendAll(this.ws, step.frames)
        return
      case 'reject':
        this.#subject.refuse(refuse(step.code, { detail: step.detail, rule: this.rule }))
        return
      case 'threw':
        this.#subject.refuse(step.refusal)
        return
      case 'credential': {
        const collected = this.#collected ?? new CredentialFrames(this.#shared.limits)
        const replayed = collected.complete(step, message)
        if (replayed === undefined) {
          this.#tooMany()
          return
        }
        this.#stage = 'over'
        this.offered = step.credential
        this.#subject.found(step, replayed, rest)
      }
    }
  }

  #tooMany(): void {
    this.#subject.refuse(refuse('too_many_frames', { rule: this.rule }))
  }

  /** The refusal if the deadline passes now. */
  get overdue(): Refused {
    const { rule } = this
    if (this.#stage !== 'opening') return refuse('handshake_timeout', { rule })
    return refuse('unavailable', { detail: 'The handshake was not opened in time.', rule })
  }

  /** The frames that acknowledge the credential. */
  accept(acceptance: Acceptance): readonly OutgoingFrame[] | Refused {
    return this.#shared.talk.accept(this, acceptance)
  }

  /** Refuses the credential, and waits for another one. */
  tryAgain(refusal: Refusal, waited: readonly Message[]): void {
    const { frames } = this.#shared.talk.reject(this, refusal)
    this.#answered = undefined
    this.#resume(frames, waited)
  }

  /** Ends with a refusal: reports it, and sends its frames. Returns the close frame. */
  refuse(refusal: Refused, send = true): readonly [code: number, reason: string] {
    this.#end()
    const { frames, closeCode, closeReason } = this.#shared.talk.reject(this, refusal)
    this.#answered = undefined
    this.#report(refusal, closeCode)
    if (send) sendAll(this.ws, frames)
    return [closeCode, closeReason]
  }

  /** Ends because the peer broke the WebSocket protocol. */
  broken(error: unknown): void {
    this.#end()
    const code = codeOfSocketError(error)
    const refusal = refuse(code, { detail: 'The peer broke the WebSocket protocol.', rule: this.rule })
    this.#report(refusal, code === 'too_big' ? 1009 : 1002)
  }

  #report(refusal: Refused, closeCode: number): void {
    this.#shared.reports.refused(this.#arrival.endpoint, refusal, closeCode)
  }

  /** Reads nothing more, and drops a greeting that is still to come. */
  #end(): void {
    this.#stage = 'over'
    this.#early = undefined
  }

  /** Tells the handshake that the socket is gone, if it knows the socket. */
  gone(): void {
    this.#end()
    this.#context?.finish()
  }
}
