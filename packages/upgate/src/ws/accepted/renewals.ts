import type { IncomingMessage } from 'node:http'
import type { InBand, Refused, Resumption } from '../../core/contract/decision.ts'
import type { Frame, OutgoingFrame } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { compiledRuleOf } from '../../core/contract/rules.ts'
import { type AttachedSocket, attached, emitAsUsual, intercept, isOpen } from '../socket/attached.ts'
import { sendAll } from '../socket/send-all.ts'
import type { WebSocketLike } from '../socket/web-socket-like.ts'
import { frameOf, isReadable } from '../talk/answers.ts'
import type { Renewing } from '../talk/renewal-talk.ts'
import type { Shared } from '../talk/shared.ts'
import { ExpiryNotices } from './expiry-notices.ts'
import type { LiveSocket } from './live-socket.ts'
import { type Accepted, RenewableSocket } from './renewable-socket.ts'
import type { RenewalReader } from './shared.ts'

/** Bytes: no credential is longer, and no more of the application's data is parsed. */
const longestFrame = 16_384

/** Renews the credentials of accepted sockets. Sockets that may not ask for it in band cost nothing. */
export class Renewals<P extends Principal> implements RenewalReader<P> {
  readonly #shared: Shared<P>
  readonly #sockets: WeakMap<LiveSocket<P>, RenewableSocket<P>> = new WeakMap()
  readonly #notices: ExpiryNotices

  constructor(shared: Shared<P>) {
    this.#shared = shared
    this.#notices = new ExpiryNotices(shared.gate.clock)
  }

  /** Registers an accepted socket for renewals, where its protocol has them. */
  accepted(socket: LiveSocket<P>, ws: WebSocketLike, request: IncomingMessage): void {
    const decision = this.#shared.gate.decisionOf(request)
    if (decision?.outcome !== 'allow' || compiledRuleOf(decision.rule).handshake?.refresh === undefined)
      return
    const renewable = new RenewableSocket(this.#shared, socket, ws, request, decision)
    this.#sockets.set(socket, renewable)
    intercept(ws, emitRenewable)
    this.#notice(renewable)
  }

  released(socket: LiveSocket<P>, ws: WebSocketLike): void {
    if (this.#sockets.get(socket)?.handshake?.refresh !== undefined) intercept(ws, emitRenewable)
  }

  closed(socket: LiveSocket<P>): void {
    const renewable = this.#sockets.get(socket)
    if (renewable === undefined) return
    this.#notices.delete(renewable)
    renewable.closed()
  }

  hears(socket: LiveSocket<P>, ws: WebSocketLike, data: unknown, isBinary: boolean): boolean {
    const renewable = this.#sockets.get(socket)
    const handshake = renewable?.handshake
    if (renewable === undefined || handshake?.refresh === undefined) return false
    if (!Buffer.isBuffer(data) || data.length > longestFrame) return false
    const { marker } = handshake.refresh
    if (isBinary === (typeof marker === 'string') || !data.includes(marker as string)) return false
    const renewing = { handshake, context: renewable.contextFor(handshake) }
    const frame = frameOf(data, isBinary)
    const step = this.#shared.renewalTalk.renewal(renewing, frame)
    if (step === undefined) return false
    // The application has closed the socket already: an answer could not be sent.
    if (!isOpen(ws)) return true
    const answer = (resumption: Resumption<P>): void => {
      this.#answer(renewable, renewing, ws, resumption, frame)
    }
    switch (step.step) {
      case 'ignore':
        break
      case 'send': {
        const refused = renewable.answers()
        if (refused === undefined) sendAll(ws, step.frames)
        else answer(refused)
        break
      }
      case 'threw':
        answer(renewable.malformed(step.refusal))
        break
      case 'reject':
        answer(renewable.malformed(refuse(step.code, { detail: step.detail })))
        break
      case 'credential':
        // A listener of `refreshed` learns that the newer credential grants less.
        renewable.attempt(step, ws.listenerCount('refreshed') > 0, answer)
    }
    return true
  }

  /** Answers in band. */
  #answer(
    renewable: RenewableSocket<P>,
    renewing: Renewing,
    ws: WebSocketLike,
    answer: Resumption<P>,
    frame: Frame,
  ): void {
    const { renewalTalk: talk } = this.#shared
    if (renewable.socket.endReason !== undefined || !isOpen(ws)) return
    let refused: Refused | undefined
    if (answer.outcome === 'allow') {
      const frames = talk.renewed(renewing, answer, frame)
      // The handshake could not write the answer: the old credential stays in force.
      if (frames === undefined) return
      refused = this.#swap(renewable, ws, answer, frames)
    } else {
      refused = answer
    }
    if (refused === undefined) return
    this.#refused(renewable, ws, refused, talk.renewalRefused(renewing, refused, frame))
  }

  /** Puts the newer credential in the old one's place, or returns why it does not count any more. */
  #swap(
    renewable: RenewableSocket<P>,
    ws: WebSocketLike,
    answer: Accepted<P>,
    frames: readonly OutgoingFrame[],
  ): Refused | undefined {
    const { socket } = renewable
    const { principal } = answer
    const previous = socket.principal
    const revoked = renewable.swap(answer)
    if (revoked !== undefined) return revoked
    sendAll(ws, frames)
    this.#notice(renewable)
    this.#shared.reports.renewed(socket, principal)
    socket.tell('refreshed', principal, previous)
    return undefined
  }

  #refused(
    renewable: RenewableSocket<P>,
    ws: WebSocketLike,
    refusal: Refused,
    frames: readonly OutgoingFrame[],
  ): void {
    const { limits, reports } = this.#shared
    const { socket } = renewable
    sendAll(ws, frames)
    if (socket.principal !== undefined) reports.renewalRefused(socket, socket.principal, refusal)
    if (!renewable.isLast(refusal)) return
    if (refusal.code === 'principal_mismatch') socket.endAs(refusal.code, limits.revokedCode)
    else socket.endAs('too_many_failures', 4429)
  }

  /**
   * Renews with a credential that the application read from a message of its own protocol. Never rejects.
   *
   * @throws TypeError for a socket that was not accepted here, or a request that is not the socket's
   */
  renew(ws: WebSocketLike, request: IncomingMessage, inBand: InBand): Promise<Resumption<P>> {
    const socket = (ws as AttachedSocket<LiveSocket<P>>)[attached]
    const decision = this.#shared.gate.decisionOf(request)
    if (typeof socket?.renew !== 'function' || decision?.outcome !== 'allow') {
      throw new TypeError(
        'refresh: give it a socket that was accepted here, and the request that came with it in `connection`.',
      )
    }
    const { rule, principal } = decision
    if (principal === undefined || socket.principal !== principal) {
      const detail = 'The socket was not accepted as the principal of this request.'
      return Promise.resolve(refuse('principal_mismatch', { rule, detail }))
    }
    if (socket.endReason !== undefined || !isOpen(ws)) {
      return Promise.resolve(refuse('revoked_credential', { rule, detail: 'The socket is closed.' }))
    }
    const known = this.#sockets.get(socket)
    const renewable = known ?? new RenewableSocket(this.#shared, socket, ws, request, decision)
    if (known === undefined) this.#sockets.set(socket, renewable)
    return new Promise((resolve) => {
      if (!isReadable(inBand)) {
        const detail = 'The message carries nothing that could be a credential.'
        const answer = renewable.malformed(refuse('bad_handshake', { rule, detail }))
        resolve(answer)
        setImmediate(() => this.#refused(renewable, ws, answer, []))
        return
      }
      renewable.attempt(inBand, true, (answer) => {
        const refused = answer.outcome === 'allow' ? this.#swap(renewable, ws, answer, []) : answer
        resolve(refused ?? answer)
        // Leaves the application one turn to send its own answer before the socket is closed.
        if (refused !== undefined) setImmediate(() => this.#refused(renewable, ws, refused, []))
      })
    })
  }

  #notice(renewable: RenewableSocket<P>): void {
    if (renewable.handshake?.refresh?.expiring !== undefined) this.#notices.add(renewable)
  }
}

type Owned = AttachedSocket<{ hears(data: unknown, isBinary: boolean): boolean }>

/** Replaces `emit`: messages that renew a credential do not reach the application. */
function emitRenewable(this: Owned, event: string | symbol, a?: unknown, b?: unknown): boolean {
  if (event === 'message' && this[attached]?.hears(a, b === true) === true) return true
  return emitAsUsual(this, event, a, b)
}
