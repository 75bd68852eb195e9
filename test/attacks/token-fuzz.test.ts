/*
 * Credentials that are nearly right: turned bits, cut, glued, in other cases, scripts and encodings, with another kind's prefix,
 * and with a checksum that fits. Only the exact one counts, by whatever way it comes. `UPGATE_FUZZ=100` tries a hundred times as
 * many (about five minutes), `UPGATE_SEED=7` others.
 */
import { generateKeyPairSync, sign } from 'node:crypto'
import { crc32 } from 'node:zlib'
import {
  apiKey,
  createGate,
  createServices,
  type DecisionOf,
  deviceKey,
  deviceToken,
  type Gate,
  memoryStore,
  type Principal,
  sessionCookie,
  sharedToken,
  ticket,
} from 'upgate'
import { deviceAuthText } from 'upgate/protocol'
import { manualClock } from 'upgate/testing'
import { upgateHandshake } from 'upgate/ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cases, createRandom, type Random, seed, timeFor } from './random.ts'

const tries = cases(500)
const origin = 'https://gateway.example.com'
const kinds = ['user', 'device', 'service'] as const
const clock = manualClock()
const noHasher = { hash: async () => 'none', verify: async () => false, needsRehash: () => false }
const services = createServices({
  ...{ store: memoryStore(), clock, passwordHasher: noHasher, pairing: { bindKeys: true } },
})
const { accounts, sessions, keys, devices, pairing, tickets } = services
const errors: unknown[] = []
const secret = 'shared-gateway-token-0123456789'
const gate = createGate({
  clock,
  logger: { warn() {}, error: (...what) => void errors.push(what) },
  origins: [origin],
  schemes: [
    sessionCookie({ sessions }),
    apiKey({ keys }),
    deviceToken({ devices }),
    ticket({ tickets }),
    deviceKey({ pairing, devices }),
    sharedToken({ token: secret, principal: { kind: 'service', id: 'shared' } }),
  ],
  rules: [
    { path: '/ws', access: 'deferred', kinds, handshake: upgateHandshake({ deviceKeys: true }) },
    { path: '/*', access: 'required', kinds },
  ],
}) as unknown as Gate

/** A secret, and the id of its principal. */
const tokens: Record<string, { readonly value: string; readonly id: string }> = {}
let deferred: DecisionOf<'defer'>
beforeAll(async () => {
  const made = await accounts.create({ email: 'ada@example.com', password: 'correct horse battery' })
  if (made.outcome !== 'done') throw new Error(made.reason)
  const { id } = made.account
  const principal: Principal = { kind: 'user', id, scheme: 'session', scopes: [], roles: [], attributes: {} }
  const session = await sessions.create(id)
  const key = await keys.create({ name: 'ci' })
  const device = await devices.create({ name: 'kitchen' })
  const issued = await tickets.create(principal, { path: '/ws', origin })
  tokens.session = { value: session?.token ?? '', id }
  tokens.key = { value: key.token, id: key.id }
  tokens.device = { value: device.token, id: device.id }
  tokens.ticket = { value: issued.ticket, id }
  tokens.shared = { value: secret, id: 'shared' }
  const decision = await gate.decide(asked('/ws', socketHeaders))
  if (decision.outcome !== 'defer') throw new Error(decision.outcome)
  deferred = decision
})
afterAll(async () => {
  gate.close()
  await services.close()
})

const socketHeaders = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  origin,
}
function asked(target: string, given: Readonly<Record<string, string>>): Parameters<Gate['decide']>[0] {
  const headers: Record<string, string> = { host: 'gateway.example.com', ...given }
  const kind = given.upgrade === undefined ? 'http' : 'upgrade'
  const rawHeaders = Object.entries(headers).flat()
  return { kind, method: 'GET', target, headers, rawHeaders, encrypted: true, peerAddress: '198.51.100.7' }
}

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const prefixes = ['ugk', 'ugd', 'ugt', 'ugs', 'UGK', 'ug', 'ugkk', 'mk', 'gh']
/** The token with a checksum that fits, which any client can compute. */
function summed(token: string): string {
  const head = token.slice(0, -6)
  let rest = crc32(head)
  let sum = ''
  for (let i = 0; i < 6; i++) {
    sum = (alphabet[rest % 62] as string) + sum
    rest = Math.floor(rest / 62)
  }
  return head + sum
}

const lookalikes: Readonly<Record<string, string>> = {
  k: '\u212a',
  s: '\u017f',
  a: '\u0430',
  e: '\u0435',
  o: '\u043e',
  u: '\uff55',
  '0': '\u0660',
  _: '\uff3f',
}

function mutated(token: string, random: Random): string {
  const all = Object.values(tokens).map(({ value }) => value)
  const at = random.below(token.length)
  const letter = (): string => alphabet[random.below(62)] as string
  const changed = (with_: string): string => token.slice(0, at) + with_ + token.slice(at + 1)
  const makers: (() => string)[] = [
    () => changed(letter()),
    () => summed(changed(letter())),
    () => summed(changed(letter())),
    () => changed(String.fromCharCode(token.charCodeAt(at) ^ (1 << random.below(8)))),
    () => changed(String.fromCharCode(token.charCodeAt(at) + 256 * (1 + random.below(200)))),
    () => changed(lookalikes[token[at]?.toLowerCase() ?? ''] ?? '\u200b'),
    () => changed(`${token[at]}${random.pick(['\u0301', '\u200d', '\0', ' ', '\n', '\ufeff', '\ud800'])}`),
    () => token.slice(0, at),
    () => token.slice(at),
    () =>
      token +
      random.pick([' ', '=', '==', '\0', '\n', letter(), ',', ';', '\u00a0', token, random.pick(all)]),
    () => random.pick([' ', '\t', '"', '\ufeff', '\0', 'Bearer ', token]) + token,
    () => `"${token}"`,
    () => token.toUpperCase(),
    () => token.toLowerCase(),
    () => [...token].reverse().join(''),
    () => `${token.normalize('NFKD')}\u0300`,
    () => `${random.pick(prefixes)}${token.slice(3)}`,
    () => summed(`${random.pick(prefixes)}${token.slice(3)}`),
    // The id of one, the secret of another.
    () => summed(token.slice(0, 17) + random.pick(all).slice(17)),
    () => summed(token.slice(0, 17) + token.slice(17, -6).split('').map(letter).join('') + token.slice(-6)),
    () => Buffer.from(token).toString(random.pick(['base64', 'base64url', 'hex', 'utf16le'] as const)),
    () => [...token].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(''),
    () => encodeURIComponent(token.replaceAll('_', '%5f')),
    () => [...token].map((c) => `\\u00${c.charCodeAt(0).toString(16)}`).join(''),
    () => token.replaceAll('_', '-'),
    () => token.slice(0, 4) + token.slice(4).split('').sort().join(''),
    () => letter().repeat(random.below(5_000)),
    () => '',
  ]
  return random.pick(makers)()
}

type Id = string | undefined
/** Ways of a credential to the gate: each says as whom it let in. */
const ways: Record<string, (value: string, random: Random) => Promise<Id> | Id> = {
  bearer: (value) => idOf(asked('/x', { authorization: `Bearer ${latin1(value)}` })),
  'x-api-key': (value) => idOf(asked('/x', { 'x-api-key': latin1(value) })),
  cookie: (value) => idOf(asked('/x', { cookie: `a=b; __Host-upgate_session=${latin1(value)}; c=d` })),
  async subprotocol(value) {
    const carried = Buffer.from(value, 'latin1').toString('base64url')
    const offer = `v1, base64url.bearer.authorization.k8s.io.${carried}`
    return idOf(asked('/ws', { ...socketHeaders, 'sec-websocket-protocol': offer }))
  },
  async frame(value, random) {
    const hint = random.pick(['device', 'api-key', 'shared', 'session', 'ticket', undefined] as const)
    const answer = await gate.resume(deferred, {
      credential: { type: 'token', source: 'frame', value, hint },
    } as never)
    return answer.outcome === 'allow' ? answer.principal.id : undefined
  },
  async services(value) {
    const context = { clientAddress: undefined, dryRun: true, path: '/ws', origin }
    for (const service of [keys, devices, sessions, tickets]) {
      const verify = service.verify as (value: string, context: object) => ReturnType<typeof keys.verify>
      const answer = await verify(value, context)
      if (answer.outcome === 'authenticated') return answer.principal.id
    }
    return undefined
  },
}
const latin1 = (text: string): string => Buffer.from(text).toString('latin1')

async function idOf(request: Parameters<Gate['decide']>[0]): Promise<Id> {
  // A wrong one too many is held back.
  clock.advance(6_500)
  // The services read their log by this clock, too.
  await new Promise((resolve) => setImmediate(resolve))
  const decision = await gate.decide(request)
  return decision.outcome === 'allow' ? decision.principal?.id : undefined
}

const seen: Record<string, readonly string[]> = {
  session: ['cookie', 'services'],
  key: ['bearer', 'x-api-key', 'frame', 'services'],
  device: ['bearer', 'frame', 'services'],
  ticket: ['services'],
  shared: ['bearer', 'frame'],
}

describe.each(Object.keys(seen))('a %s', (kind) => {
  it(`counts exactly as it is, after ${tries} others`, { timeout: timeFor(500) }, async () => {
    const random = createRandom(seed)
    const { value, id } = tokens[kind] as (typeof tokens)[string]
    const values = new Set(Object.values(tokens).map((token) => token.value))
    for (let i = 0; i < tries; i++) {
      const wrong = mutated(value, random)
      // HTTP trims white space around a value, and a form of two is one again.
      if (values.has(wrong.trim()) || wrong.trim() === `Bearer ${value}`) continue
      const way = random.pick(Object.keys(ways))
      expect(
        await ways[way]?.(wrong, random),
        `${way}, try ${i} of seed ${seed}: ${JSON.stringify(wrong)}`,
      ).toBe(undefined)
    }
    if (kind === 'ticket') return
    for (const way of seen[kind] as string[]) {
      const ids: Id[] = []
      for (let n = 0; n < 6; n++) ids.push(await ways[way]?.(value, createRandom(n)))
      expect(ids, way).toContain(id)
    }
    expect(errors).toEqual([])
  })
})

it(`a signed proof counts for its own bytes alone, after ${tries} others`, {
  timeout: timeFor(500),
}, async () => {
  const random = createRandom(seed)
  const handshake = upgateHandshake({ deviceKeys: true })
  const { privateKey, publicKey: key } = generateKeyPairSync('ed25519')
  const raw = key.export({ type: 'spki', format: 'der' }).subarray(-32)
  const token = (await devices.create({ name: 'shed' })).token
  const play = async (
    change: (proof: Record<string, unknown>, frame: Record<string, unknown>) => void,
  ): Promise<boolean> => {
    const context = {
      ...{
        state: undefined,
        value: undefined,
        now: () => clock.now(),
        randomId: () => `n${random.below(1e9)}`,
        path: '/ws',
      },
      ...{ clientAddress: undefined, httpPrincipal: undefined, gone: false },
    }
    const [opening] = (handshake.open?.(context) ?? []) as readonly string[]
    const { nonce } = JSON.parse(opening as string) as { nonce: string }
    const publicKey = raw.toString('base64url')
    const signedAt = clock.now()
    const text = deviceAuthText({ publicKey, nonce, signedAt, token }) as string
    const proof = {
      publicKey,
      signedAt,
      signature: sign(null, Buffer.from(text), privateKey).toString('base64url'),
    }
    const frame = { type: 'auth', token, device: proof }
    change(proof, frame)
    const step = handshake.receive({ binary: false, text: JSON.stringify(frame) }, context)
    if (step.step !== 'credential') return false
    return (
      (await gate.resume(deferred, { credential: step.credential, declared: step.declared })).outcome ===
      'allow'
    )
  }
  expect(await play(() => {})).toBe(true)
  const bytes = (value: unknown): string => Buffer.from(String(value), 'base64').toString('hex')
  for (let i = 0; i < tries; i++) {
    const field = random.pick(['publicKey', 'signature', 'token', 'signedAt'])
    let sent: unknown
    let before: unknown
    const good = await play((proof, frame) => {
      const where = field === 'token' ? frame : proof
      before = where[field]
      sent =
        field === 'signedAt'
          ? random.pick([
              0,
              -1,
              1e308,
              2 ** 53,
              (before as number) + 1,
              String(before),
              null,
              [before],
              { valueOf: 1 },
            ])
          : mutated(before as string, random)
      where[field] = sent
    })
    if (!good) continue
    // Another spelling of the same bytes is the same proof.
    const same =
      field === 'publicKey' || field === 'signature' ? bytes(sent) === bytes(before) : sent === before
    expect(same, `${field}, try ${i} of seed ${seed}: ${JSON.stringify(sent)}`).toBe(true)
  }
  expect(await play(() => {})).toBe(true)
  expect(errors).toEqual([])
})
