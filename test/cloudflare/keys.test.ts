import { describe, expect, it } from 'vitest'
import { type Answer, type Behind, cleanUp, site, startBehind } from './edge.ts'

cleanUp()

const me = '/api/me'
const cookieOf = async (behind: Behind): Promise<string> =>
  `CF_Authorization=${await behind.sim.issueUserToken('gateway', 'ada@example.com')}`

it('keys rotate in the middle of traffic, and no valid token is refused', async () => {
  const behind = await startBehind()
  const { sim, clock } = behind
  const cookies = [await cookieOf(behind)]
  const statuses = new Map<number, number>()
  let sent = 0
  const lane = async (): Promise<void> => {
    while (sent < 240) {
      sent++
      // Every third login is new, signed with whatever key is current; the others are as old as the test.
      if (sent % 3 === 0) cookies.push(await cookieOf(behind))
      const { status } = await behind.get(me, { cookie: cookies[(sent * 7) % cookies.length] ?? '' })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (sent === 80 || sent === 160) {
        clock.advance(60_000)
        await sim.rotateKeys('acme')
      }
    }
  }
  await Promise.all(Array.from({ length: 8 }, lane))
  expect(Object.fromEntries(statuses)).toEqual({ 200: sent })
  // The first use, and one for each new key.
  expect(behind.certsFetched()).toBe(3)
})

it('keys rotate twice within the cooldown: the newest token has to wait, and is told for how long, not that it is invalid', async () => {
  const behind = await startBehind()
  const { sim, clock } = behind
  const known = await cookieOf(behind)
  expect((await behind.get(me, { cookie: known })).status).toBe(200)
  clock.advance(60_000)
  await sim.rotateKeys('acme')
  expect((await behind.get(me, { cookie: await cookieOf(behind) })).status).toBe(200)
  clock.advance(10_000)
  await sim.rotateKeys('acme')
  const cookie = await cookieOf(behind)
  const answer = await behind.get(me, { cookie })
  expect([answer.status, answer.body.code, answer.headers.get('retry-after')]).toEqual([
    503,
    'unavailable',
    '20',
  ])
  const socket = behind.socket('/ws', { cookie, origin: site })
  expect((await socket.upgraded).status).toBe(101)
  await behind.passRefusal(socket.closed)
  expect(await socket.closed).toMatchObject({ code: 1013, reason: 'unavailable' })
  // Only that request is concerned.
  expect((await behind.get(me, { cookie: known })).status).toBe(200)
  expect(behind.certsFetched()).toBe(2)
  clock.advance(20_000)
  expect((await behind.get(me, { cookie })).status).toBe(200)
  expect(behind.certsFetched()).toBe(3)
})

it('a token of the former key counts for seven days, and not a minute longer than the keys are refreshed', async () => {
  const behind = await startBehind()
  behind.sim.configureApplication('gateway', { sessionSeconds: 30 * 86_400 })
  const old = await behind.sim.issueUserToken('gateway', 'ada@example.com')
  await behind.sim.rotateKeys('acme')
  const day = 86_400_000
  const ask = async () => (await behind.direct(me, { 'cf-access-jwt-assertion': old })).status
  behind.clock.advance(7 * day - 60_000)
  expect(await ask()).toBe(200)
  behind.clock.advance(60_000)
  await ask()
  behind.clock.advance(3_600_000)
  expect(await ask()).toBe(401)
})

describe('the keys cannot be had', () => {
  it.each(['error', 'redirect', 'html', 'oversize', 'silence'] as const)(
    'from the start (%s): 503 and 1013, never 401 and never open',
    async (mode) => {
      const behind = await startBehind()
      const off = behind.sim.inject({ kind: 'jwks', mode })
      const cookie = await cookieOf(behind)
      const socket = behind.socket('/ws', { cookie, origin: site })
      const answers = await timeout(
        behind,
        [
          behind.get(me, { cookie }),
          behind.direct(me, { 'cf-access-jwt-assertion': cookie.slice('CF_Authorization='.length) }),
        ],
        // The upgrade may arrive after both answers: it waits for the keys then, and for the clock, by itself.
        socket.upgraded,
      )
      for (const { status, body, headers } of answers) {
        expect([status, body.code]).toEqual([503, 'unavailable'])
        expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
      }
      expect((await socket.upgraded).status).toBe(101)
      await behind.passRefusal(socket.closed)
      expect(await socket.closed).toMatchObject({ code: 1013, reason: 'unavailable' })
      // Without a credential nothing is unavailable: there is nothing to verify.
      expect((await behind.direct(me)).status).toBe(401)
      expect((await behind.direct('/health')).status).toBe(200)

      off()
      behind.clock.advance(60_000)
      expect((await behind.get(me, { cookie })).status).toBe(200)
      expect((await behind.socket('/ws', { cookie, origin: site }).message()).type).toBe('welcome')
    },
  )

  it('after they were had: they count for a day more, then it is 503', async () => {
    const behind = await startBehind()
    behind.sim.configureApplication('gateway', { sessionSeconds: 30 * 86_400 })
    const cookie = await cookieOf(behind)
    expect((await behind.get(me, { cookie })).status).toBe(200)
    behind.sim.inject({ kind: 'jwks', mode: 'error' })
    for (let hour = 0; hour < 23; hour++) {
      behind.clock.advance(3_600_000)
      expect((await behind.get(me, { cookie })).status, `after ${hour + 1} h`).toBe(200)
    }
    behind.clock.advance(3_600_000)
    expect((await behind.get(me, { cookie })).status).toBe(503)
    // Bounded: an attempt or two for each hour with a request.
    expect(behind.certsFetched()).toBeLessThanOrEqual(26)
  })
})

/** Lets the time pass that a silent issuer is waited for. */
async function timeout(
  behind: Behind,
  answers: readonly Promise<Answer>[],
  upgraded: Promise<unknown> = Promise.resolve(),
): Promise<readonly Answer[]> {
  let done = false
  const all = Promise.all(answers)
  void Promise.allSettled([all, upgraded]).then(() => {
    done = true
  })
  for (let turn = 0; !done; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
    if (turn % 200 === 199) behind.clock.advance(1_000)
  }
  return all
}
