import { createHmac } from 'node:crypto'
import { cloudflareAccess } from 'upgate/cloudflare-access'
import { describe, expect, it } from 'vitest'
import { aud, current, encode, issuer, keyOf, otherAud, signToken, team, wordOf } from './team.ts'

describe('1. valid tokens and the audience', () => {
  it('accepts a user token and returns its principal', async () => {
    const acme = team()
    const answer = await acme.verify(acme.user())
    expect(answer).toMatchObject({
      outcome: 'authenticated',
      ambient: true,
      principal: {
        kind: 'user',
        id: '7335d417-61da-459d-899c-0a01c76a2f94',
        scheme: 'cloudflare-access',
        scopes: [],
        roles: [],
        displayName: 'ada@example.com',
        expiresAt: (acme.now() + 86_400) * 1_000,
        attributes: { email: 'ada@example.com', country: 'GB' },
      },
    })
  })

  it('accepts a service token that `services` lists, with the scopes given there', async () => {
    const services = {
      'e367826f93b8d71185e03fe518aff3b4.access': { id: 'backup', scopes: ['files.read'], roles: ['robot'] },
    }
    const acme = team({ services })
    expect(await acme.verify(acme.service())).toMatchObject({
      outcome: 'authenticated',
      ambient: false,
      principal: {
        kind: 'service',
        id: 'backup',
        credentialId: 'e367826f93b8d71185e03fe518aff3b4.access',
        scopes: ['files.read'],
        roles: ['robot'],
      },
    })
  })

  it.each([
    ['a string', aud, 'authenticated'],
    ['an array', [aud], 'authenticated'],
    ['several, ours second', [otherAud, aud], 'authenticated'],
    ['another application', [otherAud], 'invalid_credential'],
    ['empty string', '', 'invalid_credential'],
    ['empty array', [], 'invalid_credential'],
    ['missing', undefined, 'invalid_credential'],
    ['a number', 7, 'invalid_credential'],
    ['an array with a number', [aud, 7], 'invalid_credential'],
    ['nested', [[aud]], 'invalid_credential'],
    ['an object', { 0: aud }, 'invalid_credential'],
    ['ours contained in a longer string', `x${aud}x`, 'invalid_credential'],
    ['ours in a list in one string', `${otherAud},${aud}`, 'invalid_credential'],
    ['ours contained in an element', [`${aud}0`], 'invalid_credential'],
    ['a part of ours', aud.slice(0, 32), 'invalid_credential'],
  ])('aud: %s', async (_, value, expected) => {
    const acme = team()
    expect(wordOf(await acme.verify(acme.user({ aud: value })))).toBe(expected)
  })

  it('serves several applications', async () => {
    const acme = team({ audience: [otherAud, aud] })
    expect(wordOf(await acme.verify(acme.user({ aud: [otherAud] })))).toBe('authenticated')
    expect(wordOf(await acme.verify(acme.user({ aud })))).toBe('authenticated')
  })

  it('refuses to start without an AUD', () => {
    expect(() => cloudflareAccess({ team: 'acme', audience: [] })).toThrow(
      'cloudflareAccess: `audience` must be an array with the AUD tag of at least one Access application, each without spaces or commas (an unset variable?).',
    )
  })
})

describe('2. issuer', () => {
  it.each([
    ['another team', 'https://evil.cloudflareaccess.com'],
    ['trailing slash', `${issuer}/`],
    ['http:', 'http://acme.cloudflareaccess.com'],
    ['suffix host', `${issuer}.evil.example`],
    ['upper case', 'https://ACME.cloudflareaccess.com'],
    ['FedRAMP of the same team', 'https://acme.fed.cloudflareaccess.com'],
    ['array', [issuer]],
    ['missing', undefined],
  ])('refuses %s', async (_, iss) => {
    const acme = team()
    expect(await acme.verify(acme.user({ iss }))).toMatchObject({
      outcome: 'rejected',
      code: 'invalid_credential',
      reason: 'iss is not the configured issuer',
    })
    expect(acme.fetched, 'a token of another team causes no fetch').toEqual([])
  })

  it('accepts FedRAMP if configured, with its keys', async () => {
    const fed = team({ issuer: 'https://acme.fed.cloudflareaccess.com' })
    expect(wordOf(await fed.verify(fed.user()))).toBe('authenticated')
    expect(wordOf(await fed.verify(fed.user({ iss: issuer })))).toBe('invalid_credential')
    expect(fed.fetched).toEqual(['https://acme.fed.cloudflareaccess.com/cdn-cgi/access/certs'])
  })
})

describe('3. type', () => {
  it.each(['org', 'meta', 'match', 'APP', '', undefined, ['app'], true])('refuses %j', async (type) => {
    const acme = team()
    expect(await acme.verify(acme.user({ type }))).toMatchObject({
      outcome: 'rejected',
      reason: 'type is not app',
    })
  })
})

describe('4. algorithm and header', () => {
  const claims = (now: number) => ({
    iss: issuer,
    aud: [aud],
    type: 'app',
    email: 'ada@example.com',
    sub: 'u1',
    exp: now + 600,
  })

  it('refuses alg none, with and without signature', async () => {
    const acme = team()
    const input = `${encode({ alg: 'none', kid: current.kid })}.${encode(claims(acme.now()))}`
    const signature = acme.user().split('.')[2]
    for (const token of [`${input}.`, `${input}.${signature}`, input]) {
      expect(wordOf(await acme.verify(token))).toBe('invalid_credential')
    }
  })

  it('refuses HS256 keyed with the public key', async () => {
    const acme = team()
    const input = `${encode({ alg: 'HS256', kid: current.kid })}.${encode(claims(acme.now()))}`
    const secrets = [
      current.publicKey.export({ type: 'spki', format: 'pem' }),
      current.publicKey.export({ type: 'spki', format: 'der' }),
      String(current.jwk.n),
    ]
    for (const secret of secrets) {
      const token = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
      expect(await acme.verify(token)).toMatchObject({ reason: 'the algorithm is not RS256' })
    }
  })

  it.each(['RS384', 'RS512', 'PS256', 'ES256', 'rs256', ['RS256'], null])('refuses alg %j', async (alg) => {
    const acme = team()
    const token = signToken(claims(acme.now()), current, { alg })
    expect(await acme.verify(token)).toMatchObject({ reason: 'the algorithm is not RS256' })
  })

  it.each([[['exp']], [[]], ['x'], [null]])('refuses crit %j', async (crit) => {
    const acme = team()
    const token = signToken(claims(acme.now()), current, { crit })
    expect(await acme.verify(token)).toMatchObject({ reason: 'the header demands an extension (crit)' })
  })

  it('refuses an unencoded payload (b64)', async () => {
    const acme = team()
    expect(wordOf(await acme.verify(signToken(claims(acme.now()), current, { b64: false })))).toBe(
      'invalid_credential',
    )
  })

  it('never reads keys that the token carries: jwk, jku, x5u', async () => {
    const acme = team()
    const mallory = keyOf('mallory')
    const bring = {
      kid: current.kid,
      jwk: mallory.jwk,
      jku: 'https://evil.example/certs',
      x5u: 'https://evil.example/x5u',
    }
    expect(wordOf(await acme.verify(signToken(claims(acme.now()), mallory, bring)))).toBe(
      'invalid_credential',
    )
    expect(acme.fetched).toEqual([`${issuer}/cdn-cgi/access/certs`])
    expect(wordOf(await acme.verify(signToken(claims(acme.now()), current, bring)))).toBe('authenticated')
  })

  it('refuses another type of JOSE object', async () => {
    const acme = team()
    for (const typ of ['at+jwt', 'dpop+jwt', 7, null]) {
      expect(wordOf(await acme.verify(signToken(claims(acme.now()), current, { typ })))).toBe(
        'invalid_credential',
      )
    }
  })

  it('refuses a signature by the wrong one of two published keys', async () => {
    const acme = team()
    const token = signToken(claims(acme.now()), keyOf('previous'), { kid: current.kid })
    expect(await acme.verify(token)).toMatchObject({ reason: 'the signature does not match' })
  })
})

describe('7. times', () => {
  const tolerance = 30
  it.each([
    ['exp one second ahead', { exp: 1 }, 'authenticated'],
    ['exp at the end of the tolerance', { exp: -(tolerance - 1) }, 'authenticated'],
    ['exp just beyond the tolerance', { exp: -tolerance }, 'expired_credential'],
    ['nbf at the end of the tolerance', { nbf: tolerance }, 'authenticated'],
    ['nbf just beyond the tolerance', { nbf: tolerance + 1 }, 'invalid_credential'],
    ['iat at the end of the tolerance', { iat: tolerance }, 'authenticated'],
    ['iat just beyond the tolerance', { iat: tolerance + 1 }, 'invalid_credential'],
  ])('%s', async (_, offsets, expected) => {
    const acme = team()
    const claims = Object.fromEntries(Object.entries(offsets).map(([name, s]) => [name, acme.now() + s]))
    expect(wordOf(await acme.verify(acme.user(claims)))).toBe(expected)
  })

  it.each([
    ['missing', undefined],
    ['string', '4102444800'],
    ['float', 4_102_444_800.5],
    ['null', null],
    ['boolean', true],
    ['array', [4_102_444_800]],
    ['zero', 0],
    ['negative', -1],
    ['beyond any date', 1e300],
  ])('exp: %s is refused', async (_, exp) => {
    const acme = team()
    expect(await acme.verify(acme.user({ exp }))).toMatchObject({
      code: 'invalid_credential',
      reason: 'exp is missing or not a whole number of seconds',
    })
  })

  it('exp: NaN and Infinity are refused, which JSON cannot spell', async () => {
    const acme = team()
    for (const exp of ['NaN', 'Infinity', '1e999']) {
      const text = JSON.stringify({ iss: issuer, aud, type: 'app', email: 'a@b', sub: 'u' }).replace(
        '}',
        `,"exp":${exp}}`,
      )
      expect(wordOf(await acme.verify(signToken(text, current)))).toBe('invalid_credential')
    }
  })

  it.each(['1', 1.5, null, {}])('nbf and iat of %j are refused', async (value) => {
    const acme = team()
    expect(wordOf(await acme.verify(acme.user({ nbf: value })))).toBe('invalid_credential')
    expect(wordOf(await acme.verify(acme.user({ iat: value })))).toBe('invalid_credential')
  })

  it('accepts a token without nbf', async () => {
    const acme = team()
    expect(wordOf(await acme.verify(acme.user({ nbf: undefined })))).toBe('authenticated')
  })

  it('checks exp again on every hit of the cache', async () => {
    // A peer library served expired tokens from its cache for as long as they stayed in it.
    const acme = team()
    const token = acme.user({ exp: acme.now() + 20 })
    expect(wordOf(await acme.verify(token))).toBe('authenticated')
    acme.clock.advance(19_999)
    expect(wordOf(acme.verifyNow(token))).toBe('authenticated')
    acme.clock.advance(30_000)
    expect(wordOf(await acme.verify(token)), 'within the tolerance').toBe('authenticated')
    expect(wordOf(acme.verifyNow(token)), 'and remembered').toBe('authenticated')
    acme.clock.advance(1)
    expect(wordOf(await acme.verify(token))).toBe('expired_credential')
  })

  it('ends sockets at exp, and sockets that begin within the tolerance at its end', async () => {
    const acme = team()
    const exp = acme.now() + 20
    const token = acme.user({ exp })
    expect(await acme.verify(token)).toMatchObject({ principal: { expiresAt: exp * 1_000 } })
    acme.clock.advance(20_000)
    expect(await acme.verify(token)).toMatchObject({ principal: { expiresAt: (exp + tolerance) * 1_000 } })
  })

  it('says `expired` only after the signature verified', async () => {
    const acme = team()
    const token = acme.user({ exp: acme.now() - 3_600 }, keyOf('mallory'))
    const forged = signToken(
      JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()),
      keyOf('mallory'),
      {
        kid: current.kid,
      },
    )
    expect(wordOf(await acme.verify(forged))).toBe('invalid_credential')
    expect(wordOf(await acme.verify(acme.user({ exp: acme.now() - 3_600 })))).toBe('expired_credential')
  })

  it('respects another tolerance', async () => {
    const strict = team({ clockTolerance: 0 })
    expect(wordOf(await strict.verify(strict.user({ exp: strict.now() })))).toBe('expired_credential')
    expect(wordOf(await strict.verify(strict.user({ nbf: strict.now() + 1 })))).toBe('invalid_credential')
    expect(wordOf(await strict.verify(strict.user()))).toBe('authenticated')
  })
})
