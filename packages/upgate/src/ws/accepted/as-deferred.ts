import type { Allow, Defer } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { handshakeOf } from '../handshakes/close-only.ts'
import type { LiveSocket } from './live-socket.ts'

/**
 * Turns the decision that accepted a socket into a deferred one, for verifying a newer credential. The socket's
 * principal takes the place of the HTTP principal: the gate refuses a credential of any other principal.
 */
export function asDeferred<P extends Principal>(
  { rule, edgePrincipal }: Allow<P>,
  { principal, path, clientAddress, peerAddress }: LiveSocket<P>,
  origin: string | undefined,
): Defer<P> {
  return {
    outcome: 'defer',
    rule,
    handshake: handshakeOf(rule),
    httpPrincipal: principal,
    edgePrincipal,
    httpFailure: undefined,
    // Does not get `httpPrincipal`: an HTTP principal here would vouch for a device that asks to be paired.
    circumstances: { clientAddress, peerAddress, dryRun: false, path, origin },
    headers: undefined,
  }
}
