// Needs Debian's postgresql and redis-server, as programs: it starts private servers, and stops them.
import { setTimeout as sleep } from 'node:timers/promises'
import { createServices, memoryStore } from 'upgate'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  type Attempt,
  type Gateway,
  handshake,
  type LiveSocket,
  type Load,
  live,
  request,
  startGateway,
  startLoad,
} from './outage-load.ts'
import { canStart, type PrivateService, privatePostgres, privateRedis } from './private-services.ts'
import { patience, uniqueName } from './services.ts'

const available = canStart('postgres') && canStart('redis')

interface Issued {
  readonly id: string
  readonly token: string
}
type Told = { readonly done: unknown } | { readonly code: string }
type Kind = 'device' | 'session' | 'forged' | 'revoked' | 'anonymous' | 'frame' | 'forged frame'

const cookieOf = (token: string): string => `__Host-upgate_session=${token}`

/**
 * Reports how long devices revoked around the outages stayed connected, as far as a busy machine can tell.
 */
function report(acknowledged: ReadonlyMap<string, number>, lives: ReadonlyMap<string, LiveSocket>): void {
  const waits = [...acknowledged].map(([id, at]) => Math.max(0, (lives.get(id)?.endedAt ?? at) - at))
  waits.sort((a, b) => a - b)
  const [half, most] = [waits[waits.length >> 1], waits.at(-1)].map((wait) => wait?.toFixed(0))
  console.log(
    `${waits.length} revocations across the outages: closed elsewhere after ${half} ms, at most ${most} ms`,
  )
}

describe.skipIf(!available)('a server that is really stopped, under load', { timeout: 300_000 }, () => {
  let postgres: PrivateService
  const closing: (() => unknown)[] = []
  beforeAll(async () => {
    postgres = await privatePostgres()
  })
  afterAll(() => postgres?.dispose())
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
    await postgres.start()
  })

  /** Two gateways with the records for the load, and devices with live sockets on the first. */
  async function stage(
    redis: PrivateService,
    bus: 'postgres' | 'redis',
    away: 'postgres' | 'redis',
    sockets: number,
    speed = 1,
  ) {
    const urls = { postgres: postgres.url, redis: redis.url }
    const options = { ...urls, name: uniqueName(), bus, away: [away], speed }
    const start = async (): Promise<Gateway> => {
      const gateway = await startGateway(options)
      closing.push(gateway.stop)
      return gateway
    }
    const here = await start()
    const [there, unasked] = await Promise.all([start(), start()])
    const account = await there.ask<string>('account', 'ada@example.com')
    const session = (await there.ask<{ done: string }>('login', account)).done
    const [good, revoked, ...devices] = (await there.ask<Issued[]>('issue', sockets + 2)) as [Issued, Issued]
    await there.ask('revoke', revoked.id)
    // A well-formed token that is unknown here.
    const elsewhere = await createServices({ store: memoryStore() }).devices.create({ name: 'x' })
    const attempts: Record<Kind, Attempt> = {
      device: request({ authorization: `Bearer ${good.token}` }),
      session: request({ cookie: cookieOf(session) }),
      forged: request({ authorization: `Bearer ${elsewhere.token}` }),
      revoked: request({ authorization: `Bearer ${revoked.token}` }),
      anonymous: request({}),
      frame: handshake(good.token),
      'forged frame': handshake(elsewhere.token),
    }
    const lives = new Map<string, LiveSocket>()
    for (const { id, token } of devices as Issued[]) {
      const socket = await live(here, token)
      lives.set(id, socket)
      closing.push(socket.close)
    }
    const load = startLoad<Kind>([here, there], attempts)
    closing.push(load.stop)
    const left = [...lives.keys()]
    const next = (): string => left.pop() as string
    const ended = (id: string) => expect.poll(() => lives.get(id)?.end, { timeout: patience, message: id })
    return {
      here,
      there,
      unasked,
      load,
      lives,
      ended,
      next,
      left,
      account,
      attempts,
      tokens: devices as Issued[],
    }
  }

  async function sees(load: Load<Kind>, phase: string, wanted: Partial<Record<Kind, string>>): Promise<void> {
    load.phase = phase
    for (const [kind, outcome] of Object.entries(wanted) as [Kind, string][]) {
      await expect
        .poll(() => load.count(kind, phase, outcome), { timeout: patience, message: `${phase}: ${kind}` })
        .toBeGreaterThanOrEqual(2)
    }
  }

  /**
   * Revokes one device after another, with any result, until it is stopped. It slows down as they get fewer: on a busy
   * machine the outages last longer, and some devices have to be left for the test itself.
   */
  function revoking(gateway: Gateway, next: () => string, left: readonly string[]) {
    const all = left.length
    const kept = 10
    const acknowledged = new Map<string, number>()
    const failed: string[] = []
    let running = true
    const worker = (async () => {
      while (running) {
        await sleep((50 * all) / Math.max(1, left.length))
        if (left.length <= kept) continue
        const id = next()
        const told = await gateway.ask<Told>('revoke', id)
        if ('done' in told) acknowledged.set(id, performance.now())
        else failed.push(told.code)
      }
    })()
    return {
      acknowledged,
      failed,
      async stop() {
        running = false
        await worker
      },
    }
  }

  /** Checks that no other outcomes occurred at any time. */
  function onlyEver(load: Load<Kind>, session: readonly string[]): void {
    const unknown = '503 unavailable'
    expect(load.outcomes('device')).toEqual(['200', unknown])
    expect(load.outcomes('session')).toEqual(session)
    for (const outcome of load.outcomes('forged'))
      expect(['401 invalid_credential', unknown]).toContain(outcome)
    for (const outcome of load.outcomes('revoked')) {
      expect(['401 revoked_credential', unknown]).toContain(outcome)
    }
    expect(load.outcomes('anonymous')).toEqual(['401 auth_required'])
    for (const outcome of load.outcomes('frame')) expect(['accepted', '1013 unavailable']).toContain(outcome)
    for (const outcome of load.outcomes('forged frame')) {
      expect(['4401 invalid_credential', '1013 unavailable']).toContain(outcome)
    }
  }

  const well = { device: '200', session: '200', frame: 'accepted' } as const
  const refused = {
    forged: '401 invalid_credential',
    revoked: '401 revoked_credential',
    'forged frame': '4401 invalid_credential',
  } as const
  const down = '503 unavailable'

  test('PostgreSQL, by its administrator and by SIGKILL: 503 and 1013, sockets stay, and no revocation is lost', async () => {
    const redis = await privateRedis()
    closing.push(redis.dispose)
    const staged = await stage(redis, 'postgres', 'postgres', 120)
    const { here, there, unasked, load, lives, ended, next, left, attempts } = staged
    await sees(load, 'before', { ...well, ...refused })
    const stream = revoking(there, next, left)
    closing.push(stream.stop)

    for (const how of ['fast', 'kill'] as const) {
      load.phase = ''
      const justBefore = next()
      await expect.poll(() => there.ask('revoke', justBefore)).toEqual({ done: true })
      await postgres.stop(how)
      await sees(load, `out ${how}`, {
        ...{ device: down, session: down, forged: down, revoked: down },
        ...{ frame: '1013 unavailable', 'forged frame': '1013 unavailable' },
      })
      for (const kind of ['device', 'session', 'forged', 'revoked'] as const) {
        expect(load.outcomes(kind, `out ${how}`)).toEqual([down])
      }
      expect(load.outcomes('frame', `out ${how}`)).toEqual(['1013 unavailable'])
      // This instance cannot know of a revocation: its sockets stay open.
      expect(await lives.get(left[0] as string)?.heard()).toBe(true)
      expect(await there.ask('revoke', left[0])).toEqual({ code: 'store_unavailable' })
      // It has never asked whether an account exists: it must not conclude that there is none.
      if (how === 'fast') expect(await attempts.anonymous(unasked)).toBe(down)

      load.phase = ''
      await postgres.start()
      await sees(load, `after ${how}`, { ...well, ...refused })
      await ended(justBefore).toBe('4403 revoked')
      const justAfter = next()
      await expect.poll(() => there.ask('revoke', justAfter)).toEqual({ done: true })
      await ended(justAfter).toBe('4403 revoked')
    }

    await stream.stop()
    expect(new Set(stream.failed)).toEqual(new Set(['store_unavailable']))
    expect(stream.acknowledged.size).toBeGreaterThan(5)
    for (const id of stream.acknowledged.keys()) await ended(id).toBe('4403 revoked')
    // A revocation that was not acknowledged may or may not have taken effect; socket and record must agree.
    for (const { id, token } of staged.tokens) {
      const outcome = await request({ authorization: `Bearer ${token}` })(here)
      expect(outcome, id).toBe(lives.get(id)?.end === undefined ? '200' : '401 revoked_credential')
    }
    await load.stop()
    onlyEver(load, ['200', down])
    await expect.poll(() => here.ask('health')).toEqual({ log: 'current', bus: 'heard' })
    report(stream.acknowledged, lives)
  })
  test('PostgreSQL that answers nothing: the wait is bounded, then 503 and 1013, and it goes on by itself', async () => {
    const redis = await privateRedis()
    closing.push(redis.dispose)
    const { there, load, lives, ended, next, left } = await stage(redis, 'redis', 'postgres', 5)
    await sees(load, 'before', well)
    load.phase = ''
    for (const pid of postgres.processes()) process.kill(pid, 'SIGSTOP')
    try {
      const unknown = { device: down, session: down, forged: down, frame: '1013 unavailable' } as const
      await sees(load, 'frozen', unknown)
      for (const kind of Object.keys(unknown) as (keyof typeof unknown)[]) {
        expect(load.outcomes(kind, 'frozen')).toEqual([unknown[kind]])
      }
      expect(await lives.get(left[0] as string)?.heard()).toBe(true)
    } finally {
      for (const pid of postgres.processes()) process.kill(pid, 'SIGCONT')
    }
    await sees(load, 'after', { ...well, ...refused })
    const justAfter = next()
    await expect.poll(() => there.ask('revoke', justAfter)).toEqual({ done: true })
    await ended(justAfter).toBe('4403 revoked')
    await load.stop()
    onlyEver(load, ['200', down])
  })

  for (const keeps of [true, false]) {
    const title = keeps
      ? 'Redis with persistence, by SIGKILL: sessions are 503 and then count again'
      : 'Redis without persistence, by its administrator: sessions are 503 and then gone, and no client is admitted by mistake'
    test(`${title}; devices go on, and no revocation is lost`, async () => {
      const redis = await privateRedis({ keeps })
      closing.push(redis.dispose)
      const staged = await stage(redis, 'redis', 'redis', 200)
      const { here, there, load, lives, ended, next, left, account } = staged
      const loggedOut = (await there.ask<{ done: string }>('login', account)).done
      expect(await request({ cookie: cookieOf(loggedOut) })(here)).toBe('200')
      await sees(load, 'before', { ...well, ...refused })
      const stream = revoking(there, next, left)
      closing.push(stream.stop)

      load.phase = ''
      const justBefore = next()
      expect(await there.ask('logout', loggedOut)).toEqual({ done: true })
      await expect.poll(() => there.ask('revoke', justBefore)).toEqual({ done: true })
      await redis.stop(keeps ? 'kill' : 'fast')
      await sees(load, 'out', { session: down, device: '200', frame: 'accepted', ...refused })
      expect(load.outcomes('session', 'out')).toEqual([down])
      expect(load.outcomes('device', 'out')).toEqual(['200'])
      expect(load.outcomes('forged', 'out')).toEqual(['401 invalid_credential'])
      expect(await there.ask('login', account)).toEqual({ code: 'store_unavailable' })
      // The log is in PostgreSQL, and is read after five seconds without a message on the bus.
      const meanwhile = next()
      expect(await there.ask('revoke', meanwhile)).toEqual({ done: true })
      await ended(meanwhile).toBe('4403 revoked')
      await ended(justBefore).toBe('4403 revoked')
      // A timed reading of the log may come before the bus has been silent for five seconds.
      await expect.poll(() => here.ask('health')).toEqual({ log: 'current', bus: 'silent' })

      load.phase = ''
      await redis.start()
      const gone = '401 auth_required'
      await sees(load, 'after', { ...well, ...refused, session: keeps ? '200' : gone })
      // A logout lasts, whatever data Redis kept.
      expect(await request({ cookie: cookieOf(loggedOut) })(here)).toBe(gone)
      const { done } = await there.ask<{ done: string }>('login', account)
      expect(await request({ cookie: cookieOf(done) })(here)).toBe('200')
      const justAfter = next()
      await expect.poll(() => there.ask('revoke', justAfter)).toEqual({ done: true })
      await ended(justAfter).toBe('4403 revoked')

      await stream.stop()
      expect(stream.failed).toEqual([])
      expect(stream.acknowledged.size).toBeGreaterThan(5)
      for (const id of stream.acknowledged.keys()) await ended(id).toBe('4403 revoked')
      const open = [...lives.values()].filter(({ end }) => end === undefined)
      expect(await Promise.all(open.map((socket) => socket.heard()))).toEqual(open.map(() => true))
      await load.stop()
      expect(load.outcomes('device')).toEqual(['200'])
      expect(load.outcomes('session')).toEqual(['200', ...(keeps ? [] : [gone]), down])
      expect(load.outcomes('frame')).toEqual(['accepted'])
      expect(load.outcomes('forged frame')).toEqual(['4401 invalid_credential'])
      await expect.poll(() => here.ask('health')).toEqual({ log: 'current', bus: 'heard' })
      report(stream.acknowledged, lives)
    })
  }

  test('PostgreSQL, for longer than a minute of the gateways: live sockets are closed with 1013, and come back', async () => {
    const redis = await privateRedis()
    closing.push(redis.dispose)
    // A minute passes in twelve seconds: a busy machine sees the sockets open before it is over.
    const { here, load, lives, tokens } = await stage(redis, 'redis', 'postgres', 5, 5)
    const [first, second] = tokens as [Issued, Issued]
    await sees(load, 'before', well)
    await postgres.stop('kill')
    await sees(load, 'out', { device: down })
    expect(await lives.get(first.id)?.heard()).toBe(true)
    for (const socket of lives.values()) {
      await expect.poll(() => socket.end, { timeout: patience }).toBe('1013 unavailable')
    }
    expect(await here.ask('health')).toMatchObject({ log: 'lost' })
    await sees(load, 'lost', { device: down, frame: '1013 unavailable' })
    expect(load.outcomes('device', 'lost')).toEqual([down])
    await postgres.start()
    await sees(load, 'after', well)
    const again = await live(here, second.token)
    closing.push(again.close)
    expect(await again.heard()).toBe(true)
    expect(await here.ask('health')).toEqual({ log: 'current', bus: 'heard' })
  })
})
