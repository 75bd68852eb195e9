import { describe, expect, test } from 'vitest'
import { fromMiddleware, type NodeMiddleware } from '../../src/schemes/from-middleware.ts'
import type { StandInResponse } from '../../src/schemes/stand-in-response.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { settle } from '../services/setup.ts'
import { context, decide, request } from './requests.ts'

interface Native {
  user?: { id: string }
}
type StandIn = (request: Native, response: StandInResponse, next: (error?: unknown) => void) => unknown
const cookie = 'sid=1'
const map = (native: Native) => native.user ?? null
const logIn: NodeMiddleware<Native> = (native, _response, next) => {
  native.user = { id: 'ada' }
  next()
}

async function verify(scheme: ReturnType<typeof fromMiddleware<Native>>, native: Native = {}) {
  const found = scheme.extract?.(request({ cookie }, native))
  if (found === undefined) throw new Error('absent')
  return scheme.verify(found.credential, context)
}

describe('existing middleware', () => {
  test('returns the principal', async () => {
    const scheme = fromMiddleware(logIn, ({ user }: Native) =>
      user ? { ...user, roles: ['admin'], sessionId: 's', attributes: { a: 1 } } : null,
    )
    const answer = await verify(scheme)
    expect(answer).toEqual({
      outcome: 'authenticated',
      principal: {
        kind: 'user',
        id: 'ada',
        scheme: 'middleware',
        scopes: [],
        roles: ['admin'],
        sessionId: 's',
        attributes: { a: 1 },
      },
    })
    expect(scheme).toMatchObject({ name: 'middleware', ambient: true })
  })

  test('that finds no principal is a rejection, which counts as absent for a cookie', async () => {
    const scheme = fromMiddleware((_request, _response, next) => next(), map)
    expect(await verify(scheme)).toMatchObject({ outcome: 'rejected' })
    expect(await decide(scheme, {})).toBe('absent')
  })

  test('that fails in any way is unavailable', async () => {
    const failing: StandIn[] = [
      (_request, _response, next) => next(new Error('no database')),
      (_request, _response, next) => next('route'),
      () => {
        throw new Error('broken')
      },
      async () => {
        throw new Error('broken later')
      },
      (_request, response) => response.end(),
      (_request, response) => response.writeHead(302),
      (_request, response) => response.status(401).json(),
      (_request, response) => response.redirect(),
    ]
    for (const failure of failing) {
      const middleware = failure as NodeMiddleware<Native>
      expect(
        await verify(fromMiddleware(middleware, () => ({ id: 'ada' }))),
        String(middleware),
      ).toMatchObject({
        outcome: 'unavailable',
      })
    }
    const broken = () => {
      throw new Error('broken')
    }
    expect(await verify(fromMiddleware(logIn, broken))).toMatchObject({ outcome: 'unavailable' })
    expect(await verify(fromMiddleware(logIn, () => ({ id: '' })))).toMatchObject({ outcome: 'unavailable' })
    expect(await decide(fromMiddleware(logIn, map), { cookie })).toBe('unavailable')
  })

  test('that never calls next is unavailable, and a late call changes nothing', async () => {
    const clock = manualClock()
    let late = (): void => {}
    const slow: NodeMiddleware<Native> = (native, _response, next) => {
      late = () => {
        native.user = { id: 'ada' }
        next()
      }
    }
    const answering = verify(fromMiddleware(slow, map, { clock, timeout: 1000 }))
    await settle()
    clock.advance(1000)
    late()
    expect(await answering).toMatchObject({
      outcome: 'unavailable',
      reason: expect.stringContaining('in time'),
    })
    expect(clock.pending).toBe(0)
  })

  test('that calls next twice, or answers afterwards, counts once', async () => {
    const twice = ((_request, response: StandInResponse, next) => {
      next()
      next(new Error('again'))
      response.end()
    }) as NodeMiddleware<Native>
    expect(await verify(fromMiddleware(twice, () => ({ id: 'ada' })))).toMatchObject({
      outcome: 'authenticated',
    })
  })

  test('may set cookies, which are passed to onSetCookie', async () => {
    const seen: unknown[] = []
    const middleware = ((_request, response: StandInResponse, next) => {
      response.setHeader('Set-Cookie', 'a=1')
      response.appendHeader('set-cookie', 'b=2')
      response.on('finish', () => {})
      expect(response.getHeader('SET-COOKIE')).toEqual(['a=1', 'b=2'])
      next()
    }) as NodeMiddleware<Native>
    const native: Native = {}
    const onSetCookie = (cookies: readonly string[], asked: object) => seen.push(...cookies, asked === native)
    await verify(
      fromMiddleware(middleware, () => ({ id: 'ada' }), { onSetCookie }),
      native,
    )
    expect(seen).toEqual(['a=1', 'b=2', true])
  })

  test('leaves nothing on the request, and starts from the same state each time', async () => {
    const native: Native = {}
    const scheme = fromMiddleware((asked: Native, _response, next) => {
      // Like express-session: an existing property counts as loaded.
      asked.user ??= { id: `ada ${++loaded}` }
      next()
    }, map)
    let loaded = 0
    expect(await verify(scheme, native)).toMatchObject({ principal: { id: 'ada 1' } })
    expect(await verify(scheme, native)).toMatchObject({ principal: { id: 'ada 2' } })
    expect(native).toEqual({})
    // A property that the application set before is visible.
    expect(await verify(scheme, { user: { id: 'bob' } })).toMatchObject({ principal: { id: 'bob' } })
  })

  test('that reads a header is explicit', async () => {
    const scheme = fromMiddleware(logIn, map, { ambient: false, header: 'X-Old-Token', name: 'old' })
    expect(scheme).toMatchObject({ name: 'old', ambient: false, headers: ['x-old-token'] })
    expect(await decide(scheme, { cookie }, {})).toBe('absent')
    expect(await decide(scheme, { 'x-old-token': '1' }, {})).toBe('authenticated')
    expect(
      fromMiddleware(logIn, map, { ambient: false }).extract?.(request({ authorization: 'x' }))?.location,
    ).toBe('authorization')
  })

  test('misconfiguration throws and names the option', () => {
    expect(() => fromMiddleware(undefined as never, map)).toThrow(TypeError)
    expect(() => fromMiddleware(logIn, map, { timeout: 0 })).toThrow(/`timeout`/)
    expect(() => fromMiddleware(logIn, map, { header: 'a' })).toThrow(/`header`/)
    expect(() => fromMiddleware(logIn, map, { wait: 1 } as never)).toThrow(/unknown option `wait`/)
  })
})

test('an `onSetCookie` that throws in a later callback is unavailable, and ends no process', async () => {
  const escaped: unknown[] = []
  const scheme = fromMiddleware<Native>(
    (_request, response: StandInResponse, next) => {
      response.setHeader('Set-Cookie', 'sid=2')
      // As a session store does: in its own callback, where an exception would not be caught.
      void Promise.resolve()
        .then(() => next())
        .catch((error: unknown) => {
          escaped.push(error)
          next(error)
        })
        .catch(() => {})
    },
    map,
    {
      onSetCookie() {
        throw new Error('broken')
      },
    },
  )
  expect(await verify(scheme)).toMatchObject({ outcome: 'unavailable' })
  expect(escaped).toEqual([])
})
