import type { Defer, Refused } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import type { Endpoint, SharedByAccepted } from '../accepted/shared.ts'
import { answer101 } from './answer-101.ts'
import { answerByHand } from './answer-by-hand.ts'
import { BareSocket } from './bare-socket.ts'
import { headOf101 } from './head-of-101.ts'
import type { Admission } from './types.ts'
import { WaitingSocket } from './waiting-socket.ts'

/**
 * Takes a socket into the quarantine until its credential is decided or, if it is refused already, until the refusal
 * is sent.
 *
 * @returns a refusal from before the 101: a cap, or too many failures of the address
 */
export function admitWaiting<P extends Principal>(
  shared: SharedByAccepted<P>,
  admission: Admission<P>,
  decision: Defer<P> | Refused,
  endpoint: Endpoint,
): Refused | undefined {
  const { capacity, headerShapes, limits, roster } = shared
  const { addresses } = capacity
  const { wss, socket } = admission
  const { rule } = decision
  const bucket = addresses.of(endpoint.clientAddress)
  const wait = addresses.wait(bucket, 'guesses', limits.maxRefusals)
  if (wait > 0) return refuse('too_many_failures', { rule, retryAfter: Math.ceil(wait / 1000) })
  const slowed = addresses.wait(bucket, 'others', limits.maxRefusals) > 0
  const most = slowed
    ? Math.min(limits.slowedSockets, limits.maxSocketsPerAddress)
    : limits.maxSocketsPerAddress
  if (!addresses.fits(bucket, 'sockets', most)) return refuse('too_many_sockets', { rule })
  const acquainted = capacity.isAcquainted(bucket)
  if (!capacity.room.make(acquainted, slowed)) return refuse('over_capacity', { rule })

  const deferred = decision.outcome === 'defer' ? decision : undefined
  const context = headOf101(shared, admission, deferred?.handshake, rule, endpoint, deferred?.httpPrincipal)
  if (context !== undefined && 'outcome' in context) return context

  roster.watch(wss)
  const bare = new BareSocket(admission, decision, endpoint, bucket, acquainted, headerShapes, context)
  const waiting = new WaitingSocket(shared, bare)
  const compression = limits.dangerouslyAllowCompression
  const answer = answerByHand(admission, limits.isSecretSubprotocol, compression)
  if (answer !== undefined) {
    waiting.answer(answer)
    return undefined
  }
  if (answer101(shared, admission, compression, (ws) => waiting.opened(ws))) return undefined
  // Until the server answers, the deadline applies as well.
  if (socket.closed) waiting.closed()
  else socket.once('close', () => waiting.closed())
  return undefined
}
