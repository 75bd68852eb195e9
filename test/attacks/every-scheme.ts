import { createServer, type Server } from 'node:http'
import { Duplex } from 'node:stream'
import {
  apiKey,
  claimSecret,
  createGate,
  createServices,
  deviceKey,
  deviceToken,
  type Gate,
  memoryStore,
  type Principal,
  sessionCookie,
  sharedToken,
  ticket,
  trustedHeader,
} from 'upgate'
import { cloudflareAccess } from 'upgate/cloudflare-access'
import { type AskingProxy, forwardAuth, httpGate } from 'upgate/node'
import { manualClock } from 'upgate/testing'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocketServer } from 'ws'
import { aud, issuer, jwks, keyOf, signToken } from '../../packages/upgate/test/cloudflare-access/team.ts'

export const origin = 'https://gateway.example.com'
export const proxyAddress = '10.0.0.9'
export const sharedSecret = 'shared-gateway-token-0123456789'

/** A credential, and a reading of requests by which a test tells whether one has it: written without a look at the gate's own. */
export interface Known {
  readonly principal: string
  readonly secret: string
  /** How it may come: a header's value as it is, behind `Bearer`, a cookie. */
  readonly header?: string
  readonly bearer?: boolean
  readonly cookie?: string
}

/** A server's end of a connection, in memory, from an address. */
export class Peer extends Duplex {
  readonly written: Buffer[] = []
  readonly remoteAddress: string

  constructor(remoteAddress: string) {
    super({ allowHalfOpen: true })
    this.remoteAddress = remoteAddress
    this.on('error', () => {})
  }

  override _read(): void {}

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.written.push(Buffer.from(chunk))
    done()
  }
}

/** Passwords are no matter of these tests. */
const noHasher = { hash: async () => 'none', verify: async () => false, needsRehash: () => false }

export type EveryScheme = Awaited<ReturnType<typeof startEveryScheme>>

/** A gate with each kind of credential, on servers whose connections are in memory. */
export async function startEveryScheme() {
  const clock = manualClock()
  const services = createServices({ store: memoryStore(), clock, passwordHasher: noHasher })
  const { accounts, sessions, keys, devices, pairing, tickets } = services
  const logged: string[] = []
  const errors: string[] = []
  const logger = {
    warn: (message: string, fields?: object) => void logged.push(JSON.stringify([message, fields])),
    error: (message: string, fields?: object) => void errors.push(JSON.stringify([message, fields])),
  }
  const key = keyOf('current')
  const gate = createGate({
    clock,
    logger,
    origins: [origin],
    trustedProxies: [proxyAddress, 'cloudflare'],
    ignoreAuthorization: ['Basic'],
    login: { page: '/login' },
    schemes: [
      sessionCookie({ sessions }),
      apiKey({ keys }),
      deviceToken({ devices }),
      ticket({ tickets, query: 'ticket' }),
      deviceKey({ pairing, devices }),
      claimSecret({ pairing, devices }),
      trustedHeader({
        clock,
        logger,
        headers: 'authelia',
        peers: [proxyAddress],
        identify: ({ user }) => (user === 'root' ? { id: 'root', scopes: ['all'] } : null),
      }),
      cloudflareAccess({
        team: 'acme',
        audience: [aud],
        clock,
        logger,
        identify: ({ email, commonName }) => ({ id: email ?? commonName ?? '' }),
        services: { 'robot.access': { scopes: [] } },
        fetch: async () => jwks(key),
      }),
      sharedToken({ token: sharedSecret, principal: { kind: 'service', id: 'shared' } }),
    ],
    rules: [
      { path: ['/open', '/login'], access: 'public' },
      { path: '/feed', access: 'public', upgrade: true },
      { path: '/maybe', access: 'optional', kinds: ['user', 'device', 'service'] },
      {
        path: '/nodes',
        access: 'deferred',
        kinds: ['user', 'device', 'service'],
        handshake: upgateHandshake(),
      },
      { path: '/*', access: 'required', kinds: ['user', 'device', 'service'] },
    ],
  })
  const events: unknown[] = []
  gate.events.subscribe((event) => void events.push(event))

  const account = await accounts.create({ email: 'ada@example.com', password: 'correct horse battery' })
  if (account.outcome !== 'done') throw new Error(account.reason)
  const session = await sessions.create(account.account.id)
  const apikey = await keys.create({ name: 'ci' })
  const device = await devices.create({ name: 'kitchen' })
  const expires = Math.floor(clock.now() / 1000) + 86_400
  const claims = { iss: issuer, aud: [aud], type: 'app', iat: expires - 86_400, exp: expires }
  const user = signToken({ ...claims, nbf: claims.iat, email: 'carl@example.com', sub: 'carl' }, key)
  const robot = signToken({ ...claims, common_name: 'robot.access', sub: '' }, key)
  const known: Known[] = [
    { principal: account.account.id, secret: session?.token ?? '', cookie: '__Host-upgate_session' },
    { principal: apikey.id, secret: apikey.token, header: 'x-api-key', bearer: true },
    { principal: device.id, secret: device.token, bearer: true },
    { principal: 'shared', secret: sharedSecret, bearer: true },
    {
      principal: 'carl@example.com',
      secret: user,
      header: 'cf-access-jwt-assertion',
      cookie: 'CF_Authorization',
    },
    {
      principal: 'robot.access',
      secret: robot,
      header: 'cf-access-jwt-assertion',
      cookie: 'CF_Authorization',
    },
  ]

  const answering = (gate: Gate) =>
    httpGate(gate, (request, response) => {
      response.setHeader('seen', encodeURIComponent(JSON.stringify(gate.principalOf(request) ?? null)))
      response.end()
    })
  const server = createServer()
  const accepted: (Principal | undefined)[] = []
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (_: unknown, __: unknown, principal: Principal | undefined) =>
    accepted.push(principal),
  )
  const guard = guardServer(server, gate as Gate, {
    sockets: { '/nodes': wss, '/feed': wss, '/live': wss },
    hold: 0,
    maxSocketsPerAddress: 1e6,
  })
  server.on('request', (request, response) => {
    response.setHeader('seen', encodeURIComponent(JSON.stringify(gate.principalOf(request) ?? null)))
    response.end()
  })
  const servers: Record<string, Server> = {
    guarded: server,
    plain: createServer(answering(gate as Gate)),
  }
  for (const proxy of ['nginx', 'caddy', 'traefik'] as AskingProxy[])
    servers[proxy] = createServer(forwardAuth(gate as Gate, { from: [proxyAddress], proxy }))

  return {
    clock,
    gate: gate as Gate,
    services,
    known,
    /** Further words that may be nowhere but in the request. */
    events,
    logged,
    errors,
    accepted,
    servers,
    /** A ticket of the session's account for `/live`, which lives for half a minute. */
    async issueTicket(): Promise<string> {
      const principal: Principal = {
        ...{ kind: 'user', id: account.account.id, scheme: 'session', scopes: [], roles: [], attributes: {} },
      }
      return (await tickets.create(principal, { path: '/live', origin })).ticket
    },
    /** Sends bytes to a server, and returns its answer. */
    async ask(name: string, address: string, bytes: Buffer): Promise<string> {
      const socket = new Peer(address)
      ;(servers[name] as Server).emit('connection', socket)
      socket.push(bytes)
      const text = (): string => Buffer.concat(socket.written).toString('latin1')
      const deadline = Date.now() + 20_000
      while (!text().includes('\r\n\r\n') && !socket.destroyed) {
        await new Promise((resolve) => setImmediate(resolve))
        if (Date.now() > deadline) throw new Error('no answer within 20 seconds')
      }
      socket.destroy()
      return text()
    },
    async close(): Promise<void> {
      const drained = guard.close()
      await new Promise((resolve) => setImmediate(resolve))
      clock.advance(10_000)
      await drained
      gate.close()
      await services.close()
    },
  }
}
