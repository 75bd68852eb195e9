import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { EndReason } from '../../core/contract/client-families.ts'
import type { Credential, IssuedCredential, MaybePromise } from '../../core/contract/credential.ts'
import type { Refused } from '../../core/contract/decision.ts'
import type {
  Acceptance,
  Frame,
  Handshake,
  HandshakeContext,
  HandshakeHeader,
  HandshakeStep,
  OutgoingFrame,
  Refusal,
  RefusalFrames,
} from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { Secrets } from '../../core/faults/secrets.ts'
import { closeOnly } from '../handshakes/close-only.ts'
import { validCloseCode, validCloseReason } from '../socket/close-frame.ts'
import { withCredential } from './answers.ts'
import type { Reports } from './reports.ts'

/** A socket that talks with its handshake. */
export interface Talker {
  readonly handshake: Handshake
  readonly rule: Refused['rule']
  /** The credential being verified: an exception may quote it. */
  readonly offered: Credential | undefined
  /** The handshake's view of the socket, made when it is first needed. */
  readonly context: KnownContext
  /** The frame that is being read, or that an answer is for. */
  readonly answered: Frame | undefined
}

/** A context with a look at the notes that calls nothing of the handshake. */
export interface KnownContext extends HandshakeContext {
  readonly notes: unknown
}

/** The handshake threw: this refusal takes the place of its step. */
export interface Threw {
  readonly step: 'threw'
  readonly refusal: Refused
}

/** The result of a frame. */
export type Heard = HandshakeStep | Threw

export type Frames = readonly OutgoingFrame[]

type About = Frame | IssuedCredential | undefined

/**
 * Every call of a handshake: of waiting sockets, of first frames, and of accepted sockets that renew their credential.
 * Each exception is logged without what it may quote, and becomes a refusal.
 *
 * The answers were checked already, by `core/rules/checked-handshake.ts`.
 */
export class Talk<P extends Principal> {
  readonly #reports: Reports<P>

  constructor(reports: Reports<P>) {
    this.#reports = reports
  }

  /** The header lines of the 101, or the refusal to answer it. */
  headers(talker: Pick<Talker, 'handshake' | 'rule' | 'context'>): readonly HandshakeHeader[] | Refused {
    try {
      return talker.handshake.headers?.(talker.context) ?? []
    } catch (error) {
      return this.#unavailable({ ...nothingSaid, ...talker }, 'headers', error, undefined)
    }
  }

  /** The frames that a socket is greeted with, at once or later. The promise never rejects. */
  open(talker: Talker): MaybePromise<Frames | Refused> {
    const { handshake } = talker
    if (handshake.open === undefined) return []
    try {
      const frames = handshake.open(talker.context)
      if (!isPromiseLike(frames)) return frames
      return Promise.resolve(frames).catch((error: unknown) => {
        const gone = talker.context.gone
        // A socket that is gone makes an opening fail: `closed` may have ended it.
        return gone ? refuse('unavailable') : this.#unavailable(talker, 'open', error, undefined)
      })
    } catch (error) {
      return this.#unavailable(talker, 'open', error, undefined)
    }
  }

  receive(talker: Talker, frame: Frame): Heard {
    try {
      return withCredential(talker.handshake.receive(frame, talker.context))
    } catch (error) {
      return this.#unreadable(talker, 'receive', error, frame)
    }
  }

  /** Whether a first frame is one of the handshake's protocol. */
  claims(talker: Talker, frame: Frame): boolean | Threw {
    try {
      return talker.handshake.claims?.(frame) === true
    } catch (error) {
      return this.#unreadable(talker, 'claims', error, frame)
    }
  }

  /** The frames that acknowledge a credential. */
  accept(talker: Talker, acceptance: Acceptance): Frames | Refused {
    try {
      return talker.handshake.accept(acceptance, talker.context, talker.answered)
    } catch (error) {
      return this.#unavailable(talker, 'accept', error, acceptance.issued)
    }
  }

  /**
   * The words and the close frame of a refusal; no words if the handshake throws: its clients speak no other
   * protocol.
   */
  reject(talker: Talker, refusal: Refusal, offered: Credential | undefined = talker.offered): RefusalFrames {
    let rejection: RefusalFrames
    try {
      rejection = talker.handshake.reject(refusal, talker.context, talker.answered)
    } catch (error) {
      this.#log(talker, 'reject', error, undefined, offered)
      rejection = closeOnly(refusal.code)
    }
    const { frames, closeCode, closeReason } = rejection
    return { frames, closeCode: validCloseCode(closeCode), closeReason: validCloseReason(closeReason) }
  }

  /** The close code of an accepted socket that the gate ends, where its protocol has one. Never throws. */
  ended(handshake: Handshake, reason: EndReason): number | undefined {
    try {
      return handshake.ended?.(reason)
    } catch (error) {
      this.#reports.handshakeThrew(handshake, 'ended', error, () => {})
      return undefined
    }
  }

  /** Tells the handshake that a socket is gone, of which it got the context. */
  closed(handshake: Handshake, context: KnownContext): void {
    if (handshake.closed === undefined) return
    const threw = (error: unknown): void => {
      this.#reports.handshakeThrew(handshake, 'closed', error, (secrets) => secrets.addData(context.notes))
    }
    try {
      const done = handshake.closed(context)
      if (isPromiseLike(done)) Promise.resolve(done).catch(threw)
    } catch (error) {
      threw(error)
    }
  }

  /** A bug in the handshake, or a peer that found one: refused like every other frame that cannot be read. */
  #unreadable(talker: Talker, hook: string, error: unknown, about: About): Threw {
    const note = this.#log(talker, hook, error, about)
    return { step: 'threw', refusal: refuse('bad_handshake', { rule: talker.rule, note }) }
  }

  #unavailable(talker: Talker, hook: string, error: unknown, about: About): Refused {
    return refuse('unavailable', { rule: talker.rule, note: this.#log(talker, hook, error, about) })
  }

  /** Logs the exception. Returns the note for the event. */
  #log(talker: Talker, hook: string, error: unknown, about: About, offered = talker.offered): string {
    const { handshake, answered } = talker
    this.#reports.handshakeThrew(handshake, hook, error, (secrets) => {
      addAbout(secrets, about)
      // The answer to a frame may quote it.
      if (about === undefined || !('binary' in about)) addAbout(secrets, answered)
      secrets.addCredential(offered).addData(talker.context.notes)
    })
    return `The handshake ${handshake.name} failed in \`${hook}\`.`
  }
}

/** What an exception may quote. */
export function addAbout(secrets: Secrets, about: About): void {
  if (about !== undefined && 'text' in about) secrets.addText(about.text)
  else secrets.addData(about)
}

const nothingSaid = { offered: undefined, answered: undefined }

/** Whether the talk ended in a refusal. */
export function isRefusal<T>(answer: readonly T[] | Refused): answer is Refused {
  return !Array.isArray(answer)
}
