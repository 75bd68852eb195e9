import type { InBand, Refused } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { assertGate } from '../../core/options/check-gate.ts'
import { pathOf } from '../../core/request/target.ts'
import type { AcceptedSocket } from '../accepted/accepted-socket.ts'
import { FirstFrames } from '../accepted/first-frames.ts'
import { Renewals } from '../accepted/renewals.ts'
import type { SharedByAccepted } from '../accepted/shared.ts'
import { quarantineOptions } from '../limits/limits.ts'
import type { QuarantineOptions } from '../limits/quarantine-options.ts'
import { type AttachedSocket, attached } from '../socket/attached.ts'
import { validCloseCode, validCloseReason } from '../socket/close-frame.ts'
import type { QuarantineGate } from '../talk/quarantine-gate.ts'
import { createShared } from '../talk/shared.ts'
import { admitAllowed } from './admit-allowed.ts'
import { admitWaiting } from './admit-waiting.ts'
import { ListenedServers } from './listened-servers.ts'
import type { DrainOptions, Quarantine } from './types.ts'

/**
 * Creates the quarantine of one server: unauthenticated sockets wait in it, tightly limited, until their first frames
 * carry a credential that is accepted.
 *
 * `guardServer` makes one by itself; call this to wire the `upgrade` event by hand.
 *
 * @param gate - the gate that decides the upgrades and the credentials in band
 * @param options - limits in bytes, frames, milliseconds and sockets; see {@link QuarantineOptions}
 * @returns the quarantine; `close()` drains it
 * @throws TypeError for unknown options and impossible limits.
 * @example
 * const quarantine = createQuarantine(gate)
 * const refused = quarantine.admit({ wss, request, socket, head, decision })
 * if (refused) writeRefusal(socket, gate.render(refused, asked))
 */
export function createQuarantine<P extends Principal>(
  gate: QuarantineGate<P>,
  options: QuarantineOptions = {},
): Quarantine<P> {
  assertGate(gate, 'createQuarantine', ['resume', 'remember'])
  const { acquaintances, ...limits } = quarantineOptions.read('createQuarantine', options)
  const common = createShared<P>(gate, limits, acquaintances)
  const renewals = new Renewals<P>(common)
  const firstFrames = new FirstFrames<P>(common, renewals)
  const shared: SharedByAccepted<P> = { ...common, renewals, firstFrames }
  const { capacity, roster } = shared
  const servers = new ListenedServers(gate.logger)

  return {
    admit(admission) {
      const { clientAddress, decision, request } = admission
      if (roster.draining) return refuse('over_capacity', { detail: 'The server is shutting down.' })
      const endpoint = {
        path: pathOf(request.url ?? '/'),
        clientAddress,
        peerAddress: request.socket.remoteAddress,
      }
      switch (decision.outcome) {
        case 'allow':
          return servers.refuse(admission) ?? admitAllowed(shared, admission, decision, endpoint)
        case 'defer':
          return (
            servers.refuse(admission) ?? admitWaiting(shared, admission, decision, decision.circumstances)
          )
        default:
          if (!isForPage(decision) || request.headers.origin === undefined) return decision
          return admitWaiting(shared, admission, decision, endpoint) && decision
      }
    },

    async close({ code = 1001, reason = code === 1012 ? 'restart' : 'shutdown' }: DrainOptions = {}) {
      await roster.drain(validCloseCode(code), validCloseReason(reason))
      await capacity.acquaintances?.close()
    },

    refresh(socket, request, credential) {
      const inBand: InBand =
        typeof credential === 'string'
          ? { credential: { type: 'token', source: 'frame', value: credential } }
          : credential
      return renewals.renew(socket, request, inBand)
    },

    acceptedAs(socket) {
      const accepted = (socket as AttachedSocket<AcceptedSocket<P>>)[attached]
      if (accepted === undefined) return undefined
      return roster.accepted.has(accepted) || roster.anonymous.has(accepted) ? accepted : undefined
    },

    get counts() {
      return roster.counts(capacity.room.slots)
    },
  }
}

/**
 * Whether a page must be able to read the refusal in band: a page sees neither status nor body of a refused upgrade,
 * only frames and close codes. A foreign page gets neither, and a malformed upgrade cannot be answered with 101.
 */
function isForPage(decision: Refused): boolean {
  if (decision.code === 'origin_refused' || decision.code === 'host_refused') return false
  return (
    decision.outcome === 'challenge' || decision.outcome === 'forbid' || decision.outcome === 'unavailable'
  )
}
