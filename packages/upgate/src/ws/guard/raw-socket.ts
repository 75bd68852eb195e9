import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Allow } from '../../core/contract/decision.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { pathOf } from '../../core/request/target.ts'

/**
 * Registers the raw socket of an allowed upgrade, so that revocation and expiry destroy it: the gate does not know the
 * protocol on it.
 *
 * @returns a function that takes it off the register, or `undefined` if the principal was revoked or expired since the
 * decision
 */
export function registerRaw<P extends Principal>(
  gate: Pick<Gate<P>, 'connections' | 'clock'>,
  request: IncomingMessage,
  socket: Duplex,
  { principal, asOf }: Allow<P>,
): (() => void) | undefined {
  if (principal === undefined) return nothing
  const registration = gate.connections.register(
    {
      id: randomUUID(),
      principal,
      acceptedAt: gate.clock.now(),
      path: pathOf(request.url ?? ''),
      close: () => socket.destroy(),
    },
    asOf,
  )
  if (registration.outcome === 'refused') return undefined
  socket.once('close', registration.remove)
  return registration.remove
}

function nothing(): void {}
