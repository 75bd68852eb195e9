// Two schemes of one type on one gate, under separate names: a rule that names one admits only principals
// that this scheme verified. By default a rule that names schemes admits the kinds of principal that they
// yield.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  apiKey,
  type Credential,
  claimSecret,
  createGate,
  deviceKey,
  deviceToken,
  fromMiddleware,
  fromRequest,
  type Gate,
  type Principal,
  type PrincipalKind,
  password,
  type RuleOptions,
  type Scheme,
  sessionCookie,
  sharedToken,
  ticket,
} from 'upgate'
import { manualClock } from 'upgate/testing'
import { deviceCredential, guardServer, upgateHandshake } from 'upgate/ws'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { team } from '../cloudflare-access/team.ts'
import { handshake, origin, request, silent, upgrade } from '../core/fixtures.ts'
import { goodPassword, login, person, setUp } from '../services/setup.ts'

/** Headers and query of a client. */
interface Sent {
  readonly headers?: Record<string, string>
  /** For an upgrade. */
  readonly query?: string
  /** For a credential in band. */
  readonly credential?: Credential
}

interface Pair {
  /** The pair, named `one` and `two`. */
  readonly schemes: readonly [Scheme, Scheme]
  /** Further schemes of the gate; rules name them too. */
  readonly others?: readonly Scheme[]
  readonly kinds: readonly PrincipalKind[]
  /** Value of `principal.scheme` under either name. */
  readonly principalSchemes: readonly [string, string]
  /** Creates a credential of each scheme, for a path. */
  readonly sent: readonly [(path: string) => Promise<Sent> | Sent, (path: string) => Promise<Sent> | Sent]
  /** Answer to a credential of the scheme that the rule does not name. */
  readonly refused: string
}

const notAllowed = '403 scheme_not_allowed'
const unclaimed = '401 invalid_credential'
const secrets = ['first-secret-0123456789', 'second-secret-0123456789'] as const

function gateOf(schemes: readonly Scheme[], rules: readonly RuleOptions[] = []): Gate {
  // A separate clock, set to the time of the services and the team.
  return createGate({ origins: [origin], logger: silent, clock: manualClock(), schemes, rules })
}

/**
 * Status and code, or the admitted principal's scheme as `allow <scheme>`: over HTTP, on an upgrade or in
 * band.
 */
async function ask(gate: Gate, path: string, { headers, query, credential }: Sent): Promise<string> {
  const isUpgrade = query !== undefined || credential !== undefined
  const asked = isUpgrade
    ? upgrade(query === undefined ? path : `${path}?${query}`, { origin })
    : { ...request(path, headers === undefined ? {} : { headers }), native: { headers } }
  const decision = await gate.decide(asked)
  const answer =
    decision.outcome === 'defer' && credential !== undefined
      ? await gate.resume(decision, { credential })
      : decision
  if ('code' in answer) return `${answer.status} ${answer.code}`
  return answer.outcome === 'allow' ? `allow ${answer.principal?.scheme}` : answer.outcome
}

async function principalOf(scheme: Pick<Scheme, 'verify'>, value: string): Promise<Principal> {
  const credential: Credential = { type: 'token', source: 'header', value }
  const context = { clientAddress: undefined, dryRun: false, path: '/', origin: undefined }
  const answer = await scheme.verify(credential, context)
  if (answer.outcome !== 'authenticated') throw new Error(answer.outcome)
  return answer.principal
}

function lookUp(name: string): Scheme {
  const find = ({ headers }: { headers: Record<string, string> }) =>
    headers[`x-${name}`] === 'yes' ? { id: 'ada' } : null
  return fromRequest(find, { name, ambient: false, header: `x-${name}` })
}

function middleware(name: string): Scheme {
  return fromMiddleware(
    (_request, _response, next) => next(),
    ({ headers }: { headers: Record<string, string> }) =>
      headers[`x-${name}`] === 'yes' ? { id: 'ada' } : null,
    { name, ambient: false, header: `x-${name}` },
  )
}

/** Two schemes over pairing services that accept every proof: these tests do not check signatures. */
function devicePair(make: typeof deviceKey, proof: Parameters<typeof deviceCredential>[0]): Pair {
  const { pairing, devices } = setUp()
  const principal = { kind: 'device', id: 'd', scheme: 'device-key', scopes: [], roles: [] } as const
  const answer = { outcome: 'authenticated', principal: { ...principal, attributes: {} } } as const
  const known = { ...pairing, prove: async () => answer }
  const credential = deviceCredential(proof)
  const one = make({ pairing: known, devices, name: 'one' })
  const two = make({ pairing: known, devices, name: 'two' })
  // In band only this distinguishes the credentials of two such schemes.
  const claimed = (scheme: Scheme, own: boolean): Scheme => ({
    ...scheme,
    claims: (given) => (given === credential) === own && scheme.claims?.(given) === true,
  })
  return {
    schemes: [claimed(one, true), claimed(two, false)],
    kinds: ['device'],
    principalSchemes: ['device-key', 'device-key'],
    sent: [() => ({ credential }), () => ({ credential: { ...credential } })],
    refused: unclaimed,
  }
}

const pairs: Record<string, () => Promise<Pair> | Pair> = {
  async apiKey() {
    const { keys } = setUp()
    const { token } = await keys.create({ name: 'ci' })
    return {
      // One service, and so one cached principal for both schemes.
      schemes: [
        apiKey({ keys, name: 'one', header: 'x-one', bearer: false }),
        apiKey({ keys, name: 'two', header: 'x-two', bearer: false }),
      ],
      kinds: ['user', 'service'],
      principalSchemes: ['api-key', 'api-key'],
      sent: [() => ({ headers: { 'x-one': token } }), () => ({ headers: { 'x-two': token } })],
      refused: notAllowed,
    }
  },
  async deviceToken() {
    const { devices } = setUp()
    const { token } = await devices.create({ name: 'kitchen' })
    return {
      schemes: [
        deviceToken({ devices, name: 'one', header: 'x-one' }),
        deviceToken({ devices, name: 'two', header: 'x-two' }),
      ],
      kinds: ['device'],
      principalSchemes: ['device-token', 'device-token'],
      sent: [() => ({ headers: { 'x-one': token } }), () => ({ headers: { 'x-two': token } })],
      refused: notAllowed,
    }
  },
  async sessionCookie() {
    const set = setUp()
    const { sessions } = set
    const { token } = await login(set, (await person(set)).id)
    return {
      schemes: [
        sessionCookie({ sessions, cookieName: 'a', name: 'one' }),
        sessionCookie({ sessions, cookieName: 'b', name: 'two' }),
      ],
      kinds: ['user'],
      principalSchemes: ['session', 'session'],
      sent: [
        () => ({ headers: { cookie: `__Host-a=${token}` } }),
        () => ({ headers: { cookie: `__Host-b=${token}` } }),
      ],
      // Cookies that do not count under the rule are ignored.
      refused: '401 auth_required',
    }
  },
  async password() {
    const set = setUp()
    await person(set)
    const { accounts } = set
    const account = 'ada@example.com'
    const sent = { type: 'password', source: 'frame', value: goodPassword } as const
    const one = password({ accounts, name: 'one' })
    const two = password({ accounts, account, name: 'two' })
    const named = (credential: Credential) =>
      credential.type === 'password' && credential.account !== undefined
    return {
      schemes: [
        { ...one, claims: named },
        { ...two, claims: (credential) => !named(credential) },
      ],
      kinds: ['user'],
      principalSchemes: ['password', 'password'],
      sent: [() => ({ credential: { ...sent, account } }), () => ({ credential: sent })],
      refused: unclaimed,
    }
  },
  async ticket() {
    const set = setUp()
    const { tickets, sessions } = set
    const { token } = await login(set, (await person(set)).id)
    const session = sessionCookie({ sessions })
    const make = async (path: string) =>
      (await tickets.create(await principalOf(session, token), { path, origin })).ticket
    return {
      schemes: [ticket({ tickets, query: 'a', name: 'one' }), ticket({ tickets, query: 'b', name: 'two' })],
      others: [session],
      kinds: ['user'],
      principalSchemes: ['session', 'session'],
      sent: [
        async (path) => ({ query: `a=${await make(path)}` }),
        async (path) => ({ query: `b=${await make(path)}` }),
      ],
      refused: notAllowed,
    }
  },
  deviceKey: () =>
    devicePair(deviceKey, { by: 'key', publicKey: 'a', signature: 'b', signedTexts: ['c'], wish: {} }),
  claimSecret: () => devicePair(claimSecret, { by: 'claim', secret: 'x'.repeat(43), wish: {} }),
  sharedToken: () => ({
    schemes: [
      sharedToken({
        token: secrets[0],
        principal: { kind: 'service', id: 'a' },
        name: 'one',
        header: 'x-one',
      }),
      sharedToken({
        token: secrets[1],
        principal: { kind: 'service', id: 'b' },
        name: 'two',
        header: 'x-two',
      }),
    ],
    kinds: ['service'],
    principalSchemes: ['one', 'two'],
    sent: [() => ({ headers: { 'x-one': secrets[0] } }), () => ({ headers: { 'x-two': secrets[1] } })],
    refused: notAllowed,
  }),
  fromRequest: () => ({
    schemes: [lookUp('one'), lookUp('two')],
    kinds: ['user'],
    principalSchemes: ['one', 'two'],
    sent: [() => ({ headers: { 'x-one': 'yes' } }), () => ({ headers: { 'x-two': 'yes' } })],
    refused: notAllowed,
  }),
  fromMiddleware: () => ({
    schemes: [middleware('one'), middleware('two')],
    kinds: ['user'],
    principalSchemes: ['one', 'two'],
    sent: [() => ({ headers: { 'x-one': 'yes' } }), () => ({ headers: { 'x-two': 'yes' } })],
    refused: notAllowed,
  }),
}

describe.each(Object.entries(pairs))('two of %s under separate names', (_, make) => {
  /** Rules that leave `kinds` to the schemes; deferred ones name the kinds. */
  async function stage() {
    const pair = await make()
    const [one, two] = pair.schemes
    const others = (pair.others ?? []).map(({ name }) => name)
    const rules = [one.name, two.name].flatMap((name): RuleOptions[] => [
      { path: `/${name}`, access: 'required', schemes: [name, ...others] },
      { path: `/ws-${name}`, access: 'deferred', schemes: [name, ...others], kinds: pair.kinds, handshake },
    ])
    const gate = gateOf([...pair.schemes, ...(pair.others ?? [])], rules)
    const from = async (which: 0 | 1, name: 'one' | 'two'): Promise<string> => {
      const sent = await pair.sent[which](`/${name}`)
      return ask(gate, sent.credential === undefined ? `/${name}` : `/ws-${name}`, sent)
    }
    return { ...pair, gate, from }
  }

  test('a rule that names one admits principals that it verified, and none of the other', async () => {
    const { schemes, from, principalSchemes, refused } = await stage()
    expect(schemes.map(({ name }) => name)).toEqual(['one', 'two'])
    expect(await from(0, 'one')).toBe(`allow ${principalSchemes[0]}`)
    expect(await from(1, 'two')).toBe(`allow ${principalSchemes[1]}`)
    expect(await from(1, 'one')).toBe(refused)
    expect(await from(0, 'two')).toBe(refused)
  })

  test('a rule without `kinds` admits the kinds that the scheme yields', async () => {
    const { gate, kinds } = await stage()
    const listed = gate.rules().filter(({ path, transport }) => path === '/one' && transport === 'http')
    expect(listed).toMatchObject([{ openTo: kinds }])
    const explained = await gate.explain(request('/one'))
    const rule = explained.steps.find(({ step }) => step === 'rule')?.detail
    expect(rule).toContain(`kinds ${kinds.join(', ')} (by default those that its schemes yield), schemes one`)
  })
})

test('cloudflareAccess under another name: users by default, service tokens if the rule says so', async () => {
  const acme = team({ name: 'acme', services: { 'svc.access': { id: 'backup', scopes: [] } } })
  const gate = gateOf(
    [acme.scheme, apiKey({ keys: setUp().keys })],
    [
      { path: '/people', access: 'required', schemes: ['acme'] },
      { path: '/robots', access: 'required', schemes: ['acme'], kinds: ['service'] },
      { path: '/keys', access: 'required', schemes: ['api-key'] },
    ],
  )
  const user = { headers: { 'cf-access-jwt-assertion': acme.user() } }
  const service = { headers: { 'cf-access-jwt-assertion': acme.service({ common_name: 'svc.access' }) } }
  expect(await ask(gate, '/people', user)).toBe('allow acme')
  expect(await ask(gate, '/people', service)).toBe('403 kind_not_allowed')
  expect(await ask(gate, '/robots', service)).toBe('allow acme')
  expect(await ask(gate, '/keys', user)).toBe(notAllowed)
})

describe('principals that look alike', () => {
  /** Sessions under two names, tickets for their principals, and rules that name some of these schemes. */
  async function stage() {
    const set = setUp()
    const { sessions, tickets } = set
    const account = await person(set)
    const { token } = await login(set, account.id)
    const web = sessionCookie({ sessions, cookieName: 'web', name: 'web' })
    const admin = sessionCookie({ sessions, cookieName: 'admin', name: 'admin' })
    const named = (path: string, schemes: readonly string[]): RuleOptions[] => [
      { path, access: 'required', schemes },
      { path: `/ws${path}`, access: 'deferred', schemes, handshake },
    ]
    const gate = gateOf(
      [web, admin, ticket({ tickets, query: 'ticket' })],
      [
        ...named('/admin', ['admin', 'ticket']),
        ...named('/web', ['web']),
        ...named('/both', ['web', 'admin', 'ticket']),
      ],
    )
    const make = async (path: string) =>
      (await tickets.create(await principalOf(web, token), { path, origin })).ticket
    const inBand = async (path: string): Promise<Sent> => ({
      credential: { type: 'token', source: 'frame', value: await make(path), hint: 'ticket' },
    })
    const inQuery = async (path: string): Promise<Sent> => ({ query: `ticket=${await make(path)}` })
    return { ...set, gate, account, token, web, inBand, inQuery }
  }

  test('a ticket does not carry a principal past a rule that names another scheme of its type', async () => {
    const { gate, inBand, inQuery } = await stage()
    expect(await ask(gate, '/admin', await inQuery('/admin'))).toBe(notAllowed)
    expect(await ask(gate, '/ws/admin', await inQuery('/ws/admin'))).toBe('defer')
    expect(await ask(gate, '/ws/admin', await inBand('/ws/admin'))).toBe(notAllowed)
    // A rule without `ticket` does not count tickets at all.
    expect(await ask(gate, '/web', await inQuery('/web'))).toBe(notAllowed)
    expect(await ask(gate, '/ws/web', await inBand('/ws/web'))).toBe(unclaimed)
  })

  test('a renewal of a socket does not carry a principal past such a rule either', async () => {
    const { sessions, tickets, ...set } = setUp()
    const { token } = await login(
      { sessions, tickets, ...set },
      (await person({ sessions, tickets, ...set })).id,
    )
    const web = sessionCookie({ sessions, cookieName: 'web', name: 'web' })
    const admin = sessionCookie({ sessions, cookieName: 'admin', name: 'admin' })
    const gate = gateOf(
      [web, admin, ticket({ tickets })],
      [
        {
          path: '/ws',
          access: 'deferred',
          schemes: ['admin', 'ticket'],
          handshake: upgateHandshake({ refresh: true }),
        },
      ],
    )
    const server = createServer()
    const wss = new WebSocketServer({ noServer: true })
    wss.on('connection', () => {})
    const guarded = guardServer(server, gate, { sockets: { '/ws': wss } })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const ws = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`, {
        headers: { host: 'gateway.example.com', origin, cookie: `__Host-admin=${token}` },
      })
      await once(ws, 'open')
      const made = await tickets.create(await principalOf(web, token), { path: '/ws', origin })
      ws.send(JSON.stringify({ type: 'auth_refresh', token: made.ticket }))
      const [data] = (await once(ws, 'message')) as [Buffer]
      expect(JSON.parse(String(data))).toMatchObject({
        type: 'auth_refresh_failed',
        code: 'scheme_not_allowed',
      })
      ws.terminate()
    } finally {
      server.close()
      server.closeAllConnections()
      gate.close()
      void guarded.close()
    }
  })

  test('a ticket counts if the rule names every scheme of that type, and `explain` says so', async () => {
    const { gate, inBand, inQuery } = await stage()
    expect(await ask(gate, '/both', await inQuery('/both'))).toBe('allow session')
    expect(await ask(gate, '/ws/both', await inQuery('/ws/both'))).toBe('allow session')
    expect(await ask(gate, '/ws/both', await inBand('/ws/both'))).toBe('allow session')
    const { query } = await inQuery('/admin')
    const { steps, decision } = await gate.explain(upgrade(`/admin?${query}`, { origin }))
    expect(steps.find(({ step }) => step === 'note')?.detail).toBe(
      'The scheme ticket stands here for a principal of the scheme session: it counts where the rule names web, admin, too. The rule counts admin, ticket.',
    )
    expect(decision).toMatchObject({ code: 'scheme_not_allowed' })
  })

  test('a scheme that has the name of a type does not open its rules to principals of that type', async () => {
    const { sessions, tickets, ...set } = setUp()
    const { token } = await login(
      { sessions, tickets, ...set },
      (await person({ sessions, tickets, ...set })).id,
    )
    const cookie = sessionCookie({ sessions, cookieName: 'web', name: 'web' })
    const made = (await tickets.create(await principalOf(cookie, token), { path: '/a', origin })).ticket
    const gate = gateOf(
      [cookie, ticket({ tickets, query: 'ticket', name: 'session' }), lookUp('one')],
      [{ path: '/a', access: 'required', schemes: ['session', 'one'] }],
    )
    expect(await ask(gate, '/a', { query: `ticket=${made}` })).toBe(notAllowed)
  })

  test('two rules on one request admit only schemes that both name', async () => {
    const { keys } = setUp()
    const { token } = await keys.create({ name: 'ci' })
    const schemes = [
      apiKey({ keys, name: 'one', header: 'x-one', bearer: false }),
      apiKey({ keys, name: 'two', header: 'x-two', bearer: false }),
    ]
    const gate = gateOf(schemes, [
      { path: '/a', access: 'required', schemes: ['one'] },
      { path: '/b', access: 'required', schemes: ['one', 'two'] },
      { path: '/c', access: 'required', schemes: ['two'] },
      { path: '/d', access: 'required' },
    ])
    const rewritten = async (target: string, rewrittenTarget: string, header: string) => {
      const answer = await gate.decide(request(target, { headers: { [header]: token }, rewrittenTarget }))
      return 'code' in answer ? `${answer.status} ${answer.code}` : answer.outcome
    }
    expect(await rewritten('/a', '/b', 'x-one')).toBe('allow')
    expect(await rewritten('/a', '/b', 'x-two')).toBe(notAllowed)
    for (const header of ['x-one', 'x-two']) {
      expect(await rewritten('/a', '/c', header)).toBe(notAllowed)
      // The kinds of the schemes are a default of one rule; the other rule admits users.
      expect(await rewritten(header === 'x-one' ? '/a' : '/c', '/d', header)).toBe('403 kind_not_allowed')
    }
  })

  test('an edge under one name does not count if a rule names another', async () => {
    const edge = (name: string, header: string): Scheme => ({
      name,
      ambient: false,
      edge: true,
      principalSchemes: ['edge'],
      headers: [header],
      extract: ({ headers }) =>
        headers[header] === undefined
          ? undefined
          : { location: header, credential: { type: 'token', source: 'edge', value: 'x' } },
      verify: () => ({
        outcome: 'authenticated',
        principal: { kind: 'user', id: 'ada', scheme: 'edge', scopes: [], roles: [], attributes: {} },
      }),
    })
    const gate = gateOf(
      [edge('east', 'x-east'), edge('west', 'x-west'), lookUp('one')],
      [
        { path: '/east', access: 'required', schemes: ['east'] },
        { path: '/one', access: 'required', schemes: ['one'] },
        { path: '/ws', access: 'deferred', schemes: ['east'], handshake },
      ],
    )
    expect(await ask(gate, '/east', { headers: { 'x-east': '1' } })).toBe('allow edge')
    expect(await ask(gate, '/east', { headers: { 'x-west': '1' } })).toBe(notAllowed)
    // The own credential has priority over the edge's, under its own scheme.
    const both = { headers: { 'x-east': '1', 'x-one': 'yes' } }
    expect(await ask(gate, '/one', both)).toBe('allow one')
    expect(await ask(gate, '/east', both)).toBe(notAllowed)
    expect(await gate.decide(upgrade('/ws', { origin, 'x-east': '1' }))).toMatchObject({ outcome: 'allow' })
    expect(await gate.decide(upgrade('/ws', { origin, 'x-west': '1' }))).toMatchObject({ outcome: 'defer' })
  })

  test('ending all sessions reaches the principals of both names', async () => {
    const { gate, sessions, account, token } = await stage()
    const closed: string[] = []
    for (const name of ['web', 'admin']) {
      const decision = await gate.decide(
        request(`/${name}`, { headers: { cookie: `__Host-${name}=${token}` } }),
      )
      if (decision.outcome !== 'allow' || decision.principal === undefined) throw new Error(decision.outcome)
      const { principal, asOf } = decision
      const connection = {
        id: name,
        path: `/${name}`,
        principal,
        acceptedAt: 0,
        close: () => void closed.push(name),
      }
      expect(gate.connections.register(connection, asOf).outcome).toBe('registered')
    }
    await sessions.revokeAll(account.id)
    expect(closed.sort()).toEqual(['admin', 'web'])
  })

  test('of foreign tokens, only those under the name of the scheme count', async () => {
    const { keys } = setUp()
    const foreign = {
      mk_: async (value: string) => ({
        outcome: 'authenticated' as const,
        principal: {
          kind: 'device' as const,
          id: 'node-1',
          scheme: value.slice(3),
          scopes: [],
          roles: [],
          attributes: {},
        },
      }),
    }
    const schemes = [apiKey({ keys, name: 'partner', foreign }), lookUp('one')]
    const gate = gateOf(schemes, [{ path: '/a', access: 'required', schemes: ['partner'] }])
    const from = (scheme: string) => ask(gate, '/a', { headers: { 'x-api-key': `mk_${scheme}` } })
    expect(await from('partner')).toBe('allow partner')
    expect(await from('api-key')).toBe('allow api-key')
    expect(await from('one')).toBe(notAllowed)
    expect(await from('nothing')).toBe(notAllowed)
  })
})

describe('kinds by default', () => {
  const { keys, devices, sessions, tickets } = setUp()
  const schemes = [
    sessionCookie({ sessions }),
    apiKey({ keys }),
    deviceToken({ devices }),
    ticket({ tickets }),
    lookUp('own'),
  ]
  const openTo = (rule: Omit<RuleOptions, 'path'>) =>
    gateOf(schemes, [{ path: '/a', ...rule }])
      .rules()
      .find(({ path }) => path === '/a')?.openTo

  test.each<[string, Omit<RuleOptions, 'path'>, readonly PrincipalKind[]]>([
    ['one scheme', { access: 'required', schemes: ['api-key'] }, ['user', 'service']],
    ['several', { access: 'required', schemes: ['device-token', 'session'] }, ['user', 'device']],
    ['a ticket, which adds none', { access: 'required', schemes: ['ticket', 'device-token'] }, ['device']],
    ['a scheme that declares nothing', { access: 'required', schemes: ['own'] }, ['user']],
    ['kinds that are named', { access: 'required', schemes: ['api-key'], kinds: ['user'] }, ['user']],
    ['no schemes', { access: 'required' }, ['user']],
    ['a deferred rule', { access: 'deferred', handshake }, ['user']],
    ['a deferred rule with schemes', { access: 'deferred', schemes: ['api-key'], handshake }, ['user']],
  ])('%s', (_, rule, kinds) => {
    expect(openTo(rule)).toEqual(kinds)
  })

  test('a path without a rule admits users', () => {
    const listed = gateOf([apiKey({ keys })]).rules()
    expect(listed.map(({ path, openTo: to }) => [path, to])).toEqual([
      ['(unmatched)', ['user']],
      ['(unmatched)', ['user']],
    ])
  })

  test('gate.require uses the schemes too', async () => {
    const { token } = await keys.create({ name: 'ci' })
    const gate = gateOf(schemes)
    const sent = request('/a', { headers: { 'x-api-key': token } })
    expect(await gate.require({ schemes: ['api-key'] }).decide(sent)).toMatchObject({ outcome: 'allow' })
    expect(await gate.require().decide(sent)).toMatchObject({ code: 'kind_not_allowed' })
  })

  test.each<[string, Omit<RuleOptions, 'path'>, string]>([
    [
      'schemes whose kinds the rule does not admit',
      { access: 'required', schemes: ['session', 'api-key'], kinds: ['device'] },
      "createGate: `rules[0]`: `schemes` names session, api-key, which yield principals of kind user, service, and `kinds` admits device only: nothing could ever enter. Name another scheme, or write kinds: ['user', 'service'].",
    ],
    [
      'a deferred rule that leaves out the kinds of its schemes',
      { access: 'deferred', schemes: ['device-token'], handshake },
      "createGate: `rules[0]`: `schemes` names device-token, which yield principals of kind device, and `kinds` admits user (the default of deferred rules): nothing could ever enter. Name another scheme, or write kinds: ['device'].",
    ],
    [
      'tickets alone',
      { access: 'required', schemes: ['ticket'] },
      'createGate: `rules[0]`: `schemes` names ticket alone, which stands for principals of other schemes; name those schemes, too.',
    ],
  ])('%s: the gate is not made', (_, rule, message) => {
    expect(() => gateOf(schemes, [{ path: '/a', ...rule }])).toThrow(new TypeError(message))
  })

  test('a scheme that declares no kinds may yield any kind', () => {
    expect(openTo({ access: 'required', schemes: ['own', 'session'], kinds: ['device'] })).toEqual(['device'])
  })

  test('a shared token of a kind that the rule does not admit is reported', () => {
    const shared = sharedToken({ token: secrets[0], principal: { kind: 'service', id: 'ci' } })
    const rule: RuleOptions = { path: '/a', access: 'required', schemes: ['shared-token'], kinds: ['user'] }
    expect(() => gateOf([shared], [rule])).toThrow(
      /which yield principals of kind service, and `kinds` admits user only/,
    )
  })
})

describe('wrong names', () => {
  const { keys, devices, sessions, tickets, accounts, pairing } = setUp()

  test('`name` alone, which named the cookie before, does not silently rename the scheme', () => {
    expect(() => sessionCookie({ sessions, name: 'gw' })).toThrow(
      new TypeError(
        'sessionCookie: `name` alone meant the cookie before; it is the name of the scheme now. Write `cookieName` for the cookie; to name the scheme, give both `cookieName` and `name`.',
      ),
    )
    const scheme = sessionCookie({ sessions, cookieName: 'gw' })
    expect(scheme).toMatchObject({ name: 'session', cookieName: '__Host-gw' })
  })

  test.each<[string, (name: never) => unknown]>([
    ['apiKey', (name) => apiKey({ keys, name })],
    ['deviceToken', (name) => deviceToken({ devices, name })],
    ['password', (name) => password({ accounts, name })],
    ['ticket', (name) => ticket({ tickets, name })],
    ['deviceKey', (name) => deviceKey({ pairing, devices, name })],
    ['claimSecret', (name) => claimSecret({ pairing, devices, name })],
    ['sessionCookie', (name) => sessionCookie({ sessions, cookieName: 'gw', name })],
  ])('%s takes no empty name and no other value', (where, make) => {
    for (const [name, what] of [
      ['', 'an empty string'],
      [7, 'a number'],
      [null, 'null'],
    ]) {
      expect(() => make(name as never)).toThrow(
        new TypeError(`${where}: \`name\` must be a non-empty string, not ${what}.`),
      )
    }
  })

  test('two schemes of one name are refused with advice that works', () => {
    expect(() => gateOf([apiKey({ keys }), apiKey({ keys, header: 'x-other' })])).toThrow(
      'createGate: `schemes` holds two schemes named "api-key"; give one another `name`.',
    )
    expect(() => gateOf([apiKey({ keys }), apiKey({ keys, header: 'x-other', name: 'other' })])).not.toThrow()
  })

  test.each<[string, Partial<Record<'yields' | 'principalSchemes', unknown>>, string]>([
    [
      'a kind that is none',
      { yields: ['robot'] },
      '`yields` must be a list of kinds: user, device, service.',
    ],
    [
      'kinds in one string',
      { yields: 'user' },
      '`yields` must be a list of kinds: user, device, service, not a string.',
    ],
    [
      'an empty name',
      { principalSchemes: [''] },
      '`principalSchemes` must be a list of names, such as `session`.',
    ],
    [
      'names in one string',
      { principalSchemes: 'session' },
      '`principalSchemes` must be a list of names, such as `session`, not a string.',
    ],
  ])('a scheme of the application with %s', (_, wrong, message) => {
    expect(() => gateOf([{ ...lookUp('own'), ...wrong } as Scheme])).toThrow(
      new TypeError(`createGate: \`schemes[0]\` (own): ${message}`),
    )
  })
})
