/*
 * `/%40private/s` was public for the gate under a rule for `/@private/*`, and reached the files that the rule is for:
 * protective rules compared encoded characters byte for byte. Routers that change case after decoding made a `k` of
 * U+212A the same way. A protective rule is met by every spelling that some router takes for its path.
 */
import { describe, expect, it } from 'vitest'
import { makeGate, request, upgrade, verdict } from './fixtures.ts'

const encode = encodeURIComponent

/** Everything is public but what the patterns are for. */
const guarding = (...patterns: string[]) =>
  makeGate({
    rules: [
      ...patterns.map((path) => ({ path, access: 'required' as const })),
      { path: '/*', access: 'public' },
    ],
  })

describe('a protective rule is met in every spelling', () => {
  it.each([
    ['/@private/*', '/%40private/s'],
    ["/it's/*", '/it%27s/x'],
    ['/x(1)/*', '/x%281%29/x'],
    ['/v1/things:run', '/v1/things%3Arun'],
    ['/v1/things:run', '/v1/things%3arun/'],
    ['/v1/things%3Arun', '/v1/things:run'],
    ['/caf%c3%a9/*', '/caf%C3%89/x'],
    ['/caf%C3%A9/*', '/cafe%CC%81/x'],
    ['/cafe%CC%81/*', '/caf%C3%A9/x'],
    ['/cafe/*', '/cafe%CC%81/x'],
    ['/webhooks/list', '/webhoo%E2%84%AAs/list'],
    ['/webhooks/list', '/WEBHOO%e2%84%aa%C5%BF/LIST/'],
    ['/stra%C3%9Fe/*', '/stra%E1%BA%9Ee/x'],
    ['/strasse/*', '/stra%C3%9Fe/x'],
    ['/strasse/*', '/STRA%E1%BA%9EE/x'],
    ['/files/*', '/%EF%AC%81les/x'],
    ['/admin/*', '/adm%C4%B1n/x'],
    ['/admin/*', '/ADM%C4%B0N/x'],
    ['/admin/*', '/admi%CC%87n/x'],
    ['/x/:id/%CE%A3', '/x/1/%CF%82'],
    ['/a%20b/*', '/A%20B/x'],
    ['/a%22b/*', '/a%22B/x'],
    ['/a[b]/*', '/a%5Bb%5D/x'],
    ['/a%5Bb%5D/*', '/a[b]/x'],
    ['/a%7Cb%5E', '/A|B^'],
    ['/:team/@me/*', '/x/%40ME/y'],
  ])('%s is met by %s', async (pattern, target) => {
    const gate = guarding(pattern)
    expect(await verdict(gate, request(target))).toBe('challenge auth_required')
    expect(await verdict(gate, request(`${target}?x=1`))).toBe('challenge auth_required')
    const { steps } = await gate.explain(request(target))
    expect(steps).toContainEqual({ step: `rules[0] ${pattern}`, detail: 'matches' })
  })

  it.each([
    ['/@private/*', '//%40private/s'],
    ['/@private/*', '/x/..%2f%2540private/s'],
    ['/@private/*', '/%2540private/s'],
    ['/webhooks/list', '/webhoo%25E2%2584%25AAs/list'],
    ['/webhooks/list', '/webhoo%E2%84%AAs;x/list'],
    ['/webhooks/list', '/./webhoo%E2%84%AA%73/list'],
    ['/caf%C3%A9/*', '/caf%C3%89%2fx'],
  ])('%s is not passed by %s, which is not canonical either', async (pattern, target) => {
    expect(await verdict(guarding(pattern), request(target))).toBe('invalid ambiguous_target')
  })

  it.each([
    ['/caf%C3%A9/*', '/cafe/x'],
    ['/@private/*', '/private/x'],
    ['/a%20b/*', '/a+b/x'],
    ['/%C3%A9/*', '/%C3%A8/x'],
  ])('%s leaves %s alone', async (pattern, target) => {
    expect(await verdict(guarding(pattern), request(target))).toBe('allow')
  })

  it('compares paths that an external login closes in the same way', async () => {
    const gate = makeGate({
      rules: [{ path: '/*', access: 'public' }],
      externalLogin: { name: 'Access', logoutUrl: '/cdn-cgi/access/logout', closes: ['/@login', '/kiosk'] },
    })
    for (const target of ['/@login', '/%40login', '/%40LOGIN/', '/%E2%84%AAio%C5%BF%E2%84%AA', '/%6Biosk'])
      expect(await verdict(gate, request(target))).toBe('forbid external_login')
  })

  it('knows a rule that an earlier one takes in another spelling', () => {
    const rules = (first: string, second: string) => () =>
      makeGate({
        rules: [
          { path: first, access: 'required' },
          { path: second, access: 'required', scopes: ['x'] },
        ],
      })
    for (const [first, second] of [
      ['/x/@me/*', '/x/%40me/y'],
      ['/x/stra%C3%9Fe/*', '/x/strasse/y'],
      ['/x/strasse/*', '/x/stra%C3%9Fe/y'],
      ['/x/a[b]', '/x/a%5Bb%5D'],
    ] as const)
      expect(rules(first, second)).toThrow('can never match')
    expect(rules('/x/caf%C3%A9/*', '/x/cafe/y')).not.toThrow()
  })
})

describe('permissive rules go on comparing the received bytes', () => {
  const gate = makeGate({
    rules: [
      { path: ['/@open/*', '/caf%C3%A9', '/a[b]|^', '/c%5Ed/*', '/k'], access: 'public' },
      { path: '/:x/ws[1]', access: 'public', upgrade: true },
    ],
  })

  it.each(['/%40open/x', '/caf%c3%a9', '/caf%C3%89', '/cafe%CC%81', '/%E2%84%AA', '/%6b', '/@OPEN/x'])(
    'does not let in %s',
    async (target) => {
      expect(await verdict(gate, request(target))).toBe('challenge auth_required')
    },
  )

  it.each([
    '/@open/x',
    '/caf%C3%A9',
    '/a[b]|^',
    '/a%5Bb%5D%7C%5E',
    '/a%5bb]%7c^',
    '/c^d/x',
    '/c%5ed/[',
    '/k',
  ])('lets in %s: brackets, bar and caret have one reading in both spellings', async (target) => {
    expect(await verdict(gate, request(target))).toBe('allow')
    expect(await verdict(gate, request(target, { method: 'POST' }))).toBe('allow')
  })

  it('lets in both spellings for upgrades, too', async () => {
    expect(await verdict(gate, upgrade('/a/ws[1]'))).toBe('allow')
    expect(await verdict(gate, upgrade('/a/ws%5B1%5D'))).toBe('allow')
  })
})

describe('every code point', () => {
  const marks = /(?<=[A-Za-z])\p{M}+/gu
  /** What routers, regular expressions and file systems make of a text before they compare it. */
  const routers: readonly ((text: string) => string)[] = [
    (text) => text.toLowerCase(),
    (text) => text.toUpperCase(),
    (text) => text.toUpperCase().toLowerCase(),
    (text) => text.toLowerCase().toUpperCase(),
    (text) => text.toLowerCase().replace(marks, ''),
    (text) => text.toUpperCase().toLowerCase().replace(marks, ''),
    (text) => text.normalize('NFC').toLowerCase(),
    (text) => text.normalize('NFC').toUpperCase().toLowerCase().replace(marks, ''),
  ]
  const folding: string[] = []
  for (let code = 0x80; code <= 0x10ffff; code++) {
    if (code === 0xd800) code = 0xe000
    const char = String.fromCodePoint(code)
    if (/\p{M}/u.test(char) || routers.some((fold) => fold(char) !== char)) folding.push(char)
  }
  const isPlain = (text: string): boolean => /^[A-Za-z0-9]+$/.test(text)

  it('that becomes ASCII for some router, alone or behind a letter, meets the rule for that text', {}, async () => {
    const texts = new Map<string, string>()
    for (const char of folding) {
      for (const text of [char, `e${char}`]) {
        for (const fold of routers) {
          const folded = fold(text)
          if (isPlain(folded)) texts.set(`${text} ${folded}`, folded)
        }
      }
    }
    // Kelvin, long s, the ligatures, dotted and dotless i, sharp s, and marks: if there were none, nothing was tested.
    expect(new Set([...texts.keys()].map((key) => key.split(' ')[0])).size).toBeGreaterThan(2000)
    const missed: string[] = []
    for (const wanted of new Set(texts.values())) {
      const gate = guarding(`/${wanted}`, `/${wanted}/:id/x`)
      for (const [key, folded] of texts) {
        if (folded !== wanted) continue
        const [text = ''] = key.split(' ')
        for (const target of [`/${encode(text)}`, `/${encode(text)}/1/x`])
          if ((await verdict(gate, request(target))) !== 'challenge auth_required')
            missed.push(`${target} as ${wanted}`)
      }
    }
    expect(missed).toEqual([])
  })

  it('that some router takes for another meets the rule for that one, both ways', {
    timeout: 120_000,
  }, async () => {
    const missed: string[] = []
    let pairs = 0
    for (const char of folding) {
      const partners = new Set<string>()
      for (const fold of routers) {
        const folded = fold(char)
        // U+037E is composed to a semicolon, which no rule may hold.
        if (folded !== char && folded !== ';') partners.add(folded)
      }
      for (const partner of partners) {
        pairs++
        for (const [rule, target] of [
          [partner, char],
          [char, partner],
        ] as const) {
          const gate = guarding(`/x/${encode(rule)}z`)
          if ((await verdict(gate, request(`/x/${encode(target)}z`))) === 'allow')
            missed.push(`${encode(target)} under ${encode(rule)}`)
        }
      }
    }
    expect(missed).toEqual([])
    expect(pairs).toBeGreaterThan(2500)
  })

  it('that the flags i and iu take for an ASCII letter meets the rule for that letter', async () => {
    const missed: string[] = []
    const gate = guarding(...'abcdefghijklmnopqrstuvwxyz'.split('').map((letter) => `/${letter}`))
    let found = 0
    for (const char of folding) {
      if (!/^[a-z]$/iu.test(char) && !/^[a-z]$/i.test(char)) continue
      found++
      if ((await verdict(gate, request(`/${encode(char)}`))) === 'allow') missed.push(encode(char))
    }
    expect(missed).toEqual([])
    expect(found).toBe(2)
  })
})
