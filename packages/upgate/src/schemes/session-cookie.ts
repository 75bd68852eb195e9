import { stringifySetCookie } from 'cookie'
import type {
  Credential,
  MaybePromise,
  Scheme,
  TokenCredential,
  Verification,
} from '../core/contract/credential.ts'
import type { HeaderRecord } from '../core/contract/request.ts'
import {
  flag,
  logger as loggerKind,
  methods,
  oneOf,
  optional,
  text,
  withDefault,
} from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { Logger } from '../core/ports/logger.ts'
import type { RevocationFeed } from '../core/ports/revocations.ts'
import { processWarnings } from '../platform/process-warnings.ts'
import type { IssuedSession } from '../services/tokens/types.ts'
import { notOfThisForm } from './bearer.ts'
import { verifyCandidates } from './candidates.ts'
import { cookieNameOption, readCookie } from './cookie-header.ts'

/** Options of {@link sessionCookie}. Unknown options throw. */
export interface SessionCookieOptions {
  /** `services.sessions`, or an object with the same methods. Required. */
  readonly sessions: {
    /** Verifies the value of the cookie. */
    verify(token: string): MaybePromise<Verification>
    /** The revocations that end the principals. Default: none. */
    readonly revocations?: RevocationFeed
  }
  /** The cookie's name without `__Host-`, which is added if the cookie is secure. Default: `upgate_session`. */
  readonly cookieName?: string
  /**
   * Name in rules and in `explain`; principals keep the scheme `session`. Give `cookieName` as well, because
   * `name` alone named the cookie before. Default: `session`.
   */
  readonly name?: string
  /**
   * Whether the cookie is `Secure`. Set it to false only if browsers reach the application by `http:` over a
   * network: the cookie can then be read and replaced on its way. {@link cookieMayBeSecure} answers this for
   * a URL. Default: true.
   */
  readonly secure?: boolean
  /** `strict` also makes visits from links on other sites arrive without a login. Default: `lax`. */
  readonly sameSite?: 'lax' | 'strict'
  /**
   * Gets a warning when the cookie is not secure.
   *
   * Default: Node's warnings, as `process.on('warning')` sees them.
   */
  readonly logger?: Logger
}

const sessionCookieOptions = optionTable<SessionCookieOptions>()({
  sessions: methods<SessionCookieOptions['sessions']>(['verify'], '`services.sessions`'),
  cookieName: withDefault(cookieNameOption, 'upgate_session'),
  name: optional(text()),
  secure: flag(true),
  sameSite: withDefault(oneOf('lax', 'strict'), 'lax'),
  logger: withDefault(loggerKind(), processWarnings),
})

/** The scheme, with the headers that a login and a logout write. */
export interface SessionCookieScheme extends Scheme {
  /** The whole name, prefix included. */
  readonly cookieName: string
  /**
   * Reads the token of a request, or several tokens, unverified. Pass the result to `sessions.create` as
   * `replaces`, so that a login ends the former session.
   *
   * @param request - Node's own, or any object with `headers` in lower case
   * @example
   * const issued = await services.sessions.create(account.id, { replaces: cookie.read(request) })
   */
  read(request: { readonly headers: HeaderRecord }): string | readonly string[] | undefined
  /**
   * Returns the value of the `Set-Cookie` header that begins a session in a browser.
   *
   * @param issued - by `sessions.create` or `sessions.rotate`
   */
  setCookie(issued: IssuedSession): string
  /** Returns the value of the `Set-Cookie` header that removes the cookie. */
  removeCookie(): string
}

/**
 * Authenticates browsers by a session cookie: `__Host-`, `Secure`, `HttpOnly`, `SameSite`.
 *
 * The cookie is ambient: it counts only from an allowed Origin. A site of a parent domain can add cookies of
 * the same name unless the name begins with `__Host-`. Of several cookies the one that verifies counts, and
 * none if they verify for different principals.
 *
 * @param options - `sessions` of the services is required
 * @returns the scheme, with functions that write and read its cookie
 * @throws TypeError for an unknown option, a name that a cookie cannot have, or `name` without `cookieName`
 * @example
 * const cookie = sessionCookie({ sessions: services.sessions })
 * const issued = await services.sessions.create(account.id)
 * if (issued) response.setHeader('set-cookie', cookie.setCookie(issued))
 */
export function sessionCookie(options: SessionCookieOptions): SessionCookieScheme {
  const given = sessionCookieOptions.read('sessionCookie', options)
  if (given.name !== undefined && options.cookieName === undefined) {
    throw new TypeError(
      'sessionCookie: `name` alone meant the cookie before; it is the name of the scheme now. Write `cookieName` for the cookie; to name the scheme, give both `cookieName` and `name`.',
    )
  }
  const { sessions, cookieName: base, name = 'session', secure, sameSite, logger } = given
  if (!secure) {
    logger.warn(
      'The session cookie is sent without TLS: an attacker on the network can read and replace it.',
      {
        remedy: 'Serve the application over https: and leave out `secure: false`.',
      },
    )
  }
  const cookieName = secure ? `__Host-${base}` : base
  const attributes = { name: cookieName, path: '/', httpOnly: true, secure, sameSite } as const
  const removal = stringifySetCookie({ ...attributes, value: '', maxAge: 0 })

  function read({ headers }: { readonly headers: HeaderRecord }): string | readonly string[] | undefined {
    const header = headers.cookie
    return typeof header === 'string' ? readCookie(header, cookieName) : undefined
  }

  return {
    name,
    yields: ['user'],
    principalSchemes: ['session', name],
    ambient: true,
    cookieName,
    setCookie({ token, session }) {
      const maxAge = Math.max(0, Math.floor((session.endsAt - session.createdAt) / 1000))
      return stringifySetCookie({ ...attributes, value: token, maxAge })
    },
    removeCookie: () => removal,
    clearCookie: () => removal,
    read,
    extract(request) {
      const found = read(request)
      if (found === undefined) return undefined
      if (typeof found === 'string') {
        return { credential: { type: 'token', source: 'cookie', value: found }, location: cookieName }
      }
      return { credential: several(found), location: cookieName }
    },
    verify(credential: Credential & Partial<SeveralSessions>) {
      if (credential.type !== 'token') return notOfThisForm('a session')
      const { values } = credential
      return values === undefined
        ? sessions.verify(credential.value)
        : verifyCandidates(values, (value) => sessions.verify(value))
    },
    ...(sessions.revocations === undefined ? {} : { revocations: sessions.revocations }),
  }
}

/** The session cookie, sent with different values. */
interface SeveralSessions extends TokenCredential {
  readonly values: readonly string[]
}

function several(values: readonly string[]): SeveralSessions {
  return { type: 'token', source: 'cookie', value: values.at(-1) as string, values }
}

/**
 * Whether browsers keep a `Secure` cookie of this URL: `https:`, or `http:` on the same machine.
 *
 * Safari does not keep one for `http:` on the same machine: use `https:` or another browser there.
 *
 * @param publicUrl - the URL under which browsers reach the application
 * @throws TypeError for a text that is not an absolute URL
 * @example
 * const session = sessionCookie({ sessions, secure: cookieMayBeSecure('http://localhost:8787') }) // true
 */
export function cookieMayBeSecure(publicUrl: string): boolean {
  if (typeof publicUrl !== 'string' || !URL.canParse(publicUrl)) {
    throw new TypeError(
      "cookieMayBeSecure: `publicUrl` must be an absolute URL, such as 'https://gateway.example.com'.",
    )
  }
  const { protocol, hostname } = new URL(publicUrl)
  if (protocol === 'https:') return true
  return (
    hostname === 'localhost' || hostname.endsWith('.localhost') || /^127(\.\d+){3}$|^\[::1\]$/.test(hostname)
  )
}
