/* A bug in a function that an application gave to a scheme was a silent 503: nothing said which scheme, or why. */
import {
  type AuditEvent,
  createGate,
  type DecisionOf,
  fromMiddleware,
  fromRequest,
  type Gate,
  type GateOptions,
  type Scheme,
  sharedToken,
  type Verification,
} from 'upgate'
import { cloudflareAccess } from 'upgate/cloudflare-access'
import { type ManualClock, manualClock } from 'upgate/testing'
import { describe, expect, it } from 'vitest'
import { createServices } from '../../src/services/create-services.ts'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { current, signToken, team } from '../cloudflare-access/team.ts'
import { cookieScheme, handshake, keyScheme, origin, person, request, upgrade } from './fixtures.ts'

interface Line {
  readonly level: 'warn' | 'error'
  readonly message: string
  readonly fields: Record<string, unknown>
}

interface Stage {
  readonly gate: Gate
  readonly clock: ManualClock
  readonly lines: Line[]
  readonly events: AuditEvent[]
  /** Everything that was logged and told, as one text. */
  readonly told: () => string
}

function stage(options: Partial<GateOptions> & Pick<GateOptions, 'schemes'>): Stage {
  const clock = manualClock()
  const lines: Line[] = []
  const events: AuditEvent[] = []
  const log =
    (level: Line['level']) =>
    (message: string, fields: object = {}) =>
      void lines.push({ level, message, fields: { ...fields } })
  const gate = createGate({
    origins: [origin],
    clock,
    logger: { warn: log('warn'), error: log('error') },
    rules: [
      { path: '/ws', access: 'deferred', kinds: ['device'], handshake },
      { path: '/optional', access: 'optional' },
    ],
    ...options,
  })
  gate.events.subscribe((event) => void events.push(event))
  return { gate, clock, lines, events, told: () => JSON.stringify([lines, events]) }
}

const secret = 'k_0123456789abcdefghijklmnopqrstuv'
const bearer = { authorization: `Bearer ${secret}` }
const boom = (): never => {
  throw new TypeError('boom')
}
const later = async (): Promise<never> => boom()
const inBand = { credential: { type: 'token', source: 'frame', value: secret } } as const

/** A refusal as adapters would write it, and what the operator is told. */
async function refused(s: Stage, asked = request('/any', { headers: bearer })) {
  const decision = await s.gate.decide(asked)
  if (!('code' in decision)) throw new Error(`not refused: ${decision.outcome}`)
  const { body } = s.gate.render(decision, asked)
  return { code: decision.code, status: decision.status, body, event: s.events.at(-1) }
}

const verified: Verification = { outcome: 'authenticated', principal: person('u') }

describe('a scheme that throws', () => {
  it.each<[string, Partial<Scheme>]>([
    ['extract', { extract: boom }],
    ['extract', { extract: later as never }],
    ['verify', { verify: boom }],
    ['verify', { verify: later }],
    ['verify', { verify: () => undefined as never }],
    ['verify', { verify: async () => true as never }],
    ['verify', { verify: () => ({ outcome: 'authenticated' }) as never }],
    ['verify', { verify: () => ({ outcome: 'fine' }) as never }],
    [
      'verify',
      {
        verify: () =>
          ({
            get outcome() {
              return boom()
            },
          }) as never,
      },
    ],
    ['verify', { verify: () => Object.defineProperty({}, 'then', { get: boom }) as never }],
    [
      'verify',
      { verify: () => ({ outcome: 'unavailable', reason: 'no answer', cause: new TypeError('boom') }) },
    ],
  ])('in `%s` is 503, and log line, event and explain name it (%#)', async (hook, broken) => {
    const s = stage({ schemes: [keyScheme({}, broken)] })
    const { code, status, body, event } = await refused(s)
    expect([code, status]).toEqual(['unavailable', 503])
    expect(body).not.toMatch(/boom|"key"|extract|verify/)
    expect(s.lines).toHaveLength(1)
    expect(s.lines[0]).toMatchObject({
      level: 'error',
      message: 'A scheme threw.',
      fields: { scheme: 'key', hook, error: expect.stringMatching(/^TypeError: ./) },
    })
    expect(event).toMatchObject({ type: 'refused', code: 'unavailable', scheme: 'key' })
    expect((event as { note?: string }).note).toMatch(/^The scheme could not answer: /)
    const { steps } = await s.gate.explain(request('/any', { headers: bearer }))
    const step = steps.find((each) => each.step === 'scheme key')
    expect(step?.detail).toMatch(
      new RegExp(hook === 'extract' ? 'failed in `extract`: TypeError: ' : 'TypeError: '),
    )
    expect(s.lines, 'explaining logs nothing').toHaveLength(1)
    expect(s.told()).not.toContain('0123456')
  })

  it('where a cookie cannot be removed, the cookie counts as none all the same', async () => {
    for (const clearCookie of [boom, later as never, () => 'a=\r\nb', () => 7 as never]) {
      const s = stage({ schemes: [cookieScheme({}, { clearCookie }), keyScheme({})] })
      const { code } = await refused(s, request('/any', { headers: { cookie: 'sid=bad' } }))
      expect(code).toBe('auth_required')
      expect(s.lines).toMatchObject([{ fields: { scheme: 'cookie', hook: 'clearCookie' } }])
    }
  })

  it('in band, in `claims`, `verify` or `issue`, is a refusal and never a rejection', async () => {
    const cases: [string, Partial<Scheme>][] = [
      ['claims', { claims: boom }],
      ['claims', { claims: later as never }],
      ['verify', { verify: boom }],
      ['verify', { verify: later }],
      ['issue', { verify: () => ({ ...verified, principal: person('n', { kind: 'device' }), issue: boom }) }],
      [
        'issue',
        { verify: () => ({ ...verified, principal: person('n', { kind: 'device' }), issue: later }) },
      ],
      [
        'issue',
        { verify: async () => ({ ...verified, principal: person('n', { kind: 'device' }), issue: later }) },
      ],
    ]
    for (const [hook, broken] of cases) {
      const s = stage({ schemes: [keyScheme({}, broken)] })
      const deferred = (await s.gate.decide(upgrade('/ws'))) as DecisionOf<'defer'>
      const answer = await s.gate.resume(deferred, inBand)
      expect(answer, hook).toMatchObject({ outcome: 'unavailable', code: 'unavailable', scheme: 'key' })
      expect(s.lines, hook).toMatchObject([{ fields: { scheme: 'key', hook } }])
    }
  })

  it('on a deferred path leaves the decision to the first frame', async () => {
    for (const broken of [{ extract: boom }, { verify: later }]) {
      const s = stage({ schemes: [keyScheme({}, broken)] })
      const decision = await s.gate.decide(upgrade('/ws', bearer))
      expect(decision).toMatchObject({ outcome: 'defer', httpFailure: 'unavailable' })
      expect(s.lines).toMatchObject([{ fields: { scheme: 'key' } }])
    }
  })
})

describe('functions given to schemes', () => {
  const native = {}
  const asked = { ...request('/any', { headers: { cookie: 'sid=cookie-secret-1', ...bearer } }), native }
  const header = { ambient: false } as const

  it.each<[string, () => Scheme]>([
    ['fromRequest', () => fromRequest(boom, header)],
    ['fromRequest', () => fromRequest(later, header)],
    ['fromRequest', () => fromRequest(() => ({ id: 'u', scopes: 7 as never }), header)],
    ['fromMiddleware', () => fromMiddleware(boom, () => null, header)],
    ['fromMiddleware', () => fromMiddleware(later, () => null, header)],
    [
      'fromMiddleware',
      () =>
        fromMiddleware(
          (_q, _s, next) => next(new TypeError('boom')),
          () => null,
          header,
        ),
    ],
    ['fromMiddleware', () => fromMiddleware((_q, _s, next) => next(), boom, header)],
    ['fromMiddleware', () => fromMiddleware((_q, _s, next) => next(), later, header)],
    ['sharedToken', () => sharedToken({ verify: boom, principal: { kind: 'user', id: 'x' } })],
    ['sharedToken', () => sharedToken({ verify: later, principal: { kind: 'user', id: 'x' } })],
    ['sharedToken', () => sharedToken({ token: boom, principal: { kind: 'user', id: 'x' } })],
    ['sharedToken', () => sharedToken({ token: later, principal: { kind: 'user', id: 'x' } })],
  ])('%s: what they throw is logged once (%#)', async (_, make) => {
    const scheme = make()
    const s = stage({ schemes: [scheme] })
    const { code, event } = await refused(s, asked)
    expect(code).toBe('unavailable')
    expect(s.lines).toMatchObject([
      { fields: { scheme: scheme.name, hook: 'verify', error: expect.stringMatching(/^TypeError: /) } },
    ])
    expect(s.lines[0]?.fields.stack).toContainEqual(expect.stringMatching(/^at .*:\d+:\d+\)?$/))
    expect(event).toMatchObject({ scheme: scheme.name })
  })

  it('cloudflareAccess: `identify` and `notBefore`, with a logger of its own or without', async () => {
    for (const options of [
      { identify: boom },
      { identify: later },
      { notBefore: boom },
      { notBefore: later },
    ]) {
      const acme = team(options)
      const s = stage({ schemes: [acme.scheme] })
      const token = acme.user()
      const { code } = await refused(s, request('/any', { headers: { 'cf-access-jwt-assertion': token } }))
      expect(code).toBe('unavailable')
      expect(s.lines).toMatchObject([
        { fields: { scheme: 'cloudflare-access', hook: 'verify', error: 'TypeError: boom' } },
      ])
    }
  })

  it('a store with a bug in it is named; one that is down says so itself', async () => {
    const store = memoryStore()
    const broken = { ...store, keys: { ...store.keys, get: boom, find: boom, byId: boom } }
    const services = createServices({ store: broken as never })
    const { apiKey } = await import('upgate')
    const { token } = await createServices({ store: memoryStore() }).keys.create({ name: 'x' })
    const s = stage({ schemes: [apiKey({ keys: services.keys })] })
    expect((await refused(s, request('/any', { headers: { 'x-api-key': token } }))).code).toBe('unavailable')
    expect(s.lines).toMatchObject([{ fields: { scheme: 'api-key', hook: 'verify' } }])
    expect(s.told()).not.toContain(token.slice(-20))
  })

  it('`setup.required` and `agreesWithEdge`', async () => {
    for (const required of [boom, later]) {
      const s = stage({
        schemes: [keyScheme({})],
        rules: [{ path: '/setup', access: 'public' }],
        setup: { page: '/setup', required },
      })
      const { code, event } = await refused(s, request('/any'))
      expect(code).toBe('unavailable')
      expect(event).toMatchObject({ note: '`setup.required` failed.' })
      expect(s.lines).toMatchObject([{ message: 'Whether setup is required could not be found out.' }])
    }
    for (const agreesWithEdge of [boom, later as never]) {
      const acme = team()
      const s = stage({
        schemes: [acme.scheme, keyScheme({ [secret]: person('u') })],
        rules: [
          { path: '/ws', access: 'deferred', kinds: ['user'], handshake, agreesWithEdge },
          { path: '/*', access: 'required', agreesWithEdge },
        ],
      })
      const headers = { ...bearer, 'cf-access-jwt-assertion': acme.user() }
      const { code, event } = await refused(s, request('/any', { headers }))
      expect(code).toBe('unavailable')
      expect(event).toMatchObject({ scheme: 'key', note: 'The demands of the rule /* could not be checked.' })
      expect(s.lines).toMatchObject([{ fields: { rule: '/*', scheme: 'key' } }])
      // HTTP never refuses on a deferred path for what concerns the credential.
      const deferred = await s.gate.decide(upgrade('/ws', { ...headers, origin }))
      expect(deferred.outcome).toBe('defer')
      expect(await s.gate.resume(deferred as DecisionOf<'defer'>, inBand)).toMatchObject({
        code: 'unavailable',
      })
    }
  })
})

describe('a thrown value', () => {
  async function thrown(error: unknown, headers: Record<string, string> = bearer): Promise<Line['fields']> {
    const s = stage({
      schemes: [
        keyScheme(
          {},
          {
            verify: () => {
              throw error
            },
          },
        ),
      ],
    })
    expect((await refused(s, request('/any', { headers }))).code).toBe('unavailable')
    expect(s.lines).toHaveLength(1)
    return s.lines[0]?.fields ?? {}
  }

  it('may be anything at all', async () => {
    const hostile = {
      get name() {
        return boom()
      },
      get message() {
        return boom()
      },
      get stack() {
        return boom()
      },
      get cause() {
        return boom()
      },
      toString: boom,
      [Symbol.toPrimitive]: boom,
    }
    const proxy = new Proxy(
      {},
      { get: boom, getPrototypeOf: boom, has: boom, ownKeys: boom, getOwnPropertyDescriptor: boom },
    )
    const cases: [unknown, string | RegExp][] = [
      [undefined, 'undefined'],
      [null, 'null'],
      ['a word', 'string: a word'],
      [7, 'number: 7'],
      [7n, 'bigint: 7'],
      [Symbol('s'), 'symbol: Symbol(s)'],
      [{ code: 'E' }, /^Object: \[object Object\]$/],
      [Object.create(null), /^object: it cannot be shown$/],
      [{ message: 7 }, 'Object: 7'],
      [hostile, /it cannot be shown$/],
      [proxy, /it cannot be shown$/],
      [boom, /^boom: /],
      [new Error(''), 'Error'],
      [new (class Odd extends Error {})('x'), 'Error: x'],
    ]
    for (const [error, expected] of cases) {
      const fields = await thrown(error)
      if (typeof expected === 'string') expect(fields.error).toBe(expected)
      else expect(fields.error).toMatch(expected)
    }
  })

  it('rejections with nothing are logged, too', async () => {
    const s = stage({ schemes: [fromRequest(() => Promise.reject(), { ambient: false })] })
    await refused(s, { ...request('/any', { headers: bearer }), native: {} })
    expect(s.lines).toMatchObject([{ fields: { scheme: 'request', error: 'undefined' } }])
  })

  it('says its causes and parts, a few of them, also where they go round in circles', async () => {
    const inner = new Error('inner', { cause: 'innermost' })
    const fields = await thrown(
      new AggregateError([inner, new RangeError('second')], 'many', { cause: 'why' }),
    )
    expect(fields).toMatchObject({
      error: 'AggregateError: many',
      causes: [
        { error: 'string: why' },
        { error: 'Error: inner', causes: [{ error: 'string: innermost' }] },
        { error: 'RangeError: second' },
      ],
    })
    const round = new Error('round')
    round.cause = round
    expect(JSON.stringify(await thrown(round)).match(/Error: round/g)?.length).toBeLessThan(12)
    const wide = new AggregateError(Array.from({ length: 1_000 }, (_, i) => new Error(`e${i}`)))
    expect(JSON.stringify(await thrown(wide)).match(/Error: e/g)?.length).toBeLessThan(12)
  })

  it('cannot forge or hide a line: control characters are escaped, and lengths are bounded', async () => {
    const error = new Error('\u001b[2Jgone\r\n[ok] admin logged in\u2028\u202e\u0000\ud800')
    const fields = await thrown(error)
    expect(fields.error).toBe(
      'Error: \\u001b[2Jgone\\u000d\\u000a[ok] admin logged in\\u2028\\u202e\\u0000\\ud800',
    )
    expect(JSON.stringify(fields.stack)).not.toContain('admin')
    error.stack = 'Error\n    at \u001b[31mevil (file.js:1:1)\n    at ok (file.js:2:2)'
    const again = await thrown(error)
    expect(again.stack).toEqual(['at \\u001b[31mevil (file.js:1:1)', 'at ok (file.js:2:2)'])
    const long = new Error('x'.repeat(5_000_000))
    long.name = 'N'.repeat(5_000_000)
    long.stack = `\n${'    at y (z)\n'.repeat(100_000)}`
    expect(JSON.stringify(await thrown(long)).length).toBeLessThan(10_000)
  })
})

describe('credentials in an exception', () => {
  /** Returns the log entry for an exception whose text contains the request's own credentials. */
  async function logged(make: (text: string) => unknown, headers: Record<string, string>, target = '/any') {
    const s = stage({
      schemes: [
        {
          name: 'own',
          ambient: false,
          headers: ['x-session'],
          extract: () => {
            throw make('')
          },
          verify: () => verified,
        },
      ],
    })
    await refused(s, request(target, { headers }))
    await s.gate.explain(request(target, { headers })).then(({ steps }) => s.lines.push(steps as never))
    return s.told()
  }

  const base64 = (text: string) => Buffer.from(text).toString('base64')

  it.each<[string, Record<string, string>, string, (string | undefined)?]>([
    ['a bearer token', bearer, secret],
    ['half of one', bearer, secret.slice(0, 16)],
    ['the first ten characters of one, as a parser would quote them', bearer, secret.slice(0, 10)],
    ['one in capitals', bearer, secret.toUpperCase()],
    ['one in base64', bearer, base64(secret)],
    [
      'one in base64url within more',
      bearer,
      Buffer.from(`xx${secret}yyy`).toString('base64url').slice(3, -5),
    ],
    ['one in hex', bearer, Buffer.from(secret).toString('hex')],
    ['one as a buffer shows it', bearer, Buffer.from(secret).toString('hex').replace(/../g, '$& ').trim()],
    ['a password of Basic', { authorization: `Basic ${base64('ada:hunter2!')}` }, 'hunter2!'],
    ['a short password of Basic', { authorization: `Basic ${base64('ada:pw1')}` }, 'pw1'],
    ['Basic as it was sent', { authorization: `Basic ${base64('ada:hunter2!')}` }, base64('ada:hunter2!')],
    ['an unknown scheme', { authorization: 'hunter22 and-more' }, 'hunter22'],
    [
      'JSON in Authorization',
      { authorization: '{"cf-access-client-secret": "aaaabbbbcccc"}' },
      'aaaabbbbcccc',
    ],
    ['a cookie', { cookie: 'a=1; sid=s3cr3t-c00kie' }, 's3cr3t-c00kie'],
    ['a quoted cookie', { cookie: 'sid="s3cr3t-c00kie"' }, 's3cr3t-c00kie'],
    ['an encoded cookie, decoded', { cookie: 'sid=s%3Aab%2Fcd%3D%3D.sig' }, 's:ab/cd==.sig'],
    ['a decoded cookie, encoded', { cookie: 'sid=s:ab/cd==.sig' }, 's%3Aab%2Fcd%3D%3D.sig'],
    ['a header of the scheme', { 'x-session': 'sess-4711' }, 'sess-4711'],
    ['a header that no scheme names', { 'x-odd': 'odd-4711-0815' }, 'odd-4711-0815'],
    ['a secret of Access', { 'cf-access-client-secret': 'f'.repeat(8) + 'e7'.repeat(8) }, 'e7e7e7e7e7'],
    ['a subprotocol', { 'sec-websocket-protocol': 'v1, tok-abcdef123' }, 'tok-abcdef123'],
    [
      'a subprotocol in base64url',
      {
        'sec-websocket-protocol': `base64url.bearer.authorization.k8s.io.${Buffer.from(secret).toString('base64url')}`,
      },
      secret,
    ],
    ['a query parameter', {}, 'ugt_q1w2e3r4', '/any?x=1&ticket=ugt_q1w2e3r4'],
    ['an encoded query parameter', {}, 'q1 w2/e3', '/any?ticket=q1+w2%2Fe3#x'],
    ['the query of a Referer', { referer: 'https://x.example/?code=c0de-c0de' }, 'c0de-c0de'],
    ['an escaped value', { 'x-session': 'a"b\\c"d' }, 'a\\"b\\\\c\\"d'],
    ['a value beyond ASCII', { 'x-session': 'pässwörd' }, 'pässwörd'],
  ])('%s is replaced, in message, name, stack and cause', async (_, headers, quoted, target) => {
    for (const make of [
      () => new Error(quoted),
      () => new Error(`Unexpected token in "${quoted}", at position 3`),
      () => Object.assign(new Error('x'), { name: quoted }),
      () => Object.assign(new Error('x'), { stack: `Error: x\n    at ${quoted} (file.js:1:1)` }),
      () => new Error('x', { cause: new Error(quoted) }),
      () => new AggregateError([quoted], 'x'),
      () => quoted,
    ]) {
      const told = await logged(make, headers, target)
      expect(told).toContain('[redacted]')
      expect(told.toLowerCase()).not.toContain(JSON.stringify(quoted).slice(1, -1).toLowerCase())
    }
  })

  it('a second header of one name, which Node does not show among the others', async () => {
    const s = stage({
      schemes: [
        keyScheme(
          {},
          {
            extract: () => {
              throw new Error('quoting second-4711')
            },
          },
        ),
      ],
    })
    const rawHeaders = ['Host', 'gateway.example.com', 'X-Odd', 'first', 'X-Odd', 'second-4711']
    await refused(s, request('/any', { headers: { 'x-odd': 'first' }, rawHeaders }))
    expect(s.lines).toMatchObject([{ fields: { error: 'Error: quoting [redacted]' } }])
  })

  it('leaves what says something: the rest of the message, and its places', async () => {
    const told = await logged(() => new TypeError(`no session for ${secret} in table sessions`), {
      ...bearer,
      cookie: 'theme=dark; lang=en',
      'user-agent': 'sessions table',
    })
    expect(told).toContain('TypeError: no session for [redacted] in table sessions')
    expect(told).toMatch(/faults\.test\.ts:\d+:\d+/)
  })

  it('that are too long or too many to be replaced hide the whole text', async () => {
    for (const headers of [
      { 'x-session': 'ab'.repeat(20_000) },
      { cookie: Array.from({ length: 600 }, (_, i) => `c${i}=value-${i}`).join('; ') },
    ]) {
      const started = process.cpuUsage()
      const told = await logged(() => new Error('xyz ababab value-599'), headers)
      expect(told).toContain('[not shown: ')
      expect(told).not.toMatch(/ababab|value-599/)
      expect(process.cpuUsage(started).user).toBeLessThan(2_000_000)
    }
  })

  it('in band: a token, a password, what an opaque credential holds', async () => {
    const credentials = [
      { type: 'token', source: 'frame', value: 'tok-9f8e7d' },
      { type: 'password', source: 'frame', value: 'pw-9f8e', account: 'ada' },
      { type: 'opaque', source: 'frame', name: 'own', value: { deep: [{ proof: 'prf-9f8e7d' }] } },
      { type: 'opaque', source: 'frame', name: 'own', value: new Map([['key', new Set(['mp-9f8e7d'])]]) },
    ] as const
    for (const credential of credentials) {
      const text = /[a-z]+-9f8e(7d)?/.exec(
        JSON.stringify(credential, (_, v) => (v instanceof Map || v instanceof Set ? [...v] : v)),
      )?.[0] as string
      for (const hook of ['claims', 'verify'] as const) {
        const s = stage({
          schemes: [
            {
              name: 'own',
              ambient: false,
              claims: () => true,
              verify: () => verified,
              [hook]: () => {
                throw new Error(`cannot read ${text}`)
              },
            },
          ],
        })
        const deferred = (await s.gate.decide(upgrade('/ws'))) as DecisionOf<'defer'>
        expect(await s.gate.resume(deferred, { credential })).toMatchObject({ code: 'unavailable' })
        expect(s.told()).toContain('cannot read [redacted]')
        expect(s.told()).not.toContain('9f8e')
      }
    }
  })

  it('that cannot be read at all hide the text, and change no decision', async () => {
    const s = stage({ schemes: [keyScheme({}, { claims: boom })] })
    const deferred = (await s.gate.decide(upgrade('/ws'))) as DecisionOf<'defer'>
    const value = {
      get secret() {
        return boom()
      },
    }
    const credential = { type: 'opaque', source: 'frame', name: 'x', value } as const
    expect(await s.gate.resume(deferred, { credential })).toMatchObject({ code: 'unavailable' })
    expect(s.told()).toContain('[not shown: ')
    const cyclic: { self?: unknown } = {}
    cyclic.self = [cyclic, cyclic, cyclic]
    const round = { type: 'opaque', source: 'frame', name: 'x', value: cyclic } as const
    expect(await s.gate.resume(deferred, { credential: round })).toMatchObject({ code: 'unavailable' })
  })

  it('a verified token of Access that an `identify` quotes', async () => {
    const acme = team()
    const token = signToken({ sub: 'x' }, current)
    const scheme = cloudflareAccess({
      team: 'acme',
      audience: ['32eafc7626e737a3ab93eb5ebd5a4ff5d8ae3e4b0ea4d0ddbba1fd3f3c6bd9b7'],
      clock: acme.clock,
      fetch: async () => Response.json({ keys: [current.jwk] }),
      identify: () => {
        throw new Error(`nobody for ${acme.user()}`)
      },
    })
    const s = stage({ schemes: [scheme] })
    await refused(s, request('/any', { headers: { 'cf-access-jwt-assertion': acme.user() } }))
    expect(s.told()).toContain('nobody for [redacted]')
    expect(token).toContain('eyJ')
  })
})

describe('the rate of log lines', () => {
  it('is five at once for each place, then one in ten seconds; omitted entries are counted', async () => {
    const s = stage({ schemes: [keyScheme({}, { verify: boom }), cookieScheme({}, { verify: boom })] })
    const ask = (headers: Record<string, string>) => s.gate.decide(request('/any', { headers }))
    for (let i = 0; i < 1_000; i++) await ask(bearer)
    expect(s.lines).toHaveLength(5)
    await ask({ cookie: 'sid=1' })
    expect(s.lines, 'another scheme has lines of its own').toHaveLength(6)
    s.clock.advance(10_000)
    for (let i = 0; i < 1_000; i++) await ask(bearer)
    expect(s.lines).toHaveLength(7)
    expect(s.lines[6]?.fields).toMatchObject({ scheme: 'key', suppressed: 995 })
    s.clock.advance(50_000)
    expect(s.lines).toHaveLength(8)
    expect(s.lines[7]).toMatchObject({
      message: 'A scheme threw.',
      fields: { scheme: 'key', suppressed: 999 },
    })
    expect(s.lines[7]?.fields.error).toBeUndefined()
    s.clock.advance(600_000)
    expect(s.lines).toHaveLength(8)
    expect(s.clock.pending).toBe(0)
  })

  it('survives a clock that is set back, and a logger that throws', async () => {
    const clock = manualClock()
    let now = clock.now()
    let count = 0
    const gate = createGate({
      schemes: [keyScheme({}, { verify: boom })],
      clock: { now: () => now, setTimer: clock.setTimer },
      logger: {
        warn() {},
        error() {
          count++
          throw new Error('no disk')
        },
      },
    })
    const ask = () => gate.decide(request('/any', { headers: bearer }))
    for (let i = 0; i < 10; i++) expect(await ask()).toMatchObject({ code: 'unavailable' })
    expect(count).toBe(5)
    now -= 3_600_000
    await ask()
    now += 10_000
    await ask()
    expect(count).toBe(6)
  })

  it('costs little, however long the credentials are', async () => {
    const s = stage({ schemes: [keyScheme({}, { verify: boom })] })
    const headers = { ...bearer, cookie: `sid=${'0123456789abcdef'.repeat(950)}` }
    const started = process.cpuUsage()
    for (let i = 0; i < 1_000; i++) await s.gate.decide(request('/any', { headers }))
    expect(s.lines).toHaveLength(5)
    expect(process.cpuUsage(started).user).toBeLessThan(3_000_000)
  })
})
