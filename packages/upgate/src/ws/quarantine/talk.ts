import { atOnce } from '../../core/async/maybe-promise.ts'
import type { Credential, IssuedCredential } from '../../core/contract/credential.ts'
import type { Refused } from '../../core/contract/decision.ts'
import type {
  Frame,
  Handshake,
  HandshakeContext,
  HandshakeStep,
  Refusal,
  RefusalFrames,
} from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { upgateHandshake } from '../handshakes/upgate.ts'
import { framesOf, stepOf } from './answers.ts'
import type { Reports } from './reports.ts'

/** A socket that talks with its handshake. */
export interface Talker {
  readonly handshake: Handshake
  readonly rule: Refused['rule']
  /** The credential being verified: an exception may quote it. */
  readonly offered: Credential | undefined
  /** What the handshake sees of the socket, made when it is first needed. */
  readonly context: HandshakeContext
}

/** The handshake threw: this refusal takes the place of its step. */
interface Threw {
  readonly step: 'threw'
  readonly refusal: Refused
}

/** What comes of a frame. */
export type Heard = HandshakeStep | Threw

type About = Frame | IssuedCredential | undefined

/**
 * The talk with handshakes, for waiting sockets and first frames alike: every answer is checked, every exception is
 * logged without what it may quote, and becomes a refusal.
 */
export class Talk<P extends Principal> {
  readonly #reports: Reports<P>

  constructor(reports: Reports<P>) {
    this.#reports = reports
  }

  /** The frames that a socket is greeted with. */
  open(talker: Talker): readonly string[] | Refused {
    const { handshake } = talker
    if (handshake.open === undefined) return []
    try {
      return framesOf('open', handshake.open(talker.context))
    } catch (error) {
      return this.#unavailable(talker, 'open', error, undefined)
    }
  }

  receive(talker: Talker, frame: Frame): Heard {
    try {
      return stepOf(talker.handshake.receive(frame, talker.context))
    } catch (error) {
      return this.#unreadable(talker, 'receive', error, frame)
    }
  }

  /** Whether a first frame is one of the handshake's protocol. */
  claims(talker: Talker, frame: Frame): boolean | Threw {
    try {
      return atOnce('claims', talker.handshake.claims?.(frame)) === true
    } catch (error) {
      return this.#unreadable(talker, 'claims', error, frame)
    }
  }

  /** The frames that acknowledge a credential. */
  accept(talker: Talker, accepted: Parameters<Handshake['accept']>[0]): readonly string[] | Refused {
    try {
      return framesOf('accept', talker.handshake.accept(accepted, talker.context))
    } catch (error) {
      return this.#unavailable(talker, 'accept', error, accepted.issued)
    }
  }

  /** The words and the close code of a refusal; those of Upgate's own protocol where the handshake throws. */
  reject(talker: Talker, refusal: Refusal, offered: Credential | undefined = talker.offered): RefusalFrames {
    try {
      const rejection = atOnce('reject', talker.handshake.reject(refusal, talker.context))
      framesOf('reject', rejection.frames)
      return rejection
    } catch (error) {
      this.#log(talker, 'reject', error, undefined, offered)
      return upgateHandshake().reject(refusal, talker.context)
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
    const { handshake } = talker
    this.#reports.handshakeThrew(handshake, hook, error, (secrets) => {
      if (about !== undefined && 'text' in about) secrets.addText(about.text)
      else secrets.addData(about)
      secrets.addCredential(offered).addData(talker.context.state)
    })
    return `The handshake ${handshake.name} failed in \`${hook}\`.`
  }
}

/** Whether the talk ended in a refusal. */
export function isRefusal(answer: readonly string[] | Refused): answer is Refused {
  return !Array.isArray(answer)
}
