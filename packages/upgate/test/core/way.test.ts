/* What proxies did to a request on its way, as the operator is told: in the event, the log, `explain` and the guide. */
import { readFileSync } from 'node:fs'
import type { AuditEvent, AuthRequest, Gate, GateOptions } from 'upgate'
import { manualClock } from 'upgate/testing'
import { describe, expect, it } from 'vitest'
import { handshake, makeGate, origin, request, upgrade, verdict } from './fixtures.ts'

const guide = readFileSync(new URL('../../../../docs/guide-proxies.md', import.meta.url), 'utf8')

interface Sample {
  readonly sign: string
  readonly asked: AuthRequest
  readonly outcome: string
  readonly options?: Partial<GateOptions>
  /** For the log of requests that are let in as well. */
  readonly isLetIn?: boolean
}

const withPort = { origins: ['https://gateway.example.com:8443'] }
const get = (headers: Record<string, string>, options: Parameters<typeof request>[1] = {}): AuthRequest =>
  request('/any', { ...options, headers })
const session = { cookie: 'sid=u' }

const samples: readonly Sample[] = [
  {
    sign: 'host_replaced',
    asked: get({ host: '127.0.0.1:8787', 'x-forwarded-host': 'gateway.example.com' }),
    outcome: 'forbid host_refused',
  },
  {
    sign: 'host_port_dropped',
    asked: get({ host: 'gateway.example.com', 'x-forwarded-host': 'gateway.example.com:8443' }),
    outcome: 'forbid host_refused',
    options: withPort,
  },
  {
    sign: 'host_missing',
    asked: { ...request('/any'), headers: {}, rawHeaders: [] },
    outcome: 'forbid host_refused',
  },
  { sign: 'origin_removed', asked: upgrade('/any', session), outcome: 'challenge auth_required' },
  {
    sign: 'origin_written',
    asked: get({ ...session, origin, 'sec-fetch-site': 'cross-site' }, { method: 'POST' }),
    outcome: 'forbid origin_refused',
  },
  {
    sign: 'origin_on_navigation',
    asked: get({ ...session, origin, 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' }),
    outcome: 'allow',
    isLetIn: true,
  },
  {
    sign: 'upgrade_lost',
    asked: request('/ws', {
      headers: { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13' },
    }),
    outcome: 'invalid upgrade_required',
  },
  {
    sign: 'upgrade_added',
    asked: get({ ...session, upgrade: 'websocket', connection: 'upgrade' }),
    outcome: 'allow',
    isLetIn: true,
  },
  {
    sign: 'upgrade_added',
    // As haproxy completes it.
    asked: get(
      {
        ...session,
        upgrade: 'websocket',
        connection: 'upgrade',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      },
      { kind: 'upgrade' },
    ),
    outcome: 'invalid unsupported_upgrade',
    isLetIn: true,
  },
  {
    sign: 'authorization_unread',
    asked: get({ ...session, authorization: 'Basic ZnJvbnQ6c2VjcmV0' }),
    outcome: 'challenge invalid_credential',
  },
  {
    sign: 'edge_counted',
    asked: get({ 'cf-connecting-ip': '203.0.113.9' }, { peerAddress: '162.158.1.1' }),
    outcome: 'challenge auth_required',
  },
  {
    sign: 'client_in_proxies',
    asked: get({ 'x-forwarded-for': '192.168.1.20' }, { peerAddress: '192.168.1.1' }),
    outcome: 'challenge auth_required',
    options: { trustedProxies: ['private'] },
  },
  {
    sign: 'client_unnamed',
    asked: get({}, { peerAddress: '10.0.0.1' }),
    outcome: 'challenge auth_required',
    options: { trustedProxies: ['10.0.0.1'] },
  },
]

interface Watched {
  readonly gate: Gate
  readonly events: AuditEvent[]
  readonly lines: [string, unknown][]
  readonly clock: ReturnType<typeof manualClock>
}

function watch(options: Partial<GateOptions> = {}): Watched {
  const lines: [string, unknown][] = []
  const clock = manualClock()
  const gate = makeGate({
    clock,
    logger: { warn: (message, fields) => lines.push([message, fields]), error() {} },
    rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake }],
    ...options,
  })
  const events: AuditEvent[] = []
  gate.events.subscribe((event) => events.push(event))
  return { gate, events, lines, clock }
}

/** The operator's sentences, by `explain`. */
async function explained(gate: Gate, asked: AuthRequest): Promise<string[]> {
  const { steps } = await gate.explain(asked)
  return steps.filter(({ step }) => step === 'way').map(({ detail }) => detail)
}

function rowOf(sign: string): string | undefined {
  return guide.split('\n').find((line) => line.startsWith(`| \`${sign}\` |`))
}

describe.each(samples)('$sign', ({ sign, asked, outcome, options, isLetIn }) => {
  it('is told to the operator in the event, the log, `explain` and the guide, and to no client', async () => {
    const { gate, events, lines } = watch(options)
    const sentences = await explained(gate, asked)
    expect(sentences.length, 'explained').toBeGreaterThan(0)
    const sentence = sentences.find((each) => rowOf(sign)?.includes(each))
    expect(sentence, `the guide has a row for ${sign} with one of: ${sentences.join('\n')}`).toBeDefined()
    const [first = ''] = sentences
    expect(await verdict(gate, asked)).toBe(outcome)
    const logged = lines.filter(([, fields]) =>
      JSON.stringify(fields)?.includes(JSON.stringify(first).slice(1, -1)),
    )
    expect(logged, 'one line').toHaveLength(1)
    expect(logged[0]?.[1]).toMatchObject({ reason: expect.stringContaining(first) })
    if (isLetIn === true) return
    const refused = events.find((event) => event.type === 'refused')
    expect(refused).toMatchObject({ reason: expect.stringContaining(first) })
    const decision = await gate.decide(asked)
    if (!('code' in decision)) throw new Error(decision.outcome)
    const answer = JSON.stringify(gate.render(decision, asked))
    for (const piece of [first.slice(0, 40), 'proxy_set_header', 'trustedProxies', 'ignoreAuthorization']) {
      expect(answer).not.toContain(piece)
    }
  })

  it('cannot flood the log, whoever sends it', async () => {
    const { gate, lines, clock } = watch(options)
    const count = (): number =>
      lines.filter(([, fields]) => JSON.stringify(fields ?? '').includes('reason')).length
    // Not awaited: answers to wrong credentials are held back.
    for (let i = 0; i < 200; i++) void gate.decide(asked)
    expect(count()).toBe(isLetIn === true ? 1 : 5)
    clock.advance(isLetIn === true ? 3_599_999 : 9_999)
    void gate.decide(asked)
    expect(count()).toBe(isLetIn === true ? 1 : 5)
    clock.advance(1)
    void gate.decide(asked)
    expect(count(), 'the operator hears of it again').toBe(isLetIn === true ? 2 : 6)
  })
})

describe('signs that a client sends itself', () => {
  it.each([
    [
      'a forwarded name',
      { 'x-forwarded-host': 'gateway.example.com', forwarded: 'host=gateway.example.com' },
    ],
    ['an address of Cloudflare', { 'cf-connecting-ip': '198.51.100.1', 'cf-ray': '1-AMS' }],
    ['a chain of addresses', { 'x-forwarded-for': '10.0.0.1, 10.0.0.2' }],
    ['a key of a WebSocket', { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }],
    ['Upgrade', { upgrade: 'websocket' }],
    ['a navigation with an Origin', { origin, 'sec-fetch-mode': 'navigate' }],
  ])('%s decides nothing', async (_what, headers) => {
    const { gate } = watch()
    expect(await verdict(gate, get({ ...session, ...headers }))).toBe('allow')
    expect(await verdict(gate, get(headers))).toBe('challenge auth_required')
    expect(await verdict(gate, get({ ...headers, host: 'evil.example' }))).toBe('forbid host_refused')
    expect(await verdict(gate, get({ ...headers, origin: 'https://evil.example' }, { method: 'POST' }))).toBe(
      'forbid origin_refused',
    )
    expect(gate.clientAddressOf(get(headers))).toBe('203.0.113.7')
  })

  it('quotes no credential, and no first word that may be a part of one', async () => {
    const { gate, events } = watch()
    for (const authorization of ['hunter2 and more', 'ugk_abc', 'Basic c2VjcmV0LXZhbHVl', 'x-y', 'Bearer']) {
      await gate.decide(get({ authorization }))
    }
    const reasons = events.map((event) => ('reason' in event ? event.reason : undefined))
    expect(reasons[0]).toMatch(/^Authorization arrived with a first word that is no usual scheme word/)
    expect(reasons[2]).toContain("`ignoreAuthorization: ['Basic']`")
    expect(
      JSON.stringify([events, await gate.explain(get({ authorization: 'hunter2 and more' }))]),
    ).not.toMatch(/hunter2|ugk_abc|c2VjcmV0|x-y/)
    expect(reasons[4], 'Bearer is read here').toBeUndefined()
  })

  it('cuts and escapes what it quotes', async () => {
    const { gate, events } = watch()
    await gate.decide(get({ host: `evil\u001b[2J"${'x'.repeat(500)}`, 'x-forwarded-host': '\u0007"y' }))
    const [event] = events
    const reason = event?.type === 'refused' ? (event.reason ?? '') : ''
    expect(reason).toContain('Host arrived as "evil?[2J\\"xxx')
    expect(reason).toContain('The forwarded name is "?\\"y"')
    expect(reason).not.toMatch(/x{101}/)
  })
})

describe('an Origin that a proxy wrote', () => {
  const post = (headers: Record<string, string>): AuthRequest =>
    get({ ...session, ...headers }, { method: 'POST' })

  it('is foreign over HTTP where the browser says that the page is of another site', async () => {
    const { gate } = watch()
    for (const site of ['cross-site', 'same-site']) {
      expect(await verdict(gate, post({ origin, 'sec-fetch-site': site }))).toBe('forbid origin_refused')
      const preflight = request('/any', {
        method: 'OPTIONS',
        headers: { origin, 'sec-fetch-site': site, 'access-control-request-method': 'PUT' },
      })
      expect(await verdict(gate, preflight)).toBe('forbid origin_refused')
    }
    for (const site of ['same-origin', 'none']) {
      expect(await verdict(gate, post({ origin, 'sec-fetch-site': site }))).toBe('allow')
    }
    expect(await verdict(gate, post({ origin }))).toBe('allow')
    const spelled = { origin, host: 'Gateway.Example.com:443', 'sec-fetch-site': 'cross-site' }
    expect(await verdict(gate, post(spelled))).toBe('forbid origin_refused')
  })

  it('is not seen in a page of another allowed origin, nor in one of the other scheme', async () => {
    const pages = 'https://pages.example.com'
    const { gate } = watch({ origins: [origin, pages] })
    expect(await verdict(gate, post({ origin: pages, 'sec-fetch-site': 'same-site' }))).toBe('allow')
    const both = watch({ origins: [origin, 'http://gateway.example.com'] })
    for (const sent of [origin, 'http://gateway.example.com']) {
      expect(await verdict(both.gate, post({ origin: sent, 'sec-fetch-site': 'cross-site' }))).toBe('allow')
    }
    expect(both.lines).toEqual([])
  })

  it('changes no decision about upgrades, with which Chromium says nothing', async () => {
    const { gate, lines } = watch()
    const asked = upgrade('/any', { ...session, origin, 'sec-fetch-site': 'cross-site' })
    expect(await verdict(gate, asked)).toBe('allow')
    expect(lines.map(([message]) => message)).toEqual(['An Origin contradicts what the browser says.'])
  })

  it('is told where Host was replaced and Origin was not, as by development servers', async () => {
    const { gate, events } = watch()
    await gate.decide(post({ origin: 'http://localhost:5173', 'sec-fetch-site': 'same-origin' }))
    expect(events[0]).toMatchObject({
      code: 'origin_refused',
      reason: expect.stringContaining(
        'Origin "http://localhost:5173" is not Host "gateway.example.com": a proxy replaced one of the two.',
      ),
    })
  })
})

describe('hosts', () => {
  it('reads :authority of HTTP/2 where there is no Host', async () => {
    const { gate } = watch()
    const asked = (authority: string): AuthRequest => {
      const headers = { ':authority': authority, ...session }
      return { ...request('/any'), headers, rawHeaders: Object.entries(headers).flat() }
    }
    expect(await verdict(gate, asked('gateway.example.com'))).toBe('allow')
    expect(await verdict(gate, asked('evil.example'))).toBe('forbid host_refused')
  })
})

describe('deferred paths', () => {
  it('tell of a cookie that did not count, for a page that waits in quarantine in vain', async () => {
    const { gate, events, lines } = watch()
    expect(await verdict(gate, upgrade('/ws', session))).toBe('defer')
    const reason = expect.stringMatching(
      /^The upgrade has "cookie sid", which did not count, because it has no Origin/,
    )
    expect(events[0]).toMatchObject({ type: 'deferred', reason })
    expect(lines).toEqual([['A credential did not count, because the Origin is missing.', { reason }]])
    expect(await verdict(gate, upgrade('/ws'))).toBe('defer')
    expect(await verdict(gate, upgrade('/ws', { ...session, origin }))).toBe('defer')
    expect(lines, 'said of that alone').toHaveLength(1)
  })
})

it('tells what a scheme found wrong, and of clocks that differ', async () => {
  const { gate, events, lines } = watch({
    schemes: [
      {
        name: 'early',
        ambient: false,
        extract: () => ({
          location: 'authorization',
          credential: { type: 'token', source: 'header', value: 'x' },
        }),
        verify: () => ({
          outcome: 'rejected',
          code: 'invalid_credential',
          reason: 'the token is not valid yet',
          clocksDiffer: true,
        }),
      },
    ],
  })
  await gate.decide(get({ authorization: 'Bearer x' }))
  const reason = 'The scheme early says: the token is not valid yet.'
  expect(events[0]).toMatchObject({ type: 'refused', reason })
  expect(lines).toEqual([
    [
      'A credential was refused, because the clocks of its issuer and of this server differ.',
      { code: 'invalid_credential', reason },
    ],
  ])
})

describe('requests that are let in', () => {
  const traces = ['x-forwarded-host', 'x-original-host', 'forwarded', 'cf-connecting-ip', 'sec-fetch-mode']
  const handshakeTraces = ['sec-websocket-key', 'sec-websocket-version']
  it.each<[string, AuthRequest, readonly string[]]>([
    ['a public path', request('/open'), [...traces, ...handshakeTraces]],
    ['a session', get(session), [...traces, ...handshakeTraces]],
    ['an upgrade', upgrade('/any', { ...session, origin }), traces.slice(0, 4)],
  ])('are not read for traces of proxies: %s', async (_what, asked, unread) => {
    const { gate } = watch({ rules: [{ path: '/open', access: 'public' }] })
    gate.events.subscribe(() => {})
    const read = new Set<string>()
    const headers = new Proxy(asked.headers, {
      get(target, name) {
        read.add(String(name))
        return Reflect.get(target, name)
      },
    })
    expect(await verdict(gate, { ...asked, headers })).toBe('allow')
    expect(unread.filter((name) => read.has(name))).toEqual([])
  })
})
