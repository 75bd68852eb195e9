import type { JWTPayload } from 'jose'
import type { Application } from './applications.ts'
import { seconds } from './clock.ts'
import type { EdgeRequest } from './edge-request.ts'
import { hex } from './secrets.ts'
import type { Session } from './sessions.ts'
import type { Team } from './teams.ts'
import type { User } from './users.ts'
import type { World } from './world.ts'

/** Claims of the token an application receives for a user. */
export function userClaims(world: World, application: Application, user: User, session: Session): JWTPayload {
  const iat = seconds(world.clock)
  return {
    aud: [application.aud],
    email: user.email,
    exp: iat + application.settings.sessionSeconds,
    iat,
    nbf: iat,
    iss: application.team.issuer,
    type: 'app',
    identity_nonce: session.nonce,
    sub: user.id,
    ...(user.custom === undefined ? {} : { custom: user.custom }),
    country: user.country,
  }
}

/** Claims of the token an application receives for a service token: `aud` a string, `sub` empty, no `nbf`. */
export function serviceClaims(world: World, application: Application, clientId: string): JWTPayload {
  const iat = seconds(world.clock)
  return {
    type: 'app',
    aud: application.aud,
    exp: iat + application.settings.sessionSeconds,
    iss: application.team.issuer,
    common_name: clientId,
    iat,
    sub: '',
  }
}

/** Claims of the session cookie on the team's own domain: `type: "org"`, never good for an application. */
export function orgClaims(world: World, team: Team, user: User, session: Session): JWTPayload {
  const iat = seconds(world.clock)
  return {
    type: 'org',
    aud: team.issuer,
    email: user.email,
    exp: iat + 86_400,
    iat,
    iss: team.issuer,
    identity_nonce: session.nonce,
    sub: user.id,
  }
}

/** Claims of the `meta` parameter of a login redirect, in the three shapes that have been seen. */
export function metaClaims(
  world: World,
  application: Application,
  request: EdgeRequest,
  serviceTokenStatus: boolean,
): JWTPayload {
  const iat = seconds(world.clock)
  const base = {
    type: 'meta',
    aud: application.aud,
    hostname: request.hostname,
    redirect_url: request.target,
    iat,
    nbf: iat,
  }
  const generation = application.team.settings.meta
  if (generation === 'minimal') return base
  const status = { ...base, service_token_status: serviceTokenStatus, is_warp: false, is_gateway: false }
  if (generation === 'token-id') return { ...status, service_token_id: '', auth_status: 'NONE' }
  return {
    ...status,
    exp: iat + 300,
    auth_status: 'NONE',
    mtls_auth: { cert_presented: false, auth_status: 'NONE', cert_issuer_dn: '', cert_serial: '' },
    real_country: 'US',
    app_session_hash: hex(world.random, 32),
  }
}

/** Claims of the discovery answer `cf-access-metadata`: which team and AUD stand behind this host. */
export function matchClaims(world: World, application: Application, hostname: string): JWTPayload {
  return {
    type: 'match',
    hostname,
    auth_domain: application.team.domain,
    aud: application.aud,
    app_hostname: application.host,
    iat: seconds(world.clock),
  }
}
