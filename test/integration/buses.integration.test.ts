// Needs PostgreSQL and Redis.
import { createClient } from 'redis'
import { createServices, memoryStore, type Services, type Store } from 'upgate'
import { redisBus } from 'upgate/redis'
import { postgresBus, postgresStore } from 'upgate/sql'
import type { RevocationBus } from 'upgate/store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  administer,
  dropSchema,
  patience,
  postgresAnswers,
  postgresUrl,
  redisAnswers,
  redisUrl,
  uniqueName,
} from './services.ts'

interface Kind {
  open(channel: string): Promise<RevocationBus>
  /** Sends messages on the channel that are not announcements of ours, then one that is. */
  say(channel: string, messages: readonly string[]): Promise<void>
  /** Makes the server end the connections of this test; returns their number. */
  kill(channel: string): Promise<number>
}

const postgres: Kind = {
  open(channel) {
    const url = new URL(postgresUrl)
    url.searchParams.set('application_name', channel)
    return postgresBus({ connectionString: url.href, channel })
  },
  async say(channel, messages) {
    for (const message of messages) await administer('select pg_notify($1, $2)', [channel, message])
  },
  async kill(channel) {
    const sql = 'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1'
    return (await administer(sql, [channel])).length
  },
}

// A separate database distinguishes this test's connections from others.
const database = 11

const redis: Kind = {
  open(channel) {
    const url = new URL(redisUrl)
    url.pathname = `/${database}`
    return redisBus({ url: url.href, channel })
  },
  async say(channel, messages) {
    await withRedis(async (client) => {
      for (const message of messages) await client.publish(channel, message)
    })
  },
  kill: () =>
    withRedis(async (client) => {
      const list = String(await client.sendCommand(['CLIENT', 'LIST']))
      const ours = list
        .split('\n')
        .filter((line) => line.includes(` db=${database} `) && line.includes(' name=upgate-bus '))
      for (const line of ours) {
        await client.sendCommand(['CLIENT', 'KILL', 'ID', /^id=(\d+)/.exec(line)?.[1] ?? ''])
      }
      return ours.length
    }),
}

async function withRedis<T>(use: (client: ReturnType<typeof createClient>) => Promise<T>): Promise<T> {
  const client = createClient({ url: redisUrl })
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client as ReturnType<typeof createClient>)
  } finally {
    client.destroy()
  }
}

const kinds = [
  ['PostgreSQL', postgres, await postgresAnswers()],
  ['Redis', redis, await redisAnswers()],
] as const

for (const [name, kind, answers] of kinds) {
  describe.skipIf(!answers)(`the bus over ${name}`, () => {
    let channel: string
    const closing: { close(): Promise<void> }[] = []
    beforeEach(() => {
      channel = uniqueName()
    })
    afterEach(async () => {
      for (const one of closing.splice(0).reverse()) await one.close()
    })
    async function open(): Promise<RevocationBus & { heard: number[] }> {
      const bus = await kind.open(channel)
      closing.push(bus)
      const heard: number[] = []
      bus.subscribe((sequence) => heard.push(sequence))
      return Object.assign(bus, { heard })
    }

    test('an announcement reaches every instance, its sender too', async () => {
      const [here, there] = [await open(), await open()]
      here.announce(7)
      await expect.poll(() => [here.heard, there.heard]).toEqual([[7], [7]])
    })

    test('many at once are sent as one: the newest number includes the others', async () => {
      const [here, there] = [await open(), await open()]
      for (let n = 1; n <= 1000; n++) here.announce(n)
      await expect.poll(() => there.heard.at(-1)).toBe(1000)
      expect(there.heard.length).toBeLessThan(100)
    })

    test('foreign messages are ignored', async () => {
      const bus = await open()
      const foreign = ['hello', '{"sequence":9}', 'upgate:1:', 'upgate:2:9', 'upgate:1:9; drop table', '9']
      await kind.say(channel, [...foreign, 'x'.repeat(7000), 'upgate:1:3'])
      await expect.poll(() => bus.heard).toEqual([3])
    })

    test('another channel is another deployment', async () => {
      const bus = await open()
      await kind.say(`${channel}_staging`, ['upgate:1:5'])
      await kind.say(channel, ['upgate:1:3'])
      await expect.poll(() => bus.heard).toEqual([3])
    })

    test('a connection that the server ends is reopened, and sends the pending number', async () => {
      const [here, there] = [await open(), await open()]
      expect(await kind.kill(channel)).toBeGreaterThanOrEqual(2)
      await new Promise((resolve) => setTimeout(resolve, 50))
      here.announce(12)
      await expect
        .poll(() => {
          // Like heartbeats do: the other one may have reconnected later.
          here.announce(12)
          return there.heard
        })
        .toContain(12)
    })

    test('closing releases its connections', async () => {
      const bus = await open()
      await bus.close()
      bus.announce(1)
      await expect.poll(() => kind.kill(channel)).toBe(0)
      expect(bus.heard).toEqual([])
    })

    test('instances with it learn of a revocation at once, and after its connections were cut', async () => {
      const store = memoryStore()
      const instance = async (): Promise<Services> => {
        const services = createServices({ store, bus: await open(), limits: { logInterval: 60_000 } })
        closing.push(services)
        return services
      }
      const [here, there] = [await instance(), await instance()]
      const first = await here.devices.create({ name: 'first' })
      const second = await here.devices.create({ name: 'second' })
      for (const { token } of [first, second]) {
        expect(await there.devices.verify(token)).toMatchObject({ outcome: 'authenticated' })
      }
      await here.devices.revoke(first.id)
      await expect.poll(() => there.revocations.sequence()).toBe(1)
      expect(await there.devices.verify(first.token)).toMatchObject({ code: 'revoked_credential' })
      await kind.kill(channel)
      await here.devices.revoke(second.id)
      await expect.poll(() => there.revocations.sequence()).toBe(2)
      expect(await there.devices.verify(second.token)).toMatchObject({ code: 'revoked_credential' })
    })
  })
}

describe.skipIf(!kinds[0][2])('an unreachable server', () => {
  test('prevents neither the bus from opening nor the services from working', async () => {
    const logged: string[] = []
    const logger = { warn: (message: string) => logged.push(message), error: () => {} }
    const buses = [
      await postgresBus({ connectionString: 'postgres://postgres@127.0.0.1:1/test', logger }),
      await redisBus({ url: 'redis://127.0.0.1:1', logger }),
    ]
    expect(logged).toEqual([
      'The bus over PostgreSQL is not connected; it is tried again.',
      'The bus over Redis is not connected; it is tried again.',
    ])
    for (const bus of buses) {
      const services = createServices({ store: memoryStore(), bus })
      const { id } = await services.keys.create({ name: 'k' })
      expect(await services.keys.revoke(id)).toBeDefined()
      await services.close()
      await bus.close()
    }
  })
})

describe.skipIf(!kinds[0][2])('PostgreSQL alone', () => {
  test('keeps the records and carries the announcements', async () => {
    const schema = uniqueName()
    const closing: { close(): Promise<void> }[] = []
    try {
      const instance = async (): Promise<{ store: Store; services: Services }> => {
        const store = await postgresStore({
          connectionString: postgresUrl,
          schema,
          maxConnections: 3,
          timeout: patience,
        })
        const bus = await postgresBus({ connectionString: postgresUrl, channel: schema })
        const services = createServices({ store, bus, limits: { logInterval: 60_000 } })
        closing.push(store, bus, services)
        return { store, services }
      }
      const [here, there] = [await instance(), await instance()]
      const account = await here.services.accounts.create({ email: 'ada@example.com' })
      if (account.outcome !== 'done') throw new Error(account.reason)
      const issued = await here.services.sessions.create(account.account.id)
      const token = issued?.token ?? ''
      expect(await there.services.sessions.verify(token)).toMatchObject({ outcome: 'authenticated' })
      await here.services.accounts.disable(account.account.id)
      await expect.poll(() => there.services.revocations.sequence()).toBe(1)
      expect(await there.services.sessions.verify(token)).toMatchObject({ outcome: 'rejected' })
    } finally {
      for (const one of closing.reverse()) await one.close()
      await dropSchema(schema)
    }
  })
})

test('misconfiguration throws and names the option', async () => {
  await expect(postgresBus({ connectionString: 'mysql://x' })).rejects.toThrow(/`connectionString`/)
  await expect(postgresBus({ connectionString: postgresUrl, channel: 'A-b' })).rejects.toThrow(/`channel`/)
  await expect(redisBus({ url: 'http://x' })).rejects.toThrow(/`url`/)
  await expect(redisBus({ url: redisUrl, channel: '' })).rejects.toThrow(/`channel`/)
  await expect(redisBus({ host: '' } as never)).rejects.toThrow(/unknown option `host`/)
})
