// Needs PostgreSQL and Redis.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  administer,
  databaseUrl,
  postgresAnswers,
  redisAnswers,
  redisUrl,
  uniqueName,
} from '../integration/services.ts'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { connectNode, TestSocket } from './socket.ts'
import { loggedIn, Visitor } from './visitor.ts'

const available = (await postgresAnswers()) && (await redisAnswers())

describe.skipIf(!available).each([
  ['PostgreSQL and Redis', { REDIS_URL: redisUrl }],
  ['PostgreSQL alone', {}],
])('two instances on %s', (_what, env) => {
  let data: DataDir
  let name: string
  let one: Program
  let other: Program
  let visitor: Visitor
  let elsewhere: Visitor

  function start(): Promise<Program> {
    return startProgram({ dataDir: data.path, env: { DATABASE_URL: databaseUrl(name), ...env } })
  }

  beforeEach(async () => {
    data = temporaryDataDir()
    name = uniqueName()
    await administer(`create database ${name}`)
    // Started together: one of them creates the tables and the first account.
    ;[one, other] = await Promise.all([start(), start()])
    visitor = await loggedIn(one.origin)
    elsewhere = new Visitor(other.origin, visitor.cookie)
  })
  afterEach(async () => {
    await endAll()
    await administer(`drop database ${name} with (force)`)
    data.remove()
  })

  it('list the nodes of both, and remove those of an instance that is gone', async () => {
    const { id, token } = await visitor.device('kitchen')
    const second = await elsewhere.device('attic')
    const live = new TestSocket(`${other.origin}/ws/live`, {
      cookie: visitor.cookie ?? '',
      origin: other.origin,
    })
    expect(await live.messageOf('nodes')).toMatchObject({ nodes: [] })
    await connectNode(one.origin, token)
    expect(await live.messageOf('nodes')).toMatchObject({ nodes: [{ id, name: 'kitchen' }] })
    await connectNode(other.origin, second.token)
    const ids = async (who: Visitor) => (await who.nodes()).map((node) => node.id).sort()
    for (const who of [visitor, elsewhere]) {
      await expect.poll(() => ids(who)).toEqual([id, second.id].sort())
    }
    const { devices } = (await visitor.get('/api/devices')).json() as { devices: { connected: boolean }[] }
    expect(devices.map((device) => device.connected)).toEqual([true, true])

    // At once: not after the fifteen seconds of a kill.
    await one.stop('SIGTERM')
    await expect.poll(() => ids(elsewhere), { timeout: 10_000 }).toEqual([second.id])
    const again = await start()
    const back = new Visitor(again.origin, visitor.cookie)
    await expect.poll(() => ids(back)).toEqual([second.id])
    // After a kill its nodes are removed, fifteen seconds after its last message, by the clock of the database.
    await other.stop('SIGKILL')
    expect(await ids(back)).toEqual([second.id])
    await administer(
      `update gateway_presence set seen_at = seen_at - interval '13 s' where nodes::text like '%' || $1 || '%'`,
      [second.id],
      name,
    )
    await expect.poll(() => ids(back), { timeout: 10_000 }).toEqual([])
  })

  it('count failed logins together if there is Redis, and print at the start which counts are separate', async () => {
    const shared = 'REDIS_URL' in env
    for (const program of [one, other]) {
      await program.printed(
        shared ? /each one's own: chat and audit page\.$/m : /failed logins.*set REDIS_URL/,
      )
    }
    // An unknown account: a client cannot tell, and other runs on this Redis are not affected.
    const email = `${name}@example.com`
    const statuses = await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        const guesser = new Visitor((n % 2 ? one : other).origin)
        const answer = await guesser.post('/api/auth/login', { email, password: `wrong password ${n}` })
        return answer.status
      }),
    )
    const wrong = statuses.filter((status) => status === 401).length
    expect([wrong, statuses.length - wrong]).toEqual(shared ? [10, 6] : [16, 0])
    expect(new Set(statuses)).toEqual(new Set(shared ? [401, 429] : [401]))
  })

  it('close sockets and show pairings of each other', async () => {
    const { id, token } = await visitor.device('kitchen')
    const node = await connectNode(one.origin, token)
    expect((await elsewhere.delete(`/api/devices/${id}`)).status).toBe(204)
    expect((await node.closed).code).toBe(4403)

    const live = new TestSocket(`${other.origin}/ws/live`, {
      cookie: visitor.cookie ?? '',
      origin: other.origin,
    })
    await live.messageOf('nodes')
    const made = await visitor.post('/api/pairings/codes', {})
    expect(made.status).toBe(201)
    for (;;) if ((await live.messageOf('changed')).what === 'pairings') break
    expect((await elsewhere.get('/api/pairings')).json().invitations).toHaveLength(1)
  })
})
