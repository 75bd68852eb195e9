import { createGate, type Revocation, type RevocationFeed, type RevocationSelector } from 'upgate'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { context, current, jwks, previous, requestOf, team, until, wordOf } from './team.ts'

/** Holds the signatures given to WebCrypto until they are released. */
function holdSignatures() {
  const verify = crypto.subtle.verify.bind(crypto.subtle)
  const held: (() => void)[] = []
  let open = false
  let inFlight = 0
  let most = 0
  const spy = vi.spyOn(crypto.subtle, 'verify').mockImplementation(async (...question) => {
    most = Math.max(most, ++inFlight)
    if (!open) await new Promise<void>((resolve) => held.push(resolve))
    inFlight--
    return verify(...question)
  })
  return {
    held,
    asked: () => spy.mock.calls.length,
    most: () => most,
    letGo() {
      open = true
      for (const go of held.splice(0)) go()
    },
  }
}

function feed(): RevocationFeed & { revoke(selector: RevocationSelector): void } {
  const listeners = new Set<(revocation: Revocation) => void>()
  let sequence = 0
  return {
    sequence: () => sequence,
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    revoke(selector) {
      sequence++
      for (const listener of listeners) listener({ sequence, at: 0, selector, reason: 'revoked' })
    },
  }
}

const crowded = {
  outcome: 'unavailable',
  reason: 'too many tokens wait for their verification',
  retryAfter: 1,
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe('first sights', () => {
  it('share one verification if they are the same token', async () => {
    let identified = 0
    const acme = team({
      identify: () => {
        identified++
        return {}
      },
    })
    const token = acme.user()
    const signatures = holdSignatures()
    const answers = Array.from({ length: 50 }, () => acme.verify(token))
    await until(() => signatures.held.length === 1)
    answers.push(acme.verify(token))
    signatures.letGo()
    expect(new Set((await Promise.all(answers)).map(wordOf))).toEqual(new Set(['authenticated']))
    expect([identified, signatures.asked(), acme.fetched.length]).toEqual([1, 1, 1])
  })

  it('share nothing with a token that only has the same signature', async () => {
    const acme = team()
    await acme.scheme.prefetch()
    const token = acme.user()
    const [header = '', , signature = ''] = token.split('.')
    const [, root = ''] = acme.user({ email: 'root@example.com', sub: 'root' }).split('.')
    const signatures = holdSignatures()
    const answers = [token, `${header}.${root}.${signature}`, token].map((each) => acme.verify(each))
    await until(() => signatures.held.length >= 2)
    signatures.letGo()
    expect((await Promise.all(answers)).map(wordOf)).toEqual([
      'authenticated',
      'invalid_credential',
      'authenticated',
    ])
  })

  it('are bounded: beyond the bound a token is unavailable, and known tokens are still decided', async () => {
    const acme = team({ verificationsInFlight: 20 })
    const gate = createGate({
      origins: ['https://gateway.example.com'],
      schemes: [acme.scheme],
      clock: acme.clock,
    })
    const known = acme.user()
    await acme.verify(known)
    const signatures = holdSignatures()
    const forged = (i: number) =>
      `${acme.user({ sub: `u${i}` }).replace(/\.[^.]+$/, '')}.${Buffer.alloc(256, i + 1).toString('base64url')}`
    const tokens = Array.from({ length: 20 }, (_, i) => forged(i))
    const waiting = tokens.map((token) => acme.verify(token))
    await until(() => signatures.held.length === 8)

    expect(await acme.verify(acme.user({ sub: 'one more' }))).toEqual(crowded)
    const decision = await gate.decide(requestOf({ 'cf-access-jwt-assertion': acme.user({ sub: 'more' }) }))
    expect(decision).toMatchObject({
      outcome: 'unavailable',
      status: 503,
      code: 'unavailable',
      retryAfter: 1,
    })
    expect(acme.verifyNow(known).outcome).toBe('authenticated')
    expect(wordOf(acme.verifyNow(acme.user({ aud: ['other'] }))), 'refused without a signature').toBe(
      'invalid_credential',
    )
    const again = acme.verify(tokens[0] ?? '')

    signatures.letGo()
    for (const answer of await Promise.all([...waiting, again])) {
      expect(answer).toMatchObject({ code: 'invalid_credential', reason: 'the signature does not match' })
    }
    expect(signatures.asked()).toBe(20)
    expect(signatures.most(), 'at a time').toBe(8)
    expect(wordOf(await acme.verify(acme.user({ sub: 'one more' })))).toBe('authenticated')
  })

  it('that wait for keys have a separate bound: unknown key ids do not crowd out tokens of known keys', async () => {
    const acme = team({ verificationsInFlight: 5 })
    await acme.scheme.prefetch()
    acme.clock.advance(30_000)
    let answer = (_: Response): void => {}
    acme.serve(
      () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    )
    const waiting = Array.from({ length: 5 }, (_, i) => acme.verify(acme.withKid(`forged-${i}`)))
    expect(await acme.verify(acme.withKid('one more'))).toEqual(crowded)
    expect(wordOf(await acme.verify(acme.user()))).toBe('authenticated')
    answer(jwks(previous, current))
    expect((await Promise.all(waiting)).map(wordOf)).not.toContain('authenticated')

    // The places are free again.
    acme.clock.advance(30_000)
    const later = Array.from({ length: 5 }, (_, i) => acme.verify(acme.withKid(`later-${i}`)))
    answer(jwks(previous, current))
    for (const each of await Promise.all(later)) expect(each).not.toEqual(crowded)
  })

  it('explain needs a place too, and gives it back', async () => {
    const acme = team({ verificationsInFlight: 1 })
    await acme.scheme.prefetch()
    const signatures = holdSignatures()
    const first = acme.verify(acme.user())
    await until(() => signatures.held.length === 1)
    const credential = { type: 'token', source: 'edge', value: acme.user({ sub: 'u2' }) } as const
    expect(await acme.scheme.verify(credential, { ...context, dryRun: true })).toEqual(crowded)
    signatures.letGo()
    expect(wordOf(await first)).toBe('authenticated')
    for (let i = 0; i < 3; i++) {
      expect(wordOf(await acme.scheme.verify(credential, { ...context, dryRun: true }))).toBe('authenticated')
    }
  })

  it('a check that fails is no verdict: unavailable, with its cause, and tried again', async () => {
    const acme = team()
    await acme.scheme.prefetch()
    vi.spyOn(crypto.subtle, 'verify').mockRejectedValueOnce(new Error('out of memory'))
    const token = acme.user()
    expect(await acme.verify(token)).toMatchObject({
      outcome: 'unavailable',
      reason: 'the signature could not be verified',
      cause: { cause: { message: 'out of memory' } },
    })
    // The gate logs the cause, without the token; the scheme itself logs nothing.
    expect(acme.warnings).toEqual([])
    expect(wordOf(await acme.verify(token))).toBe('authenticated')
  })

  // If this were ignored, a request with a cookie for another subject would be admitted while a flood keeps
  // the queue full.
  it('answers that a cookie of another subject could not be checked while the line is full', async () => {
    const acme = team({ verificationsInFlight: 1 })
    await acme.scheme.prefetch()
    const header = acme.user()
    expect(wordOf(await acme.verify(header))).toBe('authenticated')
    const signatures = holdSignatures()
    const first = acme.verify(acme.user({ sub: 'u2' }))
    await until(() => signatures.held.length === 1)
    const request = requestOf({
      'cf-access-jwt-assertion': header,
      cookie: `CF_Authorization=${acme.user({ sub: 'u3' })}`,
    })
    const credential = acme.scheme.extract?.(request)?.credential
    if (credential === undefined) throw new Error('nothing was found')
    expect(await acme.scheme.verify(credential, context)).toEqual(crowded)
    signatures.letGo()
    await first
    expect(await acme.scheme.verify(credential, context)).toMatchObject({
      outcome: 'rejected',
      reason: 'header and cookie are of different subjects',
    })
  })
})

describe('a revocation during the first sight wins', () => {
  function revocable() {
    const revocations = feed()
    let disabled = false
    const asked: (() => void)[] = []
    const acme = team({
      revocations,
      identify: ({ subject }) => {
        const account = { id: subject, disabled }
        return new Promise((resolve) => asked.push(() => resolve(account)))
      },
    })
    const gate = createGate({
      origins: ['https://gateway.example.com'],
      schemes: [acme.scheme],
      clock: acme.clock,
    })
    const token = acme.user({ sub: 'ada' })
    return {
      acme,
      asked,
      verify: () => acme.verify(token),
      async decide() {
        const decision = await gate.decide(requestOf({ 'cf-access-jwt-assertion': token }))
        return 'code' in decision ? decision.code : decision.outcome
      },
      disable() {
        disabled = true
        revocations.revoke({ principalId: 'ada' })
      },
      /** Answers every look-up until the decision is made. */
      async settled<T>(answer: Promise<T>): Promise<T> {
        let done = false
        const finished = answer.finally(() => {
          done = true
        })
        await until(() => {
          for (const go of asked.splice(0)) go()
          return done
        })
        return finished
      },
    }
  }

  it('while the signature is verified', async () => {
    const { acme, decide, disable, settled, verify } = revocable()
    await acme.scheme.prefetch()
    const signatures = holdSignatures()
    const decision = decide()
    await until(() => signatures.held.length === 1)
    disable()
    signatures.letGo()
    expect(await settled(decision)).toBe('account_disabled')
    expect(wordOf(await settled(verify()))).toBe('account_disabled')
  })

  it('while the account is looked up', async () => {
    const { asked, decide, disable, settled, verify } = revocable()
    const decision = decide()
    await until(() => asked.length === 1)
    disable()
    expect(await settled(decision)).toBe('account_disabled')
    expect(wordOf(await settled(verify()))).toBe('account_disabled')
  })

  // The request joined the look-up in progress, which had read the account before the revocation, and no
  // later check caught it.
  it('also for a request after the revocation with a token that was being looked up before', async () => {
    const { asked, decide, disable, settled } = revocable()
    const early = decide()
    await until(() => asked.length === 1)
    disable()
    const late = decide()
    expect(await settled(late)).toBe('account_disabled')
    expect(await settled(early)).toBe('account_disabled')
  })
})
