import type { IncomingMessage } from 'node:http'
import type { LiveConnection, Moment } from '../../core/contract/connections.ts'
import type { Allow } from '../../core/contract/decision.ts'
import type { OutgoingFrame } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { describeFault } from '../../core/faults/fault-log.ts'
import type { RevocationReason } from '../../core/ports/revocations.ts'
import type { Limits } from '../limits/limits.ts'
import type { Member } from '../limits/roster.ts'
import { type AttachedSocket, attached, emitAsUsual, intercept, isOpen, release } from '../socket/attached.ts'
import { validCloseCode, validCloseReason } from '../socket/close-frame.ts'
import type { Message } from '../socket/message.ts'
import type { WebSocketLike, WebSocketServerLike } from '../socket/web-socket-like.ts'
import type { Shared } from '../talk/shared.ts'

/** Where a socket was accepted. */
export interface Endpoint {
  readonly path: string
  readonly clientAddress: string | undefined
}

/** Renews the credentials of accepted sockets. */
export interface Renewal<P extends Principal> {
  /** A socket was accepted. */
  accepted(socket: AcceptedSocket<P>, ws: WebSocketLike, request: IncomingMessage): void
  /** No other override stands in front of its messages any more. */
  released(socket: AcceptedSocket<P>, ws: WebSocketLike): void
  /** Whether a message was about the credential. */
  hears(socket: AcceptedSocket<P>, ws: WebSocketLike, data: unknown, isBinary: boolean): boolean
  closed(socket: AcceptedSocket<P>): void
}

/** Reads the first frame of sockets that HTTP let in. */
export interface FirstReader<P extends Principal> {
  /** A socket was accepted at the 101. */
  expect(socket: AcceptedSocket<P>, ws: WebSocketLike, request: IncomingMessage, decision: Allow<P>): void
  /** Whether a message was a credential, or has to wait for one. */
  takes(socket: AcceptedSocket<P>, ws: WebSocketLike, data: unknown, isBinary: boolean): boolean
  closed(socket: AcceptedSocket<P>): void
}

/** What accepted sockets share: with waiting ones, and among themselves. */
export interface SharedByAccepted<P extends Principal> extends Shared<P> {
  readonly refreshes: Renewal<P>
  readonly firstFrames: FirstReader<P>
}

/**
 * An accepted socket: revocation, expiry and drain act on it.
 *
 * Sockets accepted without a principal, on public and optional paths, are included; they are not in the register.
 */
export class AcceptedSocket<P extends Principal> implements Member {
  readonly id: string
  readonly acceptedAt: number
  readonly path: string
  readonly clientAddress: string | undefined
  principal: P | undefined
  since = 0
  /** Reason with which the gate is closing the socket. */
  endReason: string | undefined
  /** Called once when the socket is gone. */
  onGone: (() => void) | undefined
  readonly #shared: SharedByAccepted<P>
  /** Absent while the server has not answered 101 yet. */
  #ws: WebSocketLike | undefined
  #ended = false
  #remove: (() => void) | undefined
  #undelivered: Message[] | undefined
  #undeliveredBytes = 0

  constructor(shared: SharedByAccepted<P>, principal: P | undefined, endpoint: Endpoint) {
    this.#shared = shared
    this.principal = principal
    this.path = endpoint.path
    this.clientAddress = endpoint.clientAddress
    this.acceptedAt = shared.gate.clock.now()
    this.id = shared.roster.nextId()
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
    this.#remove?.()
    this.#remove = registration.remove
    return undefined
  }

  /** Takes it off the register: the server never opened it, or not in time. */
  abandon(): void {
    this.#remove?.()
  }

  /**
   * Sends the acknowledgement, and hands it to the application with the messages that came before.
   *
   * @param at101 - the decision, where the socket was accepted at the upgrade without a first frame
   */
  start(
    opened: WebSocketLike,
    wss: WebSocketServerLike,
    request: IncomingMessage,
    frames: readonly OutgoingFrame[],
    messages: Message[],
    at101?: Allow<P>,
  ): void {
    const ws = opened as AttachedSocket<AcceptedSocket<P>>
    this.#ws = ws
    ws[attached] = this
    ws.on('close', onClose)
    // A peer's protocol violation must not end the process because an application did not listen for it.
    ws.on('error', ignore)
    this.#list().add(this)
    const { gate } = this.#shared
    if (this.principal !== undefined) {
      this.#shared.capacity.succeeded(this.#shared.capacity.addresses.of(this.clientAddress))
      this.#shared.refreshes.accepted(this, ws, request)
      if (at101 !== undefined) this.#shared.firstFrames.expect(this, ws, request, at101)
      if (gate.events.active) {
        const { principal, path, clientAddress, id: connectionId } = this as { principal: P } & this
        const place = { method: 'GET', path: path.slice(0, 256), clientAddress }
        gate.events.emit({ at: this.acceptedAt, type: 'socket_accepted', place, principal, connectionId })
      }
    }
    for (const frame of frames) ws.send(frame)
    if (this.#guarded(() => wss.emit('connection', ws, request, this.principal))) this.deliver(messages)
  }

  /**
   * Replaces the credential by a newer one of the same principal: expiry and revocation follow the newer one.
   *
   * @returns the reason, if the newer credential was revoked since its verification; the old one then stays in force
   */
  renew(principal: P, decided: Moment): RevocationReason | undefined {
    const old = this.principal
    this.principal = principal
    const refused = this.register(decided)
    if (refused !== undefined) this.principal = old
    return refused
  }

  /** Whether a message was about the credential. */
  hears(data: unknown, isBinary: boolean): boolean {
    return this.#ws !== undefined && this.#shared.refreshes.hears(this, this.#ws, data, isBinary)
  }

  /** Whether a message is a credential in the first frame, or has to wait for its verification. */
  takesFirst(data: unknown, isBinary: boolean): boolean {
    return this.#ws !== undefined && this.#shared.firstFrames.takes(this, this.#ws, data, isBinary)
  }

  /** Emits one of the gate's events on the application's socket. */
  tell(event: string, ...values: unknown[]): void {
    this.#guarded(() => this.#ws?.emit(event, ...values))
  }

  /** Closes the socket because its credential expired or was revoked. */
  close(reason: RevocationReason): void {
    this.end(closeCodeOf(reason, this.#shared.limits), endReasonOf(reason))
  }

  /** Drops every further message of the peer after its credential expired or was revoked; `close` follows. */
  mute(reason: RevocationReason): void {
    this.hush(endReasonOf(reason))
  }

  /** Drops every further message of the peer. */
  hush(reason: string): void {
    if (this.endReason !== undefined) return
    this.endReason = reason
    this.#undelivered = undefined
    this.#shared.roster.unheard.delete(this)
    // Messages arrive even after `close()`: a revoked peer must not be heard any more.
    if (this.#ws !== undefined) intercept(this.#ws, emitMuted)
  }

  /** Drops further messages and sends the close frame; the socket is terminated after `closeGrace`. */
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

  /** Drops the messages queued during verification, because the application never listened, and resumes the socket. */
  giveUpDelivery(): void {
    this.#stopHolding()
    this.#undelivered = undefined
    this.#shared.gate.logger.warn('No `message` listener was attached in time: early messages are dropped.', {
      connection: this.id,
    })
    this.#ws?.resume()
  }

  /** Queues a message that arrived before the application listens for messages. */
  keep(data: unknown, isBinary: boolean): void {
    if (this.#undelivered === undefined) return
    const { maxQueuedMessages, maxQueuedBytes } = this.#shared.limits
    this.#undeliveredBytes += sizeOf(data)
    if (this.#undelivered.length >= maxQueuedMessages || this.#undeliveredBytes > maxQueuedBytes) {
      this.end(4429, 'too_many_frames')
      return
    }
    this.#undelivered.push([data, isBinary])
  }

  /** The application is about to listen. */
  heard(): void {
    process.nextTick(() => {
      const messages = this.#undelivered
      if (messages === undefined) return
      this.#stopHolding()
      this.#undelivered = undefined
      this.deliver(messages)
    })
  }

  /** Delivers the messages queued during a verification, before any later message. */
  deliver(messages: Message[], resume = true): void {
    const ws = this.#ws
    if (ws === undefined) return
    if (messages.length > 0 && this.endReason === undefined && ws.listenerCount('message') === 0) {
      this.#undelivered = messages
      this.#shared.roster.unheard.add(this)
      ws.pause()
      intercept(ws, emitHeld)
      ws.on('newListener', onNewListener)
      return
    }
    for (const [data, isBinary] of messages) {
      if (this.endReason !== undefined || !isOpen(ws)) return
      if (!this.#guarded(() => ws.emit('message', data, isBinary), data)) return
    }
    if (resume && ws.isPaused && isOpen(ws)) ws.resume()
  }

  #stopHolding(): void {
    const ws = this.#ws
    this.#shared.roster.unheard.delete(this)
    if (ws === undefined) return
    ws.removeListener('newListener', onNewListener)
    release(ws)
    this.#shared.refreshes.released(this, ws)
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
      this.end(1011, 'internal_error')
      return false
    }
  }

  #list(): Set<Member> {
    return this.principal === undefined ? this.#shared.roster.anonymous : this.#shared.roster.accepted
  }

  /** The socket has gone. */
  closed(): void {
    const { capacity, firstFrames, gate, refreshes, roster } = this.#shared
    this.#remove?.()
    refreshes.closed(this)
    firstFrames.closed(this)
    roster.leaving.delete(this)
    roster.unheard.delete(this)
    this.#list().delete(this)
    const bucket = capacity.addresses.of(this.clientAddress)
    if (this.principal === undefined) {
      capacity.addresses.add(bucket, 'anonymous', -1)
    } else {
      this.#shared.capacity.succeeded(bucket)
      if (gate.events.active) {
        const { principal, id: connectionId, endReason: reason } = this as { principal: P } & this
        gate.events.emit({
          at: this.#shared.gate.clock.now(),
          type: 'socket_closed',
          principal,
          connectionId,
          reason,
        })
      }
    }
    this.#shared.roster.gone()
    this.onGone?.()
  }
}

/** Returns the close code for a credential that expired or was revoked. */
function closeCodeOf(
  reason: RevocationReason,
  { expiredCode, revokedCode }: Pick<Limits, 'expiredCode' | 'revokedCode'>,
): number {
  if (reason === 'expired') return expiredCode
  return reason === 'unavailable' ? 1013 : revokedCode
}

function endReasonOf(reason: RevocationReason): string {
  return reason === 'expired' ? 'auth_expired' : reason
}

function sizeOf(data: unknown): number {
  if (Array.isArray(data)) return data.reduce<number>((sum, part) => sum + sizeOf(part), 0)
  return (data as { byteLength?: number }).byteLength ?? 0
}

type Owned = AttachedSocket<AcceptedSocket<Principal>>

function onClose(this: Owned): void {
  this[attached]?.closed()
}

function ignore(): void {}

function onNewListener(this: Owned, event: unknown): void {
  if (event === 'message') this[attached]?.heard()
}

function emitMuted(this: Owned, event: string | symbol, a?: unknown, b?: unknown): boolean {
  return event === 'message' ? false : emitAsUsual(this, event, a, b)
}

function emitHeld(this: Owned, event: string | symbol, a?: unknown, b?: unknown): boolean {
  if (event !== 'message') return emitAsUsual(this, event, a, b)
  this[attached]?.keep(a, b === true)
  return true
}
