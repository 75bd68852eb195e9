import type { Verification, VerifyContext } from '../../core/contract/credential.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { count, milliseconds, text } from '../../core/options/option-kinds.ts'
import { type OptionTable, optionTable } from '../../core/options/option-table.ts'
import type { Clock } from '../../core/ports/clock.ts'
import { type RevocationFeed, selects } from '../../core/ports/revocations.ts'
import { type Store, StoreUnavailable } from '../../core/ports/stores.ts'
import type { TicketRecord } from '../../core/ports/tickets.ts'
import { equalDigests } from '../../crypto/equal.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { createId, createToken, parseToken } from '../../crypto/tokens.ts'
import { accountFault, tokenFault } from '../accounts/standing.ts'
import type { OwnRevocations } from '../revocations/revocations.ts'
import { createPurger } from './purger.ts'
import { authenticated, rejected, storeFailed, unavailable } from './verdicts.ts'

/** Bounds of a ticket. */
export interface NewTicket {
  /** Path of the WebSocket, without query, exactly as the client requests it. */
  readonly path: string
  /** `Origin` of the page that opens the WebSocket; `undefined` for a client that is not a browser. */
  readonly origin: string | undefined
}

/** A ticket just created. */
export interface IssuedTicket {
  /** Public: fit for logs. */
  readonly id: string
  /** The secret. It is not stored and cannot be shown again. */
  readonly ticket: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/**
 * Tickets: single-use credentials for clients that can send their own credential neither in a header nor in a
 * first frame.
 */
export interface Tickets {
  /**
   * Creates a ticket for a principal that was just decided: 30 seconds, single use, at most 20 at a time.
   *
   * @param principal - taken from the decision on the request that asks for the ticket
   * @param ticket - path and origin that the ticket is bound to
   * @throws TypeError for an invalid path or origin, or a principal that has expired
   * @throws StoreUnavailable (as a rejection) when the store cannot answer
   * @example
   * const { ticket } = await services.tickets.create(principal, { path: '/ws', origin: request.headers.origin })
   */
  create(principal: Principal, ticket: NewTicket): Promise<IssuedTicket>
  /**
   * Verifies a ticket, uses it up, and answers with its principal. A `dryRun` keeps the ticket. Never
   * rejects.
   */
  verify(ticket: string, context: VerifyContext): Promise<Verification>
  /** Whether a string has the form of a ticket. Checks the form alone. */
  claims(ticket: string): boolean
  /** The revocations of the principals that tickets stand for. */
  readonly revocations: RevocationFeed
}

/** Options of tickets, given to `createServices({ tickets })`. */
export interface TicketOptions {
  /** Milliseconds for which a ticket counts, 1,000 to 120,000. Default: 30,000. */
  readonly lifetime?: number
  /** Tickets of one principal at a time, 1 to 1,000; the oldest are removed. Default: 20. */
  readonly perPrincipal?: number
}

/** Default, least and most of every option of tickets. */
export const ticketOptions: OptionTable<
  TicketOptions,
  Required<TicketOptions>
> = optionTable<TicketOptions>()({
  lifetime: milliseconds(30_000, 1_000, 120_000),
  perPrincipal: count(20, 1, 1_000),
})

interface TicketParts {
  readonly store: Store
  readonly clock: Clock
  readonly revocations: OwnRevocations
  readonly randomBytes: (size: number) => Uint8Array
  readonly options: Required<TicketOptions>
}

/** Largest number of revocations during a ticket's life that are still searched. */
const mostRevocations = 10_000
/** Form of a path that an upgrade can request: absolute, visible ASCII, no query. */
const place = text(
  'the path of a WebSocket, such as /ws, without a query',
  /^\/[\x21\x22\x24-\x3e\x40-\x7e]{0,511}$/,
)
const page = text('the Origin header of the page, or undefined', /^.{1,512}$/s)

/** Creates the tickets service. */
export function createTickets(parts: TicketParts): Tickets {
  const { store, clock, revocations, randomBytes } = parts
  const { lifetime, perPrincipal } = parts.options
  const purge = createPurger(clock, lifetime, (now, atMost) => store.tickets.purge(now, atMost))

  async function verify(token: string, context: VerifyContext): Promise<Verification> {
    const parsed = parseToken('ugt', token)
    if ('problem' in parsed) return rejected('invalid_credential', `the ticket ${parsed.problem}`)
    const digest = sha256(token)
    const seen = await store.tickets.get(parsed.id)
    // The id is public: knowing it alone must not be enough to use the ticket up.
    if (seen === undefined || !equalDigests(seen.digest, digest)) return unknown
    const record = context.dryRun ? seen : await store.tickets.take(parsed.id)
    if (record === undefined || !equalDigests(record.digest, digest)) return unknown
    if (record.expiresAt <= clock.now()) return rejected('expired_credential', 'the ticket has expired')
    if (record.path !== context.path) return rejected('invalid_credential', 'the ticket is for another path')
    if (record.origin !== context.origin) {
      return rejected('invalid_credential', 'the ticket is for a page of another origin')
    }
    return judge(record)
  }

  async function judge(record: TicketRecord): Promise<Verification> {
    const { principal } = record
    await revocations.ready()
    // Include the entry that was newest when the ticket was created, to check that it still exists.
    const since = await store.revocations.since(Math.max(0, record.sequence - 1), mostRevocations)
    if (record.sequence > 0 && since[0]?.sequence !== record.sequence) return goneBack
    if (since.length >= mostRevocations)
      return unavailable('too many revocations since the ticket was made', 1)
    const full: Principal = { ...principal, attributes: {} }
    if (since.some(({ sequence, selector }) => sequence > record.sequence && selects(selector, full)))
      return ended
    const session =
      principal.sessionId === undefined || principal.scheme !== 'session'
        ? undefined
        : ((await store.sessions.get(principal.sessionId)) ?? null)
    if (session === null) return ended
    const account = principal.kind === 'user' ? await store.accounts.get(principal.id) : undefined
    // Principals of other session systems have no account here.
    const isOurs = session !== undefined || account !== undefined
    const fault = isOurs ? accountFault(account, session?.generation) : undefined
    if (fault !== undefined) return fault === 'disabled' ? disabled : ended
    const token = await tokenOf(principal)
    const now = clock.now()
    if (token !== undefined && tokenFault(token, now) !== undefined) return ended
    // The current records bound the ticket, also if the principal was read before they were narrowed.
    let { scopes, roles } = principal
    for (const holder of [account, token]) {
      if (holder === undefined) continue
      scopes = scopes.filter((scope) => holder.scopes.includes(scope))
      roles = roles.filter((role) => holder.roles.includes(role))
    }
    return authenticated({ ...principal, scopes, roles })
  }

  async function tokenOf({ scheme, credentialId }: TicketRecord['principal']) {
    if (credentialId === undefined) return undefined
    if (scheme === 'api-key') return store.keys.get(credentialId)
    if (scheme === 'device-token' || scheme === 'device-key') return store.devices.get(credentialId)
    return undefined
  }

  return {
    async create(principal, { path, origin }) {
      place.read('tickets.create', 'path', path)
      if (origin !== undefined) page.read('tickets.create', 'origin', origin)
      const now = clock.now()
      const expiresAt = Math.min(now + lifetime, principal.expiresAt ?? Number.POSITIVE_INFINITY)
      if (expiresAt <= now) throw new TypeError('tickets.create: the principal has expired')
      await purge()
      const id = createId(randomBytes)
      const ticket = createToken('ugt', id, randomBytes)
      const { attributes: _, expiresAt: ends, ...rest } = principal
      // Stores keep JSON, which cannot hold Infinity.
      const kept =
        ends === undefined || ends === Number.POSITIVE_INFINITY ? rest : { ...rest, expiresAt: ends }
      await revocations.ready()
      // A revocation that this process has not read yet could not refuse the principal, but has to refuse the
      // ticket. Therefore the ticket counts from the last entry read.
      const heard = revocations.sequence()
      const sequence = Math.min(heard, await store.revocations.head())
      const record: TicketRecord = {
        id,
        digest: sha256(ticket),
        principal: kept,
        path,
        origin,
        sequence,
        createdAt: now,
        expiresAt,
      }
      if (!(await store.tickets.add(record, perPrincipal))) {
        throw new StoreUnavailable('store_corrupt', 'A random id was taken already.')
      }
      return { id, ticket, expiresAt }
    },
    verify: (token, context) => verify(token, context).catch(storeFailed),
    claims: (token) => token.startsWith('ugt_'),
    revocations,
  }
}

/**
 * An unknown, used or wrong ticket gets the same answer: a client without the secret must not learn which
 * tickets exist.
 */
const unknown = rejected('invalid_credential', 'no such ticket, or it was used already')
const goneBack = rejected(
  'revoked_credential',
  'the log of revocations does not reach back to the ticket, or was restored from before it',
)
const disabled = rejected('account_disabled', 'the account is disabled')
const ended = rejected(
  'revoked_credential',
  'the credential or account behind the ticket does not count any more',
)
