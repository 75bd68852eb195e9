import { deviceCookie, memoryStore } from 'upgate'
import { describe, expect, test } from 'vitest'
import { goodPassword, outcomeOf, person, type Setup, settle, setUp } from './setup.ts'

// Ten wrong guesses from an unknown address locked the owner out, and behind a tunnel every visitor has that
// address.

const email = 'ada@example.com'
const wrong = 'not the right password'

async function issue(setup: Setup, id: string, present?: string): Promise<string> {
  const issued = await setup.deviceCookies.issue(id, present)
  if (issued === undefined) throw new Error('no cookie')
  expect(issued.maxAge).toBe(365 * 86_400_000)
  return issued.value
}

/** How a login with the right password treats this cookie. */
async function standing(
  setup: Setup,
  cookie: string | readonly string[] | undefined,
  who = email,
): Promise<string> {
  const answer = await setup.accounts.login(who, goodPassword, { deviceCookie: cookie, dryRun: true })
  return answer.deviceCookie
}

async function fail(setup: Setup, times: number, context: object = {}): Promise<void> {
  for (let n = 0; n < times; n++) await setup.accounts.login(email, wrong, context)
}

describe('a device cookie', () => {
  test('lets its browser in while strangers have locked the account, their address and all unknown ones', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const cookie = await issue(setup, id)
    const here = { clientAddress: '192.0.2.1' }
    await fail(setup, 10)
    await fail(setup, 10, here)
    for (let n = 0; n < 100; n++) await fail(setup, 1, { clientAddress: `198.51.100.${n}` })
    for (let n = 0; n < 50; n++) await setup.accounts.login(`user${n}@example.com`, wrong, here)
    for (const [context, locked] of [
      [{}, 'pair'],
      [here, 'pair'],
      [{ clientAddress: '203.0.113.1' }, 'account'],
    ] as const) {
      const refusal = await setup.accounts.login(email, goodPassword, context)
      expect(refusal).toEqual({
        outcome: 'throttled',
        reason: 'too many failed logins',
        retryAfter: 60,
        known: false,
        deviceCookie: 'none',
        locked,
      })
      expect(
        await setup.accounts.login(email, goodPassword, { ...context, deviceCookie: cookie }),
      ).toMatchObject({ outcome: 'authenticated', known: true, deviceCookie: 'good' })
      // A wrong password still gets its usual answer.
      expect(await outcomeOf(setup.accounts.login(email, wrong, { ...context, deviceCookie: cookie }))).toBe(
        'invalid_credential',
      )
    }
  })

  test('proves nothing', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const cookie = await issue(setup, id)
    for (const password of [wrong, '', undefined as never, cookie]) {
      expect(await outcomeOf(setup.accounts.login(email, password, { deviceCookie: cookie }))).toBe(
        'invalid_credential',
      )
    }
    await setup.accounts.disable(id)
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, { deviceCookie: cookie }))).toBe(
      'account_disabled',
    )
  })

  test('counts for one account, and a forged or altered cookie counts as none', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const bob = await person(setup, 'bob@example.com')
    const cookie = await issue(setup, id)
    const foreign = setUp()
    const [version, generation, device, signature] = cookie.split('.') as [string, string, string, string]
    const forged = [
      await issue(setup, bob.id),
      await issue(foreign, (await person(foreign)).id),
      `${version}.${Number(generation) + 1}.${device}.${signature}`,
      `${version}.0${generation}.${device}.${signature}`,
      `2.${generation}.${device}.${signature}`,
      `${version}.${generation}.${device.slice(1)}x.${signature}`,
      `${version}.${generation}.${device}.${signature.slice(1)}x`,
      `${version}.${generation}.${device}.${'A'.repeat(43)}`,
      `${cookie}x`,
      `${cookie} `,
      cookie.toUpperCase(),
      device,
      '',
      'x'.repeat(100_000),
      `1.${'9'.repeat(400)}.${device}.${signature}`,
      '\u0000',
    ]
    setup.calls.length = 0
    for (const value of forged) expect(await standing(setup, value), value.slice(0, 80)).toBe('void')
    // One look-up each by the check itself, before the hash; the cookies caused none.
    expect(setup.calls.filter((call) => call === 'accounts.byEmail')).toHaveLength(forged.length)
    expect(await standing(setup, cookie)).toBe('good')
    expect(await standing(setup, cookie, ' ADA@Example.com')).toBe('good')
    expect(await standing(setup, cookie, 'nobody@example.com')).toBe('void')
    expect(await standing(setup, cookie, 'no address')).toBe('void')
    expect(await standing(setup, undefined)).toBe('none')
  })

  test('does not change the answers to clients, only the facts for the operator', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const cookies = [await issue(setup, id), undefined, `${(await issue(setup, id)).slice(0, -1)}_`]
    const told = async (deviceCookie: string | undefined, who: string, password: string) => {
      setup.hasher.verified.length = 0
      const {
        known,
        deviceCookie: _,
        locked,
        ...answer
      } = await setup.accounts.login(who, password, {
        clientAddress: '192.0.2.1',
        deviceCookie,
      })
      return JSON.stringify([answer, setup.hasher.verified.length])
    }
    for (const who of [email, 'nobody@example.com']) {
      const answers = new Set<string>()
      for (const cookie of cookies) answers.add(await told(cookie, who, wrong))
      expect(answers.size).toBe(1)
    }
    // Locked: a forged cookie and no cookie are refused alike, whether the account exists or not.
    const refusals = new Set<string>()
    for (const who of [email, 'nobody@example.com']) {
      for (let n = 0; n < 10; n++) await told(undefined, who, wrong)
      for (const cookie of cookies.slice(1)) refusals.add(await told(cookie, who, goodPassword))
    }
    expect([...refusals]).toEqual([expect.stringContaining('"throttled"')])
  })

  test('allows ten wrong passwords, then it counts as none; a right one in between clears them', async () => {
    const warnings: unknown[] = []
    const warn = (message: string, facts: unknown): void => {
      if (message.includes('cookie')) warnings.push([message, facts])
    }
    const setup = setUp({ logger: { warn, error() {} } })
    const { id } = await person(setup)
    const cookie = await issue(setup, id)
    const other = await issue(setup, id)
    const here = { clientAddress: '192.0.2.1', deviceCookie: cookie }
    for (let round = 0; round < 3; round++) {
      await fail(setup, 9, here)
      expect(await outcomeOf(setup.accounts.login(email, goodPassword, here))).toBe('authenticated')
    }
    for (let n = 0; n < 9; n++) {
      expect(await setup.accounts.login(email, wrong, here)).toMatchObject({ deviceCookie: 'good' })
      // However long it takes: these failures are not counted by the minute.
      setup.clock.advance(3_600_000)
    }
    expect(await setup.accounts.login(email, wrong, here)).toMatchObject({
      outcome: 'rejected',
      deviceCookie: 'spent',
    })
    await settle()
    expect(warnings).toEqual([
      ['A device cookie does not count any more: too many wrong passwords came with it.', expect.anything()],
    ])
    expect(JSON.stringify(warnings)).not.toContain(cookie.split('.')[3])
    expect(await standing(setup, cookie)).toBe('void')
    expect(await standing(setup, other)).toBe('good')
    // Treated as a stranger again, with a stranger's ten failures.
    await fail(setup, 10, here)
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, here))).toBe('throttled')
    // Also for the next process.
    const restarted = setUp({ store: setup.store })
    expect(await standing(restarted, cookie)).toBe('void')
    expect(await standing(restarted, other)).toBe('good')
    const renewed = await issue(setup, id, cookie)
    expect(renewed).not.toBe(cookie)
    expect(await standing(setup, renewed)).toBe('good')
  })

  test('concurrent guesses count one by one', async () => {
    const setup = setUp({ limits: { hashQueue: 100 } })
    const { id } = await person(setup)
    const cookie = await issue(setup, id)
    let open = (): void => {}
    setup.hasher.gate = new Promise((resolve) => {
      open = resolve
    })
    const answers = Array.from({ length: 40 }, () =>
      setup.accounts.login(email, wrong, { deviceCookie: cookie, clientAddress: '192.0.2.1' }),
    )
    await settle()
    open()
    const all = await Promise.all(answers)
    expect(all.filter(({ known }) => known)).toHaveLength(10)
    expect(all.filter(({ deviceCookie }) => deviceCookie === 'spent')).toHaveLength(1)
    // The other attempts count as a stranger's: ten as well.
    expect(all.filter(({ outcome }) => outcome === 'rejected')).toHaveLength(20)
  })

  test('an attempt that is not a guess does not use it up', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const cookie = await issue(setup, id)
    const { verify } = setup.hasher
    setup.hasher.verify = async () => {
      throw new Error('broken')
    }
    for (let n = 0; n < 30; n++) {
      expect(await outcomeOf(setup.accounts.login(email, wrong, { deviceCookie: cookie }))).toBe(
        'unavailable',
      )
    }
    setup.hasher.verify = verify
    setup.broken.add('accounts.byEmail')
    for (let n = 0; n < 30; n++) {
      expect(await outcomeOf(setup.accounts.login(email, wrong, { deviceCookie: cookie }))).toBe(
        'unavailable',
      )
    }
    setup.broken.clear()
    for (let n = 0; n < 30; n++) await fail(setup, 1, { deviceCookie: cookie, dryRun: true })
    await fail(setup, 9, { deviceCookie: cookie })
    expect(await standing(setup, cookie)).toBe('good')
  })

  test('ends with the password, with all sessions, with ended access, and with the account', async () => {
    for (const end of [
      (setup: Setup, id: string) => setup.accounts.setPassword(id, goodPassword),
      (setup: Setup, id: string) => setup.sessions.revokeAll(id),
      (setup: Setup, id: string) => setup.accounts.endAccess(id),
      async (setup: Setup, id: string) => {
        await setup.accounts.disable(id)
        await setup.accounts.enable(id)
      },
      (setup: Setup, id: string) => setup.deviceCookies.revokeAll(id),
      // An earlier version that knows generations but no cookies.
      async (setup: Setup, id: string) => {
        const record = await setup.store.accounts.get(id)
        if (record === undefined) throw new Error('gone')
        const { version, sessionGeneration } = record
        const next = { version: version + 1, sessionGeneration: sessionGeneration + 1 }
        await setup.store.accounts.replace({ ...record, ...next }, [])
      },
    ]) {
      const setup = setUp()
      const { id } = await person(setup)
      const cookie = await issue(setup, id)
      expect(await standing(setup, cookie)).toBe('good')
      await end(setup, id)
      expect(await standing(setup, cookie), String(end)).toBe('void')
      expect(await standing(setup, await issue(setup, id, cookie))).toBe('good')
    }
  })

  test('outlives a change of scopes, the end of one session, and a logout', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const cookie = await issue(setup, id)
    await setup.accounts.setScopes(id, [])
    const session = await setup.sessions.create(id)
    await setup.sessions.revoke(session?.session.id ?? '')
    expect(await standing(setup, cookie)).toBe('good')
  })

  test('counts among other cookies of the same name', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const cookie = await issue(setup, id)
    const bob = await issue(setup, (await person(setup, 'bob@example.com')).id)
    expect(await standing(setup, [bob, 'x', cookie])).toBe('good')
    expect(await standing(setup, [bob, 'x'])).toBe('void')
    expect(await standing(setup, ['1', '2', '3', '4', cookie])).toBe('void')
    const issued = await setup.deviceCookies.issue(id, ['x', cookie])
    expect(issued?.value).toBe(cookie)
  })

  test('can be the only one kept', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const bob = await person(setup, 'bob@example.com')
    const cookies = [await issue(setup, id), await issue(setup, id), await issue(setup, id)] as const
    const foreign = await issue(setup, bob.id)
    await setup.deviceCookies.revokeAll(id, { except: cookies[1] })
    expect(await Promise.all(cookies.map((cookie) => standing(setup, cookie)))).toEqual([
      'void',
      'good',
      'void',
    ])
    expect(await standing(setup, foreign, 'bob@example.com')).toBe('good')
    // A cookie of another account keeps none.
    await setup.deviceCookies.revokeAll(id, { except: foreign })
    expect(await standing(setup, cookies[1])).toBe('void')
    await setup.deviceCookies.revokeAll('nobody')
    await expect(setup.deviceCookies.revokeAll(id, { expect: '' } as never)).rejects.toThrow(
      /unknown option `expect`/,
    )
  })

  test('is one of eight at most; a returning browser keeps its cookie', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const first = await issue(setup, id)
    const version = async () => (await setup.store.accounts.get(id))?.version
    const before = await version()
    expect(await issue(setup, id, first)).toBe(first)
    expect(await version()).toBe(before)
    const others: string[] = []
    for (let n = 0; n < 7; n++) others.push(await issue(setup, id))
    // The oldest one, and still in use: it must not be removed next.
    expect(await issue(setup, id, first)).toBe(first)
    const ninth = await issue(setup, id)
    expect(await standing(setup, first)).toBe('good')
    expect(await standing(setup, ninth)).toBe('good')
    expect(await standing(setup, others[0])).toBe('void')
    for (let n = 0; n < 30; n++) await issue(setup, id)
    expect((await setup.store.accounts.get(id))?.deviceCookies).toHaveLength(8)
    expect(await standing(setup, first)).toBe('void')
  })

  test('is issued to many browsers at once without losing any', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    const cookies = await Promise.all(Array.from({ length: 8 }, () => issue(setup, id)))
    expect(new Set(await Promise.all(cookies.map((cookie) => standing(setup, cookie))))).toEqual(
      new Set(['good']),
    )
  })

  test('is not issued for an unknown or disabled account', async () => {
    const setup = setUp()
    const { id } = await person(setup)
    await setup.accounts.disable(id)
    expect(await setup.deviceCookies.issue(id)).toBeUndefined()
    expect(await setup.deviceCookies.issue('nobody')).toBeUndefined()
  })

  test('counts at every instance over one store, and with a given key', async () => {
    const store = memoryStore()
    const { secrets, ...without } = store
    const one = setUp({ store })
    const { id } = await person(one)
    const cookie = await issue(one, id)
    expect(await standing(setUp({ store }), cookie)).toBe('good')
    // An application's own store that keeps no keys.
    const said: string[] = []
    const alone = setUp({ store: without, logger: { warn: (line) => said.push(line), error() {} } })
    expect(await standing(alone, cookie)).toBe('void')
    expect(await standing(alone, await issue(alone, id))).toBe('good')
    expect(said).toEqual(['The store keeps no keys: device cookies end with this process.'])
    const deviceCookieSecret = 'a secret of at least 32 characters'
    const given = [
      setUp({ store: without, deviceCookieSecret }),
      setUp({ store, deviceCookieSecret }),
    ] as const
    expect(await standing(given[1], await issue(given[0], id))).toBe('good')
    expect(await standing(given[1], cookie)).toBe('void')
    for (const bad of ['short', 7 as never, '']) {
      expect(() => setUp({ deviceCookieSecret: bad })).toThrow(
        /^createServices: `deviceCookieSecret` must be a string of at least 32 characters(, not .*)?\. Leave it out where the store keeps the key\.$/,
      )
    }
  })

  test('counts as none while the store cannot answer, and counts again afterwards', async () => {
    const store = memoryStore()
    const { secrets } = store
    if (secrets === undefined) throw new Error('no secrets')
    let away = true
    const setup = setUp({
      store: {
        ...store,
        secrets: {
          keep: (name, value) => (away ? Promise.reject(new Error('away')) : secrets.keep(name, value)),
        },
      },
    })
    const { id } = await person(setup)
    await expect(setup.deviceCookies.issue(id)).rejects.toThrow('away')
    away = false
    const cookie = await issue(setup, id)
    expect(await standing(setup, cookie)).toBe('good')
  })

  test('has its failures remembered while there is room, the latest longest', async () => {
    const setup = setUp({ limits: { failureEntries: 100 } })
    const cookies: [string, string][] = []
    for (let n = 0; n < 200; n++) {
      const { id } = await person(setup, `user${n}@example.com`)
      cookies.push([`user${n}@example.com`, await issue(setup, id)])
    }
    const failWith = async (n: number, times: number): Promise<string> => {
      const [who, deviceCookie] = cookies[n] as [string, string]
      for (let i = 0; i < times; i++) await setup.accounts.login(who, wrong, { deviceCookie })
      return standing(setup, deviceCookie, who)
    }
    for (let n = 0; n < 200; n++) expect(await failWith(n, 9)).toBe('good')
    expect(await failWith(199, 1)).toBe('void')
    expect(await failWith(0, 1)).toBe('good')
  })

  test('of each of 10,000 accounts is counted separately, in bounded memory', async () => {
    const setup = setUp({ limits: { failureEntries: 1000 } })
    const password = goodPassword
    const cookies: string[] = []
    for (let n = 0; n < 10_000; n++) {
      const result = await setup.accounts.create({ email: `user${n}@example.com`, password })
      if (result.outcome === 'done') cookies.push(await issue(setup, result.account.id))
    }
    expect(new Set(cookies).size).toBe(10_000)
    for (let n = 0; n < 10_000; n++) {
      const [own, next] = [cookies[n], cookies[(n + 1) % 10_000]]
      if ((await standing(setup, own, `user${n}@example.com`)) !== 'good') expect.unreachable(`${n}`)
      if (n % 100 === 0) expect(await standing(setup, next, `user${n}@example.com`)).toBe('void')
    }
    // Nine wrong passwords for each, and ten for one: it alone is spent.
    for (let n = 0; n < 900; n++) {
      const who = `user${n}@example.com`
      for (let i = 0; i < 9; i++) await setup.accounts.login(who, wrong, { deviceCookie: cookies[n] })
    }
    await setup.accounts.login('user500@example.com', wrong, { deviceCookie: cookies[500] })
    const standings: string[] = []
    for (let n = 0; n < 900; n++) standings.push(await standing(setup, cookies[n], `user${n}@example.com`))
    expect(standings.flatMap((which, n) => (which === 'void' ? [n] : []))).toEqual([500])
  })
})

describe('the cookie itself', () => {
  const issued = { value: '1.1.abc.def', maxAge: 60_000 }
  const request = (cookie: string | undefined) => ({ headers: { cookie } })

  test('is `__Host-`, out of reach for scripts and other sites', () => {
    const cookie = deviceCookie()
    expect(cookie.cookieName).toBe('__Host-upgate_device')
    expect(cookie.setCookie(issued)).toBe(
      '__Host-upgate_device=1.1.abc.def; Max-Age=60; Path=/; HttpOnly; Secure; SameSite=Strict',
    )
    expect(cookie.read(request('a=b; __Host-upgate_device=1.1.abc.def'))).toBe('1.1.abc.def')
    expect(cookie.read(request('__Host-upgate_device=a; __Host-upgate_device=b'))).toEqual(['a', 'b'])
    expect(cookie.read(request('upgate_device=1.1.abc.def'))).toBeUndefined()
    expect(cookie.read(request(undefined))).toBeUndefined()
    const plain = deviceCookie({ secure: false, name: 'mine' })
    expect(plain.setCookie(issued)).toBe('mine=1.1.abc.def; Max-Age=60; Path=/; HttpOnly; SameSite=Strict')
  })

  test('has a valid cookie name', () => {
    for (const name of ['', 'a b', '__Host-x', 'x'.repeat(65)]) {
      expect(() => deviceCookie({ name })).toThrow(/deviceCookie: `name` must be 1 to 64 letters/)
    }
    expect(() => deviceCookie({ names: 'x' } as never)).toThrow(/deviceCookie: unknown option `names`/)
  })
})
