import type { Allow, Refused } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { compiledRuleOf } from '../../core/contract/rules.ts'
import { AcceptedSocket } from '../accepted/accepted-socket.ts'
import type { Endpoint, SharedByAccepted } from '../accepted/shared.ts'
import type { Bucket } from '../limits/addresses.ts'
import { codeOfRevocation } from '../talk/failures.ts'
import { answer101 } from './answer-101.ts'
import { headOf101 } from './head-of-101.ts'
import type { Admission } from './types.ts'

/**
 * Accepts a socket at the 101: its credential was in the request, or its path needs none.
 *
 * @returns a refusal from before the 101: a cap, or a revocation since the decision
 */
export function admitAllowed<P extends Principal>(
  shared: SharedByAccepted<P>,
  admission: Admission<P>,
  decision: Allow<P>,
  endpoint: Endpoint,
): Refused | undefined {
  const { capacity, gate, limits, roster } = shared
  const { principal, rule } = decision
  const { wss, request, socket } = admission
  // Looked up whenever it is needed: while nothing counts there, it may be forgotten and made again.
  const bucket = (): Bucket => capacity.addresses.of(endpoint.clientAddress)
  const over = (): boolean =>
    principal === undefined &&
    (roster.anonymous.size >= limits.maxAnonymousSockets ||
      !capacity.addresses.fits(bucket(), 'anonymous', limits.maxSocketsPerAddress))
  if (over()) return refuse('too_many_sockets', { rule })

  const { handshake } = compiledRuleOf(rule)
  const context = headOf101(shared, admission, handshake, rule, endpoint, principal)
  if (context !== undefined && 'outcome' in context) return context
  const accepted = new AcceptedSocket(shared, principal, endpoint, rule)
  accepted.context = context
  const revoked = accepted.register(decision.asOf)
  if (revoked !== undefined) {
    context?.finish()
    return refuse(codeOfRevocation(revoked), { rule })
  }

  gate.remember(request, decision)
  const answered = answer101(shared, admission, true, (ws) => {
    // Asked again: the server may have taken its time with `verifyClient`.
    const full = roster.draining || over()
    if (full || accepted.endReason !== undefined) {
      accepted.abandon()
      ;(wss.clients as Set<unknown> | undefined)?.delete(ws)
      ws.on('error', () => {})
      ws.close(full ? 1013 : limits.revokedCode)
      ws.terminate()
      return
    }
    roster.born()
    if (principal === undefined) capacity.addresses.add(bucket(), 'anonymous', 1)
    accepted.start(ws, wss, request, { frames: [], messages: [], value: context?.value, at101: decision })
  })
  if (answered) return undefined
  if (socket.closed) accepted.abandon()
  else socket.once('close', () => accepted.abandon())
  return undefined
}
