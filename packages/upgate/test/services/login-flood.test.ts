import { describe, expect, test } from 'vitest'
import { goodPassword, outcomeOf, person, type Setup, settle, setUp } from './setup.ts'

// Ten logins a second with random addresses kept the owner out, despite the right password: all hashes waited
// in one queue.

const email = 'ada@example.com'
const wrong = 'not the right password'
/** Simulated milliseconds of one hash, and between two logins of the flood: 50 a second. */
const hashing = 250
const interval = 20
const minute = 60_000

type Attempt = Parameters<Setup['accounts']['login']>
type Flood = (n: number) => Attempt

/** Services with hashes that take simulated time: the tests never really wait. */
function setUpSlow(options: Parameters<typeof setUp>[0] = {}): Setup {
  const setup = setUp(options)
  const { verify } = setup.hasher
  setup.hasher.verify = async (password, stored) => {
    setup.hasher.running++
    setup.hasher.mostRunning = Math.max(setup.hasher.mostRunning, setup.hasher.running)
    await new Promise<void>((resolve) => setup.clock.setTimer(hashing, resolve))
    setup.hasher.running--
    return verify(password, stored)
  }
  return setup
}

async function pass(setup: Setup, milliseconds: number): Promise<void> {
  for (let left = milliseconds; left > 0; left -= interval) {
    setup.clock.advance(interval)
    await settle()
  }
}

/** A minute of a flood, with a login of another client every second. */
async function underFlood(setup: Setup, flood: Flood, other: (n: number) => Attempt, warmUp = 0) {
  const took: number[] = []
  let attempts = 0
  for (let n = -warmUp / interval; n < minute / interval; n++) {
    void setup.accounts.login(...flood(n + warmUp / interval))
    if (n >= 0 && n % 50 === 25) {
      const began = setup.clock.now()
      void setup.accounts.login(...other(attempts++)).then(({ outcome }) => {
        if (outcome === 'authenticated') took.push(setup.clock.now() - began)
      })
    }
    setup.clock.advance(interval)
    await settle()
  }
  await pass(setup, 10_000)
  took.sort((a, b) => a - b)
  return { rate: took.length / attempts, p95: took[Math.ceil(took.length * 0.95) - 1] ?? Number.NaN }
}

const addressOf = (n: number): string => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
const random = (n: number): string => `user${n}@example.com`
const floods: readonly [string, Flood][] = [
  ['one address', (n) => [random(n), wrong, { clientAddress: '203.0.113.9' }]],
  ['10,000 addresses', (n) => [random(n), wrong, { clientAddress: addressOf((n * 7919) % 10_000) }]],
  [
    '10,000 networks',
    (n) => [random(n), wrong, { clientAddress: `2001:db8:${((n * 7919) % 10_000).toString(16)}::1` }],
  ],
  ['addresses that are not known', (n) => [random(n), wrong, {}]],
  ['10,000 addresses, at this very account', (n) => [email, wrong, { clientAddress: addressOf(n * 7919) }]],
]

async function cookieOf(setup: Setup, id: string): Promise<string> {
  const issued = await setup.deviceCookies.issue(id)
  if (issued === undefined) throw new Error('no cookie')
  return issued.value
}

describe('50 logins a second from', () => {
  test.each(floods)('%s do not keep out a browser that logged in before', async (_, flood) => {
    const setup = setUpSlow()
    const { id } = await person(setup)
    const deviceCookie = await cookieOf(setup, id)
    const { rate, p95 } = await underFlood(setup, flood, (n) => [
      email,
      goodPassword,
      // Also from addresses that the browser never used.
      { deviceCookie, clientAddress: `198.51.100.${n}` },
    ])
    expect(rate).toBe(1)
    expect(p95).toBeLessThan(1000)
  })

  test.each(floods)('%s do not keep out an address that logged in before', async (_, flood) => {
    const setup = setUpSlow()
    await person(setup)
    const home = { clientAddress: '198.51.100.7' }
    const first = setup.accounts.login(email, goodPassword, home)
    await pass(setup, 1000)
    expect(await outcomeOf(first)).toBe('authenticated')
    const { rate, p95 } = await underFlood(setup, flood, () => [email, goodPassword, home])
    expect(rate).toBe(1)
    expect(p95).toBeLessThan(1000)
  })

  test('the owner’s own address do not keep the owner out', async () => {
    const setup = setUpSlow()
    const { id } = await person(setup)
    const deviceCookie = await cookieOf(setup, id)
    const here = { clientAddress: '198.51.100.7' }
    for (const flood of [
      (n: number): Attempt => [random(n), wrong, here],
      (): Attempt => [email, wrong, here],
      (n: number): Attempt => [
        email,
        wrong,
        { ...here, deviceCookie: `${deviceCookie.slice(0, -4)}${1000 + n}` },
      ],
    ]) {
      const { rate, p95 } = await underFlood(setup, flood, () => [
        email,
        goodPassword,
        { ...here, deviceCookie },
      ])
      expect(rate).toBe(1)
      expect(p95).toBeLessThan(1000)
    }
  })

  test.each([1, 5])(
    '%i people with accounts, right passwords and cookies do not keep others out',
    async (count) => {
      const setup = setUpSlow({ limits: { hashQueue: 16 } })
      const holders = async (name: string, accounts: number, browsers: number): Promise<Attempt[]> => {
        const attempts: Attempt[] = []
        for (let n = 0; n < accounts; n++) {
          const { id } = await person(setup, `${name}${n}@example.com`)
          for (let browser = 0; browser < browsers; browser++) {
            const context = { clientAddress: '203.0.113.9', deviceCookie: await cookieOf(setup, id) }
            attempts.push([`${name}${n}@example.com`, goodPassword, context])
          }
        }
        return attempts
      }
      const insiders = await holders('eve', count, 8)
      const owners = await holders('owner', 20, 1)
      const flood: Flood = (n) => insiders[n % insiders.length] as Attempt
      const owner = await underFlood(setup, flood, (n) => owners[n % owners.length] as Attempt)
      expect(owner.rate).toBe(1)
      expect(owner.p95).toBeLessThan(1000)
      // A quarter of the turns is for strangers, which would starve otherwise.
      const stranger = await underFlood(setup, flood, (n) => [
        'owner0@example.com',
        goodPassword,
        { clientAddress: `198.51.${n}.1` },
      ])
      expect(stranger.rate).toBe(1)
      expect(stranger.p95).toBeLessThan(2000)
    },
  )

  test.each([
    ['one address', () => '203.0.113.9'],
    ['one network of 256 addresses', (n: number) => `203.0.113.${n % 256}`],
    ['40 networks of 256 addresses', (n: number) => `203.0.${n % 40}.${n % 256}`],
    ['a /48', (n: number) => `2001:db8:1:${(n % 65_536).toString(16)}::1`],
  ])('%s do not keep out a browser never seen before, from another network', async (_, addressOf) => {
    const setup = setUpSlow()
    await person(setup)
    const { rate, p95 } = await underFlood(
      setup,
      (n) => [random(n), wrong, { clientAddress: addressOf(n) }],
      (n) => [email, goodPassword, { clientAddress: `198.51.${n}.1` }],
      // Until each network of the flood had a turn, the client looks like one of them.
      12_000,
    )
    expect(rate).toBe(1)
    expect(p95).toBeLessThan(2000)
  })

  test('10,000 networks leave a new browser the same chance as each of them, and its second try goes first', async () => {
    const one = setUpSlow()
    await person(one)
    const [, flood] = floods[2] as (typeof floods)[number]
    // Each client tries once; 4 hashes a second are for strangers.
    const once = await underFlood(one, flood, (n) => [
      email,
      goodPassword,
      { clientAddress: `198.51.${n}.1` },
    ])
    expect(once.rate).toBeLessThan(0.2)
    // Each client tries again after a second.
    const setup = setUpSlow()
    await person(setup)
    const twice = await underFlood(setup, flood, (n) => [
      email,
      goodPassword,
      { clientAddress: `192.0.${n >> 1}.1` },
    ])
    expect(twice.rate).toBeGreaterThanOrEqual(0.5)
    expect(twice.p95).toBeLessThan(1000)
  })
})

test('strangers take half of the places at most, and no more than 16 of them wait', async () => {
  for (const [hashesInFlight, places] of [
    [1, 1],
    [2, 1],
    [4, 2],
    [5, 3],
  ] as const) {
    const setup = setUpSlow({ limits: { hashesInFlight } })
    const answers = Array.from({ length: 40 }, (_, n) =>
      outcomeOf(setup.accounts.login(random(n), wrong, { clientAddress: `192.0.${n}.1` })),
    )
    await pass(setup, 10_000)
    expect(setup.hasher.mostRunning).toBe(places)
    expect((await Promise.all(answers)).filter((answer) => answer === 'unavailable')).toHaveLength(
      24 - places,
    )
  }
})

test('one account never takes all places from the others', async () => {
  for (const [hashesInFlight, places] of [
    [1, 1],
    [2, 1],
    [4, 3],
  ] as const) {
    const setup = setUpSlow({ limits: { hashesInFlight } })
    const { id } = await person(setup)
    const logins: Promise<string>[] = []
    for (let n = 0; n < 8; n++) {
      const deviceCookie = await cookieOf(setup, id)
      logins.push(outcomeOf(setup.accounts.login(email, goodPassword, { deviceCookie })))
    }
    await pass(setup, 10_000)
    expect(await Promise.all(logins)).toEqual(Array.from({ length: 8 }, () => 'authenticated'))
    expect(setup.hasher.mostRunning).toBe(places)
  }
})

test('an unknown address never counts as known: quicker answers would reveal accounts', async () => {
  const setup = setUp()
  await person(setup)
  for (const context of [{}, { origin: 'http://localhost:8787' }]) {
    await setup.accounts.login(email, goodPassword, context)
    expect(await setup.accounts.login(email, goodPassword, context)).toMatchObject({ known: false })
  }
  const home = { clientAddress: '198.51.100.7' }
  expect(await setup.accounts.login(email, goodPassword, home)).toMatchObject({ known: false })
  expect(await setup.accounts.login(email, goodPassword, home)).toMatchObject({ known: true })
})

test('an attempt that is pushed out of the queue is not counted', async () => {
  const setup = setUpSlow()
  await person(setup)
  const crowd = Array.from({ length: 17 }, () =>
    outcomeOf(setup.accounts.login(email, wrong, { clientAddress: '192.0.2.1' })),
  )
  await settle()
  const others = Array.from({ length: 16 }, (_, n) =>
    outcomeOf(setup.accounts.login(random(n), wrong, { clientAddress: `198.51.${n}.1` })),
  )
  await pass(setup, 10_000)
  expect(await Promise.all(others)).toEqual(Array.from({ length: 16 }, () => 'invalid_credential'))
  const outcomes = await Promise.all(crowd)
  // Ten attempts were admitted, one of them was hashed; nine were pushed out of the queue, the others were
  // locked.
  expect(outcomes.filter((outcome) => outcome === 'invalid_credential')).toHaveLength(1)
  expect(outcomes.filter((outcome) => outcome === 'unavailable')).toHaveLength(9)
  for (let n = 0; n < 9; n++) {
    const attempt = outcomeOf(setup.accounts.login(email, wrong, { clientAddress: '192.0.2.1' }))
    await pass(setup, 500)
    expect(await attempt).toBe('invalid_credential')
  }
})

describe('pages on localhost', () => {
  const page = (origin: string) => ({ origin })
  const here = page('http://localhost:8787')

  test('are counted by Origin: one that guesses does not lock out another', async () => {
    const setup = setUp()
    await person(setup)
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, here))).toBe('authenticated')
    for (let n = 0; n < 10; n++) await setup.accounts.login(email, wrong, page('http://localhost:3000'))
    expect(await setup.accounts.login(email, goodPassword, page('http://localhost:3000'))).toMatchObject({
      outcome: 'throttled',
      locked: 'pair',
    })
    for (let n = 0; n < 10; n++) await setup.accounts.login(email, wrong)
    expect(await outcomeOf(setup.accounts.login(email, goodPassword))).toBe('throttled')
    expect(await outcomeOf(setup.accounts.login(email, goodPassword, here))).toBe('authenticated')
  })

  test('have ten guesses together if none of them logged in before, under any Origin', async () => {
    const setup = setUp()
    await person(setup)
    for (let n = 0; n < 10; n++) await setup.accounts.login(email, wrong, page(`http://localhost:${n}`))
    expect(await setup.accounts.login(email, goodPassword, here)).toMatchObject({
      outcome: 'throttled',
      locked: 'account',
    })
  })

  test('take turns', async () => {
    const setup = setUpSlow()
    await person(setup)
    const { rate, p95 } = await underFlood(
      setup,
      (n) => [random(n), wrong, page('http://localhost:3000')],
      () => [email, goodPassword, here],
    )
    expect(rate).toBe(1)
    expect(p95).toBeLessThan(2000)
  })
})
