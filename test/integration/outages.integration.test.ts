// Needs PostgreSQL and Redis.
import { setTimeout as sleep } from 'node:timers/promises'
import { composeStores, createServices, type Services, type Store } from 'upgate'
import { redisBus, redisSessions } from 'upgate/redis'
import { postgresBus, postgresStore } from 'upgate/sql'
import type { RevocationBus } from 'upgate/store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type OutageClock, outageClock } from './outage-clock.ts'
import { proxyTo, type Way } from './proxy.ts'
import { dropSchema, postgresAnswers, postgresUrl, redisAnswers, redisUrl, uniqueName } from './services.ts'

const available = (await postgresAnswers()) && (await redisAnswers())

/** Bounds that a busy machine does not reach; `outageClock` makes those of the service that is away short. */
const timeout = 10_000
const lookupTimeout = 20_000
type Service = 'postgres' | 'redis'

interface Instance {
  readonly services: Services
  readonly store: Store
  readonly bus: RevocationBus
}

describe.skipIf(!available)('an outage', () => {
  let name: string
  let postgres: Way
  let redis: Way
  const closing: { close(): Promise<void> }[] = []
  beforeEach(async () => {
    name = uniqueName()
    postgres = await proxyTo(postgresUrl)
    redis = await proxyTo(redisUrl)
    // The tables are created with the usual time-out: the short one is for the outages only.
    await (await postgresStore({ connectionString: postgresUrl, schema: name, timeout })).close()
  })
  afterEach(async () => {
    for (const one of closing.splice(0).reverse()) await one.close()
    await postgres.stop()
    await redis.stop()
    await dropSchema(name)
  })

  /** @param clocks - that of a service which goes away */
  async function instance(
    way: (url: string) => string,
    bus: Service,
    clocks: Partial<Record<Service, OutageClock>> = {},
  ): Promise<Instance> {
    const url = way(postgresUrl)
    const timed = (service: Service) => ({ timeout, clock: clocks[service] ?? outageClock() })
    const store = composeStores(
      await postgresStore({ connectionString: url, schema: name, ...timed('postgres') }),
      { sessions: await redisSessions({ url: way(redisUrl), prefix: name, ...timed('redis') }) },
    )
    const opened =
      bus === 'redis'
        ? await redisBus({ url: way(redisUrl), channel: name })
        : await postgresBus({ connectionString: url, channel: name })
    const services = createServices({
      store,
      bus: opened,
      // Nothing is cached, so every verification asks the store.
      limits: { cacheAge: 0, lookupTimeout, logInterval: 200, touchDelay: 0 },
    })
    closing.push(store, opened, services)
    return { services, store, bus: opened }
  }
  const throughProxy = (url: string): string => (url === postgresUrl ? postgres : redis).url(url)
  const directly = (url: string): string => url

  /** Verifies all the time until it is stopped; returns the number of each outcome. */
  function load(verify: () => PromiseLike<{ outcome: string }> | { outcome: string }) {
    const seen = new Map<string, number>()
    let running = true
    const workers = Array.from({ length: 4 }, async () => {
      while (running) {
        const { outcome } = await verify()
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
        await sleep(2)
      }
    })
    return {
      seen,
      async stop() {
        running = false
        await Promise.all(workers)
        return [...seen.keys()].sort()
      },
    }
  }

  for (const kind of ['stopped', 'frozen'] as const) {
    test(`of PostgreSQL, ${kind} and back, under load: unavailable, never a refusal; no revocation is missed`, async () => {
      const clock = outageClock()
      const here = await instance(throughProxy, 'postgres', { postgres: clock })
      const there = await instance(directly, 'postgres')
      const kept = await there.services.devices.create({ name: 'kept' })
      const taken = await there.services.devices.create({ name: 'taken' })
      const forged = `${taken.token.slice(0, 4)}${kept.token.slice(4)}`.replace(/.$/, 'x')
      const verifying = load(() => here.services.devices.verify(kept.token))
      await expect.poll(() => verifying.seen.get('authenticated') ?? 0).toBeGreaterThan(0)
      const seen: string[] = []
      here.services.revocations.subscribe(({ selector }) => seen.push(selector.credentialId ?? 'all'))

      if (kind === 'stopped') await postgres.stop()
      else postgres.frozen = true
      clock.away = true
      await there.services.devices.revoke(taken.id)
      await expect.poll(() => verifying.seen.get('unavailable') ?? 0).toBeGreaterThan(3)
      expect((await here.services.devices.verify(forged)).outcome).not.toBe('authenticated')
      // In time: the server comes back only afterwards.
      await expect(here.services.devices.create({ name: 'x' })).rejects.toMatchObject({
        name: 'StoreUnavailable',
      })
      expect(seen).toEqual([])

      if (kind === 'stopped') await postgres.start()
      else postgres.frozen = false
      clock.away = false
      await expect.poll(() => seen).toContain(taken.id)
      await expect
        .poll(() => here.services.devices.verify(taken.token))
        .toMatchObject({ code: 'revoked_credential' })
      const before = verifying.seen.get('authenticated') ?? 0
      await expect.poll(() => verifying.seen.get('authenticated') ?? 0).toBeGreaterThan(before)
      expect(await verifying.stop()).toEqual(['authenticated', 'unavailable'])
      await expect
        .poll(() => here.services.revocations.health())
        .toEqual({
          log: 'current',
          bus: 'heard',
        })
    })

    test(`of Redis, ${kind} and back, under load: sessions are unavailable, everything else goes on`, async () => {
      const clock = outageClock()
      const here = await instance(throughProxy, 'redis', { redis: clock })
      const there = await instance(directly, 'redis')
      const account = await there.services.accounts.create({ email: 'ada@example.com' })
      if (account.outcome !== 'done') throw new Error(account.reason)
      const session = await there.services.sessions.create(account.account.id)
      const device = await there.services.devices.create({ name: 'd' })
      const verifying = load(() => here.services.sessions.verify(session?.token ?? ''))
      await expect.poll(() => verifying.seen.get('authenticated') ?? 0).toBeGreaterThan(0)

      if (kind === 'stopped') await redis.stop()
      else redis.frozen = true
      clock.away = true
      await expect.poll(() => verifying.seen.get('unavailable') ?? 0).toBeGreaterThan(3)
      expect(await here.services.devices.verify(device.token)).toMatchObject({ outcome: 'authenticated' })
      // Without the bus, readings of the log still find the revocation.
      await there.services.devices.revoke(device.id)
      await expect.poll(() => here.services.revocations.sequence()).toBe(1)
      expect(await here.services.devices.verify(device.token)).toMatchObject({ code: 'revoked_credential' })

      if (kind === 'stopped') await redis.start()
      else redis.frozen = false
      clock.away = false
      const before = verifying.seen.get('authenticated') ?? 0
      await expect.poll(() => verifying.seen.get('authenticated') ?? 0).toBeGreaterThan(before)
      expect(await verifying.stop()).toEqual(['authenticated', 'unavailable'])
      await expect.poll(() => here.services.revocations.health().bus).toBe('heard')
    })
  }
})
