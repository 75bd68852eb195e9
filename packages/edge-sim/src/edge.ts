import { type Admission, admit } from './access.ts'
import { html, type Verdict } from './answer.ts'
import { type Application, coversHost, matchApplication } from './applications.ts'
import { discover } from './discovery.ts'
import { challengeAnswer, EARLY, errorAnswer, LATE } from './edge-errors.ts'
import type { EdgeRequest } from './edge-request.ts'
import { forwardHeaders } from './forward-headers.ts'
import type { Identities } from './team-host.ts'
import { teamOfHost, type World } from './world.ts'

/**
 * Says what becomes of a request, in the edge's order: errors and rate limits, the bot challenge, Access, the origin.
 */
export async function decideAtEdge(
  world: World,
  identities: Identities,
  request: EdgeRequest,
): Promise<Verdict> {
  const team = teamOfHost(world, request.hostname)
  if (team !== undefined) {
    world.leaks.inspect(request, 'login_host')
    return identities.onTeamHost(request, team)
  }
  const zone = zoneOf(world, request.hostname)
  world.leaks.inspect(request, zone === undefined ? 'unknown_host' : 'application')
  if (zone === undefined) {
    const body = `<h1>Unknown host</h1><p>edge-sim serves no application, host or team under this name.</p>`
    return html(404, 'unknown_host', 'Unknown host', body)
  }
  if (request.method === 'TRACE')
    return html(405, 'invalid', 'Method not allowed', '<h1>Method not allowed</h1>')
  const application = matchApplication(world.applications.values(), request.hostname, request.path)
  const early = world.faults.hit(request, EARLY)
  if (early !== undefined) return { ...errorAnswer(request, early), application }
  const challenge = world.faults.hit(request, ['challenge'])
  if (challenge !== undefined) return { ...challengeAnswer(challenge.status ?? 403), application }
  const discovered = await discover(world, request)
  if (discovered !== undefined) return discovered
  if (request.path.startsWith('/cdn-cgi/')) {
    const any = application ?? anyOnHost(world, request.hostname)
    if (any !== undefined && request.path.startsWith('/cdn-cgi/access/')) {
      return identities.onApplicationHost(request, any)
    }
    return html(404, 'team', 'Not found', '<h1>Not found</h1>')
  }
  const admission = application === undefined ? undefined : await admit(world, request, application)
  if (admission?.kind === 'refused') return admission.answer
  return toOrigin(world, request, application, admission, zone.upstream)
}

function toOrigin(
  world: World,
  request: EdgeRequest,
  application: Application | undefined,
  admission: Exclude<Admission, { kind: 'refused' }> | undefined,
  zoneUpstream: URL | undefined,
): Verdict {
  const identity = admission?.kind === 'admitted' ? admission.identity : undefined
  const late = world.faults.hit(request, LATE)
  const upstream = application?.upstream ?? zoneUpstream ?? world.upstream
  if (late !== undefined || upstream === undefined) {
    return { ...errorAnswer(request, late ?? { kind: 'origin-dns' }), application, identity }
  }
  const dropUpgrade = request.upgrade && world.faults.hit(request, ['drop-upgrade']) !== undefined
  const reset = world.faults.hit(request, ['reset'])
  return {
    kind: 'forward',
    upstream,
    headers: forwardHeaders(world, request, application, admission, dropUpgrade),
    setCookies: admission?.kind === 'admitted' ? admission.setCookies : [],
    effects: { dropUpgrade, resetAfterBytes: reset === undefined ? undefined : (reset.afterBytes ?? 0) },
    outcome: admission === undefined ? 'ungated' : admission.kind === 'bypassed' ? 'bypassed' : 'forwarded',
    application,
    identity,
  }
}

/** The zone that serves a host: one that was added, or one that an application implies. */
function zoneOf(world: World, hostname: string): { upstream: URL | undefined } | undefined {
  for (const [host, upstream] of world.hosts) if (coversHost(host, hostname)) return { upstream }
  return anyOnHost(world, hostname) === undefined ? undefined : { upstream: undefined }
}

function anyOnHost(world: World, hostname: string): Application | undefined {
  for (const application of world.applications.values()) {
    if (coversHost(application.host, hostname)) return application
  }
  return undefined
}
