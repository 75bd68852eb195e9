import { createServer } from 'node:http'
import {
  apiKey,
  composeStores,
  createGate,
  createServices,
  deviceKey,
  deviceToken,
  fromMiddleware,
  fromRequest,
  memoryBus,
  memoryStore,
  scryptHasher,
  sessionCookie,
  sharedToken,
  ticket,
} from 'upgate'
import { byEmail, cloudflareAccess } from 'upgate/cloudflare-access'
import { expressGate } from 'upgate/express'
import { httpGate, ticketEndpoint } from 'upgate/node'
import { oauthRules } from 'upgate/oauth'
import { sqliteStore } from 'upgate/sql'
import { connectFrame, createQuarantine, guardServer, jsonFrame, upgateHandshake } from 'upgate/ws'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'

// Mistakes as they are made: each surfaced as an error of the engine ("Cannot read properties of undefined"), at the first
// request only, or not at all. `never` stands where the compiler would have said it.

const store = memoryStore()
const services = createServices({ store })
const { keys, devices, sessions, accounts, pairing } = services
const scheme = apiKey({ keys })
const wrong = (value: unknown): never => value as never
const gate = (options: object) => () => createGate({ schemes: [scheme], ...options } as never)
const rule = (options: object) => gate({ rules: [{ path: '/a', access: 'required', ...options }] })
const handshake = upgateHandshake()
const deferred = (options: object) => () =>
  createGate({
    schemes: [scheme],
    origins: ['https://a.example'],
    rules: [{ path: '/ws', access: 'deferred', ...options }],
  } as never)
const guard =
  (options: unknown, server: unknown = createServer()) =>
  () =>
    guardServer(wrong(server), createGate({ schemes: [scheme] }), wrong(options))
const wss = new WebSocketServer({ noServer: true })
const page = { path: '/login', access: 'public' }

describe('a usual mistake says which option is meant and what to do', () => {
  it.each<[string, () => unknown, string]>([
    // Named by the audit.
    ['apiKey()', () => apiKey(wrong(undefined)), 'apiKey: `keys` is missing; give it `services.keys`.'],
    [
      'createServices()',
      () => createServices(wrong(undefined)),
      'createServices: `store` is missing; give it a store: memoryStore(), or',
    ],
    [
      'jsonFrame()',
      () => jsonFrame(wrong(undefined)),
      'jsonFrame: `credential` is missing; give it a function that finds the credential in a message',
    ],
    [
      'trustedProxies: true',
      gate({ trustedProxies: true }),
      "createGate: `trustedProxies` must be a list of addresses, CIDR ranges, 'loopback', 'private' or 'cloudflare', such as ['loopback']",
    ],
    [
      'store: memoryStore',
      () => createServices({ store: wrong(memoryStore) }),
      'createServices: `store` must be a store: memoryStore(), or what sqliteStore() or postgresStore() of upgate/sql resolves to, not the function memoryStore (call it first).',
    ],
    [
      'apiKey({ keys: services })',
      () => apiKey({ keys: wrong(services) }),
      'apiKey: `keys` must be `services.keys`, not an object without `verify`.',
    ],
    [
      "login: '/login'",
      gate({ login: '/login' }),
      "createGate: `login` must be an object, such as { page: '/login' }, not a string.",
    ],
    [
      'a function for handlers: without its path',
      guard({ handlers: () => {} }),
      "guardServer: `handlers` must be an object of functions by path, such as { '/hmr': handle }, not the function",
    ],
    [
      'a WebSocketServer among handlers:',
      guard({ handlers: { '/ws': wss } }),
      "guardServer: `handlers['/ws']` must be a function (request, socket, head, principal), not a WebSocketServer.",
    ],
    [
      'maxUnprovenHandled: 0',
      guard({ maxUnprovenHandled: 0 }),
      'guardServer: `maxUnprovenHandled` must be a whole number from 1, not 0.',
    ],
    [
      'refusalHeaders: a list of pairs',
      gate({ refusalHeaders: [['X-Frame-Options', 'DENY']] }),
      'createGate: `refusalHeaders` must be an object',
    ],
    [
      'refusalHeaders: a line break in a value',
      gate({ refusalHeaders: { 'X-Frame-Options': 'DENY\r\nSet-Cookie: a=1' } }),
      'createGate: `refusalHeaders["X-Frame-Options"]`',
    ],
    [
      'socket: for sockets:',
      guard({ socket: { '/ws': wss } }),
      'guardServer: unknown option `socket`. Did you mean `sockets`?',
    ],
    [
      'a RegExp as path',
      rule({ path: /^\/api/ }),
      "createGate: `rules[0]`: a path pattern must be a string such as '/assets/*' or '/users/:id', not a RegExp.",
    ],
    [
      'halves of the world',
      gate({ trustedProxies: ['0.0.0.0/1', '128.0.0.0/1'] }),
      'createGate: `trustedProxies` trusts 100 % of all IPv4 addresses, so that any client could say what its address is. List the proxies in front of this server, each by its address or network.',
    ],
    [
      'a quarter of the world in pieces, next to a name',
      gate({ trustedProxies: ['cloudflare', '0.0.0.0/3', '64.0.0.0/4', '80.0.0.0/4'] }),
      '`trustedProxies` trusts 25 % of all IPv4 addresses',
    ],
    [
      'an address within a network',
      gate({ trustedProxies: ['10.0.0.1/8'] }),
      "createGate: `trustedProxies` has \"10.0.0.1/8\", an address within a network. Write '10.0.0.1' for this one address, or '10.0.0.0/8' for the whole network.",
    ],
    [
      'an IPv6 address within a network',
      gate({ trustedProxies: ['2001:db8::5/64'] }),
      "Write '2001:db8::5' for this one address, or '2001:db8::/64' for the whole network.",
    ],
    [
      'ranges of Cloudflare that no proxy is named for',
      gate({ trustedProxies: ['loopback'], cloudflareRanges: ['173.245.48.0/20'] }),
      "createGate: `cloudflareRanges` says what 'cloudflare' stands for in `trustedProxies`, which does not name it; add it there.",
    ],
    [
      'an empty list of the ranges of Cloudflare',
      gate({ trustedProxies: ['cloudflare'], cloudflareRanges: [] }),
      'createGate: `cloudflareRanges` must be the list of all ranges, IPv4 and IPv6, that https://www.cloudflare.com/ips/ publishes',
    ],
    [
      'everything as the ranges of Cloudflare',
      gate({ trustedProxies: ['cloudflare'], cloudflareRanges: ['0.0.0.0/0'] }),
      'trusts 100 % of all IPv4 addresses',
    ],
    // Lists and names.
    ['trustedProxies: a string', gate({ trustedProxies: 'loopback' }), '`trustedProxies` must be a list'],
    ['trustedProxies: a number of hops', gate({ trustedProxies: 1 }), '`trustedProxies` must be a list'],
    [
      'half of the world',
      gate({ trustedProxies: ['0.0.0.0/1'] }),
      '`trustedProxies` trusts 50 % of all IPv4 addresses',
    ],
    [
      'four quarters, out of order, one twice',
      gate({ trustedProxies: ['64.0.0.0/3', '0.0.0.0/3', '64.0.0.0/3'] }),
      '`trustedProxies` trusts 25 % of all IPv4',
    ],
    ['all of IPv6', gate({ trustedProxies: ['::/0'] }), '`trustedProxies` trusts 100 % of all IPv6'],
    [
      'all of IPv6 that is in use',
      gate({ trustedProxies: ['2000::/4', '3000::/4'] }),
      '`trustedProxies` trusts 100 % of all IPv6',
    ],
    [
      'all of IPv4, mapped',
      gate({ trustedProxies: ['::ffff:0.0.0.0/96'] }),
      '`trustedProxies` trusts 100 % of all IPv4',
    ],
    [
      'half an address',
      gate({ trustedProxies: ['10.0'] }),
      '`trustedProxies` has "10.0"; write addresses, CIDR ranges',
    ],
    ['an address in octal', gate({ trustedProxies: ['010.0.0.1'] }), '`trustedProxies` has "010.0.0.1"'],
    [
      'an address with a port',
      gate({ trustedProxies: ['10.0.0.1:8080'] }),
      '`trustedProxies` has "10.0.0.1:8080"',
    ],
    [
      'a list in one string',
      gate({ trustedProxies: ['loopback, private'] }),
      '`trustedProxies` has "loopback, private"',
    ],
    ['an object in the list', gate({ trustedProxies: [{}] }), '`trustedProxies` has an object'],
    [
      'a property of all objects',
      gate({ trustedProxies: ['constructor'] }),
      '`trustedProxies` has "constructor"',
    ],
    [
      'origins: a string',
      gate({ origins: 'https://a.example' }),
      "createGate: `origins` must be a list such as ['https://gateway.example.com'], not a string.",
    ],
    ['origins: a Set', gate({ origins: new Set(['https://a.example']) }), '`origins` must be a list such as'],
    [
      'an origin with a path',
      gate({ origins: ['https://a.example/app'] }),
      '`origins` has "https://a.example/app"; write scheme, host and port as a browser sends them',
    ],
    [
      'an origin with a trailing slash',
      gate({ origins: ['https://a.example/'] }),
      '`origins` has "https://a.example/"',
    ],
    ['an origin with a wildcard', gate({ origins: ['https://*.a.example'] }), 'without a path or a wildcard'],
    ['an origin without a scheme', gate({ origins: ['a.example'] }), '`origins` has "a.example"'],
    [
      'an origin in another script',
      gate({ origins: ['https://bücher.example'] }),
      'names in other scripts as punycode',
    ],
    [
      'an origin that is a URL object',
      gate({ origins: [new URL('https://a.example')] }),
      '`origins` has a URL',
    ],
    ['an origin that is null', gate({ origins: [null] }), '`origins` has null'],
    [
      'hosts: a string',
      gate({ hosts: 'localhost:8787' }),
      "createGate: `hosts` must be a list such as ['localhost:8787'], not a string.",
    ],
    ['a host with a wildcard', gate({ hosts: ['*.a.example'] }), '`hosts` has "*.a.example"'],
    ['a host with a scheme', gate({ hosts: ['https://a.example'] }), '`hosts` has "https://a.example"'],
    // Schemes.
    [
      'schemes: one of them',
      () => createGate({ schemes: wrong(scheme) }),
      'createGate: `schemes` must hold at least one scheme, for example [apiKey({ keys })], not an object',
    ],
    [
      'a scheme that was not called',
      () => createGate({ schemes: [wrong(apiKey)] }),
      '`schemes[0]` is not a scheme but the function apiKey (call it first)',
    ],
    [
      'a scheme that is a promise',
      () => createGate({ schemes: [wrong(Promise.resolve(scheme))] }),
      '`schemes[0]` is not a scheme but a promise (await it first)',
    ],
    [
      'a scheme that is a class',
      () => createGate({ schemes: [wrong(class Mine {})] }),
      '`schemes[0]` is not a scheme but the class Mine (make one first)',
    ],
    [
      'a scheme that does not say whether it is ambient',
      () => createGate({ schemes: [wrong({ name: 'mine', verify: () => ({}) })] }),
      'createGate: `schemes[0]` (mine): `ambient` must be true or false: true if browsers send the credential by themselves',
    ],
    [
      'a store in place of a service',
      () => sessionCookie({ sessions: wrong(store.sessions) }),
      'sessionCookie: `sessions` must be `services.sessions`, not an object without `verify`.',
    ],
    [
      'keys for devices',
      () => deviceToken({ devices: wrong(keys), keys } as never),
      'deviceToken: unknown option `keys`. Known options: devices, header, foreign, name.',
    ],
    [
      'services for devices',
      () => deviceToken({ devices: wrong(services) }),
      'deviceToken: `devices` must be `services.devices`',
    ],
    [
      'services that were not awaited',
      () => apiKey({ keys: wrong(Promise.resolve(keys)) }),
      'apiKey: `keys` must be `services.keys`, not a promise (await it first).',
    ],
    ['the service itself', () => apiKey(wrong(keys)), 'apiKey: unknown option `create`. Known options: keys'],
    [
      'tickets: services',
      () => ticket({ tickets: wrong(services) }),
      'ticket: `tickets` must be `services.tickets`',
    ],
    [
      'header: true',
      () => apiKey({ keys, header: wrong(true) }),
      'apiKey: `header` must be the name of a header',
    ],
    [
      "bearer: 'false'",
      () => apiKey({ keys, bearer: wrong('false') }),
      'apiKey: `bearer` must be true or false, not a string.',
    ],
    [
      'foreign: a Map',
      () => apiKey({ keys, foreign: wrong(new Map([['mk_', () => {}]])) }),
      'apiKey: `foreign` must be an object of functions by prefix, such as { mk_: (token) => ... }, not a Map.',
    ],
    [
      "secure: 'false'",
      () => sessionCookie({ sessions, secure: wrong('false') }),
      'sessionCookie: `secure` must be true or false, not a string.',
    ],
    [
      "sameSite: 'none'",
      () => sessionCookie({ sessions, sameSite: wrong('none') }),
      "sessionCookie: `sameSite` must be 'lax' or 'strict'.",
    ],
    [
      'logger: true',
      () => sessionCookie({ sessions, logger: wrong(true) }),
      'sessionCookie: `logger` must be a logger, with the methods `warn` and `error`, not a boolean.',
    ],
    [
      'an unset token',
      () => sharedToken({ token: wrong(undefined), principal: { kind: 'service', id: 'ci' } }),
      'sharedToken: give exactly one of `token` and `verify`',
    ],
    [
      'a principal by its id',
      () => sharedToken({ token: 'x'.repeat(16), principal: wrong('ci') }),
      'sharedToken: `principal` must be an object of options: kind, id, scopes, roles, not a string.',
    ],
    [
      'scope: for scopes:',
      () =>
        sharedToken({ token: 'x'.repeat(16), principal: wrong({ kind: 'service', id: 'ci', scope: ['a'] }) }),
      'sharedToken: `principal`: unknown option `scope`. Did you mean `scopes`?',
    ],
    [
      'scopes in one string',
      () =>
        sharedToken({
          token: 'x'.repeat(16),
          principal: { kind: 'service', id: 'ci', scopes: wrong('a b') },
        }),
      'sharedToken: `principal`: `scopes` must be a list',
    ],
    [
      'introducers: one of them',
      () => deviceKey({ pairing, devices, introducers: wrong(scheme) }),
      'deviceKey: `introducers` must be a list of schemes that read credentials in band, such as [sharedToken(...)], not an object.',
    ],
    [
      'fromRequest: the options first',
      () => fromRequest(wrong({ cookie: 'sid' })),
      'fromRequest: the first argument must be a function from a request to a principal, not an object',
    ],
    [
      'fromMiddleware without a mapping',
      () => fromMiddleware(() => {}, wrong(undefined)),
      'fromMiddleware: the second argument must be a function from a request to a principal, not undefined',
    ],
    [
      'fromMiddleware of a class',
      () => fromMiddleware(wrong(class Passport {}), () => null),
      'fromMiddleware: the first argument must be middleware, as a function (request, response, next), not the class Passport (make one first)',
    ],
    [
      'cloudflareAccess()',
      () => cloudflareAccess(wrong(undefined)),
      'cloudflareAccess: `audience` is missing; give it an array with the AUD tag of at least one Access application',
    ],
    [
      'audience: a string',
      () => cloudflareAccess({ team: 'acme', audience: wrong('aud') }),
      'cloudflareAccess: `audience` must be an array',
    ],
    [
      'byEmail(services)',
      () => byEmail(wrong(services)),
      'byEmail: `accounts` must be `services.accounts`, or an object with the method `byEmail`, not an object without `byEmail`.',
    ],
    // Rules.
    [
      'rules: one of them',
      gate({ rules: { path: '/a', access: 'public' } }),
      'createGate: `rules` must be an array of rules, not an object.',
    ],
    [
      'rules: a promise',
      gate({ rules: Promise.resolve([]) }),
      '`rules` must be an array of rules, not a promise (await it first)',
    ],
    [
      'a path by itself',
      gate({ rules: ['/health'] }),
      "createGate: `rules[0]` must be an object, such as { path: '/health', access: 'public' }.",
    ],
    [
      'paths: for path:',
      gate({ rules: [{ paths: ['/a'], access: 'public' }] }),
      '`rules[0]`: unknown option `paths`. Did you mean `path`?',
    ],
    [
      'method: for methods:',
      rule({ method: 'GET' }),
      '`rules[0]`: unknown option `method`. Did you mean `methods`?',
    ],
    [
      'methods: a string',
      rule({ methods: 'GET' }),
      '`rules[0]`: `methods` must be a non-empty list of names, not a string',
    ],
    [
      'methods: a Set',
      rule({ methods: new Set(['GET']) }),
      '`methods` must be a non-empty list of names, not a Set',
    ],
    ['a path list as a Set', rule({ path: new Set(['/a']) }), 'a path pattern must be a string such as'],
    [
      'scopes: a string',
      rule({ scopes: 'operator.admin' }),
      '`scopes` must be a non-empty list of names, not a string',
    ],
    ["kind: 'device'", rule({ kind: 'device' }), 'unknown option `kind`. Did you mean `kinds`?'],
    [
      "access: 'private'",
      rule({ access: 'private' }),
      "`access` must be 'public', 'optional', 'required' or 'deferred'",
    ],
    [
      'a handshake that was not called',
      deferred({ handshake: upgateHandshake }),
      '`rules[0]`: `handshake` must be a handshake, such as upgateHandshake(), not the function upgateHandshake (call it first).',
    ],
    [
      'the name of a handshake',
      deferred({ handshake: 'upgate' }),
      '`handshake` must be a handshake, such as upgateHandshake(), not a string.',
    ],
    [
      "dangerouslyAllowForeignOrigins: 'true'",
      rule({ dangerouslyAllowForeignOrigins: 'true' }),
      '`dangerouslyAllowForeignOrigins` must be true or false, not a string.',
    ],
    [
      'gate.require of a scope',
      () => createGate({ schemes: [scheme] }).require(wrong('operator.admin')),
      'gate.require: the options must be an object, not a string. Known options: kinds, scopes',
    ],
    // Pages, ports and limits.
    [
      'a login page elsewhere',
      gate({ rules: [page], login: { page: 'https://a.example/login' } }),
      '`login.page` "https://a.example/login" must be a path that a public rule lets in',
    ],
    [
      'login: { path }',
      gate({ rules: [page], login: { path: '/login' } }),
      'createGate: `login`: unknown option `path`. Known options: page.',
    ],
    [
      'setup without a question',
      gate({ rules: [page], setup: { page: '/login', required: true } }),
      '`setup.required` must be a function',
    ],
    [
      'clock: Date',
      gate({ clock: Date }),
      'createGate: `clock` must be a clock, with the methods `now` and `setTimer`',
    ],
    [
      'logger: console.log',
      gate({ logger: console.log }),
      'createGate: `logger` must be a logger, with the methods `warn` and `error`, not ',
    ],
    ['name: a number', gate({ name: 7 }), 'createGate: `name` must be'],
    [
      'a store that was not awaited',
      () => createServices({ store: wrong(sqliteStore({ file: '/dev/null/x' }).catch(() => {})) }),
      'createServices: `store` must be a store: memoryStore(), or what sqliteStore() or postgresStore() of upgate/sql resolves to, not a promise (await it first).',
    ],
    [
      'a part of a store',
      () => createServices({ store: wrong({ ...store, tickets: undefined }) }),
      'createServices: `store` has no `tickets`',
    ],
    [
      'a bus that was not called',
      () => createServices({ store, bus: wrong(memoryBus) }),
      'createServices: `bus` must be what postgresBus() or redisBus() resolves to, not the function memoryBus (call it first).',
    ],
    [
      'a limit as text',
      () => createServices({ store, limits: { cacheEntries: wrong('100') } }),
      'createServices: `limits.cacheEntries` must be a whole number from 2 to 10,000,000, not a string.',
    ],
    [
      'roles of pairing as a list',
      () => createServices({ store, pairing: { roles: wrong(['node']) } }),
      "createServices: `pairing.roles` must be an object of scopes by role, such as { node: ['a'] }, not a list.",
    ],
    [
      'composeStores without parts',
      () => composeStores(store, wrong(undefined)),
      'composeStores: give at least one of sessions, tickets, failures',
    ],
    [
      'a part that was not awaited',
      () => composeStores(store, { tickets: wrong(Promise.resolve({})) }),
      'composeStores: `tickets` must be what redisTickets() of upgate/redis resolves to, or a part like it, not a promise (await it first).',
    ],
    [
      'scryptHasher: N for ln',
      () => scryptHasher(wrong({ N: 65_536 })),
      'scryptHasher: unknown option `N`. Known options: ln, r, p, randomBytes.',
    ],
    // Adapters and servers.
    [
      'the app in place of the server',
      guard({}, () => {}),
      'guardServer: the first argument must be a server of node:http or node:https.',
    ],
    [
      'sockets: a server',
      guard({ sockets: wss }),
      "guardServer: `sockets` is a WebSocketServer; name the path that it owns: { '/ws': wss }.",
    ],
    [
      'sockets: a Map',
      guard({ sockets: new Map([['/ws', wss]]) }),
      "guardServer: `sockets` must be an object of WebSocketServers by path, such as { '/ws': wss }, not a Map.",
    ],
    [
      'sockets: a class',
      guard({ sockets: { '/ws': WebSocketServer } }),
      "guardServer: `sockets['/ws']` must be a WebSocketServer of the package `ws`, not the class WebSocketServer (make one first).",
    ],
    [
      'a deadline as text',
      guard({ deadline: '10s' }),
      'guardServer: `deadline` must be a whole number of milliseconds from 1 to 2,147,483,647, not a string.',
    ],
    [
      'the options second',
      () => guardServer(createServer(), wrong({ sockets: {} })),
      'guardServer: the second argument must be a gate (createGate)',
    ],
    [
      'createQuarantine()',
      () => createQuarantine(wrong(undefined)),
      'createQuarantine: the first argument must be a gate (createGate), not undefined.',
    ],
    [
      'options of a gate',
      () => expressGate(wrong({ schemes: [scheme] })),
      'expressGate: the first argument must be a gate (createGate) or the result of gate.require(...), not an object.',
    ],
    [
      'httpGate without a listener',
      () => httpGate(createGate({ schemes: [scheme] }), wrong(undefined)),
      'httpGate: the second argument must be the request listener to be guarded, not undefined.',
    ],
    [
      'tickets for a path pattern as text',
      () =>
        ticketEndpoint(createGate({ schemes: [scheme] }), { tickets: services.tickets, paths: wrong('/ws') }),
      "ticketEndpoint: `paths` must be a list of the paths of WebSockets, such as ['/ws']",
    ],
    [
      'protocol: a version',
      () => connectFrame({ protocol: wrong(3) }),
      'connectFrame: `protocol` must be a range of versions, such as { min: 3, max: 4 }, not a number.',
    ],
    [
      'token: for credential:',
      () => jsonFrame(wrong({ token: () => {} })),
      'jsonFrame: unknown option `token`. Known options: credential',
    ],
    [
      'credential: a path',
      () => jsonFrame({ credential: wrong('params.token') }),
      'jsonFrame: `credential` must be a function that finds the credential in a message, as in (message) => message.token, not a string.',
    ],
    [
      'resources: a string',
      () => oauthRules({ resources: wrong('/mcp'), origin: 'https://a.example' }),
      "oauthRules: `resources` must be a list of paths, such as ['/mcp'], not a string.",
    ],
    [
      'accounts where one is meant',
      () => byEmail(wrong(accounts.byEmail)),
      'byEmail: `accounts` must be `services.accounts`',
    ],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(TypeError)
    expect(call).toThrow(message)
  })

  it('but not what looks like one and is none', () => {
    expect(
      gate({ trustedProxies: ['loopback', 'private', '173.245.48.0/20', '2606:4700::/32'] }),
    ).not.toThrow()
    expect(gate({ trustedProxies: ['10.0.0.0/8', '::ffff:10.0.0.0/104', '0.0.0.0/3'] })).not.toThrow()
    expect(
      gate({ origins: ['chrome-extension://abcdefghijklmnop', 'http://[::1]:8787', 'http://my_host:1'] }),
    ).not.toThrow()
    expect(deferred({ handshake })).not.toThrow()
    class Logger {
      warn() {}
      error() {}
    }
    expect(gate({ logger: new Logger() })).not.toThrow()
  })

  it('never shows a value, which may be a secret', () => {
    const secret = 'hunter2-hunter2-hunter2'
    const calls = [
      () => apiKey(wrong(secret)),
      () => apiKey({ keys: wrong(secret) }),
      () => sharedToken({ token: secret, principal: wrong(secret) }),
      () => createServices({ store: wrong(secret) }),
      () => jsonFrame({ credential: wrong(secret) }),
      rule({ handshake: secret, access: 'deferred' }),
    ]
    for (const call of calls) {
      expect(call).toThrow(TypeError)
      expect(call).not.toThrow(secret)
    }
  })
})

describe('mapped addresses', () => {
  // A range as peers show themselves on a dual-stack socket was compared as IPv6 and never matched.
  it('of a range of proxies are read as what they map', () => {
    const mapped = createGate({ schemes: [scheme], trustedProxies: ['::ffff:10.0.0.0/104'] })
    const address = mapped.clientAddressOf({
      kind: 'http',
      method: 'GET',
      target: '/',
      headers: { 'x-forwarded-for': '203.0.113.9' },
      rawHeaders: [],
      peerAddress: '::ffff:10.1.2.3',
      encrypted: false,
    } as never)
    expect(address).toBe('203.0.113.9')
  })
})
