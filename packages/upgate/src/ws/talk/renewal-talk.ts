import type { IssuedCredential } from '../../core/contract/credential.ts'
import type { Acceptance, Frame, Handshake, HandshakeStep, Refusal } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { withCredential } from './answers.ts'
import type { Reports } from './reports.ts'
import { addAbout, type Frames, type KnownContext, type Threw } from './talk.ts'

/** An accepted socket that may renew its credential. */
export interface Renewing {
  readonly handshake: Handshake
  readonly context: KnownContext
}

/** The result of a frame about the credential of an accepted socket. */
export type HeardAgain = Exclude<HandshakeStep, { step: 'more' }> | Threw

/**
 * Every call of a handshake's `refresh`. Each exception is logged without what it may quote, and becomes a refusal, or
 * an answer without frames: the socket goes on.
 */
export class RenewalTalk<P extends Principal> {
  readonly #reports: Reports<P>

  constructor(reports: Reports<P>) {
    this.#reports = reports
  }

  /** A message of an accepted socket: the step if it is about the credential, otherwise `undefined`. */
  renewal({ handshake, context }: Renewing, frame: Frame): HeardAgain | undefined {
    try {
      const step = handshake.refresh?.receive(frame, context)
      return step && withCredential(step)
    } catch (error) {
      this.#log(handshake, context, 'receive', error, frame)
      const refusal = refuse('bad_handshake', { detail: 'The message could not be read.' })
      return { step: 'threw', refusal }
    }
  }

  /** The frames that acknowledge a newer credential; `undefined` if the handshake threw. */
  renewed({ handshake, context }: Renewing, acceptance: Acceptance, frame: Frame): Frames | undefined {
    try {
      return handshake.refresh?.accept(acceptance, frame, context) ?? []
    } catch (error) {
      this.#log(handshake, context, 'accept', error, frame, acceptance.issued)
      return undefined
    }
  }

  /** The frames that refuse a newer credential; none if the handshake threw. */
  renewalRefused({ handshake, context }: Renewing, refusal: Refusal, frame: Frame): Frames {
    try {
      return handshake.refresh?.reject(refusal, frame, context) ?? []
    } catch (error) {
      this.#log(handshake, context, 'reject', error, frame)
      return []
    }
  }

  /** The frames that announce the end of a credential; none if the handshake threw. */
  expiring({ handshake, context }: Renewing, expiresAt: number, now: number): Frames {
    try {
      return handshake.refresh?.expiring?.(expiresAt, now, context) ?? []
    } catch (error) {
      this.#log(handshake, context, 'expiring', error, undefined)
      return []
    }
  }

  #log(
    handshake: Handshake,
    context: KnownContext,
    hook: string,
    error: unknown,
    frame: Frame | undefined,
    issued?: IssuedCredential,
  ): void {
    this.#reports.handshakeThrew(handshake, `refresh.${hook}`, error, (secrets) => {
      for (const quotable of [frame, issued]) addAbout(secrets, quotable)
      secrets.addData(context.notes)
    })
  }
}
