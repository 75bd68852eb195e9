import { describe, expect, it } from 'vitest'
import { current, issuer, jwks, keyOf, previous, signToken, team, wordOf } from './team.ts'

const certs = `${issuer}/cdn-cgi/access/certs`
const next = keyOf('next')
const mallory = keyOf('mallory')

describe('5. key ids', () => {
  it('refuses a missing or malformed kid without a fetch', async () => {
    const acme = team()
    const claims = JSON.parse(Buffer.from(acme.user().split('.')[1] ?? '', 'base64url').toString())
    for (const kid of [undefined, '', 7, null, ['x'], { a: 1 }, 'x'.repeat(257)]) {
      expect(await acme.verify(signToken(claims, current, { kid }))).toMatchObject({
        reason: 'the key id is missing or malformed',
      })
    }
    expect(acme.fetched).toEqual([])
  })

  it('selects by kid alone: the current key may be the second', async () => {
    const acme = team()
    expect(wordOf(await acme.verify(acme.user()))).toBe('authenticated')
    expect(wordOf(await acme.verify(acme.user({}, previous)))).toBe('authenticated')
    expect(acme.fetched).toEqual([certs])
  })

  it('refetches once for an unknown kid, then not within the cooldown', async () => {
    const acme = team()
    await acme.verify(acme.user())
    acme.clock.advance(30_000)
    for (let i = 0; i < 10; i++) {
      expect(wordOf(await acme.verify(acme.user({}, mallory)))).toBe('invalid_credential')
    }
    expect(acme.fetched.length).toBe(2)
    acme.clock.advance(29_999)
    await acme.verify(acme.user({}, mallory))
    expect(acme.fetched.length).toBe(2)
    acme.clock.advance(1)
    await acme.verify(acme.user({}, mallory))
    expect(acme.fetched.length).toBe(3)
  })

  it('1,000 forged kids cause at most one fetch per cooldown, one after the other or at once', async () => {
    const acme = team()
    await acme.verify(acme.user())
    acme.clock.advance(30_000)
    for (let i = 0; i < 1_000; i++) await acme.verify(acme.withKid(`forged-${i}`))
    expect(acme.fetched.length).toBe(2)
    acme.clock.advance(30_000)
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => acme.verify(acme.withKid(`again-${i}`))),
    )
    expect(answers.filter(({ outcome }) => outcome === 'authenticated')).toEqual([])
    expect(acme.fetched.length).toBe(3)
  })

  it('a flood of forged kids does not affect other tokens', async () => {
    const acme = team()
    const known = acme.user()
    await acme.verify(known)
    acme.clock.advance(30_000)
    for (let i = 0; i < 1_000; i++) {
      await acme.verify(acme.withKid(`forged-${i}`))
      if (i % 100 === 0) {
        expect(wordOf(await acme.verify(acme.user({ sub: `u${i}` })))).toBe('authenticated')
      }
    }
    expect(acme.verifyNow(known).outcome).toBe('authenticated')
    expect(acme.scheme.status()).toMatchObject({ usable: true, failures: 0 })
    expect(acme.warnings).toEqual([])
  })

  it('a valid token of a new key is never called invalid: it is unavailable for the rest of the cooldown', async () => {
    const acme = team()
    await acme.verify(acme.user())
    acme.clock.advance(30_000)
    await acme.verify(acme.withKid('forged')) // begins the cooldown
    acme.clock.advance(10_000)
    acme.serve([current, next])
    const token = acme.user({}, next)
    for (const left of [20, 12]) {
      expect(await acme.verify(token)).toEqual({
        outcome: 'unavailable',
        reason:
          'none of the signing keys known so far has this key id; they are fetched again only after a pause',
        retryAfter: left,
      })
      acme.clock.advance(8_001)
    }
    expect(acme.fetched.length).toBe(2)
    acme.clock.advance(3_998)
    expect(wordOf(await acme.verify(token))).toBe('authenticated')
    expect(acme.fetched.length).toBe(3)
  })

  it('a kid is called invalid only after a document requested since lacks it', async () => {
    const acme = team()
    await acme.verify(acme.user())
    const early = acme.withKid('early')
    const late = acme.withKid('late')
    expect(wordOf(await acme.verify(early)), 'the cooldown of the first fetch').toBe('unavailable')
    acme.clock.advance(30_000)
    expect(wordOf(await acme.verify(acme.user({}, mallory))), 'asked for with it').toBe('invalid_credential')
    expect(acme.verifyNow(early), 'asked for since').toMatchObject({
      outcome: 'rejected',
      code: 'invalid_credential',
      reason: 'no key of the issuer has this key id',
    })
    expect(wordOf(acme.verifyNow(late)), 'not asked for since').toBe('unavailable')
    expect(acme.fetched.length).toBe(2)
  })

  it('a kid that arrives during a fetch is not judged by the document of that fetch', async () => {
    const acme = team()
    await acme.verify(acme.user())
    acme.clock.advance(30_000)
    let answer = (_: Response): void => {}
    acme.serve(
      () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    )
    const forged = acme.verify(acme.withKid('forged'))
    // The document was made before the key: the token arrives while the answer travels.
    const rotated = acme.verify(acme.user({}, next))
    answer(jwks(previous, current))
    expect(wordOf(await forged)).toBe('invalid_credential')
    expect(await rotated).toMatchObject({ outcome: 'unavailable', retryAfter: 30 })
    acme.serve([current, next])
    acme.clock.advance(30_000)
    expect(wordOf(await acme.verify(acme.user({}, next)))).toBe('authenticated')
  })

  it('a refusal is not remembered: a missing kid causes a fetch again after the cooldown', async () => {
    const acme = team()
    const token = acme.user({}, next)
    expect(wordOf(await acme.verify(token))).toBe('invalid_credential')
    acme.serve([current, next])
    expect(wordOf(await acme.verify(token))).toBe('invalid_credential')
    acme.clock.advance(30_000)
    expect(wordOf(await acme.verify(token))).toBe('authenticated')
    acme.serve([current])
    acme.clock.advance(30_000)
    await acme.verify(acme.withKid('forged'))
    expect(wordOf(acme.verifyNow(token)), 'removed').toBe('invalid_credential')
  })

  it('forgets the oldest of 1,000 missing kids, which makes an answer vaguer and admits no token', async () => {
    const acme = team()
    await acme.verify(acme.withKid('oldest'))
    expect(wordOf(acme.verifyNow(acme.withKid('oldest')))).toBe('invalid_credential')
    for (let i = 0; i < 999; i++) acme.verifyNow(acme.withKid(`forged-${i}`))
    expect(wordOf(acme.verifyNow(acme.withKid('oldest')))).toBe('invalid_credential')
    acme.verifyNow(acme.withKid('one more'))
    expect(wordOf(acme.verifyNow(acme.withKid('oldest')))).toBe('unavailable')
    expect(acme.fetched.length).toBe(1)
  })

  it('a cold verifier needs one fetch for 1,000 concurrent requests, forged ones among them', async () => {
    const acme = team()
    const good = acme.user()
    const bad = acme.user({}, mallory)
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => acme.verify(i % 10 === 9 ? bad : good)),
    )
    expect(answers.filter(({ outcome }) => outcome === 'authenticated').length).toBe(900)
    expect(acme.fetched.length).toBe(1)
  })

  it('a kid is data: __proto__, constructor and toString are ordinary ids', async () => {
    const acme = team()
    for (const kid of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      const token = acme.withKid(kid)
      expect(wordOf(await acme.verify(token))).not.toBe('authenticated')
      acme.clock.advance(30_000)
      expect(wordOf(await acme.verify(token))).toBe('invalid_credential')
    }
    const proto = keyOf('__proto__')
    acme.serve([current, proto])
    acme.clock.advance(30_000)
    expect(wordOf(await acme.verify(acme.user({}, proto)))).toBe('authenticated')
    expect(wordOf(await acme.verify(acme.user()))).toBe('authenticated')
  })

  it('an expired token causes no fetch', async () => {
    const acme = team()
    await acme.verify(acme.user())
    acme.clock.advance(60_000)
    expect(wordOf(await acme.verify(acme.user({ exp: acme.now() - 100 }, mallory)))).toBe(
      'invalid_credential',
    )
    expect(acme.fetched.length).toBe(1)
  })

  it('explain does not use up the fetch of a cooldown', async () => {
    const acme = team()
    await acme.verify(acme.user())
    acme.serve([current, next])
    acme.clock.advance(30_000)
    const token = acme.user({}, next)
    const credential = { type: 'token', source: 'edge', value: token } as const
    const dry = { clientAddress: undefined, dryRun: true, path: '/', origin: undefined }
    expect(await acme.scheme.verify(credential, dry)).toMatchObject({
      outcome: 'unavailable',
      reason: 'none of the signing keys known so far has this key id; explaining fetches none',
    })
    expect(acme.fetched.length).toBe(1)
    const forged = { type: 'token', source: 'edge', value: acme.withKid('forged') } as const
    await acme.scheme.verify(forged, dry)
    expect(wordOf(await acme.verify(token))).toBe('authenticated')
    expect(wordOf(acme.verifyNow(forged.value)), 'nor is its kid remembered').toBe('unavailable')
  })
})
