import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import type { Answered, Decision, Refused } from '../../core/contract/decision.ts'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { isUpgradeLost, websocketOnly } from '../../core/request/upgrade-request.ts'
import { settle } from '../../node/http-gate.ts'
import { assertServer, intercept, type RequestEvent } from '../../node/intercept.ts'
import { decideSafely, isAllowed, judge, markDecided, type Verdict } from '../../node/judge.ts'
import { NodeRequest } from '../../node/request.ts'
import { respond, respondToSocket } from '../../node/respond.ts'
import { createQuarantine } from '../quarantine/quarantine.ts'
import type { DrainOptions } from '../quarantine/types.ts'
import type { SocketServers } from '../socket/web-socket-like.ts'
import { addedUpgrades } from './added-upgrade.ts'
import { claimServer } from './claim-server.ts'
import { type GuardServerOptions, readGuardOptions } from './guard-options.ts'
import type { GuardedServer } from './guarded-server.ts'
import { createHandlers } from './handlers.ts'
import { createListeners, type ListenArguments } from './listeners.ts'
import {
  afterBody,
  answerOn,
  handBack,
  isHandedBack,
  isLastOfConnection,
  noteConnection,
} from './offered-h2c.ts'
import { createOwners } from './owners.ts'
import { passUpgradeOn } from './pass-upgrade-on.ts'

interface Upgrade {
  readonly asked: NodeRequest
  readonly socket: Duplex
  readonly head: Buffer
}

type Refusable = Refused | Answered

const shuttingDown = { detail: 'The server is shutting down.' }

/**
 * Guards an existing `http` or `https` server: every request and every upgrade is decided before any listener sees
 * it, whether the listener was there before, is added later, prepended or added with `once`.
 *
 * The guard answers refused requests itself. Allowed requests reach the application, where
 * `gate.principalOf(request)` returns their principal. Upgrades on a path in `sockets` go to that `WebSocketServer`,
 * through the quarantine where the rule is deferred. Other allowed upgrades go to the server's own upgrade listeners,
 * or are answered 404.
 *
 * It works by overriding `emit` on this one server.
 *
 * @param server - of `http` or `https`; the same server is guarded once by each gate
 * @param gate - what `createGate` returns; `gate.require(...)` decides single routes only
 * @param options - `sockets` by path, and the limits of the quarantine
 * @returns the guard: it listens for sockets, refreshes credentials, and drains
 * @throws TypeError when an option is wrong, a path has two owners, a deferred rule has none, or the same gate
 * guards the server already
 * @example
 * const guard = guardServer(server, gate, { sockets: { '/ws': new WebSocketServer({ noServer: true }) } })
 * guard.on('/ws', (socket, request, principal) => socket.send(`hello ${principal.id}`))
 */
export function guardServer<P extends Principal, S extends SocketServers = Record<never, never>>(
  server: Server | TlsServer,
  gate: Gate<P>,
  options: GuardServerOptions<S, P> = {},
): GuardedServer<P, S> {
  assertServer(server, 'guardServer')
  const {
    sockets = {},
    handlers = {},
    maxUnprovenHandled,
    decisionTimeout,
    maxDeciding,
    acquaintances,
    ...limits
  } = readGuardOptions(options)
  if (typeof gate?.resume !== 'function') {
    throw new TypeError(
      'guardServer: the second argument must be a gate (createGate). What gate.require(...) returns decides single routes only.',
    )
  }
  const owners = createOwners(sockets as S, server, 'guardServer')
  const orphan = gate.deferredPaths.find((path) => !owners.cover(path))
  if (orphan !== undefined) {
    throw new TypeError(
      `guardServer: the deferred rule for ${orphan} has no owner in \`sockets\`, so its sockets could never say who they are. ` +
        `Add the WebSocketServer that serves it: sockets: { '${orphan}': wss }.`,
    )
  }
  const { maxSocketsPerAddress } = limits
  const handled = createHandlers(gate, handlers, owners, { maxUnprovenHandled, maxSocketsPerAddress })
  const quarantine = createQuarantine(gate, {
    ...limits,
    ...(acquaintances === undefined ? {} : { acquaintances }),
  })
  const claim = claimServer(server, gate, { sockets: owners, handlers: handled })
  const listeners = createListeners(gate, owners, quarantine)
  const { clock, logger } = gate
  let deciding = 0
  const sayAdded = addedUpgrades(gate)
  let warned = false
  let closing: Promise<void> | undefined

  const interception = intercept(server, {
    request: onRequest,
    upgrade: onUpgrade,
    connect: onConnect,
    connection: (socket) => noteConnection(socket, clock),
  })

  function onRequest(event: RequestEvent, request: IncomingMessage, response: ServerResponse): void {
    if (!isLastOfConnection(request, response)) return
    const asked = new NodeRequest('http', request)
    if (isUpgradeLost(asked) && (owners.of(asked.target) ?? handled.of(asked.target)) !== undefined) {
      const refused = refuse('upgrade_required', { headers: websocketOnly })
      gate.reportRefusal(asked, refused)
      respond(response, gate.render(refused, asked))
      return
    }
    const proceed = (): void => {
      markDecided(request, gate, asked.target)
      interception.pass(event, request, response)
    }
    const carry = (settled: Verdict<P>): void => {
      if (isAllowed(settled)) settle(settled, request, response, proceed)
      else afterBody(request, clock, () => settle(settled, request, response, proceed))
    }
    const verdict = judge(gate, asked)
    if (!isPromiseLike(verdict)) carry(verdict)
    else void verdict.then(carry)
  }

  function onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const ignored = closing === undefined ? handBack(server, request, socket, head, clock) : undefined
    if (ignored === 'websocket') sayAdded(request)
    if (ignored !== undefined) return
    if (isHandedBack(socket)) {
      // The answer that is under way ends this connection; what follows is not read.
      bear(socket)
      socket.resume()
      return
    }
    if (answerOn(socket) !== undefined) {
      // An upgrade pipelined behind a request still being answered: whatever is written now lands inside that answer.
      bear(socket)
      socket.destroy()
      return
    }
    const asked = new NodeRequest('upgrade', request)
    const upgrade: Upgrade = { asked, socket, head }
    if (closing !== undefined) {
      refuseUpgrade(upgrade, refuse('over_capacity', shuttingDown))
      return
    }
    const decision = decideSafely(gate, asked)
    // Most are deferred at once, and the quarantine has its own listeners on the socket before this returns.
    if (isPromiseLike(decision) || decision.outcome !== 'defer') bear(socket)
    if (!isPromiseLike(decision)) carryOut(upgrade, decision)
    else if (deciding >= maxDeciding) refuseUpgrade(upgrade, refuse('over_capacity'))
    else waitFor(upgrade, decision)
  }

  function waitFor(upgrade: Upgrade, decision: PromiseLike<Decision<P>>): void {
    const { socket } = upgrade
    let waiting = true
    deciding++
    const stop = (): boolean => {
      if (!waiting) return false
      waiting = false
      deciding--
      timer.cancel()
      socket.removeListener('close', stop)
      return true
    }
    const timer = clock.setTimer(decisionTimeout, () => {
      if (stop()) refuseUpgrade(upgrade, refuse('unavailable'))
    })
    socket.once('close', stop)
    void decision.then((settled) => {
      if (stop()) carryOut(upgrade, settled)
    })
  }

  function carryOut(upgrade: Upgrade, decision: Decision<P>): void {
    if (upgrade.socket.destroyed) return
    const refused = place(upgrade, decision)
    if (refused !== undefined) bear(upgrade.socket)
    if (refused === decision) respondToSocket(upgrade.socket, gate.render(refused, upgrade.asked), clock)
    else if (refused !== undefined) refuseUpgrade(upgrade, refused)
  }

  /** Hands an allowed upgrade to the owner of its path, or returns the refusal. */
  function place(upgrade: Upgrade, decision: Decision<P>): Refusable | undefined {
    const { asked, socket, head } = upgrade
    const request = asked.native
    const { outcome } = decision
    if (outcome === 'preflight' || outcome === 'document' || outcome === 'invalid') return decision
    if (closing !== undefined) return refuse('over_capacity', shuttingDown)
    const wss = owners.of(asked.target)
    if (wss !== undefined) {
      markDecided(request, gate, asked.target)
      const clientAddress = outcome === 'defer' ? undefined : gate.clientAddressOf(asked)
      const refused = quarantine.admit({ wss, request, socket, head, decision, clientAddress })
      if (refused === undefined && socket.listenerCount('error') > 1) socket.removeListener('error', ignore)
      return refused
    }
    if (outcome === 'defer') {
      return refuse('unknown_path', {
        rule: decision.rule,
        detail: 'No WebSocketServer owns this deferred path.',
      })
    }
    if (outcome !== 'allow') return decision
    if (!socket.readable) {
      // Its client ended during the decision: its next owner would wait for an `end` that was emitted already.
      socket.destroy()
      return undefined
    }
    gate.remember(request, decision)
    markDecided(request, gate, asked.target)
    const handler = handled.of(asked.target)
    if (handler !== undefined) {
      const clientAddress = gate.clientAddressOf(asked)
      return handled.call(handler, { request, socket, head, decision, clientAddress })
    }
    return passUpgradeOn({
      gate,
      interception,
      owners,
      answered: claim.isOuter(),
      request,
      socket,
      head,
      decision,
      onRivals,
    })
  }

  function onRivals(count: number): void {
    if (warned) return
    warned = true
    logger.warn(
      `guardServer: ${count} upgrade listeners of this server are handed the same upgrades. ` +
        'Some destroy what they do not know: engine.io (socket.io) after a second, `ws` with 400 at once. ' +
        'Give each path an owner in `sockets`; only its owner then sees its upgrades.',
    )
  }

  function onConnect(request: IncomingMessage, socket: Duplex): void {
    bear(socket)
    if (isHandedBack(socket)) {
      socket.resume()
      return
    }
    if (answerOn(socket) !== undefined) {
      socket.destroy()
      return
    }
    const asked = new NodeRequest('http', request)
    const decision = decideSafely(gate, asked)
    // Gates refuse CONNECT. Should a gate allow it, it is still refused: no rule covers tunnels.
    const refused = !isPromiseLike(decision) && 'code' in decision ? decision : refuse('method_refused')
    respondToSocket(socket, gate.render(refused, asked), clock)
  }

  /** Refuses an upgrade that the gate did not refuse; refusals of the gate are in the audit log already. */
  function refuseUpgrade({ asked, socket }: Upgrade, refused: Refusable): void {
    bear(socket)
    if ('code' in refused) gate.reportRefusal(asked, refused)
    respondToSocket(socket, gate.render(refused, asked), clock)
  }

  async function drain(how?: DrainOptions): Promise<void> {
    await Promise.all([handled.sockets.close(), quarantine.close(how)])
    listeners.clear()
    interception.release()
    claim.release()
    if (server.listening)
      logger.warn('guardServer: closed, but the server still listens and is not guarded any more.')
  }

  return {
    on: (path: string, ...how: ListenArguments) => listeners.add('on', path, how),
    onOptional: (path, listener) => listeners.add('onOptional', path, [listener]),
    close(how) {
      closing ??= drain(how)
      return closing
    },
    refresh: quarantine.refresh,
    get counts() {
      const { size: handledNow, unproven } = handled.sockets
      return { ...quarantine.counts, handled: handledNow, unprovenHandled: unproven }
    },
  }
}

/** Before anything is awaited or written: without a listener, a reset would end the process. */
function bear(socket: Duplex): void {
  if (!socket.listeners('error').includes(ignore)) socket.on('error', ignore)
}

function ignore(): void {}
