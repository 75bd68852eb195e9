import type { Credential } from '../../core/contract/credential.ts'
import type { Allow, Defer, Refused, Resumption } from '../../core/contract/decision.ts'
import type { Frame, Handshake, OutgoingFrame, Refusal } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { Timer } from '../../core/ports/clock.ts'
import type { Bucket } from '../limits/addresses.ts'
import { isOpen } from '../socket/attached.ts'
import type { Message } from '../socket/message.ts'
import { sendAll } from '../socket/send-all.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import { frameOf } from '../talk/answers.ts'
import { Attempt, type Claimant, type Found } from '../talk/attempt.ts'
import { CredentialFrames } from '../talk/credential-frames.ts'
import { codeOfRevocation, countsAsFailure } from '../talk/failures.ts'
import { SocketContext } from '../talk/handshake-context.ts'
import type { Shared } from '../talk/shared.ts'
import { isRefusal, type Talker } from '../talk/talk.ts'
import { asDeferred } from './as-deferred.ts'
import type { LiveSocket } from './live-socket.ts'

type State<P extends Principal> =
  /** The first frame has not arrived yet, or is data. */
  | { readonly at: 'expected' }
  /** The handshake has answered the first frame, such as with a nonce, and waits for another. */
  | { readonly at: 'challenged' }
  /** `timer`: of the deadline. */
  | { readonly at: 'verifying'; readonly attempt: Attempt<P>; timer: Timer | undefined }
  /** Refused; `timer`: until the close frame. */
  | { readonly at: 'held'; readonly timer: Timer }
  | { readonly at: 'done' }

const expected = { at: 'expected' } as const
const challenged = { at: 'challenged' } as const
const done = { at: 'done' } as const

/** Gives a socket its messages back: what follows is data. */
export interface PassesOn<P extends Principal> {
  passed(socket: LiveSocket<P>, ws: WebSocketLike): void
}

/**
 * The first frame of a socket on a deferred path whose HTTP credential was accepted. A credential of the path's
 * protocol in it is verified, and must belong to the socket's principal. Any other first frame is data.
 */
export class FirstFrame<P extends Principal> implements Claimant<P>, Talker {
  readonly acquainted = true
  readonly #shared: Shared<P>
  readonly #list: PassesOn<P>
  readonly #socket: LiveSocket<P>
  readonly #ws: WebSocketLike
  readonly #deferred: Defer<P>
  readonly handshake: Handshake
  readonly #credential: CredentialFrames
  #answered: Message | undefined
  #state: State<P> = expected
  #frames = 0
  #paused = false

  constructor(
    shared: Shared<P>,
    list: PassesOn<P>,
    socket: LiveSocket<P>,
    ws: WebSocketLike,
    decision: Allow<P>,
    origin: string | undefined,
  ) {
    this.#shared = shared
    this.#list = list
    this.#socket = socket
    this.#ws = ws
    this.#deferred = asDeferred(decision, socket, origin)
    this.handshake = this.#deferred.handshake
    this.#credential = new CredentialFrames(shared.limits)
  }

  get context(): SocketContext<P> {
    const socket = this.#socket
    socket.context ??= new SocketContext(this.#shared, this.handshake, socket, socket.principal)
    return socket.context
  }

  get answered(): Frame | undefined {
    return this.#answered && frameOf(...this.#answered)
  }

  get rule(): Refused['rule'] {
    return this.#deferred.rule
  }

  get offered(): Credential | undefined {
    return this.#state.at === 'verifying' ? this.#state.attempt.credential : undefined
  }

  get bucket(): Bucket {
    return this.#shared.capacity.addresses.of(this.#socket.clientAddress)
  }

  /** Stops reading during verification. A socket that the application paused itself stays paused afterwards. */
  pause(): void {
    if (this.#ws.isPaused) return
    this.#ws.pause()
    this.#paused = true
  }

  /** Whether the gate took the message; if false, this message and all further ones are application data. */
  takes(data: unknown, isBinary: boolean): boolean {
    const state = this.#state
    switch (state.at) {
      case 'verifying':
        if (!state.attempt.enqueue(data, isBinary)) this.#refuse(this.#refusal('too_many_frames'))
        return true
      case 'expected':
        // Longer than any credential that the quarantine would have read.
        if (!isFrame(data) || lengthOf(data) > this.#shared.limits.maxBytes) return false
        return this.#reads(data, isBinary, false)
      case 'challenged':
        return isFrame(data) && this.#reads(data, isBinary, true)
      default:
        return false
    }
  }

  #reads(data: unknown, isBinary: boolean, claimed: boolean): boolean {
    const { limits, talk } = this.#shared
    const frame = frameOf(data, isBinary)
    const message: Message = [data, isBinary]
    const claims = claimed || talk.claims(this, frame)
    if (claims === false) return false
    this.#answered = message
    const step = claims === true ? talk.receive(this, frame) : claims
    if (step.step === 'threw') {
      this.#refuse(step.refusal)
    } else if (step.step === 'more') {
      this.#challenge(step.frames)
      if (!this.#credential.add(message)) this.#refuse(this.#refusal('too_many_frames'))
    } else if (++this.#frames > limits.maxDataFrames) {
      this.#refuse(this.#refusal('too_many_frames'))
    } else if (step.step === 'credential') {
      const replayed = this.#credential.complete(step, message)
      if (replayed === undefined) this.#refuse(this.#refusal('too_many_frames'))
      else this.#verify(step, replayed)
    } else if (step.step === 'reject') {
      this.#refuse(this.#refusal(step.code, step.detail))
    } else {
      this.#challenge(step.step === 'send' ? step.frames : undefined)
    }
    return true
  }

  #challenge(frames: readonly OutgoingFrame[] = []): void {
    this.#state = challenged
    this.#answered = undefined
    sendAll(this.#ws, frames)
  }

  #verify(step: Found, replayed: readonly Message[]): void {
    const { capacity, gate, limits } = this.#shared
    const attempt = new Attempt<P>(this.#shared, this, this.#deferred, step, replayed)
    const verifying: State<P> = { at: 'verifying', attempt, timer: undefined }
    this.#state = verifying
    const wait = attempt.guessable ? capacity.addresses.wait(this.bucket, 'guesses', limits.maxRefusals) : 0
    if (wait > 0) {
      const retryAfter = Math.ceil(wait / 1000)
      this.#refuse(refuse('too_many_failures', { rule: this.#deferred.rule, retryAfter }))
      return
    }
    verifying.timer = gate.clock.setTimer(limits.deadline, () => {
      this.#refuse(this.#refusal('unavailable', 'The verification was not finished in time.'))
    })
    attempt.start()
  }

  settled(answer: Resumption<P>, attempt: Attempt<P>): void {
    if (this.#state.at !== 'verifying' || this.#state.attempt !== attempt) return
    if (this.#socket.endReason !== undefined || !isOpen(this.#ws)) {
      this.#stop()
      return
    }
    if (answer.outcome !== 'allow') {
      this.#refuse(answer)
      return
    }
    const { dropped, issued, asOf } = answer
    // Registered only to be asked: the socket stays in the register by the principal that HTTP proved.
    const { id, acceptedAt, path } = this.#socket
    const registration = this.#shared.gate.connections.register(
      { id, principal: answer.principal, acceptedAt, path, close: () => {} },
      asOf,
    )
    if (registration.outcome === 'refused') {
      this.#refuse(this.#refusal(codeOfRevocation(registration.reason)))
      return
    }
    registration.remove()
    // The application got this principal at the 101 and uses it, so the answer names the same one.
    const principal = this.#socket.principal as P
    const frames = this.#shared.talk.accept(this, { principal, dropped, issued })
    if (isRefusal(frames)) {
      this.#refuse(frames)
      return
    }
    this.#stop()
    this.#list.passed(this.#socket, this.#ws)
    sendAll(this.#ws, frames)
    this.#socket.deliver(attempt.messages, this.#paused)
  }

  #refuse(refusal: Refusal | Refused): void {
    const { capacity, gate, reports, roster, talk } = this.#shared
    const attempt = this.#state.at === 'verifying' ? this.#state.attempt : undefined
    const guessable = refusal.code === 'invalid_credential' && attempt?.guessable === true
    if (countsAsFailure(refusal.code)) capacity.addresses.refused(this.bucket, guessable)
    this.#stop()
    if (this.#socket.endReason !== undefined || !isOpen(this.#ws)) return
    const { frames, closeCode, closeReason } = talk.reject(this, refusal, attempt?.credential)
    reports.refused(this.#socket, refusal, closeCode)
    sendAll(this.#ws, frames)
    // As in the quarantine: a client that is closed at once comes back at once.
    if (!roster.mayHold()) {
      this.#socket.end(closeCode, closeReason)
      return
    }
    this.#socket.hush(closeReason)
    this.#ws.pause()
    roster.heldFirst.add(this)
    const timer = gate.clock.setTimer(roster.holdTime(), () => {
      roster.heldFirst.delete(this)
      this.#socket.end(closeCode, closeReason)
    })
    this.#state = { at: 'held', timer }
  }

  #stop(): void {
    const state = this.#state
    this.#state = done
    if (state.at === 'verifying') state.attempt.cancel()
    if (state.at === 'verifying' || state.at === 'held') state.timer?.cancel()
  }

  /** Ends the verification under way; called once the socket is gone. */
  closed(): void {
    this.#stop()
    this.#shared.roster.heldFirst.delete(this)
  }

  #refusal(code: Parameters<typeof refuse>[0], detail?: string): ReturnType<typeof refuse> {
    return refuse(code, { detail, rule: this.#deferred.rule })
  }
}

/** Whether `ws` delivered the message as bytes. A `Blob` cannot be read synchronously; no built-in protocol uses it. */
function isFrame(data: unknown): data is Buffer | ArrayBuffer | Buffer[] {
  return Buffer.isBuffer(data) || data instanceof ArrayBuffer || Array.isArray(data)
}

function lengthOf(data: Buffer | ArrayBuffer | Buffer[]): number {
  return Array.isArray(data) ? data.reduce((sum, part) => sum + part.length, 0) : data.byteLength
}
