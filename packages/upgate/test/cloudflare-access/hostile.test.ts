import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { createGate } from 'upgate'
import { cloudflareAccess } from 'upgate/cloudflare-access'
import { manualClock } from 'upgate/testing'
import { afterEach, describe, expect, it } from 'vitest'
import {
  aud,
  context,
  current,
  encode,
  issuer,
  jwks,
  keyOf,
  otherAud,
  requestOf,
  signToken,
  team,
  until,
  wordOf,
} from './team.ts'

const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('tokens', () => {
  it('nested JWTs are refused, with any `cty`', async () => {
    const acme = team()
    const inner = acme.user()
    for (const header of [{ cty: 'JWT' }, {}]) {
      for (const payload of [inner, JSON.stringify(inner), JSON.stringify([inner])]) {
        expect(await acme.verify(signToken(payload, current, header))).toMatchObject({
          reason: 'the payload is not base64url of a JSON object',
        })
      }
    }
    expect(wordOf(await acme.verify(signToken({ jwt: inner }, current)))).toBe('invalid_credential')
  })

  it('claims come from the token itself, not from its prototype', async () => {
    const acme = team()
    const claims = JSON.parse(Buffer.from(acme.user().split('.')[1] ?? '', 'base64url').toString())
    const { aud: _, email: __, ...rest } = claims
    const text = JSON.stringify({ ...rest, inherited: { aud, email: 'root@example.com' } })
    const inherited = text.replace('"inherited"', '"__proto__"')
    expect(wordOf(await acme.verify(signToken(inherited, current)))).toBe('invalid_credential')
    expect(({} as Record<string, unknown>).email).toBeUndefined()
  })

  it('the largest time counts, and the first one beyond it does not', async () => {
    const acme = team()
    expect(await acme.verify(acme.user({ exp: 8.64e12 - 1 }))).toMatchObject({
      outcome: 'authenticated',
      principal: { expiresAt: 8.64e15 - 1_000 },
    })
    expect(wordOf(await acme.verify(acme.user({ exp: 8.64e12 })))).toBe('invalid_credential')
  })

  it('the cache of one application is not used by another: same team, same keys, same token', async () => {
    const acme = team()
    const other = team({ audience: [otherAud] })
    const token = acme.user()
    const both = acme.user({ aud: [aud, otherAud] })
    for (let i = 0; i < 2; i++) {
      expect(wordOf(await acme.verify(token))).toBe('authenticated')
      expect(wordOf(await other.verify(token))).toBe('invalid_credential')
      expect(wordOf(await other.verify(both))).toBe('authenticated')
    }
  })
})

describe('headers', () => {
  it('the same header in another case is a duplicate; with underscores it is another header', async () => {
    const acme = team()
    const gate = createGate({
      origins: ['https://gateway.example.com'],
      schemes: [acme.scheme],
      clock: acme.clock,
    })
    const good = acme.user()
    const decide = async (...names: string[]) => {
      const request = requestOf({})
      // As Node reads them: names in lower case, the values joined.
      const headers: Record<string, string> = { host: 'gateway.example.com' }
      for (const name of names.map((each) => each.toLowerCase())) {
        headers[name] = headers[name] === undefined ? good : `${headers[name]}, ${good}`
      }
      const rawHeaders = [...request.rawHeaders, ...names.flatMap((name) => [name, good])]
      const decision = await gate.decide({ ...request, headers, rawHeaders })
      return 'code' in decision ? decision.code : decision.outcome
    }
    expect(await decide('Cf-Access-Jwt-Assertion')).toBe('allow')
    expect(await decide('Cf-Access-Jwt-Assertion', 'CF-ACCESS-JWT-ASSERTION')).toBe('duplicate_header')
    expect(await decide('cf-access-jwt-assertion', 'Cf-Access-Jwt-Assertion')).toBe('duplicate_header')
    expect(await decide('Cf_Access_Jwt_Assertion')).toBe('auth_required')
  })

  it('a cookie that a neighbouring site adds to the real one opens nothing, in any order', async () => {
    const acme = team()
    const victim = acme.user()
    const mine = acme.user({ sub: 'mallory', email: 'mallory@example.com' })
    for (const cookie of [
      `CF_Authorization=${mine}; CF_Authorization=${victim}`,
      `CF_Authorization=${victim}; CF_Authorization=${mine}`,
      `CF_Authorization=${mine};CF_Authorization=${victim}`,
      `CF_Authorization="${victim}"`,
      `CF_Authorization=${victim}, CF_Authorization=${mine}`,
    ]) {
      expect(wordOf(await acme.ask({ cookie })), cookie.slice(0, 40)).toBe('invalid_credential')
    }
    expect(wordOf(await acme.ask({ cookie: `cf_authorization=${victim}` }))).toBe('absent')
  })
})

describe('key documents', () => {
  const { n, e, kid } = current.jwk
  it.each<[string, Record<string, unknown>]>([
    ['a symmetric key', { kty: 'oct', kid, k: encode('secret') }],
    ['a symmetric key dressed up', { kty: 'oct', kid, n, e, k: n, alg: 'HS256' }],
    ['for another algorithm', { kty: 'RSA', kid, n, e, alg: 'PS256' }],
    ['for another hash', { kty: 'RSA', kid, n, e, alg: 'RS512' }],
    ['for encryption, by its operations', { kty: 'RSA', kid, n, e, key_ops: ['encrypt'] }],
    ['operations that are none', { kty: 'RSA', kid, n, e, key_ops: 'verify' }],
    ['a number for an id', { kty: 'RSA', kid: 7, n, e }],
    ['an even exponent of two', { kty: 'RSA', kid, n, e: 'Ag' }],
    ['a modulus that is no base64url', { kty: 'RSA', kid, n: '****', e }],
  ])('%s is passed over', async (_, jwk) => {
    const acme = team()
    acme.serve(() => Response.json({ keys: [jwk] }))
    expect(wordOf(await acme.verify(acme.user()))).toBe('unavailable')
    acme.serve(() => Response.json({ keys: [jwk, { ...keyOf('next').jwk, key_ops: ['verify'] }] }))
    acme.clock.advance(1_000)
    expect(wordOf(await acme.verify(acme.user({}, keyOf('next'))))).toBe('authenticated')
    expect(acme.scheme.status().keys).toBe(1)
  })

  it('only the public half of a published private key is used', async () => {
    const acme = team()
    acme.serve(() =>
      Response.json({ keys: [current.privateKey.export({ format: 'jwk' })].map((jwk) => ({ ...jwk, kid })) }),
    )
    expect(wordOf(await acme.verify(acme.user()))).toBe('authenticated')
  })
})

it('an endless document is read only up to its bound', async () => {
  const acme = team()
  let pulled = 0
  let cancelled = false
  acme.serve(
    () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            if (++pulled > 1_000) controller.close()
            else controller.enqueue(new Uint8Array(65_536).fill(32))
          },
          cancel() {
            cancelled = true
          },
        }),
      ),
  )
  expect(wordOf(await acme.verify(acme.user()))).toBe('unavailable')
  expect(acme.warnings.join()).toContain('larger than 1 MiB')
  expect(pulled).toBeLessThan(20)
  expect(cancelled).toBe(true)
})

describe('an issuer over the network', () => {
  const closing: (() => void)[] = []
  afterEach(() => {
    for (const close of closing.splice(0)) close()
  })

  /** The scheme with Node's fetch, against a server here. */
  async function against(listener: RequestListener) {
    const server = createServer(listener).listen(0, '127.0.0.1')
    closing.push(() => {
      server.closeAllConnections()
      server.close()
    })
    await new Promise((resolve) => server.once('listening', resolve))
    const clock = manualClock()
    const warnings: string[] = []
    const log = (_: string, fields?: object) => void warnings.push(JSON.stringify(fields))
    const scheme = cloudflareAccess({
      team: 'acme',
      audience: [aud],
      clock,
      logger: { warn: log, error: log },
      dangerouslyTrustSimulatorAt: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    })
    return { scheme, clock, warnings }
  }

  it('a document that is small on the wire and huge in memory is cut off', async () => {
    // 64 MiB of white space in 64 KiB.
    const body = gzipSync(Buffer.alloc(67_108_864, 32))
    const { scheme, warnings } = await against((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(body),
    )
    expect(await scheme.prefetch()).toBe(false)
    expect(warnings.join()).toContain('larger than 1 MiB')
  })

  it('an answer that trickles ends at the timeout, with its connection', async () => {
    let begun = (): void => {}
    const sent = new Promise<void>((resolve) => {
      begun = resolve
    })
    let ended = (): void => {}
    const gone = new Promise<void>((resolve) => {
      ended = resolve
    })
    const { scheme, clock, warnings } = await against((_, response) => {
      response.once('close', ended)
      response.writeHead(200).write('{"keys":[', begun)
    })
    const answer = scheme.prefetch()
    await sent
    clock.advance(5_000)
    expect(await answer).toBe(false)
    expect(warnings.join()).toContain('no complete answer in time')
    await gone
  })

  it('a redirect is not followed, to any target', async () => {
    const asked: string[] = []
    const { scheme } = await against((request, response) => {
      asked.push(request.url ?? '')
      response.writeHead(302, { location: '/elsewhere' }).end()
    })
    expect(await scheme.prefetch()).toBe(false)
    expect(asked).toEqual(['/cdn-cgi/access/certs'])
  })
})

describe('applications that misbehave', () => {
  it('an identify that never answers is unavailable after 5 s, and delays no other request', async () => {
    let hangs = true
    const acme = team({
      identify: ({ subject }) => (hangs && subject === 'ada' ? new Promise(() => {}) : { id: subject }),
    })
    await acme.scheme.prefetch()
    const ada = acme.user({ sub: 'ada' })
    const waiting = [acme.verify(ada), acme.verify(ada)]
    expect(wordOf(await acme.verify(acme.user({ sub: 'bob' })))).toBe('authenticated')
    await until(() => acme.clock.pending === 1)
    acme.clock.advance(5_000)
    for (const answer of await Promise.all(waiting)) {
      expect(answer).toMatchObject({
        outcome: 'unavailable',
        reason: 'the identity could not be looked up',
        cause: { message: 'no answer in time' },
      })
    }
    expect(acme.clock.pending, 'no timer is left').toBe(0)
    hangs = false
    expect(wordOf(await acme.verify(ada)), 'asked again').toBe('authenticated')
  })

  it('a late answer of identify is not remembered', async () => {
    const answers: ((account: { id: string }) => void)[] = []
    const acme = team({ identifyTimeout: 2, identify: () => new Promise((resolve) => answers.push(resolve)) })
    await acme.scheme.prefetch()
    const token = acme.user()
    const first = acme.verify(token)
    await until(() => answers.length === 1 && acme.clock.pending === 1)
    acme.clock.advance(2_000)
    expect(wordOf(await first)).toBe('unavailable')
    answers[0]?.({ id: 'late' })
    await settle()
    const second = acme.verify(token)
    await until(() => answers.length === 2)
    answers[1]?.({ id: 'in time' })
    expect(await second).toMatchObject({ principal: { id: 'in time' } })
    expect(acme.clock.pending, 'no timer is left').toBe(0)
  })

  it('a notBefore that never answers is unavailable, not open', async () => {
    const acme = team({ notBefore: () => new Promise(() => {}) })
    await acme.scheme.prefetch()
    const answer = acme.verify(acme.user())
    await until(() => acme.clock.pending === 1)
    acme.clock.advance(5_000)
    expect(wordOf(await answer)).toBe('unavailable')
  })

  it('a thenable that breaks the rules is unavailable', async () => {
    const twice = {
      // biome-ignore lint/suspicious/noThenProperty: a promise as a stranger may write it.
      then(resolve: (value: unknown) => void) {
        resolve(null)
        resolve({ id: 'root', scopes: ['admin'] })
      },
    }
    const acme = team({ identify: () => twice as never })
    await acme.scheme.prefetch()
    expect(wordOf(await acme.verify(acme.user()))).toBe('unavailable')
  })

  it('the online check fails closed on an answer of another kind', async () => {
    const tokens = team()
    for (const body of [
      'true',
      '"ada@example.com"',
      '[]',
      'null',
      '{"email":["ada@example.com"]}',
      '{"email":{}}',
    ]) {
      const scheme = cloudflareAccess({
        team: 'acme',
        audience: [aud],
        online: true,
        clock: tokens.clock,
        fetch: async (url) =>
          url.startsWith(`${issuer}/cdn-cgi/access/certs`) ? jwks(current) : new Response(body),
      })
      const answer = scheme.verify({ type: 'token', source: 'edge', value: tokens.user() }, context)
      expect(wordOf(await answer), body).toBe('revoked_credential')
    }
  })
})
