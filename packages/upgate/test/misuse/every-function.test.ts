import { createServer, IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import * as main from 'upgate'
import * as cloudflareAccess from 'upgate/cloudflare-access'
import * as express from 'upgate/express'
import * as koa from 'upgate/koa'
import * as node from 'upgate/node'
import * as oauth from 'upgate/oauth'
import * as protocol from 'upgate/protocol'
import * as redis from 'upgate/redis'
import * as sql from 'upgate/sql'
import * as storeEntry from 'upgate/store'
import * as testing from 'upgate/testing'
import * as ws from 'upgate/ws'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'

// Calls every function of every public entry with typical mistakes in every argument and option. Each call either
// throws a TypeError that names the function and the remedy, or succeeds where the documentation says so.

type Call = (...values: unknown[]) => unknown
const entries: Record<string, object> = {
  main,
  cloudflareAccess,
  express,
  koa,
  node,
  oauth,
  protocol,
  redis,
  sql,
  storeEntry,
  testing,
  ws,
}

const services = main.createServices({ store: main.memoryStore() })
const scheme = main.apiKey({ keys: services.keys })
const gate = main.createGate({ schemes: [scheme] })
// A real one: connections that are refused have to be given up in time.
const clock = {
  now: () => Date.now(),
  setTimer(milliseconds: number, callback: () => void) {
    const timer = setTimeout(callback, milliseconds)
    return { cancel: () => clearTimeout(timer) }
  },
}
const logger = { warn() {}, error() {} }
const run = (): void => {}
const randomBytes = (size: number): Uint8Array => new Uint8Array(size)
const request = new IncomingMessage(new Socket())
Object.assign(request, { method: 'GET', url: '/' })
const response = new ServerResponse(request)
gate.remember(request, { outcome: 'allow' } as never)
const store = main.memoryStore()
const { revocations } = services

/** Options that are right, and the names of those that may be left out. */
interface Sample {
  /** The arguments, created for each call. */
  readonly good: () => unknown[]
  /** Which argument holds options; their values are tried, too. */
  readonly options?: number
  /** All options with a right value, for trying others in its place. */
  readonly full?: Record<string, unknown>
  /** What else is right: `<argument>` or `<option>`, with the kinds of values. */
  readonly also?: Record<string, readonly string[]>
  /** Valid values that would leave a file behind. */
  readonly skip?: readonly string[]
}

const origins = ['https://gateway.example.com']
const publicRule: main.RuleOptions = { path: '/login', access: 'public' }
const token = 'a-shared-token-of-some-length'
const quarantineNumbers = {
  deadline: 10_000,
  verifyTimeout: 5_000,
  maxBytes: 65_536,
  maxDataFrames: 8,
  maxControlFrames: 16,
  maxAttempts: 1,
  maxQueuedMessages: 16,
  maxQueuedBytes: 65_536,
  maxSockets: 1_000,
  maxSocketsPerAddress: 32,
  maxAnonymousSockets: 1_000,
  pressureShare: 0.5,
  pressureDeadline: 3_000,
  reservedShare: 0.25,
  rememberSuccess: 3_600_000,
  maxVerifying: 64,
  maxVerifyingPerAddress: 4,
  maxRefusals: 10,
  slowedSockets: 2,
  hold: 1_000,
  maxHeld: 256,
  closeGrace: 1_000,
  maxRefreshes: 6,
  maxRefreshFailures: 3,
  expiredCode: 4401,
  revokedCode: 4403,
}
const quarantine = {
  ...quarantineNumbers,
  dangerouslyAllowCompression: false,
  isSecretSubprotocol: () => false,
  randomBytes,
  acquaintances: { store: main.memoryStore().acquaintances, key: 'k'.repeat(32) },
}
const url = 'redis://127.0.0.1:1'
const frame = (): unknown[] => [{}]
const plainFrame: Sample = { good: frame, also: { 0: ['object', 'object without'] } }

const samples: Record<string, Sample> = {
  createGate: {
    good: () => [{ schemes: [scheme] }],
    options: 0,
    full: {
      schemes: [scheme],
      rules: [publicRule],
      origins,
      hosts: ['localhost:8787'],
      trustedProxies: ['loopback', 'cloudflare'],
      cloudflareRanges: ['173.245.48.0/20'],
      ignoreAuthorization: ['Basic'],
      login: { page: '/login' },
      setup: { page: '/login', required: () => false },
      externalLogin: { name: 'Access', logoutUrl: '/logout', closes: ['/login'] },
      name: 'upgate',
      refusalHeaders: { 'X-Frame-Options': 'DENY' },
      clock,
      logger,
    },
    also: {
      rules: ['list'],
      origins: ['list'],
      hosts: ['list'],
      trustedProxies: ['list'],
      cloudflareRanges: ['list'],
    },
  },
  createServices: {
    good: () => [{ store }],
    options: 0,
    full: {
      store,
      bus: main.memoryBus(),
      dangerouslyKeepSocketsWhenCutOff: false,
      clock,
      logger,
      randomBytes,
      passwordHasher: main.scryptHasher(),
      deviceCookieSecret: 'x'.repeat(32),
      limits: { cacheEntries: 100 },
      pairing: { maxOpen: 5 },
      tickets: { lifetime: 30_000 },
    },
  },
  composeStores: {
    good: () => [store, { tickets: { ...store.tickets, close: async () => {} } }],
    options: 1,
    full: {
      tickets: { ...store.tickets, close: async () => {} },
      sessions: { over: () => store.sessions, settle: async () => {}, close: async () => {} },
      failures: { begin: async () => ({ allowed: true }), close: async () => {} },
    },
  },
  memoryStore: { good: () => [] },
  memoryBus: { good: () => [] },
  scryptHasher: {
    good: () => [{}],
    options: 0,
    full: { ln: 16, r: 8, p: 2, randomBytes },
    also: { 0: ['undefined'] },
  },
  apiKey: {
    good: () => [{ keys: services.keys }],
    options: 0,
    full: { keys: services.keys, header: 'x-api-key', bearer: true, foreign: { mk_: run }, name: 'k' },
    also: { header: ['string'], foreign: ['object without'] },
  },
  deviceToken: {
    good: () => [{ devices: services.devices }],
    options: 0,
    full: { devices: services.devices, header: 'x-device', foreign: { mk_: run }, name: 'd' },
  },
  deviceKey: {
    good: () => [{ pairing: services.pairing, devices: services.devices }],
    options: 0,
    full: { pairing: services.pairing, devices: services.devices, introducers: [scheme], name: 'p' },
    also: { introducers: ['list'] },
  },
  claimSecret: {
    good: () => [{ pairing: services.pairing, devices: services.devices }],
    options: 0,
    full: { pairing: services.pairing, devices: services.devices, introducers: [scheme], name: 'p' },
    also: { introducers: ['list'] },
  },
  sessionCookie: {
    good: () => [{ sessions: services.sessions }],
    options: 0,
    full: {
      sessions: services.sessions,
      cookieName: 'sid',
      name: 's',
      secure: true,
      sameSite: 'lax',
      logger,
    },
  },
  sharedToken: {
    good: () => [{ token, principal: { kind: 'service', id: 'ci' } }],
    options: 0,
    full: {
      token,
      principal: { kind: 'service', id: 'ci' },
      name: 'shared',
      prefix: 'gw_',
      header: 'x-token',
    },
    // A function is asked at every verification.
    also: { token: ['function', 'string'] },
  },
  ticket: {
    good: () => [{ tickets: services.tickets }],
    options: 0,
    full: { tickets: services.tickets, query: 'ticket', name: 't' },
  },
  password: {
    good: () => [{ accounts: services.accounts }],
    options: 0,
    full: { accounts: services.accounts, account: 'a@example.com', name: 'p' },
  },
  fromRequest: {
    good: () => [run, {}],
    options: 1,
    full: { name: 'request', ambient: true, cookie: 'sid', timeout: 1000, clock, revocations },
    also: { 1: ['undefined'], 0: ['function'] },
  },
  fromMiddleware: {
    good: () => [run, run, {}],
    options: 2,
    full: { name: 'm', ambient: true, cookie: 'sid', timeout: 1000, clock, revocations, onSetCookie: run },
    also: { 2: ['undefined'], 0: ['function'], 1: ['function'] },
  },
  cookieMayBeSecure: { good: () => ['http://localhost'] },
  safeNext: { good: () => ['/'], also: { 0: ['anything'] } },
  busMessage: { good: () => [1], also: { 0: ['number'] } },
  // Any text may arrive on the channel; text that is not an announcement is ignored.
  sequenceIn: { good: () => ['upgate:1:1'], also: { 0: ['anything'] } },
  isStoreUnavailable: { good: () => [new Error('x')], also: { 0: ['anything'] } },
  deviceCookie: {
    good: () => [{}],
    options: 0,
    full: { name: 'browser', secure: true },
    also: { 0: ['undefined'] },
  },
  deviceCredential: { good: () => [{ by: 'claim', secret: 'x', wish: {} }] },
  trustedHeader: {
    good: () => [{ headers: 'authelia', peers: ['10.0.0.5'], identify: () => null }],
    options: 0,
    full: {
      headers: { user: 'X-User', groups: 'X-Groups' },
      peers: ['10.0.0.5', '/run/app/gate.sock'],
      identify: () => null,
      identifyTimeout: 5_000,
      lifetime: 60_000,
      revocations,
      name: 'proxy',
      clock,
      logger,
      dangerouslyTrustSharedPeers: true,
    },
  },
  cloudflareAccess: {
    good: () => [{ team: 'acme', audience: ['aud'] }],
    options: 0,
    full: {
      team: 'acme',
      audience: ['aud'],
      clockTolerance: 30,
      identify: () => null,
      identifyTimeout: 5,
      services: {},
      notBefore: () => undefined,
      revocations,
      online: false,
      cache: {},
      keys: {},
      name: 'access',
      fetch,
      clock,
      logger,
    },
    // The keys of `services` are client ids.
    also: { online: ['object without'] },
  },
  byEmail: { good: () => [services.accounts] },
  expressGate: { good: () => [gate] },
  koaGate: { good: () => [gate] },
  httpGate: { good: () => [gate, run], also: { 1: ['function'] } },
  forwardAuth: {
    good: () => [gate, { from: ['10.0.0.5'], proxy: 'nginx' }],
    options: 1,
    full: {
      from: ['10.0.0.5'],
      proxy: 'nginx',
      headers: { user: 'X-User', roles: false },
      dangerouslyPassDeferred: false,
      dangerouslyTrustSharedPeers: false,
    },
  },
  clientAddressOf: { good: () => [gate, request] },
  requestOf: { good: () => [request] },
  decide: { good: () => [gate, request] },
  explain: { good: () => [gate, request] },
  respond: { good: () => [gate, request, response, { outcome: 'preflight', headers: [] }] },
  refuse: {
    good: () => [gate, request, response, 'auth_required', {}],
    options: 4,
    full: { detail: 'The queue is full.', retryAfter: 5 },
    also: { 4: ['undefined'] },
  },
  endStreams: { good: () => [gate] },
  endWithCredential: {
    good: () => [gate, request, response, {}],
    options: 3,
    full: { onEnd: run },
    also: { 3: ['undefined'] },
  },
  ticketEndpoint: {
    good: () => [gate, { tickets: services.tickets, paths: ['/ws'] }],
    options: 1,
    full: { tickets: services.tickets, paths: ['/ws'] },
  },
  oauthRules: {
    good: () => [{}],
    options: 0,
    full: {
      authorize: '/authorize',
      token: '/token',
      register: '/register',
      revoke: '/revoke',
      jwks: '/jwks',
      resources: ['/mcp'],
      origin: 'https://gateway.example.com',
      authorizationServers: ['https://login.example.com'],
      serveMetadata: true,
      anyOrigin: false,
    },
    also: { 0: ['undefined'], resources: ['list'] },
  },
  createCodeWatch: {
    good: () => [{ onNotRedeemed: run }],
    options: 0,
    full: { onNotRedeemed: run, within: 60_000, maxEntries: 100, clock },
  },
  watchCodes: {
    good: () => [oauth.createCodeWatch({ onNotRedeemed: run }), { authorize: '/authorize', token: '/token' }],
    options: 1,
    full: { authorize: '/authorize', token: '/token', codeOf: run },
  },
  // The documentation says how each of these treats unknown values.
  closeCodesOf: { good: () => ['centrifuge'] },
  adviceFor: { good: () => [1000], also: { 0: ['anything'] } },
  closeCodeFor: { good: () => ['auth_required'], also: { 0: ['anything'] } },
  parseServerFrame: { good: () => ['{}'], also: { 0: ['anything'] } },
  authFrame: plainFrame,
  authRefreshFrame: plainFrame,
  authChallengeFrame: plainFrame,
  authOkFrame: plainFrame,
  authErrorFrame: plainFrame,
  authRefreshedFrame: plainFrame,
  authRefreshFailedFrame: plainFrame,
  authExpiringFrame: plainFrame,
  deviceAuthText: { good: () => [{ publicKey: 'k', signedAt: 1, nonce: 'n' }] },
  sqliteStore: {
    good: () => [{ file: '/nowhere/at/all/x.db' }],
    options: 0,
    full: { file: '/dev/null/x.db', busyTimeout: 0, clock },
    skip: ['file as string'],
  },
  postgresStore: {
    good: () => [{ connectionString: 'postgres://127.0.0.1:1/x', timeout: 10 }],
    options: 0,
    full: {
      connectionString: 'postgres://127.0.0.1:1/x',
      schema: 's',
      timeout: 10,
      clock,
      maxConnections: 1,
    },
  },
  postgresBus: {
    good: () => [{ connectionString: 'postgres://127.0.0.1:1/x' }],
    options: 0,
    full: { connectionString: 'postgres://127.0.0.1:1/x', channel: 'c', clock, logger },
  },
  redisBus: { good: () => [{ url }], options: 0, full: { url, channel: 'c', clock, logger } },
  redisSessions: { good: () => [{ url }], options: 0, full: { url, prefix: 'p', timeout: 10, clock } },
  redisTickets: { good: () => [{ url }], options: 0, full: { url, prefix: 'p', timeout: 10, clock } },
  redisFailures: {
    good: () => [{ url }],
    options: 0,
    full: { url, prefix: 'p', timeout: 10, maxEntries: 100, clock },
  },
  asPrincipal: { good: () => [{ id: 'a' }] },
  manualClock: { good: () => [0], also: { 0: ['undefined', 'number'] } },
  assertGuarded: {
    good: () => [guarded(), {}],
    options: 1,
    full: { open: [] },
    also: { 1: ['undefined'], open: ['list'] },
  },
  storeContract: { good: () => ['n', run, run], also: { 0: ['string'], 1: ['function'], 2: ['function'] } },
  failureContract: { good: () => ['n', run, run], also: { 0: ['string'], 1: ['function'], 2: ['function'] } },
  guardServer: {
    good: () => [createServer(), gate, {}],
    options: 2,
    full: {
      sockets: { '/ws': new WebSocketServer({ noServer: true }) },
      handlers: { '/hmr': run },
      maxUnprovenHandled: 1,
      decisionTimeout: 1,
      maxDeciding: 1,
      ...quarantine,
    },
    also: { 2: ['undefined'] },
  },
  createQuarantine: { good: () => [gate, {}], options: 1, full: quarantine, also: { 1: ['undefined'] } },
  connectFrame: {
    good: () => [{}],
    options: 0,
    full: {
      protocol: { min: 3, max: 4 },
      challenge: true,
      deviceKeys: true,
      dangerouslyAllowNonceOnly: true,
      replay: true,
      hello: () => ({}),
    },
    also: { 0: ['undefined'] },
  },
  jsonFrame: {
    good: () => [{ credential: run }],
    options: 0,
    full: {
      credential: run,
      declared: run,
      open: run,
      ignore: run,
      accept: run,
      reject: run,
      replay: false,
      closeCodes: 'centrifuge',
      name: 'json',
    },
  },
  graphqlWs: {
    good: () => [{ credential: run }],
    options: 0,
    full: { credential: run, declared: run, name: 'graphql' },
  },
  centrifuge: {
    good: () => [{}],
    options: 0,
    full: { credential: run, declared: run, name: 'centrifuge' },
    also: { 0: ['undefined'] },
  },
  upgateHandshake: {
    good: () => [{}],
    options: 0,
    full: { replay: false, deviceKeys: false, refresh: false },
    also: { 0: ['undefined'] },
  },
}

function guarded(): object {
  const server = createServer()
  ws.guardServer(server, gate)
  return server
}

const wrong: readonly (readonly [kind: string, value: () => unknown])[] = [
  ['undefined', () => undefined],
  ['null', () => null],
  ['string', () => 'a string'],
  ['empty string', () => ''],
  ['number', () => 7],
  ['NaN', () => Number.NaN],
  ['boolean', () => true],
  ['object', () => ({ nobodyKnowsThis: 1 })],
  ['object without', () => ({})],
  ['list', () => []],
  ['list of nothing', () => [undefined]],
  ['set', () => new Set(['a'])],
  ['map', () => new Map([['a', 1]])],
  ['regular expression', () => /a/],
  ['date', () => new Date()],
  ['function', () => function notCalled() {}],
  ['class', () => class NotMade {}],
  ['promise', () => Promise.resolve({})],
  ['symbol', () => Symbol('a')],
  ['bigint', () => 7n],
]
/** Kinds of values that are right wherever a right value of this kind is. */
const sameKind: Record<string, readonly string[]> = {
  string: ['string'],
  number: ['number'],
  boolean: ['boolean'],
  function: ['function'],
}

const engineErrors =
  /Cannot (?:read|set|destructure|convert|mix|use|access)|is not (?:a function|iterable|a constructor|defined|an object)|undefined \(|null \(|Class constructor|object null|has no method|Reduce of|Invalid (?:URL|array|time)|argument must be (?:of type|one of)|The ".*" |\[object|\{\}/

async function outcomeOf(call: Call, values: unknown[]): Promise<unknown> {
  try {
    const answer = await call(...values)
    const made = answer as { close?: () => unknown } | null | undefined
    if (typeof made?.close === 'function') await made.close()
    return undefined
  } catch (error) {
    return error
  }
}

/** Returns the complaint about the outcome of a mistaken call, or `undefined`. */
async function complaint(
  name: string,
  call: Call,
  values: unknown[],
  option: string | undefined,
  mayWork: boolean,
): Promise<string | undefined> {
  const error = await outcomeOf(call, values)
  if (error === undefined) return mayWork ? undefined : 'no error at all'
  // An unreachable store is not a mistake in the arguments.
  if (main.isStoreUnavailable(error)) return mayWork ? undefined : 'not refused before connecting'
  if (!(error instanceof TypeError)) return `no TypeError: ${String(error)}`
  const { message } = error
  if (engineErrors.test(message)) return `an engine's message: ${message}`
  if (!message.startsWith(name)) return `does not begin with the function's name: ${message}`
  if (option !== undefined && !message.includes(option)) return `does not name \`${option}\`: ${message}`
  return undefined
}

const functions = Object.entries(entries).flatMap(([entry, exported]) =>
  Object.entries(exported)
    .filter(([, value]) => typeof value === 'function')
    .map(([name, value]) => ({ entry, name, call: value as Call })),
)
const classes = ['StoreUnavailable']

it('knows every exported function', () => {
  const names = functions.map(({ name }) => name)
  expect([...new Set(names)].toSorted()).toEqual([...Object.keys(samples), ...classes].toSorted())
})

describe.each(functions.filter(({ name }) => !classes.includes(name)))('$name', ({ name, call }) => {
  const { good, options, full = {}, also = {}, skip = [] } = samples[name] as Sample
  const allows = (place: string | number, kind: string): boolean =>
    also[place]?.includes('anything') === true || also[place]?.includes(kind) === true

  it('accepts valid arguments', async () => {
    const error = await outcomeOf(call, good())
    // Nothing listens there; it was tried.
    if (!main.isStoreUnavailable(error)) expect(error).toBeUndefined()
  })

  it('names itself for every wrong argument', async () => {
    const complaints: string[] = []
    const arity = good().length
    for (let at = 0; at < arity; at++) {
      for (const [kind, value] of wrong) {
        const values = good()
        values[at] = value()
        const isEmptyOptions = at === options && kind === 'object without'
        const mayWork = allows(at, kind) || isEmptyOptions || sameKindAs(good()[at], kind)
        const said = await complaint(name, call, values, undefined, mayWork)
        if (said !== undefined) complaints.push(`argument ${at} as ${kind}: ${said}`)
      }
    }
    const said = await complaint(name, call, [], undefined, arity === 0 || allows(0, 'undefined'))
    if (said !== undefined) complaints.push(`no argument: ${said}`)
    expect(complaints).toEqual([])
  })

  if (options === undefined) return

  it('names the option for every wrong value', async () => {
    const at = options as number
    const complaints: string[] = []
    const withOptions = (value: object): unknown[] => good().with(at, value)
    const right = await outcomeOf(call, withOptions(full))
    if (right !== undefined && !main.isStoreUnavailable(right))
      complaints.push(`right ones: ${String(right)}`)
    for (const option of Object.keys(full)) {
      for (const [kind, value] of wrong) {
        if (skip.includes(`${option} as ${kind}`)) continue
        const given = value()
        const isObject = typeof full[option] === 'object' && !Array.isArray(full[option])
        const mayWork =
          kind === 'undefined' ||
          allows(option, kind) ||
          sameKindAs(full[option], kind) ||
          (isObject && kind === 'object without')
        const said = await complaint(name, call, withOptions({ ...full, [option]: given }), option, mayWork)
        if (said !== undefined && !(kind === 'undefined' && !said.startsWith('an engine')))
          complaints.push(`\`${option}\` as ${kind}: ${said}`)
      }
    }
    expect(complaints).toEqual([])
  })

  it.runIf(options !== undefined)(
    'names an option that it does not know, and the one that was meant',
    async () => {
      const at = options as number
      const others = ['accounts']
      const names = Object.keys(full).filter((each) => each.length > 3 && !others.includes(`${each}s`))
      for (const option of names) {
        const error = await outcomeOf(call, good().with(at, { ...full, [`${option}s`]: 1 }))
        expect(error).toBeInstanceOf(TypeError)
        expect(String(error)).toContain(`${name}: unknown option \`${option}s\``)
        expect(String(error)).toContain(`Did you mean \`${option}\`?`)
      }
    },
  )
})

function sameKindAs(right: unknown, kind: string): boolean {
  return sameKind[typeof right]?.includes(kind) === true
}

// The same for nested options.
const rule = { path: '/a', access: 'required' }
const nested: Record<
  string,
  {
    make: (value: object) => unknown
    where: string
    full: Record<string, unknown>
    also?: Record<string, readonly string[]>
  }
> = {
  'a required rule': {
    make: (value) => main.createGate({ schemes: [scheme], rules: [value as never] }),
    where: 'createGate: `rules[0]`',
    full: {
      ...rule,
      methods: ['GET'],
      kinds: ['user'],
      scopes: ['a'],
      roles: ['a'],
      schemes: ['api-key'],
      upgrade: true,
      challenge: 'api',
      agreesWithEdge: () => true,
      resourceMetadata: 'https://a.example/x',
      anyOrigin: false,
      dangerouslyAllowForeignOrigins: false,
    },
    also: { path: ['string'] },
  },
  'a rule with a document': {
    make: (value) => main.createGate({ schemes: [scheme], rules: [value as never] }),
    where: 'createGate: `rules[0]`',
    full: { path: '/a', access: 'public', document: { a: 1 } },
    also: { document: ['object'] },
  },
  'a deferred rule': {
    make: (value) => main.createGate({ schemes: [scheme], origins, rules: [value as never] }),
    where: 'createGate: `rules[0]`',
    full: { path: '/a', access: 'deferred', handshake: ws.upgateHandshake() },
  },
  'gate.require': {
    make: (value) => gate.require(value as never),
    where: 'gate.require',
    full: {
      kinds: ['user'],
      scopes: ['a'],
      roles: ['a'],
      schemes: ['api-key'],
      challenge: 'api',
      agreesWithEdge: () => true,
      resourceMetadata: 'https://a.example/x',
      anyOrigin: false,
      dangerouslyAllowForeignOrigins: false,
    },
  },
  externalLogin: {
    make: (value) => main.createGate({ schemes: [scheme], externalLogin: value as never }),
    where: 'createGate: `externalLogin',
    full: { name: 'Access', logoutUrl: '/logout', closes: ['/login'] },
  },
  setup: {
    make: (value) => main.createGate({ schemes: [scheme], rules: [publicRule], setup: value as never }),
    where: 'createGate: `setup',
    full: { page: '/login', required: () => false },
  },
  'the principal of a shared token': {
    make: (value) => main.sharedToken({ token, principal: value as never }),
    where: 'sharedToken: `principal',
    full: { kind: 'service', id: 'ci', scopes: ['a'], roles: ['a'] },
    also: { scopes: ['list'], roles: ['list'] },
  },
  limits: {
    make: (value) => main.createServices({ store, limits: value }),
    where: 'createServices',
    full: {
      sessionIdle: 100_000,
      sessionAbsolute: 100_000,
      sessionsPerAccount: 10,
      cacheEntries: 10,
      cacheAge: 0,
      lookupsInFlight: 1,
      lookupTimeout: 10,
      logInterval: 0,
      touchDelay: 0,
      hashesInFlight: 1,
      hashQueue: 0,
      failureEntries: 100,
    },
  },
  pairing: {
    make: (value) => main.createServices({ store, pairing: value }),
    where: 'createServices: `pairing',
    full: {
      requestLifetime: 1000,
      codeLifetime: 1000,
      maxInvited: 1,
      maxOpen: 1,
      maxPerAddress: 1,
      maxInvitations: 1,
      roles: { node: [] },
      actorScope: 'a',
      bindKeys: false,
      dangerouslyAllowAnonymous: false,
    },
  },
  tickets: {
    make: (value) => main.createServices({ store, tickets: value }),
    where: 'createServices: `tickets',
    full: { lifetime: 1000, perPrincipal: 1 },
  },
  'keys of Access': {
    make: (value) => cloudflareAccess.cloudflareAccess({ team: 'acme', audience: ['aud'], keys: value }),
    where: 'cloudflareAccess',
    full: { refreshAfter: 600, maxAge: 3600, maxStale: 86_400, cooldown: 30, maxBackoff: 60, timeout: 5 },
  },
  'a service of Access': {
    make: (value) =>
      cloudflareAccess.cloudflareAccess({
        team: 'acme',
        audience: ['aud'],
        services: { id: value as never },
      }),
    where: 'cloudflareAccess',
    full: { id: 'backup', scopes: ['a'], roles: ['a'], displayName: 'x' },
    also: { scopes: ['list'], roles: ['list'] },
  },
}

describe.each(Object.entries(nested))('%s', (_, { make, where, full, also = {} }) => {
  it('names the option for every wrong value', async () => {
    const complaints: string[] = []
    const right = await outcomeOf(make as Call, [full])
    if (right !== undefined) complaints.push(`right ones: ${String(right)}`)
    for (const option of Object.keys(full)) {
      for (const [kind, value] of wrong) {
        const isObject = typeof full[option] === 'object' && !Array.isArray(full[option])
        const mayWork =
          kind === 'undefined' ||
          also[option]?.includes(kind) === true ||
          sameKindAs(full[option], kind) ||
          (isObject && kind === 'object without')
        const said = await complaint(
          where,
          make as Call,
          [{ ...full, [option]: value() }],
          kind === 'undefined' ? undefined : option,
          mayWork,
        )
        if (said !== undefined) complaints.push(`\`${option}\` as ${kind}: ${said}`)
      }
    }
    expect(complaints).toEqual([])
  })

  it('names unknown options', async () => {
    expect(String(await outcomeOf(make as Call, [{ ...full, nobodyKnowsThis: 1 }]))).toMatch(
      /^TypeError: .*: unknown option `nobodyKnowsThis`/,
    )
  })
})
