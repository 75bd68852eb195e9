import { randomUUID } from 'node:crypto'
import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { MaybePromise } from '../../core/contract/credential.ts'
import type { Allow, Decision } from '../../core/contract/decision.ts'
import type { Decider } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { compiledRuleOf } from '../../core/contract/rules.ts'
import type { RevocationReason } from '../../core/ports/revocations.ts'
import { pathOf } from '../../core/request/target.ts'
import { decidedBefore, decideSafely } from '../../node/judge.ts'
import type { NodeRequest } from '../../node/request.ts'
import { closeCodeOf, endReasonOf } from '../accepted/endings.ts'
import { closeOnly } from '../handshakes/close-only.ts'
import { passedRegistration } from './pass-upgrade-on.ts'

/** The methods used of a socket that express-ws or koa-websocket hands to an application; ws 7 has it as well. */
export interface WrappedSocket {
  close(code?: number, reason?: string): void
  terminate(): void
  once(event: 'close', listener: () => void): unknown
  on(event: 'error', listener: () => void): unknown
  removeAllListeners(event: 'message'): unknown
  pause?(): void
  resume?(): void
}

/** Milliseconds that a peer has to answer a close frame. */
const closeGrace = 1_000
const standardCodes = { expiredCode: 4401, revokedCode: 4403 }

/** On the socket: the deciders' registers that have it already, where two adapters stand on one route. */
const registers: unique symbol = Symbol('upgate.registers')

/**
 * Decides a socket that a library has opened before its adapter was asked. A refused one is closed with the code and the
 * reason of the refusal; an accepted one is in the register, so that revocation and expiry close it.
 *
 * @returns the decision, or `undefined` if the socket was closed
 */
export function decideWrapped<P extends Principal>(
  decider: Decider<P>,
  asked: NodeRequest,
  socket: WrappedSocket,
): MaybePromise<Allow<P> | undefined> {
  // `ws` emits it for frames that break the protocol: without a listener that ends the process.
  socket.on('error', () => {})
  const decision = decidedBefore(decider, asked) ?? decideSafely(decider, asked)
  if (!isPromiseLike(decision)) return conclude(decider, asked, socket, decision)
  // The application listens for messages only then. Sockets of ws 7, which express-ws brings, cannot wait.
  socket.pause?.()
  return decision.then((settled) => {
    const concluded = conclude(decider, asked, socket, settled)
    setImmediate(() => socket.resume?.())
    return concluded
  })
}

function conclude<P extends Principal>(
  decider: Decider<P>,
  asked: NodeRequest,
  socket: WrappedSocket,
  decision: Decision<P>,
): Allow<P> | undefined {
  const end = closerOf(decider, socket)
  if (decision.outcome !== 'allow') {
    // Its first frame cannot be read here: the library has handed the socket to the application.
    const code = 'code' in decision ? decision.code : refuse('upgrade_required').code
    const { closeCode, closeReason } = closeOnly(code, compiledRuleOf(decision.rule)?.closeCodes)
    end(closeCode, closeReason)
    return undefined
  }
  decider.remember(asked.native, decision)
  const reason = register(decider, asked, socket, decision, end)
  if (reason === undefined) return decision
  endFor(reason, decision, end)
  return undefined
}

type Close = (code: number, reason: string) => void

function closerOf(decider: Pick<Decider, 'adapterParts'>, socket: WrappedSocket): Close {
  const { adapterParts: parts } = decider
  return (code, reason) => {
    // The application gets no message from now on.
    socket.removeAllListeners('message')
    socket.close(code, reason)
    const timer = parts?.clock.setTimer(closeGrace, () => socket.terminate())
    socket.once('close', () => timer?.cancel())
  }
}

function endFor(reason: RevocationReason, { rule }: Allow, end: Close): void {
  const code = compiledRuleOf(rule)?.closeCodes?.ended(reason) ?? closeCodeOf(reason, standardCodes)
  end(code, endReasonOf(reason))
}

/** Puts the socket into the register; answers why it cannot be there. */
function register<P extends Principal>(
  { adapterParts: parts }: Decider<P>,
  asked: NodeRequest,
  socket: WrappedSocket,
  decision: Allow<P>,
  end: Close,
): RevocationReason | undefined {
  const { principal, asOf } = decision
  if (parts === undefined || principal === undefined) return undefined
  const marked = socket as { [registers]?: object[] }
  if (marked[registers]?.includes(parts)) return undefined
  const registration = parts.connections.register(
    {
      id: randomUUID(),
      principal,
      acceptedAt: parts.clock.now(),
      path: pathOf(asked.target),
      mute: () => socket.removeAllListeners('message'),
      close: (reason) => endFor(reason, decision, end),
    },
    asOf,
  )
  if (registration.outcome === 'refused') return registration.reason
  marked[registers] = [...(marked[registers] ?? []), parts]
  socket.once('close', registration.remove)
  // The guard had registered the connection alone, which it could only have cut off.
  passedRegistration(asked.native)?.()
  return undefined
}
