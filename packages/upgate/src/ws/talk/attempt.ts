import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { Credential } from '../../core/contract/credential.ts'
import type { Defer, InBand, Resumption } from '../../core/contract/decision.ts'
import type { HandshakeStep } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { Bucket } from '../limits/addresses.ts'
import type { Verification } from '../limits/verifications.ts'
import { type Message, MessageQueue } from '../socket/message.ts'
import { isGuessable } from './failures.ts'
import type { Shared } from './shared.ts'

/** Credentials that one attempt may hold, besides the one that it is refused or accepted for. */
const mostAlsoFailed = 4

/** A handshake's step that carries a credential. */
export type Found = HandshakeStep & { readonly step: 'credential' }

/** The socket that offered the credential. */
export interface Claimant<P extends Principal> {
  readonly bucket: Bucket
  /** Whether its address succeeded before: strangers leave it a share of the verifications. */
  readonly acquainted: boolean
  /** Stops reading from the socket until the answer arrives. */
  pause(): void
  settled(answer: Resumption<P>, attempt: Attempt<P>): void
}

/** The verification of one credential, with the messages that arrive from the socket during it. */
export class Attempt<P extends Principal> {
  readonly guessable: boolean
  readonly #shared: Shared<P>
  readonly #claimant: Claimant<P>
  readonly #deferred: Defer<P>
  readonly #inBand: InBand
  /** The frames of the credential, where the handshake wants them handed on. */
  readonly #replayed: readonly Message[]
  #queue: MessageQueue | undefined
  #cancelTurn: (() => void) | undefined
  #verification: Verification | undefined

  constructor(
    shared: Shared<P>,
    claimant: Claimant<P>,
    deferred: Defer<P>,
    { credential, declared }: InBand,
    replayed: readonly Message[] = [],
  ) {
    this.guessable = isGuessable(credential)
    this.#replayed = replayed
    this.#shared = shared
    this.#claimant = claimant
    this.#deferred = deferred
    this.#inBand = { credential, declared }
  }

  get credential(): Credential {
    return this.#inBand.credential
  }

  /** Whether the verification has begun and has to be awaited. */
  get isUnderWay(): boolean {
    return this.#verification !== undefined
  }

  /** Messages that arrived during the verification. */
  get queued(): readonly Message[] {
    return this.#queue?.messages ?? []
  }

  /** Messages for the application, in order: the replayed frames first. */
  get messages(): Message[] {
    return [...this.#replayed, ...this.queued]
  }

  /** Queues a message that arrived during the verification; false if the queue is full. */
  enqueue(data: unknown, isBinary: boolean): boolean {
    this.#queue ??= new MessageQueue(this.#shared.limits)
    return this.#queue.add(data, isBinary)
  }

  /** Verifies immediately, or once a verification slot is free for this address. */
  start(): void {
    const { verifications } = this.#shared
    if (verifications.mayStart(this.#claimant)) {
      this.#resume()
      return
    }
    this.#claimant.pause()
    this.#cancelTurn = verifications.wait(this.#claimant, () => {
      this.#cancelTurn = undefined
      this.#resume()
    })
  }

  /** Leaves the queue for a slot; a verification under way goes on and its answer is dropped. */
  cancel(): void {
    this.#cancelTurn?.()
  }

  #resume(): void {
    const { gate, verifications } = this.#shared
    let answer: ReturnType<typeof gate.resume>
    try {
      answer = gate.resume(this.#deferred, this.#inBand)
    } catch (error) {
      this.#threw(error)
      this.#unavailable()
      return
    }
    if (!isPromiseLike(answer)) {
      this.#settle(answer)
      return
    }
    this.#claimant.pause()
    const verification = verifications.begin(this.#claimant, () => {
      this.#unavailable('The verification took too long.')
    })
    this.#verification = verification
    answer.then(
      (resumption) => {
        if (verifications.end(verification)) this.#settle(resumption)
      },
      (error: unknown) => {
        this.#threw(error)
        if (verifications.end(verification)) this.#unavailable()
      },
    )
  }

  #settle(answer: Resumption<P>): void {
    const { addresses } = this.#shared.capacity
    for (let i = 0; i < Math.min(answer.alsoFailed ?? 0, mostAlsoFailed); i++)
      addresses.refused(this.#claimant.bucket, this.guessable)
    this.#claimant.settled(answer, this)
  }

  #threw(error: unknown): void {
    this.#shared.reports.verificationThrew(error, (secrets) => secrets.addCredential(this.credential))
  }

  #unavailable(detail?: string): void {
    this.#claimant.settled(refuse('unavailable', { detail, rule: this.#deferred.rule }), this)
  }
}
