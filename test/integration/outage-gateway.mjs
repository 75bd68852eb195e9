// One of several gateways that lose their PostgreSQL and Redis. Its parent sends it commands.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { composeStores, createGate, createServices, deviceToken, sessionCookie } from 'upgate'
import { httpGate } from 'upgate/node'
import { redisBus, redisSessions } from 'upgate/redis'
import { postgresBus, postgresStore } from 'upgate/sql'
import { guardServer, upgateHandshake } from 'upgate/ws'
import { WebSocketServer } from 'ws'

/** @type {{ postgres: string, redis: string, name: string, bus: 'postgres' | 'redis', away: readonly string[], speed: number }} */
const { postgres, redis, name, bus: kind, away, speed } = JSON.parse(process.argv[2] ?? '')

/** A faster clock, for bounds of a minute. */
const began = Date.now()
const clock = {
  now: () => began + (Date.now() - began) * speed,
  /** @param {number} milliseconds @param {() => void} callback */
  setTimer(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds / speed)
    return { cancel: () => clearTimeout(timer) }
  },
}
/** @type {string[]} */
const logged = []
const logger = {
  /** @param {string} message */
  warn: (message) => void logged.push(message),
  /** @param {string} message */
  error: (message) => void logged.push(message),
}

/**
 * Bounds that a test can wait for, of a service that goes away, and that a busy machine does not reach, of another one.
 *
 * @param {string} service
 */
const timeoutOf = (service) => (away.includes(service) ? 4000 : 30_000)
const store = composeStores(
  await postgresStore({
    connectionString: postgres,
    schema: name,
    timeout: timeoutOf('postgres'),
    maxConnections: 5,
  }),
  { sessions: await redisSessions({ url: redis, prefix: name, timeout: timeoutOf('redis') }) },
)
const bus =
  kind === 'redis'
    ? await redisBus({ url: redis, channel: name, clock, logger })
    : await postgresBus({ connectionString: postgres, channel: name, clock, logger })
const services = createServices({
  store,
  bus,
  clock,
  logger,
  limits: {
    // Every verification asks the store, and only the bus announces in time.
    cacheAge: 0,
    touchDelay: 0,
    logInterval: 60_000,
    lookupTimeout: (away.includes('postgres') ? 5000 : 40_000) * speed,
  },
})
const origin = 'https://gateway.example.com'
const gate = createGate({
  origins: [origin],
  schemes: [sessionCookie({ sessions: services.sessions }), deviceToken({ devices: services.devices })],
  setup: { page: '/setup', required: async () => !(await services.accounts.any()) },
  rules: [
    { path: '/setup', access: 'public' },
    { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() },
    { path: '/ws/strict', access: 'required', kinds: ['device'] },
    { path: '/api/*', access: 'required', kinds: ['user', 'device'] },
  ],
  clock,
  logger,
})
const server = createServer(
  httpGate(gate, (request, response) => response.end(gate.principalOf(request)?.id ?? '')),
)
const echo = new WebSocketServer({ noServer: true })
echo.on('connection', (ws) => ws.on('message', (data) => ws.send(`heard ${data}`)))
guardServer(server, gate, { sockets: { '/ws': echo, '/ws/strict': echo }, hold: 50 })
server.listen(0, '127.0.0.1')
await once(server, 'listening')

/** @param {() => Promise<unknown>} run */
async function told(run) {
  try {
    return { done: await run() }
  } catch (error) {
    return { code: error instanceof Error && 'code' in error ? error.code : String(error) }
  }
}

const commands = {
  where: async () => {
    const address = server.address()
    return typeof address === 'object' ? address?.port : undefined
  },
  /** @param {number} count */
  async issue(count) {
    const issued = []
    for (let n = 0; n < count; n++) issued.push(await services.devices.create({ name: 'd' }))
    return issued.map(({ id, token }) => ({ id, token }))
  },
  device: () =>
    told(async () => {
      const { id, token } = await services.devices.create({ name: 'd' })
      return { id, token }
    }),
  /** @param {string} email */
  async account(email) {
    const made = await services.accounts.create({ email })
    return made.outcome === 'done' ? made.account.id : undefined
  },
  /** @param {string} id */
  login: (id) => told(async () => (await services.sessions.create(id))?.token),
  /** @param {string} token */
  logout: (token) =>
    told(async () => {
      const answer = await services.sessions.verify(token)
      if (answer.outcome !== 'authenticated') return answer.outcome
      return services.sessions.revoke(answer.principal.sessionId ?? '', 'logged_out')
    }),
  /** @param {string} id */
  revoke: (id) => told(async () => (await services.devices.revoke(id))?.revokedAt !== undefined),
  health: async () => services.revocations.health(),
  logged: async () => logged,
  async memory() {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc')
    // The second one takes the objects behind weak references and finalizers of the first.
    for (let round = 0; round < 2; round++) {
      collect()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { heapUsed: heap, rss: resident } = process.memoryUsage()
    return { heap, resident }
  },
}

process.on('message', async ({ id, command, argument }) => {
  const run = /** @type {(argument: unknown) => Promise<unknown>} */ (
    commands[/** @type {keyof typeof commands} */ (command)]
  )
  process.send?.({ id, answer: (await run(argument)) ?? null })
})
process.once('disconnect', () => process.exit())
process.send?.({ id: 0 })
