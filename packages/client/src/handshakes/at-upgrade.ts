import { callable, checkAll, text } from '../check.ts'
import { tokenOf } from '../credential.ts'
import type { ClientHandshake, HandshakeTalk, UpgradeParts } from '../handshake.ts'
import { base64url } from './base64url.ts'
import { beginningOf } from './beginning-of.ts'
import { HandshakeFailure } from './failure.ts'
import { objectOf, readObject, textOf } from './json.ts'
import { kindOf } from './kind.ts'

/** Options of {@link headerHandshake}. */
export interface HeaderHandshakeOptions {
  /** Default: `authorization`, with the token after `Bearer`. Another header has the token alone. */
  readonly header?: string
}

/** The token in a header of the upgrade. Browsers cannot send one. */
export function headerHandshake(options: HeaderHandshakeOptions = {}): ClientHandshake {
  checkAll('headerHandshake', options, {
    header: text('the name of a header, such as x-api-key', /^[!#$%&'*+\-.^_`|~\w]{1,128}$/),
  })
  const { header = 'authorization' } = options
  const bearer = header.toLowerCase() === 'authorization'
  return {
    name: 'header',
    needsHeaders: true,
    kindOf: (credential) => (bearer ? 'bearer' : kindOf(credential)),
    upgrade(credential): UpgradeParts {
      const token = tokenOf(credential)
      return token === undefined
        ? {}
        : { headers: { [header.toLowerCase()]: bearer ? `Bearer ${token}` : token } }
    },
  }
}

/** Options of {@link subprotocolHandshake}. */
export interface SubprotocolHandshakeOptions {
  /** Makes the offered name of a token. Default: `base64url.bearer.authorization.k8s.io.<base64url of the token>`. */
  readonly encode?: (token: string) => string
}

/**
 * The token as a subprotocol, the only part of an upgrade that a page can choose. Offer a real name as well
 * (`protocols`), because the server never selects the one with the token.
 */
export function subprotocolHandshake(options: SubprotocolHandshakeOptions = {}): ClientHandshake {
  checkAll('subprotocolHandshake', options, { encode: callable })
  const { encode = inSubprotocol } = options
  return {
    name: 'subprotocol',
    kindOf,
    upgrade(credential): UpgradeParts {
      const token = tokenOf(credential)
      if (token === undefined) return {}
      const name = encode(token)
      return { protocols: [name], secrets: [name] }
    },
  }
}

/** Options of {@link ticketHandshake}. */
export interface TicketHandshakeOptions {
  /** Where tickets are made, below the origin of the socket's URL. Default: `/api/tickets`. */
  readonly endpoint?: string
  /** Default: that of the transport, or the global one. */
  readonly fetch?: typeof fetch
}

/**
 * Fetches a single-use ticket and offers it as a subprotocol. In a page, its cookies prove who asks; elsewhere the token
 * of the credential does, as `Authorization: Bearer`. The request goes to the socket's own origin only, and follows no
 * redirect.
 *
 * @throws TypeError if `endpoint` is no path
 */
export function ticketHandshake(options: TicketHandshakeOptions = {}): ClientHandshake {
  checkAll('ticketHandshake', options, {
    endpoint: text('a path of the same origin, such as /api/tickets', /^\/(?!\/)[^?#\\\s]*$/),
    fetch: callable,
  })
  const { endpoint = '/api/tickets' } = options
  return {
    name: 'ticket',
    kindOf,
    async upgrade(credential, talk): Promise<UpgradeParts> {
      const ticket = await fetchTicket(options.fetch ?? talk.fetch, endpoint, tokenOf(credential), talk)
      const name = inSubprotocol(ticket)
      return { protocols: [name], secrets: [name, ticket] }
    },
  }
}

async function fetchTicket(
  send: typeof fetch,
  endpoint: string,
  token: string | undefined,
  talk: HandshakeTalk,
): Promise<string> {
  const socket = new URL(talk.url)
  const url = new URL(endpoint, `${socket.protocol === 'wss:' ? 'https' : 'http'}://${socket.host}`).href
  let response: Response
  let body: string
  try {
    response = await send(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        ...talk.headers,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ path: socket.pathname }),
      credentials: 'include',
      redirect: 'manual',
      cache: 'no-store',
      signal: talk.signal,
    })
    body = await beginningOf(response)
  } catch (error) {
    const { cause, message } = error as { cause?: { code?: unknown; message?: unknown }; message?: unknown }
    throw new HandshakeFailure({
      url,
      sent: { upgrade: false },
      error: { code: textOf(cause?.code) ?? '', message: textOf(cause?.message) ?? String(message) },
    })
  }
  const ticket = response.ok ? textOf(objectOf(readObject(body))?.ticket) : undefined
  if (ticket !== undefined && ticket.length <= 4096) return ticket
  const headers = Object.fromEntries(response.headers)
  throw new HandshakeFailure({
    url,
    // A page sees nothing of a redirect.
    ...(response.type === 'opaqueredirect'
      ? { sent: { upgrade: false, client: 'browser' }, close: { code: 1006 }, probes: { http: 'redirected' } }
      : { sent: { upgrade: true }, response: { status: response.status, headers, body } }),
  })
}

function inSubprotocol(token: string): string {
  return `base64url.bearer.authorization.k8s.io.${base64url(token)}`
}
