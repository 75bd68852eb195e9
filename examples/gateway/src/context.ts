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
import type { Remote } from './remote/remote.ts'
import type { SetupCode } from './setup-code.ts'

/** The services and helpers of the routes. */
export interface Context {
  readonly services: Services
  readonly nodes: Pick<Presence, 'list'>
  readonly audit: Audit
  readonly live: Live
  readonly addresses: ClientAddresses
  /** This gateway as a node of another one. */
  readonly remote: Remote
  /** Whether the remote may have this address. */
  mayConnectTo(address: string): boolean
  /** Milliseconds since the epoch. */
  now(): number
  /** Absent if the first account existed at the start. */
  readonly setupCode: SetupCode | undefined
  /** The login in use: built-in or external. */
  readonly login: LoginConfiguration
  /** Origin of the pages. */
  readonly origin: string
  /** Address of the node endpoint, as users type it. */
  readonly nodeUrl: string
  /** Returns the principal of a request; the rules guarantee one on the paths that use it. */
  principalOf(request: Request): Principal | undefined
  /** Begins the session in the browser. */
  setCookie(response: Response, issued: IssuedSession): void
  removeCookie(response: Response): void
  /** The cookies that a login reads and sets: the session, and the device cookie that identifies a known browser. */
  readonly cookies: { readonly session: Pick<SessionCookieScheme, 'read'>; readonly device: DeviceCookie }
}

/** Returns the principal of a request on a path that requires one. */
export function callerOf(context: Context, request: Request): Principal {
  const principal = context.principalOf(request)
  if (principal === undefined)
    throw new Error('A route that needs a principal is not behind a rule that requires one.')
  return principal
}

/** Name of a principal for display: email address or name, else the id. */
export function labelOf(principal: Principal): string {
  return principal.displayName ?? principal.id
}

/** The user of a page, and the log-out. */
export interface Viewer {
  readonly name: string
  readonly login: LoginConfiguration
}

export function viewerOf(context: Context, request: Request): Viewer {
  return { name: labelOf(callerOf(context, request)), login: context.login }
}
