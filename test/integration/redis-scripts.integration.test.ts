// Needs Debian's redis-server.

import { createClient } from 'redis'
import { composeStores, memoryStore } from 'upgate'
import { redisFailures, redisSessions, redisTickets } from 'upgate/redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canStart, type PrivateService, privateRedis } from './private-services.ts'
import { patience } from './services.ts'

describe.skipIf(!canStart('redis'))('scripts in Redis', () => {
  let redis: PrivateService
  beforeAll(async () => {
    redis = await privateRedis({ keeps: true })
  })
  afterAll(() => redis.dispose())

  async function ask(...command: string[]): Promise<unknown> {
    const client = createClient({ url: redis.url })
    client.on('error', () => {})
    await client.connect()
    try {
      return await client.sendCommand(command)
    } finally {
      client.destroy()
    }
  }
  async function open() {
    const { url } = redis
    return composeStores(memoryStore(), {
      sessions: await redisSessions({ url, timeout: patience }),
      tickets: await redisTickets({ url, timeout: patience }),
      failures: await redisFailures({ url, timeout: patience }),
    })
  }
  const session = (id: string) => ({
    ...{ id, digest: `digest of ${id}`, accountId: 'a', generation: 1 },
    ...{ createdAt: 1, lastSeenAt: 1, expiresAt: 9 },
  })
  const ticket = (id: string) => ({
    ...{
      id,
      digest: id,
      principal: { kind: 'user', id: 'a', scheme: 'session', scopes: [], roles: [] } as const,
    },
    ...{ path: '/ws', sequence: 0, createdAt: 1, expiresAt: 9 },
  })
  const draft = { at: 1, selector: { sessionId: 's' }, reason: 'revoked' } as const

  async function everyOperation(store: Awaited<ReturnType<typeof open>>, round: string): Promise<void> {
    const { sessions, tickets, failures } = store
    expect(await sessions.add(session(`s${round}`), 9)).toEqual([])
    expect(await sessions.get(`s${round}`)).toMatchObject(session(`s${round}`))
    const to = { digest: 'new', previousDigest: 'old', previousUntil: 5 }
    expect(await sessions.rotate(`s${round}`, `digest of s${round}`, to, draft)).toMatchObject(draft)
    await sessions.touch([{ id: `s${round}`, at: 7 }])
    expect(await sessions.list('a')).toMatchObject([{ id: `s${round}`, lastSeenAt: 7, ...to }])
    expect(await sessions.remove(`s${round}`, draft)).toMatchObject(draft)
    await sessions.add(session(`t${round}`), 9)
    expect(await sessions.removeOf('a', 2)).toBe(1)
    await sessions.add(session(`u${round}`), 9)
    expect(await sessions.purge(9, 0, 100)).toBe(1)
    expect(await tickets.add(ticket(`t${round}`), 9)).toBe(true)
    expect(await tickets.get(`t${round}`)).toMatchObject({ id: `t${round}` })
    expect(await tickets.take(`t${round}`)).toMatchObject({ id: `t${round}` })
    expect(await tickets.take(`t${round}`)).toBeUndefined()
    const attempt = await failures?.begin([{ key: `k${round}`, limit: 1 }])
    expect(attempt?.allowed).toBe(true)
    if (attempt?.allowed) await attempt.end('failed')
    expect((await failures?.begin([{ key: `k${round}`, limit: 1 }]))?.allowed).toBe(false)
    expect(await store.revocations.since(0, 100)).not.toHaveLength(0)
  }

  test('every operation works when the server has forgotten its scripts, and takes effect once', async () => {
    const store = await open()
    await everyOperation(store, '1')
    await ask('SCRIPT', 'FLUSH')
    await everyOperation(store, '2')
    // Two rounds, each with a rotation and a removal.
    expect(await store.revocations.head()).toBe(4)
    await store.close()
  })

  test('flushed between any two operations, scripts are sent again', async () => {
    const store = await open()
    for (let n = 0; n < 20; n++) {
      await ask('SCRIPT', 'FLUSH')
      expect(await store.sessions.add(session(`${n}`), 50)).toEqual([])
    }
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => [
        ask('SCRIPT', 'FLUSH'),
        store.sessions.remove(`${n}`, { ...draft, selector: { sessionId: `${n}` } }),
      ]).flat(),
    )
    expect(await store.sessions.list('a')).toEqual([])
    expect(await store.revocations.head()).toBe(20)
    await store.close()
  })

  test('a restarted server has no scripts, and its sessions count as before', async () => {
    const store = await open()
    await store.sessions.add(session('kept'), 9)
    await redis.stop('fast')
    await redis.start()
    await expect.poll(() => store.sessions.get('kept').catch(() => undefined)).toMatchObject(session('kept'))
    // Each part has a connection of its own, and comes back in its own time.
    const isBack = (work: () => unknown): Promise<boolean> =>
      Promise.resolve()
        .then(work)
        .then(
          () => true,
          () => false,
        )
    await expect.poll(() => isBack(() => store.tickets.get('none'))).toBe(true)
    await expect.poll(() => isBack(() => store.failures?.begin([{ key: 'any', limit: 1000 }]))).toBe(true)
    await store.sessions.remove('kept', draft)
    await everyOperation(store, '3')
    await store.close()
  })

  test('a script is sent by its name, and a look-up is one command', async () => {
    const store = await open()
    await store.sessions.add(session('s'), 9)
    const before = String(await ask('INFO', 'commandstats'))
    for (let n = 0; n < 10; n++) await store.sessions.get('s')
    for (let n = 0; n < 10; n++) await store.sessions.touch([{ id: 's', at: n }])
    const after = String(await ask('INFO', 'commandstats'))
    const calls = (stats: string, name: string): number =>
      Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0)
    const more = (name: string): number => calls(after, name) - calls(before, name)
    expect({ hmget: more('hmget'), evalsha: more('evalsha'), eval: more('eval') }).toEqual({
      hmget: 10,
      evalsha: 10,
      eval: 0,
    })
    await store.close()
  })
})
