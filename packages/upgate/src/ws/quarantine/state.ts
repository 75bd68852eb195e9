import type { Principal } from '../../core/contract/principal.ts'
import type { Timer } from '../../core/ports/clock.ts'
import type { Attempt } from '../talk/attempt.ts'
import type { Conversation } from './conversation.ts'

/**
 * The states of a waiting socket, in the order of its life. Each holds what it needs, and nothing of another. The
 * conversation is a state itself, `talking`: the handshake greets the client, or waits for a credential. It is made when
 * there is something to say or to hear; until then a bare socket is `silent`.
 *
 *     checking -> silent -> talking <-> verifying -> gone (accepted)
 *         any of them -> held -> closing -> gone
 */
export type State<P extends Principal> =
  | Checking
  | Silent
  | Conversation<P>
  | Verifying<P>
  | Held<P>
  | Closing<P>
  | Gone

/** The server has not answered 101 yet. */
interface Checking {
  readonly at: 'checking'
  readonly talk?: never
}

/** The 101 is written by hand, the handshake does not greet, and the client has sent nothing. */
interface Silent {
  readonly at: 'silent'
  readonly talk?: never
}

/** A credential is verified, or waits for its turn. */
interface Verifying<P extends Principal> {
  readonly at: 'verifying'
  readonly talk: Conversation<P>
  readonly attempt: Attempt<P>
}

/** Refused, and held before the close frame: a client whose socket closes immediately reconnects immediately. */
interface Held<P extends Principal> {
  readonly at: 'held'
  readonly talk: Conversation<P>
  /** The code of the close frame. */
  readonly code: number
  readonly reason: string
  readonly timer: Timer
}

/** The close frame is sent; or, before the 101, the raw socket is destroyed. */
interface Closing<P extends Principal> {
  readonly at: 'closing'
  readonly talk: Conversation<P> | undefined
}

/** Closed, or accepted and handed to the application. */
interface Gone {
  readonly at: 'gone'
  readonly talk?: never
}

export const checking: Checking = { at: 'checking' }
export const silent: Silent = { at: 'silent' }
export const gone: Gone = { at: 'gone' }

/** Whether nothing the client sends counts any more: the socket is refused, closed, or accepted. */
export function isRefused<P extends Principal>({ at }: State<P>): boolean {
  return at === 'held' || at === 'closing' || at === 'gone'
}

/** The conversation of a socket that is open. */
export function talkOf<P extends Principal>(state: State<P>): Conversation<P> | undefined {
  return state.at === 'talking' ? state : state.talk
}
