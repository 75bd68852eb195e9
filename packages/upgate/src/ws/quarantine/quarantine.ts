import type { Allow, Defer, InBand, Refused } from '../../core/contract/decision.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { assertGate } from '../../core/options/check-gate.ts'
import { AcceptedSocket } from '../accepted/accepted-socket.ts'
import { FirstFrames } from '../accepted/first-frames.ts'
import { Renewals } from '../accepted/renewals.ts'
import type { Endpoint, SharedByAccepted } from '../accepted/shared.ts'
import type { Bucket } from '../limits/addresses.ts'
import { quarantineOptions } from '../limits/limits.ts'
import type { QuarantineOptions } from '../limits/quarantine-options.ts'
import { type AttachedSocket, attached } from '../socket/attached.ts'
import { upgrade } from '../socket/upgrade.ts'
import { codeOfRevocation } from '../talk/failures.ts'
import type { QuarantineGate } from '../talk/quarantine-gate.ts'
import { createShared } from '../talk/shared.ts'
import type { Admission, DrainOptions, Quarantine } from './types.ts'
import { WaitingSocket } from './waiting-socket.ts'

/**
 * Creates the quarantine of one server: unauthenticated sockets wait in it, tightly limited, until their first frames
 * carry a credential that is accepted.
 *
 * `guardServer` makes one by itself; call this to wire the `upgrade` event by hand.
 *
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

  function admitAllowed(
    admission: Admission<P>,
    decision: Allow<P>,
    endpoint: Endpoint,
  ): Refused | undefined {
    const { principal, rule } = decision
    const { wss, request, socket, head } = admission
    // Looked up whenever it is needed: while nothing counts there, it may be forgotten and made again.
    const bucket = (): Bucket => shared.capacity.addresses.of(endpoint.clientAddress)
    const over = (): boolean =>
      principal === undefined &&
      (shared.roster.anonymous.size >= limits.maxAnonymousSockets ||
        !shared.capacity.addresses.fits(bucket(), 'anonymous', limits.maxSocketsPerAddress))
    if (over()) return refuse('too_many_sockets', { rule })

    const accepted = new AcceptedSocket(shared, principal, endpoint)
    const revoked = accepted.register(decision.asOf)
    if (revoked !== undefined) return refuse(codeOfRevocation(revoked), { rule })

    gate.remember(request, decision)
    let opened = false
    attempt(admission, () => {
      upgrade(wss, request, socket, head, limits.isSecretSubprotocol, true, (ws) => {
        opened = true
        // Asked again: the server may have taken its time with `verifyClient`.
        const full = shared.roster.draining || over()
        if (full || accepted.endReason !== undefined) {
          accepted.abandon()
          ;(wss.clients as Set<unknown> | undefined)?.delete(ws)
          ws.on('error', () => {})
          ws.close(full ? 1013 : limits.revokedCode)
          return ws.terminate()
        }
        shared.roster.born()
        if (principal === undefined) shared.capacity.addresses.add(bucket(), 'anonymous', 1)
        accepted.start(ws, wss, request, [], [], decision)
      })
    })
    if (opened) return undefined
    // The server refused by itself, or asks `verifyClient` first.
    if (socket.closed) accepted.abandon()
    else socket.once('close', () => accepted.abandon())
    return undefined
  }

  /** Keeps a socket until its credential is decided or, if it is refused already, until the refusal is sent. */
  function admitWaiting(
    admission: Admission<P>,
    decision: Defer<P> | Refused,
    endpoint: Endpoint,
  ): Refused | undefined {
    const { wss, request, socket, head } = admission
    const { rule } = decision
    const { addresses } = shared.capacity
    const bucket = addresses.of(endpoint.clientAddress)
    const wait = addresses.wait(bucket, 'guesses', limits.maxRefusals)
    if (wait > 0) return refuse('too_many_failures', { rule, retryAfter: Math.ceil(wait / 1000) })
    const slowed = addresses.wait(bucket, 'others', limits.maxRefusals) > 0
    const most = slowed
      ? Math.min(limits.slowedSockets, limits.maxSocketsPerAddress)
      : limits.maxSocketsPerAddress
    if (!addresses.fits(bucket, 'sockets', most)) return refuse('too_many_sockets', { rule })
    const acquainted = shared.capacity.isAcquainted(bucket)
    if (!shared.capacity.room.make(acquainted, slowed)) return refuse('over_capacity', { rule })

    shared.roster.watch(wss)
    const waiting = new WaitingSocket(shared, {
      wss,
      request,
      raw: socket,
      bucket,
      acquainted,
      endpoint,
      decision,
    })
    attempt(admission, () => {
      const compression = limits.dangerouslyAllowCompression
      upgrade(wss, request, socket, head, limits.isSecretSubprotocol, compression, (ws) => waiting.opened(ws))
    })
    if (waiting.checking) {
      // The server refused by itself, or asks `verifyClient` first: then it is still bounded by the deadline.
      if (socket.closed) waiting.closed()
      else socket.once('close', () => waiting.closed())
    }
    return undefined
  }

  const mute = new WeakSet<object>()

  /** Refuses an upgrade before the 101 if no `connection` listener exists: nothing would answer the open socket. */
  function unheard({ wss, request, decision }: Admission<P>): Refused | undefined {
    if (wss.listenerCount === undefined || wss.listenerCount('connection') > 0) return undefined
    if (!mute.has(wss)) {
      mute.add(wss)
      gate.logger.error(
        `The WebSocketServer that owns ${JSON.stringify(pathOf(request.url).slice(0, 256))} has no \`connection\` listener, so that its accepted sockets would hang: upgrades are answered 503. ` +
          "Add wss.on('connection', (socket, request, principal) => ...) to it, or give the path to the server that has one; servers inside Fastify's and Hono's plugins have none.",
      )
    }
    const rule = 'rule' in decision ? decision.rule : undefined
    return refuse('unavailable', { rule, detail: 'Nothing here takes sockets on this path.' })
  }

  /** An exception of the application's server or its listeners ends this upgrade, not the process. */
  function attempt({ socket }: Admission<P>, run: () => void): void {
    try {
      run()
    } catch (error) {
      gate.logger.error('The WebSocket server threw while it answered an upgrade: the socket is cut.', {
        error,
      })
      socket.destroy()
    }
  }

  return {
    admit(admission) {
      const { decision, request } = admission
      if (shared.roster.draining) return refuse('over_capacity', { detail: 'The server is shutting down.' })
      const path = pathOf(request.url)
      switch (decision.outcome) {
        case 'allow':
          return (
            unheard(admission) ??
            admitAllowed(admission, decision, { path, clientAddress: admission.clientAddress })
          )
        case 'defer':
          return unheard(admission) ?? admitWaiting(admission, decision, decision.circumstances)
        default: {
          if (!isForPage(decision) || request.headers.origin === undefined) return decision
          const { clientAddress } = admission
          return admitWaiting(admission, decision, { path, clientAddress }) && decision
        }
      }
    },

    async close(how: DrainOptions = {}) {
      const { code = 1001, reason = code === 1012 ? 'restart' : 'shutdown' } = how
      shared.roster.draining = true
      for (const list of [
        shared.roster.strangers,
        shared.roster.acquainted,
        shared.roster.overdue,
        shared.roster.held,
      ]) {
        for (const socket of [...list]) socket.leave(code, reason)
      }
      for (const list of [shared.roster.accepted, shared.roster.anonymous]) {
        for (const socket of [...list]) socket.end(code, reason)
      }
      await new Promise<void>((resolve) => {
        if (shared.roster.isEmpty) resolve()
        const before = shared.roster.whenEmpty
        shared.roster.whenEmpty = () => {
          before?.()
          resolve()
        }
      })
      await shared.capacity.acquaintances?.close()
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
      return shared.roster.accepted.has(accepted) || shared.roster.anonymous.has(accepted)
        ? accepted
        : undefined
    },

    get counts() {
      const waiting = [...shared.roster.strangers, ...shared.roster.acquainted, ...shared.roster.overdue]
      return {
        quarantined: waiting.length,
        verifying: waiting.filter((socket) => socket.verifying).length,
        refused: shared.capacity.room.slots - waiting.length,
        accepted: shared.roster.accepted.size,
        anonymous: shared.roster.anonymous.size,
      }
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

function pathOf(url: string | undefined): string {
  const target = url ?? '/'
  const query = target.indexOf('?')
  return query === -1 ? target : target.slice(0, query)
}
