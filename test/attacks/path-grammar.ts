/** Writes request targets that hide a path from a comparison: seeded, so that every run writes the same ones. */

/** Mulberry32. */
export function randomOf(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Paths of protected handlers, decoded; `:id` is any segment, `/*` everything below. */
export const protectedPaths = [
  '/admin/*',
  '/api/secret',
  '/users/:id/keys',
  '/mixed/case',
  '/@private/*',
  "/it's/*",
  '/x(1)/*',
  '/v1/things:run',
  '/café/*',
  '/webhooks/list',
  '/straße/*',
  '/sp ace/*',
  '/a[b]|^/*',
  '/kiosk/*',
  '/files/inner/*',
] as const

/** One path of each, decoded. */
export const protectedSamples: readonly string[] = protectedPaths.map((path) =>
  path.replace(':id', '7').replace('*', 's.txt'),
)
export const publicSamples = [
  '/health',
  '/public/page',
  '/users/7/avatar',
  '/files/open',
  '/',
  '/x',
  '/public/a.b',
]

const percent = (octet: number): string => `%${octet.toString(16).padStart(2, '0')}`
const encodeAll = (text: string): string => [...Buffer.from(text)].map(percent).join('')

/** For every ASCII text the characters that some router folds into it: U+212A into `k`, U+FB01 into `fi`. */
const lookalikes = new Map<string, string[]>()
for (let code = 0x80; code <= 0x1ffff; code++) {
  if (code === 0xd800) code = 0xe000
  const char = String.fromCodePoint(code)
  const folds = [char.toLowerCase(), char.toUpperCase().toLowerCase(), char.normalize('NFC').toLowerCase()]
  for (const fold of new Set(folds.map((text) => text.replace(/(?<=[a-z])\p{M}+/gu, '')))) {
    if (!/^[a-z]+$/.test(fold)) continue
    const known = lookalikes.get(fold)
    if (known === undefined) lookalikes.set(fold, [char])
    else known.push(char)
  }
}

const inserts = [
  ...[
    '/',
    '//',
    '/./',
    '/x/../',
    '/../',
    '/%2e/',
    '/..;/',
    ';x',
    ';/',
    ';',
    '?',
    '#',
    '?/public/page',
    '#/public/page',
  ],
  ...[
    '.',
    '..',
    '%2e%2e/',
    '%2e%2e%2f',
    '%252e%252e%252f',
    '\\..\\',
    '%5c',
    '%00',
    '%09',
    '%0d%0a',
    '%7f',
    '%c0%af',
    '%ff',
  ],
  ...[
    '%',
    '%2',
    '%u002f',
    '%%32%66',
    '+',
    ' ',
    '*',
    ':',
    '%CC%81',
    '%E2%80%8B',
    '%CD%85',
    '\u00e9',
    '%ef%bc%8f',
    '%e2%88%95',
  ],
]
// Every printable character: as it is, encoded, and encoded twice.
for (let octet = 0x20; octet < 0x7f; octet++) {
  inserts.push(
    String.fromCharCode(octet),
    percent(octet),
    percent(octet).toUpperCase(),
    `%25${percent(octet).slice(1)}`,
  )
}
const marks = ['\u0301', '\u0307', '\u0345', '\u030c', '\u20dd']

/** Spells a decoded path in one of its many ways: each character raw, encoded, encoded twice, or as a lookalike. */
function spell(random: () => number, path: string): string {
  const strangeness = random() < 0.4 ? 0 : random() * 0.3
  let out = ''
  for (let i = 0; i < path.length; ) {
    const pair = lookalikes.get(path.slice(i, i + 2).toLowerCase())
    const one = lookalikes.get((path[i] ?? '').toLowerCase())
    const char = String.fromCodePoint(path.codePointAt(i) as number)
    const roll = random()
    if (roll >= strangeness) {
      out += /[^\x21-\x7e]/.test(char) ? encodeURIComponent(char) : char
      i += char.length
      continue
    }
    const way = Math.floor(random() * 8)
    if (way === 0 && pair !== undefined) {
      out += encodeAll(pick(random, pair))
      i += 2
      continue
    }
    i += char.length
    if (way <= 2 && one !== undefined) out += encodeAll(pick(random, one))
    else if (way === 3) out += encodeAll(char).toUpperCase()
    else if (way === 4) out += encodeAll(char).replaceAll('%', '%25')
    else if (way === 5)
      out += encodeAll(char === char.toUpperCase() ? char.toLowerCase() : char.toUpperCase())
    else if (way === 6)
      out += encodeURIComponent(char.normalize('NFD') + (char === '/' ? '' : pick(random, marks)))
    else if (way === 7 && /[a-z]/i.test(char))
      out += char === char.toUpperCase() ? char.toLowerCase() : char.toUpperCase()
    else out += encodeAll(char)
  }
  return out
}

function pick<T>(random: () => number, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T
}

/** One hostile target: a path spelled in some way, and then mutated up to three times. */
export function writeTarget(random: () => number): string {
  let path = spell(random, pick(random, random() < 0.8 ? protectedSamples : publicSamples))
  const times = random() < 0.5 ? 0 : 1 + Math.floor(random() * 3)
  for (let i = 0; i < times; i++) {
    const at = Math.floor(random() * (path.length + 1))
    switch (Math.floor(random() * 8)) {
      case 0:
        path = path.slice(0, at) + path.slice(at + 1)
        break
      case 1:
        path = path.replace('%', '%25')
        break
      case 2:
        path = pick(random, [
          `/public/..${path}`,
          `//evil${path}`,
          `http://evil.example${path}`,
          `HTTPS://u:p@evil.example:8${path}`,
          `/public/%2e%2e${path}`,
          `${path}/`,
          `${path}?x=/public/page`,
          `${path}#/public/page`,
          `/health;${path}`,
          `/%2f${path}`,
          `/${path}`,
          path.slice(1),
        ])
        break
      case 3: {
        const slashes = [...path.matchAll(/\//g)].map((match) => match.index)
        const slash = pick(random, slashes)
        if (slash !== undefined) path = path.slice(0, slash) + pick(random, inserts) + path.slice(slash)
        break
      }
      default:
        path = path.slice(0, at) + pick(random, inserts) + path.slice(at)
    }
  }
  return path
}
