import { sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { aud, current, encode, issuer, keyOf, otherAud, requestOf, signToken, team, wordOf } from './team.ts'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

describe('9. header, cookie, email', () => {
  it('takes the header first, the cookie second, and is absent without both', async () => {
    const acme = team()
    const token = acme.user()
    expect(wordOf(await acme.ask({ 'cf-access-jwt-assertion': token }))).toBe('authenticated')
    expect(wordOf(await acme.ask({ cookie: `a=b; CF_Authorization=${token}; c=d` }))).toBe('authenticated')
    expect(wordOf(await acme.ask({ cookie: 'a=b; CF_Authorization=' }))).toBe('absent')
    expect(wordOf(await acme.ask({ cookie: `XCF_Authorization=${token}` }))).toBe('absent')
    expect(wordOf(await acme.ask({ cookie: `a=CF_Authorization=${token}` }))).toBe('absent')
    expect(wordOf(await acme.ask({ cookie: `\u00a0CF_Authorization=${token}` })), 'Unicode white space').toBe(
      'absent',
    )
    expect(wordOf(await acme.ask({}))).toBe('absent')
  })

  it('never trusts the email header alone', async () => {
    const acme = team()
    expect(await acme.ask({ 'cf-access-authenticated-user-email': 'ada@example.com' })).toBeUndefined()
  })

  it.each([
    ['garbage', 'garbage'],
    ['empty', ''],
    ['with a forged signature', 'forged'],
    ['expired', 'expired'],
  ])('an invalid header (%s) is final: a valid cookie does not help', async (_, what) => {
    const acme = team()
    const header =
      what === 'forged'
        ? acme.user({}, keyOf('mallory'))
        : what === 'expired'
          ? acme.user({ exp: acme.now() - 100 })
          : what
    const answer = await acme.ask({
      'cf-access-jwt-assertion': header,
      cookie: `CF_Authorization=${acme.user()}`,
    })
    expect(answer?.outcome).toBe('rejected')
  })

  it('refuses a header sent twice, as a list and comma-joined', async () => {
    const acme = team()
    const token = acme.user()
    await acme.verify(token)
    for (const header of [
      [token, token],
      `${token}, ${token}`,
      `${token},${token}`,
      `${token},`,
      `,${token}`,
    ]) {
      expect(wordOf(await acme.ask({ 'cf-access-jwt-assertion': header }))).toBe('invalid_credential')
    }
  })

  it('refuses two different cookies, accepts the same one twice', async () => {
    const acme = team()
    const token = acme.user()
    const other = acme.user({ sub: 'u2' })
    expect(await acme.ask({ cookie: `CF_Authorization=${token}; CF_Authorization=${other}` })).toMatchObject({
      outcome: 'rejected',
      reason: 'two different CF_Authorization cookies',
    })
    expect(wordOf(await acme.ask({ cookie: `CF_Authorization=${token}; CF_Authorization=${token}` }))).toBe(
      'authenticated',
    )
  })

  it('refuses header and cookie of different subjects, remembered or not', async () => {
    const acme = team()
    const header = acme.user()
    const ask = (cookie: string) =>
      acme.ask({ 'cf-access-jwt-assertion': header, cookie: `CF_Authorization=${cookie}` })
    expect(wordOf(await ask(header))).toBe('authenticated')
    expect(wordOf(await ask(acme.user({ identity_nonce: 'another' }))), 'another session of the same').toBe(
      'authenticated',
    )
    for (const cookie of [
      acme.user({ sub: 'somebody-else' }),
      acme.user({ email: 'eve@example.com' }),
      acme.service(),
      `junk; CF_Authorization=${acme.user({ sub: 'second' })}`,
    ]) {
      expect(await ask(cookie)).toMatchObject({
        outcome: 'rejected',
        reason: 'header and cookie are of different subjects',
      })
    }
    expect(wordOf(await ask('no-token-at-all')), 'says nothing about anybody').toBe('authenticated')
  })

  /*
   * Any site of a parent domain can set `CF_Authorization`, and browsers keep cookies of earlier logins. Each
   * of these cookies caused 401 for its whole life, although the header was right.
   */
  describe('next to a header that verifies, a cookie that does not verify here is ignored', () => {
    const others = (acme: ReturnType<typeof team>): Record<string, string> => {
      const [head = '', payload = ''] = acme.user({ sub: 'x' }).split('.')
      return {
        'with a forged signature': acme.user({ sub: 'x' }, keyOf('mallory')),
        'with a forged signature under a key id of the team': signToken(
          { iss: 'https://acme.cloudflareaccess.com', sub: 'x' },
          keyOf('mallory'),
          { kid: current.kid },
        ),
        'with another signature': `${head}.${payload}.${acme.user().split('.')[2]}`,
        'of the algorithm none': `${encode({ alg: 'none' })}.${payload}.`,
        'of another team': acme.user({ sub: 'x', iss: 'https://evil.cloudflareaccess.com' }),
        'for another application': acme.user({ sub: 'x', aud: [otherAud] }),
        'of the team domain itself': acme.user({ sub: 'x', type: 'org' }),
        'of an earlier login': acme.user({ sub: 'x', exp: acme.now() - 100 }),
        'not valid yet': acme.user({ sub: 'x', nbf: acme.now() + 1_000 }),
        'under a key id without a key': acme.withKid('0'.repeat(64)),
        'of many kinds at once': Array.from({ length: 150 }, (_, i) => `x.${i}.x`).join(
          '; CF_Authorization=',
        ),
      }
    }

    it.each(Object.keys(others(team())))('%s', async (which) => {
      const acme = team()
      const cookie = others(acme)[which]
      expect(cookie).toBeDefined()
      for (const header of [acme.user(), acme.service()]) {
        const known = team({ services: { 'e367826f93b8d71185e03fe518aff3b4.access': { scopes: [] } } })
        for (let again = 0; again < 2; again++) {
          const answer = await known.ask({
            'cf-access-jwt-assertion': header,
            cookie: `a=1; CF_Authorization=${cookie}`,
          })
          expect(wordOf(answer)).toBe('authenticated')
        }
        expect(known.fetched, 'nothing is fetched for a cookie').toHaveLength(1)
      }
    })

    it('without the header such a cookie is refused', async () => {
      const acme = team()
      for (const [which, cookie] of Object.entries(others(acme))) {
        expect(wordOf(await acme.ask({ cookie: `CF_Authorization=${cookie}` })), which).not.toBe(
          'authenticated',
        )
      }
    })

    it('four of them are checked, so that a header full of them costs four signatures at most', async () => {
      const acme = team()
      const header = acme.user()
      await acme.verify(header)
      const forged = Array.from({ length: 8 }, (_, i) => acme.user({ sub: `x${i}` }, keyOf('mallory')))
      const cookie = [...forged, acme.user({ sub: 'other' })]
        .map((each) => `CF_Authorization=${each}`)
        .join('; ')
      expect(wordOf(await acme.ask({ 'cf-access-jwt-assertion': header, cookie }))).toBe('authenticated')
      const first = [acme.user({ sub: 'other' }), ...forged]
        .map((each) => `CF_Authorization=${each}`)
        .join('; ')
      expect(wordOf(await acme.ask({ 'cf-access-jwt-assertion': header, cookie: first }))).toBe(
        'invalid_credential',
      )
    })

    it('a bad header stays final, with any cookies', async () => {
      const acme = team()
      const bad = acme.user({}, keyOf('mallory'))
      const cookie = `CF_Authorization=${bad}; CF_Authorization=${acme.user()}`
      expect(wordOf(await acme.ask({ 'cf-access-jwt-assertion': bad, cookie }))).toBe('invalid_credential')
    })
  })

  it('compares the email header with the verified address', async () => {
    const acme = team({ identify: (i) => ({ id: i.subject || 'svc' }) })
    const ask = (email: string | string[], token = acme.user()) =>
      acme.verify(token, { 'cf-access-authenticated-user-email': email })
    expect(wordOf(await ask('ada@example.com'))).toBe('authenticated')
    expect(wordOf(await ask('ADA@example.com'))).toBe('authenticated')
    expect(await ask('root@example.com')).toMatchObject({
      outcome: 'rejected',
      code: 'invalid_credential',
      reason: 'the email header names another person than the token',
    })
    expect(wordOf(await ask(['ada@example.com', 'root@example.com']))).toBe('invalid_credential')
    expect(wordOf(await ask('ada@example.com', acme.service())), 'a service has none').toBe(
      'invalid_credential',
    )
  })

  it('refuses broken base64url, and every second spelling of a valid token', async () => {
    const acme = team()
    let token = acme.user()
    // One signature in 50,000 has neither character, and no second spelling by them.
    for (let n = 0; !/[-_][^.]*$/.test(token); n++) token = acme.user({ sub: `user-${n}` })
    await acme.verify(token)
    const [header = '', payload = '', signature = ''] = token.split('.')
    const last = signature.at(-1) ?? ''
    // 256 bytes leave two bits of the last character unused: another character decodes to the same signature.
    const twin = alphabet[alphabet.indexOf(last) + 1] ?? ''
    for (const broken of [
      `${header}.${payload}.${signature.slice(0, -1)}${twin}`,
      `${header}.${payload}.${signature}==`,
      `${header}.${payload}.${signature.slice(0, 9)}\n${signature.slice(9)}`,
      `${header}.${payload}.${signature.replace(/[-_]/, (c) => (c === '-' ? '+' : '/'))}`,
      `${header}=.${payload}.${signature}`,
      ` ${token}`,
      `${token} `,
      `${token}.`,
      `.${token}`,
      `${header}..${signature}`,
      `${header}.${payload}`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature}.${signature}`,
      `${header}.${payload.slice(0, -2)}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -4)}`,
      `${encode('[]')}.${payload}.${signature}`,
      `${encode('null')}.${payload}.${signature}`,
      `${encode('{')}.${payload}.${signature}`,
      '..',
      '.',
      'a.b.c',
      '\u{1f600}.\u{1f600}.\u{1f600}',
    ]) {
      expect(acme.verifyNow(broken), broken.slice(0, 20)).toMatchObject({ code: 'invalid_credential' })
    }
    expect(acme.verifyNow(token).outcome).toBe('authenticated')
  })

  it('refuses a second spelling even if the signature covers it', async () => {
    const acme = team()
    const [header = ''] = acme.user().split('.')
    const claims = { iss: issuer, aud, type: 'app', email: 'a@b', sub: 'u', exp: acme.now() + 60 }
    const spares = new Set<number>()
    for (const padding of ['', ' ', '  ']) {
      const payload = encode(JSON.stringify(claims) + padding)
      // Bits of the last character that no octet uses.
      const spare = [0, 0, 4, 2][payload.length % 4] ?? 0
      const last = alphabet.indexOf(payload.slice(-1))
      spares.add(spare)
      for (let bits = 0; bits < 2 ** spare; bits++) {
        const input = `${header}.${payload.slice(0, -1)}${alphabet[last + bits]}`
        const signature = sign('sha256', Buffer.from(input), current.privateKey).toString('base64url')
        expect(wordOf(await acme.verify(`${input}.${signature}`)), `${spare} ${bits}`).toBe(
          bits === 0 ? 'authenticated' : 'invalid_credential',
        )
      }
    }
    expect(spares.size).toBe(3)
  })

  it('refuses a signed payload that is not UTF-8 or not an object', async () => {
    const acme = team()
    await acme.scheme.prefetch()
    for (const payload of ['[]', '"x"', 'null', '7', '']) {
      expect(acme.verifyNow(signToken(payload, current)).outcome).toBe('rejected')
    }
    const latin1 = Buffer.from('{"a":"\xe9"}', 'latin1').toString('base64url')
    const token = acme.user().split('.')
    expect(acme.verifyNow(`${token[0]}.${latin1}.${token[2]}`)).toMatchObject({
      reason: 'the payload is not base64url of a JSON object',
    })
  })

  it('refuses more than 32 KiB before reading it, and accepts slightly less', async () => {
    const acme = team()
    expect(await acme.verify(acme.user({ custom: 'x'.repeat(33_000) }))).toMatchObject({
      reason: 'the token is longer than 32 KiB',
    })
    expect(acme.fetched).toEqual([])
    expect(wordOf(await acme.verify(acme.user({ custom: 'x'.repeat(20_000) })))).toBe('authenticated')
  })

  it('puts no part of the token into any reason or log line', async () => {
    const acme = team()
    acme.serve(() => new Response('', { status: 500 }))
    const token = acme.user()
    const answers = [
      await acme.verify(token),
      await acme.verify(`${token}x`),
      await acme.verify(`x.${token}`),
    ]
    const text = JSON.stringify(answers) + acme.warnings.join()
    for (const part of token.split('.')) expect(text).not.toContain(part.slice(0, 24))
  })
})

describe('facts for the gate', () => {
  it('users are ambient, services in the header explicit, and every cookie ambient', async () => {
    const acme = team({ identify: () => ({ id: 'x' }) })
    const user = acme.user()
    const service = acme.service()
    expect(await acme.ask({ 'cf-access-jwt-assertion': user })).toMatchObject({ ambient: true })
    expect(await acme.ask({ cookie: `CF_Authorization=${user}` })).toMatchObject({ ambient: true })
    expect(await acme.ask({ 'cf-access-jwt-assertion': service })).toMatchObject({ ambient: false })
    expect(await acme.ask({ cookie: `CF_Authorization=${service}` })).toMatchObject({ ambient: true })
    expect(acme.scheme).toMatchObject({
      name: 'cloudflare-access',
      ambient: true,
      edge: true,
      headers: ['cf-access-jwt-assertion'],
    })
  })

  it('works the same on upgrades', async () => {
    const acme = team()
    const extraction = acme.scheme.extract?.(
      requestOf({ cookie: `CF_Authorization=${acme.user()}` }, 'upgrade'),
    )
    expect(extraction).toMatchObject({
      location: 'cookie CF_Authorization',
      credential: { source: 'cookie' },
    })
    expect(wordOf(await acme.ask({ 'cf-access-jwt-assertion': acme.user() }, 'upgrade'))).toBe(
      'authenticated',
    )
  })

  it('is not usable in band, and refuses values that are no token', async () => {
    const acme = team()
    expect(acme.scheme.claims).toBeUndefined()
    const context = { clientAddress: undefined, dryRun: false, path: '/', origin: undefined }
    const password = { type: 'password', source: 'frame', value: acme.user() } as const
    expect(wordOf(await acme.scheme.verify(password, context))).toBe('invalid_credential')
  })
})
