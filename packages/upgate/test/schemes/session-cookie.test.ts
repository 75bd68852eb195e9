import { createGate, type Verification } from 'upgate'
import { describe, expect, test } from 'vitest'
import { readCookie } from '../../src/schemes/cookie-header.ts'
import { cookieMayBeSecure, sessionCookie } from '../../src/schemes/session-cookie.ts'
import { login, person, setUp } from '../services/setup.ts'
import { context, decide, request } from './requests.ts'

async function browser() {
  const setup = setUp()
  const { id } = await person(setup)
  const issued = await login(setup, id)
  return { setup, issued, scheme: sessionCookie({ sessions: setup.sessions }), id }
}

describe('a session cookie', () => {
  test('authenticates, and only this host over TLS, and no script, can read it', async () => {
    const { issued, scheme } = await browser()
    expect(scheme.setCookie(issued)).toBe(
      `__Host-upgate_session=${issued.token}; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Lax`,
    )
    expect(scheme.removeCookie()).toBe(
      '__Host-upgate_session=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax',
    )
    expect(scheme.clearCookie?.(request({}))).toBe(scheme.removeCookie())
    expect(scheme).toMatchObject({ name: 'session', ambient: true, cookieName: '__Host-upgate_session' })
    const cookie = `a=1; b="2"; __Host-upgate_session=${issued.token}; c=3; d`
    expect(await decide(scheme, { cookie })).toBe('authenticated')
    expect(scheme.extract?.(request({ cookie }))).toMatchObject({
      location: '__Host-upgate_session',
      credential: { source: 'cookie' },
    })
  })

  test('is absent if there is none, and rejected if it is not one of ours', async () => {
    const { scheme } = await browser()
    expect(await decide(scheme, {})).toBe('absent')
    expect(await decide(scheme, { cookie: 'a=1' })).toBe('absent')
    expect(await decide(scheme, { cookie: '__Host-upgate_session=' })).toBe('absent')
    expect(await decide(scheme, { cookie: '__Host-upgate_session=nonsense' })).toBe('invalid_credential')
  })

  test('is not taken from `Authorization`, nor usable in band', async () => {
    const { scheme, issued } = await browser()
    expect(await decide(scheme, { authorization: `Bearer ${issued.token}` })).toBe('absent')
    expect(scheme.claims).toBeUndefined()
  })

  test('on a network without TLS has no prefix, and logs a warning', async () => {
    const { setup, issued } = await browser()
    const warnings: string[] = []
    const logger = { warn: (message: string) => warnings.push(message), error() {} }
    const scheme = sessionCookie({ sessions: setup.sessions, secure: false, cookieName: 'gw', logger })
    expect(scheme.setCookie(issued)).toBe(
      `gw=${issued.token}; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax`,
    )
    expect(warnings).toEqual([expect.stringContaining('without TLS')])
    expect(await decide(scheme, { cookie: `gw=${issued.token}` })).toBe('authenticated')
  })

  test('may be secure over TLS and on this machine', () => {
    for (const url of [
      'https://a.example',
      'http://localhost:8787',
      'http://127.0.0.1',
      'http://[::1]:1',
      'http://a.localhost',
    ]) {
      expect(cookieMayBeSecure(url), url).toBe(true)
    }
    for (const url of [
      'http://192.168.1.2',
      'http://127.evil.example',
      'http://localhost.evil.example',
      'http://gateway.lan',
    ]) {
      expect(cookieMayBeSecure(url), url).toBe(false)
    }
  })

  test('misconfiguration throws and names the option', () => {
    const { sessions } = setUp()
    expect(() => sessionCookie({} as never)).toThrow(/`sessions`/)
    expect(() => sessionCookie({ sessions, cookieName: 'a;b' })).toThrow(
      /`cookieName` must be 1 to 64 letters/,
    )
    expect(() => sessionCookie({ sessions, cookieName: '__Host-a' })).toThrow(/`cookieName` must be 1 to 64/)
    expect(() => sessionCookie({ sessions, sameSite: 'none' as never })).toThrow(/`sameSite`/)
    expect(() => sessionCookie({ sessions, domain: 'example.com' } as never)).toThrow(
      /unknown option `domain`/,
    )
  })
})

describe('cookies as attackers send them', () => {
  /*
   * A site of a parent domain, or another program on the same host, could set a cookie with our name. Its
   * value locked every visitor of that site out, whatever it was.
   */
  test('cookie tossing: the cookie that verifies counts, among any others and in any order', async () => {
    const { issued, scheme } = await browser()
    const { token } = issued
    const elsewhere = setUp()
    const nobodys = (await login(elsewhere, (await person(elsewhere)).id)).token
    for (const others of [
      ['x'],
      [''],
      ['', 'x', 'y'],
      [`${token}x`],
      [token.replace(/.$/, (c) => (c === 'a' ? 'b' : 'a'))],
      [nobodys],
      Array.from({ length: 3 }, (_, i) => `tossed${i}`),
    ]) {
      for (let place = 0; place <= others.length; place++) {
        const values = [...others.slice(0, place), token, ...others.slice(place)]
        const cookie = values.map((value) => `__Host-upgate_session=${value}`).join('; ')
        expect(await decide(scheme, { cookie }), cookie).toBe('authenticated')
      }
    }
    const same = `__Host-upgate_session=${token}; a=1; __Host-upgate_session=${token}`
    expect(await decide(scheme, { cookie: same })).toBe('authenticated')
  })

  test('cookie tossing: our cookie is checked behind any number for longer paths, which browsers send first', async () => {
    const { issued, scheme, setup } = await browser()
    let asked = 0
    const counting = sessionCookie({
      sessions: {
        verify: (token) => {
          asked++
          return setup.sessions.verify(token)
        },
      },
    })
    const many = Array.from({ length: 200 }, (_, i) => `__Host-upgate_session=tossed${i}`).join('; ')
    for (const behind of [
      '',
      '; __Host-upgate_session=a',
      '; __Host-upgate_session=a; __Host-upgate_session=b',
    ]) {
      const cookie = `${many}; __Host-upgate_session=${issued.token}${behind}`
      expect(await decide(scheme, { cookie })).toBe('authenticated')
      asked = 0
      expect(await decide(counting, { cookie })).toBe('authenticated')
      expect(asked, 'bounded').toBe(4)
    }
  })

  test('cookie tossing: two cookies of one principal count, two of different principals do not', async () => {
    const { setup, issued, scheme, id } = await browser()
    const again = await login(setup, id)
    const stranger = await login(setup, (await person(setup, 'eve@example.com')).id)
    const cookie = (...tokens: string[]) => tokens.map((each) => `__Host-upgate_session=${each}`).join('; ')
    const found = scheme.extract?.(request({ cookie: cookie(issued.token, again.token) }))
    expect(found && (await scheme.verify(found.credential, context))).toMatchObject({
      outcome: 'authenticated',
      principal: { id, sessionId: again.session.id },
    })
    for (const tokens of [
      [issued.token, stranger.token],
      [stranger.token, issued.token],
      [stranger.token, 'x', issued.token, again.token],
    ]) {
      const both = scheme.extract?.(request({ cookie: cookie(...tokens) }))
      expect(both && (await scheme.verify(both.credential, context))).toMatchObject({
        outcome: 'rejected',
        code: 'invalid_credential',
        reason: 'several cookies of this name are valid, for different principals',
        clear: false,
      })
    }
  })

  test('cookie tossing: a cookie that cannot be judged makes the answer unavailable', async () => {
    const verify = (token: string): Verification =>
      token === 'good'
        ? {
            outcome: 'authenticated',
            principal: { kind: 'user', id: 'u', scheme: 's', scopes: [], roles: [], attributes: {} },
          }
        : token === 'open'
          ? { outcome: 'unavailable', reason: 'no store' }
          : { outcome: 'rejected', code: 'invalid_credential', reason: 'no' }
    const scheme = sessionCookie({ sessions: { verify }, secure: false, cookieName: 's' })
    expect(await decide(scheme, { cookie: 's=good; s=open' })).toBe('unavailable')
    expect(await decide(scheme, { cookie: 's=open; s=good' })).toBe('unavailable')
    expect(await decide(scheme, { cookie: 's=bad; s=good' })).toBe('authenticated')
    expect(await decide(scheme, { cookie: 's=bad; s=worse' })).toBe('invalid_credential')
  })

  test('cookie tossing: a good cookie is never removed because of a bad one; bad ones alone are removed', async () => {
    const { setup, issued, id } = await browser()
    const scheme = sessionCookie({ sessions: setup.sessions, secure: false, cookieName: 's' })
    const stranger = await login(setup, (await person(setup, 'eve@example.com')).id)
    const gate = createGate({
      origins: ['https://a.example'],
      schemes: [scheme],
      clock: setup.clock,
      logger: { warn() {}, error() {} },
    })
    const ask = async (...tokens: string[]) => {
      const cookie = tokens.map((token) => `s=${token}`).join('; ')
      const decision = await gate.decide(request({ cookie, host: 'a.example' }))
      return [
        'code' in decision ? decision.code : decision.outcome === 'allow' && decision.principal?.id,
        'headers' in decision && decision.headers?.filter(([name]) => name === 'Set-Cookie').length,
      ]
    }
    expect(await ask('x', issued.token)).toEqual([id, undefined])
    expect(await ask(issued.token, 'x')).toEqual([id, undefined])
    expect(await ask(issued.token, stranger.token), 'removing ours would leave the stranger').toEqual([
      'auth_required',
      undefined,
    ])
    expect(await ask('x', 'y')).toEqual(['auth_required', 1])
    expect(await ask('x')).toEqual(['auth_required', 1])
  })

  test('Unicode and other white space before `__Host-` makes another name, which any site may set', async () => {
    const { issued, scheme } = await browser()
    for (const space of [
      '\u00a0',
      '\u0085',
      '\u2000',
      '\u3000',
      '\ufeff',
      '\t',
      '\v',
      '\f',
      '\u00c2\u00a0',
    ]) {
      const cookie = `${space}__Host-upgate_session=${issued.token}`
      expect(await decide(scheme, { cookie }), escape(space)).toBe('absent')
      expect(await decide(scheme, { cookie: `a=1; ${cookie}` }), escape(space)).toBe('absent')
    }
  })

  test('a name inside another name or value does not count', () => {
    expect(readCookie('xs=1', 's')).toBeUndefined()
    expect(readCookie('x=s=1', 's')).toBeUndefined()
    expect(readCookie('x=1 s=2', 's')).toBeUndefined()
    expect(readCookie('x="; s=2', 's')).toBe('2')
    expect(readCookie('s', 's')).toBeUndefined()
    expect(readCookie('s =1', 's')).toBeUndefined()
    expect(readCookie('S=1', 's')).toBeUndefined()
    expect(readCookie('s=1=2', 's')).toBe('1=2')
    expect(readCookie('  s=1  ;', 's')).toBe('1')
    expect(readCookie('s=1;s=1', 's')).toBe('1')
    expect(readCookie('ss=1; s=2', 's')).toBe('2')
    expect(readCookie('', 's')).toBeUndefined()
    expect(readCookie('s=; s=1', 's')).toBe('1')
    expect(readCookie('s=1; s=2; s=1', 's')).toEqual(['2', '1'])
    expect(readCookie('s=1; s=2; s=3; s=4; s=5', 's')).toEqual(['2', '3', '4', '5'])
  })

  test('a long header costs time in proportion to its length', () => {
    const header = 's'.repeat(200_000) + ' '.repeat(200_000) + 's=1; '.repeat(20_000)
    const start = process.cpuUsage()
    readCookie(header, 's')
    expect(process.cpuUsage(start).user).toBeLessThan(3_000_000)
  })

  test('session fixation: a login always gives a new token', async () => {
    const { setup, id } = await browser()
    const tokens = new Set<string>()
    for (let i = 0; i < 5; i++) tokens.add((await login(setup, id)).token)
    expect(tokens.size).toBe(5)
  })
})
