import type { Application } from './applications.ts'
import type { Clock } from './clock.ts'
import type { Faults } from './faults.ts'
import type { Leaks } from './leaks.ts'
import type { RandomBytes } from './secrets.ts'
import type { ServiceTokens } from './service-tokens.ts'
import type { Sessions } from './sessions.ts'
import type { Team } from './teams.ts'
import type { User } from './users.ts'

/**
 * Where redirects lead: to `https://<team>.cloudflareaccess.com` as in reality, or to loopback names
 * (`http://<team>.cloudflareaccess.com.localhost:<port>`) that a browser on this machine can open.
 */
export type Urls = 'cloudflare' | 'loopback'

/** The state of one simulator; each part of the edge reads its share of it. */
export interface World {
  readonly clock: Clock
  readonly random: RandomBytes
  readonly urls: Urls
  readonly upstream: URL | undefined
  readonly teams: Map<string, Team>
  readonly applications: Map<string, Application>
  /** Hosts proxied without Access, with their origin where it is their own. */
  readonly hosts: Map<string, URL | undefined>
  readonly users: Map<string, User>
  readonly serviceTokens: ServiceTokens
  readonly sessions: Sessions
  readonly faults: Faults
  readonly leaks: Leaks
  /** The simulated address of a client that names none. */
  readonly clientAddress: string
  port(): number
}

/** The team that a host name (without port) belongs to, under its real or its loopback name. */
export function teamOfHost(world: World, hostname: string): Team | undefined {
  const domain = hostname.endsWith('.localhost') ? hostname.slice(0, -'.localhost'.length) : hostname
  for (const team of world.teams.values()) if (team.domain === domain) return team
  return undefined
}

/** The origin under which redirects reach a team's login. */
export function teamOrigin(world: World, team: Team): string {
  return world.urls === 'cloudflare' ? team.issuer : `http://${team.domain}.localhost:${world.port()}`
}

/** The origin under which redirects reach an application; `host` is as the client sent it. */
export function hostOrigin(world: World, host: string): string {
  return `${world.urls === 'cloudflare' ? 'https' : 'http'}://${host}`
}
