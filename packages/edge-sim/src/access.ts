import { type Answer, html, type Identity, json, redirect } from './answer.ts'
import type { Application } from './applications.ts'
import { metaClaims, serviceClaims } from './claims.ts'
import { setCookie } from './cookies.ts'
import { type Presented, present, TOKEN_COOKIE } from './credentials.ts'
import type { EdgeRequest } from './edge-request.ts'
import { admitsToken, admitsUser, bypasses } from './policies.ts'
import { hex } from './secrets.ts'
import { hostOrigin, teamOrigin, type World } from './world.ts'

/** The verdict of Access about a request. */
export type Admission =
  | { readonly kind: 'bypassed' }
  | {
      readonly kind: 'admitted'
      readonly identity: Identity
      /** The token that goes to the origin. */
      readonly token: string
      /** The user's address, for the unsigned email header. */
      readonly email: string | undefined
      /** Cookies for the client to keep. */
      readonly setCookies: readonly string[]
    }
  | { readonly kind: 'refused'; readonly answer: Answer }

/** Decides one request to one application. */
export async function admit(
  world: World,
  request: EdgeRequest,
  application: Application,
): Promise<Admission> {
  const { policies } = application.settings
  if (bypasses(policies, request.address)) return { kind: 'bypassed' }
  const presented = await present(world, request, application)
  const { service, user } = presented
  if (service !== undefined && admitsToken(policies, service.name)) {
    const token = await application.team.keys.sign(serviceClaims(world, application, service.clientId))
    const keep = !service.fromCookie && !application.team.settings.strict
    const life = application.settings.sessionSeconds
    const setCookies = keep ? [setCookie(TOKEN_COOKIE, token, life, world.urls === 'cloudflare')] : []
    return {
      kind: 'admitted',
      identity: { kind: 'service', id: service.name },
      token,
      email: undefined,
      setCookies,
    }
  }
  if (user !== undefined && admitsUser(policies, user.user.email)) {
    const { email } = user.user
    return {
      kind: 'admitted',
      identity: { kind: 'user', id: email },
      token: user.token,
      email,
      setCookies: [],
    }
  }
  return {
    kind: 'refused',
    answer: { ...(await refuse(world, request, application, presented)), application },
  }
}

async function refuse(
  world: World,
  request: EdgeRequest,
  application: Application,
  presented: Presented,
): Promise<Answer> {
  const { settings, team } = application
  const known = presented.service !== undefined && !presented.service.fromCookie
  if (team.settings.strict && presented.sentServiceToken) {
    return known ? forbidden(request, application) : unauthorized(world, request, application)
  }
  const actions = new Set(settings.policies.map((policy) => policy.action))
  if (actions.has('service_auth') && !actions.has('allow')) return forbidden(request, application)
  if (settings.managedOAuth && !request.acceptsHtml) return managedOAuth(world, request)
  if (settings.ajax401 && request.raw.headers['x-requested-with'] === 'XMLHttpRequest') {
    return unauthorized(world, request, application)
  }
  return loginRedirect(world, request, application, known)
}

async function loginRedirect(
  world: World,
  request: EdgeRequest,
  application: Application,
  serviceTokenStatus: boolean,
): Promise<Answer> {
  const { team } = application
  const meta = await team.keys.sign(metaClaims(world, application, request, serviceTokenStatus))
  const parameters: [string, string][] = [
    ['kid', application.aud],
    ['meta', meta],
    ['redirect_url', request.target],
  ]
  // The real edge varies the order of these parameters; code that relies on one order fails here.
  const turn = (world.random(1)[0] ?? 0) % parameters.length
  const query = new URLSearchParams([...parameters.slice(turn), ...parameters.slice(0, turn)])
  const path = `/cdn-cgi/access/login/${encodeURIComponent(request.host).replaceAll('%3A', ':')}`
  const cookie = setCookie('CF_AppSession', hex(world.random, 8), 86_400, world.urls === 'cloudflare')
  return redirect(`${teamOrigin(world, team)}${path}?${query}`, 'login_redirect', [
    ['www-authenticate', challenge(world, request)],
    ['set-cookie', cookie],
  ])
}

/** The metadata document that describes the requested path (RFC 9728, section 3.1, under Access's own name). */
function metadataUrl(world: World, request: EdgeRequest): string {
  return `${hostOrigin(world, request.host)}/.well-known/cloudflare-access-protected-resource${request.path}`
}

function challenge(world: World, request: EdgeRequest): string {
  return `Cloudflare-Access resource_metadata="${metadataUrl(world, request)}"`
}

function accessHeaders(application: Application): [string, string][] {
  const path = application.path === '/' ? '' : application.path
  return [
    ['cf-access-aud', application.aud],
    ['cf-access-domain', `${application.host}${path}`],
  ]
}

function unauthorized(world: World, request: EdgeRequest, application: Application): Answer {
  const headers: [string, string][] = [
    ...accessHeaders(application),
    ['www-authenticate', challenge(world, request)],
  ]
  if (application.team.settings.strict && application.settings.json403 && request.acceptsJson) {
    const message = 'Unauthorized. The credentials of this request could not be authenticated.'
    const value = { message, status_code: 401, aud: application.aud, ray_id: request.ray }
    return json(401, 'unauthorized', value, headers)
  }
  const body = '<h1>Unauthorized</h1><p>You must authenticate to reach this application.</p>'
  return html(401, 'unauthorized', 'Unauthorized ・ Cloudflare Access', body, headers)
}

function forbidden(request: EdgeRequest, application: Application): Answer {
  const headers = accessHeaders(application)
  if (application.settings.json403 && request.acceptsJson) {
    const message =
      "Forbidden. You don't have permission to view this. Please contact your system administrator."
    const value = { message, status_code: 403, aud: application.aud, ray_id: request.ray }
    return json(403, 'forbidden', value, headers)
  }
  return forbiddenPage(headers)
}

/** The page for a user that no policy admits. */
export function forbiddenPage(headers: readonly (readonly [string, string])[] = []): Answer {
  const body = "<h1>Forbidden</h1><p>You don't have permission to view this.</p>"
  return html(403, 'forbidden', 'Forbidden ・ Cloudflare Access', body, headers)
}

function managedOAuth(world: World, request: EdgeRequest): Answer {
  const resource_metadata = metadataUrl(world, request)
  const value = `Bearer realm="OAuth", error="invalid_token", resource_metadata="${resource_metadata}"`
  const body = {
    error: 'invalid_token',
    error_description: 'Missing or invalid access token',
    resource_metadata,
  }
  return json(401, 'managed_oauth', body, [['www-authenticate', value]])
}
