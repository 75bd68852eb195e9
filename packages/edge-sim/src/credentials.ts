import type { Application } from './applications.ts'
import { cookieValue } from './cookies.ts'
import type { EdgeRequest } from './edge-request.ts'
import type { User } from './users.ts'
import type { World } from './world.ts'

/** The cookie that carries a token, on an application's host as on a team's. */
export const TOKEN_COOKIE = 'CF_Authorization'

/** The proof that a request offered to Access. */
export interface Presented {
  /** Whether it carried service-token headers at all, complete or not. */
  readonly sentServiceToken: boolean
  /** The service token that is valid now. */
  readonly service:
    | { readonly name: string; readonly clientId: string; readonly fromCookie: boolean }
    | undefined
  /** The user with a valid token. */
  readonly user: { readonly user: User; readonly token: string } | undefined
  /** Names of the headers and cookies that carried credentials, for the log. */
  readonly names: readonly string[]
}

/** Names of the credentials that a request carries; values are not looked at. */
export function credentialNames(request: EdgeRequest): string[] {
  const { headers } = request.raw
  const names = ['cf-access-client-id', 'cf-access-client-secret', 'cf-access-token', 'authorization'].filter(
    (name) => headers[name] !== undefined,
  )
  return cookieValue(headers.cookie, TOKEN_COOKIE) === undefined ? names : [...names, TOKEN_COOKIE]
}

/** Reads and verifies what a request presents to one application. */
export async function present(
  world: World,
  request: EdgeRequest,
  application: Application,
): Promise<Presented> {
  const { headers } = request.raw
  const single = application.settings.singleHeader ? singleHeader(headers.authorization) : undefined
  const id = single?.id ?? text(headers['cf-access-client-id'])
  const secret = single?.secret ?? text(headers['cf-access-client-secret'])
  const name =
    id === undefined || secret === undefined
      ? undefined
      : world.serviceTokens.authenticate(application.team.name, id, secret)
  const base = {
    sentServiceToken: id !== undefined || secret !== undefined,
    names: credentialNames(request),
  }
  if (name !== undefined && id !== undefined) {
    return { ...base, service: { name, clientId: id, fromCookie: false }, user: undefined }
  }
  const bearer = application.settings.managedOAuth
    ? /^bearer +([\w\-.~+/]+=*)$/i.exec(headers.authorization ?? '')?.[1]
    : undefined
  for (const token of [text(headers['cf-access-token']), cookieValue(headers.cookie, TOKEN_COOKIE), bearer]) {
    const holder = token === undefined ? undefined : await holderOf(world, application, token)
    if (token === undefined || holder === undefined) continue
    return 'clientId' in holder
      ? { ...base, service: { ...holder, fromCookie: true }, user: undefined }
      : { ...base, service: undefined, user: { user: holder, token } }
  }
  return { ...base, service: undefined, user: undefined }
}

/** Finds the holder of an application token that a published key signed and that is neither expired nor revoked. */
export async function holderOf(
  world: World,
  application: Application,
  token: string,
): Promise<User | { name: string; clientId: string } | undefined> {
  const { team } = application
  const claims = await team.keys.verify(token)
  if (claims === undefined || claims.iss !== team.issuer || claims.type !== 'app') return undefined
  const audiences = typeof claims.aud === 'string' ? [claims.aud] : (claims.aud ?? [])
  if (!audiences.includes(application.aud)) return undefined
  const commonName = claims.common_name
  if (typeof commonName === 'string') {
    const name = world.serviceTokens.valid(team.name, commonName)
    return name === undefined ? undefined : { name, clientId: commonName }
  }
  const session = world.sessions.find(claims.identity_nonce)
  const user = session === undefined ? undefined : world.users.get(session.email)
  return session?.team === team.name && user?.email === claims.email ? user : undefined
}

function text(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function singleHeader(value: string | undefined): { id: string; secret: string } | undefined {
  if (value === undefined || !value.startsWith('{')) return undefined
  try {
    const parsed = JSON.parse(value) as Record<string, unknown>
    const id = parsed['cf-access-client-id']
    const secret = parsed['cf-access-client-secret']
    return typeof id === 'string' && typeof secret === 'string' ? { id, secret } : undefined
  } catch {
    return undefined
  }
}
