import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { fromRequest } from '../../src/schemes/from-request.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { settle } from '../services/setup.ts'
import { context, decide, inBand, request } from './requests.ts'

const cookie = 'sid=1'

describe('a function that finds the session of a request', () => {
  test('returns the principal of the host request', async () => {
    const native = { user: 'ada' }
    const scheme = fromRequest((asked: typeof native) => ({ id: asked.user, scopes: ['a'] }), { name: 'own' })
    const found = scheme.extract?.(request({ cookie }, native))
    const answer = found && (await scheme.verify(found.credential, context))
    expect(answer).toMatchObject({
      outcome: 'authenticated',
      principal: { kind: 'user', id: 'ada', scheme: 'own', scopes: ['a'], roles: [] },
    })
    expect(scheme).toMatchObject({ name: 'own', ambient: true })
  })

  test('finding no principal counts as no credential, and failing counts as unavailable', async () => {
    expect(
      await decide(
        fromRequest(() => null),
        { cookie },
        {},
      ),
    ).toBe('invalid_credential')
    expect(
      await decide(
        fromRequest(async () => undefined),
        { cookie },
        {},
      ),
    ).toBe('invalid_credential')
    const failing: (() => never | Promise<never>)[] = [
      () => {
        throw new Error('no database')
      },
      async () => {
        throw new Error('no database')
      },
    ]
    for (const find of failing) expect(await decide(fromRequest(find), { cookie }, {})).toBe('unavailable')
    // An adapter that does not pass the host request on.
    expect(
      await decide(
        fromRequest(() => ({ id: 'ada' })),
        { cookie },
      ),
    ).toBe('unavailable')
  })

  test('a missing answer is unavailable, and a late one changes nothing', async () => {
    const clock = manualClock()
    let late = (_found: { id: string }): void => {}
    const scheme = fromRequest(() => new Promise<{ id: string }>((resolve) => (late = resolve)), {
      clock,
      timeout: 1000,
    })
    const answering = decide(scheme, { cookie }, {})
    await settle()
    clock.advance(1000)
    late({ id: 'ada' })
    expect(await answering).toBe('unavailable')
    expect(clock.pending).toBe(0)
  })

  test('is called only for requests with its own cookies', async () => {
    const scheme = fromRequest(() => ({ id: 'ada' }), { cookie: ['sid', '__Secure-sid'] })
    expect(await decide(scheme, { cookie: 'other=1; xsid=2; sid=' }, {})).toBe('absent')
    expect(await decide(scheme, { cookie: 'other=1; __Secure-sid=2' }, {})).toBe('authenticated')
    // Two of one name, in a request of an unknown kind: they cannot be tried one by one.
    expect(await decide(scheme, { cookie: 'sid=1; sid=2' }, {})).toBe('invalid_credential')
    expect(await decide(scheme, {}, {})).toBe('absent')
  })

  describe('if one of its cookies came more than once', () => {
    const people: Record<string, string> = { good: 'ada', again: 'ada', eve: 'eve' }
    const seen: string[] = []
    /** Reads the first cookie, as session systems do. */
    const scheme = fromRequest(
      (asked: IncomingMessage) => {
        seen.push(asked.headers.cookie as string)
        const id = people[/(?:^|; )sid=([^;]*)/.exec(asked.headers.cookie as string)?.[1] ?? '']
        return id === undefined ? null : { id }
      },
      { cookie: ['sid', 'other'] },
    )
    const native = (cookie: string, more: object = {}) => ({
      headers: { host: 'a', cookie },
      rawHeaders: ['Host', 'a', 'Cookie', cookie],
      ...more,
    })
    const ask = async (cookie: string, more?: object) => {
      seen.length = 0
      const found = scheme.extract?.(request({ cookie }, native(cookie, more)))
      const answer = found && (await scheme.verify(found.credential, context))
      return answer?.outcome === 'authenticated' ? answer.principal.id : (answer?.outcome ?? 'absent')
    }

    test('each value is tried, and a cookie of another site locks no user out', async () => {
      for (const header of [
        'sid=good; sid=x',
        'sid=x; sid=good',
        'sid=; sid=good',
        'a=1; sid=x; b=2; sid=y; sid=good',
      ]) {
        expect(await ask(header), header).toBe('ada')
      }
      expect(await ask('a=1; sid=x; b=2; sid=good')).toBe('ada')
      expect(seen).toEqual(['a=1; b=2; sid=x', 'a=1; b=2; sid=good'])
      expect(await ask('sid=good; sid=again')).toBe('ada')
      expect(await ask('sid=good; other=1; other=2')).toBe('ada')
    })

    test('no user is logged in to the account of an attacker', async () => {
      expect(await ask('sid=eve; sid=good')).toBe('rejected')
      expect(await ask('sid=good; sid=eve')).toBe('rejected')
      expect(await ask('sid=x; sid=y')).toBe('rejected')
    })

    test('a bounded number of the last values is tried', async () => {
      const many = Array.from({ length: 100 }, (_, i) => `sid=t${i}`).join('; ')
      expect(await ask(`${many}; sid=good`)).toBe('ada')
      expect(seen).toHaveLength(4)
      expect(await ask('sid=1; sid=2; sid=3; other=1; other=2')).toBe('rejected')
      expect(seen).toHaveLength(0)
    })

    test('cookies that were parsed already are not trusted, and no header shows both values', async () => {
      expect(await ask('sid=x; sid=good', { cookies: { sid: 'x' } })).toBe('rejected')
      expect(await ask('sid=x; sid=good', { session: {} })).toBe('rejected')
      expect(await ask('sid=good', { cookies: { sid: 'good' } })).toBe('ada')
      const shown: unknown[] = []
      const looking = fromRequest(
        (asked: IncomingMessage) => {
          shown.push([asked.headersDistinct.cookie, asked.rawHeaders, (asked as { id?: number }).id])
          return null
        },
        { cookie: 'sid' },
      )
      await decide(looking, { cookie: 'sid=1; sid=2' }, native('sid=1; sid=2', { id: 7 }))
      expect(shown).toEqual([
        [['sid=1'], ['Host', 'a', 'Cookie', 'sid=1'], 7],
        [['sid=2'], ['Host', 'a', 'Cookie', 'sid=2'], 7],
      ])
    })
  })

  test.each([
    ['no id', { id: '' }],
    ['a session by number, which no revocation would name', { id: 'ada', sessionId: 42 as never }],
    ['a session without a name', { id: 'ada', sessionId: '' }],
    ['a date that is none', { id: 'ada', expiresAt: Number.NaN }],
    ['a date as text', { id: 'ada', expiresAt: '2030-01-01' as never }],
  ])('that gives %s is unavailable: no session without end by mistake', async (_what, mapped) => {
    expect(
      await decide(
        fromRequest(() => mapped),
        { cookie },
        {},
      ),
    ).toBe('unavailable')
  })

  test('claims nothing in band, and verifies only credentials that it found itself', async () => {
    const scheme = fromRequest(() => ({ id: 'ada' }))
    expect(scheme.claims).toBeUndefined()
    expect(await scheme.verify(inBand('x'), context)).toMatchObject({ code: 'invalid_credential' })
    const others = { type: 'opaque', source: 'middleware', name: 'other', value: request({}, {}) } as const
    expect(await scheme.verify(others, context)).toMatchObject({ code: 'invalid_credential' })
  })

  test('misconfiguration throws and names the option', () => {
    expect(() => fromRequest(undefined as never)).toThrow(
      /^fromRequest: the first argument must be a function from a request to a principal/,
    )
    expect(() => fromRequest(() => null, { wait: 1 } as never)).toThrow(/unknown option `wait`/)
    expect(() => fromRequest(() => null, { timeout: 0 })).toThrow(/^fromRequest: `timeout`/)
    expect(() => fromRequest(() => null, { header: 'x' })).toThrow(/`header`/)
    for (const bad of ['', 'a b', [], ['a', 'b;c']]) {
      expect(() => fromRequest(() => null, { cookie: bad }), String(bad)).toThrow(/`cookie`/)
    }
    expect(() => fromRequest(() => null, { cookie: 'a', ambient: false })).toThrow(/`cookie`/)
  })
})
