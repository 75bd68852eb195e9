// Needs PostgreSQL and Redis.
import { composeStores, createServices, memoryStore, type Store } from 'upgate'
import { redisSessions, redisTickets } from 'upgate/redis'
import { postgresStore } from 'upgate/sql'
import { storeContract } from 'upgate/store'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { clear, command, database, keysOf, testRedisUrl } from './redis.ts'
import {
  patience,
  postgresAnswers,
  postgresUrl,
  redisAnswers,
  redisUrl,
  sharedSchema,
  uniqueName,
} from './services.ts'

const withRedis = await redisAnswers()
const withPostgres = await postgresAnswers()

describe.skipIf(!withRedis || !withPostgres)('sessions and tickets in Redis, records in PostgreSQL', () => {
  const shared = sharedSchema()
  afterAll(() => shared.drop())
  storeContract(
    'PostgreSQL with Redis',
    async () => {
      const prefix = uniqueName()
      const stores: Store[] = []
      return {
        async connect() {
          const store = composeStores(
            await postgresStore({
              connectionString: postgresUrl,
              schema: shared.name,
              maxConnections: 4,
              timeout: patience,
            }),
            {
              sessions: await redisSessions({ url: testRedisUrl, prefix, timeout: patience }),
              tickets: await redisTickets({ url: testRedisUrl, prefix, timeout: patience }),
            },
          )
          stores.push(store)
          return store
        },
        async dispose() {
          await Promise.all(stores.map((store) => store.close()))
          await shared.empty()
          await clear(prefix)
        },
      }
    },
    test,
  )
})

describe.skipIf(!withRedis)('sessions in Redis', () => {
  let prefix: string
  const stores: Store[] = []
  beforeEach(() => {
    prefix = uniqueName()
  })
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()))
    await clear(prefix)
  })
  async function compose(base: Store = memoryStore()): Promise<Store> {
    const store = composeStores(base, {
      sessions: await redisSessions({ url: testRedisUrl, prefix, timeout: patience }),
    })
    stores.push(store)
    return store
  }
  const session = (id: string, changes = {}) => ({
    ...{
      id,
      digest: `digest of ${id}`,
      accountId: 'a',
      generation: 1,
      createdAt: 1,
      lastSeenAt: 1,
      expiresAt: 9,
    },
    ...changes,
  })
  const draft = { at: 1, selector: { sessionId: 's' }, reason: 'revoked' } as const

  test('a revocation that is not in the log yet is written by the next reader of the log', async () => {
    const base = memoryStore()
    let broken = false
    const log = base.revocations
    const fragile: Store = {
      ...base,
      revocations: {
        ...log,
        append: (drafts) =>
          broken ? Promise.reject(new Error('the process ended here')) : log.append(drafts),
      },
    }
    const store = await compose(fragile)
    await store.sessions.add(session('s'), 9)
    broken = true
    await expect(store.sessions.remove('s', draft)).rejects.toThrow()
    broken = false
    // Ended at once; its revocation waits in the outbox.
    expect(await store.sessions.get('s')).toBeUndefined()
    expect(await store.revocations.since(0, 9)).toEqual([])
    // Ten seconds later it counts as abandoned.
    const outbox = `{${prefix}}:outbox`
    const [name] = (await command('HKEYS', outbox)) as string[]
    const [text] = (await command('HVALS', outbox)) as string[]
    await command('HSET', outbox, String(name), String(text).replace(/^\d+ /, '1 '))
    expect(await store.revocations.since(0, 9)).toEqual([{ sequence: 1, ...draft }])
    expect(await store.revocations.since(0, 9)).toHaveLength(1)
    expect(await keysOf(prefix)).not.toContain(outbox)
  })

  test('ended sessions leave no keys behind', async () => {
    const store = await compose()
    for (let n = 0; n < 30; n++) await store.sessions.add(session(`${n}`, { accountId: `a${n % 3}` }), 5)
    await store.sessions.remove('29', draft)
    expect(await store.sessions.purge(9, 0, 100)).toBe(14)
    expect(await keysOf(prefix)).toEqual([`{${prefix}}:seq`])
  })

  test('text is stored unchanged, and is never run', async () => {
    const store = await compose()
    const label = `"]] return redis.call('FLUSHALL') --\u0000\u{1f510}`
    await store.sessions.add(session('s', { label }), 9)
    expect((await store.sessions.get('s'))?.label).toBe(label)
    const odd = `x"\\/'}`
    await store.sessions.add(session(odd, { accountId: 'b' }), 1)
    const evicted = await store.sessions.add(session('next', { accountId: 'b' }), 1)
    expect(evicted).toMatchObject([{ selector: { sessionId: odd } }])
  })

  test('a damaged record is neither a session nor a refusal', async () => {
    const store = await compose()
    await store.sessions.add(session('s'), 9)
    await command('HSET', `{${prefix}}:session:s`, 'expiresAt', 'never')
    await expect(store.sessions.get('s')).rejects.toMatchObject({ code: 'store_corrupt' })
  })

  test('connections that the server ends are reopened; until then it is unavailable, never a refusal', async () => {
    const store = await compose()
    const services = createServices({ store })
    const account = await services.accounts.create({ email: 'ada@example.com' })
    if (account.outcome !== 'done') throw new Error(account.reason)
    const tokens: string[] = []
    for (let n = 0; n < 5; n++) tokens.push((await services.sessions.create(account.account.id))?.token ?? '')
    const list = String(await command('CLIENT', 'LIST'))
    const ours = list
      .split('\n')
      .filter((line) => line.includes(` name=upgate `) && line.includes(` db=${database} `))
    expect(ours).toHaveLength(1)
    for (const line of ours) {
      await command('CLIENT', 'KILL', 'ID', /^id=(\d+)/.exec(line)?.[1] ?? '')
    }
    const outcomes = new Set<string>()
    await expect
      .poll(async () => {
        const answer = await services.sessions.verify(tokens[0] as string)
        outcomes.add(answer.outcome)
        return answer.outcome
      })
      .toBe('authenticated')
    expect([...outcomes].filter((outcome) => !['unavailable', 'authenticated'].includes(outcome))).toEqual([])
    await services.close()
  })

  test('an unreachable server, and misconfiguration', async () => {
    await expect(redisSessions({ url: 'redis://127.0.0.1:1' })).rejects.toMatchObject({
      name: 'StoreUnavailable',
      code: 'store_unavailable',
    })
    await expect(redisSessions({ url: 'http://x' })).rejects.toThrow(/`url`/)
    await expect(redisSessions({ url: testRedisUrl, prefix: '{a}' })).rejects.toThrow(/`prefix`/)
    await expect(redisSessions({ url: redisUrl, timeout: 0 })).rejects.toThrow(/`timeout`/)
    expect(() => composeStores(memoryStore(), { sessions: {} as never })).toThrow(/`sessions`/)
    expect(() => composeStores(memoryStore(), { keys: {} } as never)).toThrow(/unknown option `keys`/)
  })
})
