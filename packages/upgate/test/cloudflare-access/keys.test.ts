import { describe, expect, it } from 'vitest'
import { current, jwks, keyOf, previous, type Team, team, wordOf } from './team.ts'

const next = keyOf('next')
const mallory = keyOf('mallory')

describe('6. rotation and outages', () => {
  it('accepts a new key during the life of the cache, with no valid token refused', async () => {
    const acme = team()
    await acme.verify(acme.user())
    acme.clock.advance(300_000)
    acme.serve([current, next])
    const answers = await Promise.all([
      acme.verify(acme.user({}, next)),
      acme.verify(acme.user({ sub: 'u2' }, next)),
      acme.verify(acme.user()),
    ])
    expect(answers.map(wordOf)).toEqual(['authenticated', 'authenticated', 'authenticated'])
    expect(acme.fetched.length).toBe(2)
  })

  it('accepts the old key for as long as it is published', async () => {
    const acme = team()
    acme.serve([current, next])
    for (let day = 0; day < 7; day++) {
      expect(wordOf(await acme.verify(acme.user()))).toBe('authenticated')
      expect(wordOf(await acme.verify(acme.user({}, next)))).toBe('authenticated')
      acme.clock.advance(86_400_000)
    }
  })

  it('drops a removed key, and the tokens remembered under it', async () => {
    const acme = team()
    const old = acme.user({}, previous)
    const kept = acme.user()
    await acme.scheme.prefetch()
    expect(wordOf(await acme.verify(old))).toBe('authenticated')
    expect(wordOf(await acme.verify(kept))).toBe('authenticated')
    acme.serve([current, next])
    acme.clock.advance(30_000)
    await acme.verify(acme.user({}, next)) // makes it fetch
    expect(acme.verifyNow(old)).toMatchObject({ outcome: 'rejected', code: 'invalid_credential' })
    expect(wordOf(await acme.verify(kept))).toBe('authenticated')
    // Also a key that no token used while it was published.
    acme.serve([next])
    expect(await acme.scheme.prefetch()).toBe(true)
    acme.serve([current])
    expect(await acme.scheme.prefetch()).toBe(true)
    expect(wordOf(acme.verifyNow(acme.user({}, next)))).toBe('invalid_credential')
  })

  it('drops a key if its id was given to another key', async () => {
    const acme = team()
    const token = acme.user()
    await acme.verify(token)
    acme.serve(() => Response.json({ keys: [{ ...next.jwk, kid: current.kid }] }))
    acme.clock.advance(30_000)
    await acme.verify(acme.user({}, mallory))
    expect(await acme.verify(token)).toMatchObject({
      outcome: 'rejected',
      reason: 'the signature does not match',
    })
  })

  it('refuses a token if its key is removed while its account is looked up', async () => {
    let asked = (): void => {}
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    let release: (() => void) | undefined
    const slow = team({
      identify: () => {
        asked()
        return new Promise((resolve) => {
          release = () => resolve({})
        })
      },
    })
    await slow.scheme.prefetch()
    const answer = slow.verify(slow.user({}, previous))
    await isAsked
    slow.serve([current])
    slow.clock.advance(1_000)
    await slow.scheme.prefetch()
    release?.()
    expect(await answer).toMatchObject({ outcome: 'rejected', reason: 'the signing key was removed' })
  })

  it('fetches in the background when the keys get old, and no request waits', async () => {
    const acme = team()
    await acme.verify(acme.user())
    acme.clock.advance(600_000)
    let answer = (_: Response): void => {}
    acme.serve(
      () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    )
    expect(wordOf(await acme.verify(acme.user()))).toBe('authenticated')
    expect(acme.fetched.length).toBe(2)
    answer(jwks(previous, current))
    await settle()
    await acme.verify(acme.user())
    expect(acme.fetched.length, 'not again').toBe(2)
  })

  it('waits for a fetch after being idle for longer than maxAge', async () => {
    const acme = team()
    await acme.verify(acme.user({}, previous))
    acme.serve([current])
    acme.clock.advance(3_600_000)
    expect(wordOf(await acme.verify(acme.user({}, previous)))).toBe('invalid_credential')
    expect(acme.fetched.length).toBe(2)
  })

  const failures: [string, () => Promise<Response> | Response, string][] = [
    ['500', () => new Response('oops', { status: 500 }), 'status 500'],
    ['404', () => new Response('', { status: 404 }), 'status 404'],
    ['no network', () => Promise.reject(new TypeError('fetch failed')), 'no answer'],
    [
      'refused connection',
      () => Promise.reject(new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } })),
      'no answer (ECONNREFUSED)',
    ],
    [
      'redirect',
      () => new Response(null, { status: 302, headers: { location: 'https://evil.example/certs' } }),
      'answered with a redirect, which is not followed',
    ],
    [
      'a redirect that the injected fetch followed',
      () => Object.defineProperty(jwks(mallory), 'redirected', { value: true }),
      'answered with a redirect, which is not followed',
    ],
    ['HTML', () => new Response('<title>Just a moment...</title>'), 'the answer is not JSON'],
    ['oversize', () => oversize(), 'the answer is larger than 1 MiB'],
    ['empty', () => new Response(''), 'the answer is not JSON'],
    ['null', () => Response.json(null), 'the document has no `keys`'],
    ['an array', () => Response.json([]), 'the document has no `keys`'],
    ['no keys', () => Response.json({ keys: [] }), 'the document holds no usable RS256 key'],
    ['a short key', () => jwks(keyOf('short', 1_024)), 'the document holds no usable RS256 key'],
    [
      'a key for encryption',
      () => Response.json({ keys: [{ ...current.jwk, use: 'enc' }] }),
      'the document holds no usable RS256 key',
    ],
    [
      'exponent 1',
      () => Response.json({ keys: [{ ...current.jwk, e: 'AQ' }] }),
      'the document holds no usable RS256 key',
    ],
    [
      'two keys under one id',
      () => Response.json({ keys: [current.jwk, { ...mallory.jwk, kid: current.kid }] }),
      'two keys of the document share an id',
    ],
    [
      'too many keys',
      () => Response.json({ keys: Array(65).fill(current.jwk) }),
      'the document has more than 64 keys',
    ],
  ]

  it.each(failures)('%s: unavailable when cold, the old keys when warm', async (_, answer, reason) => {
    const cold = team()
    cold.serve(answer)
    expect(await cold.verify(cold.user())).toEqual({
      outcome: 'unavailable',
      reason: 'the signing keys cannot be fetched',
      retryAfter: 1,
    })
    expect(cold.warnings.join()).toContain(reason)
    cold.serve([current])
    cold.clock.advance(1_000)
    expect(wordOf(await cold.verify(cold.user())), 'recovers').toBe('authenticated')

    const warm = team()
    const token = warm.user()
    await warm.verify(token)
    warm.serve(answer)
    warm.clock.advance(1_200_000)
    expect(wordOf(await warm.verify(token))).toBe('authenticated')
    await settle()
    expect(warm.verifyNow(token).outcome).toBe('authenticated')
    expect(wordOf(await warm.verify(warm.user()))).toBe('authenticated')
  })

  it('skips keys that it cannot use and takes the others', async () => {
    const acme = team()
    const junk = [null, 7, {}, { kty: 'EC', kid: 'x' }, { kty: 'RSA', kid: 'y', n: 'AA', e: 'AQAB' }]
    acme.serve(() => Response.json({ keys: [...junk, current.jwk] }))
    expect(wordOf(await acme.verify(acme.user()))).toBe('authenticated')
    expect(acme.scheme.status()).toMatchObject({ keys: 1, usable: true, failures: 0 })
  })

  it('gives up on an answer that does not come, also with a fetch that ignores its signal', async () => {
    const acme = team()
    acme.serve(() => new Promise(() => {}))
    const answer = acme.verify(acme.user())
    acme.clock.advance(4_999)
    await settle()
    expect(acme.warnings).toEqual([])
    acme.clock.advance(1)
    expect(await answer).toMatchObject({ outcome: 'unavailable' })
    expect(acme.warnings.join()).toContain('no complete answer in time')
    expect(acme.inits[0]?.signal?.aborted).toBe(true)
    expect(acme.clock.pending, 'no timer is left').toBe(0)
  })

  it('gives up on a body that trickles', async () => {
    const acme = team()
    acme.serve(() => new Response(new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(10)) })))
    const answer = acme.verify(acme.user())
    await settle()
    acme.clock.advance(5_000)
    expect(await answer).toMatchObject({ outcome: 'unavailable' })
  })

  it('asks without following redirects and without credentials', async () => {
    const acme = team()
    await acme.verify(acme.user())
    expect(acme.inits[0]).toMatchObject({ method: 'GET', redirect: 'manual', credentials: 'omit' })
  })

  it('stale-if-error is bounded: after maxStale even remembered tokens are unavailable', async () => {
    const acme = team({ keys: { refreshAfter: 20, maxAge: 30, maxStale: 40 } })
    const token = acme.user()
    await acme.verify(token)
    acme.serve(() => new Response('', { status: 503 }))
    acme.clock.advance(35_000)
    await acme.verify(token) // waits once, for the fetch that fails
    expect(acme.verifyNow(token).outcome).toBe('authenticated')
    acme.clock.advance(4_999)
    expect(acme.verifyNow(token).outcome).toBe('authenticated')
    await settle()
    acme.clock.advance(1)
    expect(acme.verifyNow(token)).toMatchObject({ outcome: 'unavailable', retryAfter: 2 })
    expect(acme.scheme.status()).toMatchObject({ usable: false })
  })

  it('an outage is probed after growing pauses: 12,000 requests in 10 minutes cost 15 fetches', async () => {
    const acme = team()
    acme.serve(() => new Response('', { status: 503 }))
    const token = acme.user()
    for (let second = 0; second < 600; second++) {
      for (let i = 0; i < 20; i++) await acme.verify(token)
      acme.clock.advance(1_000)
    }
    // 0, 1, 3, 7, 15, 31, 63 (pauses of 1 to 32 s), then every 60 s until 600.
    expect(acme.fetched.length).toBe(15)
    expect(acme.warnings.length).toBe(15)
  })

  it('during an outage an unknown kid is unavailable, not invalid: it may belong to a new key', async () => {
    const acme = team()
    await acme.verify(acme.user())
    acme.serve(() => new Response('', { status: 503 }))
    acme.clock.advance(60_000)
    expect(await acme.verify(acme.user({}, next))).toMatchObject({ outcome: 'unavailable', retryAfter: 1 })
    expect(wordOf(acme.verifyNow(acme.user({ sub: 'u2' }, next)))).toBe('unavailable')
    acme.serve([current, next])
    acme.clock.advance(30_000)
    expect(wordOf(await acme.verify(acme.user({}, next)))).toBe('authenticated')
  })

  it('a clock that is set back extends neither the life of keys and tokens nor a pause', async () => {
    let calls = 0
    let hours = 2
    const acme: Team = team({
      clock: {
        now: () => acme.clock.now() + hours * 3_600_000,
        setTimer: (...timer) => acme.clock.setTimer(...timer),
      },
      identify: () => {
        calls++
        return {}
      },
    })
    const token = acme.user({ nbf: undefined })
    await acme.verify(token)
    acme.clock.advance(59_999)
    await acme.verify(token)
    expect([calls, acme.fetched.length]).toEqual([1, 1])
    hours = 1
    expect(wordOf(await acme.verify(token))).toBe('authenticated')
    expect([calls, acme.fetched.length], 'both repeated').toEqual([2, 2])
    expect(wordOf(await acme.verify(token))).toBe('authenticated')
    expect([calls, acme.fetched.length], 'and remembered').toEqual([2, 2])
    hours = 0
    acme.serve([current, next])
    expect(wordOf(await acme.verify(acme.user({}, next))), 'no cooldown of an hour').toBe('authenticated')

    hours = 3
    acme.serve(() => new Response('', { status: 503 }))
    expect(await acme.scheme.prefetch()).toBe(false)
    hours = 0
    acme.serve([current, next, mallory])
    expect(wordOf(await acme.verify(acme.user({}, mallory))), 'no pause of hours').toBe('authenticated')
  })

  it('prefetch fetches the keys, and reports a failure', async () => {
    const acme = team()
    expect(await acme.scheme.prefetch()).toBe(true)
    expect(wordOf(await acme.verify(acme.user()))).toBe('authenticated')
    expect(acme.fetched.length).toBe(1)
    const down = team()
    down.serve(() => new Response('', { status: 500 }))
    expect(await down.scheme.prefetch()).toBe(false)
    expect(down.scheme.status()).toEqual({ keys: 0, fetchedAt: undefined, failures: 1, usable: false })
  })

  it('survives a logger that throws', async () => {
    const acme = team({
      logger: {
        warn: () => {
          throw new Error('disk full')
        },
        error: () => {},
      },
    })
    acme.serve(() => new Response('', { status: 500 }))
    expect(wordOf(await acme.verify(acme.user()))).toBe('unavailable')
  })
})

function oversize(): Response {
  const chunk = new Uint8Array(65_536).fill(32)
  let left = 17
  return new Response(
    new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(chunk)
        else controller.close()
      },
    }),
  )
}

/** Lets background work finish. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}
