import type { Allow, Defer } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { upgateHandshake } from '../handshakes/upgate.ts'
import type { AcceptedSocket } from './accepted-socket.ts'

/**
 * The decision that a socket was accepted by, as if it still had to prove itself. Its own principal stands where HTTP's
 * does: the gate refuses every other one.
 */
export function asDeferred<P extends Principal>(
  { rule, edgePrincipal }: Allow<P>,
  { principal, path, clientAddress }: AcceptedSocket<P>,
  origin: string | undefined,
): Defer<P> {
  return {
    outcome: 'defer',
    rule,
    handshake: rule.handshake ?? upgateHandshake(),
    httpPrincipal: principal,
    edgePrincipal,
    httpFailure: undefined,
    // Not `httpPrincipal`: HTTP proving somebody is what introduces a device that is to be paired.
    circumstances: { clientAddress, dryRun: false, path, origin },
    headers: undefined,
  }
}
