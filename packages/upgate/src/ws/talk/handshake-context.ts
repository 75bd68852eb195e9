import type { Handshake, HandshakeContext } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { Shared } from './shared.ts'

/** The part of a socket that never changes, as its handshake sees it. */
export interface Place {
  readonly path: string
  readonly clientAddress: string | undefined
}

/** A handshake's view of one socket. */
export class SocketContext<P extends Principal> implements HandshakeContext {
  value: unknown = undefined
  gone = false
  readonly httpPrincipal: P | undefined
  readonly #shared: Shared<P>
  readonly #handshake: Handshake
  readonly #place: Place
  #state: unknown
  #hasState = false

  constructor(shared: Shared<P>, handshake: Handshake, place: Place, httpPrincipal: P | undefined) {
    this.#shared = shared
    this.#handshake = handshake
    this.#place = place
    this.httpPrincipal = httpPrincipal
  }

  get state(): unknown {
    if (!this.#hasState) {
      // Once, even if it throws: the next reader of the notes must not call it again.
      this.#hasState = true
      this.#state = this.#handshake.state?.()
    }
    return this.#state
  }

  set state(state: unknown) {
    this.#hasState = true
    this.#state = state
  }

  /** The notes, if there are any yet: calls nothing of the handshake. */
  get notes(): unknown {
    return this.#state
  }

  get path(): string {
    return this.#place.path
  }

  get clientAddress(): string | undefined {
    return this.#place.clientAddress
  }

  now(): number {
    return this.#shared.gate.clock.now()
  }

  randomId(bytes: number): string {
    return Buffer.from(this.#shared.limits.randomBytes(bytes)).toString('base64url')
  }

  /** Tells the handshake, once, that the socket is gone. */
  finish(): void {
    if (this.gone) return
    this.gone = true
    this.#shared.talk.closed(this.#handshake, this)
  }
}
