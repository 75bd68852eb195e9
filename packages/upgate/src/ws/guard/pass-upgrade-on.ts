import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Allow, Refused } from '../../core/contract/decision.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { Interception } from '../../node/intercept.ts'
import type { Owners } from './owners.ts'
import { registerRaw } from './raw-socket.ts'

/** An allowed upgrade that no server given to `guardServer` owns. */
export interface PassedUpgrade<P extends Principal> {
  readonly gate: Gate<P>
  readonly interception: Interception
  readonly owners: Owners
  /** Whether another guard comes next and answers the upgrade in every case. */
  readonly answered: boolean
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
  readonly decision: Allow<P>
  /** Told when several listeners were handed the same upgrade. */
  readonly onRivals: (count: number) => void
}

/** How many listeners were kept out of a request's upgrade. On the request, because guards may be nested. */
const keptOut: unique symbol = Symbol.for('upgate.keptOut') as never

/** How the raw socket leaves the register. */
const registered: unique symbol = Symbol('upgate.registered')

interface Upgrading {
  [registered]?: () => void
  [keptOut]?: number
}

/**
 * Hands an upgrade to the server's own upgrade listeners, those of an unmodified application.
 *
 * An owner made with `{ server, path }` listens as well and would answer 400 to any path but its own: it is kept
 * out of this one event.
 *
 * @returns why not, if the server has no such listener or the principal was revoked since the decision; nothing was written
 * then
 */
export function passUpgradeOn<P extends Principal>(upgrade: PassedUpgrade<P>): Refused | undefined {
  const { gate, interception, owners, answered, request, socket, head, decision } = upgrade
  const present = interception.upgradeListeners()
  if (present === 0 && !answered) return nowhere(decision)
  const raw = registerRaw(gate, request, socket, decision)
  if (raw !== undefined) {
    if ('code' in raw) return raw
    ;(request as Upgrading)[registered] = raw.remove
  }
  const before = (request as Upgrading)[keptOut] ?? 0
  const restore = owners.listening.map((wss) => {
    const own = Object.getOwnPropertyDescriptor(wss, 'handleUpgrade')
    wss.handleUpgrade = (handled) => {
      ;(handled as Upgrading)[keptOut] = ((handled as Upgrading)[keptOut] ?? 0) + 1
    }
    return (): void => {
      if (own === undefined) delete (wss as { handleUpgrade?: unknown }).handleUpgrade
      else Object.defineProperty(wss, 'handleUpgrade', own)
    }
  })
  try {
    interception.pass('upgrade', request, socket, head)
  } finally {
    for (const undo of restore) undo()
  }
  if (answered) return undefined
  const takers = present - (((request as Upgrading)[keptOut] ?? 0) - before)
  if (takers > 1) upgrade.onRivals(takers)
  return takers > 0 ? undefined : nowhere(decision)
}

function nowhere({ rule }: Allow): Refused {
  return refuse('unknown_path', { rule })
}

/** Takes the raw socket of an upgrade that was passed on off the register again, if it is there. */
export function passedRegistration(request: IncomingMessage): (() => void) | undefined {
  return (request as Upgrading)[registered]
}
