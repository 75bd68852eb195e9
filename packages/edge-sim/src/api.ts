import type { ApplicationOptions, ApplicationSettings } from './applications.ts'
import type { Clock } from './clock.ts'
import type { Fault } from './faults.ts'
import type { Leak } from './leaks.ts'
import type { LogEntry } from './request-log.ts'
import type { RandomBytes } from './secrets.ts'
import type { ServiceTokenCredentials, ServiceTokenOptions } from './service-tokens.ts'
import type { TeamOptions, TeamSettings } from './teams.ts'
import type { UserOptions } from './users.ts'
import type { Urls } from './world.ts'

/** Options of `createEdgeSim`. */
export interface EdgeSimOptions {
  /** Loopback origin behind the edge, such as `http://127.0.0.1:8787`. Without it, forwarded requests are 530/1016. */
  readonly upstream?: string
  /** Teams to start with; a string stands for a team of that name. Default one team, `acme`. */
  readonly teams?: readonly (string | TeamOptions)[]
  /** Applications to start with. Default none. */
  readonly applications?: readonly ApplicationOptions[]
  /** Users to start with. Default none. */
  readonly users?: readonly UserOptions[]
  /** Hosts that are proxied without Access where no application covers them. Default none. */
  readonly hosts?: readonly string[]
  /** Loopback address to listen on. Default `127.0.0.1`. */
  readonly listen?: string
  /** Port, 0-65535; 0 takes a free one. Default 0. */
  readonly port?: number
  /** Where redirects lead: to the real names, or to names a local browser can open. Default `cloudflare`. */
  readonly urls?: Urls
  /** Address of clients that name none in `Edge-Sim-Client-Ip`. Default `203.0.113.10`. */
  readonly clientAddress?: string
  /** Silence of the origin, in milliseconds, before the edge answers 524 or cuts; 1-3,600,000. Default 100,000. */
  readonly originSilenceMs?: number
  /** Silence of a WebSocket, in milliseconds, before the edge cuts it; 1-3,600,000. Default 100,000. */
  readonly idleCutMs?: number
  /** Most connections at a time, 1-65,535. Default 1,024. */
  readonly maxConnections?: number
  /** Most log entries kept, 1-1,000,000. Default 1,000. */
  readonly logSize?: number
  /** Sees every request as it is logged. Default none. */
  readonly onRequest?: (entry: LogEntry) => void
  /** Default the system's clock. */
  readonly clock?: Clock
  /** Default the system's randomness. */
  readonly random?: RandomBytes
}

/** The public facts of a team. */
export interface TeamInfo {
  readonly name: string
  readonly domain: string
  readonly issuer: string
  readonly certsUrl: string
}

/** The public facts of an application. */
export interface ApplicationInfo {
  readonly name: string
  readonly team: string
  readonly host: string
  readonly path: string
  readonly aud: string
}

/** Changes to claims of an issued token; `undefined` removes a claim. For tokens the real edge would not issue. */
export type ClaimChanges = Readonly<Record<string, unknown>>

/** A running or startable simulator. */
export interface EdgeSim {
  /** Listens and has all keys ready. */
  start(): Promise<void>
  /** Ends every connection and stops listening. Can be called twice. */
  stop(): Promise<void>
  /** `http://127.0.0.1:<port>`; throws before `start`. */
  readonly url: string
  readonly port: number
  /** A `fetch` that reaches teams and hosts of this simulator under their own names, and nothing else. */
  readonly fetch: typeof globalThis.fetch
  /** The loopback URL and the `Host` for an `http(s):` or `ws(s):` URL: for clients that are no `fetch`. */
  to(url: string): { readonly url: string; readonly headers: { readonly host: string } }

  addTeam(options: TeamOptions): TeamInfo
  addApplication(options: ApplicationOptions): ApplicationInfo
  removeApplication(name: string): void
  addHost(host: string, upstream?: string): void
  addUser(options: UserOptions): void
  /** Removes a user; their tokens stop being honoured at once. */
  removeUser(email: string): void
  addServiceToken(options: ServiceTokenOptions): ServiceTokenCredentials
  /** Gives a token a new secret; the former one works for `graceSeconds` more (default 0). */
  rotateServiceToken(name: string, graceSeconds?: number): ServiceTokenCredentials
  expireServiceToken(name: string): void
  disableServiceToken(name: string, disabled?: boolean): void
  team(name: string): TeamInfo
  application(name: string): ApplicationInfo
  configureTeam(name: string, settings: TeamSettings): void
  configureApplication(name: string, settings: ApplicationSettings): void
  /** Rotates a team's keys; the former current key stays published for seven days. Answers the new `kid`. */
  rotateKeys(team: string): Promise<string>

  /** Switches a fault on; the function answered switches it off. */
  inject(fault: Fault): () => void
  clearFaults(): void

  /** Logs a user in and answers what the browser would hold in `CF_Authorization`. */
  issueUserToken(application: string, email: string, changes?: ClaimChanges): Promise<string>
  /** Signs the assertion that an origin would receive for a service token. */
  issueServiceAssertion(application: string, clientId: string, changes?: ClaimChanges): Promise<string>
  /** Ends all sessions of a user, as a logout does: after the team's logout delay. */
  logOut(email: string): void

  /** The most recent requests, oldest first; never a secret or a query string. */
  readonly log: readonly LogEntry[]
  clearLog(): void
  /** Secrets that arrived at a login host, at an unknown host, or by following a redirect to another host. */
  readonly leaks: readonly Leak[]
  readonly secretReachedRedirectedHost: boolean
}
