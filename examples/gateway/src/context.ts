import type { Request, Response } from 'express'
import type {
  DeviceCookie,
  IssuedSession,
  LoginConfiguration,
  Principal,
  Services,
  SessionCookieScheme,
} from 'upgate'
import type { Audit } from './audit.ts'
import type { ClientAddresses } from './client-address.ts'
import type { Live } from './live.ts'
import type { Presence } from './presence.ts'
import type { SetupCode } from './setup-code.ts'

/** What the routes work with. */
export interface Context {
  readonly services: Services
  readonly nodes: Pick<Presence, 'list'>
  readonly audit: Audit
  readonly live: Live
  readonly addresses: ClientAddresses
  /** Absent when the first account exists since the start. */
  readonly setupCode: SetupCode | undefined
  /** Who does the login. */
  readonly login: LoginConfiguration
  /** Origin of the pages. */
  readonly origin: string
  /** Address of the node endpoint as people have to type it. */
  readonly nodeUrl: string
  /** Who a request is from; the rules make sure that there is somebody on the paths that ask. */
  principalOf(request: Request): Principal | undefined
  /** Begins the session in the browser. */
  setCookie(response: Response, issued: IssuedSession): void
  removeCookie(response: Response): void
  /** What a login reads of a browser, and gives it: its session, and the cookie by which it is known again. */
  readonly cookies: { readonly session: Pick<SessionCookieScheme, 'read'>; readonly device: DeviceCookie }
}

/** Who a request is from, on a path that nobody enters anonymously. */
export function callerOf(context: Context, request: Request): Principal {
  const principal = context.principalOf(request)
  if (principal === undefined)
    throw new Error('A route that needs a principal is not behind a rule that requires one.')
  return principal
}

/** How people know somebody: an email, a name, else the id. */
export function labelOf(principal: Principal): string {
  return principal.displayName ?? principal.id
}

/** Whose page it is, and how they log out. */
export interface Viewer {
  readonly name: string
  readonly login: LoginConfiguration
}

export function viewerOf(context: Context, request: Request): Viewer {
  return { name: labelOf(callerOf(context, request)), login: context.login }
}
