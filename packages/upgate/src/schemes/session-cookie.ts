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
  checkBooleans,
  checkMethods,
  checkPorts,
  checkStrings,
  readOptions,
} from '../core/options/check-options.ts'
import type { Logger } from '../core/ports/logger.ts'
import type { RevocationFeed } from '../core/ports/revocations.ts'
import type { IssuedSession } from '../services/types.ts'
import { notOfThisForm } from './bearer.ts'
import { verifyCandidates } from './candidates.ts'
import { readCookie } from './cookie-header.ts'

export interface SessionCookieOptions {
  readonly sessions: {
    verify(token: string): MaybePromise<Verification>
    readonly revocations?: RevocationFeed
  }
  /** The cookie's name without `__Host-`, which is added where the cookie is secure. Default: `upgate_session`. */
  readonly cookieName?: string
  /**
   * Name in rules and in `explain`; principals keep the scheme `session`. Needs `cookieName` beside it, because `name`
   * alone meant the cookie before. Default: `session`.
   */
  readonly name?: string
  /**
   * False only where browsers reach the application by `http:` on a network: the cookie can then be read and
   * replaced on the way. {@link cookieMayBeSecure} says it for a URL. Default: true.
   */
  readonly secure?: boolean
  /** `strict` also keeps links on other sites from arriving logged in. Default: `lax`. */
  readonly sameSite?: 'lax' | 'strict'
  /** Told when the cookie is not secure. */
  readonly logger?: Logger
}

/** The scheme, with what a login and a logout write. */
export interface SessionCookieScheme extends Scheme {
  /** The whole name, prefix included. */
  readonly cookieName: string
  /** The token of a request, or several, unverified; for `sessions.create` of a login, where it ends that session. */
  read(request: { readonly headers: HeaderRecord }): string | readonly string[] | undefined
  /** Value of the `Set-Cookie` header that begins a session in a browser. */
  setCookie(issued: IssuedSession): string
  /** Value of the `Set-Cookie` header that removes it. */
  removeCookie(): string
}

/**
 * Authenticates browsers by a session cookie: `__Host-`, `Secure`, `HttpOnly`, `SameSite`.
 *
 * It is ambient: it counts only from an allowed Origin. Where a site of a parent domain put others of its name beside it,
 * which it cannot with `__Host-`, the one that verifies counts, and none where they are of different principals.
 *
 * @throws TypeError for an unknown option, a name that a cookie cannot have, or `name` without `cookieName`
 * @example
 * const cookie = sessionCookie({ sessions: services.sessions })
 * const issued = await services.sessions.create(account.id)
 * response.setHeader('set-cookie', cookie.setCookie(issued))
 */
export function sessionCookie(options: SessionCookieOptions): SessionCookieScheme {
  const names = ['sessions', 'cookieName', 'name', 'secure', 'sameSite', 'logger'] as const
  const given = readOptions('sessionCookie', options, names)
  if (given.name !== undefined && given.cookieName === undefined) {
    throw new TypeError(
      'sessionCookie: `name` alone meant the cookie before; it is the name of the scheme now. Write `cookieName` for the cookie; to name the scheme, give both `cookieName` and `name`.',
    )
  }
  const {
    sessions,
    cookieName: base = 'upgate_session',
    name = 'session',
    secure = true,
    sameSite = 'lax',
    logger,
  } = given
  checkMethods('sessionCookie', 'sessions', sessions, ['verify'], '`services.sessions`')
  checkBooleans('sessionCookie', { secure })
  checkStrings('sessionCookie', { name })
  checkPorts('sessionCookie', { logger })
  if (
    typeof base !== 'string' ||
    !/^[A-Za-z0-9_-]{1,64}$/.test(base) ||
    /^__(host|secure|http)/i.test(base)
  ) {
    throw new TypeError(
      'sessionCookie: `cookieName` must have 1 to 64 letters, digits, `_` or `-`, without a `__Host-` prefix',
    )
  }
  if (sameSite !== 'lax' && sameSite !== 'strict') {
    throw new TypeError('sessionCookie: `sameSite` must be `lax` or `strict`')
  }
  if (!secure) {
    logger?.warn(
      'The session cookie is sent without TLS: whoever is on the network can read and replace it.',
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

/** The cookie, sent with different values. */
interface SeveralSessions extends TokenCredential {
  readonly values: readonly string[]
}

function several(values: readonly string[]): SeveralSessions {
  return { type: 'token', source: 'cookie', value: values.at(-1) as string, values }
}

/**
 * Whether browsers keep a `Secure` cookie of this URL: `https:`, or `http:` on the same machine.
 *
 * Safari alone does not on the same machine: use `https:` or another browser there.
 *
 * @throws TypeError for what is no absolute URL
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
