import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Allow, Refused } from '../../core/contract/decision.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { RevocationReason } from '../../core/ports/revocations.ts'
import { pathOf } from '../../core/request/target.ts'
import { endReasonOf } from '../accepted/endings.ts'
import { codeOfRevocation } from '../talk/failures.ts'

/** A raw socket on the register. */
export interface RegisteredRaw {
  readonly id: string
  readonly acceptedAt: number
  readonly path: string
  /** Takes it off the register. */
  remove(): void
}

/**
 * Registers the raw socket of an allowed upgrade, so that revocation and expiry destroy it: the gate does not know the
 * protocol on it.
 *
 * @param onEnd - told why, before the gate destroys the socket
 * @returns `undefined` without a principal, and a refusal if it was revoked or expired since the decision
 */
export function registerRaw<P extends Principal>(
  gate: Pick<Gate<P>, 'connections' | 'clock'>,
  request: IncomingMessage,
  socket: Duplex,
  { principal, asOf, rule }: Allow<P>,
  onEnd: (reason: RevocationReason) => void = nothing,
): RegisteredRaw | Refused | undefined {
  if (principal === undefined) return undefined
  const described = {
    id: randomUUID(),
    acceptedAt: gate.clock.now(),
    path: pathOf(request.url ?? ''),
  }
  const close = (reason: RevocationReason): void => {
    onEnd(reason)
    endRaw(socket, endReasonOf(reason))
  }
  const registration = gate.connections.register({ ...described, principal, close }, asOf)
  if (registration.outcome === 'refused') return refuse(codeOfRevocation(registration.reason), { rule })
  socket.once('close', registration.remove)
  return { ...described, remove: registration.remove }
}

/**
 * Destroys a raw socket with an error. Without one, pipes hear nothing, and a proxy library would keep the other half of its
 * tunnel.
 */
export function endRaw(socket: Duplex, reason: string): void {
  // Its owner may have removed all listeners, and an error that no listener hears ends the process.
  socket.on('error', nothing)
  socket.destroy(new Error(`The gate ended this socket: ${reason}.`))
}

function nothing(): void {}
