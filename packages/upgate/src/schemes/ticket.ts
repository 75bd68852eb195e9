import type { Extraction, Scheme } from '../core/contract/credential.ts'
import type { AuthRequest } from '../core/contract/request.ts'
import { isText, methods, text, value, withDefault } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import { asksForWebSocket } from '../core/request/upgrade-request.ts'
import type { Tickets } from '../services/tokens/tickets.ts'
import { notOfThisForm } from './bearer.ts'

/** Options of {@link ticket}. Unknown options throw. */
export interface TicketSchemeOptions {
  /** `services.tickets`. Required. */
  readonly tickets: Pick<Tickets, 'verify' | 'claims' | 'revocations'>
  /**
   * Name of a query parameter that may carry the ticket. Proxies write URLs to their logs. The ticket is used
   * up by then, but leave this out if the clients can send a frame or a subprotocol. Default: `false`.
   */
  readonly query?: string | false
  /** Name in rules and in `explain`; principals keep their own scheme. Default: `ticket`. */
  readonly name?: string
}

const ticketSchemeOptions = optionTable<TicketSchemeOptions>()({
  tickets: methods<TicketSchemeOptions['tickets']>(['verify', 'claims'], '`services.tickets`'),
  query: withDefault(
    value<string | false>(
      'the name of a query parameter, such as `ticket`, or false',
      (query) => query === false || (typeof query === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(query)),
      isText,
    ),
    false,
  ),
  name: withDefault(text(), 'ticket'),
})

/**
 * The form in which Kubernetes' API server reads bearer tokens from browsers: base64url without padding, as a
 * subprotocol.
 */
const prefix = 'base64url.bearer.authorization.k8s.io.'

/**
 * Authenticates WebSockets by a ticket that an authenticated request fetched before.
 *
 * The ticket comes in the first frame, or as the subprotocol
 * `base64url.bearer.authorization.k8s.io.<base64url of the ticket>`, or in the query if `query` is set. As a
 * subprotocol it may come only once, and the client has to offer at least one real subprotocol as well.
 *
 * The principal is the one that fetched the ticket, including its scheme: a rule with `schemes` has to name
 * that scheme too. If several schemes of the gate are of that type, the rule has to name all of them.
 *
 * @param options - `tickets` of the services; `query` is optional
 * @returns the scheme, for `createGate({ schemes })`
 * @throws TypeError for an unknown option
 * @example
 * const gate = createGate({
 *   origins: ['https://gateway.example.com'],
 *   schemes: [sessionCookie({ sessions }), ticket({ tickets: services.tickets })],
 * })
 */
export function ticket(options: TicketSchemeOptions): Scheme {
  const { tickets, query, name } = ticketSchemeOptions.read('ticket', options)

  function fromSubprotocol(request: AuthRequest): Extraction | undefined {
    const header = request.headers['sec-websocket-protocol']
    if (typeof header !== 'string' || !header.includes(prefix)) return undefined
    const offered = header.split(',').map((name) => name.trim())
    const carried = offered.flatMap((name) => (name.startsWith(prefix) ? [decode(name)] : []))
    // Leave another system's token in Kubernetes' form to that system.
    if (!carried.some((token) => token !== undefined && tickets.claims(token))) return undefined
    const names = offered.filter((name) => !name.startsWith(prefix) && name !== '')
    const one = carried.length === 1 && names.length > 0 ? carried[0] : undefined
    // Claim a malformed offer too: it must not count as no credential.
    return found(one ?? '', 'subprotocol', 'sec-websocket-protocol')
  }

  function fromQuery(request: AuthRequest): Extraction | undefined {
    if (query === false) return undefined
    const at = request.target.indexOf('?')
    if (at === -1) return undefined
    const values = new URLSearchParams(request.target.slice(at + 1)).getAll(query)
    if (values.length === 0) return undefined
    return found(values.length === 1 ? (values[0] as string) : '', 'query', `query ${query}`)
  }

  return {
    name,
    // A ticket's principal carries another scheme; tickets add none.
    yields: [],
    principalSchemes: [],
    ambient: false,
    extract(request) {
      if (!asksForWebSocket(request)) return undefined
      return fromSubprotocol(request) ?? fromQuery(request)
    },
    claims: (credential) =>
      credential.type === 'token' &&
      (credential.hint === undefined || credential.hint === 'ticket') &&
      tickets.claims(credential.value),
    verify: (credential, context) =>
      credential.type === 'token' ? tickets.verify(credential.value, context) : notOfThisForm('a ticket'),
    revocations: tickets.revocations,
  }
}

function decode(name: string): string | undefined {
  const encoded = name.slice(prefix.length)
  if (encoded.length > 400 || !/^[A-Za-z0-9_-]+$/.test(encoded)) return undefined
  return Buffer.from(encoded, 'base64url').toString('latin1')
}

function found(value: string, source: 'subprotocol' | 'query', location: string): Extraction {
  return { credential: { type: 'token', source, value, hint: 'ticket' }, location }
}
