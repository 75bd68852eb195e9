import type { Defer, Refused, Resumption } from '../../core/contract/decision.ts'
import type { OutgoingFrame } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { AcceptedSocket } from '../accepted/accepted-socket.ts'
import type { SharedByAccepted } from '../accepted/shared.ts'
import type { Message } from '../socket/message.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import { codeOfRevocation } from '../talk/failures.ts'
import { isRefusal } from '../talk/talk.ts'
import type { Arrival } from './arrival.ts'
import type { Conversation } from './conversation.ts'

/** An answer that accepts a credential. */
export type Acceptable<P extends Principal> = Resumption<P> & { readonly outcome: 'allow' }

/** A socket that counts as accepted, and that the application has not got yet. */
export interface Ready<P extends Principal> {
  readonly outcome: 'ready'
  readonly accepted: AcceptedSocket<P>
  /** The acknowledgement. */
  readonly frames: readonly OutgoingFrame[]
  /** The handshake's value for the application. */
  readonly value: unknown
}

/**
 * Lets the handshake acknowledge the credential, and registers its principal.
 *
 * @returns a refusal if the handshake threw, or the principal was revoked during the verification
 */
export function makeReady<P extends Principal>(
  shared: SharedByAccepted<P>,
  arrival: Arrival<P>,
  talk: Conversation<P>,
  { principal, dropped, issued, asOf }: Acceptable<P>,
): Ready<P> | Refused {
  const frames = talk.accept({ principal, dropped, issued })
  if (isRefusal(frames)) return frames
  const accepted = new AcceptedSocket(
    shared,
    principal,
    arrival.endpoint,
    (arrival.decision as Defer<P>).rule,
  )
  const revoked = accepted.register(asOf)
  if (revoked !== undefined) return refuse(codeOfRevocation(revoked), { rule: talk.rule })
  // Any other handshake needs no context after the acceptance: it would cost memory for as long as the socket lives.
  const { closed, refresh } = talk.handshake
  if (closed !== undefined || refresh !== undefined) accepted.context = talk.knownContext
  return { outcome: 'ready', accepted, frames, value: talk.knownContext?.value }
}

/**
 * Hands a ready socket to the application: the gate knows its request, and its server counts it among its clients. The
 * acknowledgement goes first, the messages of the verification follow.
 */
export function handOver<P extends Principal>(
  shared: SharedByAccepted<P>,
  arrival: Arrival<P>,
  ws: WebSocketLike,
  { principal, edgePrincipal, asOf }: Acceptable<P>,
  { accepted, frames, value }: Ready<P>,
  messages: Message[],
): void {
  const { wss } = arrival
  const { rule } = arrival.decision as Defer<P>
  const request = arrival.request()
  const headers = undefined
  shared.gate.remember(request, { outcome: 'allow', principal, edgePrincipal, rule, headers, asOf })
  ;(wss.clients as Set<unknown> | undefined)?.add(ws)
  accepted.start(ws, wss, request, { frames, messages, value, at101: undefined })
}
