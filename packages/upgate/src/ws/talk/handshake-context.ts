import type { HandshakeContext } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { Shared } from './shared.ts'

/** A handshake's view of one socket. */
export class SocketContext<P extends Principal> implements HandshakeContext {
  state: unknown = undefined
  gone = false
  readonly httpPrincipal: P | undefined
  readonly #shared: Shared<P>

  constructor(shared: Shared<P>, httpPrincipal: P | undefined) {
    this.#shared = shared
    this.httpPrincipal = httpPrincipal
  }

  now(): number {
    return this.#shared.gate.clock.now()
  }

  randomId(bytes: number): string {
    return Buffer.from(this.#shared.limits.randomBytes(bytes)).toString('base64url')
  }
}
