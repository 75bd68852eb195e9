import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Gate } from '../core/contract/gate.ts'
import type { Principal } from '../core/contract/principal.ts'
import { refuse } from '../core/contract/refusals.ts'
import { assertGate } from '../core/options/check-gate.ts'
import { list, methods } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { RevocationReason } from '../core/ports/revocations.ts'
import { isStoreUnavailable } from '../core/ports/stores.ts'
import type { Tickets } from '../services/tokens/tickets.ts'
import { NodeRequest } from './request.ts'
import { respond } from './respond.ts'

/** Options of {@link ticketEndpoint}. */
export interface TicketEndpointOptions {
  /** `services.tickets`. Required. */
  readonly tickets: Pick<Tickets, 'create'>
  /** Paths of WebSockets that a ticket may be for, exact. */
  readonly paths: readonly string[]
}

const ticketEndpointOptions = optionTable<TicketEndpointOptions>()({
  tickets: methods<TicketEndpointOptions['tickets']>(['create'], '`services.tickets`'),
  paths: list<string>(
    "a list of the paths of WebSockets, such as ['/ws']",
    (path) => typeof path === 'string' && /^\/[^?#\s]*$/.test(path),
  ),
})

/** Bytes of the request's body. */
const longestBody = 4096
const subprotocolPrefix = 'base64url.bearer.authorization.k8s.io.'

/**
 * Answers `POST {"path":"/ws"}` with a ticket for that WebSocket: `{"ticket","subprotocol","expiresAt"}`.
 *
 * For a route behind the gate, in Express, in a bare `http` server, or wherever Node's request and response are at
 * hand. The ticket is for the principal that the gate decided, and for the page of the request's `Origin`.
 *
 * @param gate - the gate in front of the route
 * @param options - `tickets` and `paths` are required
 * @returns the handler of the route, after the gate
 * @throws TypeError for an unknown or missing option
 * @example
 * app.use(expressGate(gate))
 * app.post('/api/tickets', ticketEndpoint(gate, { tickets: services.tickets, paths: ['/ws'] }))
 */
export function ticketEndpoint<P extends Principal>(
  gate: Gate<P>,
  options: TicketEndpointOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  assertGate(gate, 'ticketEndpoint', ['decisionOf', 'principalOf', 'render'])
  const { tickets, paths } = ticketEndpointOptions.read('ticketEndpoint', options)

  let made = 0
  return async (request, response) => {
    const asked = new NodeRequest('http', request)
    const refused = (code: Parameters<typeof refuse>[0], detail?: string): void =>
      respond(response, gate.render(refuse(code, { detail }), asked))
    if (request.method !== 'POST') {
      response.setHeader('Allow', 'POST')
      return refused('method_refused', 'Tickets are asked for by POST.')
    }
    const decision = gate.decisionOf(request)
    // A public route must not hand out tickets: there is no principal to make them for.
    if (decision?.outcome !== 'allow' || decision.principal === undefined) return refused('auth_required')
    const { principal, asOf } = decision
    const path = await pathOf(request)
    if (path === undefined || !paths.includes(path)) {
      return refused('unknown_path', 'The body must be JSON whose `path` is one that takes tickets.')
    }
    const { origin } = request.headers
    const ended = (reason: RevocationReason): void =>
      refused(
        reason === 'unavailable'
          ? reason
          : reason === 'expired'
            ? 'expired_credential'
            : 'revoked_credential',
      )
    // In the register while the ticket is made, so that a revocation is heard: the client decides when its body arrives.
    let revoked: RevocationReason | undefined
    const registration = gate.connections.register(
      {
        id: `ticket-${(made++).toString(36)}`,
        principal,
        acceptedAt: gate.clock.now(),
        path,
        close: (reason) => {
          revoked ??= reason
        },
      },
      asOf,
    )
    if (registration.outcome === 'refused') return ended(registration.reason)
    try {
      const { ticket, expiresAt } = await tickets.create(principal, { path, origin })
      if (revoked !== undefined) return ended(revoked)
      const subprotocol = subprotocolPrefix + Buffer.from(ticket).toString('base64url')
      const body = JSON.stringify({ ticket, subprotocol, expiresAt })
      response.statusCode = 201
      response.setHeader('Content-Type', 'application/json')
      response.setHeader('Cache-Control', 'no-store')
      response.end(body)
    } catch (error) {
      if (!isStoreUnavailable(error))
        gate.logger.error('A ticket could not be made.', { error: String(error) })
      refused('unavailable')
    } finally {
      registration.remove()
    }
  }
}

/** The `path` of the body: parsed already where a framework did, else read here, within bounds. */
async function pathOf(request: IncomingMessage & { readonly body?: unknown }): Promise<string | undefined> {
  try {
    const body = request.body ?? JSON.parse(await textOf(request))
    const path = (body as { readonly path?: unknown } | null)?.path
    return typeof path === 'string' ? path : undefined
  } catch {
    return undefined
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > longestBody) throw new RangeError('the body is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
