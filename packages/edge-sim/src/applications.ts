import { flag, hostName, integer, loopbackOrigin, onlyKnown } from './check.ts'
import { checkPolicies, type Policy } from './policies.ts'
import { isUnder } from './target.ts'
import type { Team } from './teams.ts'

/** The settings of an application that may change while the simulator runs. */
export interface ApplicationSettings {
  /** Policies that admit clients, in order. Bypass and Service Auth are tried before Allow. */
  readonly policies?: readonly Policy[]
  /** Life of a session and of its tokens, in seconds, 1 to 2,678,400 (31 days). Default 86,400. */
  readonly sessionSeconds?: number
  /** `X-Requested-With: XMLHttpRequest` is answered 401 instead of a redirect. Default `true`. */
  readonly ajax401?: boolean
  /** `Accept: application/json` turns refusals into JSON. Default `true`. */
  readonly json403?: boolean
  /** Reads a service token from `Authorization: {"cf-access-client-id":...}`. Default `false`. */
  readonly singleHeader?: boolean
  /** Managed OAuth: 401 `Bearer` instead of a redirect for everything that is no browser. Default `false`. */
  readonly managedOAuth?: boolean
}

/** An Access application (self-hosted) to simulate. */
export interface ApplicationOptions extends ApplicationSettings {
  /** Name in logs and methods. */
  readonly name: string
  /** Host it protects, without a port; `*.example.com` for every host below. */
  readonly host: string
  /** Path it protects, with all that is below by whole segments. Default `/`. */
  readonly path?: string
  /** AUD tag: 64 lower-case hex. Default random. */
  readonly aud?: string
  /** Name of its team. Default the first. */
  readonly team?: string
  /** Origin for this host when it is not the simulator's own. */
  readonly upstream?: string
}

/** An application as the simulator keeps it. */
export interface Application {
  readonly name: string
  readonly team: Team
  readonly host: string
  readonly path: string
  readonly aud: string
  readonly upstream: URL | undefined
  settings: Required<ApplicationSettings>
}

const SETTINGS = ['policies', 'sessionSeconds', 'ajax401', 'json403', 'singleHeader', 'managedOAuth']
const DEFAULTS: Required<ApplicationSettings> = {
  policies: [],
  sessionSeconds: 86_400,
  ajax401: true,
  json403: true,
  singleHeader: false,
  managedOAuth: false,
}

/** Checks settings and lays them over `base`; throws a `TypeError` naming the option. */
export function applicationSettings(
  patch: ApplicationSettings,
  base: Required<ApplicationSettings> = DEFAULTS,
): Required<ApplicationSettings> {
  onlyKnown('application', patch, SETTINGS)
  const settings = { ...base, ...patch }
  checkPolicies(settings.policies)
  integer('application.sessionSeconds', settings.sessionSeconds, 1, 2_678_400)
  for (const name of ['ajax401', 'json403', 'singleHeader', 'managedOAuth'] as const) {
    flag(`application.${name}`, settings[name])
  }
  return settings
}

/** Makes an application. Throws a `TypeError` naming a bad option. */
export function createApplication(options: ApplicationOptions, team: Team, randomAud: string): Application {
  onlyKnown('application', options, ['name', 'host', 'path', 'aud', 'team', 'upstream', ...SETTINGS])
  const { name, host, path = '/', aud = randomAud, team: _, upstream, ...settings } = options
  if (typeof name !== 'string' || name === '')
    throw new TypeError('application.name must be a non-empty string')
  if (!/^[0-9a-f]{64}$/.test(aud)) throw new TypeError('application.aud must be 64 lower-case hex digits')
  if (!/^\/[\w\-./~]*$/.test(path) || path.includes('//')) {
    throw new TypeError(
      `application.path must be a plain absolute path without wildcards, got ${JSON.stringify(path)}`,
    )
  }
  return {
    name,
    team,
    host: hostName('application.host', host, true),
    path,
    aud,
    upstream: upstream === undefined ? undefined : loopbackOrigin('application.upstream', upstream),
    settings: applicationSettings(settings),
  }
}

/** Whether an application's (or zone's) host pattern covers a host name. */
export function coversHost(pattern: string, hostname: string): boolean {
  return pattern.startsWith('*.') ? hostname.endsWith(pattern.slice(1)) : pattern === hostname
}

/** The most specific application for a host and a normal path: an exact host first, then the longest path. */
export function matchApplication(
  applications: Iterable<Application>,
  hostname: string,
  path: string,
): Application | undefined {
  let best: Application | undefined
  for (const candidate of applications) {
    if (!coversHost(candidate.host, hostname) || !isUnder(path, candidate.path)) continue
    if (best === undefined || rank(candidate) > rank(best)) best = candidate
  }
  return best
}

function rank({ host, path }: Application): number {
  return (host.startsWith('*.') ? host.length : 1_000) * 10_000 + path.length
}
