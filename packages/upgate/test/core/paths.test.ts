import { describe, expect, it } from 'vitest'
import { handshake, makeGate, request, upgrade, verdict } from './fixtures.ts'

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

describe('permissive rules match canonical targets only', () => {
  const gate = makeGate({
    rules: [
      { path: '/health', access: 'public' },
      { path: '/assets/*', access: 'public' },
      { path: '/Docs/*', access: 'public' },
      { path: '/share/:id', access: 'public' },
      { path: '/ws', access: 'deferred', kinds: ['device'], handshake },
      { path: '/admin/*', access: 'required', scopes: ['operator.admin'] },
      { path: '/docs/private', access: 'required', scopes: ['operator.admin'] },
    ],
  })

  it.each([
    '/health',
    '/health?x=/../admin',
    '/assets/',
    '/assets/a.b-c_d~e',
    '/assets/app.JS',
    '/assets/caf%C3%A9.png',
    '/assets/caf%c3%a9.png',
    '/assets/a%20b',
    '/assets/%3A%40',
    "/assets/!$&'()*+,=:@",
    '/assets/[x]|^.js',
    '/assets/%5Bx%5d%7C%5E.js',
    '/assets/..a/b..',
    '/assets/...',
    '/Docs/x',
    '/share/42',
  ])('lets in %s', async (target) => {
    expect(await verdict(gate, request(target))).toBe('allow')
  })

  it.each([
    '/Health',
    '/health/',
    '/HEALTH',
    '/assets',
    '/Assets/x',
    '/docs/x',
    '/share/',
    '/share/1/2',
    '/share/1/',
    // not canonical: each reading is below a protected or an unmatched path, or they differ
    '/assets/../admin/x',
    '/assets/..',
    '/assets/./x',
    '/assets//x',
    '//assets/x',
    '//health',
    '/./health',
    '/x/../health',
    '/assets/%2e%2e/admin/x',
    '/assets/%2E./admin',
    '/assets/..%2fadmin',
    '/assets/%2e%2e%2fadmin',
    '/assets/..%5cadmin',
    '/assets/..\\admin',
    '/assets\\..\\admin',
    '/assets/x%2fy',
    '/assets/%41',
    '/%68ealth',
    '/health%20',
    '/assets/%252e%252e/admin',
    '/assets/%252fadmin',
    '/assets/;x/../admin',
    '/assets/x;jsessionid=1',
    '/health;x',
    '/health#x',
    '/health%23',
    '/health%3Fx',
    '/admin#/health',
    'http://evil.example/health',
    'http://evil.example',
    'https://gateway.example.com/assets/x',
    '/assets/%25',
    '/assets/x%20',
    '/assets/{x}',
    '/assets/"x"',
    '/assets/<x>',
    '/assets/`x`',
  ])('does not let in %s', async (target) => {
    expect(await verdict(gate, request(target))).not.toBe('allow')
  })

  it.each([
    '/assets/%',
    '/assets/%4',
    '/assets/%zz',
    '/assets/%00',
    '/assets/%0d%0a',
    '/assets/%c0%af',
    '/assets/%c0%ae%c0%ae/admin',
    '/assets/%25c0%25af',
    '/assets/%2500',
    '/assets/%ff',
    '/assets/%e2%82',
    '/assets/\u00e9',
    '/assets/a b',
    '*',
    'health',
    'ftp://x/health',
    'evil.example:443',
    '',
    '?x',
    '#',
    `/${'a'.repeat(8192)}`,
  ])('calls %s malformed', async (target) => {
    expect(await verdict(gate, request(target))).toBe('invalid malformed_target')
  })

  it.each(['/ws', '/ws?token=1'])('defers %s', async (target) => {
    expect(await verdict(gate, upgrade(target))).toBe('defer')
  })

  it.each([
    '/ws/',
    '/WS',
    '//ws',
    '/./ws',
    '/ws;x',
    '/%77s',
    '/x/../ws',
    'http://evil.example/ws',
    '/ws%2f',
    '/ws#',
  ])('does not defer %s', async (target) => {
    expect(await verdict(gate, upgrade(target))).not.toBe('defer')
  })
})

describe('protective rules match leniently', () => {
  const gate = makeGate({
    rules: [
      { path: '/admin/users', access: 'required', scopes: ['operator.admin'] },
      { path: '/Teams/:team/settings', access: 'required', scopes: ['operator.admin'] },
      { path: '/files/*', access: 'required', kinds: ['user', 'device'] },
      { path: '/open', methods: ['GET'], access: 'public' },
      { path: '/*', access: 'optional' },
    ],
  })

  it.each([
    '/admin/users',
    '/ADMIN/Users',
    '/admin/users/',
    '/Admin/users/',
    '/teams/a/settings',
    '/TEAMS/x/Settings/',
    '/admin/users?x',
    '/ADMIN/users?/open',
  ])('protects %s, which a lenient router takes to the handler', async (target) => {
    expect(await verdict(gate, request(target, { headers: bearer('k_u') }))).toBe('forbid insufficient_scope')
    expect(await verdict(gate, request(target))).toBe('challenge auth_required')
  })

  it.each([
    '//admin/users',
    '/admin//users',
    '/./admin/users',
    '/x/../admin/users',
    '/admin/%75sers',
    '/admin%2fusers',
    '/admin/users;x',
    '/admin;x/users',
    '/admin\\users',
    '/admin/users%2f',
    '/admin/users#',
    '/%61dmin/users',
    '/%2561dmin/users',
    '/files/../admin/users',
    'http://x/admin/users',
    '/admin/users%3Fx',
    '/admin/users%23x',
  ])('never lets an ordinary user into %s', async (target) => {
    const answer = await verdict(gate, request(target, { headers: bearer('k_u') }))
    expect(['invalid ambiguous_target', 'forbid insufficient_scope']).toContain(answer)
  })

  it('lets in where every reading meets the same protective rule', async () => {
    for (const target of [
      '/files/a%2Fb',
      '/files/x/../y',
      '/files//x',
      '/files/%41',
      '/files/a;b=c',
      '/files/x%252Fy',
    ]) {
      expect(await verdict(gate, request(target, { headers: bearer('k_device') }))).toBe('allow')
    }
  })

  it('covers the folder itself', async () => {
    expect(await verdict(gate, request('/files'))).toBe('challenge auth_required')
    expect(await verdict(gate, request('/FILES/'))).toBe('challenge auth_required')
    expect(await verdict(gate, request('/filesystem'))).toBe('allow')
  })
})

describe('first match', () => {
  it('decides, in the order of the rules', async () => {
    const gate = makeGate({
      rules: [
        { path: '/api/public/*', access: 'public' },
        { path: '/api/:version/status', access: 'public' },
        { path: '/api/*', access: 'required', scopes: ['operator.admin'] },
        { path: '/:any', access: 'public' },
      ],
    })
    expect(await verdict(gate, request('/api/public/x'))).toBe('allow')
    expect(await verdict(gate, request('/api/v1/status'))).toBe('allow')
    expect(await verdict(gate, request('/api/v1/other'))).toBe('challenge auth_required')
    expect(await verdict(gate, request('/api'))).toBe('challenge auth_required')
    expect(await verdict(gate, request('/anything'))).toBe('allow')
    expect(await verdict(gate, request('/'))).toBe('challenge auth_required')
  })

  it('does not let a dot segment choose the wider rule', async () => {
    const gate = makeGate({
      rules: [
        { path: '/api/*', access: 'required' },
        { path: '/admin/*', access: 'required', scopes: ['operator.admin'] },
      ],
    })
    expect(await verdict(gate, request('/api/../admin', { headers: bearer('k_u') }))).toBe(
      'invalid ambiguous_target',
    )
  })

  it('costs the same for many rules as for few: every one of 5,000 is found', async () => {
    const rules = Array.from({ length: 5000 }, (_, i) => ({
      path: `/t${i}/:id/*`,
      access: 'required' as const,
      scopes: [`s${i}`],
    }))
    const gate = makeGate({ rules })
    for (const i of [0, 2500, 4999]) {
      expect(gate.decide(request(`/t${i}/a/b`, { headers: bearer('k_u') }))).toMatchObject({
        detail: `The credential lacks: s${i}.`,
      })
    }
  })

  it('bounds the work on targets with very many readings', async () => {
    const gate = makeGate()
    expect(await verdict(gate, request(`/%${'25'.repeat(60)}2e`))).toBe('invalid ambiguous_target')
    expect(await verdict(gate, request(`/a;b${'/%41'.repeat(700)}`))).toBe('invalid ambiguous_target')
  })

  it('finds the root', async () => {
    const gate = makeGate({ rules: [{ path: '/', access: 'public' }] })
    expect(await verdict(gate, request('/'))).toBe('allow')
    expect(await verdict(gate, request('/?next=x'))).toBe('allow')
    expect(await verdict(gate, request('/x'))).toBe('challenge auth_required')
    expect(await verdict(gate, request('//'))).not.toBe('allow')
  })
})

describe('a path that is not canonical is told why it is not let in', () => {
  const gate = makeGate({
    rules: [
      { path: '/files/own/*', access: 'required' },
      { path: '/files/*', access: 'public' },
    ],
  })
  const detailOf = async (target: string): Promise<unknown> => {
    const decision = await gate.decide(request(target))
    if (!('code' in decision)) throw new Error(decision.outcome)
    return decision.detail
  }

  it.each([
    ['/files/50%25.png', 'an encoded separator (%25)'],
    ['/files/c%23.md', 'an encoded separator (%23)'],
    ['/files/why%3F', 'an encoded separator (%3F)'],
    ['/files/why%3f', 'an encoded separator (%3F)'],
    ['/files/a%2fb', 'an encoded separator (%2F)'],
    ['/files/a%3Bb', 'an encoded separator (%3B)'],
    ['/files/a%5Cb', 'an encoded separator (%5C)'],
    ['/files/%41', 'a character that needs no encoding (%41)'],
    ['/files/x%20', 'a blank at the end of a segment'],
    ['/files//x', 'a doubled slash'],
    ['/files/./x', 'a dot segment'],
    ['/files/x/..', 'a dot segment'],
    ['/files/a;b', 'a semicolon'],
    ['/files/a\\b', 'a backslash'],
    ['/files/#x', 'a fragment'],
    ['/files/<script>', 'a character that must be percent-encoded'],
    ['http://x/files/y', 'a scheme and a host'],
  ])('%s holds %s', async (target, what) => {
    const detail = await detailOf(target)
    expect([
      `No credential was sent, or none that counts here. The path holds ${what}, which routers read in more than one way: such a path is not let in without a credential.`,
      `The request target can be read in ways that meet different rules: its path holds ${what}.`,
    ]).toContain(detail)
  })

  it('and nothing is said of others, or where a single route demands something', async () => {
    const usual = 'No credential was sent, or none that counts here.'
    expect(await detailOf('/files/own/x?y=%2F')).toBe(usual)
    expect(await detailOf('/other')).toBe(usual)
    const decision = await gate.require({}).decide(request('/files/a%2Fb'))
    expect(decision).toMatchObject({ code: 'auth_required', detail: usual })
  })

  it('in every case that is not canonical, and in no other', async () => {
    const pieces = ['a', '/', '.', '%20', '%', ...';\\#"<>^`{|}[]-_~!$&\'()*+,=:@?']
    for (let octet = 0x20; octet < 0x7f; octet++)
      pieces.push(`%${octet.toString(16)}`, `%${octet.toString(16).toUpperCase()}`)
    for (const one of pieces) {
      for (const other of ['', 'b', '/', '/b', '.', './b', '%2e', '%20']) {
        const target = `/own/${one}${other}`
        const { steps } = await gate.explain(request(target))
        const analysed = steps.find(({ step }) => step === 'target')?.detail
        if (analysed?.startsWith('malformed')) continue
        const canonical = analysed?.endsWith('is in canonical form')
        expect(String(await detailOf(target)).includes(' holds '), target).toBe(!canonical)
      }
    }
  })
})

describe.each([1, 8, 9, 40])('%i segments in one place', (count) => {
  // One length and one first letter for all, so that only the rest tells them apart.
  const names = Array.from({ length: count }, (_, i) => `name${10 + i}`)
  const gate = makeGate({
    rules: [
      ...names.flatMap((name) => [
        { path: `/${name}`, access: 'public' } as const,
        { path: `/deep/:id/${name}/*`, access: 'public' } as const,
      ]),
      { path: '/deep/own/*', access: 'public' },
    ],
  })
  const outcomes = async (targets: readonly string[]): Promise<string[]> => [
    ...new Set(await Promise.all(targets.map((target) => verdict(gate, request(target))))),
  ]

  it('each is found', async () => {
    expect(
      await outcomes(names.flatMap((name) => [`/${name}`, `/deep/1/${name}/x`, `/deep/own/${name}/x`])),
    ).toEqual(['allow'])
  })

  it('nothing else is', async () => {
    const others = [
      'name',
      'name09',
      'name100',
      'Name10',
      'game10',
      '',
      'nam',
      '__proto__',
      'constructor',
      'toString',
    ]
    const near = others.flatMap((other) => [`/${other}`, `/deep/1/${other}/x`])
    expect(await outcomes([...near, '/name10/', '/deep', '/deep/', '/deep/1', '/deep/1/'])).toEqual([
      'challenge auth_required',
    ])
  })
})
