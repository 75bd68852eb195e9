import type { IncomingMessage } from 'node:http'
import type { EndReason } from '../../core/contract/client-families.ts'
import type { LiveConnection, Moment, Registration } from '../../core/contract/connections.ts'
import type { Allow } from '../../core/contract/decision.ts'
import type { OutgoingFrame } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { DecidedRule } from '../../core/contract/rules.ts'
import { describeFault } from '../../core/faults/fault-log.ts'
import type { RevocationReason } from '../../core/ports/revocations.ts'
import { handshakeOf } from '../handshakes/close-only.ts'
import type { Member } from '../limits/roster.ts'
import { type AttachedSocket, attached, emitAsUsual, intercept, isOpen } from '../socket/attached.ts'
import { validCloseCode, validCloseReason } from '../socket/close-frame.ts'
import type { Message } from '../socket/message.ts'
import { sendAll } from '../socket/send-all.ts'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'
import type { SocketContext } from '../talk/handshake-context.ts'
import { closeCodeOf, endReasonOf } from './endings.ts'
import type { LiveSocket } from './live-socket.ts'
import type { Endpoint, SharedByAccepted } from './shared.ts'
import { UnheardMessages, type Unhearing } from './unheard-messages.ts'

/**
 * An accepted socket: revocation, expiry and drain act on it. Its life, from top to bottom: registered, started,
 * delivered to, muted, ended, closed.
 *
 * Sockets accepted without a principal, on public and optional paths, are included; they are not in the register.
 */
export class AcceptedSocket<P extends Principal> implements Member, LiveSocket<P>, Unhearing {
  readonly path: string
  readonly clientAddress: string | undefined
  readonly peerAddress: string | undefined
  principal: P | undefined
  since = 0
  endReason: string | undefined
  context: SocketContext<P> | undefined
  /** Messages that wait for the application to listen. */
  unheard: UnheardMessages | undefined
  readonly #shared: SharedByAccepted<P>
  readonly #rule: DecidedRule
  /** Absent while the server has not answered 101 yet. */
  #ws: WebSocketLike | undefined
  #ended = false
  readonly #number: number
  readonly #accepted: number
  #registered: Registered | undefined

  constructor(shared: SharedByAccepted<P>, principal: P | undefined, endpoint: Endpoint, rule: DecidedRule) {
    this.#shared = shared
    this.#rule = rule
    this.principal = principal
    this.path = endpoint.path
    this.clientAddress = endpoint.clientAddress
    this.peerAddress = endpoint.peerAddress
    this.#accepted = shared.roster.elapsed()
    this.#number = shared.roster.nextNumber()
  }

  get id(): string {
    return this.#shared.roster.idOf(this.#number)
  }

  get acceptedAt(): number {
    return this.#shared.roster.timeOf(this.#accepted)
  }

  /**
   * Puts it into the register, where it has a principal: from now on revocation and expiry end it. `start` or
   * `abandon` follows.
   *
   * @returns why the principal stopped counting since the decision, if it did
   */
  register(decided: Moment): RevocationReason | undefined {
    if (this.principal === undefined) return undefined
    const registration = this.#shared.gate.connections.register(this as LiveConnection, decided)
    if (registration.outcome === 'refused') return registration.reason
    this.#registered?.remove()
    this.#registered = registration
    return undefined
  }

  /** Takes it off the register: the server never opened it, or not in time. */
  abandon(): void {
    this.#registered?.remove()
    this.context?.finish()
  }

  /**
   * Sends the acknowledgement, and hands it to the application with its value and the messages that came before.
   */
  start(
    opened: WebSocketLike,
    wss: WebSocketServerLike,
    request: IncomingMessage,
    { frames, messages, value, at101 }: Beginning<P>,
  ): void {
    const ws = opened as AttachedSocket<AcceptedSocket<P>>
    const { capacity, firstFrames, renewals, reports } = this.#shared
    this.#ws = ws
    ws[attached] = this
    ws.on('close', onClose)
    // A peer's protocol violation must not end the process because an application did not listen for it.
    ws.on('error', ignore)
    this.#list().add(this)
    if (this.principal !== undefined) {
      capacity.succeeded(capacity.addresses.of(this.clientAddress))
      renewals.accepted(this, ws, request)
      if (at101 !== undefined) firstFrames.expect(this, ws, request, at101)
      reports.accepted(this, this.principal)
    }
    sendAll(ws, frames)
    if (this.#guarded(() => wss.emit('connection', ws, request, this.principal, value)))
      this.deliver(messages, at101 === undefined)
  }

  /** `waited`: its client may have sent more behind the credential, which no one has read yet. */
  deliver(messages: readonly Message[], waited = true): void {
    const ws = this.#ws
    if (ws === undefined) return
    const early = waited || messages.length > 0
    if (early && this.endReason === undefined && isOpen(ws) && ws.listenerCount('message') === 0) {
      this.unheard = new UnheardMessages(this.#shared, this, ws, messages)
      return
    }
    for (const [data, isBinary] of messages) {
      if (this.endReason !== undefined || !isOpen(ws)) return
      if (!this.#guarded(() => ws.emit('message', data, isBinary), data)) return
    }
    if (waited && ws.isPaused && isOpen(ws)) ws.resume()
  }

  /** The application listens now, or did not do so in time. */
  over(messages: readonly Message[] | undefined): void {
    const ws = this.#ws as WebSocketLike
    this.unheard = undefined
    this.#shared.renewals.released(this, ws)
    if (messages === undefined) ws.resume()
    else this.deliver(messages)
  }

  /** Whether a message is a credential in the first frame, or has to wait for its verification. */
  takesFirst(data: unknown, isBinary: boolean): boolean {
    return this.#ws !== undefined && this.#shared.firstFrames.takes(this, this.#ws, data, isBinary)
  }

  /** Whether a message renews the credential. */
  hears(data: unknown, isBinary: boolean): boolean {
    return this.#ws !== undefined && this.#shared.renewals.hears(this, this.#ws, data, isBinary)
  }

  tell(event: string, ...values: unknown[]): void {
    this.#guarded(() => this.#ws?.emit(event, ...values))
  }

  renew(principal: P, decided: Moment): RevocationReason | undefined {
    const old = this.principal
    this.principal = principal
    const refused = this.register(decided)
    if (refused !== undefined) this.principal = old
    return refused
  }

  /** Drops every further message of the peer after its credential expired or was revoked; `close` follows. */
  mute(reason: RevocationReason): void {
    this.hush(endReasonOf(reason))
  }

  /** Closes the socket because its credential expired or was revoked. */
  close(reason: RevocationReason): void {
    this.endAs(reason, closeCodeOf(reason, this.#shared.limits), endReasonOf(reason))
  }

  hush(reason: string): void {
    if (this.endReason !== undefined) return
    this.endReason = reason
    this.#forgetUnheard()
    // Messages arrive even after `close()`: a revoked peer must not be heard any more.
    if (this.#ws !== undefined) intercept(this.#ws, emitMuted)
  }

  endAs(reason: EndReason, standardCode: number, text: string = reason): void {
    if (this.#ended) return
    this.end(this.#shared.talk.ended(handshakeOf(this.#rule), reason) ?? standardCode, text)
  }

  end(code: number, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.hush(reason)
    const ws = this.#ws
    if (ws === undefined) return
    if (ws.isPaused) ws.resume()
    ws.close(validCloseCode(code), validCloseReason(reason))
    this.#shared.roster.leaving.add(this)
  }

  terminate(): void {
    this.#ws?.terminate()
  }

  /** The socket has gone. */
  closed(): void {
    const { capacity, firstFrames, renewals, reports, roster } = this.#shared
    this.#registered?.remove()
    renewals.closed(this)
    firstFrames.closed(this)
    roster.leaving.delete(this)
    this.#forgetUnheard()
    this.#list().delete(this)
    const bucket = capacity.addresses.of(this.clientAddress)
    if (this.principal === undefined) {
      capacity.addresses.add(bucket, 'anonymous', -1)
    } else {
      capacity.succeeded(bucket)
      reports.closed(this, this.principal)
    }
    roster.gone()
    this.context?.finish()
  }

  #forgetUnheard(): void {
    this.unheard?.stop()
    this.unheard = undefined
  }

  #list(): Set<Member> {
    return this.principal === undefined ? this.#shared.roster.anonymous : this.#shared.roster.accepted
  }

  /** Runs a handler of the application; its exception ends this socket, not the process with all other sockets. */
  #guarded(call: () => unknown, data?: unknown): boolean {
    try {
      call()
      return true
    } catch (thrown) {
      // The first message may be the frame with the credential, handed on.
      const described = describeFault(thrown, (secrets) => {
        if (data !== undefined) secrets.addText(String(data))
      })
      this.#shared.gate.logger.error('A `connection` or `message` listener threw: the socket is closed.', {
        connection: this.id,
        ...described,
      })
      this.endAs('internal_error', 1011)
      return false
    }
  }
}

/** The first words of the gate and of the client on an accepted socket. */
interface Beginning<P extends Principal> {
  /** The acknowledgement. */
  readonly frames: readonly OutgoingFrame[]
  /** Messages that came before the acceptance. */
  readonly messages: readonly Message[]
  /** The value that the handshake made for the application. */
  readonly value: unknown
  /** The decision, where the socket was accepted at the upgrade without a first frame. */
  readonly at101: Allow<P> | undefined
}

type Registered = Extract<Registration, { outcome: 'registered' }>

type Owned = AttachedSocket<AcceptedSocket<Principal>>

function onClose(this: Owned): void {
  this[attached]?.closed()
}

function ignore(): void {}

function emitMuted(this: Owned, event: string | symbol, a?: unknown, b?: unknown): boolean {
  return event === 'message' ? false : emitAsUsual(this, event, a, b)
}
