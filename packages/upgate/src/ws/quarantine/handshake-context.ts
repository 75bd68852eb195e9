import type { HandshakeContext } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { Keeper } from './keeper.ts'

/** What a handshake sees of one socket. */
export class SocketContext<P extends Principal> implements HandshakeContext {
  state: unknown = undefined
  readonly httpPrincipal: P | undefined
  readonly #keeper: Keeper<P>

  constructor(keeper: Keeper<P>, httpPrincipal: P | undefined) {
    this.#keeper = keeper
    this.httpPrincipal = httpPrincipal
  }

  now(): number {
    return this.#keeper.now()
  }

  randomId(bytes: number): string {
    return Buffer.from(this.#keeper.limits.randomBytes(bytes)).toString('base64url')
  }
}
