import type { IncomingMessage } from 'node:http'
import type { MaybePromise, Scheme, Verification } from '../core/contract/credential.ts'
import { createPrincipal, type PrincipalKind } from '../core/contract/principal.ts'
import type { AuthRequest } from '../core/contract/request.ts'
import { isCallable, wrongArgument } from '../core/options/check-options.ts'
import {
  clock as clockKind,
  flag,
  milliseconds,
  optional,
  revocationFeed,
  text,
  value,
  withDefault,
} from '../core/options/option-kinds.ts'
import { type OptionTable, optionTable } from '../core/options/option-table.ts'
import type { Clock } from '../core/ports/clock.ts'
import type { RevocationFeed } from '../core/ports/revocations.ts'
import { systemClock } from '../platform/system-clock.ts'
import { headerName, headerOption, notOfThisForm } from './bearer.ts'
import { verifyCandidates } from './candidates.ts'
import { cookieAlternatives, withCookies } from './cookie-alternatives.ts'
import { readCookie } from './cookie-header.ts'

/**
 * A principal that the application's own session system found. A property that is `undefined` counts as
 * absent.
 */
export interface MappedPrincipal {
  /** Default: `user`. */
  readonly kind?: PrincipalKind | undefined
  /** Stable id of the user; revocations select by it. */
  readonly id: string
  /** Exact scope names. Default: none. */
  readonly scopes?: readonly string[] | undefined
  /** Default: none. */
  readonly roles?: readonly string[] | undefined
  /**
   * Name by which revocations select the session. It is logged: use a public id or a digest, never the
   * cookie's value.
   */
  readonly sessionId?: string | undefined
  /** Milliseconds since the epoch. */
  readonly expiresAt?: number | undefined
  /** A name fit for people. Default: none. */
  readonly displayName?: string | undefined
  /** Further facts for the application; the gate does not read them. Default: none. */
  readonly attributes?: Readonly<Record<string, unknown>> | undefined
}

/** Options of {@link fromRequest}. Unknown options throw. */
export interface FromRequestOptions {
  /** Name in rules and in `explain`, and the `scheme` of its principals. Default: `request`. */
  readonly name?: string
  /** Whether the function reads cookies. Set it to `false` only if it reads a header alone. Default: true. */
  readonly ambient?: boolean
  /**
   * Names of the cookies. Requests without any of them are not looked up. If one comes twice (a site of a
   * parent domain can add another), its values are tried one by one. Default: any cookie may count, and the
   * first value of a name is used.
   */
  readonly cookie?: string | readonly string[]
  /** Header that is read if `ambient` is false. Default: `authorization`. */
  readonly header?: string
  /** Milliseconds after which a missing answer counts as `unavailable`. Default: 10,000. */
  readonly timeout?: number
  /** Clock behind `timeout`. Default: the clock of the machine. */
  readonly clock?: Clock
  /** Revocations that end the principals of this scheme. Default: none. */
  readonly revocations?: RevocationFeed
}

const cookieForm = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const isCookieName = (name: unknown): boolean => typeof name === 'string' && cookieForm.test(name)

/** The options after reading. `name` has its default from the scheme. */
export type ReadFromRequestOptions = Required<Pick<FromRequestOptions, 'ambient' | 'timeout' | 'clock'>> & {
  readonly [O in 'name' | 'cookie' | 'header' | 'revocations']: FromRequestOptions[O] | undefined
}

/** The options of {@link fromRequest}, for schemes that take them as well. */
export const fromRequestOptions: OptionTable<FromRequestOptions, ReadFromRequestOptions> =
  optionTable<FromRequestOptions>()({
    // The default differs between the schemes.
    name: optional(text()),
    ambient: flag(true),
    cookie: optional(
      value<string | readonly string[]>(
        'the name of a cookie, or several',
        (cookie) =>
          isCookieName(cookie) || (Array.isArray(cookie) && cookie.length > 0 && cookie.every(isCookieName)),
      ),
    ),
    header: optional(headerOption),
    timeout: milliseconds(10_000, 1, 600_000),
    clock: withDefault(clockKind(), systemClock),
    revocations: optional(revocationFeed()),
  })

/**
 * Authenticates with the application's existing sessions, for requests and upgrades alike: `find` gets the
 * host's own request and returns its principal, or `null` for none.
 *
 * Throwing and not answering in time are 503, never 401: do not catch errors of your session store.
 *
 * @param find - looks a request's principal up
 * @param options - cookies, time-out and revocations
 * @returns the scheme, for `createGate({ schemes })`
 * @throws TypeError for an unknown option
 * @example
 * fromRequest(async ({ headers }) => {
 *   const found = await auth.api.getSession({ headers: fromNodeHeaders(headers) })
 *   return found && { id: found.user.id, sessionId: found.session.id }
 * }, { cookie: 'better-auth.session_token' })
 */
export function fromRequest<Request extends object = IncomingMessage>(
  find: (request: Request) => MaybePromise<MappedPrincipal | null | undefined>,
  options: FromRequestOptions = {},
): Scheme {
  const read = fromRequestOptions.read('fromRequest', options)
  if (!isCallable(find))
    throw wrongArgument('fromRequest', 'first', 'a function from a request to a principal', find)
  const look = async (request: Request): Promise<Found> => {
    try {
      return { mapped: await find(request) }
    } catch (cause) {
      return { problem: 'looking for the session failed', cause }
    }
  }
  return requestScheme('fromRequest', look, { ...read, name: read.name ?? 'request' })
}

/** A principal, none, or the problem that prevented an answer. */
export type Found =
  | { readonly mapped: MappedPrincipal | null | undefined; readonly problem?: undefined }
  /** `cause` is the error that was thrown, if any, `undefined` included. */
  | { readonly problem: string; readonly cause?: unknown }

/** Creates the scheme around a function that looks a principal up in a request and never rejects. */
export function requestScheme<Request extends object>(
  where: string,
  look: (request: Request) => Promise<Found>,
  options: ReadFromRequestOptions & { readonly name: string },
): Scheme {
  const { name, ambient, timeout, clock, revocations } = options
  if (ambient && options.header !== undefined) {
    throw new TypeError(
      `${where}: \`header\` is read only by a scheme that is not ambient; say \`ambient: false\`.`,
    )
  }
  if (!ambient && options.cookie !== undefined) {
    throw new TypeError(
      `${where}: \`cookie\` is read only by an ambient scheme; leave out \`ambient: false\`.`,
    )
  }
  const cookies = typeof options.cookie === 'string' ? [options.cookie] : options.cookie
  const location = ambient ? 'cookie' : explicitHeader(where, options.header)

  function inTime(request: Request): Promise<Found> {
    return new Promise((resolve) => {
      const timer = clock.setTimer(timeout, () => resolve({ problem: 'it was not answered in time' }))
      void look(request).then((found) => {
        timer.cancel()
        resolve(found)
      })
    })
  }

  async function ask(native: Request): Promise<Verification> {
    const found = await inTime(native)
    if (found.problem !== undefined) {
      const { problem: reason, ...thrown } = found
      return { outcome: 'unavailable', reason, ...thrown }
    }
    if (found.mapped === null || found.mapped === undefined) {
      return { outcome: 'rejected', code: 'invalid_credential', reason: 'no principal was found' }
    }
    return principalOf(found.mapped, name)
  }

  return {
    name,
    ambient,
    ...(ambient || location === 'authorization' ? {} : { headers: [location] }),
    extract(request) {
      const value = request.headers[location]
      if (value === undefined || value === '') return undefined
      if (cookies !== undefined && !cookies.some((each) => readCookie(String(value), each) !== undefined)) {
        return undefined
      }
      return { credential: { type: 'opaque', source: 'middleware', name, value: request }, location }
    },
    async verify(credential): Promise<Verification> {
      if (credential.type !== 'opaque' || credential.source !== 'middleware' || credential.name !== name) {
        return notOfThisForm('a credential read from a request')
      }
      const request = credential.value as AuthRequest
      const native = request.native as Request | undefined
      if (native === undefined) {
        return { outcome: 'unavailable', reason: 'the adapter does not pass the host request on' }
      }
      const alternatives =
        cookies === undefined ? undefined : cookieAlternatives(String(request.headers.cookie), cookies)
      if (alternatives === undefined) return ask(native)
      const asked = alternatives.map((cookie) => withCookies(native, cookie))
      const sound = asked.filter((each) => each !== undefined)
      return sound.length === 0 || sound.length < asked.length ? undecidable : verifyCandidates(sound, ask)
    },
    ...(revocations === undefined ? {} : { revocations }),
  }
}

const undecidable: Verification = Object.freeze({
  outcome: 'rejected',
  code: 'invalid_credential',
  reason: 'a cookie came more than once, and they cannot be tried one by one',
})

function explicitHeader(where: string, header = 'authorization'): string {
  return header.toLowerCase() === 'authorization' ? 'authorization' : headerName(where, header)
}

function principalOf(mapped: MappedPrincipal, scheme: string): Verification {
  const { kind = 'user', id, scopes = [], roles = [], attributes = {}, ...rest } = mapped
  // An invalid id would let revocations and logs take two people for one.
  if (typeof id !== 'string' || id === '') {
    return { outcome: 'unavailable', reason: 'the mapping from request to principal gave no id' }
  }
  const { sessionId, expiresAt, displayName } = rest
  // A number, for example, would never equal the id that a revocation names.
  if (sessionId !== undefined && (typeof sessionId !== 'string' || sessionId === '')) {
    return {
      outcome: 'unavailable',
      reason: 'the mapping from request to principal gave no proper `sessionId`',
    }
  }
  // An unreadable date must not create a session without end.
  if (expiresAt !== undefined && (typeof expiresAt !== 'number' || Number.isNaN(expiresAt))) {
    return {
      outcome: 'unavailable',
      reason: 'the mapping from request to principal gave no proper `expiresAt`',
    }
  }
  const facts = { kind, id, scheme, scopes, roles, attributes, sessionId, expiresAt, displayName }
  return { outcome: 'authenticated', principal: createPrincipal(facts) }
}
