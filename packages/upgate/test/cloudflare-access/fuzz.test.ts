import { createVerifier } from 'fast-jwt'
import type { Verification } from 'upgate'
import { expect, it } from 'vitest'
import { aud, current, encode, issuer, keyOf, otherAud, previous, signToken, team } from './team.ts'

const seed = 0x5eed_c10d
const rounds = Number(process.env.UPGATE_TOKENS ?? 30_000)
/** Tokens verified at the same time. */
const batch = 200

/** mulberry32: the same numbers each time. */
function random(): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

it(`never accepts a token that fast-jwt refuses, over ${rounds} mutated tokens`, {
  timeout: 180_000,
}, async () => {
  const next = random()
  const int = (below: number) => Math.floor(next() * below)
  const pick = <T>(list: readonly T[]): T => list[int(list.length)] as T

  const acme = team({ services: { 'svc.access': { scopes: [] } } })
  await acme.scheme.prefetch()
  const now = acme.now()
  // A different implementation from the one that verifies here.
  const oracles = new Map(
    [previous, current].map(({ kid, publicKey }) => {
      const verify = createVerifier({
        key: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
        algorithms: ['RS256'],
        allowedIss: issuer,
        allowedAud: aud,
        requiredClaims: ['iss', 'aud', 'exp'],
        // fast-jwt still accepts a token at the very moment of its expiry.
        clockTimestamp: acme.clock.now() + 1,
        clockTolerance: 30_000,
        cache: false,
      })
      return [kid, verify] as const
    }),
  )
  const oracle = (token: string): boolean => {
    try {
      const { kid } = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
      const verify = oracles.get(String(kid))
      verify?.(token)
      return verify !== undefined
    } catch {
      return false
    }
  }

  const user = {
    iss: issuer,
    aud: [aud],
    type: 'app',
    email: 'a@example.com',
    sub: 'u',
    iat: now,
    exp: now + 60,
  }
  const service = {
    iss: issuer,
    aud,
    type: 'app',
    common_name: 'svc.access',
    sub: '',
    iat: now,
    exp: now + 60,
  }
  const values: unknown[] = [
    undefined,
    null,
    0,
    -1,
    now,
    now - 29,
    now - 30,
    now - 31,
    now + 30,
    now + 31,
    now + 0.5,
    now - 29.5,
    1e300,
    '',
    'app',
    'org',
    issuer,
    `${issuer}/`,
    [issuer],
    aud,
    `${aud} `,
    [aud],
    [otherAud, aud],
    [aud, 1],
    [],
    {},
    'a@example.com',
    true,
  ]
  const claimNames = ['iss', 'aud', 'type', 'exp', 'nbf', 'iat', 'sub', 'email', 'common_name', 'custom']
  const headerNames = ['alg', 'typ', 'kid', 'crit', 'b64', 'jwk', 'zip', 'cty', 'x5c']
  const headerValues: unknown[] = [
    undefined,
    null,
    'RS256',
    'none',
    'HS256',
    'PS256',
    'jwt',
    'JWT',
    current.kid,
    previous.kid,
    '__proto__',
    [],
    ['b64'],
    true,
    false,
    keyOf('mallory').jwk,
  ]
  // Signed by keys that count and by one that does not, with right and wrong claims and headers.
  const seeds: string[] = []
  for (let i = 0; i < 1_500; i++) {
    const claims: Record<string, unknown> = { ...pick([user, service]) }
    const header: Record<string, unknown> = {}
    if (next() < 0.4) claims[pick(claimNames)] = pick(values)
    if (next() < 0.15) claims[pick(claimNames)] = pick(values)
    if (next() < 0.2) header[pick(headerNames)] = pick(headerValues)
    const key = pick([current, current, current, previous, keyOf('mallory')])
    seeds.push(signToken(claims, key, header))
  }

  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const odd = [...alphabet, '+', '/', '=', '.', ' ', '\n', '\0', '%', 'é', '\u{1f600}']
  const at = (token: string, index: number, insert: string, remove: number) =>
    token.slice(0, index) + insert + token.slice(index + remove)
  const reencode = (part: string, change: (value: Record<string, unknown>) => void): string => {
    try {
      const value = JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
      change(value)
      return encode(value)
    } catch {
      return part
    }
  }
  const put = (object: Record<string, unknown>, name: string, value: unknown): void => {
    object[name] = value
  }
  const mutators: ((token: string) => string)[] = [
    (t) => t,
    (t) => at(t, int(t.length), pick([...alphabet]), 1),
    (t) => at(t, int(t.length), pick(odd), 1),
    (t) => at(t, int(t.length + 1), pick(odd), 0),
    (t) => at(t, int(t.length), '', 1 + int(3)),
    (t) => t.slice(0, int(t.length)),
    (t) => t + pick(odd),
    (t) => `${t.slice(0, -1)}${pick([...alphabet])}`,
    (t) => t.replace(/[-_]/g, (c) => (c === '-' ? '+' : '/')),
    (t) =>
      t
        .split('.')
        .map((p) => p + '='.repeat((4 - (p.length % 4)) % 4))
        .join('.'),
    (t) => part(t, 0, (p) => reencode(p, (v) => put(v, pick(headerNames), pick(headerValues)))),
    (t) => part(t, 1, (p) => reencode(p, (v) => put(v, pick(claimNames), pick(values)))),
    (t) => part(t, int(3), () => pick(seeds).split('.')[int(3)] ?? ''),
    (t) => part(t, 2, () => pick(['', 'AA', 'A'.repeat(342), Buffer.alloc(256, 1).toString('base64url')])),
    (t) => part(t, int(3), () => encode(pick(['null', '[]', '{}', '{"alg":"RS256"}', '"x"', '{"a":1e999}']))),
    (t) => t.split('.').reverse().join('.'),
    (t) => t.toLowerCase(),
    (t) => t.replace('.', pick(['..', '', ' .', '%2e'])),
  ]
  function part(token: string, index: number, change: (part: string) => string): string {
    const parts = token.split('.')
    parts[index] = change(parts[index] ?? '')
    return parts.join('.')
  }

  const stricter = new Map<string, number>()
  const wrong: string[] = []
  let ours = 0
  let theirs = 0
  for (let i = 0; i < rounds; i += batch) {
    const tokens = Array.from({ length: batch }, () => {
      let token = pick(seeds)
      for (let n = next() < 0.8 ? 1 : 2; n > 0; n--) token = pick(mutators)(token)
      return token
    })
    const answers = await Promise.all(tokens.map((token) => acme.verifyToken(token)))
    for (const [n, token] of tokens.entries()) {
      const answer = answers[n] as Verification
      const reference = oracle(token)
      if (answer.outcome === 'authenticated') ours++
      if (reference) theirs++
      if (answer.outcome === 'authenticated' && !reference) wrong.push(token)
      if (answer.outcome !== 'authenticated' && reference) {
        stricter.set(answer.reason, (stricter.get(answer.reason) ?? 0) + 1)
      }
    }
  }
  console.info(
    `seed 0x${seed.toString(16)}: ${rounds} tokens, ${ours} accepted by us, ${theirs} by fast-jwt`,
    Object.fromEntries(stricter),
  )
  expect(wrong).toEqual([])
  expect(ours, 'a fuzz that accepts nothing shows nothing').toBeGreaterThan(rounds / 50)
  // A token that fast-jwt accepts is refused only for reasons of Access or of spelling.
  expect(
    [...stricter.keys()].filter((reason) => !knownReasons.includes(reason.split(': it begins')[0] ?? '')),
  ).toEqual([])
  expect(acme.fetched.length).toBe(1)
})

const knownReasons = [
  'type is not app',
  'aud does not name a configured application',
  'exp is missing or not a whole number of seconds',
  'nbf is not a whole number of seconds',
  'iat is not a whole number of seconds',
  'the token is not valid yet (nbf, iat)',
  'the type is not JWT',
  'the header asks for an unencoded payload (b64)',
  'the header demands an extension (crit)',
  'neither email nor common_name',
  'both email and common_name: neither a person nor a service token',
  'email without sub',
  'email is not a string',
  'sub is not a string',
  'common_name is not a string',
  'no account here belongs to this service',
  'the header is not base64url of a JSON object',
  'the payload is not base64url of a JSON object',
  'the signature is not base64url',
]
