import type { Refused } from '../../core/contract/decision.ts'
import type { Handshake } from '../../core/contract/handshake.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { Endpoint } from '../accepted/shared.ts'
import { SocketContext } from '../talk/handshake-context.ts'
import type { Shared } from '../talk/shared.ts'
import { isRefusal } from '../talk/talk.ts'
import type { Admission } from './types.ts'

/**
 * Asks the handshake for header lines of the 101, and keeps them for the answer of the server.
 *
 * @returns the context that the handshake got, if it has header lines at all; or the refusal if they are wrong
 */
export function headOf101<P extends Principal>(
  shared: Shared<P>,
  { wss, request }: Admission<P>,
  handshake: Handshake | undefined,
  rule: Refused['rule'],
  endpoint: Endpoint,
  httpPrincipal: P | undefined,
): SocketContext<P> | Refused | undefined {
  if (handshake?.headers === undefined) return undefined
  const context = new SocketContext(shared, handshake, endpoint, httpPrincipal)
  const lines = shared.talk.headers({ handshake, rule, context })
  if (isRefusal(lines)) {
    context.finish()
    return lines
  }
  shared.headers.add(wss, request, lines)
  return context
}
