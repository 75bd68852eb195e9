import { type Answer, json } from './answer.ts'
import { matchApplication } from './applications.ts'
import { matchClaims } from './claims.ts'
import type { EdgeRequest } from './edge-request.ts'
import { hostOrigin, type World } from './world.ts'

const WELL_KNOWN = '/.well-known/cloudflare-access-protected-resource'

/** Answers what anybody may ask without a credential: the discovery `HEAD` and the protected-resource document. */
export async function discover(world: World, request: EdgeRequest): Promise<Answer | undefined> {
  if (request.method === 'HEAD' && request.raw.headers['cf-access-metadata-request'] === 'true') {
    const application = matchApplication(world.applications.values(), request.hostname, request.path)
    if (application?.team.settings.discovery !== true) return undefined
    const metadata = await application.team.keys.sign(matchClaims(world, application, request.hostname))
    const headers = [['cf-access-metadata', metadata]] as const
    return { kind: 'answer', status: 200, outcome: 'discovery', body: '', headers, application }
  }
  if (request.path !== WELL_KNOWN && !request.path.startsWith(`${WELL_KNOWN}/`)) return undefined
  const path = request.path.slice(WELL_KNOWN.length) || '/'
  const application = matchApplication(world.applications.values(), request.hostname, path)
  if (application?.team.settings.protectedResource !== true) return undefined
  // RFC 9728, section 3.3: `resource` must be the very identifier the well-known path was inserted into.
  const document = {
    resource: `${hostOrigin(world, request.host)}${path === '/' ? '' : path}`,
    authorization_servers: [application.team.issuer],
    bearer_methods_supported: ['header'],
    resource_name: application.name,
  }
  return { ...json(200, 'protected_resource', document), application }
}
