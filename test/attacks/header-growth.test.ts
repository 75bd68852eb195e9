/*
 * Headers and targets of the worst shapes that were thought of, sixteen times as long: the time of a decision grows as they do,
 * and not as their square. What is longer than Node's limit of 16 KiB counts, too: operators raise it.
 */
import { IncomingMessage } from 'node:http'
import { decide, explain } from 'upgate/node'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EveryScheme, origin, Peer, proxyAddress, startEveryScheme } from './every-scheme.ts'

let t: EveryScheme
beforeAll(async () => {
  t = await startEveryScheme()
})
afterAll(() => t.close())

type Shape = (n: number) => readonly (readonly [name: string, value: string])[]

const repeat =
  (name: string, part: string, joint = ''): Shape =>
  (n) => [
    [
      name,
      Array(Math.ceil(n / (part.length + joint.length)))
        .fill(part)
        .join(joint),
    ],
  ]
const session = '__Host-upgate_session'
const kubernetes = 'base64url.bearer.authorization.k8s.io.'
const shapes: Record<string, Shape> = {
  'session cookies': repeat('Cookie', `${session}=a`, '; '),
  'session cookies that differ': (n) => [
    ['Cookie', Array.from({ length: n / 28 }, (_, i) => `${session}=${i}`).join('; ')],
  ],
  'the name of the session cookie': repeat('Cookie', session),
  'the name of the session cookie, with `=`': repeat('Cookie', `${session}=`),
  'spaces before the name of the session cookie': (n) => [
    ['Cookie', `a=b;${' '.repeat(n)}x${' '.repeat(n)}${session}=a`],
  ],
  'spaces behind a session cookie': (n) => [['Cookie', `${session}=a${' '.repeat(n)}b`]],
  'cookies of Access': repeat('Cookie', 'CF_Authorization=a.b.c', ';'),
  'cookies of Access that differ': (n) => [
    ['Cookie', Array.from({ length: n / 26 }, (_, i) => `CF_Authorization=e30.e30.${i}`).join(';')],
    ['Cf-Access-Jwt-Assertion', t.known[4]?.secret ?? ''],
  ],
  semicolons: repeat('Cookie', ';'),
  'a bearer of spaces': repeat('Authorization', ' '),
  'a scheme word and spaces': (n) => [['Authorization', `Bearer${' '.repeat(n)}x`]],
  'a scheme word and tabs': (n) => [['Authorization', `Bearer${'\t'.repeat(n)}x`]],
  'a scheme word without end': repeat('Authorization', 'B'),
  'an API key of n bytes': repeat('X-Api-Key', 'ugk_'),
  'an assertion of dots': repeat('Cf-Access-Jwt-Assertion', '.'),
  'an assertion of JSON': (n) => [
    ['Cf-Access-Jwt-Assertion', `${Buffer.from('['.repeat(n)).toString('base64url')}.e30.x`],
  ],
  'forwarded addresses': repeat('X-Forwarded-For', '10.0.0.9', ', '),
  'forwarded addresses of version 6': repeat('X-Forwarded-For', '::ffff:10.0.0.9', ','),
  'colons of X-Forwarded-For': (n) => [['X-Forwarded-For', `${':'.repeat(n)}x`]],
  'colons of CF-Connecting-IP': (n) => [
    ['X-Forwarded-For', '198.51.100.7'],
    ['CF-Connecting-IP', `${':'.repeat(n)}x`],
  ],
  'commas of X-Forwarded-For': repeat('X-Forwarded-For', ','),
  'spaces of X-Forwarded-For': repeat('X-Forwarded-For', ' 1'),
  'a Forwarded header': repeat('Forwarded', 'for="[::1]:1"', ';'),
  'many headers of X-Forwarded-For': (n) =>
    Array.from({ length: n / 40 }, () => ['X-Forwarded-For', '10.0.0.9'] as const),
  'many headers of one name': (n) => Array.from({ length: n / 30 }, () => ['Origin', origin] as const),
  'many headers': (n) => Array.from({ length: n / 20 }, (_, i) => [`x-${i}`, 'a'] as const),
  'many headers of the proxy': (n) => Array.from({ length: n / 20 }, () => ['remote-user', 'root'] as const),
  'spellings of the proxy': (n) =>
    Array.from({ length: n / 20 }, (_, i) => [`remote${'._'[i % 2]}user`, 'root'] as const),
  'groups of the proxy': (n) => [
    ['Remote-User', 'root'],
    [
      'Remote-Groups',
      Array(n / 2)
        .fill('g')
        .join(','),
    ],
  ],
  'encoded words of the proxy': repeat('Remote-User', '=?utf-8?q?a?=', ' '),
  'encoded octets of the proxy': (n) => [['Remote-User', `=?utf-8?q?${'=C3=A9'.repeat(n / 6)}?=`]],
  'broken words of the proxy': repeat('Remote-User', '=?utf-8?q?'),
  'ports of Host': repeat('Host', ':1'),
  'digits behind the port of Host': (n) => [['Host', `a:${'1'.repeat(n)}x`]],
  'forwarded hosts': repeat('Forwarded', 'host="'),
  'a forwarded host of dots': (n) => [
    ['Host', 'evil.example'],
    ['X-Forwarded-Host', 'a.'.repeat(n / 2)],
  ],
  'a Host of brackets': repeat('Host', '['),
  'a Host of dots': repeat('Host', 'a.'),
  'an Origin of n bytes': repeat('Origin', 'https://'),
  'a list of origins': repeat('Origin', origin, ', '),
  'accepted types': repeat('Accept', 'text/html;q=0', ','),
}
const sockets: Record<string, Shape> = {
  'tickets among the subprotocols': repeat('Sec-WebSocket-Protocol', `${kubernetes}dWd0Xw`, ', '),
  'prefixes among the subprotocols': repeat('Sec-WebSocket-Protocol', kubernetes),
  'commas among the subprotocols': repeat('Sec-WebSocket-Protocol', ','),
  'tokens of Connection': repeat('Connection', 'upgrade', ','),
  'commas of Connection': repeat('Connection', ', '),
  'protocols of Upgrade': repeat('Upgrade', 'websocket', ', '),
  'a key of n bytes': repeat('Sec-WebSocket-Key', 'a'),
}
const targets: Record<string, (n: number) => string> = {
  'tickets in the query': (n) =>
    `/live?${Array(Math.ceil(n / 9))
      .fill('ticket=a')
      .join('&')}`,
  'percent signs in the query': (n) => `/live?ticket=${'%'.repeat(n)}`,
  'ampersands in the query': (n) => `/live?${'&'.repeat(n)}`,
  'question marks': (n) => `/live${'?'.repeat(n)}`,
}
const handshake = [
  ...['Connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Version', '13'],
  ...['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
]

function request(headers: ReturnType<Shape>, target: string, isSocket: boolean): IncomingMessage {
  const native = new IncomingMessage(new Peer(proxyAddress) as never)
  native.method = 'GET'
  native.url = target
  const names = new Set(headers.map(([name]) => name.toLowerCase()))
  const base = ['Host', 'gateway.example.com', 'Origin', origin, ...(isSocket ? handshake : [])]
  const kept = base.flatMap((name, i) =>
    i % 2 || names.has(name.toLowerCase()) ? [] : [name, base[i + 1] as string],
  )
  const raw = [...headers.flat(), ...kept]
  ;(native as unknown as { _addHeaderLines(raw: readonly string[], n: number): void })._addHeaderLines(
    raw,
    raw.length,
  )
  if (isSocket) Object.assign(native, { upgrade: true })
  // Built here and flat, so that the time is not that of Node.
  for (const value of Object.values(native.headers)) if (typeof value === 'string') Buffer.byteLength(value)
  return native
}

/** Milliseconds of CPU of the quickest of some decisions: collections only add to them. */
async function timeOf(make: () => IncomingMessage, ask: Ask, enough: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5 && least >= enough; i++) {
    const asked = make()
    const before = process.cpuUsage()
    await ask(asked)
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, (user + system) / 1_000)
    t.clock.advance(61_000)
  }
  return least
}

const all: [string, Shape, (n: number) => string, boolean][] = [
  ...Object.entries(shapes).map(([name, shape]) => [name, shape, () => '/x', false] as (typeof all)[number]),
  ...Object.entries(sockets).map(
    ([name, shape]) => [name, shape, () => '/live', true] as (typeof all)[number],
  ),
  ...Object.entries(targets).map(([name, target]) => [name, () => [], target, true] as (typeof all)[number]),
]

type Ask = (request: IncomingMessage) => unknown
const few = 8_192
const many = 262_144

it.each(all)('%s cost no more than their length', async (_, shape, target, isSocket) => {
  for (const ask of [(r: IncomingMessage) => decide(t.gate, r), (r: IncomingMessage) => explain(t.gate, r)]) {
    const small = await timeOf(() => request(shape(few), target(few), isSocket), ask, 0)
    // In proportion it is 32 times as much, as the square 1,024 times; the rest is for collections and a busy machine.
    const most = small * 300 + 100
    const large = await timeOf(() => request(shape(many), target(many), isSocket), ask, most)
    expect(large).toBeLessThan(most)
    expect(large).toBeLessThan(1_000)
  }
  expect(t.errors).toEqual([])
})
