import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { RuleOptions } from 'upgate'
import { httpGate } from 'upgate/node'
import { describe, expect, it } from 'vitest'
import { compileRules } from '../../src/core/rules/compile-rules.ts'
import { EarlierPatterns } from '../../src/core/rules/earlier-patterns.ts'
import { Reaches } from '../../src/core/rules/reach.ts'
import { handshake, makeGate, request, upgrade, verdict } from './fixtures.ts'

const rule = (path: string | string[], access: string, extra: object = {}): RuleOptions =>
  ({ path, access, ...(access === 'deferred' && { handshake }), ...extra }) as never
const construct = (...rules: RuleOptions[]) => makeGate({ rules })

// Found by an audit: `/*` public in front of `/api/*` required constructed without a word, and `/api/admin` was served
// to anybody. The later rule counted as reachable, because upgrades were left to it.
describe('a rule that an earlier one opens throws, and the message names both', () => {
  it.each<[string, RuleOptions[], string]>([
    [
      'public before required',
      [rule('/*', 'public'), rule('/api/*', 'required')],
      "`rules[1]` (/api/*) is hidden by `rules[0]` (/*), which comes first, is public where this one is required, and takes HTTP requests from it. Put the narrower rule first. If it is meant for WebSocket upgrades only, say `upgrade: 'only'` in it.",
    ],
    [
      'one method of it',
      [rule('/*', 'public', { methods: ['GET'] }), rule('/api/*', 'required')],
      '`rules[1]` (/api/*) is hidden by `rules[0]` (/*), which comes first, is public where this one is required, and takes GET over HTTP from it. Put the narrower rule first, or list in its `methods` those that are left to it.',
    ],
    [
      'its upgrades',
      [rule('/*', 'public', { upgrade: true, methods: ['GET'] }), rule('/ws', 'required')],
      'and takes GET over HTTP and WebSocket upgrades from it',
    ],
    ['optional before required', [rule('/*', 'optional'), rule('/api/*', 'required')], 'is optional where'],
    [
      'public before optional',
      [rule('/*', 'public'), rule('/shop/*', 'optional', { upgrade: true })],
      'is public where',
    ],
    [
      'deferred before required',
      [rule('/ws/*', 'deferred', { methods: ['GET'] }), rule('/ws/admin', 'required')],
      'is deferred where this one is required, and takes GET over HTTP and WebSocket upgrades from it',
    ],
    [
      'its parameter',
      [rule('/users/:id', 'public', { methods: ['GET'] }), rule('/users/me', 'required')],
      '`rules[1]` (/users/me) is hidden by `rules[0]` (/users/:id)',
    ],
    [
      'one of its paths',
      [rule('/a/*', 'public', { methods: ['GET'] }), rule(['/b', '/a/b'], 'required')],
      '`rules[1]` (/a/b) is hidden by `rules[0]` (/a/*)',
    ],
    ...(
      [
        ['without its scopes', {}, { scopes: ['operator.admin'] }],
        ['with other scopes', { scopes: ['read'] }, { scopes: ['read', 'write'] }],
        ['without its roles', {}, { roles: ['admin'] }],
        ['with one more role', { roles: ['admin', 'editor'] }, { roles: ['admin'] }],
        ['for one more kind', { kinds: ['user', 'device'] }, {}],
        ['for another kind', { kinds: ['device'] }, { kinds: ['user'] }],
        ['by one more scheme', {}, { schemes: ['key'] }],
        ['without the edge', {}, { agreesWithEdge: () => true }],
        ['from any Origin', { dangerouslyAllowForeignOrigins: true }, {}],
      ] as [string, object, object][]
    ).map(([name, first, second]): [string, RuleOptions[], string] => [
      `required before required, ${name}`,
      [rule('/api/*', 'required', { methods: ['GET'], ...first }), rule('/api/admin/*', 'required', second)],
      'which comes first, demands less, and takes GET over HTTP and WebSocket upgrades from it',
    ]),
  ])('%s', (_, rules, message) => {
    expect(() => construct(...rules)).toThrow(TypeError)
    expect(() => construct(...rules)).toThrow(`createGate: ${message.startsWith('`') ? message : ''}`)
    expect(() => construct(...rules)).toThrow(message)
  })
})

describe('rules that take a whole transport from a later one, alone or together, throw', () => {
  it.each<[string, RuleOptions[], string]>([
    [
      'one path listed twice',
      [rule('/a', 'public'), rule('/a', 'required')],
      "createGate: `rules[1]` (/a) never sees HTTP requests: `rules[0]` (/a) comes first and takes them all. Remove one. If it is meant for WebSocket upgrades only, say `upgrade: 'only'` in it.",
    ],
    [
      'one path listed twice under two names of its parameter',
      [rule('/u/:id', 'public'), rule('/u/:name', 'required')],
      '`rules[1]` (/u/:name) never sees HTTP requests',
    ],
    [
      'one path twice in one rule',
      [rule(['/a', '/b', '/a'], 'public')],
      'createGate: `rules[0]` lists the path /a twice. Remove one.',
    ],
    [
      'one pattern twice in one rule',
      [rule(['/u/:a', '/u/:b'], 'public')],
      'createGate: `rules[0]` lists the path /u/:b twice, also as /u/:a. Remove one.',
    ],
    [
      'two rules that hide a third only together, by their methods',
      [
        rule('/a', 'public', { methods: ['GET'] }),
        rule('/a', 'public', { methods: ['POST'] }),
        rule('/a', 'required', { methods: ['GET', 'POST'] }),
      ],
      'createGate: `rules[2]` (/a) never sees HTTP requests: `rules[0]` (/a), `rules[1]` (/a) come first and together take them all.',
    ],
    [
      'two rules that hide a third only together, by their transports',
      [
        rule('/a/*', 'required', { upgrade: false, scopes: ['x'] }),
        rule('/a/*', 'required', { upgrade: 'only', scopes: ['x'] }),
        rule('/a/b', 'optional', { upgrade: true }),
      ],
      'createGate: `rules[2]` (/a/b) can never match: `rules[0]` (/a/*), `rules[1]` (/a/*) come first and together take everything it could match.',
    ],
    [
      'two rules that hide a third only together, by their patterns',
      [rule('/a/:x', 'public'), rule('/a/:x/*', 'public'), rule('/a/*', 'required')],
      'createGate: `rules[2]` (/a/*) never sees HTTP requests: `rules[0]` (/a/:x), `rules[1]` (/a/:x/*) come first and together take them all.',
    ],
    [
      'three of them, one level further down',
      [
        rule('/a/:x', 'public'),
        rule('/a/:x/:y', 'public'),
        rule('/a/:x/:y/*', 'public'),
        rule('/a/*', 'required'),
      ],
      '`rules[3]` (/a/*) never sees HTTP requests',
    ],
    [
      'a deferred rule whose upgrades are public already',
      [rule('/*', 'public', { upgrade: true }), rule('/ws', 'deferred')],
      'createGate: `rules[1]` (/ws) can never match: `rules[0]` (/*) comes first',
    ],
    [
      'a deferred rule that is left with upgrades other than GET, which there are none of',
      [rule('/ws', 'public', { upgrade: true, methods: ['GET'] }), rule('/ws', 'deferred')],
      'createGate: `rules[1]` (/ws) can never match: `rules[0]` (/ws) comes first',
    ],
    [
      'a rule for upgrades alone, likewise',
      [
        rule('/a', 'public', { upgrade: true, methods: ['GET'] }),
        rule('/a', 'required', { upgrade: 'only' }),
      ],
      'createGate: `rules[1]` (/a) can never match: `rules[0]` (/a) comes first',
    ],
    [
      'all upgrades of a rule that does not say it is for HTTP only',
      [rule('/a', 'required', { upgrade: 'only', scopes: ['x'] }), rule('/a', 'required')],
      '`rules[1]` (/a) never sees WebSocket upgrades: `rules[0]` (/a) comes first and takes them all. Remove one. If it is meant for HTTP only, say `upgrade: false` in it.',
    ],
  ])('%s', (_, rules, message) => {
    expect(() => construct(...rules)).toThrow(TypeError)
    expect(() => construct(...rules)).toThrow(message)
  })
})

describe('what stays legal', () => {
  it.each<[string, RuleOptions[]]>([
    [
      'fewer methods of the same path first',
      [rule('/a', 'public', { methods: ['GET'] }), rule('/a', 'required')],
    ],
    [
      'two sorts of methods of the same path first',
      [
        rule('/a', 'public', { methods: ['GET'] }),
        rule('/a', 'required', { methods: ['POST'], scopes: ['x'] }),
        rule('/a', 'required', { kinds: ['service'] }),
      ],
    ],
    ['the narrower rule first', [rule('/api/*', 'required'), rule('/*', 'public')]],
    ['the narrower public rule first', [rule('/api/health', 'public'), rule('/api/*', 'required')]],
    ['a deferred rule before `/*`', [rule('/ws', 'deferred'), rule('/*', 'public')]],
    ['a deferred rule behind `/*`', [rule('/*', 'public'), rule('/ws', 'deferred')]],
    ['upgrades alone behind `/*`', [rule('/*', 'public'), rule('/api/*', 'required', { upgrade: 'only' })]],
    [
      'HTTP alone behind upgrades alone',
      [
        rule('/*', 'required', { upgrade: 'only' }),
        rule('/a', 'required', { upgrade: false, scopes: ['x'] }),
      ],
    ],
    [
      'the stricter rule first, wider',
      [rule('/*', 'required', { methods: ['POST'], scopes: ['x'] }), rule('/a', 'public')],
    ],
    [
      'what an exception of the same path has taken already',
      [
        rule('/a/b', 'public', { methods: ['GET'] }),
        rule('/a/*', 'public', { methods: ['GET'] }),
        rule('/a/b', 'required', { scopes: ['x'] }),
      ],
    ],
    ['a wider and a narrower path in one rule', [rule(['/a', '/a/*', '/a/b'], 'public')]],
    ['an overlap through parameters', [rule('/a/:x', 'public'), rule('/:y/admin', 'required')]],
    ['half of what is below', [rule('/a/:x', 'public'), rule('/a/*', 'required')]],
    ['another case', [rule('/A/*', 'public'), rule('/a/b', 'required')]],
  ])('%s', (_, rules) => {
    expect(() => construct(...rules)).not.toThrow()
  })
})

describe('a rule for one transport', () => {
  it('decides that one and leaves the other to the rules behind it', async () => {
    const gate = construct(
      rule('/a', 'required', { upgrade: 'only', scopes: ['operator.admin'] }),
      rule('/a', 'required', { upgrade: false }),
      rule('/b', 'required', { upgrade: false }),
      rule('/c', 'public', { upgrade: 'only' }),
    )
    const key = { authorization: 'Bearer k_u' }
    expect(await verdict(gate, request('/a', { headers: key }))).toBe('allow')
    expect(await verdict(gate, upgrade('/a', key))).toBe('forbid insufficient_scope')
    expect(await verdict(gate, upgrade('/b', key))).toBe('allow')
    expect(await verdict(gate, upgrade('/c'))).toBe('allow')
    expect(await verdict(gate, request('/c'))).toBe('challenge auth_required')
  })

  // Where no listener takes upgrades, Node hands such a request to the HTTP listener: its headers must not choose the rules.
  it('is not escaped by HTTP requests that ask for a WebSocket', async () => {
    const gate = construct(
      rule('/a', 'public', { upgrade: 'only' }),
      rule('/a', 'required', { upgrade: false, scopes: ['operator.admin'] }),
      rule('/b', 'required', { upgrade: 'only', kinds: ['user', 'device'] }),
      rule('/b', 'required', { upgrade: false, scopes: ['operator.admin'] }),
    )
    const server = createServer(httpGate(gate, (_, response) => response.end('reached')))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const answers = await Promise.all(
      [
        ['/a', ''],
        ['/a', 'Authorization: Bearer k_u\r\n'],
        ['/b', 'Authorization: Bearer k_u\r\n'],
        ['/b', 'Authorization: Bearer k_admin\r\n'],
      ].map(([path, header]) => ask(port, path as string, header as string)),
    )
    expect(answers).toEqual([
      '401 auth_required',
      '403 insufficient_scope',
      '403 insufficient_scope',
      '200 reached',
    ])
    server.close()
  })
})

/** Status, and code or body, of a GET that asks for a WebSocket. */
async function ask(port: number, path: string, header: string): Promise<string> {
  const { connect } = await import('node:net')
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(port, '127.0.0.1')
    socket.on('error', reject)
    socket.on('data', (data) => {
      text += data
    })
    socket.on('close', () => {
      const status = text.slice(9, 12)
      resolve(
        `${status} ${/^upgate-refusal: (\S+)/im.exec(text)?.[1]?.replace(/;.*/, '') ?? text.split('\r\n\r\n')[1]}`,
      )
    })
    socket.end(
      `GET ${path} HTTP/1.0\r\nHost: gateway.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${header}\r\n`,
    )
  })
}

describe('gate.rules() lists which paths are open to which principals', () => {
  it('by path, transport and method, without what earlier rules take, with overlaps', () => {
    const gate = construct(
      rule('/health', 'public'),
      rule('/ws', 'deferred', { kinds: ['device'] }),
      rule('/api/posts', 'public', { methods: ['GET', 'HEAD'] }),
      rule('/api/posts', 'required', { scopes: ['write'], upgrade: false }),
      rule('/a/:x', 'optional', { methods: ['GET'] }),
      rule('/:y/admin', 'required', { kinds: ['user', 'service'], roles: ['admin'], schemes: ['key'] }),
      rule('/live/*', 'public', { upgrade: 'only' }),
    )
    expect(gate.rules()).toEqual([
      { path: '/health', transport: 'http', methods: 'all', access: 'public', openTo: 'anyone', rule: 0 },
      {
        path: '/ws',
        transport: 'upgrade',
        methods: ['GET'],
        access: 'deferred',
        openTo: ['device'],
        rule: 1,
      },
      {
        path: '/api/posts',
        transport: 'http',
        methods: ['GET'],
        access: 'public',
        openTo: 'anyone',
        rule: 2,
      },
      {
        path: '/api/posts',
        transport: 'http',
        methods: 'all',
        except: ['GET'],
        access: 'required',
        openTo: ['user'],
        scopes: ['write'],
        rule: 3,
      },
      { path: '/a/:x', transport: 'http', methods: ['GET'], access: 'optional', openTo: 'anyone', rule: 4 },
      {
        path: '/:y/admin',
        transport: 'http',
        methods: 'all',
        access: 'required',
        openTo: ['user', 'service'],
        roles: ['admin'],
        schemes: ['key'],
        rule: 5,
        overlaps: [{ rule: 4, path: '/a/:x', at: '/a/admin' }],
      },
      {
        path: '/:y/admin',
        transport: 'upgrade',
        methods: ['GET'],
        access: 'required',
        openTo: ['user', 'service'],
        roles: ['admin'],
        schemes: ['key'],
        rule: 5,
      },
      {
        path: '/live/*',
        transport: 'upgrade',
        methods: ['GET'],
        access: 'public',
        openTo: 'anyone',
        rule: 6,
      },
      {
        path: '(unmatched)',
        transport: 'http',
        methods: 'all',
        access: 'required',
        openTo: ['user'],
        rule: -1,
      },
      {
        path: '(unmatched)',
        transport: 'upgrade',
        methods: ['GET'],
        access: 'required',
        openTo: ['user'],
        rule: -1,
      },
    ])
  })

  it('has no line for upgrades where a rule leaves out GET', () => {
    const lines = construct(rule('/a', 'required', { methods: ['POST'] })).rules()
    expect(lines.filter(({ path }) => path === '/a').map(({ transport }) => transport)).toEqual(['http'])
  })

  it.each([
    ['/a/:x', '/:y/b', '/a/b'],
    ['/a/*', '/:y/b', '/a/b'],
    ['/a/*', '/:y/b/*', '/a/b/*'],
    ['/:x/b', '/a/*', '/a/b'],
    ['/:x/b/*', '/a/*', '/a/b/*'],
    ['/:x/b/:c', '/a/*', '/a/b/:c'],
  ])('where %s and %s meet', (first, second, at) => {
    const gate = construct(rule(first, 'public'), rule(second, 'required'))
    expect(gate.rules()[1]?.overlaps).toEqual([{ rule: 0, path: first, at }])
  })

  it.each([
    ['/a/:x', '/b/:y'],
    ['/a/:x', '/:y/b/*'],
    ['/a/b', '/:x/c'],
    ['/a', '/a/*'],
    // An exception in front of its rule is meant.
    ['/a/b', '/a/*'],
  ])('but not where %s and %s do not', (first, second) => {
    expect(construct(rule(first, 'public'), rule(second, 'required')).rules()[1]?.overlaps).toBeUndefined()
  })
})

// Over concrete paths: whatever a more permissive rule decides in front of a stricter one that matches as well is an
// exception of the same or a narrower pattern, or is listed as an overlap.
it('leaves nothing open that is neither an exception nor listed, over 4,000 random sets of rules', async () => {
  let seed = 42
  const below = (n: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
    return (seed >>> 8) % n
  }
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T
  const paths = ['/', '/a', '/b', '/a/a', '/a/b', '/b/a', '/b/b', '/a/a/a', '/a/b/a', '/b/a/b', '/b/b/b']
  const pattern = (): string => {
    const segments = Array.from({ length: below(3) }, (_, at) => pick(['a', 'b', `:p${at}`]))
    const text = `/${segments.join('/')}`
    return below(2) === 0 ? `${text === '/' ? '' : text}/*` : text
  }
  const matches = (one: string, path: string): boolean => {
    const wanted = one.endsWith('/*') ? one.slice(1, -2).split('/') : one.slice(1).split('/')
    const actual = path.slice(1).split('/')
    if (one === '/*') return true
    if (one.endsWith('/*') ? actual.length <= wanted.length : actual.length !== wanted.length) return false
    return wanted.every((segment, at) =>
      segment.startsWith(':') ? actual[at] !== '' : segment === actual[at],
    )
  }
  const within = (one: string, other: string): boolean => {
    const deep = [
      ...paths,
      ...paths.map((path) => `${path === '/' ? '' : path}/c/d/e`),
      '/c',
      '/c/c',
      '/a/c',
      '/c/a',
      '/b/c',
      '/c/b',
      '/c/c/c',
    ]
    return deep.every((path) => !matches(one, path) || matches(other, path))
  }
  const ranks = ['public', 'optional', 'required']
  let built = 0
  let open = 0
  let listed = 0
  for (let round = 0; round < 4_000; round++) {
    const rules = Array.from({ length: 2 + below(3) }, () => {
      const access = pick(ranks)
      const methods = pick([undefined, undefined, ['GET'], ['GET', 'POST'], ['POST']])
      return rule(pattern(), access, methods === undefined ? {} : { methods })
    })
    let gate: ReturnType<typeof construct>
    try {
      gate = construct(...rules)
    } catch {
      continue
    }
    built++
    const lines = gate.rules()
    for (const path of paths) {
      for (const method of ['GET', 'POST', 'PUT']) {
        const fits = (each: RuleOptions): boolean =>
          matches(each.path as string, path) && (each.methods === undefined || each.methods.includes(method))
        const first = rules.findIndex(fits)
        if (first === -1) continue
        const winner = rules[first] as RuleOptions
        for (const [at, later] of rules.entries()) {
          if (at <= first || !fits(later) || ranks.indexOf(winner.access) >= ranks.indexOf(later.access))
            continue
          // Another exception of the later rule may have taken it already.
          open++
          const exception = within(winner.path as string, later.path as string)
          const overlap = lines.some(
            (line) => line.rule === at && line.overlaps?.some((each) => each.rule === first) === true,
          )
          const taken = rules.some(
            (each, index) =>
              index < at &&
              index !== first &&
              fits(each) &&
              within(later.path as string, each.path as string),
          )
          if (overlap) listed++
          if (!(exception || overlap || taken))
            expect.unreachable(`${method} ${path} of ${JSON.stringify(rules)}: ${first} hides ${at}`)
        }
      }
    }
  }
  expect(built).toBeGreaterThan(1_000)
  expect(open).toBeGreaterThan(1_000)
  expect(listed).toBeGreaterThan(50)
})

// About 100 ms of processor time for the order alone; comparing each rule with each takes 100 times as long for 10 times
// as many.
it('checks 20,000 rules at a cost that grows with their number and not with its square', () => {
  const cost = (count: number): number => {
    const rules: RuleOptions[] = [rule('/health', 'public')]
    for (let i = 0; i < count / 2; i++) {
      rules.push(rule(`/api/v${i % 10}/things-${i}/:id`, 'public', { methods: ['GET'] }))
      rules.push(rule(`/api/v${i % 10}/things-${i}/*`, 'required', { scopes: [`things-${i}`] }))
    }
    // The time of this program: elapsed time is that of others as well.
    const began = process.cpuUsage()
    construct(...rules)
    const { user, system } = process.cpuUsage(began)
    return user + system
  }
  // The least of several: other work on the machine only ever adds.
  const least = (count: number): number => Math.min(...Array.from({ length: 4 }, () => cost(count)))
  const few = least(2_000)
  expect(least(20_000) / few).toBeLessThan(40)
})

it('does not look at the rules of a path that are for other methods, however many they are', () => {
  const schemes = [{ name: 'none' }]
  const rules = Array.from({ length: 400 }, (_, i) => rule('/api/:id/*', 'required', { methods: [`M${i}`] }))
  const patterns = compileRules([...rules, rule('/api/:other/*', 'required')], schemes)
  const reaches = new Reaches(patterns)
  const earlier = new EarlierPatterns(reaches)
  let candidates = 0
  for (const entry of patterns) {
    candidates += earlier.around(entry.pattern, reaches.own(entry.rule)).length
    earlier.add(entry)
  }
  // The last one is for all methods, and meets every other.
  expect(candidates).toBe(400)
})
