/** Writes requests whose headers no one thought of: seeded, so that every run writes the same ones. */
import { type Known, origin } from './every-scheme.ts'
import {
  addresses,
  cookieNames,
  hosts,
  methods,
  oddNames,
  origins,
  paths,
  siteWords,
  told,
  words,
} from './header-values.ts'
import type { Random } from './random.ts'

/** A request as a client writes it. `headers` as Latin-1, one for each byte. */
export interface WrittenRequest {
  readonly method: string
  readonly target: string
  readonly headers: readonly (readonly [name: string, value: string])[]
}

/** Headers for credentials. Values of others, such as Host, are quoted to the operator, and must be. */
const holdsSecrets = /auth|key|token|secret|cookie|assertion/i

/** Bytes that Node's parser lets through in a value. */
function bytes(random: Random, length: number): string {
  let text = ''
  for (let i = 0; i < length; i++) {
    const code = random.below(256)
    text += code === 9 || (code >= 32 && code !== 127) ? String.fromCharCode(code) : '%'
  }
  return text
}

/** A value of some header, of any length and any kind. */
function anything(random: Random): string {
  const make = random.pick<() => string>([
    () => '',
    () => bytes(random, random.below(20)),
    () => bytes(random, random.below(300)),
    () =>
      random
        .pick([
          'a',
          ' ',
          ',',
          ';',
          '=',
          '"',
          '\t',
          '%',
          '\\',
          '/',
          '=?utf-8?q?',
          '\u00ff',
          'CF_Authorization=;',
        ])
        .repeat(random.below(random.oneIn(20) ? 700 : 60)),
    () =>
      random
        .many(0, 12, () => random.pick(['%', '%zz', '%00', '%2', '%c3%28', '%u0041', 'a', '+', '&', '=']))
        .join(''),
    () =>
      random
        .many(0, 12, () => random.pick([...addresses, ...words, 'gzip;q=0', '*/*', 'text/html', 'a=b']))
        .join(random.pick([',', ', ', ' ,\t', ';'])),
    () =>
      Buffer.from(random.pick(['ключ', '🔑', 'ａｄａ', 'ada\u202e', 'ı', '\ufeffada'])).toString('latin1'),
    () =>
      random.pick([
        'true',
        'null',
        'undefined',
        'NaN',
        '[object Object]',
        '{}',
        '-',
        '(null)',
        '1e309',
        '-1',
      ]),
  ])
  return make()
}

/** A credential that is none, or a good one that is changed. */
function spoiled(random: Random, secret: string): string {
  const at = random.below(secret.length)
  const make = random.pick<() => string>([
    () => secret.slice(0, at) + random.pick(['0', 'A', '-', '_', ' ', '.', '\u00e9']) + secret.slice(at + 1),
    () => secret.slice(0, at),
    () => secret + random.pick(['=', ' x', '.', ',', ';', '"', '\u00a0x', secret]),
    () => `"${secret}"`,
    () => secret.toUpperCase(),
    () => [...secret].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(''),
    () => `${random.pick(['ugk_', 'ugd_', 'ugs_', 'ugt_', 'eyJ'])}${secret.slice(4)}`,
    () => `${random.pick(words)} ${secret}`,
    () => anything(random),
  ])
  return make()
}

/** A request with good, spoiled and foreign credentials, and whatever else. */
export function writeRequest(
  random: Random,
  known: readonly Known[],
  ticket: string | undefined,
): WrittenRequest {
  const all = ticket === undefined ? known : [...known, { principal: '', secret: ticket, bearer: true }]
  const secret = (): string => {
    const { secret } = random.pick(all)
    return random.oneIn(3) ? spoiled(random, secret) : secret
  }
  const cookies = (): string =>
    random
      .many(1, random.oneIn(10) ? 40 : 4, () => {
        const name = random.pick(cookieNames)
        const value = random.oneIn(2) ? secret() : anything(random)
        return random.oneIn(12) ? name : `${name}=${random.oneIn(8) ? `"${value}"` : value}`
      })
      .join(random.pick(['; ', '; ', ';', ' ;\t', ', ', ';;']))
  const protocols = (): string =>
    random
      .many(1, 4, () =>
        random.pick([
          'v1.example',
          `base64url.bearer.authorization.k8s.io.${Buffer.from(secret(), 'latin1').toString(random.pick(['base64url', 'base64', 'hex'] as const))}`,
          `base64url.bearer.authorization.k8s.io.${anything(random)}`,
          anything(random),
        ]),
      )
      .join(random.pick([', ', ',', ' , ']))
  const makers: (() => [string, string])[] = [
    () => ['Authorization', `${random.oneIn(2) ? 'Bearer' : random.pick(words)} ${secret()}`],
    () => [
      'Authorization',
      random.oneIn(2) ? anything(random) : Buffer.from(`ada:${secret()}`, 'latin1').toString('base64'),
    ],
    () => ['X-Api-Key', secret()],
    () => ['Cookie', cookies()],
    () => ['Cookie', cookies()],
    () => ['Cf-Access-Jwt-Assertion', secret()],
    () => [
      'Remote-User',
      random.pick(['root', 'root', 'ada', 'root, ada', ' root', '=?utf-8?q?root?=', anything(random)]),
    ],
    () => ['Origin', random.pick(origins)],
    () => ['Sec-Fetch-Site', random.pick(siteWords)],
    () => ['Sec-WebSocket-Protocol', protocols()],
    () => [
      random.pick(told),
      random.many(1, random.oneIn(9) ? 60 : 4, () => random.pick(addresses)).join(random.pick([',', ', '])),
    ],
    () => [
      'Forwarded',
      random
        .many(
          1,
          5,
          () =>
            `${random.pick(['for', 'by', 'host', 'proto', 'For'])}=${random.pick(['"', ''])}${random.pick([...addresses, ...hosts])}`,
        )
        .join(random.pick([';', ', ', ';;'])),
    ],
    () => [random.pick(['X-Forwarded-Host', 'X-Forwarded-Server', ':authority']), random.pick(hosts)],
    () => [
      random.pick(['X-Forwarded-Proto', 'X-Forwarded-Ssl']),
      random.pick(['https', 'http', 'wss', 'ftp', 'https,http', '']),
    ],
    () => [random.pick(['X-Forwarded-Method', 'X-Original-Method']), random.pick(methods)],
    () => [random.pick(['X-Forwarded-Uri', 'X-Original-URI']), random.pick(paths)],
    () => {
      const name = random.pick(oddNames)
      return [name, holdsSecrets.test(name) && random.oneIn(2) ? secret() : anything(random)]
    },
  ]
  if (random.oneIn(3)) return likely(random, known, ticket, makers)
  const headers = random.many(0, random.oneIn(10) ? 25 : 4, () => random.pick(makers)())
  headers.push(['Host', random.oneIn(3) ? random.pick(hosts) : 'gateway.example.com'])
  if (random.oneIn(2)) headers.push(['Origin', origin])
  // Now and then a header a second time, under another spelling.
  const [again] = headers
  if (again !== undefined && random.oneIn(8)) {
    const name = random.oneIn(2) ? again[0].toLowerCase() : again[0]
    headers.push([name, random.oneIn(2) ? again[1] : holdsSecrets.test(name) ? secret() : anything(random)])
  }
  const asksForSocket = random.oneIn(3)
  if (asksForSocket) {
    headers.push(
      [
        'Connection',
        random.pick(['Upgrade', 'Upgrade', 'Upgrade', 'keep-alive, upgrade', ', ,Upgrade', anything(random)]),
      ],
      [
        'Upgrade',
        random.pick([
          'websocket',
          'websocket',
          'websocket',
          'WebSocket',
          'h2c, websocket',
          'h2c',
          anything(random),
        ]),
      ],
      ['Sec-WebSocket-Version', random.pick(['13', '13', '13', '8', '13, 13', anything(random)])],
      [
        'Sec-WebSocket-Key',
        random.pick(['dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25jZQ==', 'x', anything(random)]),
      ],
      [
        'Sec-WebSocket-Extensions',
        random.pick(['permessage-deflate; client_max_window_bits', '', 'x; y="', anything(random)]),
      ],
    )
  }
  const path = random.pick(paths)
  const target = path.endsWith('ticket=') ? path + encodeURI(secret().replace(/[^\x21-\x7e]/g, '')) : path
  return { method: asksForSocket ? 'GET' : random.pick(methods), target, headers: random.shuffled(headers) }
}

const handshake: readonly [string, string][] = [
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Version', '13'],
  ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
]

/** A request that is let in, but for a header or two. */
function likely(
  random: Random,
  known: readonly Known[],
  ticket: string | undefined,
  makers: readonly (() => [string, string])[],
): WrittenRequest {
  const { secret, header, bearer, cookie } = random.pick(known)
  const headers: [string, string][] = [
    ['Host', 'gateway.example.com'],
    ...(random.oneIn(3)
      ? []
      : [['Origin', random.oneIn(4) ? random.pick(origins) : origin] as [string, string]]),
    ...random.many(0, 2, () => random.pick(makers)()),
  ]
  const isSocket = random.oneIn(2)
  if (isSocket) headers.push(...handshake)
  let target = random.pick(isSocket ? ['/live', '/nodes'] : ['/x', '/maybe'])
  if (ticket !== undefined) target = `/live?ticket=${ticket}`
  // Two credentials, now and then.
  if (ticket !== undefined && random.oneIn(2))
    return { method: 'GET', target, headers: random.shuffled(headers) }
  if (random.oneIn(5)) headers.push(['Remote-User', 'root'])
  else if (header !== undefined && random.oneIn(2)) headers.push([header, secret])
  else if (cookie !== undefined) {
    const before = random.oneIn(3) ? random.pick(['\t', 'x', '"', '=', ',', '\u00a0']) : ' '
    headers.push(['Cookie', `a=b;${before}${cookie}=${secret}`])
  } else if (bearer === true) headers.push(['Authorization', `Bearer ${secret}`])
  return {
    method: isSocket ? 'GET' : random.pick(['GET', 'POST']),
    target,
    headers: random.shuffled(headers),
  }
}

/** The request as bytes. A value with a credential must come as it is, so nothing is trimmed. */
export function bytesOf({ method, target, headers }: WrittenRequest): Buffer {
  const lines = headers
    .filter(([name]) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name))
    .map(([name, value]) => `${name}: ${value}`)
  return Buffer.from(
    [`${method} ${target.replace(/[^\x21-\xff]/g, '')} HTTP/1.1`, ...lines, '', ''].join('\r\n'),
    'latin1',
  )
}

/** What `forwardAuth` of each proxy needs to be told of. */
export function asQuestion(random: Random, proxy: string, request: WrittenRequest): WrittenRequest {
  const [method, uri] =
    proxy === 'nginx' ? ['X-Original-Method', 'X-Original-URI'] : ['X-Forwarded-Method', 'X-Forwarded-Uri']
  const mine: [string, string][] = [
    [method as string, request.method],
    [uri as string, request.target],
    ['X-Forwarded-Host', random.oneIn(9) ? random.pick(hosts) : 'gateway.example.com'],
    ['X-Forwarded-Proto', random.oneIn(9) ? anything(random) : 'https'],
  ]
  const names = new Set(mine.map(([name]) => name.toLowerCase()))
  // A proxy replaces what a client sends under these names; now and then one forgets to.
  const kept = request.headers.filter(([name]) => !names.has(name.toLowerCase()) || random.oneIn(20))
  return { method: 'GET', target: '/', headers: random.shuffled([...kept, ...mine]) }
}
