import type { AddressInfo } from 'node:net'
import { isIP } from 'node:net'
import type { JWTPayload } from 'jose'
import type { ApplicationInfo, ClaimChanges, EdgeSim, EdgeSimOptions, TeamInfo } from './api.ts'
import { type Application, applicationSettings, coversHost, createApplication } from './applications.ts'
import { hostName, integer, isLoopback, loopbackOrigin, oneOf, onlyKnown } from './check.ts'
import { serviceClaims } from './claims.ts'
import { systemClock } from './clock.ts'
import { mappedFetch } from './edge-fetch.ts'
import { createFaults } from './faults.ts'
import { createLeaks } from './leaks.ts'
import { createRequestLog } from './request-log.ts'
import { hex, systemRandom, uuid } from './secrets.ts'
import { createEdgeServer } from './server.ts'
import { createServiceTokens } from './service-tokens.ts'
import { createSessions } from './sessions.ts'
import { createIdentities } from './team-host.ts'
import { createTeam, type Team, teamSettings } from './teams.ts'
import { createUser } from './users.ts'
import type { World } from './world.ts'

const KNOWN = [
  'upstream',
  'teams',
  'applications',
  'users',
  'hosts',
  'listen',
  'port',
  'urls',
  'clientAddress',
  'originSilenceMs',
  'idleCutMs',
  'maxConnections',
  'logSize',
  'onRequest',
  'clock',
  'random',
]

/**
 * Makes a simulator of Cloudflare's edge with Access. It listens on loopback only.
 *
 * Throws a `TypeError` naming the option that is wrong or unknown.
 *
 * @example
 * const sim = createEdgeSim({
 *   upstream: 'http://127.0.0.1:8787',
 *   applications: [{ name: 'app', host: 'app.example.com', policies: [{ action: 'service_auth' }] }],
 * })
 * const token = sim.addServiceToken({ name: 'ci' })
 * await sim.start()
 * const response = await sim.fetch('https://app.example.com/', { headers: token.headers })
 * await sim.stop()
 */
export function createEdgeSim(options: EdgeSimOptions = {}): EdgeSim {
  onlyKnown('edge-sim', options, KNOWN)
  const {
    upstream,
    teams = ['acme'],
    applications = [],
    users = [],
    hosts = [],
    listen = '127.0.0.1',
    port = 0,
    urls = 'cloudflare',
    clientAddress = '203.0.113.10',
    originSilenceMs = 100_000,
    idleCutMs = 100_000,
    maxConnections = 1_024,
    logSize = 1_000,
    onRequest,
    clock = systemClock,
    random = systemRandom,
  } = options
  const listenHost = listen === '::1' ? '[::1]' : listen
  if (!isLoopback(listenHost))
    throw new TypeError(`listen must be a loopback address, got ${JSON.stringify(listen)}`)
  integer('port', port, 0, 65_535)
  oneOf('urls', urls, ['cloudflare', 'loopback'])
  if (isIP(clientAddress) === 0) throw new TypeError('clientAddress must be an IP address')
  integer('originSilenceMs', originSilenceMs, 1, 3_600_000)
  integer('idleCutMs', idleCutMs, 1, 3_600_000)
  integer('maxConnections', maxConnections, 1, 65_535)
  integer('logSize', logSize, 1, 1_000_000)

  const log = createRequestLog(logSize, onRequest)
  const world: World = {
    clock,
    random,
    urls,
    upstream: upstream === undefined ? undefined : loopbackOrigin('upstream', upstream),
    teams: new Map(),
    applications: new Map(),
    hosts: new Map(),
    users: new Map(),
    serviceTokens: createServiceTokens(clock, random),
    sessions: createSessions(clock),
    faults: createFaults(),
    leaks: createLeaks(clock),
    clientAddress,
    port: boundPort,
  }
  const identities = createIdentities(world)
  const edge = createEdgeServer(world, identities, log, { originSilenceMs, idleCutMs, maxConnections })

  function boundPort(): number {
    const address = edge.server.address() as AddressInfo | null
    if (address === null) throw new TypeError('the simulator has not been started: await sim.start() first')
    return address.port
  }

  function teamNamed(name: string | undefined): Team {
    const team = name === undefined ? world.teams.values().next().value : world.teams.get(name)
    if (team === undefined)
      throw new TypeError(`there is no team named ${JSON.stringify(name)}; add it first`)
    return team
  }

  function applicationNamed(name: string): Application {
    const application = world.applications.get(name)
    if (application === undefined)
      throw new TypeError(`there is no application named ${JSON.stringify(name)}`)
    return application
  }

  function serves(hostname: string): boolean {
    const patterns = [...world.hosts.keys(), ...[...world.applications.values()].map(({ host }) => host)]
    return patterns.some((pattern) => coversHost(pattern, hostname))
  }

  const sim: EdgeSim = {
    async start() {
      await new Promise<void>((resolve, reject) => {
        edge.server.once('error', reject)
        edge.server.listen(port, listen, () => {
          edge.server.off('error', reject)
          resolve()
        })
      })
      await Promise.all([...world.teams.values()].map((team) => team.keys.document()))
    },
    async stop() {
      if (edge.server.address() === null) return
      await new Promise<void>((resolve) => {
        edge.server.close(() => resolve())
        edge.destroyAll()
      })
    },
    get url() {
      return `http://${listenHost}:${boundPort()}`
    },
    get port() {
      return boundPort()
    },
    fetch: (input, init) => mappedFetch(sim.url, serves, globalThis.fetch)(input, init),
    to(url) {
      const parsed = new URL(url)
      const scheme = parsed.protocol.startsWith('ws') ? 'ws' : 'http'
      const path = `${parsed.pathname}${parsed.search}`
      return { url: `${scheme}://${listenHost}:${boundPort()}${path}`, headers: { host: parsed.host } }
    },

    addTeam(team) {
      const made = createTeam(team, clock)
      if (world.teams.has(made.name)) throw new TypeError(`team.name ${JSON.stringify(made.name)} is taken`)
      world.teams.set(made.name, made)
      return teamInfo(made)
    },
    addApplication(application) {
      const made = createApplication(application, teamNamed(application.team), hex(random, 32))
      for (const other of world.applications.values()) {
        if (other.name === made.name)
          throw new TypeError(`application.name ${JSON.stringify(made.name)} is taken`)
        if (other.aud === made.aud)
          throw new TypeError('application.aud is taken: every application has its own')
        if (other.host === made.host && other.path === made.path) {
          throw new TypeError(`application ${JSON.stringify(other.name)} already covers this host and path`)
        }
      }
      world.applications.set(made.name, made)
      return applicationInfo(made)
    },
    removeApplication: (name) => void world.applications.delete(applicationNamed(name).name),
    addHost(host, origin) {
      const url = origin === undefined ? undefined : loopbackOrigin('upstream', origin)
      world.hosts.set(hostName('host', host, true), url)
    },
    addUser(user) {
      const made = createUser(user, teamNamed(user.team).name, uuid(random))
      if (world.users.has(made.email)) throw new TypeError(`user.email ${made.email} is taken`)
      world.users.set(made.email, made)
    },
    removeUser: (email) => void world.users.delete(email),
    addServiceToken: (token) => world.serviceTokens.add(token, teamNamed(token.team).name),
    rotateServiceToken: (name, graceSeconds = 0) => world.serviceTokens.rotate(name, graceSeconds),
    expireServiceToken: (name) => world.serviceTokens.expire(name),
    disableServiceToken: (name, disabled = true) => world.serviceTokens.setDisabled(name, disabled),
    team: (name) => teamInfo(teamNamed(name)),
    application: (name) => applicationInfo(applicationNamed(name)),
    configureTeam(name, settings) {
      const team = teamNamed(name)
      team.settings = teamSettings(settings, team.settings)
    },
    configureApplication(name, settings) {
      const application = applicationNamed(name)
      application.settings = applicationSettings(settings, application.settings)
    },
    rotateKeys: (team) => teamNamed(team).keys.rotate(),

    inject: (fault) => world.faults.add(fault),
    clearFaults: () => world.faults.clear(),

    async issueUserToken(name, email, changes = {}) {
      const application = applicationNamed(name)
      const user = world.users.get(email)
      if (user === undefined) throw new TypeError(`there is no user ${JSON.stringify(email)}`)
      const claims = identities.logIn(application, user)
      return application.team.keys.sign(changed(claims, changes))
    },
    async issueServiceAssertion(name, clientId, changes = {}) {
      const application = applicationNamed(name)
      return application.team.keys.sign(changed(serviceClaims(world, application, clientId), changes))
    },
    logOut(email) {
      const user = world.users.get(email)
      if (user === undefined) throw new TypeError(`there is no user ${JSON.stringify(email)}`)
      world.sessions.endAllOf(email, teamNamed(user.team).settings.logoutDelaySeconds)
    },

    get log() {
      return [...log.entries]
    },
    clearLog: () => log.clear(),
    get leaks() {
      return [...world.leaks.list]
    },
    get secretReachedRedirectedHost() {
      return world.leaks.list.length > 0
    },
  }
  for (const team of teams) sim.addTeam(typeof team === 'string' ? { name: team } : team)
  for (const application of applications) sim.addApplication(application)
  for (const user of users) sim.addUser(user)
  for (const host of hosts) sim.addHost(host)
  return sim
}

function teamInfo({ name, domain, issuer }: Team): TeamInfo {
  return { name, domain, issuer, certsUrl: `${issuer}/cdn-cgi/access/certs` }
}

function applicationInfo({ name, team, host, path, aud }: Application): ApplicationInfo {
  return { name, team: team.name, host, path, aud }
}

function changed(claims: JWTPayload, changes: ClaimChanges): JWTPayload {
  const merged = { ...claims, ...changes }
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined))
}
